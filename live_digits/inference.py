"""Reading off the picture's way: one worker thread owns the network.

A one-slot mailbox takes the crops that need a reading; a newer request replaces one that still
waits, so work never queues. Each request runs as one batch; answers come back keyed by track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from live_digits.types import Classifier, Floats, Image
from live_digits.worker import PATIENCE, Worker

_MOST_TIMES = 4096
"""Durations kept for the statistics."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network said of one track's crop: float32 11."""

    track: int
    probabilities: Floats


@dataclass(frozen=True, slots=True)
class InferenceStats:
    """Counts since the start; `times` are seconds a batch, the newest last."""

    batches: int
    crops: int
    times: tuple[float, ...]
    last_batch: int


_Request = tuple[tuple[int, ...], Image]


class InferenceWorker(Worker[_Request, Classifier, Floats]):
    """Owns a classifier on its own thread."""

    def __init__(self, load: Callable[[], Classifier], patience: float = PATIENCE) -> None:
        """`load` makes the classifier; it runs on the worker's thread."""
        super().__init__("inference", load, patience)
        self._answers: deque[Answer] = deque()
        self._batches = self._crops = self._last = 0
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)

    def submit(self, tracks: Sequence[int], crops: Image) -> None:
        """Asks for readings of `crops` (uint8 N×28×28, row i of track i). Replaces what waits."""
        if len(tracks) != len(crops):
            raise ValueError(f"{len(tracks)} tracks and {len(crops)} crops")
        if len(tracks):
            self._offer((tuple(tracks), crops))

    def results(self) -> tuple[Answer, ...]:
        """The answers since the last call."""
        with self._condition:
            answers = tuple(self._answers)
            self._answers.clear()
        return answers

    @property
    def pending(self) -> frozenset[int]:
        """Tracks whose answer is on its way."""
        with self._condition:
            requests = (self._asked, self._running)
            return frozenset(track for r in requests if r for track in r[0])

    @property
    def stats(self) -> InferenceStats:
        """Counts and times since the start."""
        with self._condition:
            return InferenceStats(self._batches, self._crops, tuple(self._times), self._last)

    def _work(self, tool: Classifier, request: _Request) -> Floats:
        tracks, crops = request
        probabilities = tool.classify(crops)
        if len(probabilities) != len(tracks):
            raise ValueError(f"{len(probabilities)} answers to {len(tracks)} crops")
        return probabilities

    def _free(self, tool: Classifier) -> None:
        close = getattr(tool, "close", None)  # of one in a process of its own
        if close is not None:
            close()

    def _keep(self, request: _Request, answer: Floats, seconds: float) -> None:
        tracks, _ = request
        self._answers.extend(Answer(t, p) for t, p in zip(tracks, answer, strict=True))
        self._batches += 1
        self._crops += len(tracks)
        self._last = len(tracks)
        self._times.append(seconds)
