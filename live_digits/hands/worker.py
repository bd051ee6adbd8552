"""Hands looked for off the picture's way, on a thread of their own that takes the newest frame and
looks only where something has moved.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from live_digits.config.settings import HandsSettings
from live_digits.core.durations import COPIED, Durations, percentiles
from live_digits.core.errors import HandsError, MissingExtraError
from live_digits.core.picture_fit import shrink
from live_digits.core.types import Floats, Image
from live_digits.core.worker import Worker
from live_digits.hands.landmarks import Hand, HandDetection
from live_digits.hands.mediapipe_landmarker import (
    LOOK_SIZE,
    Landmarker,
    import_for,
    open_landmarker,
)
from live_digits.hands.model_file import MODEL_NAME, MODEL_VARIABLE, find_model
from live_digits.vision.frame_difference import frame_difference

RELOOK = 0.25
"""Seconds after which hands that rest are looked at again all the same."""
STALE = 0.5
"""Seconds after which a sighting says nothing any more."""
_MOTION_SIZE = 48
"""Longest side of the grey picture that tells movement, pixels."""
_MOTION_LEAST = 6.0
"""Grey levels that a cell must change by to have moved, ..."""
_MOTION_MOST = 24.0
"""... and that always mean movement. Between them the picture's own noise decides: ..."""
_MOTION_NOISE = 6.0
"""... this many standard deviations of the change of all cells."""
_MOTION_CELLS = 2
"""Cells that must have moved."""
_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""
_NICENESS = 10
"""How far the thread stands back (Linux): where cores are short it slows down, not the picture."""
_PATIENCE = 10.0
"""Seconds that a look may take before it counts as hanging: the thread stands back."""
_Offer = tuple[Image, float]
_Look = tuple[HandDetection, "Floats | None", bool]
"""What was seen, the thumbnail of it, and whether the landmarker was asked."""


@dataclass(frozen=True, slots=True)
class HandsStats:
    """Counts since the start: frames looked at, those with a hand, seconds a look (the newest
    last)."""

    frames: int = 0
    seen: int = 0
    times: tuple[float, ...] = field(default=(), repr=False)

    @property
    def ms(self) -> dict[str, float] | None:
        """p50, p95 and p99 of a look in milliseconds; None before the first."""
        return percentiles(self.times)

    def as_json(self) -> dict[str, Any]:
        return {"frames": self.frames, "seen": self.seen, "ms": self.ms}


class HandsWorker(Worker[_Offer, Landmarker, _Look]):
    """Owns a landmarker on its own thread."""

    def __init__(
        self,
        load: Callable[[], Landmarker],
        patience: float = _PATIENCE,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """`load` makes the landmarker; it runs on the worker's thread. `prepare` runs there before,
        at full priority."""
        super().__init__("hands", load, patience)
        self._prepare = prepare
        self._looked_at = 0.0
        self.eager = False
        """Hands that rest are looked at in every frame: a finger may be writing."""
        self._latest = HandDetection()
        self._before: Floats | None = None
        """The thumbnail of the last look."""
        self._frames = self._seen = 0
        self._times = Durations(COPIED)

    def offer(self, image: Image, time: float) -> None:
        """Gives the newest frame (uint8 BGR H×W×3, not written to any more; `time` in seconds, its
        own) to look at. Replaces one that still waits; nothing is copied."""
        self._offer((image, time))

    @property
    def latest(self) -> HandDetection:
        """The newest sighting, however old."""
        return self._latest

    def current(self, time: float) -> tuple[Hand, ...]:
        """The hands at a frame's time: the newest sighting's if it is at most STALE seconds from
        it, else none."""
        latest = self._latest
        return latest.hands if abs(time - latest.time) <= STALE else ()

    def stats(self) -> HandsStats:
        """Counts and times since the start."""
        with self._condition:
            return HandsStats(self._frames, self._seen, tuple(self._times))

    def _settle(self) -> None:
        """Prepares at full priority, then stands back: an import holds Python's lock, and whoever
        holds it must not wait for a core."""
        if self._prepare:
            self._prepare()
        _stand_back()

    def _rests(self, when: float) -> bool:
        """Whether a frame in which nothing has moved may go without a look."""
        if not self._latest.hands:
            return True
        return not self.eager and 0 <= when - self._looked_at < RELOOK

    def _work(self, tool: Landmarker, request: _Offer) -> _Look:
        """Looks at a frame, or takes it as the one before where nothing has moved since."""
        image, when = request
        small = to_landmark_size(image)
        now = thumbnail(small)
        before = self._before
        if before is not None and self._rests(when) and not moved(before, now):
            return HandDetection(self._latest.hands, when), before, False
        found = tool(small, round(1000 * when))
        x, y = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        return HandDetection(tuple(h.scaled(x, y) for h in found), when), now, True

    def _keep(self, request: _Offer, answer: _Look, seconds: float) -> None:
        self._latest, self._before, looked = answer
        if looked:
            self._looked_at = request[1]
            self._frames += 1
            self._seen += bool(self._latest.hands)
            self._times.add(seconds)

    def _forget(self) -> None:
        self._latest, self._before = HandDetection(), None

    def _free(self, tool: Landmarker) -> None:
        with contextlib.suppress(Exception):
            tool.close()


def to_landmark_size(image: Image) -> Image:
    """`image` (uint8 H×W×3) with its longest side at most LOOK_SIZE."""
    return shrink(image, LOOK_SIZE)


def thumbnail(image: Image) -> Floats:
    """What movement is told by: `image` (uint8 BGR H×W×3) in grey, float32, tiny."""
    return np.asarray(cv2.cvtColor(shrink(image, _MOTION_SIZE), cv2.COLOR_BGR2GRAY), np.float32)


def moved(before: Floats, now: Floats) -> bool:
    """True when something moved between two thumbnails. Neither noise nor light that changes all
    over the picture counts as movement."""
    if before.shape != now.shape:
        return True
    size, noise = frame_difference(before, now)
    least = min(max(_MOTION_LEAST, _MOTION_NOISE * _TO_SIGMA * noise), _MOTION_MOST)
    return int(np.count_nonzero(size > least)) >= _MOTION_CELLS


def _stand_back() -> None:
    """Lowers the calling thread's priority, and so that of all threads that it will start."""
    if sys.platform == "linux":  # elsewhere this would be the whole process's
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def open_hands(settings: HandsSettings) -> tuple[HandsWorker | None, str]:
    """A worker that is not started yet, or None with one line that says what is missing (empty
    where there is nothing to say: the mode is off, or the extra is simply not installed).

    Imports no MediaPipe and fetches nothing. Under the mode `on` raises MissingExtraError without
    the extra and HandsError without a model; under `auto` neither.
    """
    if settings.mode == "off":
        return None, ""
    asked = settings.mode == "on"
    if importlib.util.find_spec("mediapipe") is None:
        if asked:
            raise MissingExtraError("hands", "hands")
        return None, ""
    try:
        model = find_model(settings)
        if model is None:
            way = "go online once" if asked else "--set hands.mode=on fetches it once"
            raise HandsError(
                f"no hand model: {way}, or name a {MODEL_NAME} by hands.model or {MODEL_VARIABLE}"
            )
    except HandsError as e:
        if asked:
            raise
        return None, f"hands are off: {e}"
    return HandsWorker(lambda: open_landmarker(model), prepare=lambda: import_for(model)), ""
