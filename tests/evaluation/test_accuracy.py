"""The whole reader on a small set of drawn pages: a regression shows here first.

The pages are drawn from seeds, with the demo's digits: no network has trained on these.
"""

from __future__ import annotations

import numpy as np
import pytest

from live_digits.capture import demo_scene
from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Classifier, Frame, Image
from live_digits.evaluation import evaluate
from live_digits.reading import judge
from live_digits.reading.image_reader import read_picture
from live_digits.training import labelling
from live_digits.training.synthetic import drawn_page
from live_digits.training.synthetic.drawn_page import Page
from live_digits.training.synthetic.glyphs import Glyphs

PAGES = 40
SEED = 2026
DEMOS = 6
DEMO_MISTAKES = 0.05
"""Share of the demo's digits: a few of these MNIST test digits are hard for every network."""
SETTINGS = Settings()
FLOOR = 0.70
"""F1 over the drawn pages. Many are far harder than photographs: faint pencil on squared paper in
the dark, words, sums, boards; hand-made rules read 0.675 of these very pages. Lower it only with a
reason that stands in docs/accuracy.md."""


@pytest.fixture(scope="module")
def cnn() -> Classifier:
    return judge.load("cnn")


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    glyphs = Glyphs(*demo_scene.digit_pictures())
    return [drawn_page.page((SEED, i), glyphs) for i in range(PAGES)]


def tally(net: Classifier, image: Image, truth: list[tuple[Box, int]]) -> tuple[int, int, int]:
    """Right, read and true digits of one picture."""
    read = read_picture(Frame(image, 0, 0.0), SETTINGS, net).digits
    return evaluate.right_of(evaluate.paired(truth, read)), len(read), len(truth)


def test_drawn_pages_are_read(cnn: Classifier, pages: list[Page]) -> None:
    counts = np.array([tally(cnn, p.image, list(p.digits)) for p in pages])
    right, read, true = counts.sum(axis=0)
    f1 = 2 * right / (read + true)
    assert f1 >= FLOOR, f"F1 {f1:.4f}: {right} right of {true}, {read} read"


def test_pages_without_digits_hold_next_to_none(cnn: Classifier, pages: list[Page]) -> None:
    none = [p for p in pages if not p.digits]
    assert len(none) >= 2
    assert sum(tally(cnn, p.image, [])[1] for p in none) <= 2 * len(none)


def test_the_demo_is_read(cnn: Classifier) -> None:
    counts = []
    for seed in range(DEMOS):
        scene = DemoScene(1280, 720, seed=seed, digits=24)
        counts.append(tally(cnn, scene.render(2.0), list(scene.truth(2.0))))
    right, read, true = np.array(counts).sum(axis=0)
    assert right >= (1 - DEMO_MISTAKES) * true
    assert read <= true + 1


def test_a_page_is_the_same_for_the_same_seed() -> None:
    glyphs = Glyphs(*demo_scene.digit_pictures())
    a, b = drawn_page.page((1, 5), glyphs), drawn_page.page((1, 5), glyphs)
    assert (a.image == b.image).all()
    assert a.digits == b.digits
    other = drawn_page.page((1, 6), glyphs)
    assert other.image.shape != a.image.shape or (other.image != a.image).any()


@pytest.mark.parametrize("number", range(6))
def test_candidates_of_a_page_are_what_their_labels_say(number: int, pages: list[Page]) -> None:
    """A digit has one candidate at most that is taught as it."""
    page = pages[number]
    found = labelling.labelled(page)
    assert found.found <= found.digits == len(page.digits)
    for digit in range(10):
        written = sum(d == digit for _, d in page.digits)
        assert np.count_nonzero(found.labels == digit) <= written
