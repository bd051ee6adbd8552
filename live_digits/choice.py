"""Which of the competing boxes of a frame are digits: a disjoint set of the greatest worth, judged
by the network, by the page around, and by the words they stand in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from live_digits.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.words import digit_odds

_PRIMARY_BONUS = 0.06
"""What a whole blob is ahead of its halves and unions, in confidence."""
_WHOLE, _WHOLE_BONUS = 0.95, 0.12
"""What several pieces are ahead that together are a digit for sure: their parts may look like
digits too (a 6 is a 1 over a 0), but two digits side by side look like no digit."""
_STAKE = 0.45
"""A candidate below this confidence only costs: leaving its ink unread is better."""
_EXHAUSTIVE = 14
"""Groups of this many candidates or fewer are searched completely; larger ones greedily."""
_SURE = 0.9
"""From this confidence a digit that is not narrow tells how dark and how high the others are."""
_NEAREST = 7
"""Sure digits whose heights a narrow one is compared with."""
_PALER = (0.5, 0.35)
"""Ink paler than this share of the sure digits' is no narrow digit, or no other unsure one."""
_HEIGHTS = (0.5, 2.0)
"""A narrow digit's height against its neighbours'."""
_CERTAIN, _MOST_INK, _TIGHTER = 0.99, 0.7, 0.9
"""A part stands for the whole from this confidence and share of the ink, where the overlap of their
boxes is less than so much of both."""
_INSIDE, _SMALL, _BITS = 0.8, 0.5, 2
"""What lies with this share of its box in another digit's, and is no higher than so much of it, is
no digit. What holds more than so many is none itself: a frame, not a 0."""
_GRAIN = 0.02
"""What is lower than this share of it does not make it one: specks inside a huge digit."""
_SIDES = 0.35
"""A 1's paper is about as light on its left as on its right, to this share of how much darker the 1
is; an edge's is not, nor a soft shade's. Other narrow digits that are sure may lie where a shadow
begins."""
_LEANING = 1.0
"""A 1 is no wider than this times its height: nobody leans it by more than 45 degrees."""
_FAINT = 16
"""Without sure digits, a narrow one is at least this much darker than its paper, of 255."""


def _worth(candidate: Candidate, p: Floats) -> float:
    """What reading this candidate brings: confidence over the stake, for all of its ink."""
    confidence = float(p[:NOT_A_DIGIT].max())
    bonus = _PRIMARY_BONUS if candidate.primary else 0.0
    if len(candidate.pieces) > 1 and confidence >= _WHOLE:
        bonus = max(bonus, _WHOLE_BONUS)
    return candidate.ink * (confidence + bonus - _STAKE)


def _plausible(candidates: Sequence[Candidate], probabilities: Floats) -> list[bool]:
    """Which candidates fit the page. A crop has lost how dark and how large it was; a streak or an
    edge looks like a 1 then, and only the sure digits around it tell them apart."""
    confidence = probabilities[:, :NOT_A_DIGIT].max(axis=1) if len(candidates) else np.zeros(0)
    narrow = np.array([c.box.narrow for c in candidates], bool)
    dark = np.array([c.dark for c in candidates], np.float64)
    high = np.array([c.box.h for c in candidates], np.float64)
    sure = ~narrow & (confidence >= _SURE) & (dark > 0)
    doubtful = confidence < _SURE
    unsure = narrow | doubtful
    one = probabilities[:, :NOT_A_DIGIT].argmax(axis=1) == 1 if len(candidates) else narrow
    wide = np.array([c.box.w > _LEANING * c.box.h for c in candidates], bool)
    lopsided = np.array([c.sides for c in candidates]) > _SIDES
    edge = (lopsided & (one | (narrow & doubtful))) | (one & wide)
    if not sure.any():
        return list(~edge & (~narrow | (dark == 0) | (dark >= _FAINT)))
    usual = float(np.median(dark[sure]))
    pale = np.where(narrow, _PALER[0], _PALER[1]) * usual
    good = ~unsure | (dark == 0) | (dark >= pale)
    centres = np.array([c.box.centre for c in candidates])
    for i in np.flatnonzero(narrow & good):
        away = np.abs(centres[sure] - centres[i]).sum(axis=1)
        near = high[sure][np.argsort(away, kind="stable")[:_NEAREST]]
        share = high[i] / float(np.median(near))
        good[i] = _HEIGHTS[0] <= share <= _HEIGHTS[1]
    return [bool(g) for g in good & ~edge]


def choose(candidates: Sequence[Candidate], probabilities: Floats) -> set[int]:
    """The indices of a disjoint set of candidates of the greatest worth."""
    likely = _plausible(candidates, probabilities)
    worth = {i: _worth(c, probabilities[i]) for i, c in enumerate(candidates) if likely[i]}
    worth = {i: v for i, v in worth.items() if v > 0}
    chosen: set[int] = set()
    for rivals in _rivals([(i, candidates[i].pieces) for i in worth]):
        group = _worth_their_parts(rivals, candidates, worth)
        if len(group) == 1:
            chosen.update(group)
        elif len(group) <= _EXHAUSTIVE:
            chosen.update(
                _best_set(tuple(sorted(group, key=lambda i: -worth[i])), candidates, worth)
            )
        else:
            chosen.update(_greedy(group, candidates, worth))
    tight = {_tightest(i, candidates, probabilities) for i in chosen}
    return _without_letters(_outside(tight, candidates), candidates, probabilities)


