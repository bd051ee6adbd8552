"""Text lines in reading order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from live_digits.core.geometry import Box
from live_digits.core.types import Digit
from live_digits.reading.text_lines import reading_order


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
