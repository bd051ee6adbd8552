"""A frame → the pictures of each stage, boxes that may be digits, and their crops. Pure functions.

Both profiles go the study's way: grey → blur → Canny → dilate → contours. `classic` is that study
to the pixel. `paper` works at one resolution whatever the camera's, on an evenly lit picture, and
takes its boxes from the ink inside the contours: parts that may belong together and blobs that may
be several digits become competing candidates, and the network's answers decide between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from live_digits.config.settings import PipelineSettings
from live_digits.core.types import CROP_SIZE, Image
from live_digits.vision.classic import classic_crop, detect_classic
from live_digits.vision.paper import detect_paper, paper_crop
from live_digits.vision.stages import Detections, Lap


def detect_candidates(
    image: Image, settings: PipelineSettings, lap: Lap | None = None
) -> Detections:
    """uint8 BGR H×W×3 (or grey H×W), at least 1×1 → all that may be a digit in it. `lap` is called
    with the name of each stage as it ends."""
    if settings.profile == "classic":
        return detect_classic(image, settings, lap or _untimed)
    return detect_paper(image, settings, lap or _untimed)


def _untimed(stage: str) -> None:
    del stage


def extract_crops(vision: Detections, indices: Sequence[int] | None = None) -> Image:
    """The crops of the candidates named (all by default): uint8 N×28×28, white ink on black."""
    chosen = range(len(vision.boxes)) if indices is None else indices
    out = np.zeros((len(chosen), CROP_SIZE, CROP_SIZE), np.uint8)
    for row, i in enumerate(chosen):
        out[row] = classic_crop(vision, i) if vision.profile == "classic" else paper_crop(vision, i)
    return out
