"""A frame → the pictures of each stage, boxes that may be digits, and their crops. Pure functions.

Both profiles go the study's way: grey → blur → Canny → dilate → contours. `classic` is that study
to the pixel. `paper` works at one resolution whatever the camera's, on an evenly lit picture, and
takes its boxes from the ink inside the contours: parts that may belong together and blobs that may
be several digits become competing candidates, and the network's answers decide between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits import ink as inks
from live_digits.config import PipelineSettings
from live_digits.crops import normalise
from live_digits.pixels import above, halved
from live_digits.regions import Regions, regions
from live_digits.rulings import Ruled, healed, paths, rims, rulings
from live_digits.segment import Blob, propose
from live_digits.types import CROP_SIZE, Box, Candidate, Doubles, Floats, Image, Stages

Labels = npt.NDArray[np.int32]
Lap = Callable[[str], None]
"""Is told the name of each stage that has just ended: `find` can be timed from outside."""

WORKING_SIDE = 1024
"""Longest side of the working picture of `paper`, pixels; smaller frames stay as they are."""
_HALVED = 0.9
_POLYGON = 3.0
"""Precision of approxPolyDP, pixels."""
_WEAK, _STRONG = 60, 92
"""Even darkness from which a pixel may be ink, and the mean from which a piece is (of ink.INK)."""
_OWN = 0.58
"""A piece's pixels are ink from this share of the darkness of its own darker half."""
_HALF = 112
"""What half of a piece's own darkness becomes."""
_FREE = 0.25
"""A piece is as dark as what of it lies off the rulings, if that is this share of it at least."""
_AROUND, _OF_DARKEST, _PALEST = 25, 0.92, 0.55
"""Where the ink within so many pixels is paler than its piece, a pixel is judged by this share of
the darkest, but by no less than this of the piece: a pale 0 that touches a dark 5 is ink, the
shadow in a fold is not."""
_SIDE_WIDTH, _SIDE_GAP, _SIDE_LIGHT = 0.15, 2, 0.85
"""The strips beside a box: width by its height, distance in pixels, and the quantile taken."""
_SIDES_ASKED = 1.0
"""Boxes wider than this times their height are not asked: no 1 leans so."""
_UPRIGHT = 0.5
"""A rest of an upright ruling is no wider than this times its height."""
_RULED, _BESIDE, _PEN = 0.6, 3, 2.0
"""Ruling beside this share of a narrow piece's height, within so many pixels, makes it a rest of
the ruling, unless it is this much darker."""
_ALONG = 0.7
"""... and this share of its ink is so near: a 0 or 5 has strokes at both sides of a ruling."""
_HAIR, _RUN = 3.0, 8
"""A piece of this mean width, pixels, or less is a rest in any case where ruling runs on for so
many pixels both above and below it: a hard ruling's middle is darker than its rims."""
_LONG = 100
"""... or for so many beside it: a sliver of a table's line on squared paper."""
_SPECK = 12
"""Pieces of fewer pixels are grain."""
MOST_PIECES = 700
"""Pieces beyond this, smallest first, are not looked at: noise must not cost time."""
MOST_BOXES = 1000
"""The same for the boxes of `classic`: sliders that take grain for edges find tens of thousands in
one frame, which would hold the program for minutes and fill its memory."""
_SOFT = 3
"""The darkest ink near is measured on means of so many pixels each way: grain is not ink."""
_SOFT_RIM = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Vision:
    """What `find` saw. `scale` is working pixels per frame pixel; `boxes` are the candidates' in
    working pixels; `labels` holds each working pixel's piece (0 none), int32 H×W."""

    candidates: tuple[Candidate, ...]
    stages: Stages
    scale: float
    boxes: tuple[Box, ...]
    labels: Labels
    profile: str


def find(
    image: Image, settings: PipelineSettings, lap: Lap | None = None, as_trained: bool = False
) -> Vision:
    """uint8 BGR H×W×3 (or grey H×W), at least 1×1 → all that may be a digit in it. `lap` is called
    with the name of each stage as it ends. `as_trained`: without what finding has learned since the
    default network was trained; only training sees pages so, and makes that network again."""
    if settings.profile == "classic":
        return _find_classic(image, settings, lap or _untimed)
    return _find_paper(image, settings, lap or _untimed, as_trained)


def _untimed(stage: str) -> None:
    del stage


