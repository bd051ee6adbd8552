"""Reading off the picture's way: one worker thread owns the network.

A one-slot mailbox takes the question about a look; a newer one replaces one that still waits, so
work never queues. Each question runs as one batch; answers come back keyed by track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from live_digits.core.durations import COPIED, Durations
from live_digits.core.types import Classifier
from live_digits.core.worker import PATIENCE, Worker
from live_digits.reading.questions import Judge, Prediction, Question, answer_question, as_judge


@dataclass(frozen=True, slots=True)
class InferenceStats:
    """Counts since the start; `times` are seconds a batch, the newest last."""

    batches: int
    crops: int
    times: tuple[float, ...]
    last_batch: int


class InferenceWorker(Worker[Question, Judge, tuple[Prediction, ...]]):
    """Owns a judge, or a crop network, on its own thread."""

    def __init__(self, load: Callable[[], Classifier | Judge], patience: float = PATIENCE) -> None:
        """`load` makes the network; it runs on the worker's thread."""
        super().__init__("inference", lambda: as_judge(load()), patience)
        self._answers: deque[Prediction] = deque()
        self._batches = self._crops = self._last = 0
        self._times = Durations(COPIED)

    def submit(self, question: Question) -> None:
        """Asks a question. Replaces what waits; an empty one does not."""
        if len(question):
            self._offer(question)

    def results(self) -> tuple[Prediction, ...]:
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
            return frozenset(track for r in requests if r for track in r.asked)

    @property
    def stats(self) -> InferenceStats:
        """Counts and times since the start."""
        with self._condition:
            return InferenceStats(self._batches, self._crops, tuple(self._times), self._last)

    def _work(self, tool: Judge, request: Question) -> tuple[Prediction, ...]:
        return answer_question(tool, request)

    def _free(self, tool: Judge) -> None:
        close = getattr(tool, "close", None)  # of one in a process of its own
        if close is not None:
            close()

    def _keep(self, request: Question, answer: tuple[Prediction, ...], seconds: float) -> None:
        self._answers.extend(answer)
        self._batches += 1
        self._crops += len(request)
        self._last = len(request)
        self._times.add(seconds)
