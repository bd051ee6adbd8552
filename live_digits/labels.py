"""Answers of the network → the digits of a frame: votes, and competing boxes resolved.

`resolve_once` serves single pictures; `Labels` gathers votes over the frames of a moving picture
and hands its averages to the very same resolver.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from live_digits.choice import choose
from live_digits.config import ReadingSettings
from live_digits.types import NOT_A_DIGIT, Box, Candidate, Digit, Floats, Track

_VOTES = 6
"""Answers that a track's average remembers."""
_AGREE = 0.97
"""A mean from which more answers would hardly change the label."""
_KEEP = 0.12
"""A shown label is given up only when another leads by this probability."""
_HOLD = 0.1
"""A shown digit stays down to this much below the confidence that it needed to appear."""


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
    chosen = choose(candidates, probabilities)
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
        self.version = 0
        """Grows with everything that may change what `resolve` says of the same boxes."""
        self._votes: dict[int, _Votes] = {}

    def add(self, track: int, probabilities: Floats) -> None:
        """One answer, float32 11."""
        self.version += 1
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
        count = self.count(track)
        return count >= _VOTES or (count >= 2 and self.sure(track))

    def sure(self, track: int) -> bool:
        """True where the answers so far agree. Others may be of a blurred crop."""
        votes = self._votes.get(track)
        return votes is not None and float(votes.mean.max()) > _AGREE

    def doubt(self, track: int) -> None:
        """What was said of the track counts as one answer: its ink has changed."""
        votes = self._votes.get(track)
        if votes:
            votes.count = 1
            self.version += 1

    def keep(self, tracks: Iterable[int]) -> None:
        """Forgets all other tracks."""
        alive = set(tracks)
        kept = {i: v for i, v in self._votes.items() if i in alive}
        self.version += len(kept) != len(self._votes)
        self._votes = kept

    def reset(self) -> None:
        """Forgets everything."""
        self.version += 1
        self._votes.clear()

    def resolve(self, candidates: Sequence[Candidate], tracks: Sequence[Track]) -> Resolution:
        """The digits of this frame; boxes without an answer yet are pending."""
        known = [t for t in tracks if t.id in self._votes]
        own = [candidates[t.candidate] for t in known]
        answers = np.array([self._leaning(self._votes[t.id]) for t in known], np.float32).reshape(
            -1, NOT_A_DIGIT + 1
        )
        chosen = choose(own, answers)
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


def numbered(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """The digits with tracks counted from 1 in their order, for single pictures."""
    return tuple(replace(d, track=i) for i, d in enumerate(digits, 1))
