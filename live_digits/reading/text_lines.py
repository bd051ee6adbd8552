"""Digits → reading order and text lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from live_digits.core.types import Digit

_SAME_LINE = 0.5
"""Digits are on one line when they overlap vertically by this share of the lower one's height."""
_WORD_GAP = 1.5
"""A gap starts a new number from this many median heights, or from ..."""
_WORD_RATIO = 1.8
"""... this many times the line's median gap, whichever is larger."""


def reading_order(digits: Sequence[Digit]) -> tuple[tuple[Digit, ...], tuple[str, ...]]:
    """Digits in reading order and the text lines they form, top to bottom; a wide gap in a line
    becomes a space. Lines may be tilted: neighbours are chained, not binned. The order in which the
    digits are handed in does not matter."""
    return _read(_lines(sorted(digits, key=_place)))


def _read(lines: Sequence[list[Digit]]) -> tuple[tuple[Digit, ...], tuple[str, ...]]:
    return tuple(d for line in lines for d in line), tuple(_text(line) for line in lines)


def _place(d: Digit) -> tuple[int, ...]:
    return (*d.box.as_list(), d.digit, d.track)


def _lines(digits: list[Digit]) -> list[list[Digit]]:
    """Chains of neighbours: each digit, from left to right as they come, goes to the line whose
    nearest digit lies level with it."""
    if not digits:
        return []
    slope = _slope(digits)
    lines: list[list[Digit]] = []
    ends: list[tuple[float, float, int]] = []  # of each line's last digit: centre and height
    for d in digits:
        (x, y), h = d.box.centre, d.box.h
        best: tuple[float, int] | None = None
        for i, (last_x, last_y, last_h) in enumerate(ends):
            off = abs(y - last_y - slope * (x - last_x))
            level = min(h, last_h) * (1 - _SAME_LINE) + abs(h - last_h) / 2
            if off < level and (best is None or off < best[0]):
                best = off, i
        if best:
            lines[best[1]].append(d)
            ends[best[1]] = x, y, h
        else:
            lines.append([d])
            ends.append((x, y, h))
    middle = float(np.mean([d.box.centre[0] for d in digits]))

    def height(line: list[Digit]) -> float:
        return float(np.mean([d.box.centre[1] - slope * (d.box.centre[0] - middle) for d in line]))

    return sorted(lines, key=height)


_STEEPEST = 0.8


def _slope(digits: Sequence[Digit]) -> float:
    """How the lines run: the median slope from each digit to its nearest neighbour to the right."""
    x, y = np.array([d.box.centre for d in digits], np.float64).T
    high = np.array([d.box.h for d in digits], np.float64)
    dx, dy = x - x[:, None], y - y[:, None]
    off = np.abs(dy)
    near = (dx > 0.2 * np.minimum(high, high[:, None])) & (off <= _STEEPEST * dx)
    near &= dx <= 3 * high[:, None]
    rows = np.flatnonzero(near.any(axis=1))
    best = np.where(near, dx + 2 * off, np.inf)[rows].argmin(axis=1)
    return float(np.median(dy[rows, best] / dx[rows, best])) if len(rows) else 0.0


def _text(line: Sequence[Digit]) -> str:
    """The line's digits, a space where the gap says that a number ends."""
    gaps = [b.box.x - a.box.right for a, b in pairwise(line)]
    height = float(np.median([d.box.h for d in line]))
    usual = max(float(np.median(gaps)) if len(gaps) > 2 else 0.0, 0.12 * height)
    wide = max(_WORD_GAP * height * 0.6, _WORD_RATIO * usual)
    text = str(line[0].digit)
    for gap, d in zip(gaps, line[1:], strict=True):
        text += (" " if gap > wide else "") + str(d.digit)
    return text
