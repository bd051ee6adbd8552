"""The pictures of a run: annotated, or the stage of vision that is being watched."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.types import Image, Reading
from live_digits.display.keymap import VIEWS
from live_digits.display.overlay import draw, draw_hud, draw_readings
from live_digits.display.stage_views import stage_view
from live_digits.display.status import HudStatus
from live_digits.vision.stages import Detections

_SHRINK = cv2.INTER_LINEAR


class FrameRenderer:
    """Draws what is shown and recorded. Belongs to one thread."""

    def __init__(self, confidence: bool) -> None:
        """`confidence` writes each digit's percentage."""
        self._confidence = confidence
        self._number = 0
        self._stage: tuple[Detections, str, tuple[int, ...], Image] | None = None
        """The stage drawn last, without its status: it changes only with a new look."""

    @property
    def view(self) -> str:
        """What is shown, one of VIEWS."""
        return VIEWS[self._number]

    @property
    def watching(self) -> bool:
        """Whether a stage of vision is shown instead of the result."""
        return self._number != 0

    def next_view(self) -> None:
        """Goes on to the next view."""
        self._number = (self._number + 1) % len(VIEWS)

    def result(self, image: Image, reading: Reading, status: HudStatus) -> Image:
        """The annotated picture, whatever is shown: what is recorded."""
        return draw(image, reading, status, self._confidence)

    def fitted(
        self, image: Image, reading: Reading, status: HudStatus, vision: Detections | None,
        size: tuple[int, int],
    ) -> Image:  # fmt: skip
        """The picture for the window, drawn at the size at which it is shown, width × height."""
        height, width = image.shape[:2]
        if size != (width, height):
            image = np.asarray(cv2.resize(image, size, interpolation=_SHRINK), np.uint8)
        return self.shown(image, reading.scaled(size[0] / width), status, vision)

    def shown(
        self, image: Image, reading: Reading, status: HudStatus, vision: Detections | None
    ) -> Image:
        """The annotated picture, or the stage of `vision` that is being watched."""
        if not self.watching or vision is None:
            return self.result(image, reading, status)
        view = self.view
        # Of a single stage's view only the size is asked; the grid has one status bar, not two.
        result = draw_readings(image, reading, self._confidence) if view == "grid" else image
        known = self._stage
        if known and known[0] is vision and known[1:3] == (view, result.shape):
            picture: Image = known[3].copy()
        else:
            picture = stage_view(vision.stages, view, result)
            self._stage = (vision, view, result.shape, picture.copy()) if view != "grid" else None
        draw_hud(picture, status)
        return picture