def crops(vision: Vision, indices: Sequence[int] | None = None) -> Image:
    """The crops of the candidates named (all by default): uint8 N×28×28, white ink on black."""
    chosen = range(len(vision.boxes)) if indices is None else indices
    out = np.zeros((len(chosen), CROP_SIZE, CROP_SIZE), np.uint8)
    for row, i in enumerate(chosen):
        out[row] = _classic_crop(vision, i) if vision.profile == "classic" else _crop(vision, i)
    return out


def grey_of(image: Image) -> Image:
    """uint8 grey of a BGR or grey picture."""
    return np.asarray(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image, np.uint8
    )


def blurred(grey: Image, settings: PipelineSettings) -> Image:
    """Gaussian blur; an even kernel, which OpenCV refuses, becomes the next odd one."""
    size = settings.blur | 1
    return np.asarray(cv2.GaussianBlur(grey, (size, size), 0), np.uint8)


def edges_of(blur: Image, settings: PipelineSettings) -> Image:
    """Canny's edges, uint8 0 or 255; an aperture outside 3, 5, 7 becomes the nearest of them."""
    aperture = min((3, 5, 7), key=lambda a: abs(a - settings.canny_aperture))
    low = settings.canny_low
    return np.asarray(
        cv2.Canny(blur, low, low * settings.canny_ratio, apertureSize=aperture), np.uint8
    )


def dilated_of(edges: Image, settings: PipelineSettings) -> Image:
    """The edges dilated by a full square."""
    kernel = np.ones((settings.dilate_kernel, settings.dilate_kernel), np.uint8)
    return np.asarray(cv2.dilate(edges, kernel, iterations=settings.dilate_iterations), np.uint8)


