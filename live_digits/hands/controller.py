"""All that the live loop does with hands: what they hide, what their gestures ask for, and what a
finger writes in the air. Belongs to the loop's thread; the looking has its own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from live_digits.config.settings import Settings
from live_digits.core.types import Frame, Image, Reading
from live_digits.display.status import AirDrawing, GestureProgress
from live_digits.hands.air_writing import AirWriter
from live_digits.hands.gestures import GESTURES, GestureRecognizer
from live_digits.hands.occlusion import OcclusionDetector, OcclusionMask
from live_digits.hands.worker import STALE, HandsWorker
from live_digits.reading.questions import Prediction

UNDO, CLEAR = "undo", "clear"
"""What an open palm asks for while a finger writes: half a second, and held on."""
_LOCKSTEP = 20.0
"""Seconds that a frame waits for its look at most, where it waits at all: MediaPipe is imported."""
_CLEAR_AFTER = 1.5
"""Seconds of an open palm that clear the number."""


class HandController:
    """Follows the hands of one run."""

    def __init__(
        self, settings: Settings, worker: HandsWorker | None = None, begun: bool = False
    ) -> None:
        """`worker` looks for hands; without one there are no gestures and no air writing. `begun`:
        it was started already."""
        self.worker = worker
        self._occluder = OcclusionDetector() if settings.hands.mode != "off" else None
        self._enabled = tuple(g for g in GESTURES if getattr(settings.hands, g))
        self._watch = GestureRecognizer(self._enabled)
        self._settings = settings
        self._seen_at = float("-inf")
        self._writer = AirWriter(settings.reading.confidence, settings.hands.mirror)
        self.writes = False
        """Whether a finger may write in the air."""
        self._cleared = False
        self._begun = begun
        self._time, self._size = 0.0, (1, 1)
        """Of the newest frame; width and height in pixels."""
        self.gestures: Counter[str] = Counter()
        """Gestures made, by name."""

    def start(self) -> None:
        """Begins to look, once. Best after the first picture, which MediaPipe's import must not
        delay."""
        if self.worker and not self._begun:
            self._begun = True
            self.worker.start()

    # --- what hides the page ---

    def cover(self, frame: Frame) -> OcclusionMask | None:
        """What hides the page in a new frame."""
        if self._occluder is None:
            return None
        hands = self.worker.current(frame.time) if self.worker else ()
        return self._occluder.update(frame.image, frame.time, hands)

    # --- what hands ask for ---

    def look(self, frame: Frame, stop: threading.Event | None = None) -> str | None:
        """Has the frame looked at, and takes the newest look → the gesture that counts now, UNDO or
        CLEAR, once. With `stop` it waits for this frame's own, until that is set."""
        worker, writer = self.worker, self._writer
        if worker is None:
            return None
        height, width = frame.image.shape[:2]
        self._time, self._size = frame.time, (width, height)
        worker.offer(frame.image, frame.time)
        if stop and self._begun:
            end = time.monotonic() + _LOCKSTEP
            while worker.latest.time != frame.time and not worker.failed:
                if stop.wait(0.001) or time.monotonic() > end:
                    break
        latest = worker.latest
        new = latest.time != self._seen_at and latest.time > float("-inf")
        self._seen_at = latest.time
        made = self._watch.update(latest.hands, latest.time) if new else None
        if made:
            self.gestures[made] += 1
        if not self.writes:
            return made
        if new:
            writer.update(latest.hands, latest.time, height)
        if abs(frame.time - latest.time) > STALE:
            writer.lost()
        writer.tick(frame.time)
        return self._corrected(made)

    def _corrected(self, made: str | None) -> str | None:
        """An open palm takes the last digit back, and all of them where it is held on."""
        if made:
            self._cleared = False
            self._writer.undo()
            return UNDO
        since = self._watch.since
        if since is None or self._cleared or self._seen_at - since < _CLEAR_AFTER:
            return None
        self._cleared = True
        self._writer.clear()
        return CLEAR

    @property
    def ring(self) -> GestureProgress | None:
        """The gesture that is being made."""
        return self._watch.ring(self._time, *self._size)

    # --- what a finger writes ---

    def write(self, on: bool) -> None:
        """Air writing on or off; the number begins anew."""
        self.writes = on
        if self.worker:
            self.worker.eager = on
        self._writer.clear()
        # An open palm takes back while a finger writes, whatever it does otherwise.
        self._watch = GestureRecognizer(("open_palm",) if on else self._enabled)

    @property
    def note(self) -> str:
        """What the writer is told."""
        return self._writer.note if self.writes else ""

    def pending_crops(self) -> tuple[tuple[int, ...], Image]:
        """Crops that wait for the network, with their ids, which are negative."""
        return self._writer.pending_crops()

    def add_predictions(self, answers: Sequence[Prediction]) -> tuple[Prediction, ...]:
        """Takes the answers to `wanted`; gives back the others."""
        own = [
            (a.track, a.probabilities)
            for a in answers
            if a.track < 0 and a.probabilities is not None
        ]
        if own:
            self._writer.add_predictions(own)
        return tuple(a for a in answers if a.track >= 0)

    def added(self, reading: Reading) -> Reading:
        """The reading with what was written in the air: its digits, and the number as a line."""
        written = self._writer.digits
        if not written:
            return reading
        number = "".join(str(d.digit) for d in written)
        lines = (*reading.lines, number)
        return replace(reading, digits=(*reading.digits, *written), lines=lines)

    @property
    def air(self) -> AirDrawing | None:
        """What is shown of the writing."""
        return self._writer.view(*self._size) if self.writes else None

    # --- the end ---

    def as_json(self, masked: int) -> dict[str, Any] | None:
        """The section `hands` of the statistics; None where hands are off."""
        if self._occluder is None:
            return None
        looked = self.worker.stats().as_json() if self.worker else _NEVER
        return looked | {"masked": masked, "gestures": dict(self.gestures)}


_NEVER: dict[str, Any] = {"frames": 0, "seen": 0, "ms": None}
