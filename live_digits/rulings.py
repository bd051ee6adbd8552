"""The ruled lines of the paper: found in a binary picture of ink, and taken out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.pixels import above, halved
from live_digits.regions import Ints, Regions, regions
from live_digits.types import Image

Doubles = npt.NDArray[np.float64]

_LINE_WIDTH = 7
"""Rulings are at most this wide, pixels."""
_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
_CROSSING = 13
"""A line of the other direction interrupts a ruling for fewer pixels than this."""
_SAG = 0.012
"""Paper bulges: a run may leave the straight by this share of its length besides the slack."""
_BRIDGE = 7
"""A stroke goes on across a ruling of fewer pixels than this."""
_BROADEST = 19
"""... and across a broad one of fewer than this."""
_PEN = 1.5
"""Ink this much darker than the line that it lies on is a pen's."""
_LINES = 3
_LINE_SLACK = 3
"""Rulings wander by this many pixels and are still one line."""
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
_ALONE = 70
"""A pixel counts where its 3×3 neighbourhood is ink to more than this, of 255: three pixels."""
_RIM = 3
"""The window, pixels, that adds a ruling's soft rims to it."""
_TILT = 0.3
"""A sheet is turned so far (dy per dx) that its rulings lean by this at most."""
_STRIP = 16
"""The lean of the rulings is measured between strips of this width, pixels."""
_FARTHEST = 4
"""... up to this many strips apart."""
_LEVEL = 0.03
"""Rulings that lean by less are level enough."""
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
"""On half the picture, where one pixel in four are ink: runs of a ruling from this length tell
where it goes on, across gaps shorter than this."""
MOST_PIECES = 500
"""Pieces of rulings beyond this, shortest first, are not looked at."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """The ink of ruled lines, uint8 H×W, 0 or 255: all of it, and that of the `broad` ones."""

    lines: Image
    broad: Image


@dataclass(frozen=True, slots=True)
class _Limits:
    """What makes a straight line a ruling. In shares of the picture's longest side: it is free of
    ink for `freest` of it at least once, and spans so much where `several` are parallel, or
    `alone`. It is `thinnest` pixels wide at least, and its runs are inked along the share `inked`:
    digits in a row or a column are not."""

    freest: float
    several: float
    alone: float
    thinnest: int
    inked: float


_LYING = _Limits(0.1, 0.25, 0.2, 1, 0.78)
"""No digit is a long level line; ..."""
_UPRIGHT = replace(_LYING, alone=0.45)
"""... upright, a few 1s below each other are."""
_BROAD_LYING = _Limits(0.15, 0.25, 0.5, 3, 0.8)
"""On the picture at half its size. The strokes of small digits in a row are thinner there; the bars
of a few large ones span less."""
_BROAD_UPRIGHT = replace(_BROAD_LYING, alone=0.6)


def rulings(mask: Image, dark: Image) -> Ruled:
    """The ruled lines of a picture of ink, all 0 where there are none. `mask`: uint8, binary ink;
    `dark`: its darkness.

    Thin straight runs are found by opening with a line after letting strokes touch across a few
    pixels; runs that lie on one line, across the digits that interrupt it, make a ruling. What
    spans too little of the picture is a stroke, and what is much darker than its line is a pen's.
    The same on half the picture finds lines that are too broad for it.
    """
    narrow = _of_one_scale(mask, dark, _LYING, _UPRIGHT)
    small = above(halved(mask), _HALF)
    wide = _of_one_scale(small, halved(dark), _BROAD_LYING, _BROAD_UPRIGHT)
    if not wide.any():
        return Ruled(narrow, np.zeros_like(mask))
    h, w = mask.shape
    whole = cv2.resize(wide, (w, h), interpolation=cv2.INTER_NEAREST)
    broad = np.asarray(cv2.dilate(whole, np.ones((_RIM, _RIM), np.uint8)), np.uint8) & mask
    return Ruled(narrow | broad, broad)


def _of_one_scale(mask: Image, dark: Image, lying: _Limits, upright: _Limits) -> Image:
    """The rulings of at most `_LINE_WIDTH` pixels."""
    calm = _calm(mask)
    found = _leaning_lines(calm, dark, lying)
    found |= _turned(_leaning_lines(_turned(calm), _turned(dark), upright))
    return found & mask


def _leaning_lines(ink: Image, dark: Image, limits: _Limits) -> Image:
    """Rulings of the lean that is most frequent among what is thin from top to bottom."""
    thin = np.asarray(cv2.subtract(ink, _opened(ink, _LINE_WIDTH + 1)), np.uint8)
    thin = _opened(thin, limits.thinnest)
    lean, (rows, columns) = _lean(thin), ink.shape
    room = rows + 2 * (int(np.ceil(abs(lean) * columns / 2)) + 1) if lean else rows
    thin = _sheared(thin, lean, room)
    level = _level(thin, limits, max(ink.shape))
    if level is None:
        return np.zeros_like(ink)
    return _sheared(_ink_of(level, thin, _sheared(dark, lean, room)), -lean, rows)


def _opened(ink: Image, high: int) -> Image:
    """Only what is so many pixels high."""
    return np.asarray(cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((high, 1), np.uint8)), np.uint8)


def rims(lines: Image, mask: Image, dark: Image) -> Image:
    """The soft rims of rulings, uint8 0 or 255: what was too pale for the `mask` of ink, touches
    a line and is no darker than it. Once the lines are gone it would be the darkest ink."""
    window = np.ones((_RIM, _RIM), np.uint8)
    level = np.asarray(cv2.dilate(cv2.bitwise_and(dark, lines), window), np.uint8)
    paler = cv2.compare(dark, level, cv2.CMP_LE)
    beside = cv2.bitwise_and(paler, above(level, 0))
    return np.asarray(cv2.bitwise_and(beside, cv2.bitwise_not(mask)), np.uint8)


def _lean(thin: Image) -> float:
    """How what is long in a picture of thin ink leans (dy per dx), 0 where it is about level: by
    which shift the rows of each strip of the picture are most like those of the next, then of one
    farther away, which tells it more finely."""
    h, w = thin.shape
    count = w // _STRIP
    if count < 2 or h < 2 * _STRIP:
        return 0.0
    rows = cv2.resize(thin, (count, h), interpolation=cv2.INTER_AREA).astype(np.float32)
    rows -= cv2.blur(rows, (1, _STRIP))
    lean, reach, far = 0.0, _TILT, 1
    while far < count and far <= _FARTHEST:
        middle = lean * far * _STRIP
        shifts = range(
            round(middle - reach * far * _STRIP), round(middle + reach * far * _STRIP) + 1
        )
        likeness = [_likeness(rows, far, k) for k in shifts]
        best = int(np.argmax(likeness))
        lean, reach, far = shifts[best] / (far * _STRIP), 1.0 / (far * _STRIP), 2 * far
    return lean if abs(lean) >= _LEVEL else 0.0


def _likeness(rows: npt.NDArray[np.float32], far: int, shift: int) -> float:
    """How alike strips are that lie `far` apart, the right one shifted down by `shift` rows."""
    h = rows.shape[0]
    a = rows[max(0, -shift) : h - max(0, shift), :-far]
    b = rows[max(0, shift) : h - max(0, -shift), far:]
    return float(np.einsum("ij,ij->", a, b))


def _sheared(picture: Image, lean: float, rows: int) -> Image:
    """The picture on so many `rows` about its middle one, each column moved so that lines of this
    lean are level. The way back is another with −`lean`."""
    if not lean:
        return picture
    h, w = picture.shape
    down = (h - rows) / 2 - lean * w / 2
    move = np.array([[1, 0, 0], [lean, 1, down]], np.float64)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, move, (w, rows), flags=flags), np.uint8)


def _calm(mask: Image) -> Image:
    """The mask without lone pixels: grain lets lines grow together with what lies beside them."""
    company = above(np.asarray(cv2.blur(mask, (3, 3)), np.uint8), _ALONE)
    return np.asarray(cv2.bitwise_and(mask, company), np.uint8)


def _turned(picture: Image) -> Image:
    return np.asarray(cv2.transpose(picture), np.uint8)


@dataclass(frozen=True, slots=True)
class _Level:
    """Level rulings: the `runs` of thin ink, those that are `pieces` of a line, the `line` of each
    piece, and whether that line is `long` enough to be a ruling."""

    runs: Regions
    pieces: _Pieces
    line: npt.NDArray[np.int64]
    long: npt.NDArray[np.bool_]


def _level(thin: Image, limits: _Limits, longest: int) -> _Level | None:
    """Rulings that run about along the rows, in a picture of thin ink; None where there are none.
    `longest`: the picture's longest side, which the limits refer to."""
    run = np.ones((1, _LINE_PIECE), np.uint8)
    loose = cv2.dilate(thin, np.ones((_LINE_SLACK, 1), np.uint8))
    loose = cv2.morphologyEx(loose, cv2.MORPH_CLOSE, np.ones((1, _CROSSING), np.uint8))
    runs = np.asarray(cv2.morphologyEx(loose, cv2.MORPH_OPEN, run), np.uint8)
    if cv2.countNonZero(runs) < limits.freest * longest:
        return None
    found = regions(runs)
    boxes = found.boxes()
    if boxes[:, 2].max() < limits.freest * longest:
        return None
    pieces = _line_pieces(found, boxes, thin, limits.inked)
    if not len(pieces.label):
        return None
    line = _on_one_line(pieces, _LINE_GAP * longest)
    long = _long_enough(pieces, line, limits, longest)
    return _Level(found, pieces, line, long) if long.any() else None


