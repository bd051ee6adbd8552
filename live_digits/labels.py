"""Answers of the network → the digits of a frame: competing boxes resolved, votes, text lines.

`resolve_once` serves single pictures; `Labels` gathers votes over the frames of a moving picture
and hands its averages to the very same resolver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from live_digits.config import ReadingSettings
from live_digits.types import NOT_A_DIGIT, Box, Candidate, Digit, Floats, Track

_PRIMARY_BONUS = 0.06
"""What a whole blob is ahead of its halves and unions, in confidence."""
_STAKE = 0.45
"""A candidate below this confidence only costs: leaving its ink unread is better."""
_EXHAUSTIVE = 14
"""Groups of this many candidates or fewer are searched completely; larger ones greedily."""
_VOTES = 6
"""Answers that a track's average remembers."""
_KEEP = 0.12
"""A shown label is given up only when another leads by this probability."""
_HOLD = 0.1
"""A shown digit stays down to this much below the confidence that it needed to appear."""
_NARROW = 0.45
"""Narrower than this (width by height), a crop shows next to nothing: a 1, a streak, an edge."""
_SURE = 0.9
"""From this confidence a digit that is not narrow tells how dark and how high the others are."""
_NEAREST = 7
"""Sure digits whose heights a narrow one is compared with."""
_PALER = (0.5, 0.35)
"""Ink paler than this share of the sure digits' is no narrow digit, or no other unsure one."""
_HEIGHTS = (0.5, 2.0)
"""A narrow digit's height against its neighbours'."""
_COMPANY = 10
"""So many of the nearest marks that a digit is comparable with are asked whether they are digits."""
_ALIKE_HEIGHT, _ALIKE_DARK = 2.5, 0.5
"""Marks are comparable up to this factor in height, and from this share of the digit's darkness."""
_ALONE = 1.0
"""What no company at all weighs: half of it for the digits. Narrow ones are no evidence."""
_STRANGE = ((0.12, 0.995), (0.33, 0.97))
"""Where no more than this share of the company are digits, a digit needs this confidence."""
_SIDES = 0.15
"""A narrow digit's paper is about as light on its left as on its right; an edge's is not."""
_FAINT = 16
"""Without sure digits, a narrow one is at least this much darker than its paper, of 255."""
_SAME_LINE = 0.5
"""Digits are on one line when they overlap vertically by this share of the lower one's height."""
_WORD_GAP = 1.5
"""A gap starts a new number from this many median heights, or from ..."""
_WORD_RATIO = 1.8
"""... this many times the line's median gap, whichever is larger."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A frame's boxes by what became of them. `digits` are in no order yet."""

    digits: tuple[Digit, ...]
    pending: tuple[Box, ...] = ()
    rejected: tuple[Box, ...] = ()


def resolve_once(
    candidates: Sequence[Candidate], probabilities: Floats, settings: ReadingSettings
) -> Resolution:
    """`probabilities` float32 N×11, a row a candidate → each piece of ink is read at most once.
    The digits' track numbers count from 1."""
    chosen = _choose(candidates, probabilities)
    digits: list[Digit] = []
    rejected: list[Box] = []
    for i in sorted(chosen):
        p = probabilities[i]
        label = int(p[:NOT_A_DIGIT].argmax())
        confidence = float(p[label])
        if confidence >= settings.confidence and p.argmax() == label:
            digits.append(Digit(candidates[i].box, label, confidence, len(digits) + 1))
    taken = frozenset().union(*(candidates[i].pieces for i in chosen)) if chosen else frozenset()
    read = {d.box for d in digits}
    for i, c in enumerate(candidates):
        if c.primary and c.box not in read and (i in chosen or not c.pieces & taken):
            rejected.append(c.box)
    return Resolution(tuple(digits), (), tuple(rejected))


def _worth(candidate: Candidate, p: Floats) -> float:
    """What reading this candidate brings: confidence over the stake, for all of its ink."""
    bonus = _PRIMARY_BONUS if candidate.primary else 0.0
    return candidate.ink * (float(p[:NOT_A_DIGIT].max()) + bonus - _STAKE)


def _plausible(candidates: Sequence[Candidate], probabilities: Floats) -> list[bool]:
    """Which candidates fit the page. A crop has lost how dark and how large it was; a streak or an
    edge looks like a 1 then, and only the sure digits around it tell them apart."""
    confidence = probabilities[:, :NOT_A_DIGIT].max(axis=1) if len(candidates) else np.zeros(0)
    narrow = np.array([c.box.w < _NARROW * c.box.h for c in candidates], bool)
    dark = np.array([c.dark for c in candidates], np.float64)
    high = np.array([c.box.h for c in candidates], np.float64)
    sure = ~narrow & (confidence >= _SURE) & (dark > 0)
    unsure = narrow | (confidence < _SURE)
    edge = narrow & (np.array([c.sides for c in candidates]) > _SIDES)
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


