"""The published study's pipeline: blur, Canny, dilate, outer contours, stretched crops."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import CROP_SIZE, Candidate, Image
from live_digits.vision.stages import Detections, Lap, StageImages

_POLYGON = 3.0
"""Precision of approxPolyDP, pixels."""
MOST_BOXES = 1000
"""The same for the boxes of `classic`: sliders that take grain for edges find tens of thousands in
one frame, which would hold the program for minutes and fill its memory."""


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


def detect_classic(image: Image, settings: PipelineSettings, lap: Lap) -> Detections:
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


def classic_crop(vision: Detections, index: int) -> Image:
    box = vision.boxes[index]
    part = vision.stages.ink[box.y : box.bottom, box.x : box.right]
    size = (CROP_SIZE, CROP_SIZE)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
