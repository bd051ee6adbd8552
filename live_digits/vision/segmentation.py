"""Pieces of ink → boxes that may be one digit.

A digit may be several pieces (a 5 and its bar, a broken 0) and a piece several digits (7 and 3 that
touch) or a frame and what it holds. So a piece is cut along seams of least ink (S. Avidan and
A. Shamir, "Seam carving", 2007), a frame comes off, neighbours are joined where a hand might have
meant one stroke, and all of it competes: over-segmentation and recognition, as in R. Casey and
E. Lecolinet, "A survey of methods and strategies in character segmentation", 1996. The number of
proposals is bounded whatever the picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Doubles, Floats, Image
from live_digits.vision.mnist_crop import stroke_width

LabelImage = npt.NDArray[np.int32]
Sides = npt.NDArray[np.intp]

MOST_PROPOSALS = 800
"""Proposals beyond this, those with the least ink first, are left out."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """What may be one digit, in shares of its height unless another unit is named. Where no other
    source is named a number comes from trials by hand before the judge; `drawn`: from the drawn
    pages of experiments/candidates.py."""

    height: int = 9
    """Least height of a digit, working pixels; raising it loses small writing."""
    flat: float = 2.6
    """Greatest width of a proposal; raising it proposes dashes and words."""
    wide: float = 0.82
    """Width from which a blob may be several digits; raising it leaves 1s that touch uncut."""
    strip: int = 40
    """Rows of the picture on which cuts are looked for; raising it is finer and slower (drawn)."""
    air: float = 0.02
    """What a seam pays for a pixel of paper, of one of ink; raising it makes seams shorter."""
    aside: float = 0.15
    """... for a step aside; raising it makes seams straighter (drawn)."""
    cuts: int = 8
    """Most cuts of a blob; raising it costs proposals (drawn)."""
    narrow: float = 0.25
    """Width of a slice; raising it makes fewer cuts (drawn)."""
    slice_ink: float = 0.5
    """Least ink of a slice, of the mean slice's; raising it spreads the cuts (drawn)."""
    slices: int = 4
    """Most slices or parts of one digit; raising it costs proposals (drawn)."""
    slice_wide: float = 1.3
    """Greatest width of a digit that was cut out; raising it costs proposals (drawn)."""
    slice_high: float = 0.4
    """Its least height, of the blob's; raising it loses small digits that touch (drawn)."""
    framed: int = 16
    """Least side of a blob that may be a frame, working pixels; raising it saves time."""
    outline: float = 1.4
    """Thickness of a frame, of the mean stroke; raising it cuts what it holds (drawn)."""
    inside: float = 0.45
    """Least height of what a frame holds, of the frame's; raising it finds fewer frames (drawn)."""
    bar_lean: float = 0.15
    """Greatest lean of a bar, dy per dx; raising it finds more bars under digits."""
    bar_level: float = 0.9
    """The share of its columns in which a bar is straight; raising it finds fewer bars."""
    part: float = 0.55
    """Greatest height of a part, of its neighbour's; raising it joins more."""
    near: float = 0.3
    """Greatest gap to a part; raising it joins more."""
    halves_near: float = 0.16
    """Greatest gap between two halves of about one height; raising it joins more."""
    halves_wide: float = 1.05
    """Greatest width of two halves side by side; raising it joins more."""
    higher: float = 1.5
    """Greatest height of a digit with its part, of the larger one's; raising it joins more."""
    cluster: int = 6
    """Most pieces of a broken digit; raising it costs proposals."""
    cluster_near: float = 0.2
    """Greatest gap within a broken digit; raising it joins more."""
    cluster_far: float = 0.4
    """Greatest gap looked at, of the larger one's side; raising it costs time only."""
    cluster_wide: float = 1.6
    """Greatest width of pieces that lie over each other; raising it joins more."""
    strange: float = 0.05
    """Most ink of others inside a broken digit, of its own; raising it takes frames for digits."""


_AT = _Limits()
_WALL = 1e6
"""What a seam pays to leave its blob."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A connected piece of ink: its id in the labels, box and pixels, in working pixels."""

    id: int
    box: Box
    ink: int


Group = tuple[Blob, ...]
"""Blobs that may be one digit."""


