"""How the judge trains: it learns what only surroundings and neighbours tell, and from its seed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_kit import candidate

from live_digits.capture import demo_scene
from live_digits.core.types import Floats
from live_digits.reading.classes import JUDGED, LETTER
from live_digits.reading.cutouts import SHAPES, SIDE, Cutouts
from live_digits.training.page_set import Sample, Told, sample
from live_digits.training.synthetic.drawn_page import Page, page
from live_digits.training.synthetic.glyphs import Glyphs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="trains with TensorFlow"
)
ZERO = 0
SMALL: dict[str, Any] = {"epochs": 4, "judge_epochs": 12}


def crop_network() -> Any:
    from live_digits.training import networks

    networks.keras_module().utils.set_random_seed(1)
    return networks.build("cnn", 0.1)


def rings(count: int, seed: int) -> Sample:
    """The same ring again and again, a 0 on light paper and a letter where it is dark around."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([ZERO, LETTER], np.int8), count)
    crops = np.zeros((count, 28, 28), np.uint8)
    crops[:, 4:24, 8:20], crops[:, 7:21, 11:17] = 255, 0
    near = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    near[..., 1] = np.where(labels == LETTER, 60, 200)[:, None, None]
    near[..., 1] += rng.integers(0, 20, near.shape[:3], dtype=np.uint8)
    wide = np.full((count, SIDE, SIDE, 2), 128, np.uint8)
    cuts = Cutouts(crops, near, wide, np.zeros((count, SHAPES), np.float32))
    return Sample(cuts, labels, np.zeros(count, bool), np.ones(count, np.float32))


def answer(label: int, confidence: float, other: int | None = None) -> Floats:
    row = np.full(JUDGED, (1 - confidence) / (JUDGED - 1), np.float32)
    row[label] = confidence
    if other is not None:
        row[[label, other]] = 0.5, 0.4
    out: Floats = row / row.sum()
    return out


def doubtful(count: int, seed: int) -> list[Told]:
    """Pages of five marks; the middle one is a 0 among digits and a letter among letters."""
    rng = np.random.default_rng(seed)
    pages = []
    for _ in range(count):
        among = int(rng.choice([7, LETTER]))
        truth = np.full(5, among, np.int8)
        truth[2] = ZERO if among == 7 else LETTER
        evidence = np.stack([answer(among, 0.9)] * 5)
        evidence[2] = answer(ZERO, 0.5, LETTER)
        marks = tuple(candidate(30 * i, {i}) for i in range(5))
        pages.append(Told(marks, evidence, truth, int(among == 7) * 5))
    return pages


def test_surroundings_tell_what_a_crop_does_not() -> None:
    from live_digits.training import judge

    recipe = judge.JudgeRecipe(**SMALL)
    network, curve = judge.fit_context(crop_network(), rings(2048, 1), rings(256, 2), recipe, 1)
    assert len(curve) == SMALL["epochs"]
    held = rings(256, 3)
    cuts = held.cutouts
    said = network.predict_on_batch([cuts.crops, cuts.near, cuts.wide, cuts.shapes])
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-3)
    assert np.mean(said.argmax(axis=1) == held.labels) > 0.95


def test_neighbours_tell_what_a_mark_alone_does_not_and_a_seed_trains_the_same() -> None:
    from live_digits.training import judge, train

    recipe = judge.JudgeRecipe(**SMALL)
    found = []
    for _ in range(2):
        train._prepare(3)
        found.append(judge.fit_judge(doubtful(800, 1), doubtful(80, 2), recipe, 3))
    (network, told, curve), (again, *_) = found
    assert told["f1"] > 0.95
    assert len(curve) == SMALL["judge_epochs"]
    for a, b in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_full_page_counts_for_less_than_each_of_its_marks() -> None:
    from live_digits.training.judge import _rows

    one, many = doubtful(1, 4)[0], doubtful(1, 5)[0]
    marks = tuple(candidate(30 * i, {i}) for i in range(20))
    wide = Told(marks, np.concatenate([many.evidence] * 4), np.tile(many.labels, 4), 20)
    *_, weights = _rows([one, wide])
    assert weights[0] == pytest.approx(2 * weights[-1])
    assert weights[:5].sum() < weights[5:].sum()


class Drawn:
    """Draws small pages; can be sent to another process."""

    def __call__(self, seed: tuple[int, ...]) -> Page:
        return page(seed, Glyphs(*demo_scene.digit_pictures()), "lone")


def test_a_set_of_pages_is_the_same_for_its_seed_and_from_its_cache(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    first = sample(9, Drawn(), (5, 1), lambda done, total: steps.append((done, total)), tmp_path)
    assert steps == [(8, 9), (9, 9)]
    assert len(list(tmp_path.glob("*.pickle"))) == 2
    again = sample(9, Drawn(), (5, 1), cache=tmp_path)
    other = sample(9, Drawn(), (5, 2))
    for part in ("labels", "alike", "weights"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    np.testing.assert_array_equal(first.cutouts.near, again.cutouts.near)
    assert len(other.labels) != len(first.labels) or (other.labels != first.labels).any()
    assert len(first.labels) == len(first.cutouts) == len(first.weights)
