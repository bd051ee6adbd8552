"""What is read of a picture: rivals one way, and no digit where what is around says none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import LEFT, RIGHT, SETTINGS, WHOLE, candidate, rows, split

from live_digits.config import ReadingSettings
from live_digits.labels import Resolution, numbered, resolve_once
from live_digits.types import CLASSES, NOT_A_DIGIT, Box, Candidate, Digit, Floats


@pytest.mark.parametrize(
    ("whole", "left", "right", "read"),
    [
        ((5, 0.7), (7, 0.97), (3, 0.97), [7, 3]),
        ((8, 0.97), (7, 0.7), (3, 0.7), [8]),
        ((NOT_A_DIGIT, 0.95), (7, 0.9), (3, 0.9), [7, 3]),
        ((8, 0.95), (NOT_A_DIGIT, 0.99), (3, 0.99), [8]),
        ((NOT_A_DIGIT, 0.95), (7, 0.9), (NOT_A_DIGIT, 0.9), [7]),
        ((NOT_A_DIGIT, 0.9), (NOT_A_DIGIT, 0.9), (NOT_A_DIGIT, 0.9), []),
        ((4, 0.9), (4, 0.9), (4, 0.9), [4]),
    ],
)
def test_rivals_are_read_one_way(
    whole: tuple[int, float], left: tuple[int, float], right: tuple[int, float], read: list[int]
) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        candidates = [(WHOLE, LEFT, RIGHT)[i] for i in order]
        answers = rows(*((whole, left, right)[i] for i in order))
        found = resolve_once(candidates, answers, SETTINGS)
        by_place = sorted(found.digits, key=lambda d: d.box.x)
        assert [d.digit for d in by_place] == read
        assert found.rejected == (() if read else (WHOLE.box,))
        assert found.pending == ()


@pytest.mark.parametrize(("confidence", "floor"), [(0.59, 0.6), (0.89, 0.9), (0.99, 1.0)])
def test_below_the_floor_a_box_is_drawn_and_carries_no_digit(
    confidence: float, floor: float
) -> None:
    box = candidate(5, {1})
    found = resolve_once([box], rows((7, confidence)), ReadingSettings(confidence=floor))
    assert found == Resolution((), (), (box.box,))
    lower = ReadingSettings(confidence=floor - 0.02)
    (digit,) = resolve_once([box], rows((7, confidence)), lower).digits
    assert (digit.digit, digit.box) == (7, box.box)
    assert digit.confidence == pytest.approx(confidence)


def test_not_a_digit_is_rejected_even_without_a_floor() -> None:
    box = candidate(5, {1})
    answer = split(7, 0.45, 3, 0.0)
    found = resolve_once([box], answer[None], ReadingSettings(confidence=0.0))
    assert found == Resolution((), (), (box.box,))


def test_a_half_that_nobody_reads_is_not_drawn() -> None:
    half = candidate(0, {1}, primary=False)
    assert resolve_once([half], rows((NOT_A_DIGIT, 0.9)), SETTINGS) == Resolution(())


@pytest.mark.parametrize(
    ("part", "whole", "primary", "read"),
    [
        ((7, 0.995), (7, 0.999), True, "part"),
        ((7, 0.7), (7, 0.999), True, "whole"),
        ((1, 0.995), (7, 0.999), True, "whole"),
        ((7, 0.995), (7, 0.999), False, "whole"),
    ],
    ids=["a speck beside it", "unsure without it", "another digit without it", "a cut"],
)
def test_a_box_is_tight_where_a_piece_alone_is_the_same_digit(
    part: tuple[int, float], whole: tuple[int, float], primary: bool, read: str
) -> None:
    alone = replace(candidate(0, {1}, w=24, primary=primary), ink=240)
    both = replace(candidate(0, {1, 2}, w=40, primary=not primary), ink=250)
    (digit,) = resolve_once([alone, both], rows(part, whole), SETTINGS).digits
    assert (digit.digit, digit.box) == (7, alone.box if read == "part" else both.box)


def test_nothing_found_nothing_read() -> None:
    assert resolve_once([], np.zeros((0, 11), np.float32), SETTINGS) == Resolution(())


@st.composite
def rivalries(draw: st.DrawFn) -> tuple[list[Candidate], Floats]:
    """Candidates that share pieces at random, and answers of any confidence."""
    count = draw(st.integers(0, 24))
    most = draw(st.integers(1, 20))
    candidates = []
    for i in range(count):
        pieces = draw(st.sets(st.integers(1, most), min_size=1, max_size=4))
        ink = draw(st.integers(1, 500))
        box = Box(7 * i, draw(st.integers(0, 300)), 5 + i, 9 + i)
        candidates.append(Candidate(box, frozenset(pieces), draw(st.booleans()), ink))
    seed, sharpness = draw(st.integers(0, 2**32)), draw(st.sampled_from((0.5, 3.0, 9.0)))
    weights = np.exp(sharpness * np.random.default_rng(seed).normal(size=(count, CLASSES)))
    return candidates, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=200)
@given(rivalries(), st.sampled_from((0.0, 0.6, 0.95)))
def test_no_ink_is_read_twice(rivalry: tuple[list[Candidate], Floats], floor: float) -> None:
    candidates, answers = rivalry
    found = resolve_once(candidates, answers, ReadingSettings(confidence=floor))
    index = {c.box: i for i, c in enumerate(candidates)}
    pieces = [p for d in found.digits for p in candidates[index[d.box]].pieces]
    assert len(pieces) == len(set(pieces))
    assert [d.track for d in found.digits] == list(range(1, len(found.digits) + 1))
    for d in found.digits:
        answer = answers[index[d.box]]
        assert d.digit == answer.argmax()
        assert d.confidence == pytest.approx(float(answer.max()))
        assert d.confidence >= floor
    assert not {d.box for d in found.digits} & set(found.rejected)
    assert all(candidates[index[box]].primary for box in found.rejected)


def row_of(count: int, confidence: float, digit: int = 3) -> tuple[list[Candidate], list[Floats]]:
    """Marks in a row, the last one a digit for sure and the others with this confidence."""
    marks = [candidate(30 * i, {i}) for i in range(count)]
    return marks, [rows((digit, confidence)) for _ in marks[1:]] + [rows((6, 0.999))]


def test_among_letters_a_letter_that_looks_like_a_digit_is_none() -> None:
    marks, answers = row_of(9, 0.02)
    assert resolve_once(marks, np.vstack(answers), SETTINGS).digits == ()


def test_a_sure_digit_is_read_alone_and_among_digits() -> None:
    marks, answers = row_of(9, 0.95)
    assert len(resolve_once(marks, np.vstack(answers), SETTINGS).digits) == 9
    alone = resolve_once(marks[-1:], answers[-1], SETTINGS).digits
    assert [d.digit for d in alone] == [6]


def test_a_long_chain_of_rivals_is_resolved_to_the_sure_ones() -> None:
    # Ten digits that touch: the sure singles against 9 doubtful pairs.
    singles = [candidate(20 * i, {i}, primary=False) for i in range(10)]
    pairs = [candidate(20 * i, {i, i + 1}, w=40, primary=False) for i in range(9)]
    answers = rows(*[(i, 0.95) for i in range(10)], *[(0, 0.65)] * 9)
    found = resolve_once([*singles, *pairs], answers, SETTINGS)
    assert sorted((d.box.x, d.digit) for d in found.digits) == [(20 * i, i) for i in range(10)]


def test_many_sure_digits_are_read_though_each_is_worth_less_than_all_in_one() -> None:
    # Together they look like an 8, nearly for sure, with more ink than any one of them.
    singles = [candidate(20 * i, {i}, primary=False) for i in range(10)]
    pairs = [candidate(20 * i, {i, i + 1}, w=40, primary=False) for i in range(9)]
    ink = sum(c.ink for c in singles)
    together = replace(candidate(0, set(range(10)), w=200, primary=False), ink=ink)
    answers = rows(*[(i, 0.95) for i in range(10)], *[(0, 0.65)] * 9, (8, 0.9))
    found = resolve_once([*singles, *pairs, together], answers, SETTINGS)
    assert sorted((d.box.x, d.digit) for d in found.digits) == [(20 * i, i) for i in range(10)]


def test_numbered_counts_from_1_in_order() -> None:
    digits = [Digit(Box(0, 0, 1, 1), 4, 0.9, 77), Digit(Box(5, 0, 1, 1), 2, 0.8, 3)]
    assert [(d.digit, d.track) for d in numbered(digits)] == [(4, 1), (2, 2)]


def _page(digits: int, strangers: int, dark: int = 100) -> tuple[list[Candidate], Floats]:
    """A row of digits read 5 for sure, then as many marks of their size that are none."""
    marks = [
        Candidate(Box(40 * i, 0, 24, 30), frozenset((i + 1,)), True, 200, dark)
        for i in range(digits + strangers)
    ]
    return marks, np.vstack([rows((5, 0.999))] * digits + [rows((NOT_A_DIGIT, 0.9))] * strangers)


def test_digits_among_operators_are_read_and_letters_that_look_like_one_are_not() -> None:
    sums, answers = _page(6, 5)
    assert len(resolve_once(sums, answers, SETTINGS).digits) == 6
    words, answers = _page(1, 12)
    assert resolve_once(words, answers, SETTINGS).digits == ()


def test_a_streak_paler_than_the_digits_around_is_no_1() -> None:
    page, answers = _page(5, 0)
    for dark, read in ((100, True), (20, False)):
        one = Candidate(Box(400, 0, 4, 30), frozenset((99,)), True, 60, dark)
        found = resolve_once([*page, one], np.vstack([answers, rows((1, 0.99))]), SETTINGS)
        assert (one.box in [d.box for d in found.digits]) == read


def test_a_bit_of_a_stroke_inside_a_digits_box_is_no_digit() -> None:
    nine = Candidate(Box(0, 0, 60, 90), frozenset((1,)), True, 900, 100)
    bit = Candidate(Box(40, 20, 11, 20), frozenset((2,)), True, 90, 100)
    beside = Candidate(Box(70, 50, 20, 40), frozenset((3,)), True, 300, 100)
    answers = rows((9, 0.99), (1, 0.99), (2, 0.99))
    found = resolve_once([nine, bit, beside], answers, SETTINGS).digits
    assert [d.digit for d in found] == [9, 2]


def test_a_frame_around_digits_is_no_0() -> None:
    inside, answers = _page(4, 0)
    frame = Candidate(Box(-20, -20, 220, 80), frozenset((50,)), True, 900, 100)
    found = resolve_once([frame, *inside], np.vstack([rows((0, 0.99)), answers]), SETTINGS).digits
    assert [d.digit for d in found] == [5, 5, 5, 5]


def test_specks_inside_a_huge_digit_do_not_make_it_a_frame() -> None:
    huge = Candidate(Box(0, 0, 600, 1000), frozenset((50,)), True, 70_000, 100)
    specks = [
        Candidate(Box(x, 400, 8, 14), frozenset((x,)), True, 60, 100) for x in (200, 300, 400)
    ]
    answers = np.vstack([rows((6, 0.99)), *(rows((1, 0.7)) for _ in specks)])
    assert [d.digit for d in resolve_once([huge, *specks], answers, SETTINGS).digits] == [6]


def test_the_edge_of_a_thing_is_no_1() -> None:
    for sides, read in ((0.1, True), (0.9, False)):
        one = Candidate(Box(0, 0, 4, 30), frozenset((1,)), True, 60, 100, sides)
        assert bool(resolve_once([one], rows((1, 0.99)), SETTINGS).digits) == read


def test_a_leaning_1_is_asked_for_its_sides_and_no_other_wide_digit() -> None:
    for digit, sides, read in ((1, 0.1, True), (1, 0.9, False), (3, 0.9, True)):
        leaning = Candidate(Box(0, 0, 24, 30), frozenset((1,)), True, 60, 100, sides)
        assert bool(resolve_once([leaning], rows((digit, 0.99)), SETTINGS).digits) == read


def test_a_narrow_digit_that_is_no_1_may_lie_where_a_shadow_begins() -> None:
    for digit, confidence, read in ((3, 0.99, True), (3, 0.8, False), (1, 0.99, False)):
        narrow = Candidate(Box(0, 0, 11, 30), frozenset((1,)), True, 60, 100, 0.6)
        assert bool(resolve_once([narrow], rows((digit, confidence)), SETTINGS).digits) == read
