"""A page of digits in known places, for tests of the vision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.config.settings import profile_defaults
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Image
from live_digits.vision.detection import detect_candidates
from live_digits.vision.stages import Detections, StageImages

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


def missed(image: Image, truth: Sequence[Box]) -> int:
    """Digits that no candidate lies on within 8 pixels."""
    boxes = [c.box for c in detect_candidates(image, PAPER).candidates]
    return sum(min((distance(t, box) for box in boxes), default=99) > 8 for t in truth)


def squared(grey: Image, lean: float, width: int, shade: int) -> Image:
    """The page on squared paper that lies turned before the camera; the pen is darker."""
    h, w = grey.shape
    paper = np.full((h, w), 225, np.uint8)
    for at in range(-w, max(h, w) + w, 40):
        cv2.line(paper, (0, at), (w, round(at + lean * w)), shade, width, cv2.LINE_AA)
        cv2.line(paper, (at, 0), (round(at - lean * h), h), shade, width, cv2.LINE_AA)
    return np.minimum(grey, paper)


def hostile(kind: str, width: int, height: int) -> Image:
    rng = np.random.default_rng(8)
    if kind == "noise":
        return rng.integers(0, 256, (height, width), np.uint8)
    if kind == "blocks":
        small = np.where(rng.random((height // 6, width // 6)) < 0.3, 40, 220).astype(np.uint8)
        return np.asarray(cv2.resize(small, (width, height), interpolation=0), np.uint8)
    image = np.full((height, width), 220, np.uint8)
    if kind == "grid":
        image[:: height // 40] = image[:, :: height // 40] = 90
    for x in range(4, width - 12, 12):
        for y in range(4, height - 16, 16):
            if kind == "ticks":
                image[y : y + 11, x : x + 3] = 60
            elif kind == "rings":
                cv2.circle(image, (x + 5, y + 7), 5, 60, 1)
    return image


def crossed_lines(width: int) -> tuple[Image, npt.NDArray[np.bool_]]:
    """How dark four level rulings and many of this width across are, and where a level one runs
    alone."""
    dark, across = np.zeros((480, 640), np.uint8), np.zeros((480, 640), np.uint8)
    for y in (100, 200, 300, 400):
        cv2.line(dark, (0, y), (639, y), 80, width)
    level = dark > 0
    for x in range(8, 640, 15):
        cv2.line(across, (x, 0), (x, 479), 80, 3)
    return np.maximum(dark, across), level & (cv2.dilate(across, np.ones((3, 7))) == 0)


def vision_of(grey: Image, boxes: list[Box], dark: int = 128) -> Detections:
    """A page whose boxes are solid ink, a component each, and darker than the paper by `dark`."""
    h, w = grey.shape
    labels, raw = np.zeros((h, w), np.int32), np.zeros((h, w), np.uint8)
    for number, b in enumerate(boxes, 1):
        labels[b.y : b.bottom, b.x : b.right] = number
        raw[b.y : b.bottom, b.x : b.right] = dark
    candidates = tuple(
        Candidate(b, frozenset((n,)), True, b.area, dark) for n, b in enumerate(boxes, 1)
    )
    stages = StageImages(grey, grey, grey, grey, raw)
    return Detections(candidates, stages, 1.0, tuple(boxes), labels, "paper", grey, raw)
