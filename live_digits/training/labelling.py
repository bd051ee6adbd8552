"""What finding makes of a drawn page, and what each candidate really is, by its ink."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import NOT_A_DIGIT, Candidate, Image
from live_digits.reading.classes import LETTER, MARK, PART
from live_digits.reading.cutouts import Cutouts, cut_out
from live_digits.training.synthetic.drawn_page import Page
from live_digits.training.synthetic.symbols import OTHER, Ids
from live_digits.vision.detection import detect_candidates
from live_digits.vision.mnist_crop import normalise
from live_digits.vision.stages import Detections

UNTAUGHT = -1
"""The label of what teaches nothing."""
_TWIN = -2
"""The label of another candidate for a 0 that has one; that for a digit d is lower by d."""
_PURE, _WHOLE = 0.86, 0.86
"""Least share of a candidate's ink that is one digit's, and of the digit's ink that it has, for it
to be that digit."""
_PARTIAL = 0.55
"""Most share of a digit's ink that a part has; what has more, but is not whole, is untaught."""
_MIXED = 0.2
"""Least share of a candidate's ink that a second mark has, for it to be no single mark."""
_FOREIGN = 0.5
"""Least share of a candidate's ink that marks have, for it to be theirs and not the paper's."""
_LEGIBLE = 0.75
"""Least correlation of a digit's crop with that of the very ink that was written, both blurred;
below it, light, lens and threshold have left nothing to be read."""
_BLUR = 1.0
"""Standard deviation of that blur, pixels: a thin stroke may lie a pixel aside."""


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page's candidates as the judge sees them, and what each is.

    `labels`: int8 N, 0…13 as in `reading.classes`, below 0 where a candidate teaches nothing.
    `alike`: bool N, whether only its surroundings tell it from a digit. `found`, `digits`: the
    page's readable digits with a candidate, and all of them.
    """

    candidates: tuple[Candidate, ...]
    cutouts: Cutouts
    labels: npt.NDArray[np.int8]
    alike: npt.NDArray[np.bool_]
    found: int
    digits: int


def labelled(drawn: Page, settings: PipelineSettings | None = None) -> LabelledPage:
    """Finds the candidates of a drawn page and labels them.

    Args:
        drawn: the page with the ids of its ink.
        settings: of finding; the default ones by default.
    """
    vision = detect_candidates(drawn.image, settings or PipelineSettings())
    h, w = vision.labels.shape
    ids = np.asarray(cv2.resize(drawn.ids, (w, h), interpolation=cv2.INTER_NEAREST), np.uint16)
    cutouts = cut_out(vision, range(len(vision.candidates)))
    labels, marks = labels_of(vision, drawn, ids)
    for i in np.flatnonzero((labels >= 0) & (labels < NOT_A_DIGIT)):
        if not _legible(cutouts.crops[i], vision.boxes[i], ids, int(marks[i])):
            labels[i] = UNTAUGHT
    digit = (labels >= 0) & (labels < NOT_A_DIGIT)
    found = len({int(m) for m in marks[digit]})
    return LabelledPage(
        vision.candidates,
        cutouts,
        labels.astype(np.int8),
        np.isin(marks, list(drawn.alike)),
        found,
        len(drawn.digits),
    )


def read_as(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Returns the labels with what is another candidate for a digit as that digit."""
    return np.where(labels <= _TWIN, _TWIN - labels, labels).astype(np.int8)


def _legible(crop: Image, box: Box, ids: Ids, mark: int) -> bool:
    """Whether a crop still shows the ink that was written about its box: that of `mark`."""
    y0, x0 = max(0, box.y - 2), max(0, box.x - 2)
    part = ids[y0 : box.bottom + 2, x0 : box.right + 2] == mark
    clean = normalise(np.where(part, 255, 0).astype(np.uint8))
    a, b = (
        np.asarray(cv2.GaussianBlur(one, (0, 0), _BLUR), np.float64).ravel()
        for one in (crop, clean)
    )
    if not a.any() or not b.any():
        return False
    return float(np.corrcoef(a, b)[0, 1]) >= _LEGIBLE


