"""The ruled lines of the paper: found in a binary picture of ink, and taken out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import Doubles, Image
from live_digits.vision.image_ops import downsample_2x, threshold_mask
from live_digits.vision.line_detection import (
    LINES,
    CollinearGroups,
    LineCriteria,
    LineSegments,
    estimate_skew,
    find_level_lines,
    shear,
)

_LINE_WIDTH = 7
"""Rulings are at most this wide, pixels."""
_ACROSS = 16
"""What is so high, pixels, may be a line that crosses."""
_KNOWN = 0.7
"""A broad line of which this share is among the narrow ones is one of them."""
_BRIDGE = 7
"""A stroke goes on across a ruling of fewer pixels than this."""
_BROADEST = 19
"""... and across a broad one of fewer than this."""
_PEN = 1.5
"""Ink this much darker than the line that it lies on is a pen's."""
_ALONE = 70
"""A pixel counts where its 3×3 neighbourhood is ink to more than this, of 255: three pixels."""
_RIM = 3
"""The window, pixels, that adds a ruling's soft rims to it."""
_HALF = 127
"""A pixel of the halved mask is ink where two of its four are."""
_ALIKE = 0.7
"""Rulings are of one kind from this share of each other's darkness."""
_MIDDLE, _MIDDLE_RUN = 3, 15
"""What has ruling above and below it, is thinner than this and runs on for so long, pixels, is
ruling."""
_REACH = 0.3
"""A ruling goes on beyond its pieces for this share of the longest side, ..."""
_SWATH = 2
"""... within a path that is so many pixels broader than itself."""
_BROADER, _SMOOTH = 0.25, 41
"""A line is as broad as all but this share of its columns; where it is no broader its path is
taken, and smoothed over so many pixels."""
_ROOM = 1.5
"""Ink farther from the path than half of the breadth and so many pixels is no part of the line."""
_TRACE, _GAPS, _TRACED = 5, 31, 60
"""On half the picture, where one pixel in four is ink: runs of a ruling from this length tell
where it goes on, across gaps shorter than this."""


@dataclass(frozen=True, slots=True)
class RuledLines:
    """The ink of ruled lines, uint8 H×W, 0 or 255: all of it, and that of the `broad` ones."""

    lines: Image
    broad: Image


