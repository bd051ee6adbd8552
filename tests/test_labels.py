"""Answers → digits: rivals resolved, votes that do not flicker, text lines in reading order."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from fakes import probabilities
from hypothesis import example, given, settings
from hypothesis import strategies as st

from live_digits.config import ReadingSettings
from live_digits.labels import Labels, Resolution, numbered, resolve_once
from live_digits.lines import reading_order, roman
from live_digits.types import CLASSES, NOT_A_DIGIT, Box, Candidate, Digit, Floats, Track

SETTINGS = ReadingSettings(confidence=0.6)


def candidate(x: int, pieces: set[int], *, w: int = 20, primary: bool = True) -> Candidate:
    """40 px high, its ink in proportion to its width."""
    return Candidate(Box(x, 50, w, 40), frozenset(pieces), primary, 10 * w)


def rows(*answers: tuple[int, float]) -> Floats:
    return np.array([probabilities(label, p) for label, p in answers], np.float32)


def split(label: int, p: float, other: int, q: float) -> Floats:
    """Two labels of these probabilities; the rest is for 'not a digit'."""
    out = np.zeros(CLASSES, np.float32)
    out[label], out[other] = p, q
    out[NOT_A_DIGIT] = 1 - p - q
    return out


# --- single pictures ---

WHOLE, LEFT, RIGHT = (
    candidate(0, {1, 2}, w=40),
    candidate(0, {1}, primary=False),
    candidate(20, {2}, primary=False),
)


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


def test_numbered_counts_from_1_in_order() -> None:
    digits = [Digit(Box(0, 0, 1, 1), 4, 0.9, 77), Digit(Box(5, 0, 1, 1), 2, 0.8, 3)]
    assert [(d.digit, d.track) for d in numbered(digits)] == [(4, 1), (2, 2)]


# --- votes ---


def track(number: int, at: int = 0) -> Track:
    return Track(number, Box(0, 50, 20, 40), at, 0)


ONE = [candidate(0, {1})]


def shown(labels: Labels, candidates: list[Candidate] = ONE) -> list[int]:
    tracks = [track(i + 1, i) for i in range(len(candidates))]
    return [d.digit for d in labels.resolve(candidates, tracks).digits]


def test_the_first_answer_is_shown_at_once() -> None:
    labels = Labels(SETTINGS)
    assert labels.resolve(ONE, [track(1)]) == Resolution((), (ONE[0].box,), ())
    labels.add(1, probabilities(7, 0.9))
    (digit,) = labels.resolve(ONE, [track(1)]).digits
    assert (digit.digit, digit.track, digit.box) == (7, 1, ONE[0].box)
    assert digit.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("first", [1, 7])
def test_two_near_answers_do_not_flicker(first: int) -> None:
    labels = Labels(ReadingSettings(confidence=0.4))
    seen = []
    for frame in range(60):
        leader = first if frame % 2 == 0 else 8 - first
        labels.add(1, split(leader, 0.52, 8 - leader, 0.46))
        seen.append(shown(labels))
    assert seen == [[first]] * 60


def test_confidence_around_the_floor_does_not_flicker() -> None:
    labels = Labels(SETTINGS)
    seen = []
    for frame in range(60):
        labels.add(1, probabilities(4, 0.7 if frame % 3 == 0 else 0.56))
        seen.append(shown(labels))
    assert seen == [[4]] * 60


def test_rivals_of_nearly_equal_worth_do_not_take_turns() -> None:
    candidates = [WHOLE, LEFT, RIGHT]
    labels = Labels(SETTINGS)
    seen = set()
    for frame in range(60):
        tilt = 0.03 if frame % 2 else -0.03
        labels.add(1, probabilities(8, 0.8 - tilt))
        labels.add(2, probabilities(7, 0.85 + tilt))
        labels.add(3, probabilities(3, 0.85 + tilt))
        seen.add(tuple(shown(labels, candidates)))
    assert len(seen) == 1


def test_a_clear_change_of_mind_is_shown_once_and_for_good() -> None:
    labels = Labels(SETTINGS)
    for _ in range(20):
        labels.add(1, probabilities(3, 0.95))
        assert shown(labels) == [3]
    seen = []
    for _ in range(20):
        labels.add(1, probabilities(8, 0.95))
        seen += shown(labels)
    changes = [a != b for a, b in pairwise(seen)]
    assert seen[-1] == 8
    assert sum(changes) == 1
    # Between, the box may lose its digit, for less than the votes that are remembered.
    assert len(seen) >= 14


def test_what_turns_out_to_be_no_digit_loses_its_label() -> None:
    labels = Labels(SETTINGS)
    labels.add(1, probabilities(1, 0.7))
    assert shown(labels) == [1]
    for _ in range(10):
        labels.add(1, probabilities(NOT_A_DIGIT, 0.95))
    assert labels.resolve(ONE, [track(1)]) == Resolution((), (), (ONE[0].box,))


def test_an_answer_is_settled_when_sure_or_heard_often() -> None:
    labels = Labels(SETTINGS)
    assert not labels.settled(1)
    labels.add(1, probabilities(7, 0.995))
    assert not labels.settled(1)
    labels.add(1, probabilities(7, 0.995))
    assert labels.settled(1)
    for count in range(1, 10):
        labels.add(2, probabilities(7, 0.8))
        assert labels.count(2) == min(count, 6)
        assert labels.settled(2) == (count >= 6)


def test_doubt_lets_a_new_answer_count_half() -> None:
    stubborn, open_minded = Labels(SETTINGS), Labels(SETTINGS)
    for labels in (stubborn, open_minded):
        for _ in range(6):
            labels.add(1, probabilities(3, 0.95))
        assert shown(labels) == [3]
    open_minded.doubt(1)
    open_minded.doubt(99)
    assert open_minded.count(1) == 1
    assert not open_minded.settled(1)
    assert shown(open_minded) == [3]
    for labels in (stubborn, open_minded):
        for _ in range(3):
            labels.add(1, probabilities(8, 0.99))
    assert shown(open_minded) == [8]
    assert shown(stubborn) != [8]


def test_tracks_that_are_not_kept_are_forgotten() -> None:
    labels = Labels(SETTINGS)
    for number in (1, 2, 3):
        labels.add(number, probabilities(number))
    labels.keep([2, 3, 4])
    assert [labels.count(n) for n in (1, 2, 3, 4)] == [0, 1, 1, 0]
    candidates = [candidate(40 * i, {i + 1}) for i in range(3)]
    found = labels.resolve(candidates, [track(i + 1, i) for i in range(3)])
    assert found.pending == (ONE[0].box,)
    assert [d.digit for d in found.digits] == [2, 3]
    labels.reset()
    assert [labels.count(n) for n in (1, 2, 3)] == [0, 0, 0]


def test_pending_is_only_what_nothing_else_explains() -> None:
    labels = Labels(SETTINGS)
    candidates = [WHOLE, LEFT, RIGHT]
    boxes = [Track(i + 1, c.box, i, 0) for i, c in enumerate(candidates)]
    assert labels.resolve(candidates, boxes).pending == (WHOLE.box,)
    labels.add(2, probabilities(7))
    found = labels.resolve(candidates, boxes)
    assert [d.box for d in found.digits] == [LEFT.box]
    assert found.pending == ()


def test_answers_handed_in_are_not_kept_by_reference() -> None:
    labels = Labels(SETTINGS)
    answer = probabilities(7)
    labels.add(1, answer)
    answer[:] = probabilities(2)
    assert shown(labels) == [7]
    labels.add(1, probabilities(7))
    assert answer.argmax() == 2


def test_the_floor_may_change_while_it_runs() -> None:
    labels = Labels(SETTINGS)
    labels.add(1, probabilities(7, 0.8))
    labels.settings = ReadingSettings(confidence=0.95)
    assert shown(labels) == []
    labels.settings = ReadingSettings(confidence=0.5)
    assert shown(labels) == [7]


# --- reading order ---


def text(*lines: str, size: int = 40, tilt: float = 0.0, jitter: int = 0) -> list[Digit]:
    """Lines of digits as a hand writes them, a space as a gap; turned by `tilt` degrees."""
    rng = np.random.default_rng(len(lines))
    turn = math.radians(tilt)
    digits: list[Digit] = []
    for row, line in enumerate(lines):
        x = 0.0
        for mark in line:
            if mark == " ":
                x += 1.3 * size
                continue
            w = round(size * (0.35 if mark == "1" else 0.65))
            cx, cy = x + w / 2, row * 1.8 * size + float(rng.integers(-jitter, jitter + 1))
            px = 500 + cx * math.cos(turn) - cy * math.sin(turn)
            py = 500 + cx * math.sin(turn) + cy * math.cos(turn)
            box = Box(round(px - w / 2), round(py - size / 2), w, size)
            digits.append(Digit(box, int(mark), 0.9, len(digits) + 1))
            x += w + 0.15 * size
    return digits


PAGES = [
    ("7",),
    ("462", "119", "753"),
    ("12 34", "56 78"),
    ("1", "1", "1"),
    ("31415926535", "2718", "161803"),
    ("10 200 3000", "4 5 6"),
    ("123 456", "7", "89 0"),
]


@pytest.mark.parametrize("tilt", [-10, -4, 0, 4, 10])
@pytest.mark.parametrize("size", [12, 40, 150])
@pytest.mark.parametrize("lines", PAGES)
def test_lines_are_read_as_written(lines: tuple[str, ...], size: int, tilt: float) -> None:
    digits = text(*lines, size=size, tilt=tilt)
    ordered, found = reading_order(digits)
    assert found == lines
    assert [d.track for d in ordered] == [d.track for d in digits]


def test_a_restless_hand_stays_on_its_line() -> None:
    lines = ("4628", "1193", "7530")
    assert reading_order(text(*lines, jitter=8))[1] == lines


def test_digits_of_different_heights_share_a_line() -> None:
    digits = text("1234")
    tall = [
        Digit(Box(d.box.x, d.box.y - 12 * (i % 2), d.box.w, d.box.h + 24 * (i % 2)), d.digit, 1, i)
        for i, d in enumerate(digits)
    ]
    assert reading_order(tall)[1] == ("1234",)


def test_columns_are_lines_with_spaces() -> None:
    left, right = text("12", "34", "56"), text("78", "90", "13")
    moved = [
        Digit(Box(d.box.x + 400, d.box.y + 3, d.box.w, d.box.h), d.digit, 1.0, 50) for d in right
    ]
    assert reading_order([*left, *moved])[1] == ("12 78", "34 90", "56 13")


def test_no_digits_no_lines() -> None:
    assert reading_order([]) == ((), ())


DIGITS = st.lists(
    st.builds(
        Digit,
        st.builds(
            Box, st.integers(0, 120), st.integers(0, 90), st.integers(1, 40), st.integers(1, 40)
        ),
        st.integers(0, 9),
        st.just(0.9),
        st.integers(1, 999),
    ),
    max_size=12,
    unique_by=lambda d: d.track,
)
GRID = [Digit(Box(20 * (i % 4), 30 * (i // 4), 12, 20), i % 10, 0.9, i) for i in range(12)]


@settings(deadline=None, max_examples=250)
@given(DIGITS, st.integers(0, 2**32))
@example(GRID, 1)
def test_the_order_of_the_input_does_not_matter(digits: list[Digit], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(digits))
    ordered, lines = reading_order([digits[i] for i in order])
    assert (ordered, lines) == reading_order(digits)
    assert sorted(d.track for d in ordered) == sorted(d.track for d in digits)
    assert "".join(lines).replace(" ", "") == "".join(str(d.digit) for d in ordered)


def _page(digits: int, strangers: int, dark: int = 100) -> tuple[list[Candidate], Floats]:
    """A row of digits read 5 at 0.9, then as many marks of their size that are none."""
    marks = [
        Candidate(Box(40 * i, 0, 24, 30), frozenset((i + 1,)), True, 200, dark)
        for i in range(digits + strangers)
    ]
    return marks, np.vstack([rows((5, 0.9))] * digits + [rows((NOT_A_DIGIT, 0.9))] * strangers)


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


def test_the_edge_of_a_thing_is_no_1() -> None:
    for sides, read in ((0.03, True), (0.4, False)):
        one = Candidate(Box(0, 0, 4, 30), frozenset((1,)), True, 60, 100, sides)
        assert bool(resolve_once([one], rows((1, 0.99)), SETTINGS).digits) == read


def numerals(*lines: str) -> list[Digit]:
    """Lines of I's and digits: an I is a bare stroke."""
    return [replace(d, box=replace(d.box, w=8)) if d.digit == 1 else d for d in text(*lines)]


def test_a_line_that_counts_in_roman_numerals_holds_no_digit() -> None:
    heading = numerals("1 11 111 1 11 111")
    table = [replace(d, box=replace(d.box, y=d.box.y + 90)) for d in numerals("42 17 11 30")]
    assert {d.track for d in roman([*heading, *table])} == {d.track for d in heading}


@pytest.mark.parametrize("line", ["1 11 1", "111 11 1", "1 11 112", "1", "111", "11 11 11"])
def test_other_lines_of_ones_are_numbers(line: str) -> None:
    assert roman(numerals(line)) == ()


def test_ones_with_flags_are_numbers() -> None:
    wide = [replace(d, box=replace(d.box, w=d.box.h // 2)) for d in text("1 11 111")]
    assert roman(wide) == ()
