"""The digits of a picture, and why each other box carries none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import LEFT, RIGHT, SETTINGS, WHOLE, candidate, pages, rows, split

from live_digits.config.settings import ReadingSettings
from live_digits.core.geometry import Box
from live_digits.core.types import NOT_A_DIGIT, Candidate, Digit, Floats, Rejected
from live_digits.reading.classes import JUDGED, LETTER, MARK, PART, REASONS, SIGN
from live_digits.reading.resolution import Resolved, numbered, rejection, resolve_once


@pytest.mark.parametrize(
    ("label", "reason"), [(LETTER, "letter"), (SIGN, "sign"), (PART, "part"), (MARK, "mark")]
)
def test_a_box_that_is_no_digit_says_what_it_is(label: int, reason: str) -> None:
    box = candidate(5, {1})
    for floor in (0.0, 0.6, 1.0):
        found = resolve_once([box], rows((label, 0.8)), ReadingSettings(confidence=floor))
        assert (found.digits, found.pending) == ((), ())
        (told,) = found.rejected
        assert (told.box, told.reason) == (box.box, reason)
        assert told.confidence == pytest.approx(0.8)


@pytest.mark.parametrize(("confidence", "floor"), [(0.59, 0.6), (0.89, 0.9), (0.99, 1.0)])
def test_below_the_floor_a_box_is_unsure_and_carries_no_digit(
    confidence: float, floor: float
) -> None:
    box = candidate(5, {1})
    (told,) = resolve_once([box], rows((7, confidence)), ReadingSettings(confidence=floor)).rejected
    assert (told.box, told.reason) == (box.box, "unsure")
    assert told.confidence == pytest.approx(confidence)
    lower = ReadingSettings(confidence=floor - 0.02)
    (digit,) = resolve_once([box], rows((7, confidence)), lower).digits
    assert (digit.digit, digit.box) == (7, box.box)
    assert digit.confidence == pytest.approx(confidence)


def test_of_several_reasons_the_likeliest_is_told() -> None:
    told = rejection(Box(1, 2, 3, 4), split(SIGN, 0.3, LETTER, 0.5, PART))
    assert told == Rejected(Box(1, 2, 3, 4), "letter", 0.5)


def test_rivals_are_read_one_way_and_what_is_explained_is_not_rejected() -> None:
    found = resolve_once([WHOLE, LEFT, RIGHT], rows((8, 0.7), (7, 0.9), (MARK, 0.9)), SETTINGS)
    assert [(d.digit, d.box) for d in found.digits] == [(7, LEFT.box)]
    assert found.rejected == ()


def test_a_half_that_nobody_reads_is_not_drawn() -> None:
    half = candidate(0, {1}, is_whole=False)
    assert resolve_once([half], rows((PART, 0.9)), SETTINGS) == Resolved(())


def test_nothing_found_nothing_read() -> None:
    assert resolve_once([], np.zeros((0, JUDGED), np.float32), SETTINGS) == Resolved(())


def test_a_page_of_letters_that_all_look_a_little_like_digits_holds_none() -> None:
    letters = [candidate(30 * i, {i}) for i in range(40)]
    answers = np.stack([split(i % 10, 0.45, LETTER, 0.5) for i in range(40)])
    found = resolve_once(letters, answers, ReadingSettings(confidence=0.0))
    assert found.digits == ()
    assert {r.reason for r in found.rejected} == {"letter"}
    assert len(found.rejected) == 40


@settings(deadline=None, max_examples=200)
@given(pages(), st.sampled_from((0.0, 0.6, 0.95)))
def test_the_ink_of_every_whole_box_is_read_or_told_why_not(
    page: tuple[list[Candidate], Floats], floor: float
) -> None:
    candidates, answers = page
    found = resolve_once(candidates, answers, ReadingSettings(confidence=floor))
    index = {c.box: i for i, c in enumerate(candidates)}
    pieces = [p for d in found.digits for p in candidates[index[d.box]].component_ids]
    assert len(pieces) == len(set(pieces))
    assert [d.track for d in found.digits] == list(range(1, len(found.digits) + 1))
    for d in found.digits:
        answer = answers[index[d.box]]
        assert d.digit == answer[:NOT_A_DIGIT].argmax()
        assert d.confidence == pytest.approx(float(answer[d.digit]))
        assert d.confidence >= floor
    told = {r.box for r in found.rejected}
    for c in candidates:
        explained = bool(c.component_ids & set(pieces))
        assert not (explained and c.box in told)
        beside = (candidates[index[box]].component_ids for box in told)
        assert not c.is_whole or explained or any(c.component_ids & other for other in beside)
    for r in found.rejected:
        assert r.reason in (*REASONS, "unsure")
        assert 0 <= r.confidence <= 1


def test_numbered_counts_from_1_in_order() -> None:
    digits = [Digit(Box(0, 0, 1, 1), 4, 0.9, 77), Digit(Box(5, 0, 1, 1), 2, 0.8, 3)]
    assert [(d.digit, d.track) for d in numbered(digits)] == [(4, 1), (2, 2)]
