"""Whether a page is light on dark (a blackboard, a screen) or dark on light."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import Image

_POLARITY_SIDE = 320
_EXPOSED, _BRIGHTEST, _MOST_LIGHT = 200, 99.9, 4.0
"""A dim picture is looked at as if in so much light that this percentile of it were as light as
this, but at most in so many times the light there was."""
_DARK_GROUND = 110
"""Light ink needs a ground this dark."""
_SPARSE, _LIGHT_GROUND = 4, 125
"""No closer look where half of every so many pixels each way are lighter than this."""
_STROKES = (3, 5, 9, 17, 33)
"""Windows of the search for strokes, pixels of the reduced picture, narrow first."""
_STROKE_STEP = 20
"""A stroke differs from its ground by more than this."""
_STROKE_SUM = 0.02
"""Mean over the picture of what strokes differ by beyond that, from which they are there."""
_SHEET, _FINE = 0.003, 5
"""What the corners of a sheet on a dark desk bring grows with the square of how much a window is
wider than `_FINE`: the first strokes seen must bring more."""
_GROUND_SIDE = 33
"""Dark strokes are darker than the median of so many pixels each way: what is dark between the
lines of a squared board is not."""
_WINDOWS = 2
"""The narrowest windows that show any strokes decide."""
_CORNERS = 8.0
"""What the next window multiplies by this were corners of wider strokes, not strokes."""
_LIGHT_LEAD = 3.2
"""Light by dark strokes, multiplied over these windows."""


def is_light_on_dark(grey: Image) -> bool:
    """True for chalk, or white on a black canvas: of the narrowest strokes in the picture, the
    light ones outweigh the dark ones by far.

    Top-hat and black-hat (light or dark and narrower than a window) of growing windows; a light
    sheet on a dark desk is no stroke, the pen on it is.
    """
    if np.count_nonzero(grey[::_SPARSE, ::_SPARSE] > _LIGHT_GROUND) * 2 * _SPARSE**2 > grey.size:
        return False
    h, w = grey.shape
    scale = min(1.0, _POLARITY_SIDE / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    small = _expose(small)
    if float(np.median(small)) > _DARK_GROUND:
        return False
    small = np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.uint8)
    below = np.asarray(cv2.subtract(cv2.medianBlur(small, _GROUND_SIDE), small), np.uint8)
    seen: list[tuple[float, float]] = []
    for side in _STROKES:
        window = np.ones((side, side), np.uint8)
        light = _mean_excess(cv2.morphologyEx(small, cv2.MORPH_TOPHAT, window))
        dark = _mean_excess(cv2.min(cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, window), below))
        if seen and light + dark > _CORNERS * sum(seen[0]):
            seen.clear()
        corners = 0.0 if seen else _SHEET * max(0, side - _FINE) ** 2
        if light + dark > max(_STROKE_SUM, corners):
            seen.append((light, dark))
        if len(seen) == _WINDOWS:
            break
    lead = float(np.prod([light / max(dark, 1e-6) for light, dark in seen]))
    return bool(seen) and lead ** (_WINDOWS / len(seen)) > _LIGHT_LEAD


def _expose(grey: npt.NDArray[Any]) -> Image:
    """The picture as it would be in enough light."""
    top = max(1.0, float(np.percentile(grey, _BRIGHTEST)))
    return np.asarray(cv2.convertScaleAbs(grey, alpha=min(_MOST_LIGHT, max(1.0, _EXPOSED / top))))


def _mean_excess(hat: npt.NDArray[Any]) -> float:
    """Mean of what a hat stands out by beyond `_STROKE_STEP`."""
    return float(np.maximum(hat.astype(np.int16) - _STROKE_STEP, 0).mean())
