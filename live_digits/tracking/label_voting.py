"""Votes by track: labels of a moving picture that do not flicker.

What the networks say of a track is averaged over looks, and what is shown stays until something
else is clearly likelier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from live_digits.config.settings import ReadingSettings
from live_digits.core.types import CLASSES, NOT_A_DIGIT, Candidate, Digit, Floats, Track
from live_digits.reading.candidate_selection import select
from live_digits.reading.classes import JUDGED, from_crops
from live_digits.reading.questions import VOTES, Page, Prediction, stack_rows, update_mean
from live_digits.reading.resolution import Resolved, disjoint_from, rejection


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """How far an answer must move before what is shown changes."""

    settled: float = 0.97
    """Mean probability from which a label would hardly change; raised, more is asked."""
    verdicts: int = 2
    """Verdicts that are averaged: they are of means already; raised, labels change later."""
    label: float = 0.3
    """Probability by which another label or rival must lead; raised, what is shown stays longer."""
    confidence: float = 0.2
    """A shown digit stays down to this far below the confidence that it needed; raised, longer."""
    same: float = 0.5
    """Least overlap (IoU) with which another track takes over a digit's id; raised, ids change."""


HYSTERESIS = Hysteresis()


@dataclass(slots=True)
class _Votes:
    """What has been said of one track: running means, and what is shown."""

    mean: Floats
    count: int = 1
    verdict: Floats | None = None
    verdicts: int = 0
    shown: int | None = None

    @property
    def decided(self) -> Floats:
        """What it is: among its neighbours, or, without these, alone."""
        return self.mean if self.verdict is None else self.verdict


