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

from live_digits.config.settings import PipelineSettings
from live_digits.core.types import CROP_SIZE, Box, Candidate, Image, StageImages
from live_digits.vision import illumination as inks
from live_digits.vision.connected_components import connected_components
from live_digits.vision.image_ops import downsample_2x, threshold_mask
from live_digits.vision.mnist_crop import normalise
from live_digits.vision.ruled_lines import (
    RuledLines,
    bridge_line_gaps,
    detect_ruled_lines,
    line_halos,
    line_paths_and_crossings,
)
from live_digits.vision.segmentation import Blob, propose

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
_OWN, _AROUND = 0.53, 9
"""A pixel is ink from this share of the darkest ink within so many pixels: a pale 0 that touches a
dark 5 is ink, a dark stroke's soft rim is not."""
_HALF = 112
"""What that share of the darkest ink becomes."""
_SPECK = 12
"""Pieces of fewer pixels are grain."""
MOST_PIECES = 700
"""Pieces beyond this, smallest first, are not looked at: noise must not cost time."""
MOST_BOXES = 1000
"""The same for the boxes of `classic`: sliders that take grain for edges find tens of thousands in
one frame, which would hold the program for minutes and fill its memory."""
_SOFT = 3
"""The darkest ink is measured on means of so many pixels each way: grain is not ink."""
_SOFT_RIM = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Detections:
    """What `find` saw. `scale` is working pixels per frame pixel; `boxes` are the candidates' in
    working pixels; `labels` holds each working pixel's piece (0 none), int32 H×W. `grey` is the
    working picture, dark ink on light paper, and `raw` how much darker than the paper it is, uint8
    H×W. The last three are 0×0 for `classic`."""

    candidates: tuple[Candidate, ...]
    stages: StageImages
    scale: float
    boxes: tuple[Box, ...]
    labels: Labels
    profile: str
    grey: Image
    raw: Image


def detect_candidates(
    image: Image, settings: PipelineSettings, lap: Lap | None = None
) -> Detections:
    """uint8 BGR H×W×3 (or grey H×W), at least 1×1 → all that may be a digit in it. `lap` is called
    with the name of each stage as it ends."""
    if settings.profile == "classic":
        return _find_classic(image, settings, lap or _untimed)
    return _find_paper(image, settings, lap or _untimed)


def _untimed(stage: str) -> None:
    del stage


def extract_crops(vision: Detections, indices: Sequence[int] | None = None) -> Image:
    """The crops of the candidates named (all by default): uint8 N×28×28, white ink on black."""
    chosen = range(len(vision.boxes)) if indices is None else indices
    out = np.zeros((len(chosen), CROP_SIZE, CROP_SIZE), np.uint8)
    for row, i in enumerate(chosen):
        out[row] = _classic_crop(vision, i) if vision.profile == "classic" else _crop(vision, i)
    return out


def to_grey(image: Image) -> Image:
    """uint8 grey of a BGR or grey picture."""
    return np.asarray(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image, np.uint8
    )


def blur_grey(grey: Image, settings: PipelineSettings) -> Image:
    """Gaussian blur; an even kernel, which OpenCV refuses, becomes the next odd one."""
    size = settings.blur | 1
    return np.asarray(cv2.GaussianBlur(grey, (size, size), 0), np.uint8)


def detect_edges(blur: Image, settings: PipelineSettings) -> Image:
    """Canny's edges, uint8 0 or 255; an aperture outside 3, 5, 7 becomes the nearest of them."""
    aperture = min((3, 5, 7), key=lambda a: abs(a - settings.canny_aperture))
    low = settings.canny_low
    return np.asarray(
        cv2.Canny(blur, low, low * settings.canny_ratio, apertureSize=aperture), np.uint8
    )


def dilate_edges(edges: Image, settings: PipelineSettings) -> Image:
    """The edges dilated by a full square."""
    kernel = np.ones((settings.dilate_kernel, settings.dilate_kernel), np.uint8)
    return np.asarray(cv2.dilate(edges, kernel, iterations=settings.dilate_iterations), np.uint8)


