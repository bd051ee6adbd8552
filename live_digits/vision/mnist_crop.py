"""Ink to 28×28 crops, normalised as MNIST was made.

MNIST's digits were scaled, aspect kept, into 20×20 pixels and placed so that their centre of mass
is the centre of 28×28 (Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits).
Here pens thinner than MNIST's are thickened first, because a shrunk hairline is grey and broken.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from live_digits.core.types import CROP_SIZE, Image

_INNER = 20
"""Longest side of the ink inside a crop."""
_FAINT = 24
"""Ink below this takes no part in the bounding box (0…255)."""
_THIN = 1.75
"""Thinnest stroke of a finished crop, pixels; MNIST's median is about 2.5."""
_FULL = 90
"""The percentile of the ink that becomes 255."""
_MIDDLE = CROP_SIZE / 2
_STEPS = np.arange(CROP_SIZE, dtype=np.float32) + np.float32(0.5)
"""The middles of a row's pixels."""


def stroke_width(mask: Image) -> float:
    """Mean width of the strokes of a binary picture in pixels: twice the area over the rim."""
    area = int(cv2.countNonZero(mask))
    if area == 0:
        return 0.0
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    core = int(cv2.countNonZero(cv2.erode(padded, _CROSS)))
    return 2.0 * area / max(1, area - core)


_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def normalise(ink: Image) -> Image:
    """One digit's ink → a crop.

    `ink`: uint8 H×W, white on black, any size; → uint8 28×28. Without any ink the crop is black.
    """
    crop = np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    mask = np.asarray(cv2.threshold(ink, _FAINT, 255, cv2.THRESH_BINARY)[1], np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return crop
    tight = np.ascontiguousarray(ink[y : y + h, x : x + w])
    scale = _INNER / max(w, h)
    missing = _THIN / scale - stroke_width(mask[y : y + h, x : x + w])
    if missing >= 1:
        tight = _thicker(tight, round(missing))
        h, w = tight.shape
        scale = _INNER / max(w, h)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(tight, size, interpolation=method), np.float32)
    lit = small[small > _FAINT]
    if not lit.size:
        return crop
    at = lit.size * _FULL // 100
    full = max(1.0, float(np.partition(lit, at)[at]))
    small = np.minimum(small * np.float32(255 / full), np.float32(255))
    across, down = small.sum(axis=0), small.sum(axis=1)
    total = float(across.sum())
    left, top = (
        min(max(math.ceil(_MIDDLE - float(line @ _STEPS[: len(line)]) / total), 0), CROP_SIZE - n)
        for line, n in zip((across, down), size, strict=True)
    )
    crop[top : top + size[1], left : left + size[0]] = np.rint(small)
    return crop


def _thicker(ink: Image, by: int) -> Image:
    """The ink with every stroke wider by `by` pixels, on a picture as much larger."""
    side = by + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    before, after = by // 2 + 1, by - by // 2 + 1
    padded = cv2.copyMakeBorder(ink, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
    thick = np.asarray(cv2.dilate(padded, kernel), np.uint8)
    x, y, w, h = cv2.boundingRect(thick)
    return np.ascontiguousarray(thick[y : y + h, x : x + w])
