"""Hands in a picture: their landmarks, what they hide, and whether a box lies under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image

_Points = npt.NDArray[np.float64]
LANDMARKS = 21
WRIST, INDEX_KNUCKLE, MIDDLE_KNUCKLE, LITTLE_KNUCKLE = 0, 5, 9, 17
"""Rows of Hand.landmarks."""
_PALM_SHAPE = 0.6
"""A palm's width is at least this share of its length, however it is turned to the camera."""
_ROUND = 16
"""Corners of the circle that a hull is grown by."""
_CELLS = 32
"""A box is divided into this many cells each way to measure how much of it is hidden."""
_SUBPIXEL = 4
"""Fractional bits of the corners that OpenCV draws."""
HIDDEN_SHARE = 0.5
"""A box is hidden from this share of its area on."""


@dataclass(frozen=True, slots=True, eq=False)
class Hand:
    """One hand of a picture.

    `landmarks`: float32 21×2, x and y in pixels (wrist, then four each of thumb, index, middle,
    ring and little finger, from the palm to the tip); they may lie outside the picture.
    `handedness`: "Left" or "Right", the person's own in a picture that is not mirrored.
    `score`: 0…1, how sure the handedness is.
    """

    landmarks: Floats
    handedness: str
    score: float

    def scaled(self, x: float, y: float) -> Hand:
        """The hand in a picture that is x times as wide and y times as high."""
        points = self.landmarks * np.array([x, y], np.float32)
        return Hand(points, self.handedness, self.score)

    @property
    def palm_width(self) -> float:
        """Pixels from the index to the little finger's knuckle; at least a share of the palm's
        length, so that a palm seen from its side keeps its width."""
        p = self.landmarks
        across = float(np.linalg.norm(p[INDEX_KNUCKLE] - p[LITTLE_KNUCKLE]))
        along = float(np.linalg.norm(p[MIDDLE_KNUCKLE] - p[WRIST]))
        return max(across, _PALM_SHAPE * along)


@dataclass(frozen=True, slots=True)
class HandDetection:
    """The hands of one frame, in its pixels; `time` is the frame's, seconds."""

    hands: tuple[Hand, ...] = ()
    time: float = float("-inf")


def covered(hands: Sequence[Hand], width: int, height: int) -> tuple[Floats, ...]:
    """The convex polygons (float32 N×2, pixels) that hands hide in a frame of width × height: each
    hand's hull, grown by its palm's width, inside the frame. Hands beside the frame hide none."""
    turn = np.arange(_ROUND) * (2 * np.pi / _ROUND)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1) / np.cos(np.pi / _ROUND)
    polygons = []
    for hand in hands:
        grown = hand.landmarks[:, None] + hand.palm_width * circle
        hull = cv2.convexHull(grown.reshape(-1, 2).astype(np.float32)).reshape(-1, 2)
        inside = _clipped(np.asarray(hull, np.float64), width, height)
        if len(inside) > 2:
            polygons.append(inside.astype(np.float32))
    return tuple(polygons)


def _clipped(polygon: _Points, width: int, height: int) -> _Points:
    """The part of a convex polygon (float64 N×2) inside 0…width × 0…height; N×2 or 0×2."""
    for axis, sign, limit in ((0, 1, 0), (0, -1, -width), (1, 1, 0), (1, -1, -height)):
        if len(polygon) == 0:
            break
        depth = sign * polygon[:, axis] - limit
        after, depth_after = np.roll(polygon, -1, 0), np.roll(depth, -1)
        kept = []
        for here, there, d, e in zip(polygon, after, depth, depth_after, strict=True):
            if d >= 0:
                kept.append(here)
            if (d > 0 > e) or (d < 0 < e):
                kept.append(here + (there - here) * (d / (d - e)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def hidden(box: Box, polygons: Sequence[Floats]) -> bool:
    """True when at least half of `box` lies under `polygons`, those of `covered`."""
    return hidden_share(box, polygons) >= HIDDEN_SHARE


def hidden_share(box: Box, polygons: Sequence[Floats]) -> float:
    """The share of `box` (0…1) that lies under `polygons`, those of `covered`."""
    if box.area <= 0:
        return 0.0
    mask: Image | None = None
    for polygon in polygons:
        low, high = polygon.min(0), polygon.max(0)
        if low[0] >= box.right or low[1] >= box.bottom or high[0] <= box.x or high[1] <= box.y:
            continue
        if mask is None:
            mask = np.zeros((_CELLS, _CELLS), np.uint8)
        cells = (polygon - (box.x, box.y)) * (_CELLS / box.w, _CELLS / box.h) - 0.5
        corners = np.round(cells * (1 << _SUBPIXEL)).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 1, cv2.LINE_8, _SUBPIXEL)
    return 0.0 if mask is None else cv2.countNonZero(mask) / mask.size