def labels_of(
    vision: Detections, drawn: Page, ids: Ids
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns each candidate's class and the id of the mark that has most of its ink.

    Of several candidates that are the same digit the purest and most whole has its class, the
    others teach nothing.

    Args:
        vision: what finding saw of the page.
        drawn: the page.
        ids: uint16 H×W, the page's ids at the working resolution.
    """
    near = np.asarray(cv2.dilate(ids, np.ones((3, 3), np.uint8)))
    ids = np.where(ids > 0, ids, near)
    present, compact = np.unique(ids, return_inverse=True)
    compact = compact.reshape(ids.shape).astype(np.int64)
    if present[0] != 0:
        present, compact = np.concatenate([[0], present]), compact + 1
    components = int(vision.labels.max(initial=0)) + 1
    joint = np.bincount(
        vision.labels.ravel().astype(np.int64) * len(present) + compact.ravel(),
        minlength=components * len(present),
    ).reshape(components, len(present))
    inked = np.maximum(joint[1:].sum(axis=0), 1)
    kinds = np.array([_kind(int(mark), drawn) for mark in present])
    whole_digit = _digits_by_id(drawn)
    out = np.full(len(vision.candidates), UNTAUGHT, np.int64)
    whose = np.zeros(len(vision.candidates), np.int64)
    best_of: dict[int, tuple[float, int]] = {}
    for i, c in enumerate(vision.candidates):
        mine = joint[list(c.component_ids)].sum(axis=0)
        out[i], best, worth = _class_of(mine, inked, kinds, present, whole_digit)
        whose[i] = present[best]
        if 0 <= out[i] < NOT_A_DIGIT:
            mark, worth = int(present[best]), worth + 0.02 * c.is_whole
            before = best_of.get(mark)
            if before and before[0] >= worth:
                out[i] = _TWIN - out[i]
            else:
                if before:
                    out[before[1]] = _TWIN - out[before[1]]
                best_of[mark] = worth, i
    return out, whose


def _class_of(
    mine: npt.NDArray[np.int64], inked: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64],
    present: npt.NDArray[np.uint16], digit_of: dict[int, int],
) -> tuple[int, int, float]:  # fmt: skip
    """The class of a candidate by how many pixels of each mark it has; the index of the mark that
    has most of it; and how pure and whole it is."""
    total = max(1, int(mine.sum()))
    marked = mine[1:]
    if not marked.any() or marked.sum() < _FOREIGN * total:
        clean = not marked.any() or marked.sum() < (1 - _PURE) * total
        return (MARK if clean else UNTAUGHT), 0, 0.0
    best = int(marked.argmax()) + 1
    pure, whole = mine[best] / total, mine[best] / int(inked[best])
    second = float(np.sort(marked)[-2]) / total if len(marked) > 1 else 0.0
    if kinds[best] == PART:  # a digit's ink: kinds of digits stand as PART until they are whole
        if pure >= _PURE and whole >= _WHOLE:
            digit = digit_of.get(int(present[best]))
            return (UNTAUGHT if digit is None else digit), best, float(pure * whole)
        if second >= _MIXED or whole <= _PARTIAL:
            return PART, best, 0.0
        return UNTAUGHT, best, 0.0
    share = {k: int(mine[1:][kinds[1:] == k].sum()) / total for k in np.unique(kinds[1:])}
    if share.get(PART, 0.0) >= _MIXED:
        return PART, best, 0.0
    return int(kinds[best]), best, 0.0


def _kind(mark: int, drawn: Page) -> int:
    """The class of a mark's ink; PART for that of a digit, UNTAUGHT where it teaches nothing."""
    if mark == 0:
        return MARK
    if mark >= OTHER:
        kinds = getattr(drawn, "kinds", ())
        return int(kinds[mark - OTHER]) if mark - OTHER < len(kinds) else LETTER
    return UNTAUGHT if mark in getattr(drawn, "unreadable", ()) else PART


def _digits_by_id(drawn: Page) -> dict[int, int]:
    """The id of each whole, readable digit → the digit."""
    found = {}
    for box, digit in drawn.digits:
        part = drawn.ids[box.y : box.bottom, box.x : box.right]
        marks = np.bincount(part[(part > 0) & (part < OTHER)], minlength=1)
        found[int(marks.argmax())] = digit
    return found
