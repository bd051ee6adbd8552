"""The ruled lines of the paper: found in a binary picture of ink, and taken out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.types import Image

LINE_SPAN = 0.45
"""A lone ruling is at least this long, as a share of the picture's longest side."""
_LINES_SPAN = 0.25
"""... and one of three or more parallel ones this long."""
_LYING_SPAN = 0.2
"""A lone level line this long is a ruling too: no digit is a long level line."""
_LINE_WIDTH = 7
"""Rulings are at most this wide, pixels."""
_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
_CROSSING = 13
"""A line of the other direction interrupts a ruling for fewer pixels than this."""
_INKED = 0.78
"""A run is inked along this share of its length: digits in a column are not."""
_SAG = 0.012
"""Paper bulges: a run may leave the straight by this share of its length besides the slack."""
_BRIDGE = 7
"""A stroke goes on across a ruling of fewer pixels than this."""
_PEN = 1.5
"""Ink this much darker than the line that it lies on is a pen's."""
_LINES = 3
_LINE_SLACK = 3
"""Rulings wander by this many pixels and are still one line."""
_LONG_PIECE = 0.1
"""A ruling runs free of ink for this share of the picture's longest side at least once."""
_LINE_GAP = 0.16
"""Digits on a ruling interrupt it for this share of the longest side at most."""
_STEEPEST = 0.2
"""Rulings lean by this (dy per dx) at most, ..."""
_BEND = 0.06
"""... and from one piece to the next by this."""
_OFF_LINE = (3.0, 0.03)
"""Two pieces are on one line when they meet in the middle of their gap within this many pixels,
and this share of the gap."""
_COVERED = 0.35
"""A ruling's pieces cover this share of its span."""
MOST_PIECES = 500
"""Pieces of rulings beyond this, shortest first, are not looked at."""


def rulings(mask: Image, dark: Image) -> Image:
    """The ruled lines of a picture of ink, uint8 0 or 255, empty where there are none. `mask`:
    uint8, binary ink; `dark`: its darkness.

    Thin straight runs are found by opening with a line after letting strokes touch across a few
    pixels; runs that lie on one line, across the digits that interrupt it, make a ruling. What
    spans too little of the picture is a stroke, and what is much darker than its line is a pen's.
    """
    found = np.zeros_like(mask)
    for lying in (True, False):
        ink, depth = (mask, dark) if lying else (_turned(mask), _turned(dark))
        lines = _level_lines(ink, depth, _LYING_SPAN if lying else LINE_SPAN)
        if lines is not None:
            found |= lines if lying else _turned(lines)
    return found & mask


def _turned(picture: Image) -> Image:
    return np.asarray(cv2.transpose(picture), np.uint8)


