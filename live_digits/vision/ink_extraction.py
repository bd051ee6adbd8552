"""Which pixels of an evened picture are ink."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Image
from live_digits.vision import illumination as inks
from live_digits.vision.connected_components import connected_components
from live_digits.vision.image_ops import threshold_mask
from live_digits.vision.ruled_lines import (
    RuledLines,
    bridge_line_gaps,
)
from live_digits.vision.segmentation import Blob
from live_digits.vision.stages import LabelImage

WEAK_INK, _STRONG_INK = 60, 92
"""Even darkness from which a pixel may be ink, and the mean from which a piece is (of ink.INK)."""
_OWN, _AROUND = 0.53, 9
"""A pixel is ink from this share of the darkest ink within so many pixels: a pale 0 that touches a
dark 5 is ink, a dark stroke's soft rim is not."""
_HALF = 112
"""What that share of the darkest ink becomes."""
_SPECK = 12
"""Pieces of fewer pixels are grain."""
MOST_PIECES = 700
"""Pieces beyond this, smallest first, are not looked at: noise must not cost time."""
_SOFT = 3
"""The darkest ink is measured on means of so many pixels each way: grain is not ink."""


def extract_ink(
    dark: inks.InkContrast, ruled: RuledLines, run: Image, dilated: Image, threshold: int
) -> Image:
    """Ink at the full darkness of what is near, uint8: from `_HALF` on a pixel is ink, what is less
    is a stroke's soft rim. Ink without any sharp edge is shadow. `threshold`: the slider."""
    weak = threshold_mask(dark.even, 255 - threshold if threshold else WEAK_INK)
    found = connected_components(bridge_line_gaps(weak, ruled))
    own = np.zeros_like(dark.raw)
    if not len(found.at):
        return own
    kept = found.total(dilated.ravel()[found.at] > 0) > 0
    if threshold:
        own.ravel()[found.at[found.spread(kept)]] = 255
        return own
    kept &= found.total(dark.even.ravel()[found.at]) >= _STRONG_INK * np.maximum(found.area(), 1)
    bare = cv2.bitwise_and(dark.raw, cv2.subtract(weak, run))
    soft = cv2.blur(bare, (_SOFT, _SOFT))
    darkest = cv2.dilate(soft, np.ones((_AROUND, _AROUND), np.uint8)).ravel()[found.at]
    factor = np.where(found.spread(kept), _HALF / (_OWN * np.maximum(darkest, 1.0)), 0)
    own.ravel()[found.at] = np.minimum(dark.raw.ravel()[found.at] * factor, 255).astype(np.uint8)
    return own


def find_blobs(own: Image) -> tuple[list[Blob], LabelImage, npt.NDArray[np.intp]]:
    """Connected pieces of ink, grain left out, at most `MOST_PIECES`; the labels of all pixels, and
    the flat indices of those that are ink or grain."""
    found = connected_components(threshold_mask(own, _HALF - 1))
    area, boxes = found.area(), found.boxes()
    keep = np.flatnonzero(area >= _SPECK)
    if len(keep) > MOST_PIECES:
        keep = np.sort(keep[np.argsort(area[keep], kind="stable")[-MOST_PIECES:]])
    new = np.zeros(found.count, np.int32)
    new[keep] = np.arange(1, len(keep) + 1)
    labels = found.labels
    labels.ravel()[found.at] = found.spread(new)
    blobs = [Blob(int(new[i]), Box(*(int(v) for v in boxes[i])), int(area[i])) for i in keep]
    return blobs, labels, found.at