def contour_boxes(dilated: Image) -> tuple[Box, ...]:
    """Bounding boxes of the outer contours, in OpenCV's order."""
    contours, _ = cv2.findContours(dilated, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = (cv2.boundingRect(cv2.approxPolyDP(c, _POLYGON, True)) for c in contours)
    return tuple(Box(*(int(v) for v in box)) for box in boxes)


def _find_classic(image: Image, settings: PipelineSettings, lap: Lap) -> Detections:
    grey = to_grey(image)
    lap("grey")
    blur = blur_grey(grey, settings)
    lap("blur")
    edges = detect_edges(blur, settings)
    lap("edges")
    dilated = dilate_edges(edges, settings)
    lap("dilated")
    mode = cv2.THRESH_BINARY_INV | (0 if settings.threshold else cv2.THRESH_OTSU)
    ink = np.asarray(cv2.threshold(grey, settings.threshold, 255, mode)[1], np.uint8)
    lap("ink")
    boxes = _largest(contour_boxes(dilated))
    candidates = tuple(Candidate(box, frozenset((i,)), ink=box.area) for i, box in enumerate(boxes))
    stages = StageImages(grey, blur, edges, dilated, ink)
    lap("contours")
    nothing = np.zeros((0, 0), np.uint8)
    labels = nothing.astype(np.int32)
    return Detections(candidates, stages, 1.0, boxes, labels, "classic", nothing, nothing)


def _largest(boxes: tuple[Box, ...]) -> tuple[Box, ...]:
    """At most `MOST_BOXES` of them, in their order."""
    if len(boxes) <= MOST_BOXES:
        return boxes
    kept = np.sort(np.argsort([-b.area for b in boxes], kind="stable")[:MOST_BOXES])
    return tuple(boxes[i] for i in kept)


def _classic_crop(vision: Detections, index: int) -> Image:
    box = vision.boxes[index]
    part = vision.stages.ink[box.y : box.bottom, box.x : box.right]
    size = (CROP_SIZE, CROP_SIZE)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def to_working_resolution(image: Image) -> tuple[Image, float]:
    """The grey picture at about the working resolution, and working pixels per frame pixel.

    Grey first, then halved while at least nine tenths of the working resolution remain, then the
    rest: a third of the pixels, and the two reductions that OpenCV has in vector code, five to ten
    times cheaper than an area resize of the colours.
    """
    grey = to_grey(image)
    wide = grey.shape[1]
    while max(grey.shape) >= 2 * _HALVED * WORKING_SIDE and min(grey.shape) > 1:
        grey = downsample_2x(grey)
    h, w = grey.shape
    scale = WORKING_SIDE / max(h, w)
    if scale < 1:
        size = max(1, round(w * scale)), max(1, round(h * scale))
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return grey, grey.shape[1] / wide


def _find_paper(image: Image, settings: PipelineSettings, lap: Lap) -> Detections:
    grey, scale = to_working_resolution(image)
    lap("grey")
    if inks.is_light_on_dark(grey):
        grey = np.asarray(cv2.bitwise_not(grey), np.uint8)
    dark = inks.ink_contrast(inks.denoise(grey))
    lap("light")
    mask = threshold_mask(dark.even, _WEAK)
    ruled = detect_ruled_lines(mask, dark.raw)
    lines = run = ruled.lines
    if lines.any():
        run, crossings = line_paths_and_crossings(lines)
        paper = cv2.bitwise_or(lines, line_halos(lines, mask, dark.raw))
        dark = inks.mask_lines(dark, np.asarray(paper, np.uint8), crossings)
    lap("rulings")
    even = np.asarray(cv2.bitwise_not(dark.even), np.uint8)
    blur = blur_grey(even, settings)
    lap("blur")
    edges = detect_edges(blur, settings)
    lap("edges")
    dilated = dilate_edges(edges, settings)
    lap("dilated")
    own = _extract_ink(dark, ruled, run, dilated, settings.threshold)
    lap("ink")
    blobs, labels, where = _blobs(own)
    lap("pieces")
    proposals = propose(blobs, labels)
    rim = cv2.dilate(np.where(labels > 0, 255, 0).astype(np.uint8), _SOFT_RIM)
    stages = StageImages(
        even, blur, edges, dilated, np.asarray(cv2.bitwise_and(own, rim), np.uint8)
    )
    height, width = image.shape[:2]
    area, contrast = _component_sums(dark.raw, labels, where)
    candidates = tuple(
        Candidate(
            _to_frame(p.box, scale, width, height), ids, p.is_whole, p.ink,
            round(sum([contrast[i] for i in ids]) / sum([area[i] for i in ids])),
        )
        for p in proposals
        for ids in (p.component_ids,)
    )  # fmt: skip
    lap("proposals")
    boxes = tuple(p.box for p in proposals)
    return Detections(candidates, stages, scale, boxes, labels, "paper", grey, dark.raw)


def _component_sums(
    picture: Image, labels: Labels, where: npt.NDArray[np.intp]
) -> tuple[list[int], list[float]]:
    """Each piece's pixels and their sum in a picture, by its label; `where` are the pixels that may
    be ink."""
    owner = labels.ravel()[where]
    total = np.bincount(owner, picture.ravel()[where])
    return np.maximum(np.bincount(owner), 1).tolist(), total.tolist()


def _extract_ink(
    dark: inks.InkContrast, ruled: RuledLines, run: Image, dilated: Image, threshold: int
) -> Image:
    """Ink at the full darkness of what is near, uint8: from `_HALF` on a pixel is ink, what is less
    is a stroke's soft rim. Ink without any sharp edge is shadow. `threshold`: the slider."""
    weak = threshold_mask(dark.even, 255 - threshold if threshold else _WEAK)
    found = connected_components(bridge_line_gaps(weak, ruled))
    own = np.zeros_like(dark.raw)
    if not len(found.at):
        return own
    kept = found.total(dilated.ravel()[found.at] > 0) > 0
    if threshold:
        own.ravel()[found.at[found.spread(kept)]] = 255
        return own
    kept &= found.total(dark.even.ravel()[found.at]) >= _STRONG * np.maximum(found.area(), 1)
    bare = cv2.bitwise_and(dark.raw, cv2.subtract(weak, run))
    soft = cv2.blur(bare, (_SOFT, _SOFT))
    darkest = cv2.dilate(soft, np.ones((_AROUND, _AROUND), np.uint8)).ravel()[found.at]
    factor = np.where(found.spread(kept), _HALF / (_OWN * np.maximum(darkest, 1.0)), 0)
    own.ravel()[found.at] = np.minimum(dark.raw.ravel()[found.at] * factor, 255).astype(np.uint8)
    return own


def _blobs(own: Image) -> tuple[list[Blob], Labels, npt.NDArray[np.intp]]:
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


def _to_frame(box: Box, scale: float, width: int, height: int) -> Box:
    """A working box in whole frame pixels, inside the frame."""
    if scale == 1:
        return box
    x0, y0 = int(box.x / scale), int(box.y / scale)
    x1 = min(width, max(x0 + 1, round(box.right / scale)))
    y1 = min(height, max(y0 + 1, round(box.bottom / scale)))
    return Box(x0, y0, x1 - x0, y1 - y0)


def _crop(vision: Detections, index: int) -> Image:
    """The candidate's own ink, soft rims included, without its neighbours'."""
    box = vision.boxes[index]
    h, w = vision.labels.shape
    y0, y1 = max(0, box.y - 1), min(h, box.bottom + 1)
    x0, x1 = max(0, box.x - 1), min(w, box.right + 1)
    labels = vision.labels[y0:y1, x0:x1]
    first, *more = vision.candidates[index].component_ids
    own = labels == first
    for piece in more:
        own |= labels == piece
    rim = cv2.dilate(own.astype(np.uint8), _SOFT_RIM)
    rim[(labels > 0) & ~own] = 0
    return normalise(np.asarray(vision.stages.ink[y0:y1, x0:x1] * rim, np.uint8))
