"""Reading off the picture's way: one worker thread owns the network.

A one-slot mailbox takes the crops that need a reading; a newer request replaces one that still
waits, so work never queues. Each request runs as one batch; answers come back keyed by track.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from live_digits.types import Classifier, Floats, Image

_MOST_TIMES = 4096
"""Durations kept for the statistics."""
_IDLE = 0.25
"""Seconds between looks at the stop event while nothing is asked."""


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


class InferenceWorker:
    """Owns a classifier on its own thread. Every method may be called from the main thread and
    none of them waits for the network, but for `close`."""

    def __init__(self, load: Callable[[], Classifier]) -> None:
        """`load` makes the classifier; it runs on the worker's thread."""
        self._load = load
        self._condition = threading.Condition()
        self._stop = threading.Event()
        self._asked: tuple[tuple[int, ...], Image] | None = None
        self._running: tuple[int, ...] = ()
        self._answers: deque[Answer] = deque()
        self._error: Exception | None = None
        self._failed = False
        self._failures = 0
        self._batches = self._crops = self._last = 0
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Starts the thread; the classifier is loaded there."""
        self._thread.start()

    def submit(self, tracks: Sequence[int], crops: Image) -> None:
        """Asks for readings of `crops` (uint8 N×28×28, row i of track i). Replaces what waits."""
        if len(tracks) != len(crops):
            raise ValueError(f"{len(tracks)} tracks and {len(crops)} crops")
        if len(tracks) == 0 or self._failed:
            return
        with self._condition:
            self._asked = tuple(tracks), crops
            self._condition.notify()

    def results(self) -> tuple[Answer, ...]:
        """The answers since the last call."""
        with self._condition:
            answers = tuple(self._answers)
            self._answers.clear()
        return answers

    @property
    def busy(self) -> bool:
        """True while a request waits or runs."""
        with self._condition:
            return self._asked is not None or bool(self._running)

    @property
    def pending(self) -> frozenset[int]:
        """Tracks whose answer is on its way."""
        with self._condition:
            waiting = self._asked[0] if self._asked else ()
            return frozenset(waiting) | frozenset(self._running)

    @property
    def error(self) -> Exception | None:
        """The last failure; None again after a batch that worked."""
        return self._error

    @property
    def failed(self) -> bool:
        """True once the worker has given up: the classifier cannot be loaded, or failed thrice."""
        return self._failed

    @property
    def failures(self) -> int:
        """Batches that raised."""
        return self._failures

    @property
    def stats(self) -> InferenceStats:
        """Counts and times since the start."""
        with self._condition:
            return InferenceStats(self._batches, self._crops, tuple(self._times), self._last)

    def close(self, timeout: float = 3.0) -> bool:
        """Ends the thread; True if it ended within `timeout` seconds. May be called twice."""
        self._stop.set()
        with self._condition:
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        classifier: Classifier | None = None
        in_a_row = 0
        while not self._stop.is_set():
            try:
                if classifier is None:
                    classifier = self._load()
                request = self._take()
                if request is None:
                    continue
                self._answer(classifier, *request)
                in_a_row = 0
                self._error = None
            except Exception as e:
                self._error = e
                self._failures += 1
                in_a_row += 1
                if classifier is None or in_a_row >= _MOST_FAILURES:
                    self._failed = True
                    with self._condition:
                        self._asked, self._running = None, ()
                    return
                classifier = None
            finally:
                with self._condition:
                    self._running = ()

    def _take(self) -> tuple[tuple[int, ...], Image] | None:
        with self._condition:
            if self._asked is None:
                self._condition.wait(_IDLE)
            request, self._asked = self._asked, None
            if request is not None:
                self._running = request[0]
            return request

    def _answer(self, classifier: Classifier, tracks: tuple[int, ...], crops: Image) -> None:
        start = time.perf_counter()
        probabilities = classifier.classify(crops)
        took = time.perf_counter() - start
        answers = [Answer(t, p) for t, p in zip(tracks, probabilities, strict=True)]
        with self._condition:
            self._answers.extend(answers)
            self._batches += 1
            self._crops += len(tracks)
            self._last = len(tracks)
            self._times.append(took)


_MOST_FAILURES = 3
"""Failures in a row after which the worker gives up; after each the classifier is made anew."""
