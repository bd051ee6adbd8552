"""Letters that look like digits, by the words they stand in."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import SETTINGS, rows, split

from live_digits import classifier
from live_digits.config import Settings
from live_digits.labels import resolve_once
from live_digits.reader import read_picture
from live_digits.training import evaluate, prose
from live_digits.types import NOT_A_DIGIT, Box, Candidate, Classifier, Floats, Frame, Image
from live_digits.words import digit_odds

LETTER, BLANK = 20, 24
"""Pixels from letter to letter, and what a blank adds."""
LOOKS = {"o": 0, "O": 0, "l": 1, "I": 1, "s": 5, "S": 5, "g": 9, "b": 6}
"""What a network takes these letters for; it refuses all others."""
SURE, OF_LETTERS = 0.999, 0.985
"""How sure it is of a digit, and of such a letter."""


def written(text: str, size: float = 1.0) -> tuple[list[Candidate], Floats]:
    """Marks in lines and what the network says of them."""
    marks: list[Candidate] = []
    answers: list[Floats] = []
    for line, words in enumerate(text.splitlines()):
        x = 0.0
        for character in words:
            if character == " ":
                x += BLANK
                continue
            thin = character in "1lI|"
            box = Box(round(x * size), round(60 * line * size),
                      round((5 if thin else 15) * size), round(24 * size))  # fmt: skip
            marks.append(Candidate(box, frozenset((len(marks),)), True, 200, 100))
            digit = int(character) if character.isdigit() else LOOKS.get(character, NOT_A_DIGIT)
            answers.append(rows((digit, SURE if character.isdigit() else OF_LETTERS)))
            x += LETTER - 8 * thin
    return marks, np.vstack(answers)


def read(text: str, size: float = 1.0) -> str:
    """What is read of it, the digits in the order they are written."""
    marks, answers = written(text, size)
    digits = resolve_once(marks, answers, SETTINGS).digits
    return "".join(str(d.digit) for d in sorted(digits, key=lambda d: (d.box.y, d.box.x)))


@pytest.mark.parametrize("size", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("hello my name is jacob", ""),
        ("she lost the school book\nso do most of us", ""),
        ("milk 250\nbread 48\ncoffee 736", "25048736"),
        ("the year 2024 was good", "2024"),
        ("3 + 4 = 7\n28 - 6 = 22", "34728622"),
        ("5086", "5086"),
        ("1 1 1\n0 0 5", "111005"),
        ("x = 3", "3"),
        ("7", "7"),
    ],
)
def test_numbers_are_read_and_letters_that_look_like_digits_are_not(
    text: str, numbers: str, size: float
) -> None:
    assert read(text, size) == numbers


def test_the_same_marks_are_letters_in_a_word_and_digits_in_a_number() -> None:
    assert read("soon the") == ""
    assert read("5002 86") == "500286"


@pytest.mark.parametrize("confidence", [0.61, 0.8, 0.95])
def test_unsure_digits_among_themselves_are_no_letters(confidence: float) -> None:
    marks, _ = written("50 61\n09 51")
    answers = np.vstack([rows((d, confidence)) for d in (5, 0, 6, 1, 0, 9, 5, 1)])
    assert len(resolve_once(marks, answers, SETTINGS).digits) == len(marks)


def test_what_is_hard_to_read_speaks_less_against_those_around_than_a_letter_does() -> None:
    marks, answers = written("50 6\n09 51\n2 71")
    read = np.arange(len(marks)) % 3 > 0

    def odds(refused: float) -> Floats:
        answers[~read] = split(3, 1 - refused, 4, 0.0)
        return digit_odds(marks, read, answers)

    assert (odds(0.6) > odds(0.9) + 0.1).all()
    assert (odds(0.9) > odds(SURE) + 0.1).all()


@st.composite
def pages(draw: st.DrawFn) -> tuple[list[Candidate], Floats, np.ndarray]:
    count = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    marks = [
        Candidate(Box(*(int(v) for v in rng.integers((0, 0, 1, 1), (900, 600, 200, 200)))),
                  frozenset((i,)), True, 50, int(rng.integers(0, 256)))
        for i in range(count)
    ]  # fmt: skip
    answers = rng.dirichlet(np.full(11, draw(st.sampled_from((0.05, 0.5, 5.0)))), count)
    return marks, answers.astype(np.float32).reshape(-1, 11), rng.random(count) < 0.5


@settings(deadline=None, max_examples=100)
@given(pages())
def test_the_odds_are_finite_and_belong_to_the_marks_and_not_to_their_order(
    page: tuple[list[Candidate], Floats, np.ndarray],
) -> None:
    marks, answers, mine = page
    odds = digit_odds(marks, mine, answers)
    assert odds.shape == (np.count_nonzero(mine),)
    assert np.isfinite(odds).all()
    order = np.random.default_rng(1).permutation(len(marks))
    turned = digit_odds([marks[i] for i in order], mine[order], answers[order])
    there = {int(order[i]): o for i, o in zip(np.flatnonzero(mine[order]), turned, strict=True)}
    assert [there[int(i)] for i in np.flatnonzero(mine)] == pytest.approx(odds.tolist(), abs=2e-3)


# --- drawn ---


@pytest.fixture(scope="module")
def cnn() -> Classifier:
    return classifier.load("cnn")


def shown(image: Image) -> Frame:
    return Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8), 0, 0.0)


def test_pages_of_words_and_numbers_are_read(cnn: Classifier) -> None:
    """Floors well below what is measured (benchmarks/words.py): a regression, not a record."""
    right = true = false = 0
    for kind, number in product(prose.KINDS, range(3)):
        drawn = prose.page((11, number), kind)
        digits = read_picture(shown(drawn.image), Settings(), cnn).digits
        hits = evaluate.right_of(evaluate.paired(drawn.digits, digits))
        right, true = right + hits, true + len(drawn.digits)
        false += len(digits) - hits if kind in ("prose", "words") else 0
    assert right >= 0.9 * true, f"{right} of {true}"
    assert false <= 3 * 6, f"{false} letters taken for digits on six pages"


@pytest.mark.parametrize("kind", prose.KINDS)
def test_a_page_of_text_is_the_same_for_the_same_seed_and_its_boxes_hold_ink(kind: str) -> None:
    page, again = prose.page((3, 1), kind), prose.page((3, 1), kind)
    assert np.array_equal(page.image, again.image)
    assert page.digits == again.digits
    assert (kind == "words") == (not page.digits)
    paper = float(np.median(page.image))
    for box, _ in page.digits:
        part = page.image[box.y : box.bottom, box.x : box.right]
        assert part.min() < paper - 20
