"""What is ink and what is paper: a picture in any light → darkness of ink on an even ground.

The ground is estimated by a grey closing (ink is thinner than the closing's window) and divided
out, which takes shadow, vignetting and coloured paper with it; the rest is stretched so that the
picture's own ink, pencil or marker, is about equally dark everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.types import Image

INK = 200
"""Darkness that the picture's typical ink is stretched to (0 paper … 255)."""
_REDUCE = 8
"""The ground is estimated on a picture this much smaller."""
_WINDOW = 15
"""Window of the closing on the reduced picture; strokes to about _REDUCE × _WINDOW px survive."""
_DARKEST = 24
"""Grounds darker than this are taken as this: noise there must not become ink."""
_PAPER = 90
"""The percentile of the ground that counts as the picture's paper."""
_DESK = 0.42
"""Ground darker than this share of the paper is desk."""
_NOISES = 4.5
"""Darkness is ink from this many standard deviations of the paper's grain."""
_LEAST = 7.0
"""Ink is at least this much darker than paper, of 255."""
_TILE = 32
_TILE_PEAK = 8
"""A tile's darkness is that of its pixel of this rank: fewer are grain."""
_LEVEL = 50
"""The percentile of the inked tiles' darkness that counts as the picture's ink."""
_GAIN = 9.0
"""Paler ink is stretched by this at most."""
_SAMPLE = 3
"""Statistics look at every third pixel of every third row."""

_POLARITY_SIDE = 160
_DARK_GROUND = 110
_LIGHT_SHARE = 0.3
_LIGHT_STEP = 40
_THIN_SHARE = 7
"""Light strokes are thinner than the picture's longest side divided by this."""

LINE_SPAN = 0.45
"""A lone ruling is at least this long, as a share of the picture's longest side."""
_LINES_SPAN = 0.25
"""... and one of three or more parallel ones this long."""
_LYING_SPAN = 0.2
"""A lone level line this long is a ruling too: no digit is a long level line."""
_LINE_WIDTH = 6
"""Rulings are at most this wide, pixels."""
_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
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