def _ink_of(level: _Level, thin: Image, dark: Image) -> Image:
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
    usual = np.minimum(usual, _darkest(usual, np.unique(group[long])))
    limit, number = np.zeros(found.count), np.zeros(found.count, np.int64)
    limit[pieces.label[long]] = (_PEN * usual[group])[long]
    number[pieces.label[long]] = np.unique(group[long], return_inverse=True)[1]
    paler = depth < limit[owner]
    where, line = where[paler], number[owner[paler]]
    lines.ravel()[where[_on_path(where, line, thin.shape[1])]] = 255
    length = np.bincount(group, pieces.right - pieces.left)
    broad = np.bincount(group, count) / np.maximum(length, 1)
    lines |= _runs_on(pieces.of(long), group[long], broad, _PEN * usual, thin, dark)
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
    y, x = np.divmod(where, columns)
    at, shape = line * columns + x, (int(line.max(initial=-1)) + 1, columns)
    top, low = np.full(shape, np.iinfo(np.int64).max), np.full(shape, -1)
    np.minimum.at(top.ravel(), at, y)
    np.maximum.at(low.ravel(), at, y)
    count = np.bincount(at, minlength=top.size).reshape(shape)
    middle = np.bincount(at, y, top.size).reshape(shape) / np.maximum(count, 1)
    span = np.where(count > 0, low - top + 1, 0)
    rank = columns - 1 - (_BROADER * np.count_nonzero(count, axis=1)).astype(np.intp)
    breadth = np.take_along_axis(np.sort(span, axis=1), rank[:, None], axis=1)
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