def _level_lines(mask: Image, dark: Image, alone: float) -> Image | None:
    """Rulings that run about along the rows; a lone one spans at least `alone` of the picture."""
    longest = max(mask.shape)
    broad = np.ones((_LINE_WIDTH + 1, 1), np.uint8)
    thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, broad))
    run = np.ones((1, _LINE_PIECE), np.uint8)
    loose = cv2.dilate(thin, np.ones((_LINE_SLACK, 1), np.uint8))
    loose = cv2.morphologyEx(loose, cv2.MORPH_CLOSE, np.ones((1, _CROSSING), np.uint8))
    runs = np.asarray(cv2.morphologyEx(loose, cv2.MORPH_OPEN, run), np.uint8)
    # Most pages have no rulings, and contours of a nearly empty picture cost next to nothing.
    contours, _ = cv2.findContours(runs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if max((cv2.boundingRect(c)[2] for c in contours), default=0) < _LONG_PIECE * longest:
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(runs, connectivity=8)
    pieces = _line_pieces(labels, stats, runs, thin)
    if not len(pieces.label):
        return None
    group = _on_one_line(pieces, _LINE_GAP * longest)
    long = _long_enough(pieces, group, longest, alone)
    if not long.any():
        return None
    # How dark each piece's line is; a pixel far darker than that is no part of it.
    where = np.flatnonzero(cv2.bitwise_and(thin, runs) > 0)
    owner = labels.ravel()[where]
    total = np.bincount(owner, dark.ravel()[where], len(stats))[pieces.label]
    count = np.bincount(owner, minlength=len(stats))[pieces.label]
    usual = np.bincount(group, total) / np.maximum(np.bincount(group, count), 1)
    usual = np.minimum(usual, np.median(usual[np.unique(group[long])]))
    limit = np.zeros(len(stats))
    limit[pieces.label[long]] = (_PEN * usual[group])[long]
    lines = np.zeros(mask.size, np.uint8)
    lines[where[dark.ravel()[where] < limit[owner]]] = 255
    return lines.reshape(mask.shape)


def _long_enough(
    p: _Pieces, group: npt.NDArray[np.int64], longest: int, alone: float
) -> npt.NDArray[np.bool_]:
    """Which pieces belong to a line that is a ruling."""
    count = int(group.max()) + 1
    left, right, freest = np.full(count, np.inf), np.zeros(count), np.zeros(count)
    length = p.right - p.left
    np.minimum.at(left, group, p.left)
    np.maximum.at(right, group, p.right)
    np.maximum.at(freest, group, length)
    span = np.maximum(right - left, 1)
    covered = np.bincount(group, length, count) >= _COVERED * span
    straight = (freest >= _LONG_PIECE * longest) & covered
    long = straight & (span >= _LINES_SPAN * longest)
    if np.count_nonzero(long) < _LINES:
        long = straight & (span >= alone * longest)
    return np.asarray(long[group], np.bool_)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Straight runs: label, columns from `left` to `right`, and the line y = at + lean × x."""

    label: npt.NDArray[np.int64]
    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    at: npt.NDArray[np.float64]
    lean: npt.NDArray[np.float64]


def _line_pieces(
    labels: npt.NDArray[Any], stats: npt.NDArray[Any], runs: Image, thin: Any
) -> _Pieces:
    """The components that are straight, nearly level and inked nearly all along, at most
    `MOST_PIECES`, longest first."""
    wide = stats[:, cv2.CC_STAT_WIDTH].astype(np.float64)
    ys, xs = np.nonzero(runs > 0)
    owner = labels[ys, xs]
    n = np.maximum(np.bincount(owner, minlength=len(stats)), 1)
    mx, my = (np.bincount(owner, v, len(stats)) / n for v in (xs, ys))
    dx, dy = xs - mx[owner], ys - my[owner]
    spread = np.maximum(np.bincount(owner, dx * dx, len(stats)), 1e-9)
    lean = np.bincount(owner, dx * dy, len(stats)) / spread
    off = np.sqrt(np.bincount(owner, (dy - lean[owner] * dx) ** 2, len(stats)) / n)
    good = (np.abs(lean) <= _STEEPEST) & (off <= _LINE_SLACK + _SAG * wide)
    good[0] = False
    inked = np.zeros((len(stats), labels.shape[1]), bool)
    there = thin[ys, xs] > 0
    inked[owner[there], xs[there]] = True
    good &= inked.sum(axis=1) >= _INKED * wide
    chosen = np.flatnonzero(good)
    chosen = chosen[np.argsort(-wide[chosen], kind="stable")][:MOST_PIECES]
    left = stats[chosen, cv2.CC_STAT_LEFT].astype(np.float64)
    at = my[chosen] - lean[chosen] * mx[chosen]
    return _Pieces(chosen, left, left + wide[chosen], at, lean[chosen])


def _on_one_line(p: _Pieces, most_gap: float) -> npt.NDArray[np.int64]:
    """The number of the line of each piece: pieces that continue one another share it."""
    gap = p.left[None] - p.right[:, None]
    middle = (p.left[None] + p.right[:, None]) / 2
    off = (p.at[None] + p.lean[None] * middle) - (p.at[:, None] + p.lean[:, None] * middle)
    near = (gap <= most_gap) & (gap > -_LINE_PIECE)
    bent = np.abs(p.lean[None] - p.lean[:, None]) > _BEND
    linked = near & ~bent & (np.abs(off) <= _OFF_LINE[0] + _OFF_LINE[1] * np.maximum(gap, 0))
    linked |= linked.T
    np.fill_diagonal(linked, True)
    line = np.arange(len(p.label))
    while True:
        lowest = np.where(linked, line[None], len(line)).min(axis=1)
        if (lowest == line).all():
            return np.unique(line, return_inverse=True)[1]
        line = lowest


def healed(mask: Image, lines: Image) -> Image:
    """The ink whose rulings were taken out, strokes that cross a ruling whole again."""
    whole = np.asarray(mask)
    for shape in ((_BRIDGE, 1), (1, _BRIDGE)):
        bridge = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
        whole = whole | (np.asarray(bridge, np.uint8) & lines)
    return np.asarray(whole, np.uint8)