Slices = list[tuple[Blob, ...]]
"""A blob from left to right, each slice in pieces."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A box that may be a digit, in working pixels; see types.Candidate."""

    box: Box
    component_ids: frozenset[int]
    is_whole: bool
    ink: int


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of `boxes` (one at least)."""
    first = boxes[0]
    x, y, right, bottom = first.x, first.y, first.x + first.w, first.y + first.h
    for b in boxes[1:]:
        x, y = min(x, b.x), min(y, b.y)
        right, bottom = max(right, b.x + b.w), max(bottom, b.y + b.h)
    return Box(x, y, right - x, bottom - y)


def propose(blobs: Sequence[Blob], labels: LabelImage) -> tuple[Proposal, ...]:
    """All proposals for the blobs of a picture. Cuts write new piece ids to `labels`."""
    found: dict[frozenset[int], Proposal] = {}
    wholes: list[tuple[Blob, bool]] = []
    slices: dict[int, Slices] = {}
    inner = {b.id: inside for b in blobs if (inside := _inside(b, labels)) is not None}
    high, wide = labels.shape
    around = {b.id for b in blobs if b.box.w == wide and b.box.h == high}  # the page lies on it
    cut = [b for b in blobs if b.id in inner or (_may_be_several(b.box) and b.id not in around)]
    tables = dict(zip((b.id for b in cut), _cut(cut, labels, inner), strict=True))
    fresh = int(labels.max(initial=0)) + 1
    for blob in blobs:
        layers = tables.get(blob.id, [[(blob,)]])
        slices[blob.id] = layers[0]
        if blob.id not in around:
            wholes.append((blob, True))
        for layer in layers[1:]:
            pieces = [p for some in layer for p in some]
            held = Blob(fresh, union([p.box for p in pieces]), sum(p.ink for p in pieces))
            fresh += 1
            slices[held.id] = layer
            wholes.append((held, False))
    for blob, is_whole in wholes:
        _add_slices(found, slices[blob.id], is_whole)
    for group in _groups([blob for blob, _ in wholes]):
        of = {p.id: p for b in group for some in slices[b.id] for p in some}
        _add(found, of.values(), union([p.box for p in of.values()]), is_whole=False)
    kept = list(found.values())
    if len(kept) > MOST_PROPOSALS:
        kept = sorted(kept, key=lambda p: -p.ink)[:MOST_PROPOSALS]
    return tuple(sorted(kept, key=lambda p: (p.box.y, p.box.x)))


def _add_slices(found: dict[frozenset[int], Proposal], slices: Slices, is_whole: bool) -> None:
    """A blob as a whole, and neighbouring slices of it that may be a digit."""
    every = [p for some in slices for p in some]
    whole = union([p.box for p in every])
    _add(found, every, whole, is_whole)
    around = [union([p.box for p in pieces]) for pieces in slices]
    for start, box in enumerate(around):
        some: list[Blob] = []
        for pieces, its in zip(slices[start:], around[start : start + _AT.slices], strict=False):
            some += pieces
            box = union((box, its))
            if box.w <= _AT.slice_wide * box.h and box.h >= _AT.slice_high * whole.h:
                _add(found, some, box, is_whole=False)


def _add(
    found: dict[frozenset[int], Proposal], parts: Collection[Blob], box: Box, is_whole: bool
) -> None:
    if box.h < _AT.height or box.w > _AT.flat * box.h:
        return
    key = frozenset([p.id for p in parts])
    if key not in found:
        found[key] = Proposal(box, key, is_whole, sum([p.ink for p in parts]))


def _may_be_several(box: Box) -> bool:
    return box.w > _AT.wide * box.h and box.h >= _AT.height and box.w < 12 * box.h


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a frame, ring or bar holds: its `count` pieces from 1 on in the blob's box, and how high
    the highest is."""

    layer: LabelImage
    count: int
    high: int