def _choose(candidates: Sequence[Candidate], probabilities: Floats) -> set[int]:
    """The indices of a disjoint set of candidates of the greatest worth."""
    likely = _plausible(candidates, probabilities)
    worth = {i: _worth(c, probabilities[i]) for i, c in enumerate(candidates) if likely[i]}
    worth = {i: v for i, v in worth.items() if v > 0}
    chosen: set[int] = set()
    for group in _rivals([(i, candidates[i].pieces) for i in worth]):
        if len(group) == 1:
            chosen.update(group)
        elif len(group) <= _EXHAUSTIVE:
            chosen.update(
                _best_set(tuple(sorted(group, key=lambda i: -worth[i])), candidates, worth)
            )
        else:
            chosen.update(_greedy(group, candidates, worth))
    return _in_company(chosen, candidates, probabilities)


def _in_company(
    chosen: set[int], candidates: Sequence[Candidate], probabilities: Floats
) -> set[int]:
    """Without those that stand among strangers: where the marks around are letters, leaves or
    bricks, what looks like a digit is one of them, unless it is a very good digit. Streaks and
    edges among themselves look like a page of 1s: narrow ones are no company to each other."""
    if not chosen:
        return chosen
    best = probabilities[:, :NOT_A_DIGIT].max(axis=1)
    read = np.zeros(len(candidates), bool)
    read[list(chosen)] = True
    slim = np.array([c.box.w < _NARROW * c.box.h for c in candidates], bool)
    taken = frozenset().union(*(candidates[i].pieces for i in chosen))
    marks = np.array(
        [i for i, c in enumerate(candidates) if read[i] or (c.primary and not c.pieces & taken)]
    )
    high = np.array([candidates[i].box.h for i in marks], np.float64)
    dark = np.array([candidates[i].dark for i in marks], np.float64)
    centre = np.array([candidates[i].box.centre for i in marks])
    kept = set()
    for i in chosen:
        c = candidates[i]
        alike = (high * _ALIKE_HEIGHT > c.box.h) & (high < _ALIKE_HEIGHT * c.box.h)
        alike &= (dark >= _ALIKE_DARK * c.dark) & (marks != i)
        near = np.flatnonzero(alike)
        away = np.abs(centre[near] - c.box.centre).sum(axis=1)
        near = marks[near[np.argsort(away, kind="stable")[:_COMPANY]]]
        digits = np.count_nonzero(read[near] & ~slim[near])
        share = (digits + _ALONE / 2) / (digits + np.count_nonzero(~read[near]) + _ALONE)
        needed = next((need for most, need in _STRANGE if share <= most), 0.0)
        if not needed or (best[i] >= needed and not slim[i]):
            kept.add(i)
    return kept


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


@dataclass(slots=True)
class _Votes:
    """What the network has said of one track: a running mean, and what is shown."""

    mean: Floats
    count: int = 1
    shown: int | None = None


