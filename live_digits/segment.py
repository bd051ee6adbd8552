"""Pieces of ink → boxes that may be one digit.

A digit may be several pieces (a 5 and its bar, a broken 0) and a piece several digits (7 and 3 that
touch). So a piece is cut where its ink is thinnest, neighbours are joined where a hand might have
meant one stroke, and all of it competes: over-segmentation and recognition, as in R. Casey and
E. Lecolinet, "A survey of methods and strategies in character segmentation", 1996. The number of
proposals is bounded whatever the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from live_digits.types import Box

Labels = npt.NDArray[np.int32]
Sides = npt.NDArray[np.intp]

MOST_PROPOSALS = 800
"""Proposals beyond this, those with the least ink first, are left out."""
_LEAST_HEIGHT = 9
"""A digit's least height in working pixels."""
_FLAT = 2.6
"""Wider than this times its height is a dash or a ruling, not a digit."""
_WIDE = 0.82
"""Blobs wider than this times their height may be several digits."""
_MOST_CUTS = 5
_CUT_STEP = 0.45
"""A digit is at least about this wide, as a share of the blob's height: one cut for each."""
_CUT_MARGIN = 0.2
"""No cut is nearer to the blob's side, or to another cut, than this share of its height."""
_SLANTS = (-0.35, 0.0, 0.25)
"""Cuts lean by these (dx per dy); the lean that crosses the least ink is taken."""
_LEANS = np.array(_SLANTS)[:, None]
_ROWS = np.arange(len(_SLANTS))[:, None]
_PART = 0.55
"""A piece lower than this share of its neighbour may be a part of it."""
_NEAR = 0.3
"""Parts lie no farther off than this share of the larger one's height."""
_HALVES_NEAR = 0.16
"""Two pieces of about one height may be halves of a digit when this near."""
_HALVES_WIDE = 1.05
"""... and, side by side, no wider together than this times their height."""
_MOST_JOINED = 4
_HIGHER = 1.5
"""A part makes its digit no higher than this times the larger one's height."""
_MOST_CLUSTERED = 6
"""More pieces than these are no broken digit."""
_CLUSTER_NEAR, _CLUSTER_FAR = 0.2, 0.4
"""What is nearest to each other may be one digit when no farther apart than this share of its
height; farther than so many of the larger one's sides nothing is looked at."""
_CLUSTER_WIDE = 1.6
"""Pieces over each other, as a 5's wide bar over its hook, are no wider than this times their
height; side by side `_HALVES_WIDE`."""
_CLUSTER_STRANGE = 0.05
"""Ink with its middle in the cluster's box, but not of it, as a share of its own: it is a frame."""
_EDGE_SPAN = 0.45
"""A piece at the frame's edge that spans this share of the frame is desk, shadow or page edge."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A connected piece of ink: its id in the labels, box and pixels, in working pixels."""

    id: int
    box: Box
    ink: int


