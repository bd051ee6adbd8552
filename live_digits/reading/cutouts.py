"""What the judge sees of a candidate: its crop, its surroundings near and wide, and its shape.

Surroundings are square windows about the candidate's centre, sampled from a pyramid of the working
picture, so that a digit of any size fills the same share of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import CROP_SIZE, Floats, Image
from live_digits.vision.detection import extract_crops
from live_digits.vision.stages import Detections

SIDE = 48
"""Side of a surrounding, pixels: more shows finer strokes and costs time as its square."""
NEAR, WIDE = 3.0, 9.0
"""Sides of the two windows, in the candidate's larger side: more shows more of the page."""
NEAR_CHANNELS, WIDE_CHANNELS = 3, 2
"""Near: darkness, grey, the candidate's own ink. Wide: darkness, grey."""
_OWN_LEVEL = 128
"""What the candidate's own contrast becomes in the darkness of its windows, of 255."""
_LEAST_CONTRAST = 5
"""Least contrast, of 255, that a candidate is taken to have: grain is not enlarged more."""
SHAPES = 7
"""Numbers that tell a candidate's size and place."""
_EDGE = 1
"""A box this near to the picture's side, working pixels, touches it."""


@dataclass(frozen=True, slots=True)
class Cutouts:
    """What is shown of N candidates.

    `crops`: uint8 N×28×28, normalised ink. `near`: uint8 N×48×48×3. `wide`: uint8 N×48×48×2.
    `shapes`: float32 N×7, see `shapes_of`.
    """

    crops: Image
    near: Image
    wide: Image
    shapes: Floats

    def __len__(self) -> int:
        return len(self.crops)

    def rows(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> Cutouts:
        """Returns the candidates named, in that order; windows that were not cut stay empty."""
        at = np.asarray(rows, np.intp)
        near, wide = (w[at] if len(w) else w for w in (self.near, self.wide))
        return Cutouts(self.crops[at], near, wide, self.shapes[at])


def no_cutouts() -> Cutouts:
    """Returns the cutouts of no candidate."""
    return Cutouts(
        np.zeros((0, CROP_SIZE, CROP_SIZE), np.uint8),
        np.zeros((0, SIDE, SIDE, NEAR_CHANNELS), np.uint8),
        np.zeros((0, SIDE, SIDE, WIDE_CHANNELS), np.uint8),
        np.zeros((0, SHAPES), np.float32),
    )


def cut_out(vision: Detections, indices: Sequence[int], surroundings: bool = True) -> Cutouts:
    """Cuts out what the judge sees of some candidates.

    Args:
        vision: what finding saw of a frame.
        indices: of its candidates.
        surroundings: False leaves `near` and `wide` empty (0×…), for networks without a judge.

    Returns:
        The cutouts, a row an index.
    """
    own = extract_crops(vision, indices)
    if not surroundings or not len(indices) or not vision.raw.size:
        empty = no_cutouts()
        return Cutouts(own, empty.near, empty.wide, shapes_of(vision, indices))
    levels = _pyramid(np.asarray(cv2.merge([vision.raw, vision.grey]), np.uint8))
    near = np.zeros((len(indices), SIDE, SIDE, NEAR_CHANNELS), np.uint8)
    wide = np.zeros((len(indices), SIDE, SIDE, WIDE_CHANNELS), np.uint8)
    for row, i in enumerate(indices):
        near[row, :, :, :WIDE_CHANNELS] = _window(levels, vision, i, NEAR)
        wide[row] = _window(levels, vision, i, WIDE)
        _paste_own(near[row, :, :, WIDE_CHANNELS], vision, i)
    dark = np.array(
        [max(_LEAST_CONTRAST, vision.candidates[i].contrast) for i in indices], np.float32
    )
    factor = (_OWN_LEVEL / dark)[:, None, None]
    for window in (near, wide):
        window[..., 0] = np.minimum(window[..., 0] * factor, 255)
    return Cutouts(own, near, wide, shapes_of(vision, indices))


def shapes_of(vision: Detections, indices: Sequence[int]) -> Floats:
    """Returns each candidate's size and place as numbers of about 1.

    Columns: log height (working pixels, over 32), log width over height, contrast (0…1), share of
    its box that is ink, log of its number of components, whether it is whole, and how many sides of
    the picture it touches.
    """
    out = np.zeros((len(indices), SHAPES), np.float32)
    high, wide = vision.labels.shape if vision.labels.size else (1 << 30, 1 << 30)
    for row, i in enumerate(indices):
        box, c = vision.boxes[i], vision.candidates[i]
        sides = (
            (box.x <= _EDGE) + (box.y <= _EDGE)
            + (box.right >= wide - _EDGE) + (box.bottom >= high - _EDGE)
        )  # fmt: skip
        out[row] = (
            np.log(max(1, box.h) / 32), np.log(max(1, box.w) / max(1, box.h)), c.contrast / 255,
            c.ink / max(1, box.area), np.log(len(c.component_ids)), c.is_whole, sides,
        )  # fmt: skip
    return out


def _pyramid(picture: Image) -> list[Image]:
    """The picture and its halves, down to some pixels."""
    levels = [picture]
    while min(levels[-1].shape[:2]) > 2:
        h, w = levels[-1].shape[:2]
        small = cv2.resize(levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        levels.append(np.asarray(small, np.uint8))
    return levels


def _window(levels: Sequence[Image], vision: Detections, index: int, reach: float) -> Image:
    """The window of `reach` larger sides about a candidate; 0 where the picture ends."""
    box = vision.boxes[index]
    step = reach * max(box.w, box.h) / SIDE
    level = min(max(0, int(np.log2(max(step, 1)))), len(levels) - 1)
    picture = levels[level]
    across = picture.shape[1] / levels[0].shape[1]
    down = picture.shape[0] / levels[0].shape[0]
    cx, cy = box.centre
    half = step * (SIDE - 1) / 2
    m = np.array(
        [[step * across, 0, (cx - half) * across - 0.5], [0, step * down, (cy - half) * down - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, m, (SIDE, SIDE), flags=flags), np.uint8)


def _paste_own(out: Image, vision: Detections, index: int) -> None:
    """Draws the candidate's own ink into the middle of its near window."""
    box = vision.boxes[index]
    step = NEAR * max(box.w, box.h) / SIDE
    every = max(1, int(step / 2))  # a huge box needs no more than two samples a pixel
    labels = vision.labels[box.y : box.bottom : every, box.x : box.right : every]
    first, *more = vision.candidates[index].component_ids
    own = labels == first
    for piece in more:
        own |= labels == piece
    w, h = max(1, round(box.w / step)), max(1, round(box.h / step))
    small = cv2.resize(own.view(np.uint8) * 255, (w, h), interpolation=cv2.INTER_AREA)
    x, y = (SIDE - w) // 2, (SIDE - h) // 2
    out[y : y + h, x : x + w] = small
