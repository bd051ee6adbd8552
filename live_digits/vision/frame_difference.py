"""What has changed between two small pictures, beside the light."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.types import Floats, Image


def frame_difference(before: Floats, now: Floats) -> tuple[Floats, float]:
    """How far each cell is from what it was, a common change of the light left out; and the median
    of that, which is what noise does. Both float32, of one shape, in grey levels."""
    change = now - before
    size = np.asarray(np.abs(change - np.median(change)), np.float32)
    return size, float(np.median(size))


_SAMPLED, _CELL = 480, 4
"""Frames are compared by samples, about so many across, averaged in cells of so many each way."""
_LEAST_CHANGE = 3.0
"""Grey levels that a cell must change by at least."""
_NOISES = 9.0
"""... and so many times the median change: sensor noise changes every cell a little."""


def thumbnail(image: Image) -> Floats:
    """A small grey picture for comparison, float32, from samples: uint8 BGR H×W×3 or grey."""
    h, w = image.shape[:2]
    step = max(1, w // _SAMPLED)
    size = max(1, w // step), max(1, h // step)
    few = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    green = few if few.ndim == 2 else cv2.extractChannel(few, 1)
    cells = max(1, size[0] // _CELL), max(1, size[1] // _CELL)
    real = np.asarray(green, np.float32)
    return np.asarray(cv2.resize(real, cells, interpolation=cv2.INTER_AREA), np.float32)


def has_changed(before: Floats, now: Floats) -> bool:
    """Whether two thumbnails differ by more than noise and a common change of the light."""
    if before.shape != now.shape:
        return True
    size, noise = frame_difference(before, now)
    return bool(size.max() > max(_LEAST_CHANGE, _NOISES * noise))
