"""Frames of a drawn page, for those without a camera."""

from __future__ import annotations

import time
from typing import Protocol

import cv2  # noqa: F401 (before av: see pyproject.toml)

from live_digits.capture.demo_scene import DemoScene
from live_digits.capture.threaded_source import ThreadedSource
from live_digits.config.settings import SourceSettings
from live_digits.core.types import Image, Mode, SourceInfo


class Scene(Protocol):
    """What the demo plays."""

    def render(self, t: float) -> Image:
        """The frame at `t` seconds, uint8 BGR H×W×3; nobody writes to it."""
        ...


class DemoSource(ThreadedSource):
    """The built-in scene, or another one, drawn as it plays."""

    def __init__(
        self,
        settings: SourceSettings,
        *,
        lossless: bool = False,
        note: str = "",
        scene: Scene | None = None,
    ) -> None:
        mode = Mode(settings.width, settings.height, settings.fps)
        super().__init__(SourceInfo("demo", "demo", mode, mode), lossless=lossless)
        self.note = note
        self._scene = scene or DemoScene(settings.width, settings.height)

    def run(self) -> None:
        fps = self._info.requested.fps
        start, i = time.monotonic(), 0
        while not self._stop.is_set():
            if not self._lossless:
                missed = int((time.monotonic() - start) * fps) - i
                if missed > 0:
                    self.skip(missed)
                    i += missed
                if self._stop.wait(max(0.0, start + i / fps - time.monotonic())):
                    return
            when = start + i / fps if self._lossless else time.monotonic()
            if not self.put(self._scene.render(i / fps), i, when):
                return
            i += 1