def light_on_dark(grey: Image) -> bool:
    """True for chalk, or white on a black canvas: what is light is thin and lies on a dark ground.

    A light sheet on a dark desk is not thin: it outlives an opening by the window.
    """
    h, w = grey.shape
    scale = min(1.0, _POLARITY_SIDE / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    if float(np.median(small)) > _DARK_GROUND:
        return False
    _, light = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    area = cv2.countNonZero(light)
    if area == 0 or area > _LIGHT_SHARE * small.size:
        return False
    if float(small[light > 0].mean()) - float(small[light == 0].mean()) < _LIGHT_STEP:
        return False
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    window = np.ones((round(max(size) / _THIN_SHARE),) * 2, np.uint8)
    broad = cv2.morphologyEx(closed, cv2.MORPH_OPEN, window)
    return cv2.countNonZero(broad) < 0.15 * area


def ground(grey: Image) -> Image:
    """The paper without its ink, uint8, the size of `grey`."""
    h, w = grey.shape
    size = max(1, w // _REDUCE), max(1, h // _REDUCE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    calm = cv2.medianBlur(closed, 5)
    return np.asarray(cv2.resize(calm, (w, h), interpolation=cv2.INTER_LINEAR), np.uint8)


def darkness(grey: Image) -> Image:
    """uint8 grey → uint8 darkness against the ground: 0 is paper, the picture's ink is ~`INK`.

    Ground far darker than the picture's paper is desk: its grain is not enlarged, and it has no
    part in what the paper's grain and ink are found to be.
    """
    paper = ground(grey)
    lightest = int(np.percentile(paper[::_REDUCE, ::_REDUCE], _PAPER))
    desk = max(_DARKEST, round(_DESK * lightest))
    missing = cv2.subtract(paper, grey)
    dark = np.asarray(cv2.divide(missing, cv2.max(paper, float(desk)), scale=255.0), np.uint8)
    sampled = dark[::_SAMPLE, ::_SAMPLE]
    sample = sampled[paper[::_SAMPLE, ::_SAMPLE] >= desk]
    counts = np.bincount(sample, minlength=256)
    below = np.cumsum(counts) / sample.size
    q1, middle, q3 = (int(np.searchsorted(below, q)) for q in (0.25, 0.5, 0.75))
    grain = max((q3 - q1) / 1.35, 0.7)
    floor = middle + max(_LEAST, _NOISES * grain)
    level = _ink_level(np.where(paper >= desk, dark, 0).astype(np.uint8), floor)
    gain = min(_GAIN, INK / max(1.0, level - middle), 0.30 * INK / (_NOISES * 0.6 * grain))
    table = np.clip((np.arange(256) - middle) * max(gain, 0.5), 0, 255)
    return np.asarray(cv2.LUT(dark, np.rint(table).astype(np.uint8)), np.uint8)


def _ink_level(dark: Image, floor: float) -> float:
    """The ink's darkness: the middle of the tiles' darkest, of tiles that hold ink at all. Tiles
    count alike, so that a thick dark edge does not outvote a page of thin digits."""
    h, w = dark.shape
    rows, columns = max(1, h // _TILE), max(1, w // _TILE)
    side_y, side_x = h // rows, w // columns
    tiles = dark[: rows * side_y, : columns * side_x].reshape(rows, side_y, columns, side_x)
    peaks = (
        np.partition(
            tiles.transpose(0, 2, 1, 3).reshape(rows * columns, -1)[:, ::2], -_TILE_PEAK, axis=1
        )[:, -_TILE_PEAK]
        if side_y * side_x > 4 * _TILE_PEAK
        else tiles.max(axis=(1, 3)).ravel()
    )
    inked = peaks[peaks > floor]
    return float(np.percentile(inked, _LEVEL)) if inked.size else floor


def rulings(mask: Image) -> Image:
    """The ruled lines in a binary picture of ink: uint8 0 or 255, empty where there are none.

    Thin straight runs are found by opening with a line after letting strokes touch across a few
    pixels; runs that lie on one line, across the digits that interrupt it, make a ruling. What
    spans too little of the picture is a stroke.
    """
    found = np.zeros_like(mask)
    for lying in (True, False):
        picture = mask if lying else np.asarray(cv2.transpose(mask), np.uint8)
        lines = _level_lines(picture, _LYING_SPAN if lying else LINE_SPAN)
        if lines is not None:
            found |= lines if lying else np.asarray(cv2.transpose(lines), np.uint8)
    return found & mask


def _level_lines(mask: Image, alone: float) -> Image | None:
    """Rulings that run about along the rows; a lone one spans at least `alone` of the picture."""
    longest = max(mask.shape)
    broad = np.ones((_LINE_WIDTH + 1, 1), np.uint8)
    thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, broad))
    run = np.ones((1, _LINE_PIECE), np.uint8)
    loose = cv2.dilate(thin, np.ones((_LINE_SLACK, 1), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        cv2.morphologyEx(loose, cv2.MORPH_OPEN, run), connectivity=8
    )
    pieces = _line_pieces(labels, stats)
    if not len(pieces.label):
        return None
    group = _on_one_line(pieces, _LINE_GAP * longest)
    count = int(group.max()) + 1
    left, right = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(left, group, pieces.left)
    np.maximum.at(right, group, pieces.right)
    length = pieces.right - pieces.left
    freest = np.zeros(count)
    np.maximum.at(freest, group, length)
    span = np.maximum(right - left, 1)
    straight = (freest >= _LONG_PIECE * longest) & (
        np.bincount(group, length, count) >= _COVERED * span
    )
    long = straight & (span >= _LINES_SPAN * longest)
    if np.count_nonzero(long) < _LINES:
        long = straight & (span >= alone * longest)
    if not long.any():
        return None
    table = np.zeros(len(stats), np.uint8)
    table[pieces.label[long[group]]] = 255
    return table[labels]


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Straight runs: label, columns from `left` to `right`, and the line y = at + lean × x."""

    label: npt.NDArray[np.int64]
    left: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]
    at: npt.NDArray[np.float64]
    lean: npt.NDArray[np.float64]


def _line_pieces(labels: npt.NDArray[Any], stats: npt.NDArray[Any]) -> _Pieces:
    """The components that are straight and nearly level, at most `MOST_PIECES`, longest first."""
    wide = stats[:, cv2.CC_STAT_WIDTH].astype(np.float64)
    ys, xs = np.nonzero(labels)
    owner = labels[ys, xs]
    n = np.maximum(np.bincount(owner, minlength=len(stats)), 1)
    mx, my = (np.bincount(owner, v, len(stats)) / n for v in (xs, ys))
    dx, dy = xs - mx[owner], ys - my[owner]
    spread = np.maximum(np.bincount(owner, dx * dx, len(stats)), 1e-9)
    lean = np.bincount(owner, dx * dy, len(stats)) / spread
    off = np.sqrt(np.bincount(owner, (dy - lean[owner] * dx) ** 2, len(stats)) / n)
    good = (np.abs(lean) <= _STEEPEST) & (off <= _LINE_SLACK)
    good[0] = False
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


def without_rulings(mask: Image, lines: Image) -> Image:
    """The ink without its rulings; a stroke that crosses a ruling stays whole."""
    rest = mask & ~lines
    healed = np.asarray(rest)
    for shape in ((7, 1), (1, 7)):
        bridge = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
        healed = healed | (np.asarray(bridge, np.uint8) & lines)
    return np.asarray(healed, np.uint8)
