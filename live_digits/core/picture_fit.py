"""How a picture fits into a size, its shape kept."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.types import Image


def shrink(image: Image, longest: int) -> Image:
    """Shrinks a picture until its longest side is at most `longest` pixels.

    Args:
        image: uint8 H×W×3 or H×W.
        longest: pixels, ≥ 1.

    Returns:
        `image` itself where it is no larger.
    """
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def resize(image: Image, width: int, height: int) -> Image:
    """Scales a picture to width × height, smoothly in both directions."""
    method = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def letterbox(image: Image, width: int, height: int) -> Image:
    """Centres the whole picture on a black one of width × height.

    Args:
        image: uint8 H×W×3 or H×W.
        width: pixels, ≥ 1.
        height: pixels, ≥ 1.

    Returns:
        uint8 height×width, with `image`'s channels.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    w = min(width, max(1, round(image.shape[1] * scale)))
    h = min(height, max(1, round(image.shape[0] * scale)))
    x, y = (width - w) // 2, (height - h) // 2
    out = np.zeros((height, width, *image.shape[2:]), np.uint8)
    out[y : y + h, x : x + w] = resize(image, w, h)
    return out