_LYING = LineCriteria(0.1, 0.25, 0.2, 1, 0.78, _ACROSS)
"""No digit is a long level line; ..."""
_UPRIGHT = replace(_LYING, alone=0.45)
"""... upright, a few 1s below each other are."""
_BROAD_LYING = LineCriteria(0.15, 0.25, 0.5, 3, 0.8, _ACROSS // 2)
"""On the picture at half its size. The strokes of small digits in a row are thinner there; the bars
of a few large ones span less."""
_BROAD_UPRIGHT = replace(_BROAD_LYING, alone=0.6)


def detect_ruled_lines(mask: Image, dark: Image) -> RuledLines:
    """The ruled lines of a picture of ink, all 0 where there are none. `mask`: uint8, binary ink;
    `dark`: its darkness.

    Thin straight runs are found by opening with a line after letting strokes touch across a few
    pixels; runs that lie on one line, across the digits that interrupt it, make a ruling. What
    spans too little of the picture is a stroke, and what is much darker than its line is a pen's.
    The same on half the picture finds lines that are too broad for it.
    """
    narrow = _of_one_scale(mask, dark, _LYING, _UPRIGHT)
    known = threshold_mask(downsample_2x(narrow), _HALF)
    small = threshold_mask(downsample_2x(mask), _HALF)
    wide = _of_one_scale(small, downsample_2x(dark), _BROAD_LYING, _BROAD_UPRIGHT, known)
    if not wide.any():
        return RuledLines(narrow, np.zeros_like(mask))
    whole = _whole(wide, mask)
    broad = np.asarray(cv2.dilate(whole, np.ones((_RIM, _RIM), np.uint8)), np.uint8) & mask
    return RuledLines(narrow | broad, broad)


def _whole(half: npt.NDArray[Any], picture: Image) -> Image:
    """A binary picture of half the size at that of the `picture`."""
    size = picture.shape[1], picture.shape[0]
    return np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _of_one_scale(
    mask: Image, dark: Image, lying: LineCriteria, upright: LineCriteria, known: Image | None = None
) -> Image:
    """The rulings of at most `_LINE_WIDTH` pixels that are not `known`."""
    calm = _calm(mask)
    found = _slanted_lines(calm, dark, lying, known)
    other = None if known is None else _transpose(known)
    found |= _transpose(_slanted_lines(_transpose(calm), _transpose(dark), upright, other))
    return found & mask


def _slanted_lines(ink: Image, dark: Image, limits: LineCriteria, known: Image | None) -> Image:
    """Rulings of the lean that is most frequent among what is thin from top to bottom."""
    thin = np.asarray(cv2.subtract(ink, _opened(ink, _LINE_WIDTH + 1)), np.uint8)
    thin = _opened(thin, limits.thinnest)
    lean, (rows, columns) = estimate_skew(thin), ink.shape
    room = rows + 2 * (int(np.ceil(abs(lean) * columns / 2)) + 1) if lean else rows
    across = _opened(ink, limits.across)
    thin, across = shear(thin, lean, room), shear(across, lean, room)
    level = find_level_lines(thin, across, limits, max(ink.shape))
    if level is not None and known is not None:
        level = _drop_known_lines(level, thin, shear(known, lean, room))
    if level is None:
        return np.zeros_like(ink)
    return shear(_ink_of(level, thin, shear(dark, lean, room)), -lean, rows)


def _drop_known_lines(level: CollinearGroups, thin: Image, known: Image) -> CollinearGroups | None:
    """The same without the lines that are `known`, but for what strokes add to them; None where
    there are no others."""
    at, seen = level.runs.at, thin.ravel()[level.runs.at] > 0
    of_piece, known_of_piece = (
        level.runs.total(there)[level.pieces.label]
        for there in (seen, seen & (known.ravel()[at] > 0))
    )
    ink, theirs = (np.bincount(level.line, count) for count in (of_piece, known_of_piece))
    long = level.long & (theirs < _KNOWN * np.maximum(ink, 1))[level.line]
    return replace(level, long=long) if long.any() else None


def _opened(ink: Image, high: int) -> Image:
    """Only what is so many pixels high."""
    return np.asarray(cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((high, 1), np.uint8)), np.uint8)


def line_halos(lines: Image, mask: Image, dark: Image) -> Image:
    """The soft rims of rulings, uint8 0 or 255: what was too pale for the `mask` of ink, touches
    a line and is no darker than it. Once the lines are gone it would be the darkest ink."""
    window = np.ones((_RIM, _RIM), np.uint8)
    level = np.asarray(cv2.dilate(cv2.bitwise_and(dark, lines), window), np.uint8)
    paler = cv2.compare(dark, level, cv2.CMP_LE)
    beside = cv2.bitwise_and(paler, threshold_mask(level, 0))
    return np.asarray(cv2.bitwise_and(beside, cv2.bitwise_not(mask)), np.uint8)


def _calm(mask: Image) -> Image:
    """The mask without lone pixels: grain lets lines grow together with what lies beside them."""
    company = threshold_mask(np.asarray(cv2.blur(mask, (3, 3)), np.uint8), _ALONE)
    return np.asarray(cv2.bitwise_and(mask, company), np.uint8)


def _transpose(picture: Image) -> Image:
    return np.asarray(cv2.transpose(picture), np.uint8)


