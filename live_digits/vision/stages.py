"""The pictures between vision's steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Image


@dataclass(frozen=True, slots=True)
class StageImages:
    """The pictures between the steps, all uint8 grey at the working resolution."""

    grey: Image
    blur: Image
    edges: Image
    dilated: Image
    ink: Image


LabelImage = npt.NDArray[np.int32]
Lap = Callable[[str], None]
"""Is told the name of each stage that has just ended: vision can be timed from outside."""


@dataclass(frozen=True, slots=True)
class Detections:
    """What vision saw. `scale` is working pixels per frame pixel; `boxes` are the candidates' in
    working pixels; `labels` holds each working pixel's piece (0 none), int32 H×W. `grey` is the
    working picture, dark ink on light paper, and `raw` how much darker than the paper it is, uint8
    H×W. The last three are 0×0 for `classic`."""

    candidates: tuple[Candidate, ...]
    stages: StageImages
    scale: float
    boxes: tuple[Box, ...]
    labels: LabelImage
    profile: str
    grey: Image
    raw: Image