def _tightest(index: int, candidates: Sequence[Candidate], probabilities: Floats) -> int:
    """The chosen candidate, or, where it is several pieces of ink, the one of them that is the same
    digit for sure with nearly all of its ink in a far smaller box: the rest is a bit of ruling or
    a speck beside it. A piece that was cut stays whole: cuts fall elsewhere in the next frame."""
    whole, digit = candidates[index], probabilities[index, :NOT_A_DIGIT].argmax()
    if whole.primary or len(whole.pieces) < 2:
        return index
    parts = [
        i
        for i in np.flatnonzero(probabilities[:, digit] >= _CERTAIN).tolist()
        if candidates[i].primary
        and candidates[i].pieces < whole.pieces
        and candidates[i].ink >= _MOST_INK * whole.ink
        and candidates[i].box.iou(whole.box) < _TIGHTER
    ]
    return max(parts, key=lambda i: candidates[i].ink, default=index)


def _outside(chosen: set[int], candidates: Sequence[Candidate]) -> set[int]:
    """Without small ones inside the box of another: a bit of its stroke that came off, or a blot;
    and without frames that hold several."""
    order = sorted(chosen)
    if len(order) < 2:
        return chosen
    x0, y0, x1, y1 = (
        np.array([getattr(candidates[i].box, k) for i in order], np.float64)
        for k in ("x", "y", "right", "bottom")
    )
    wide, high = x1 - x0, y1 - y0
    across = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    down = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    inside = shared >= _INSIDE * (wide * high)[:, None]
    holds = inside & (high[:, None] <= _SMALL * high)
    frame = (holds & (high[:, None] >= _GRAIN * high)).sum(axis=0) > _BITS
    lost = (holds & ~frame).any(axis=1) | frame
    return {i for i, gone in zip(order, lost, strict=True) if not gone}


def _without_letters(
    chosen: set[int], candidates: Sequence[Candidate], probabilities: Floats
) -> set[int]:
    """Without those that are rather letters, leaves or bricks, by the marks around them."""
    if not chosen:
        return chosen
    taken = frozenset().union(*(candidates[i].pieces for i in chosen))
    marks = [
        i for i, c in enumerate(candidates) if i in chosen or (c.primary and not c.pieces & taken)
    ]
    read = np.array([i in chosen for i in marks], bool)
    odds = digit_odds([candidates[i] for i in marks], read, probabilities[marks])
    asked = (i for i in marks if i in chosen)
    return {i for i, o in zip(asked, odds, strict=True) if o > 0}


def _rivals(items: Sequence[tuple[int, frozenset[int]]]) -> list[list[int]]:
    """Groups of candidates that share pieces, directly or through others."""
    root: dict[int, int] = {}

    def find(a: int) -> int:
        root.setdefault(a, a)
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        return a

    for _, pieces in items:
        first, *rest = pieces
        for other in rest:
            root[find(other)] = find(first)
    groups: dict[int, list[int]] = defaultdict(list)
    for i, pieces in items:
        groups[find(next(iter(pieces)))].append(i)
    return list(groups.values())


def _worth_their_parts(
    group: Sequence[int], candidates: Sequence[Candidate], worth: Mapping[int, float]
) -> list[int]:
    """Without those that bring less than what lies within them."""
    kept: list[int] = []
    for i in sorted(group, key=lambda i: len(candidates[i].pieces)):
        parts = [j for j in kept if candidates[j].pieces < candidates[i].pieces]
        if sum(worth[j] for j in _greedy(parts, candidates, worth)) <= worth[i]:
            kept.append(i)
    return kept


def _best_set(
    group: tuple[int, ...], candidates: Sequence[Candidate], worth: Mapping[int, float]
) -> tuple[int, ...]:
    """Branch and bound over all disjoint sets."""
    best: tuple[float, tuple[int, ...]] = (0.0, ())
    rest = np.cumsum([worth[i] for i in reversed(group)])[::-1]

    def search(at: int, taken: frozenset[int], picked: tuple[int, ...], value: float) -> None:
        nonlocal best
        if value > best[0]:
            best = value, picked
        if at == len(group) or value + rest[at] <= best[0]:
            return
        i = group[at]
        if not candidates[i].pieces & taken:
            search(at + 1, taken | candidates[i].pieces, (*picked, i), value + worth[i])
        search(at + 1, taken, picked, value)

    search(0, frozenset(), (), 0.0)
    return best[1]


def _greedy(
    group: Iterable[int], candidates: Sequence[Candidate], worth: Mapping[int, float]
) -> list[int]:
    picked: list[int] = []
    taken: set[int] = set()
    for i in sorted(group, key=lambda i: -worth[i]):
        if not candidates[i].pieces & taken:
            picked.append(i)
            taken |= candidates[i].pieces
    return picked