Group = tuple[tuple[Blob, ...], bool]
"""Blobs that may be one digit, and whether they surely belong together."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A box that may be a digit, in working pixels; see types.Candidate."""

    box: Box
    pieces: frozenset[int]
    primary: bool
    ink: int


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of `boxes` (one at least)."""
    xs, ys, rights, bottoms = zip(*((b.x, b.y, b.x + b.w, b.y + b.h) for b in boxes), strict=True)
    x, y = min(xs), min(ys)
    return Box(x, y, max(rights) - x, max(bottoms) - y)


def propose(
    blobs: Sequence[Blob], labels: Labels, shape: tuple[int, ...], clusters: bool = True
) -> tuple[Proposal, ...]:
    """All proposals for the blobs of a picture of `shape`. Cuts write new piece ids to `labels`.
    `clusters`: whether digits in many pieces are looked for as well."""
    blobs = [b for b in blobs if not _is_border(b.box, shape)]
    found: dict[frozenset[int], Proposal] = {}
    parts_of: dict[int, tuple[Blob, ...]] = {}
    fresh = int(labels.max(initial=0)) + 1
    for blob in blobs:
        parts = _cut(blob, labels, fresh) if _may_be_several(blob.box) else (blob,)
        fresh += len(parts) if len(parts) > 1 else 0
        parts_of[blob.id] = parts
        for start in range(len(parts)):
            for stop in range(start + 1, min(len(parts), start + _MOST_JOINED) + 1):
                _add(found, parts[start:stop], primary=stop - start == len(parts))
        if len(parts) > _MOST_JOINED:
            _add(found, parts, primary=True)
    for group, sure in _groups(blobs, clusters):
        pieces = [p for b in group for p in parts_of[b.id]]
        _add(found, pieces, primary=sure)
        if sure:
            for b in group:
                _demote(found, parts_of[b.id])
    kept = list(found.values())
    if len(kept) > MOST_PROPOSALS:
        kept = sorted(kept, key=lambda p: -p.ink)[:MOST_PROPOSALS]
    return tuple(sorted(kept, key=lambda p: (p.box.y, p.box.x)))


def _add(found: dict[frozenset[int], Proposal], parts: Sequence[Blob], primary: bool) -> None:
    box = union(p.box for p in parts)
    if box.h < _LEAST_HEIGHT or box.w > _FLAT * box.h:
        return
    key = frozenset(p.id for p in parts)
    if key not in found:
        found[key] = Proposal(box, key, primary, sum(p.ink for p in parts))


def _demote(found: dict[frozenset[int], Proposal], parts: Sequence[Blob]) -> None:
    key = frozenset(p.id for p in parts)
    old = found.get(key)
    if old and old.primary:
        found[key] = Proposal(old.box, old.pieces, False, old.ink)


def _is_border(box: Box, shape: tuple[int, ...]) -> bool:
    """Desk, shadow or the page's own edge: at the frame's edge and long along or across it."""
    h, w = shape[:2]
    left, top = box.x <= 1, box.y <= 1
    right, bottom = box.right >= w - 1, box.bottom >= h - 1
    sides = left + top + right + bottom
    if sides == 0:
        return False
    return sides >= 2 or box.w > _EDGE_SPAN * w or box.h > _EDGE_SPAN * h


def _may_be_several(box: Box) -> bool:
    return box.w > _WIDE * box.h and box.h >= _LEAST_HEIGHT and box.w < 12 * box.h


def _cut(blob: Blob, labels: Labels, fresh: int) -> tuple[Blob, ...]:
    """The blob in parts from left to right, or itself where no cut offers itself."""
    b = blob.box
    view = labels[b.y : b.bottom, b.x : b.right]
    ys, xs = np.nonzero(view == blob.id)
    leaned = xs + _LEANS * (ys - b.h / 2)
    columns = np.clip(leaned.astype(np.intp), 0, b.w - 1) + _ROWS * b.w
    profiles = np.bincount(columns.ravel(), minlength=len(_SLANTS) * b.w).reshape(-1, b.w)
    best: tuple[float, list[int], npt.NDArray[np.float64]] | None = None
    for profile, lean in zip(_softened(profiles), leaned, strict=True):
        cuts, cost = _cuts(profile, b)
        if cuts and (best is None or cost < best[0]):
            best = cost, cuts, lean
    if best is None:
        return (blob,)
    _, cuts, leaned = best
    side = np.searchsorted(np.asarray(cuts), leaned)
    parts = []
    for i in range(len(cuts) + 1):
        mine = side == i
        if not mine.any():
            continue
        px, py = xs[mine], ys[mine]
        view[py, px] = fresh + i
        x, y = int(px.min()), int(py.min())
        box = Box(b.x + x, b.y + y, int(px.max()) - x + 1, int(py.max()) - y + 1)
        parts.append(Blob(fresh + i, box, len(px)))
    return tuple(parts)


def _softened(profiles: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Each column's ink with a quarter of its neighbours' for half of its own."""
    soft = np.asarray(profiles, np.float64) / 2
    soft[:, 1:] += 0.25 * profiles[:, :-1]
    soft[:, :-1] += 0.25 * profiles[:, 1:]
    return soft


def _cuts(profile: npt.NDArray[np.float64], box: Box) -> tuple[list[int], float]:
    """Columns of least ink, far enough apart, and the mean ink they cross (pixels). `profile`: the
    ink of each column, softened."""
    margin = max(2, round(_CUT_MARGIN * box.h))
    most = min(_MOST_CUTS, max(1, round(box.w / (_CUT_STEP * box.h)) - 1))
    inner = profile[margin : box.w - margin]
    if inner.size < 1:
        return [], 0.0
    ink, limit = profile.tolist(), 0.6 * float(profile.max())
    chosen: list[int] = []
    free = [True] * box.w
    for at in (np.argsort(inner, kind="stable") + margin).tolist():
        if ink[at] > limit or len(chosen) == most:
            break
        if free[at]:
            chosen.append(at)
            free[at - margin + 1 : at + margin] = [False] * (2 * margin - 1)
    return sorted(chosen), sum(ink[c] for c in chosen) / len(chosen) if chosen else 0.0


