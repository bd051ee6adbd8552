"""What the live pipeline finds on a drawn page, and what it really is: the network trains on what
it will meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.config import PipelineSettings
from live_digits.crops import normalise
from live_digits.pipeline import Vision, crops, find
from live_digits.training.marks import OTHER, Ids
from live_digits.training.render import Page
from live_digits.types import NOT_A_DIGIT, Box, Image

_PURE, _WHOLE = 0.86, 0.86
"""A candidate is a digit when this share of its ink is that digit's, and it has this share of the
digit's ink."""
_FOREIGN, _PARTIAL = 0.62, 0.5
"""... and is none below either of these; what lies between teaches nothing."""
_STREAK, _STEEP, _SOLID = 2.2, 50.0, 0.5
"""A streak, the rest of a ruling or a part of something that is so much longer than wide and within
so many degrees of upright looks like a 1: it teaches nothing, and the page around it decides. A
sign does if it also fills so much of its own rectangle: brackets do not."""
_LEGIBLE = 0.75
"""Correlation of a digit's crop with one of the very ink that was written: below it, light, lens
and threshold have left nothing to be read."""


@dataclass(frozen=True, slots=True)
class PageCrops:
    """The crops of a page, uint8 N×28×28, what each is (0…9, or NOT_A_DIGIT), and how many of the
    page's whole digits have one."""

    crops: Image
    labels: Image
    found: int
    digits: int


def crops_of(drawn: Page, settings: PipelineSettings | None = None) -> PageCrops:
    """What the live pipeline finds on a page, but for what it has learned since the default network
    was trained, and what it really is, by the ink it is made of."""
    vision = find(drawn.image, settings or PipelineSettings(), as_trained=True)
    h, w = vision.labels.shape
    ids = np.asarray(cv2.resize(drawn.ids, (w, h), interpolation=cv2.INTER_NEAREST), np.uint16)
    labels, marks = _truths(vision, drawn, ids)
    rows = np.flatnonzero(labels >= 0)
    wanted = crops(vision, [int(i) for i in rows])
    seen = {int(marks[i]) for i in rows if labels[i] != NOT_A_DIGIT}
    kept = np.array(
        [
            labels[i] == NOT_A_DIGIT or _legible(crop, vision.boxes[i], ids, marks[i])
            for i, crop in zip(rows, wanted, strict=True)
        ],
        bool,
    )
    return PageCrops(
        wanted[kept], labels[rows][kept].astype(np.uint8), len(seen), len(drawn.digits)
    )


def _legible(crop: Image, box: Box, ids: Ids, mark: np.int64) -> bool:
    """Whether a crop still shows the ink that was written about its box: that of `mark`, by the
    `ids` of the working picture."""
    y0, x0 = max(0, box.y - 2), max(0, box.x - 2)
    part = ids[y0 : box.bottom + 2, x0 : box.right + 2] == mark
    clean = normalise(np.where(part, 255, 0).astype(np.uint8))
    a, b = crop.astype(np.float64).ravel(), clean.astype(np.float64).ravel()
    if not a.any() or not b.any():
        return False
    return float(np.corrcoef(a, b)[0, 1]) >= _LEGIBLE


def _truths(
    vision: Vision, drawn: Page, ids: Ids
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each candidate's class, −1 where it is neither one thing nor the other, and the id of the
    mark that has most of its ink. `ids`: the page's at the working resolution."""
    near = np.asarray(cv2.dilate(ids, np.ones((3, 3), np.uint8)))
    ids = np.where(ids > 0, ids, near)
    pieces = int(vision.labels.max(initial=0)) + 1
    marks = int(ids.max(initial=0)) + 1
    joint = np.bincount((vision.labels.ravel().astype(np.int64) * marks + ids.ravel()),
                        minlength=pieces * marks).reshape(pieces, marks)  # fmt: skip
    inked = joint[1:].sum(axis=0)
    digit_of = _digits_by_id(drawn)
    out = np.full(len(vision.candidates), -1, np.int64)
    whose = np.zeros(len(vision.candidates), np.int64)
    for i, c in enumerate(vision.candidates):
        mine = joint[list(c.pieces)].sum(axis=0)
        total = max(1, int(mine.sum()))
        best = int(mine[1:].argmax()) + 1 if mine[1:].any() else 0
        whose[i] = best
        pure = mine[best] / total if best else 0.0
        whole = mine[best] / max(1, int(inked[best])) if best else 0.0
        if best in digit_of and pure >= _PURE and whole >= _WHOLE:
            out[i] = digit_of[best]
            continue
        foreign = best not in digit_of and not 0 < best < OTHER
        if not (foreign or pure < _FOREIGN or whole < _PARTIAL):
            continue
        if not _streak(vision, i, _SOLID if best >= OTHER else 0.0):
            out[i] = NOT_A_DIGIT
    return out, whose


def _streak(vision: Vision, index: int, solid: float) -> bool:
    """Whether a candidate is a more or less upright bar that fills the share `solid` of its own
    rectangle."""
    box = vision.boxes[index]
    labels = vision.labels[box.y : box.bottom, box.x : box.right]
    own = [labels == piece for piece in vision.candidates[index].pieces]
    ys, xs = np.nonzero(np.logical_or.reduce(own))
    if len(xs) < 2:
        return True
    points = np.stack([xs, ys], 1).astype(np.float64)
    spread, axes = np.linalg.eigh(np.cov(points.T) + np.eye(2) / 12)
    lean = np.degrees(np.arctan2(abs(axes[0, 1]), abs(axes[1, 1])))
    if spread[1] < _STREAK**2 * spread[0] or lean > _STEEP:
        return False
    across, along = np.ptp(points @ axes, axis=0) + 1
    return bool(len(xs) >= solid * across * along)


def _digits_by_id(drawn: Page) -> dict[int, int]:
    """The id of each whole digit → the digit."""
    found = {}
    for box, digit in drawn.digits:
        part = drawn.ids[box.y : box.bottom, box.x : box.right]
        marks = np.bincount(part[(part > 0) & (part < OTHER)], minlength=OTHER)
        found[int(marks.argmax())] = digit
    return found
