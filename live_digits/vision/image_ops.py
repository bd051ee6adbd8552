"""Arithmetic on whole pictures that several rooms of the vision need."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.types import Image


def threshold_mask(picture: Image, level: float) -> Image:
    """255 where the picture is above the level, else 0."""
    return np.asarray(cv2.threshold(picture, level, 255, cv2.THRESH_BINARY)[1], np.uint8)


def downsample_2x(picture: Image) -> Image:
    """A picture of one channel at half its size, at least 1×1, each pixel the mean of four."""
    h, w = picture.shape
    size = max(1, w // 2), max(1, h // 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
