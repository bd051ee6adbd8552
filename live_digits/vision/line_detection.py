"""Long straight lines in a binary picture, about level or leaning alike: how they lean, the runs of
thin ink that are pieces of one, and which pieces continue one another. Written for the rulings of
paper, whose ink `ruled_lines` takes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import Doubles, Image
from live_digits.vision.connected_components import ConnectedComponents, Ints, connected_components

_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
_CROSSING = 13
"""A line of the other direction interrupts a ruling for fewer pixels than this."""
_SAG = 0.012
"""Paper bulges: a run may leave the straight by this share of its length besides the slack."""
LINES = 3
"""So many lines that are alike are rulings."""
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
_TILT = 0.3
"""A sheet is turned so far (dy per dx) that its rulings lean by this at most."""
_STRIP = 16
"""The lean of the rulings is measured between strips of this width, pixels."""
_FARTHEST = 4
"""... up to this many strips apart."""
_LEVEL = 0.03
"""Rulings that lean by less are level enough."""
MOST_PIECES = 500
"""Pieces of rulings beyond this, shortest first, are not looked at."""


@dataclass(frozen=True, slots=True)
class LineCriteria:
    """What makes a straight line a ruling. In shares of the picture's longest side: it is free of
    ink for `freest` of it at least once, and spans so much where `several` are parallel, or
    `alone`. It is `thinnest` pixels wide at least, and its runs are inked along the share `inked`:
    digits in a row or a column are not. What is `across` pixels high may be a line that crosses."""

    freest: float
    several: float
    alone: float
    thinnest: int
    inked: float
    across: int


def estimate_skew(thin: Image) -> float:
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
        likeness = [_row_correlation(rows, far, k) for k in shifts]
        best = int(np.argmax(likeness))
        lean, reach, far = shifts[best] / (far * _STRIP), 1.0 / (far * _STRIP), 2 * far
    return lean if abs(lean) >= _LEVEL else 0.0


def _row_correlation(rows: npt.NDArray[np.float32], far: int, shift: int) -> float:
    """How alike strips are that lie `far` apart, the right one shifted down by `shift` rows."""
    h = rows.shape[0]
    a = rows[max(0, -shift) : h - max(0, shift), :-far]
    b = rows[max(0, shift) : h - max(0, -shift), far:]
    return float(np.einsum("ij,ij->", a, b))


def shear(picture: Image, lean: float, rows: int) -> Image:
    """The picture on so many `rows` about its middle one, each column moved so that lines of this
    lean are level. The way back is another with −`lean`."""
    if not lean:
        return picture
    h, w = picture.shape
    down = (h - rows) / 2 - lean * w / 2
    move = np.array([[1, 0, 0], [lean, 1, down]], np.float64)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, move, (w, rows), flags=flags), np.uint8)


@dataclass(frozen=True, slots=True)
class LineSegments:
    """Straight runs: label, columns from `left` to `right`, and the line y = at + lean × x."""

    label: npt.NDArray[np.int64]
    left: Doubles
    right: Doubles
    at: Doubles
    lean: Doubles

    def of(self, chosen: npt.NDArray[np.bool_]) -> LineSegments:
        """Some of them."""
        return LineSegments(*(getattr(self, name)[chosen] for name in LineSegments.__slots__))


@dataclass(frozen=True, slots=True)
class CollinearGroups:
    """Level rulings: the `runs` of thin ink, its segments (`pieces`), the `line` of each
    segment, and whether that line is `long` enough to be a ruling."""

    runs: ConnectedComponents
    pieces: LineSegments
    line: npt.NDArray[np.int64]
    long: npt.NDArray[np.bool_]


def find_level_lines(
    thin: Image, across: Image, limits: LineCriteria, longest: int
) -> CollinearGroups | None:
    """Rulings that run about along the rows, in a picture of thin ink; None where there are none.
    `across`: the ink of what may cross them; `longest`: the picture's longest side, which the
    limits refer to."""
    run = np.ones((1, _LINE_PIECE), np.uint8)
    loose = cv2.dilate(thin, np.ones((_LINE_SLACK, 1), np.uint8))
    loose = cv2.morphologyEx(loose, cv2.MORPH_CLOSE, np.ones((1, _CROSSING), np.uint8))
    runs = np.asarray(cv2.morphologyEx(loose, cv2.MORPH_OPEN, run), np.uint8)
    if cv2.countNonZero(runs) < limits.freest * longest:
        return None
    found = connected_components(runs)
    boxes = found.boxes()
    if boxes[:, 2].max() < limits.freest * longest:
        return None
    pieces = _line_pieces(found, boxes, thin, across, limits.inked)
    if not len(pieces.label):
        return None
    line = _link_collinear(pieces, _LINE_GAP * longest)
    long = _long_enough(pieces, line, limits, longest)
    return CollinearGroups(found, pieces, line, long) if long.any() else None


def _line_pieces(
    found: ConnectedComponents, boxes: Ints, thin: Image, across: Image, least: float
) -> LineSegments:
    """The regions that are straight, nearly level and inked nearly all along, lines `across` them
    left out, at most `MOST_PIECES`, longest first."""
    columns = found.labels.shape[1]
    wide = boxes[:, 2].astype(np.float64)
    n, mx, my, xx, xy, yy = _moments(found)
    lean = xy / np.maximum(xx, 1e-9)
    off = np.sqrt(np.maximum(yy - lean * xy, 0) / n)
    good = wide >= _LINE_PIECE
    good &= (np.abs(lean) <= _STEEPEST) & (off <= _LINE_SLACK + _SAG * wide)
    row = np.cumsum(good) - 1
    asked = found.spread(good)
    where = found.at[asked]
    at = found.spread(row * columns)[asked] + where % columns
    inked, crossed = (np.zeros((int(row[-1]) + 1, columns), np.bool_) for _ in range(2))
    for ink, seen in ((thin, inked), (across, crossed)):
        seen.ravel()[at[ink.ravel()[where] > 0]] = True
    crossed &= ~inked
    good[good] = inked.sum(axis=1) >= least * (wide[good] - crossed.sum(axis=1))
    chosen = np.flatnonzero(good)
    chosen = chosen[np.argsort(-wide[chosen], kind="stable")][:MOST_PIECES]
    left = boxes[chosen, 0].astype(np.float64)
    start = my[chosen] - lean[chosen] * mx[chosen]
    return LineSegments(chosen, left, left + wide[chosen], start, lean[chosen])


def _moments(found: ConnectedComponents) -> tuple[Doubles, ...]:
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


def _link_collinear(p: LineSegments, most_gap: float) -> npt.NDArray[np.int64]:
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


def _long_enough(
    p: LineSegments, group: npt.NDArray[np.int64], limits: LineCriteria, longest: int
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
    if np.count_nonzero(long) < LINES:
        long = straight & (span >= limits.alone * longest)
    return np.asarray(long[group], np.bool_)
