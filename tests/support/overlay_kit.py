"""Pictures, readings and statuses to draw, and every text as it was put."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest

from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Image, Reading, Rejected
from live_digits.display.status import HudStatus

SIZES = [(160, 120), (640, 480), (1920, 1080), (3840, 2160), (1080, 1920)]

FULL = HudStatus(
    source="a_video_with_a_long_name.mp4",
    width=1920,
    height=1080,
    fps=29.97,
    latency_ms=41.0,
    vision_ms=13.0,
    batch=12,
    inference_ms=2.5,
    dropped=3,
    model="cnn",
    view="dilated",
    frozen=True,
    recording_s=3725.0,
    recording_dropped=12,
)
PATH = "saved /home/somebody/with/a/long/path/recordings/2026-11-24_20-26-09_picture_of_a_page.png"
STATUSES = {
    "plain": HudStatus(),
    "full": FULL,
    "help": replace(FULL, help=True),
    "message": replace(FULL, message=PATH),
    "error": HudStatus(error="reading failed: " + "the model is damaged, fetch it again; " * 8),
    "no words": HudStatus(message=" ", error=""),
}


def paper(width: int, height: int, shade: int = 200) -> Image:
    """Grey with a little structure, so that a copy differs from a blank picture."""
    image = np.full((height, width, 3), shade, np.uint8)
    image[::7, ::5] -= 20
    return image


def corners(width: int, height: int, size: int = 30) -> tuple[Box, ...]:
    """Boxes in the corners, the middle, and half outside."""
    right, bottom = width - size, height - size
    return (
        Box(0, 0, size, size),
        Box(right, 0, size, size),
        Box(0, bottom, size, size),
        Box(right, bottom, size, size),
        Box(width // 2, height // 2, size // 2, size),
        Box(-size // 2, height // 3, size, size),
        Box(width - size // 2, height // 3, size, size),
    )


def refused(boxes: Iterable[Box]) -> tuple[Rejected, ...]:
    """Boxes that carry no digit."""
    return tuple(Rejected(box, "letter", 0.9) for box in boxes)


def reading(width: int, height: int, lines: tuple[str, ...] = ()) -> Reading:
    boxes = corners(width, height)
    digits = tuple(Digit(b, i, 0.99 - 0.06 * i, i) for i, b in enumerate(boxes))
    return Reading("x", 1, 0.5, width, height, digits, lines, boxes[:3], refused(boxes[3:]))


@dataclass
class Text:
    """A text as it was put: its rectangle and the size of the picture it was put on."""

    text: str
    x: int
    top: int
    right: int
    base: int
    width: int
    height: int

    def inside(self) -> bool:
        return (
            self.x >= 0 and self.top >= 0 and self.right <= self.width and self.base <= self.height
        )


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[Text]:
    """Every text that is drawn while the test runs."""
    found: list[Text] = []
    put = cv2.putText

    def spy(image: Any, text: str, at: Any, font: int, size: float, colour: Any, *rest: Any) -> Any:
        weight = rest[0] if rest else 1
        (w, h), _ = cv2.getTextSize(text, font, size, weight)
        x, y = at
        found.append(Text(text, x, y - h, x + w, y, image.shape[1], image.shape[0]))
        return put(image, text, at, font, size, colour, *rest)

    monkeypatch.setattr(cv2, "putText", spy)
    return found