def _runs_on(
    p: _Pieces,
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
    elsewhere = cv2.bitwise_and(thin, cv2.bitwise_not(above(path, 0)))
    leaving = cv2.dilate(elsewhere, np.ones((2 * _LINE_WIDTH + 1, 1), np.uint8))
    paler = cv2.bitwise_and(thin, cv2.compare(dark, path, cv2.CMP_LT))
    return np.asarray(cv2.bitwise_and(paler, cv2.bitwise_not(leaving)), np.uint8)


def _darkest(usual: Doubles, rulings: npt.NDArray[np.int64]) -> Doubles:
    """How dark each line may be at most, by the darkness of all: as dark as the middle one of the
    `rulings`, or as itself where several are alike, such as a table's on ruled paper. A line that
    is darker alone has a pen's ink on it."""
    own = usual[rulings]
    alike = (own[None] >= _ALIKE * usual[:, None]) & (own[None] * _ALIKE <= usual[:, None])
    return np.where(alike.sum(axis=1) >= _LINES, usual, np.median(own))


def _long_enough(
    p: _Pieces, group: npt.NDArray[np.int64], limits: _Limits, longest: int
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
    straight = (freest >= limits.freest * longest) & covered
    long = straight & (span >= limits.several * longest)
    if np.count_nonzero(long) < _LINES:
        long = straight & (span >= limits.alone * longest)
    return np.asarray(long[group], np.bool_)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Straight runs: label, columns from `left` to `right`, and the line y = at + lean × x."""

    label: npt.NDArray[np.int64]
    left: Doubles
    right: Doubles
    at: Doubles
    lean: Doubles

    def of(self, chosen: npt.NDArray[np.bool_]) -> _Pieces:
        """Some of them."""
        return _Pieces(*(getattr(self, name)[chosen] for name in _Pieces.__slots__))


def _line_pieces(found: Regions, boxes: Ints, thin: Image, least: float) -> _Pieces:
    """The regions that are straight, nearly level and inked nearly all along, at most
    `MOST_PIECES`, longest first."""
    columns = found.labels.shape[1]
    wide = boxes[:, 2].astype(np.float64)
    n, mx, my, xx, xy, yy = _moments(found)
    lean = xy / np.maximum(xx, 1e-9)
    off = np.sqrt(np.maximum(yy - lean * xy, 0) / n)
    good = wide >= _LINE_PIECE
    good &= (np.abs(lean) <= _STEEPEST) & (off <= _LINE_SLACK + _SAG * wide)
    row = np.cumsum(good) - 1
    there = (thin.ravel()[found.at] > 0) & found.spread(good)
    at = found.spread(row * columns)[there] + found.at[there] % columns
    inked = np.zeros((int(row[-1]) + 1, columns), np.bool_)
    inked.ravel()[at] = True
    good[good] = inked.sum(axis=1) >= least * wide[good]
    chosen = np.flatnonzero(good)
    chosen = chosen[np.argsort(-wide[chosen], kind="stable")][:MOST_PIECES]
    left = boxes[chosen, 0].astype(np.float64)
    start = my[chosen] - lean[chosen] * mx[chosen]
    return _Pieces(chosen, left, left + wide[chosen], start, lean[chosen])


def _moments(found: Regions) -> tuple[Doubles, ...]:
    """Of each region: pixels, mean column and row, and the sums of squares and of the product of
    the distances from these, taken run by run."""
    y, x = np.divmod(found.at[found.first].astype(np.float64), found.labels.shape[1])
    long = found.length.astype(np.float64)
    end = (long - 1) * long
    columns = long * x + end / 2
    squares = long * x * x + end * x + end * (2 * long - 1) / 6
    n, sx, sy, sxx, sxy, syy = (
        np.asarray(np.bincount(found.owner, v, found.count), np.float64)
        for v in (long, columns, long * y, squares, y * columns, long * y * y)
    )
    n = np.maximum(n, 1.0)
    mx, my = sx / n, sy / n
    return n, mx, my, sxx - mx * sx, sxy - mx * sy, syy - my * sy


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


def paths(lines: Image) -> tuple[Image, Image]:
    """Where rulings run, their ink and the gaps that digits leave in them, and where they cross:
    uint8 0 or 255 each."""
    small = above(halved(lines), _TRACED)
    lying, upright = (
        cv2.morphologyEx(
            cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones(run, np.uint8)),
            cv2.MORPH_CLOSE, np.ones(gap, np.uint8),
        )
        for run, gap in (((1, _TRACE), (1, _GAPS)), ((_TRACE, 1), (_GAPS, 1)))
    )  # fmt: skip
    size = lines.shape[1], lines.shape[0]
    run, cross = (
        np.asarray(cv2.resize(both, size, interpolation=cv2.INTER_NEAREST), np.uint8)
        for both in (cv2.bitwise_or(lying, upright), cv2.bitwise_and(lying, upright))
    )
    return run | lines, np.asarray(cv2.dilate(cross, np.ones((_RIM, _RIM), np.uint8)), np.uint8)


def healed(mask: Image, ruled: Ruled) -> Image:
    """The ink whose rulings were taken out, strokes that cross a ruling whole again."""
    whole = mask
    for lines, across in ((ruled.lines, _BRIDGE), (ruled.broad, _BROADEST)):
        if not lines.any():
            continue
        for shape in ((across, 1), (1, across)):
            bridge = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
            whole = whole | (np.asarray(bridge, np.uint8) & lines)
    return whole
