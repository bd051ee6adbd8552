"""A page of digits in known places, for tests of the vision."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from live_digits.config import profile_defaults
from live_digits.types import Box, Image

CLASSIC = profile_defaults("classic")
PAPER = profile_defaults("paper")
SIZES = [(640, 480), (1280, 720), (1920, 1080), (3840, 2160)]


def read_only(image: Image) -> Image:
    image.flags.writeable = False
    return image


@cache
def _page(width: int, height: int) -> tuple[Image, tuple[Box, ...]]:
    image = np.full((height, width), 225, np.uint8)
    boxes = []
    for digit in range(10):
        ink = np.zeros_like(image)
        at = round(width * (0.06 + 0.18 * (digit % 5))), round(height * (0.4 + 0.35 * (digit // 5)))
        size, weight = height / 480 * 2.2, max(1, round(height / 96))
        cv2.putText(ink, str(digit), at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight)
        image[ink > 0] = 60
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        boxes.append(Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1))
    return read_only(image), tuple(boxes)


def page(width: int, height: int) -> tuple[Image, tuple[Box, ...]]:
    """Grey paper with the digits 0…9 in two rows, and their boxes in that order."""
    image, boxes = _page(width, height)
    return image.copy(), boxes


def distance(a: Box, b: Box) -> int:
    """How far the two boxes' farthest sides are apart, pixels."""
    sides = (a.x - b.x, a.y - b.y, a.right - b.right, a.bottom - b.bottom)
    return max(abs(side) for side in sides)


def shadowed(grey: Image) -> Image:
    """The page in light that falls to a third from side to side, a soft shadow over a corner."""
    h, w = grey.shape
    x, y = np.linspace(0, 1, w)[None], np.linspace(0, 1, h)[:, None]
    light = (1 - 0.65 * x) * (1 - 0.45 / (1 + np.exp(-30 * (x + y - 1.1))))
    return np.asarray(grey * light, np.uint8)
