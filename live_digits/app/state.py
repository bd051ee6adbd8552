"""What the live loop knows at the moment, and what it has to say."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from live_digits.config.settings import PipelineSettings
from live_digits.core.errors import LiveDigitsError
from live_digits.core.types import Frame, Image, Reading
from live_digits.hands.occlusion import OcclusionMask
from live_digits.tracking.video_reader import TrackedFrame

_MESSAGE = 4.0
"""Seconds that a message stays; a failure stays twice as long."""


@dataclass(slots=True)
class LiveState:
    """The frame at hand and what is known of it. Belongs to the loop's thread.

    Attributes:
        pipeline: the sliders as they stand.
        frame: the newest frame; `seen`: the one that vision has seen last.
        cover: what hands hide. `reading`, `picture`: what is said of `frame`, and shown.
        stale: the sliders have moved since `reading`.
        frozen, help: what the keys have asked for.
        silent: seconds without a signal, None with one; `forgotten`: what was known is dropped.
        waited: seconds that this turn of the loop has waited for vision.
    """

    pipeline: PipelineSettings
    frame: Frame | None = None
    seen: TrackedFrame | None = None
    cover: OcclusionMask | None = None
    reading: Reading | None = None
    picture: Image | None = None
    stale: bool = False
    frozen: bool = False
    help: bool = False
    silent: float | None = None
    forgotten: bool = False
    waited: float = 0.0


@dataclass(slots=True)
class Notices:
    """Messages that stay for a while, and failures that are kept."""

    errors: list[LiveDigitsError] = field(default_factory=list)
    _text: str = ""
    _until: float = 0.0

    def say(self, text: str) -> None:
        """Shows a message for some seconds."""
        self._text, self._until = text, time.monotonic() + _MESSAGE

    def fail(self, error: LiveDigitsError) -> None:
        """Keeps a failure that does not end the run, and shows it for a while."""
        self.errors.append(error)
        self._text, self._until = "", time.monotonic() + 2 * _MESSAGE

    def message(self, now: float) -> str:
        """Returns the message that is still to be shown, or nothing."""
        return self._text if now < self._until else ""

    def failure(self, now: float) -> str:
        """Returns the latest failure while it is to be shown, or nothing."""
        return str(self.errors[-1]) if self.errors and now < self._until else ""
