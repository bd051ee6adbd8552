"""The paper pipeline: even light, no rulings, ink, connected components, proposals."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Image
from live_digits.vision import denoising, polarity
from live_digits.vision import illumination as inks
from live_digits.vision.classic import blur_grey, detect_edges, dilate_edges, to_grey
from live_digits.vision.image_ops import downsample_2x, threshold_mask
from live_digits.vision.ink_extraction import WEAK_INK, extract_ink, find_blobs
from live_digits.vision.mnist_crop import normalise
from live_digits.vision.ruled_lines import (
    detect_ruled_lines,
    line_halos,
    line_paths_and_crossings,
)
from live_digits.vision.segmentation import propose
from live_digits.vision.stages import Detections, LabelImage, Lap, StageImages

WORKING_SIDE = 1024
"""Longest side of the working picture of `paper`, pixels; smaller frames stay as they are."""
_HALVED = 0.9
_SOFT_RIM = np.ones((3, 3), np.uint8)


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


def detect_paper(image: Image, settings: PipelineSettings, lap: Lap) -> Detections:
    grey, scale = to_working_resolution(image)
    lap("grey")
    if polarity.is_light_on_dark(grey):
        grey = np.asarray(cv2.bitwise_not(grey), np.uint8)
    dark = inks.ink_contrast(denoising.denoise(grey))
    lap("light")
    mask = threshold_mask(dark.even, WEAK_INK)
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
    own = extract_ink(dark, ruled, run, dilated, settings.threshold)
    lap("ink")
    blobs, labels, where = find_blobs(own)
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
    picture: Image, labels: LabelImage, where: npt.NDArray[np.intp]
) -> tuple[list[int], list[float]]:
    """Each piece's pixels and their sum in a picture, by its label; `where` are the pixels that may
    be ink."""
    owner = labels.ravel()[where]
    total = np.bincount(owner, picture.ravel()[where])
    return np.maximum(np.bincount(owner), 1).tolist(), total.tolist()


def _to_frame(box: Box, scale: float, width: int, height: int) -> Box:
    """A working box in whole frame pixels, inside the frame."""
    if scale == 1:
        return box
    x0, y0 = int(box.x / scale), int(box.y / scale)
    x1 = min(width, max(x0 + 1, round(box.right / scale)))
    y1 = min(height, max(y0 + 1, round(box.bottom / scale)))
    return Box(x0, y0, x1 - x0, y1 - y0)


def paper_crop(vision: Detections, index: int) -> Image:
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
