"""The machinery of all sources: a thread that puts frames, the slot that holds the newest one,
counters, the end."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace

from live_digits.core.errors import SourceError
from live_digits.core.types import Frame, Image, Mode, Signal, SourceInfo

log = logging.getLogger("live_digits.capture")

_QUEUE = 4
"""Frames that wait at most where every frame counts."""
CLOSE = 0.5
"""Seconds that `close` waits for the threads, all together."""
_MEASURE = 60
"""Arrivals that the measured rate spans."""


class ThreadedSource(ABC):
    """One thread that runs `_work` and puts frames, a slot (or, where every frame counts, a short
    queue), the counters, and the end."""

    def __init__(self, info: SourceInfo, *, lossless: bool) -> None:
        self.note = ""
        self.captured = self.dropped = 0
        self.error: SourceError | None = None
        self._info, self._lossless = info, lossless
        self._frames: deque[Frame] = deque()
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        self._size = (0, 0)
        self._arrivals: deque[float] = deque(maxlen=_MEASURE)

    @property
    def info(self) -> SourceInfo:
        with self._condition:
            times, (width, height) = tuple(self._arrivals), self._size
        span = times[-1] - times[0] if times else 0.0
        fps = (len(times) - 1) / span if span > 0 else 0.0
        return replace(self._info, measured=Mode(width, height, fps))

    @property
    def signal(self) -> Signal:
        return Signal()

    @property
    def finished(self) -> bool:
        return self._ended and not self._frames

    def start(self) -> None:
        if self._thread is None and not self._ended:
            name = f"source {self._info.kind}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def read(self, timeout: float) -> Frame | None:
        self.start()
        self._asked.set()
        with self._condition:
            self._condition.wait_for(lambda: bool(self._frames) or self._ended, timeout)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._condition.notify_all()
            return frame

    def wait_for_first(self, timeout: float) -> bool:
        """Whether a frame comes within `timeout` seconds. It is not taken."""
        self.start()
        with self._condition:
            self._condition.wait_for(lambda: bool(self._frames) or self._ended, timeout)
            return bool(self._frames)

    def close(self) -> None:
        self._stop.set()
        self._asked.set()
        with self._condition:
            self._ended = True
            self._frames.clear()
            self._condition.notify_all()
        if self._thread is None:
            self.release()
            return
        self._thread.join(CLOSE)
        if self._thread.is_alive():
            # A blocked disk cannot be interrupted; the thread ends when that returns.
            log.info("%s: still blocked while closing", self._info.name)

    def _run(self) -> None:
        try:
            self.run()
        except SourceError as e:
            self.error = e
        except Exception as e:
            log.debug("%s failed", self._info.name, exc_info=True)
            self.error = SourceError(f"{self._info.name}: {type(e).__name__}: {e}")
        finally:
            self.release()
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    @abstractmethod
    def run(self) -> None:
        """Puts frames until there are none or `_stop` is set."""

    def release(self) -> None:  # noqa: B027 (some kinds hold nothing)
        """Gives back what the source holds. May be called again."""

    def put(self, image: Image, seq: int, when: float, name: str = "") -> bool:
        """Offers one frame; False once the source is being closed."""
        image.flags.writeable = False
        now = time.monotonic()
        frame = Frame(image, seq, when, name or self._info.name, now)
        with self._condition:
            self.captured += 1
            self._size = image.shape[1], image.shape[0]
            self._arrivals.append(now)
            if self._lossless:
                self._condition.wait_for(lambda: len(self._frames) < _QUEUE or self._stop.is_set())
            elif self._frames:
                self._frames.clear()
                self.dropped += 1
            if self._stop.is_set():
                return False
            self._frames.append(frame)
            self._condition.notify_all()
        return True

    def skip(self, count: int) -> None:
        """Counts frames that were due and are skipped."""
        with self._condition:
            self.captured += count
            self.dropped += count