def _ink_of(level: CollinearGroups, thin: Image, dark: Image) -> Image:
    """The ink of level rulings, uint8 0 or 255."""
    lines = np.zeros_like(thin)
    found, pieces, group, long = level.runs, level.pieces, level.line, level.long
    # How dark each piece's line is; a pixel far darker than that is no part of it.
    inked = (thin.ravel()[found.at] > 0) & found.spread(np.isin(range(found.count), pieces.label))
    where, owner = found.at[inked], found.spread(np.arange(found.count))[inked]
    depth = dark.ravel()[where]
    total = np.bincount(owner, depth, found.count)[pieces.label]
    count = np.bincount(owner, minlength=found.count)[pieces.label]
    usual = np.bincount(group, total) / np.maximum(np.bincount(group, count), 1)
    usual = np.minimum(usual, _line_darkness_limit(usual, np.unique(group[long])))
    limit, number = np.zeros(found.count), np.zeros(found.count, np.int64)
    limit[pieces.label[long]] = (_PEN * usual[group])[long]
    number[pieces.label[long]] = np.unique(group[long], return_inverse=True)[1]
    paler = depth < limit[owner]
    where, line = where[paler], number[owner[paler]]
    lines.ravel()[where[_on_path(where, line, thin.shape[1])]] = 255
    length = np.bincount(group, pieces.right - pieces.left)
    broad = np.bincount(group, count) / np.maximum(length, 1)
    lines |= _extend_lines(pieces.of(long), group[long], broad, _PEN * usual, thin, dark)
    # Its middle may be darker than that; no pen's stroke runs on between its rims.
    whole = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, np.ones((_MIDDLE, 1), np.uint8))
    between = cv2.bitwise_and(thin, cv2.subtract(whole, lines))
    between = cv2.morphologyEx(between, cv2.MORPH_OPEN, np.ones((1, _MIDDLE_RUN), np.uint8))
    return lines | np.asarray(between, np.uint8)


def _on_path(
    where: npt.NDArray[np.intp], line: npt.NDArray[np.int64], columns: int
) -> npt.NDArray[np.bool_]:
    """Which pixels (flat indices) of each `line` keep to its path: digits in a row, as pale as the
    ruling that they stand on, grow together with it."""
    if not where.size:
        return np.zeros(0, np.bool_)
    y, x = np.divmod(where, columns)
    at, shape = line * columns + x, (int(line.max()) + 1, columns)
    top, low = np.full(shape, np.iinfo(np.int64).max), np.full(shape, -1)
    np.minimum.at(top.ravel(), at, y)
    np.maximum.at(low.ravel(), at, y)
    count = np.bincount(at, minlength=top.size).reshape(shape)
    middle = np.bincount(at, y, top.size).reshape(shape) / np.maximum(count, 1)
    span = np.where(count > 0, low - top + 1, 0)
    rank = columns - 1 - (_BROADER * np.count_nonzero(count, axis=1)).astype(np.intp)
    ordered = np.sort(span.astype(np.int16), axis=1, kind="stable")  # counts: faster
    breadth = np.take_along_axis(ordered, rank[:, None], axis=1)
    clean = ((count > 0) & (span <= breadth + 1)).astype(np.float64)
    path = _path(middle, clean, breadth / 2 + 1)
    room = breadth.ravel()[line] / 2 + _ROOM
    return np.asarray(np.abs(y - path.ravel()[at]) <= room, np.bool_)


def _path(middle: Doubles, clean: Doubles, most: Doubles) -> Doubles:
    """Where each line runs, rows × columns: straight lines through the `clean` columns, and what
    these differ from them, smoothed; once more without those that are farther off than `most`."""
    x = np.arange(middle.shape[1])
    count = np.maximum(clean.sum(axis=1, keepdims=True), 1)
    dx = x - (clean * x).sum(axis=1, keepdims=True) / count
    mean = (clean * middle).sum(axis=1, keepdims=True) / count
    across = np.maximum((clean * dx * dx).sum(axis=1, keepdims=True), 1)
    straight = mean + (clean * dx * (middle - mean)).sum(axis=1, keepdims=True) / across * dx
    off = middle - straight
    near = np.abs(off - _smoothed(off, clean)) <= most
    return np.asarray(straight + _smoothed(off, clean * near), np.float64)


