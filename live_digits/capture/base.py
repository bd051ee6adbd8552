"""What every source offers, whatever it reads."""

from __future__ import annotations

from typing import Protocol

import cv2  # noqa: F401 (before av: see pyproject.toml)

from live_digits.core.errors import SourceError
from live_digits.core.types import Frame, Signal, SourceInfo


class Source(Protocol):
    """What gives frames. Every method may be called from the main thread."""

    note: str
    """One line for the user: why `auto` shows the demo, or what a broken source waits for."""
    captured: int
    """Frames captured or due so far."""
    dropped: int
    """Of these, the ones that never will be handed out."""
    error: SourceError | None

    @property
    def info(self) -> SourceInfo: ...

    @property
    def signal(self) -> Signal:
        """Whether frames come, and what was lost."""
        ...

    @property
    def finished(self) -> bool:
        """No frame will come any more."""
        ...

    def start(self) -> None:
        """Starts the thread; a second call does nothing."""

    def read(self, timeout: float) -> Frame | None:
        """The newest frame not handed out before, or None after `timeout` seconds."""

    def close(self) -> None:
        """Ends the thread, within a second. May be called again."""