def _inside(blob: Blob, labels: LabelImage) -> _Inside | None:
    """A blob whose outline is a frame of its own: what is left without it is large enough to be
    read. None for any other."""
    b = blob.box
    if b.h < _AT.framed or b.w < _AT.framed:
        return None
    own = np.zeros((b.h + 2, b.w + 2), np.uint8)
    own[1:-1, 1:-1] = labels[b.y : b.bottom, b.x : b.right] == blob.id
    thick = _AT.outline * stroke_width(own)
    outside = own.copy()
    cv2.floodFill(outside, None, (0, 0), 2)
    far = cv2.distanceTransform((outside != 2).astype(np.uint8), cv2.DIST_L2, 3)
    within = (own > 0) & (far > thick)
    if not within.any():
        below = _ink_below(own, thick)
        if below is None:
            return None
        within = (own > 0) & ~below
    count, found, stats, _ = cv2.connectedComponentsWithStats(
        within.astype(np.uint8), connectivity=8
    )
    high = stats[:, cv2.CC_STAT_HEIGHT]
    large = [k for k in range(1, count) if high[k] >= max(_AT.height, _AT.inside * b.h)]
    if not large:
        return None
    number = np.zeros(count, np.int32)
    number[large] = np.arange(1, len(large) + 1)
    return _Inside(number[found[1:-1, 1:-1]], len(large), int(high[large].max()))


def _ink_below(own: Image, thick: float) -> npt.NDArray[np.bool_] | None:
    """The pixels of a bar along the lower side of a picture of ink; None where that is not
    straight."""
    h = len(own)
    lowest = h - 1 - own[::-1].argmax(axis=0)
    y = lowest[1:-1] - lowest[1:-1].mean()
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope = float(x @ y) / max(1.0, float(x @ x))  # the line of least squares
    if abs(slope) > _AT.bar_lean:
        return None
    near = np.count_nonzero(np.abs(y - slope * x) <= thick / 2)
    if near < _AT.bar_level * len(y):
        return None
    return np.asarray(np.arange(h)[:, None] > lowest - thick, np.bool_)


def _cut(
    blobs: Sequence[Blob], labels: LabelImage, inner: Mapping[int, _Inside]
) -> list[list[Slices]]:
    """Each blob in slices from left to right, one where no cut offers itself; and the same of each
    thing that it holds. All are cut in one go, side by side on a strip of `_AT.strip` rows."""
    if not blobs:
        return []
    spans, ink, cost = _strip(blobs, labels)
    down, steps_down = _path_costs(cost)
    up, steps_up = _path_costs(cost[::-1])
    middle = _AT.strip // 2
    through = down[middle] + up[_AT.strip - 1 - middle] - cost[middle]
    seams = np.zeros(cost.shape, np.intp)
    for steps, way in ((steps_down, 1), (steps_up[::-1], -1)):
        x = np.arange(cost.shape[1])
        for row in range(middle, -1 if way > 0 else _AT.strip, -way):
            seams[row] = x
            x = x + steps[row][x]
    left = np.take_along_axis(np.cumsum(ink, axis=1, dtype=np.float64), seams, axis=1).sum(axis=0)
    chosen = [
        _cheapest(through, left, start, width, _most_cuts(blob, inner.get(blob.id)))
        for blob, (start, width) in zip(blobs, spans, strict=True)
    ]
    fresh, parts = int(labels.max(initial=0)) + 1, []
    for blob, (start, _), cuts in zip(blobs, spans, chosen, strict=True):
        own = seams[:, cuts] - start
        parts.append(_parted(blob, labels, own, fresh, inner.get(blob.id)))
        fresh = int(parts[-1][0][-1][-1].id) + 1
    return parts


def _strip(
    blobs: Sequence[Blob], labels: LabelImage
) -> tuple[list[tuple[int, int]], Floats, Floats]:
    """Where each blob lies on the strip, first column and width; its ink, and what a seam pays."""
    widths = [max(2, round(b.box.w * _AT.strip / b.box.h)) for b in blobs]
    starts = (np.cumsum([0, *widths[:-1]]) + np.arange(1, len(blobs) + 1)).tolist()
    ink = np.zeros((_AT.strip, starts[-1] + widths[-1] + 1), np.float32)
    cost = np.full_like(ink, _WALL)
    for blob, x, width in zip(blobs, starts, widths, strict=True):
        b = blob.box
        own = np.asarray(labels[b.y : b.bottom, b.x : b.right] == blob.id, np.float32)
        small = cv2.resize(own, (width, _AT.strip), interpolation=cv2.INTER_AREA)
        ink[:, x : x + width] = small
        cost[:, x : x + width] = small + _AT.air
    return list(zip(starts, widths, strict=True)), ink, cost