def _smoothed(rows: Doubles, weight: Doubles) -> Doubles:
    """Each row's weighted mean around each column; 0 where no weight is near."""
    total, count = (
        cv2.blur(cv2.blur(v, (_SMOOTH, 1)), (_SMOOTH, 1)) for v in (weight * rows, weight)
    )
    return np.asarray(total / np.maximum(count, 1e-6), np.float64)


def _extend_lines(
    p: LineSegments,
    group: npt.NDArray[np.int64],
    broad: Doubles,
    limit: Doubles,
    thin: Image,
    dark: Image,
) -> Image:
    """What goes on along the lines of these pieces, between them and beyond, in bits too short to
    be pieces: inside the line's path, and no darker than its `limit`. `broad`: each line's breadth,
    pixels."""
    reach, path = _REACH * max(thin.shape), np.zeros_like(thin)
    for line in np.unique(group):
        mine = np.flatnonzero(group == line)
        mine = mine[np.argsort(p.left[mine])]
        xs = np.stack([p.left[mine], p.right[mine]], axis=1)
        xs[0, 0] -= reach
        xs[-1, 1] += reach
        ys = p.at[mine, None] + p.lean[mine, None] * xs
        points = np.rint(np.stack([xs, ys], axis=-1)).astype(np.int32).reshape(-1, 2)
        level = min(255, int(limit[line]))
        cv2.polylines(path, [points], False, level, round(broad[line]) + _SWATH)
    elsewhere = cv2.bitwise_and(thin, cv2.bitwise_not(threshold_mask(path, 0)))
    leaving = cv2.dilate(elsewhere, np.ones((2 * _LINE_WIDTH + 1, 1), np.uint8))
    paler = cv2.bitwise_and(thin, cv2.compare(dark, path, cv2.CMP_LT))
    return np.asarray(cv2.bitwise_and(paler, cv2.bitwise_not(leaving)), np.uint8)


def _line_darkness_limit(usual: Doubles, rulings: npt.NDArray[np.int64]) -> Doubles:
    """How dark each line may be at most, by the darkness of all: as dark as the middle one of the
    `rulings`, or as itself where several are alike, such as a table's on ruled paper. A line that
    is darker alone has a pen's ink on it."""
    own = usual[rulings]
    alike = (own[None] >= _ALIKE * usual[:, None]) & (own[None] * _ALIKE <= usual[:, None])
    return np.where(alike.sum(axis=1) >= LINES, usual, np.median(own))


def line_paths_and_crossings(lines: Image) -> tuple[Image, Image]:
    """Where rulings run, their ink and the gaps that digits leave in them, and where they cross:
    uint8 0 or 255 each."""
    small = threshold_mask(downsample_2x(lines), _TRACED)
    lying, upright = (
        cv2.morphologyEx(
            cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones(run, np.uint8)),
            cv2.MORPH_CLOSE, np.ones(gap, np.uint8),
        )
        for run, gap in (((1, _TRACE), (1, _GAPS)), ((_TRACE, 1), (_GAPS, 1)))
    )  # fmt: skip
    run = _whole(cv2.bitwise_or(lying, upright), lines)
    cross = _whole(cv2.bitwise_and(lying, upright), lines)
    return run | lines, np.asarray(cv2.dilate(cross, np.ones((_RIM, _RIM), np.uint8)), np.uint8)


def bridge_line_gaps(mask: Image, ruled: RuledLines) -> Image:
    """The ink whose rulings were taken out, strokes that cross a ruling whole again."""
    whole = mask
    for lines, across in ((ruled.lines, _BRIDGE), (ruled.broad, _BROADEST)):
        if not lines.any():
            continue
        for shape in ((across, 1), (1, across)):
            bridge = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
            whole = whole | (np.asarray(bridge, np.uint8) & lines)
    return whole