def contour_boxes(dilated: Image) -> tuple[Box, ...]:
    """Bounding boxes of the outer contours, in OpenCV's order."""
    contours, _ = cv2.findContours(dilated, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = (cv2.boundingRect(cv2.approxPolyDP(c, _POLYGON, True)) for c in contours)
    return tuple(Box(*(int(v) for v in box)) for box in boxes)


def _find_classic(image: Image, settings: PipelineSettings, lap: Lap) -> Vision:
    grey = grey_of(image)
    lap("grey")
    blur = blurred(grey, settings)
    lap("blur")
    edges = edges_of(blur, settings)
    lap("edges")
    dilated = dilated_of(edges, settings)
    lap("dilated")
    mode = cv2.THRESH_BINARY_INV | (0 if settings.threshold else cv2.THRESH_OTSU)
    ink = np.asarray(cv2.threshold(grey, settings.threshold, 255, mode)[1], np.uint8)
    lap("ink")
    boxes = _largest(contour_boxes(dilated))
    candidates = tuple(Candidate(box, frozenset((i,)), ink=box.area) for i, box in enumerate(boxes))
    nothing = np.zeros((0, 0), np.int32)
    stages = Stages(grey, blur, edges, dilated, ink)
    lap("contours")
    return Vision(candidates, stages, 1.0, boxes, nothing, "classic")


def _largest(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    """At most `MOST_BOXES` of them, in their order."""
    if len(boxes) <= MOST_BOXES:
        return boxes
    kept = np.sort(np.argsort([-b.area for b in boxes], kind="stable")[:MOST_BOXES])
    return tuple(boxes[i] for i in kept)


def _classic_crop(vision: Vision, index: int) -> Image:
    box = vision.boxes[index]
    part = vision.stages.ink[box.y : box.bottom, box.x : box.right]
    size = (CROP_SIZE, CROP_SIZE)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def working(image: Image) -> tuple[Image, float]:
    """The grey picture at about the working resolution, and working pixels per frame pixel.

    Grey first, then halved while at least nine tenths of the working resolution remain, then the
    rest: a third of the pixels, and the two reductions that OpenCV has in vector code, five to ten
    times cheaper than an area resize of the colours.
    """
    grey = grey_of(image)
    wide = grey.shape[1]
    while max(grey.shape) >= 2 * _HALVED * WORKING_SIDE and min(grey.shape) > 1:
        grey = halved(grey)
    h, w = grey.shape
    scale = WORKING_SIDE / max(h, w)
    if scale < 1:
        size = max(1, round(w * scale)), max(1, round(h * scale))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return grey, grey.shape[1] / wide


def _find_paper(image: Image, settings: PipelineSettings, lap: Lap, as_trained: bool) -> Vision:
    grey, scale = working(image)
    lap("grey")
    if inks.light_on_dark(grey, as_trained):
        grey = np.asarray(cv2.bitwise_not(grey), np.uint8)
    grey = inks.calmed(grey)
    dark = inks.darkness(grey)
    lap("light")
    mask = above(dark.even, _WEAK)
    ruled = rulings(mask, dark.raw, as_trained)
    lines = run = ruled.lines
    if lines.any():
        run, crossings = paths(lines)
        paper = cv2.bitwise_or(lines, rims(lines, mask, dark.raw))
        dark = inks.without(dark, np.asarray(paper, np.uint8), crossings)
    lap("rulings")
    even = np.asarray(cv2.bitwise_not(dark.even), np.uint8)
    blur = blurred(even, settings)
    lap("blur")
    edges = edges_of(blur, settings)
    lap("edges")
    dilated = dilated_of(edges, settings)
    lap("dilated")
    own = _own_ink(dark, ruled, run, dilated, settings.threshold)
    lap("ink")
    blobs, labels, where = _blobs(own)
    if lines.any():
        blobs = [b for b in blobs if not _rest(b, labels, lines, dark.raw)]
    lap("pieces")
    proposals = propose(blobs, labels, grey.shape, clusters=not as_trained)
    rim = cv2.dilate(np.where(labels > 0, 255, 0).astype(np.uint8), _SOFT_RIM)
    stages = Stages(even, blur, edges, dilated, np.asarray(cv2.bitwise_and(own, rim), np.uint8))
    height, width = image.shape[:2]
    dark_of, grey_of = _piece_means((dark.raw, grey), labels, where)
    candidates = tuple(
        Candidate(
            _to_frame(p.box, scale, width, height), p.pieces, p.primary, p.ink,
            round(_mean(dark_of, p.pieces)), _sides(grey, p.box, _mean(grey_of, p.pieces)),
        )
        for p in proposals
    )  # fmt: skip
    lap("proposals")
    return Vision(candidates, stages, scale, tuple(p.box for p in proposals), labels, "paper")


def _rest(blob: Blob, labels: Labels, lines: Image, raw: Image) -> bool:
    """Whether a narrow piece is what is left of an upright ruling: ruling runs on within it or
    beside it nearly all along, and is about as dark, or ruling runs on above and below a thin one.
    A 1 that is written over a line is darker and wider."""
    b = blob.box
    if b.w > _UPRIGHT * b.h:
        return False
    rows, columns = slice(b.y, b.bottom), slice(max(0, b.x - _BESIDE), b.right + _BESIDE)
    hair = blob.ink <= _HAIR * b.h
    if hair:
        upper, lower = slice(max(0, b.y - _RUN), b.y), slice(b.bottom, b.bottom + _RUN)
        ends = (lines[end, columns].any(axis=1) for end in (upper, lower))
        if all(np.count_nonzero(ruled) * 2 >= _RUN for ruled in ends):
            return True
    ruled = lines[rows, columns] > 0
    if np.count_nonzero(ruled.any(axis=1)) < _RULED * b.h:
        return False
    own = labels[rows, columns] == blob.id
    near = cv2.dilate(lines[rows, columns], np.ones((1, 2 * _BESIDE + 1), np.uint8)) > 0
    if np.count_nonzero(own & near) < _ALONG * blob.ink:
        return False
    if hair and b.h >= _LONG:
        return True
    dark = raw[rows, columns]
    return float(dark[own].mean()) < _PEN * float(dark[ruled].mean())


def _sides(grey: Image, box: Box, ink: float) -> float:
    """How much the paper to the left of a box and to its right differ, as a share of how much
    darker its ink is, of this mean grey; the lighter part of each strip counts, since a
    neighbour's ink may reach into it. Where the picture ends there is no paper: what it cuts off
    may be anything. Wider boxes are not asked."""
    if box.w > _SIDES_ASKED * box.h:
        return 0.0
    w = max(2, round(_SIDE_WIDTH * box.h))
    levels = []
    for x in (box.x - _SIDE_GAP - w, box.right + _SIDE_GAP):
        strip = grey[box.y : box.bottom, max(0, x) : max(0, x + w)].ravel()
        if not strip.size:
            return 1.0
        at = int(_SIDE_LIGHT * (strip.size - 1))
        levels.append(int(np.partition(strip, at)[at]))
    return abs(levels[0] - levels[1]) / max(sum(levels) / 2 - ink, 1)


def _piece_means(
    pictures: Sequence[Image], labels: Labels, where: npt.NDArray[np.intp]
) -> list[list[float]]:
    """Each piece's mean in each of the pictures, by its label; `where` are the pixels that may be
    ink."""
    owner = labels.ravel()[where]
    count = np.maximum(np.bincount(owner), 1)
    totals = (np.bincount(owner, picture.ravel()[where]) for picture in pictures)
    return [[float(v) for v in total / count] for total in totals]


def _mean(of: Sequence[float], pieces: frozenset[int]) -> float:
    return sum(of[i] for i in pieces) / len(pieces)


def _own_ink(
    dark: inks.Darkness, ruled: Ruled, run: Image, dilated: Image, threshold: int
) -> Image:
    """Each piece of ink at its own full darkness, uint8: from `_HALF` on a pixel is ink, what is
    less is a stroke's soft rim. Ink without any sharp edge is shadow. `threshold`: the slider."""
    weak = above(dark.even, 255 - threshold if threshold else _WEAK)
    found = regions(healed(weak, ruled))
    own = np.zeros_like(dark.raw)
    if not len(found.at):
        return own
    kept = found.total(dilated.ravel()[found.at] > 0) > 0
    if threshold:
        own.ravel()[found.at[found.spread(kept)]] = 255
        return own
    kept &= found.total(dark.even.ravel()[found.at]) >= _STRONG * np.maximum(found.area(), 1)
    raw = dark.raw.ravel()[found.at].astype(np.float32)
    level = found.spread(_levels(found, raw, run).astype(np.float32))
    bare = cv2.bitwise_and(dark.raw, cv2.subtract(weak, run))
    soft = cv2.blur(bare, (_SOFT, _SOFT))
    darkest = cv2.dilate(soft, np.ones((_AROUND, _AROUND), np.uint8)).ravel()[found.at]
    level = np.clip(_OF_DARKEST * darkest.astype(np.float32), _PALEST * level, level)
    factor = np.where(found.spread(kept), _HALF / (_OWN * level), 0)
    own.ravel()[found.at] = np.minimum(raw * factor, 255).astype(np.uint8)
    return own


def _levels(found: Regions, raw: Floats, run: Image) -> Doubles:
    """How dark each piece's darker half is, by its pixels off the rulings if these are enough;
    never 0. `raw`: the darkness of each pixel; `run`: where rulings do."""
    told = run.ravel()[found.at] == 0
    enough = found.total(told) >= np.maximum(_FREE * found.area(), _SPECK)
    told |= ~found.spread(enough)
    mean = found.total(raw * told) / np.maximum(found.total(told), 1)
    upper = told & (raw >= found.spread(mean.astype(np.float32)))
    level = found.total(raw * upper) / np.maximum(found.total(upper), 1)
    return np.maximum(level, 1)


def _blobs(own: Image) -> tuple[list[Blob], Labels, npt.NDArray[np.intp]]:
    """Connected pieces of ink, grain left out, at most `MOST_PIECES`; the labels of all pixels, and
    the flat indices of those that are ink or grain."""
    found = regions(above(own, _HALF - 1))
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


def _to_frame(box: Box, scale: float, width: int, height: int) -> Box:
    """A working box in whole frame pixels, inside the frame."""
    if scale == 1:
        return box
    x0, y0 = int(box.x / scale), int(box.y / scale)
    x1 = min(width, max(x0 + 1, round(box.right / scale)))
    y1 = min(height, max(y0 + 1, round(box.bottom / scale)))
    return Box(x0, y0, x1 - x0, y1 - y0)


def _crop(vision: Vision, index: int) -> Image:
    """The candidate's own ink, soft rims included, without its neighbours'."""
    box = vision.boxes[index]
    h, w = vision.labels.shape
    y0, y1 = max(0, box.y - 1), min(h, box.bottom + 1)
    x0, x1 = max(0, box.x - 1), min(w, box.right + 1)
    labels = vision.labels[y0:y1, x0:x1]
    first, *more = vision.candidates[index].pieces
    own = labels == first
    for piece in more:
        own |= labels == piece
    rim = cv2.dilate(own.astype(np.uint8), _SOFT_RIM)
    rim[(labels > 0) & ~own] = 0
    return normalise(np.asarray(vision.stages.ink[y0:y1, x0:x1] * rim, np.uint8))
