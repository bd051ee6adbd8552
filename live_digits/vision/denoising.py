"""How grainy a picture is, and softening it where it is."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.types import Image

_GRAIN_ROWS, _GRAIN_SHARE = 24, 0.75
"""Grain is measured once in so many rows, and by the least share of all differences: ink and edges
are few."""
_OF_ONE = 6 * 0.5149
"""What noise of standard deviation 1 gives: the differences' norm, and the mean size of the smaller
three quarters of a normal variable."""
_GRAINY, _SOFTEN = 0.9, 1.0
"""Noise from this standard deviation is softened by a blur of this one, pixels."""


def noise_sigma(grey: Image) -> float:
    """The standard deviation of the picture's noise, of 255: second differences down and across
    leave it and take out light and paper (J. Immerkær, "Fast Noise Variance Estimation", 1996); the
    smaller three quarters of them count, some rows tell enough."""
    h, w = grey.shape
    bands = h // _GRAIN_ROWS
    if not bands or w < 3:
        return 0.0
    rows = grey[: bands * _GRAIN_ROWS].reshape(bands, _GRAIN_ROWS, w)[:, :3].astype(np.int16)
    left = np.abs(np.diff(np.diff(rows, 2, axis=1)[:, 0], 2, axis=1)).ravel()
    most = int(_GRAIN_SHARE * len(left))
    smaller = np.partition(left, most)[:most] if most else left
    return float(smaller.mean()) / _OF_ONE


def denoise(grey: Image) -> Image:
    """The picture, softened where a poor light has made it grainy."""
    if noise_sigma(grey) < _GRAINY:
        return grey
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _SOFTEN), np.uint8)
