"""What the networks are asked about a look at a page, and what they answer.

A question holds the cutouts of the candidates that need an answer and what is known of all
candidates of the page, so that one call on the inference thread sees each among its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from live_digits.core.types import CROP_SIZE, Candidate, Classifier, Floats, Image
from live_digits.reading.classes import JUDGED, from_crops
from live_digits.reading.cutouts import Cutouts, no_cutouts

VOTES = 6
"""Answers that a running mean remembers: more are steadier and slower to change."""


@runtime_checkable
class Judge(Protocol):
    """What decides what a candidate is."""

    name: str
    surroundings: bool
    """Whether the windows of the cutouts are looked at."""

    def classify(self, crops: Image) -> Floats:
        """Returns float32 N×11 for crops uint8 N×28×28: ten digits and "not a digit"."""
        ...

    def evidence(self, cutouts: Cutouts) -> Floats:
        """Returns float32 N×14, what each candidate is by its ink and its surroundings."""
        ...

    def verdicts(self, candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        """Returns float32 N×14, what each is among all N candidates of its page."""
        ...


class PlainJudge:
    """Decides by the answers of a crop network alone."""

    surroundings = False

    def __init__(self, classifier: Classifier) -> None:
        self.name = classifier.name
        self._classifier = classifier

    def classify(self, crops: Image) -> Floats:
        """Returns the network's own answers, float32 N×11."""
        return self._classifier.classify(crops)

    def evidence(self, cutouts: Cutouts) -> Floats:
        """Returns the network's answers in the judge's classes."""
        return from_crops(self._classifier.classify(cutouts.crops))

    def verdicts(self, candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        """Returns the evidence: neighbours do not matter."""
        del candidates
        return evidence

    def close(self) -> None:
        """Ends the process of a network that runs in one."""
        close = getattr(self._classifier, "close", None)
        if close is not None:
            close()


def as_judge(network: Classifier | Judge) -> Judge:
    """Returns the network itself if it judges, else one that decides by its answers alone."""
    return network if isinstance(network, Judge) else PlainJudge(network)


@dataclass(frozen=True, slots=True)
class Page:
    """The candidates of a look and what is known of them.

    `tracks`: the track of each candidate. `means`: float32 N×14, the running mean of what was said
    of each. `counts`: answers in each mean, 0 where nothing was said yet.
    """

    candidates: tuple[Candidate, ...] = ()
    tracks: tuple[int, ...] = ()
    means: Floats = field(default_factory=lambda: np.zeros((0, JUDGED), np.float32))
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at once.

    `tracks` and `cutouts`: candidates that need an answer, a row a track. `page`: all candidates
    of the look; without them each is judged alone. `plain`: only crops decide, as for `classic`.
    `written` and `drawn`: ids and crops (uint8 N×28×28) of what was written in the air.
    """

    tracks: tuple[int, ...] = ()
    cutouts: Cutouts = field(default_factory=no_cutouts)
    page: Page = field(default_factory=Page)
    plain: bool = False
    written: tuple[int, ...] = ()
    drawn: Image = field(default_factory=lambda: np.zeros((0, CROP_SIZE, CROP_SIZE), np.uint8))

    def __len__(self) -> int:
        return len(self.tracks) + len(self.written)

    @property
    def asked(self) -> tuple[int, ...]:
        """All tracks and ids that get an answer."""
        return (*self.tracks, *self.written)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was said of one track.

    `probabilities`: float32 14 of a candidate, float32 11 of what was written in the air, None
    where only the verdict is new. `verdict`: float32 14, among its neighbours; None without a page.
    """

    track: int
    probabilities: Floats | None
    verdict: Floats | None = None


def stack_rows(rows: Sequence[Floats], width: int) -> Floats:
    """Returns rows of `width` numbers as float32 N×width, N 0 included."""
    return np.array(list(rows), np.float32).reshape(-1, width)


def update_mean(mean: Floats, count: int, new: Floats, most: int = VOTES) -> Floats:
    """Returns a running mean of at most `most` answers after one more."""
    if count <= 0:
        return np.array(new, np.float32)
    return np.asarray(mean + (new - mean) / min(count + 1, most), np.float32)


def answer_question(judge: Judge, question: Question) -> tuple[Prediction, ...]:
    """Returns the answers to a question: a track's each, and the verdicts of the whole page.

    Args:
        judge: decides; called on the caller's thread.
        question: any; an empty one has no answers.

    Raises:
        ValueError: the judge answers another number of rows than it was asked for.
    """
    judge = PlainJudge(judge) if question.plain else judge
    answers: list[Prediction] = []
    if question.written:
        read = judge.classify(question.drawn)
        answers += [Prediction(i, p) for i, p in zip(question.written, read, strict=True)]
    if not question.tracks:
        return tuple(answers)
    said = judge.evidence(question.cutouts)
    if len(said) != len(question.tracks):
        raise ValueError(f"got {len(said)} answers, expected {len(question.tracks)}")
    new = dict(zip(question.tracks, said, strict=True))
    page = question.page
    if not page.tracks:
        return (*(Prediction(t, p) for t, p in new.items()), *answers)
    known = [k for k, t in enumerate(page.tracks) if t in new or page.counts[k]]
    means = stack_rows(
        [
            update_mean(page.means[k], page.counts[k], new[page.tracks[k]])
            if page.tracks[k] in new
            else page.means[k]
            for k in known
        ],
        JUDGED,
    )
    verdicts = judge.verdicts([page.candidates[k] for k in known], means)
    told = [
        Prediction(page.tracks[k], new.get(page.tracks[k]), v)
        for k, v in zip(known, verdicts, strict=True)
    ]
    return (*told, *answers)