def _gap(a: Box, b: Box) -> tuple[int, int]:
    """Empty pixels between two boxes, across and down; negative where they overlap."""
    return max(a.x, b.x) - min(a.right, b.right), max(a.y, b.y) - min(a.bottom, b.bottom)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The sides of all boxes, and the empty pixels between each two of them, across and down;
    negative where they overlap."""

    x0: Sides
    y0: Sides
    x1: Sides
    y1: Sides
    across: Sides
    down: Sides


def _layout(blobs: Sequence[Blob]) -> _Layout:
    x0, y0, x1, y1 = np.array([(b.box.x, b.box.y, b.box.right, b.box.bottom) for b in blobs]).T
    across = np.maximum(x0[:, None], x0) - np.minimum(x1[:, None], x1)
    down = np.maximum(y0[:, None], y0) - np.minimum(y1[:, None], y1)
    return _Layout(x0, y0, x1, y1, across, down)


def _groups(blobs: Sequence[Blob], clusters: bool) -> list[Group]:
    """Groups of blobs that may be one digit, and whether they surely belong together."""
    if len(blobs) < 2:
        return []
    layout = _layout(blobs)
    groups = _joins(blobs, layout)
    return groups + _clusters(blobs, layout) if clusters else groups


def _joins(blobs: Sequence[Blob], layout: _Layout) -> list[Group]:
    """A blob with parts of it, or with another of about its height."""
    groups: list[Group] = []
    across, down = layout.across, layout.down
    high, wide = np.maximum(layout.y1 - layout.y0, 1), layout.x1 - layout.x0
    reach = _NEAR * np.maximum(high, wide / 2)[:, None]
    near = (across <= reach) & (down <= reach)
    np.fill_diagonal(near, False)
    lower = high < _PART * high[:, None]
    smaller = near & lower & (wide < 1.2 * high[:, None])
    alike = near & ~lower & (high <= high[:, None])
    for i in (int(k) for k in np.flatnonzero((smaller | alike).any(axis=1))):
        big = blobs[i]
        parts = [blobs[int(j)] for j in np.flatnonzero(smaller[i]) if _fits(big, blobs[int(j)])]
        parts = sorted(parts, key=lambda p: -p.ink)[: _MOST_JOINED - 1]
        for p in parts:
            groups.append(((big, p), _belongs(big.box, p.box)))
        if len(parts) > 1:
            groups.append(((big, *parts), all(_belongs(big.box, p.box) for p in parts)))
        for j in (int(k) for k in np.flatnonzero(alike[i])):
            if high[j] == high[i] and j < i:
                continue
            both = union((big.box, blobs[j].box))
            close = max(across[i, j], down[i, j]) <= _HALVES_NEAR * both.h
            if close and both.w <= _HALVES_WIDE * both.h and both.h <= 2.2 * high[i]:
                groups.append(((big, blobs[j]), False))
    return groups


def _clusters(blobs: Sequence[Blob], layout: _Layout) -> list[Group]:
    """Blobs that lie nearer to each other than to any other and have a digit's shape."""
    ink = np.array([b.ink for b in blobs])
    middle_x, middle_y = (layout.x0 + layout.x1) / 2, (layout.y0 + layout.y1) / 2
    groups: list[Group] = []
    for members, box, gap, stacked in _merges(blobs, layout):
        widest = (_CLUSTER_WIDE if stacked else _HALVES_WIDE) * box.h
        if len(members) > _MOST_CLUSTERED or box.w > widest or gap > _CLUSTER_NEAR * box.h:
            continue
        inside = (middle_x > box.x) & (middle_x < box.right)
        inside &= (middle_y > box.y) & (middle_y < box.bottom)
        if ink[inside].sum() <= (1 + _CLUSTER_STRANGE) * ink[members].sum():
            groups.append((tuple(blobs[k] for k in members), False))
    return groups


def _merges(blobs: Sequence[Blob], layout: _Layout) -> Iterator[tuple[list[int], Box, float, bool]]:
    """The steps of single linkage (P. Sneath, "The application of computers to taxonomy", 1957):
    the indices and box of what each joins, across what gap, and whether one lies over the other."""
    apart = np.hypot(np.maximum(layout.across, 0), np.maximum(layout.down, 0))
    side = np.maximum(layout.x1 - layout.x0, layout.y1 - layout.y0)
    near = np.triu(apart <= _CLUSTER_FAR * np.maximum(side[:, None], side), 1)
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


def _fits(big: Blob, part: Blob) -> bool:
    """A part makes its digit little taller or wider."""
    both = union((big.box, part.box))
    return both.h <= _HIGHER * big.box.h and both.w <= max(1.75 * big.box.h, 1.3 * big.box.w)


def _belongs(big: Box, part: Box) -> bool:
    """Mostly inside the larger one's box: no digit of its own."""
    across, down = _gap(big, part)
    return -across >= 0.6 * part.w and -down >= 0.6 * part.h
