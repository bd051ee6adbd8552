"""Vision on its own thread: the picture never waits for it longer than it can afford.

A one-slot mailbox takes the newest frame; a newer one replaces one that still waits. A frame that
shows what the last one showed is not looked at again: a page at rest costs next to nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from live_digits.config.settings import PipelineSettings
from live_digits.core.types import Floats, Frame, Image
from live_digits.core.worker import Worker
from live_digits.vision.detection import detect_candidates
from live_digits.vision.frame_difference import has_changed, thumbnail
from live_digits.vision.stages import Detections

FRESH = 1.0
"""Seconds after which a page at rest is looked at again all the same: a pale, thin, slow stroke may
be below what tells change from noise."""
_PATIENCE = 10.0
"""Seconds that a look may take before it counts as hanging."""


@dataclass(frozen=True, slots=True)
class VisionResult:
    """What was seen in a frame. `seconds` is what it cost; `reused`: the frame shows what the one
    before showed, whose vision this is."""

    frame: Frame
    vision: Detections
    seconds: float
    reused: bool


_Asked = tuple[Frame, PipelineSettings]
_See = Callable[[Image, PipelineSettings], Detections]
_Known = tuple[PipelineSettings, tuple[int, ...]]
"""What a vision holds for: the sliders, and the shape of the frame, whose thumbnail may be the same
at another size."""
_Seen = tuple[Detections, bool, "Floats | None"]
"""What was seen, whether it is an earlier frame's, and the thumbnail of a frame that was really
looked at."""


class VisionWorker(Worker[_Asked, _See, _Seen]):
    """Finds what may be digits, on its own thread. `submit`, `take` and the properties belong to
    one other thread. It goes on after any number of failures: the next frame may be another."""

    def __init__(
        self, reuse: bool = True, look: _See = detect_candidates, patience: float = _PATIENCE
    ) -> None:
        """`reuse`: frames of a page at rest share one vision. `look` may be a fake."""
        super().__init__("vision", lambda: look, patience)
        self.most_failures = sys.maxsize
        self._reuse = reuse
        self._found: VisionResult | None = None
        self._last: tuple[Detections, _Known, Floats, float] | None = None

    def submit(self, frame: Frame, settings: PipelineSettings) -> None:
        """Asks for a look at a frame. Replaces what still waits."""
        self._offer((frame, settings))

    def take(self, timeout: float | None) -> VisionResult | None:
        """The newest look that was not taken yet; waits up to `timeout` seconds (None: as long as
        it takes) for one while any is asked for."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._found is not None or not self.busy or self._stop.is_set(), timeout
            )
            found, self._found = self._found, None
            return found

    def _keep(self, request: _Asked, answer: _Seen, seconds: float) -> None:
        frame, settings = request
        vision, reused, small = answer
        self._found = VisionResult(frame, vision, seconds, reused)
        if small is not None:
            known = settings, frame.image.shape
            self._last = vision, known, small, time.monotonic()

    def _work(self, tool: _See, request: _Asked) -> _Seen:
        image, settings = request[0].image, request[1]
        if not self._reuse:
            return tool(image, settings), False, None
        small, last = thumbnail(image), self._last
        if last is not None:
            vision, known, before, at = last
            fresh = known == (settings, image.shape) and time.monotonic() - at < FRESH
            if fresh and not has_changed(before, small):
                return vision, True, None
        return tool(image, settings), False, small