def _path_costs(
    cost: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """For each pixel the cheapest way to it from the first row, one column aside a row at most, and
    the step back along it."""
    total, steps = cost.copy(), np.zeros(cost.shape, np.int8)
    for row in range(1, len(cost)):
        above = total[row - 1]
        best = above.copy()
        step = steps[row]
        for aside, near in ((-1, above[:-1]), (1, above[1:])):
            here = slice(1, None) if aside < 0 else slice(None, -1)
            leaned = near + np.float32(_AT.aside)
            nearer = leaned < best[here]
            best[here][nearer] = leaned[nearer]
            step[here][nearer] = aside
        total[row] += best
    return total, steps


def _cheapest(through: Floats, left: Doubles, start: int, width: int, most: int) -> list[int]:
    """The middle columns of the cheapest seams that leave enough ink between each two of them."""
    ink = left[start : start + width]
    least = _AT.slice_ink * float(ink[-1] - ink[0]) / (most + 1)
    chosen: list[int] = []
    taken = [float(ink[0]), float(ink[-1])]
    for x in (np.argsort(through[start : start + width], kind="stable") + start).tolist():
        if len(chosen) == most:
            break
        if all(abs(float(left[x]) - t) >= least for t in taken):
            chosen.append(x)
            taken.append(float(left[x]))
    return sorted(chosen)


def _most_cuts(blob: Blob, inside: _Inside | None) -> int:
    """One less than the digits that a blob may hold."""
    if not _may_be_several(blob.box):
        return 0
    high = blob.box.h if inside is None else inside.high
    return min(_AT.cuts, max(1, round(blob.box.w / (_AT.narrow * high)) - 2))


def _parted(
    blob: Blob, labels: LabelImage, seams: npt.NDArray[np.intp], fresh: int, inside: _Inside | None
) -> list[Slices]:
    """The blob between the seams, columns of the strip from the blob's left; and what it holds."""
    b = blob.box
    view = labels[b.y : b.bottom, b.x : b.right]
    ys, xs = np.nonzero(view == blob.id)
    rows = ((np.arange(b.h) + 0.5) * _AT.strip / b.h).astype(np.intp)
    columns = (seams[rows] + 0.5) * (b.h / _AT.strip)
    side = (xs[:, None] > columns[ys]).sum(axis=1)
    count = 1 if inside is None else inside.count + 1
    layer = np.zeros(len(ys), np.intp) if inside is None else inside.layer[ys, xs].astype(np.intp)
    layers: list[Slices] = [[] for _ in range(count)]
    slices: list[list[Blob]] = [[] for _ in range(seams.shape[1] + 1)]
    code = side * count + layer
    order = np.argsort(code, kind="stable")
    kinds, first = np.unique(code[order], return_index=True)
    for kind, mine in zip(kinds.tolist(), np.split(order, first[1:]), strict=True):
        px, py = xs[mine], ys[mine]
        view[py, px] = fresh
        x, y = int(px.min()), int(py.min())
        box = Box(b.x + x, b.y + y, int(px.max()) - x + 1, int(py.max()) - y + 1)
        piece = Blob(fresh, box, len(px))
        fresh += 1
        slices[kind // count].append(piece)
        if kind % count:
            layers[kind % count].append((piece,))
    layers[0] = [tuple(pieces) for pieces in slices if pieces]
    return layers


def _gap(a: Box, b: Box) -> tuple[int, int]:
    """Empty pixels between two boxes, across and down; negative where they overlap."""
    return max(a.x, b.x) - min(a.right, b.right), max(a.y, b.y) - min(a.bottom, b.bottom)


@dataclass(frozen=True, slots=True)
class _PairwiseGaps:
    """The sides of all boxes, and the empty pixels between each two of them, across and down;
    negative where they overlap."""

    x0: Sides
    y0: Sides
    x1: Sides
    y1: Sides
    across: Sides
    down: Sides


def _layout(blobs: Sequence[Blob]) -> _PairwiseGaps:
    x0, y0, x1, y1 = np.array([(b.box.x, b.box.y, b.box.right, b.box.bottom) for b in blobs]).T
    across = np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)
    down = np.maximum(y0[:, None], y0) - np.minimum(y1[:, None], y1)
    return _PairwiseGaps(x0, y0, x1, y1, across, down)


def _groups(blobs: Sequence[Blob]) -> list[Group]:
    """Groups of blobs that may be one digit."""
    if len(blobs) < 2:
        return []
    layout = _layout(blobs)
    return _merge_pairs(blobs, layout) + _clusters(blobs, layout)


def _merge_pairs(blobs: Sequence[Blob], layout: _PairwiseGaps) -> list[Group]:
    """A blob with parts of it, or with another of about its height."""
    groups: list[Group] = []
    across, down = layout.across, layout.down
    high, wide = np.maximum(layout.y1 - layout.y0, 1), layout.x1 - layout.x0
    reach = _AT.near * np.maximum(high, wide / 2)[:, None]
    near = (across <= reach) & (down <= reach)
    np.fill_diagonal(near, False)
    lower = high < _AT.part * high[:, None]
    smaller = near & lower & (wide < 1.2 * high[:, None])
    alike = near & ~lower & (high <= high[:, None])
    for i in (int(k) for k in np.flatnonzero((smaller | alike).any(axis=1))):
        big = blobs[i]
        parts = [
            blobs[int(j)]
            for j in np.flatnonzero(smaller[i])
            if _is_plausible_part(big, blobs[int(j)])
        ]
        parts = sorted(parts, key=lambda p: -p.ink)[: _AT.slices - 1]
        for p in parts:
            groups.append((big, p))
        if len(parts) > 1:
            groups.append((big, *parts))
        for j in (int(k) for k in np.flatnonzero(alike[i])):
            if high[j] == high[i] and j < i:
                continue
            both = union((big.box, blobs[j].box))
            close = max(across[i, j], down[i, j]) <= _AT.halves_near * both.h
            if close and both.w <= _AT.halves_wide * both.h and both.h <= 2.2 * high[i]:
                groups.append((big, blobs[j]))
    return groups


def _clusters(blobs: Sequence[Blob], layout: _PairwiseGaps) -> list[Group]:
    """Blobs that lie nearer to each other than to any other and have a digit's shape."""
    ink = np.array([b.ink for b in blobs])
    middle_x, middle_y = (layout.x0 + layout.x1) / 2, (layout.y0 + layout.y1) / 2
    groups: list[Group] = []
    for members, box, gap, stacked in _single_linkage(blobs, layout):
        widest = (_AT.cluster_wide if stacked else _AT.halves_wide) * box.h
        if len(members) > _AT.cluster or box.w > widest or gap > _AT.cluster_near * box.h:
            continue
        inside = (middle_x > box.x) & (middle_x < box.right)
        inside &= (middle_y > box.y) & (middle_y < box.bottom)
        if ink[inside].sum() <= (1 + _AT.strange) * ink[members].sum():
            groups.append(tuple(blobs[k] for k in members))
    return groups


def _single_linkage(
    blobs: Sequence[Blob], layout: _PairwiseGaps
) -> Iterator[tuple[list[int], Box, float, bool]]:
    """The steps of single linkage (P. Sneath, "The application of computers to taxonomy", 1957):
    the indices and box of what each joins, across what gap, and whether one lies over the other."""
    apart = np.hypot(np.maximum(layout.across, 0), np.maximum(layout.down, 0))
    side = np.maximum(layout.x1 - layout.x0, layout.y1 - layout.y0)
    near = np.triu(apart <= _AT.cluster_far * np.maximum(side[:, None], side), 1)
    pairs, gaps = np.argwhere(near), apart[near]
    owner, members = list(range(len(blobs))), [[i] for i in range(len(blobs))]
    boxes = [b.box for b in blobs]
    for at in np.argsort(gaps, kind="stable").tolist():
        one, other = (owner[k] for k in pairs[at].tolist())
        if one == other:
            continue
        stacked = _gap(boxes[one], boxes[other])[0] < 0
        boxes[one] = union((boxes[one], boxes[other]))
        for k in members[other]:
            owner[k] = one
        members[one] = members[one] + members[other]
        yield members[one], boxes[one], float(gaps[at]), stacked


def _is_plausible_part(big: Blob, part: Blob) -> bool:
    """A part makes its digit little taller or wider."""
    both = union((big.box, part.box))
    return both.h <= _AT.higher * big.box.h and both.w <= max(1.75 * big.box.h, 1.3 * big.box.w)