class Labels:
    """Votes by track. Belongs to one thread."""

    def __init__(self, settings: ReadingSettings) -> None:
        self.settings = settings
        self._votes: dict[int, _Votes] = {}

    def add(self, track: int, probabilities: Floats) -> None:
        """One answer, float32 11."""
        votes = self._votes.get(track)
        if votes is None:
            self._votes[track] = _Votes(np.asarray(probabilities, np.float32).copy())
            return
        votes.count = min(votes.count + 1, _VOTES)
        step = (probabilities - votes.mean) / votes.count
        votes.mean = np.asarray(votes.mean + step, np.float32)

    def count(self, track: int) -> int:
        """Answers so far, at most as many as the mean remembers."""
        votes = self._votes.get(track)
        return votes.count if votes else 0

    def settled(self, track: int) -> bool:
        """True where more answers would hardly change the label."""
        votes = self._votes.get(track)
        if votes is None:
            return False
        return votes.count >= _VOTES or (votes.count >= 2 and float(votes.mean.max()) > 0.97)

    def doubt(self, track: int) -> None:
        """What was said of the track counts as one answer: its ink has changed."""
        votes = self._votes.get(track)
        if votes:
            votes.count = 1

    def keep(self, tracks: Iterable[int]) -> None:
        """Forgets all other tracks."""
        alive = set(tracks)
        self._votes = {i: v for i, v in self._votes.items() if i in alive}

    def reset(self) -> None:
        """Forgets everything."""
        self._votes.clear()

    def resolve(self, candidates: Sequence[Candidate], tracks: Sequence[Track]) -> Resolution:
        """The digits of this frame; boxes without an answer yet are pending."""
        known = [t for t in tracks if t.id in self._votes]
        own = [candidates[t.candidate] for t in known]
        answers = np.array([self._leaning(self._votes[t.id]) for t in known], np.float32).reshape(
            -1, NOT_A_DIGIT + 1
        )
        chosen = _choose(own, answers)
        digits, rejected = [], []
        taken: set[int] = set()
        for i, t in enumerate(known):
            votes = self._votes[t.id]
            digit = self._label(votes) if i in chosen else None
            votes.shown = digit
            if digit is None:
                continue
            taken |= own[i].pieces
            digits.append(Digit(t.box, digit, float(votes.mean[digit]), t.id))
        for i, t in enumerate(known):
            if self._votes[t.id].shown is None and own[i].primary and not own[i].pieces & taken:
                rejected.append(t.box)
        waiting = [t for t in tracks if t.id not in self._votes]
        pending = [
            t.box
            for t in waiting
            if candidates[t.candidate].primary and not candidates[t.candidate].pieces & taken
        ]
        return Resolution(tuple(digits), tuple(pending), tuple(rejected))

    def _leaning(self, votes: _Votes) -> Floats:
        """The mean, leaning to what is shown: rivals of nearly equal worth must not take turns."""
        if votes.shown is None:
            return votes.mean
        leaning: Floats = np.array(votes.mean, np.float32)
        leaning[votes.shown] = min(1.0, leaning[votes.shown] + _KEEP)
        return leaning

    def _label(self, votes: _Votes) -> int | None:
        leaning = self._leaning(votes)
        best = int(leaning.argmax())
        if best == NOT_A_DIGIT:
            return None
        needed = self.settings.confidence - (_HOLD if best == votes.shown else 0.0)
        return best if float(votes.mean[best]) >= needed else None


def reading_order(digits: Sequence[Digit]) -> tuple[tuple[Digit, ...], tuple[str, ...]]:
    """Digits in reading order and the text lines they form, top to bottom; a wide gap in a line
    becomes a space. Lines may be tilted: neighbours are chained, not binned. The order in which the
    digits are handed in does not matter."""
    lines = _lines(sorted(digits, key=lambda d: (*d.box.as_list(), d.digit, d.track)))
    ordered = tuple(d for line in lines for d in line)
    return ordered, tuple(_text(line) for line in lines)


def _lines(digits: list[Digit]) -> list[list[Digit]]:
    """Chains of neighbours: each digit, from left to right as they come, goes to the line whose
    nearest digit lies level with it."""
    if not digits:
        return []
    slope = _slope(digits)
    lines: list[list[Digit]] = []
    for d in digits:
        best: tuple[float, list[Digit]] | None = None
        for line in lines:
            last = line[-1]
            across = d.box.centre[0] - last.box.centre[0]
            off = abs(d.box.centre[1] - last.box.centre[1] - slope * across)
            level = min(d.box.h, last.box.h) * (1 - _SAME_LINE) + abs(d.box.h - last.box.h) / 2
            if off < level and (best is None or off < best[0]):
                best = off, line
        if best:
            best[1].append(d)
        else:
            lines.append([d])
    middle = float(np.mean([d.box.centre[0] for d in digits]))

    def height(line: list[Digit]) -> float:
        return float(np.mean([d.box.centre[1] - slope * (d.box.centre[0] - middle) for d in line]))

    return sorted(lines, key=height)


_STEEPEST = 0.8


def _slope(digits: Sequence[Digit]) -> float:
    """How the lines run: the median slope from each digit to its nearest neighbour to the right."""
    slopes = []
    for d in digits:
        (x, y), h = d.box.centre, d.box.h
        best: tuple[float, float] | None = None
        for other in digits:
            ox, oy = other.box.centre
            dx, dy = ox - x, oy - y
            if dx <= 0.2 * min(h, other.box.h) or abs(dy) > _STEEPEST * dx or dx > 3 * h:
                continue
            reach = dx + 2 * abs(dy)
            if best is None or reach < best[0]:
                best = reach, dy / dx
        if best:
            slopes.append(best[1])
    return float(np.median(slopes)) if slopes else 0.0


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


def numbered(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """The digits with tracks counted from 1 in their order, for single pictures."""
    return tuple(replace(d, track=i) for i, d in enumerate(digits, 1))
