"""An axis-aligned box in pixels and what is computed from two of them."""

from __future__ import annotations

from dataclasses import dataclass

_NARROW = 0.45
"""Width over height."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in whole pixels of the frame; `x`, `y` is the top left corner."""

    x: int
    y: int
    w: int
    h: int

    @property
    def right(self) -> int:
        return self.x + self.w

    @property
    def bottom(self) -> int:
        return self.y + self.h

    @property
    def area(self) -> int:
        return self.w * self.h

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def narrow(self) -> bool:
        """Whether a crop of it would show next to nothing: a 1, a streak, an edge."""
        return self.w < _NARROW * self.h

    def iou(self, other: Box) -> float:
        """Intersection over union, 0…1."""
        w = min(self.right, other.right) - max(self.x, other.x)
        h = min(self.bottom, other.bottom) - max(self.y, other.y)
        if w <= 0 or h <= 0:
            return 0.0
        shared = w * h
        return shared / (self.area + other.area - shared)

    def clipped(self, width: int, height: int) -> Box:
        """The part inside a picture of width × height; of no area where it lies outside."""
        x, y = min(max(self.x, 0), width), min(max(self.y, 0), height)
        return Box(x, y, max(0, min(self.right, width) - x), max(0, min(self.bottom, height) - y))

    def moved(self, x: int, y: int) -> Box:
        return Box(self.x + x, self.y + y, self.w, self.h)

    def scaled(self, by: float) -> Box:
        """The box in a picture `by` times as large; at least a pixel each way."""
        x, y = round(self.x * by), round(self.y * by)
        right, bottom = round(self.right * by), round(self.bottom * by)
        return Box(x, y, max(1, right - x), max(1, bottom - y))

    def as_list(self) -> list[int]:
        return [self.x, self.y, self.w, self.h]
