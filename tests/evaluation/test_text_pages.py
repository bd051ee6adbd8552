"""Drawn pages of words and numbers: numbers are read, and letters that look like digits are not."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest

from live_digits.config.settings import Settings
from live_digits.core.types import Classifier, Frame, Image
from live_digits.evaluation import evaluate, text_pages
from live_digits.reading import judge
from live_digits.reading.image_reader import read_picture
from live_digits.reading.judge import LearnedJudge


@pytest.fixture(scope="module")
def cnn() -> Classifier | LearnedJudge:
    return judge.load("cnn")


def shown(image: Image) -> Frame:
    return Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8), 0, 0.0)


def test_pages_of_words_and_numbers_are_read(cnn: Classifier | LearnedJudge) -> None:
    """Floors well below what is measured (experiments/words.py): a regression, not a record."""
    right = true = false = 0
    for kind, number in product(text_pages.KINDS, range(3)):
        drawn = text_pages.page((11, number), kind)
        digits = read_picture(shown(drawn.image), Settings(), cnn).digits
        hits = evaluate.right_of(evaluate.paired(drawn.digits, digits))
        right, true = right + hits, true + len(drawn.digits)
        false += len(digits) - hits if kind in ("prose", "words") else 0
    assert right >= 0.9 * true, f"{right} of {true}"
    assert false <= 3 * 6, f"{false} letters taken for digits on six pages"


@pytest.mark.parametrize("kind", text_pages.KINDS)
def test_a_page_of_text_is_the_same_for_the_same_seed_and_its_boxes_hold_ink(kind: str) -> None:
    page, again = text_pages.page((3, 1), kind), text_pages.page((3, 1), kind)
    assert np.array_equal(page.image, again.image)
    assert page.digits == again.digits
    assert (kind == "words") == (not page.digits)
    paper = float(np.median(page.image))
    for box, _ in page.digits:
        part = page.image[box.y : box.bottom, box.x : box.right]
        assert part.min() < paper - 20