class LabelVoting:
    """Gathers answers by track. Belongs to one thread."""

    def __init__(self, settings: ReadingSettings) -> None:
        self._settings = settings
        self.version = 0
        """Grows with everything that may change what `resolve` says of the same boxes."""
        self._votes: dict[int, _Votes] = {}
        self._shown: dict[int, Digit] = {}
        """What each track was last shown as."""
        self._ids: dict[int, int] = {}
        """The id under which a track is shown, where it is another than its own."""

    def configure(self, settings: ReadingSettings) -> None:
        """Takes new limits: what is shown counts no more when next it is decided."""
        if settings == self._settings:
            return
        self._settings = settings
        self.version += 1
        for votes in self._votes.values():
            votes.shown = None

    def add_predictions(self, answer: Prediction) -> None:
        """Takes what was said of a track, among its neighbours or alone."""
        self.version += 1
        votes = self._votes.get(answer.track)
        if answer.probabilities is not None:
            new = np.asarray(answer.probabilities, np.float32)
            new = from_crops(new[None])[0] if len(new) == CLASSES else new
            if votes is None:
                votes = self._votes[answer.track] = _Votes(new.copy())
            else:
                votes.mean = update_mean(votes.mean, votes.count, new)
                votes.count = min(votes.count + 1, VOTES)
        if votes is None or answer.verdict is None:
            return
        before = votes.mean if votes.verdict is None else votes.verdict
        votes.verdict = update_mean(before, votes.verdicts, answer.verdict, HYSTERESIS.verdicts)
        votes.verdicts = min(votes.verdicts + 1, HYSTERESIS.verdicts)

    def page(self, candidates: Sequence[Candidate], tracks: Sequence[Track]) -> Page:
        """Returns the candidates of a look with what is known of each."""
        votes = [self._votes.get(t.id) for t in tracks]
        blank = np.zeros(JUDGED, np.float32)
        return Page(
            tuple(candidates[t.candidate] for t in tracks),
            tuple(t.id for t in tracks),
            stack_rows([v.mean if v else blank for v in votes], JUDGED),
            tuple(v.count if v else 0 for v in votes),
        )

    def count(self, track: int) -> int:
        """Returns how many answers the track's mean holds, at most as many as it remembers."""
        votes = self._votes.get(track)
        return votes.count if votes else 0

    def is_settled(self, track: int) -> bool:
        """Returns whether more answers would hardly change the label."""
        count = self.count(track)
        return count >= VOTES or (count >= 2 and self.is_confident(track))

    def is_confident(self, track: int) -> bool:
        """Returns whether the answers so far agree. Others may be of a blurred crop."""
        votes = self._votes.get(track)
        if votes is None:
            return False
        digits, none = votes.decided[:NOT_A_DIGIT], votes.decided[NOT_A_DIGIT:]
        return float(max(digits.max(), none.sum())) > HYSTERESIS.settled

    def discount(self, track: int) -> None:
        """Counts what was said of the track as one answer: its ink has changed."""
        votes = self._votes.get(track)
        if votes:
            votes.count, votes.verdicts = 1, 0  # verdicts are of means: these remember enough
            self.version += 1

    def retain(self, tracks: Iterable[int]) -> None:
        """Forgets all other tracks."""
        alive = set(tracks)
        kept = {i: v for i, v in self._votes.items() if i in alive}
        self.version += len(kept) != len(self._votes)
        self._votes = kept
        self._shown = {i: d for i, d in self._shown.items() if i in alive}
        self._ids = {i: name for i, name in self._ids.items() if i in alive}

    def reset(self) -> None:
        """Forgets everything."""
        self.version += 1
        self._votes.clear()
        self._shown.clear()
        self._ids.clear()

    def id_of(self, track: int) -> int:
        """Returns the id under which a track is shown."""
        return self._ids.get(track, track)

    def resolve(self, candidates: Sequence[Candidate], tracks: Sequence[Track]) -> Resolved:
        """Returns the digits of this frame; boxes without an answer yet are pending."""
        known = [t for t in tracks if t.id in self._votes]
        own = [candidates[t.candidate] for t in known]
        votes = [self._votes[t.id] for t in known]
        leaning = stack_rows([self._with_hysteresis(v) for v in votes], JUDGED)
        chosen = set(select(own, leaning))
        digits: list[Digit] = []
        unread = disjoint_from(own, chosen)
        for i, t in enumerate(known):
            digit = self._label(votes[i], leaning[i]) if i in chosen else None
            votes[i].shown = digit
            if digit is not None:
                digits.append(Digit(t.box, digit, float(votes[i].decided[digit]), t.id))
            elif i in chosen:
                unread.append(i)
        rejected = tuple(rejection(known[i].box, votes[i].decided) for i in sorted(unread))
        taken = {piece for i in chosen for piece in own[i].component_ids}
        pending = tuple(
            t.box
            for t in tracks
            if t.id not in self._votes
            and candidates[t.candidate].is_whole
            and not candidates[t.candidate].component_ids & taken
        )
        return Resolved(self._named(digits), pending, rejected)

    def _named(self, digits: Sequence[Digit]) -> tuple[Digit, ...]:
        """Returns the digits with lasting ids: a digit whose box is found a little larger or
        smaller is followed by another track, and is the same digit."""
        here = {d.track for d in digits}
        for d in digits:
            if d.track in self._shown:
                continue
            gone = ((b.box.iou(d.box), i) for i, b in self._shown.items()
                    if i not in here and b.digit == d.digit)  # fmt: skip
            overlap, old = max(gone, default=(0.0, 0))
            if overlap >= HYSTERESIS.same:
                self._ids[d.track], self._ids[old] = self.id_of(old), self.id_of(d.track)
                del self._shown[old]
        self._shown.update((d.track, d) for d in digits)
        return tuple(replace(d, track=self.id_of(d.track)) for d in digits)

    def _with_hysteresis(self, votes: _Votes) -> Floats:
        """The verdict, leaning to what is shown: equal rivals must not take turns."""
        if votes.shown is None:
            return votes.decided
        leaning: Floats = np.array(votes.decided, np.float32)
        leaning[votes.shown] += HYSTERESIS.label
        return leaning

    def _label(self, votes: _Votes, leaning: Floats) -> int | None:
        best = int(leaning[:NOT_A_DIGIT].argmax())
        hold = HYSTERESIS.confidence if best == votes.shown else 0.0
        return best if float(votes.decided[best]) >= self._settings.confidence - hold else None
