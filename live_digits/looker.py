"""Vision on its own thread: the picture never waits for it longer than it can afford.

A one-slot mailbox takes the newest frame; a newer one replaces one that still waits. A frame that
shows what the last one showed is not looked at again: a page at rest costs next to nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from live_digits.config import PipelineSettings
from live_digits.pipeline import Vision, find
from live_digits.types import Floats, Frame, Image

FRESH = 0.5
"""Seconds after which a page at rest is looked at again all the same: a pale, thin, slow stroke may
be below what tells change from noise."""
_SAMPLED, _CELL = 480, 4
"""Frames are compared by samples, about so many across, averaged in cells of so many each way."""
_LEAST_CHANGE = 3.0
"""Grey levels that a cell must change by at least."""
_NOISES = 9.0
"""... and so many times the median change: sensor noise changes every cell a little."""
_IDLE = 0.25
"""Seconds between looks at the stop event while nothing is asked."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a frame. `seconds` is what it cost; `reused`: the frame shows what the one
    before showed, whose vision this is."""

    frame: Frame
    vision: Vision
    seconds: float
    reused: bool


def thumbnail(image: Image) -> Floats:
    """A small grey picture for comparison, float32, from samples: uint8 BGR H×W×3 or grey."""
    h, w = image.shape[:2]
    step = max(1, w // _SAMPLED)
    size = max(1, w // step), max(1, h // step)
    few = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    green = few if few.ndim == 2 else cv2.extractChannel(few, 1)
    cells = max(1, size[0] // _CELL), max(1, size[1] // _CELL)
    real = np.asarray(green, np.float32)
    return np.asarray(cv2.resize(real, cells, interpolation=cv2.INTER_AREA), np.float32)


def changed(before: Floats, now: Floats) -> bool:
    """Whether two thumbnails differ by more than noise and a common change of the light."""
    if before.shape != now.shape:
        return True
    apart = now - before
    apart = np.abs(apart - np.median(apart))
    return bool(apart.max() > max(_LEAST_CHANGE, _NOISES * float(np.median(apart))))


class Looker:
    """Finds what may be digits, on its own thread. `submit`, `take` and the properties belong to
    one other thread."""

    def __init__(
        self,
        reuse: bool = True,
        look: Callable[[Image, PipelineSettings], Vision] = find,
    ) -> None:
        """`reuse`: frames of a page at rest share one vision. `look` may be a fake."""
        self._reuse, self._look = reuse, look
        self._condition = threading.Condition()
        self._stop = threading.Event()
        self._asked: tuple[Frame, PipelineSettings] | None = None
        self._found: Look | None = None
        self._working = False
        self._error: Exception | None = None
        self._failures = 0
        self._last: tuple[Look, PipelineSettings, Floats, float] | None = None
        self._thread = threading.Thread(target=self._run, name="vision", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, frame: Frame, settings: PipelineSettings) -> None:
        """Asks for a look at a frame. Replaces what still waits."""
        with self._condition:
            self._asked = frame, settings
            self._condition.notify_all()

    def take(self, timeout: float | None) -> Look | None:
        """The newest look that was not taken yet; waits up to `timeout` seconds (None: as long as
        it takes) for one while any is asked for."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._found is not None or not self._busy() or self._stop.is_set(), timeout
            )
            found, self._found = self._found, None
            return found

    @property
    def error(self) -> Exception | None:
        """What the newest look failed with; None after one that worked."""
        return self._error

    @property
    def failures(self) -> int:
        """Looks that raised."""
        return self._failures

    def close(self, timeout: float = 3.0) -> bool:
        """Ends the thread; True if it ended within `timeout` seconds. May be called twice."""
        self._stop.set()
        with self._condition:
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _busy(self) -> bool:
        return self._asked is not None or self._working

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._condition:
                if self._asked is None:
                    self._condition.wait(_IDLE)
                asked, self._asked = self._asked, None
                self._working = asked is not None
            if asked is None:
                continue
            found: Look | None = None
            try:
                found = self._at(*asked)
                self._error = None
            except Exception as e:
                self._error = e
                self._failures += 1
            with self._condition:
                self._found = found or self._found
                self._working = False
                self._condition.notify_all()

    def _at(self, frame: Frame, settings: PipelineSettings) -> Look:
        start = time.perf_counter()
        if not self._reuse:
            vision = self._look(frame.image, settings)
            return Look(frame, vision, time.perf_counter() - start, False)
        small = thumbnail(frame.image)
        if self._last is not None:
            last, under, before, at = self._last
            if (
                settings == under
                and last.frame.image.shape == frame.image.shape
                and time.monotonic() - at < FRESH
                and not changed(before, small)
            ):
                return Look(frame, last.vision, time.perf_counter() - start, True)
        vision = self._look(frame.image, settings)
        look = Look(frame, vision, time.perf_counter() - start, False)
        self._last = look, settings, small, time.monotonic()
        return look
