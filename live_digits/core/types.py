"""The frozen values that travel from room to room. NumPy only.

A frame's way: Frame → Detections (candidates) → tracks → probabilities → Reading → picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from live_digits.core.errors import LiveDigitsError
from live_digits.core.geometry import Box

Image = npt.NDArray[np.uint8]
"""uint8, H×W (grey) or H×W×3 (BGR)."""
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
CROP_SIZE = 28
"""Side of a crop, pixels: MNIST's."""
AIR = "air"
"""The origin of digits that were written in the air."""
NOT_A_DIGIT = 10
"""Index of the eleventh output."""
CLASSES = 11


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    `image` is uint8 BGR H×W×3 and never written to after capture. `seq` grows by at least 1 from
    frame to frame and shows drops. `time` is seconds: the monotonic clock at the moment of capture
    for cameras, streams and the demo, the presentation time for files. `arrived` is the monotonic
    moment from which the frame could be had, whatever its kind: latency counts from there.
    """

    image: Image
    seq: int
    time: float
    source: str = ""
    arrived: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region of ink that may be one digit.

    `component_ids` are the connected components (within one `Detections`) that it is made of.
    Candidates that share one compete: at most one is read. `is_whole` marks the reading to expect
    before the network has spoken (a whole connected blob); the others are its halves and its
    unions with neighbours. `ink` is its amount of ink in pixels: what the candidate explains.
    `contrast` is how dark that ink is against its paper, 0…255; 0 where it was not measured.
    """

    box: Box
    component_ids: frozenset[int]
    is_whole: bool = True
    ink: int = 0
    contrast: int = 0


class Classifier(Protocol):
    """What reads crops."""

    name: str

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28, white ink on black → float32 N×11, rows that sum to 1. N may be 0."""
        ...


@dataclass(frozen=True, slots=True)
class Track:
    """A candidate followed from frame to frame. `candidate` indexes this frame's candidates."""

    id: int
    box: Box
    candidate: int
    age: int
    moving: bool = False


@dataclass(frozen=True, slots=True)
class Digit:
    """A box that is read as a digit. `origin`: "" for what stands on the page, AIR for what a
    finger wrote."""

    box: Box
    digit: int
    confidence: float
    track: int
    origin: str = ""

    def as_dict(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "box": self.box.as_list(),
            "digit": self.digit,
            "confidence": round(self.confidence, 4),
            "track": self.track,
        }
        return content | {"origin": self.origin} if self.origin else content


@dataclass(frozen=True, slots=True)
class Rejected:
    """A box that carries no digit. `reason`: "letter", "sign", "part", "mark" or "unsure";
    `confidence`: of that reason, 0…1."""

    box: Box
    reason: str
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "box": self.box.as_list(),
            "reason": self.reason,
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """All that was read of one frame: the line of `read --json` and of readings.jsonl.

    `digits` stand in reading order. `pending` (asked, not answered yet) and `rejected` boxes are
    drawn without a digit; the JSON has the rejected ones where it is asked for them.
    """

    source: str
    frame: int
    time: float
    width: int
    height: int
    digits: tuple[Digit, ...] = ()
    lines: tuple[str, ...] = ()
    pending: tuple[Box, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    def scaled(self, by: float) -> Reading:
        """The reading in the pixels of a picture `by` times as large, for drawing."""
        if by == 1:
            return self
        return self.map_boxes(lambda box: box.scaled(by))

    def map_boxes(self, change: Callable[[Box], Box]) -> Reading:
        """The reading with every box changed."""
        return replace(
            self,
            digits=tuple(replace(d, box=change(d.box)) for d in self.digits),
            pending=tuple(change(b) for b in self.pending),
            rejected=tuple(replace(r, box=change(r.box)) for r in self.rejected),
        )

    def as_dict(self, rejected: bool = False) -> dict[str, Any]:
        """Returns the line of `read --json` as plain values.

        Args:
            rejected: adds why each other box carries no digit.
        """
        content: dict[str, Any] = {
            "source": self.source,
            "frame": self.frame,
            "time": round(self.time, 4),
            "width": self.width,
            "height": self.height,
            "digits": [d.as_dict() for d in self.digits],
            "lines": list(self.lines),
        }
        if rejected:
            content["rejected"] = [r.as_dict() for r in self.rejected]
        return content

    def to_supervision(self) -> Any:
        """Returns the digits as `supervision.Detections`, for its annotators and tools.

        `xyxy` float32 N×4 pixels, `confidence`, `class_id` (the digit), `tracker_id`, and
        `data["class_name"]`.

        Raises:
            LiveDigitsError: the package supervision is not installed.
        """
        try:
            import supervision
        except ImportError as e:
            raise LiveDigitsError(
                "to_supervision needs the package supervision: pip install supervision"
            ) from e
        boxes = [(d.box.x, d.box.y, d.box.right, d.box.bottom) for d in self.digits]
        return supervision.Detections(
            xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            confidence=np.array([d.confidence for d in self.digits], np.float32),
            class_id=np.array([d.digit for d in self.digits], int),
            tracker_id=np.array([d.track for d in self.digits], int),
            data={"class_name": np.array([str(d.digit) for d in self.digits])},
        )


@dataclass(frozen=True, slots=True)
class Mode:
    """A size and rate of a source; 0 where unknown or not asked for."""

    width: int = 0
    height: int = 0
    fps: float = 0.0

    def __str__(self) -> str:
        size = f"{self.width}×{self.height}" if self.width else "any size"
        return f"{size} at {self.fps:g}/s" if self.fps else size


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source was asked for, what it says it gives, and what was measured."""

    name: str
    kind: Literal["camera", "stream", "video", "pictures", "demo"]
    requested: Mode = field(default_factory=Mode)
    reported: Mode = field(default_factory=Mode)
    measured: Mode = field(default_factory=Mode)

    def as_json(self) -> dict[str, Any]:
        modes = {"requested": self.requested, "reported": self.reported, "measured": self.measured}
        return {"name": self.name, "kind": self.kind} | {
            key: {"width": m.width, "height": m.height, "fps": round(m.fps, 2)}
            for key, m in modes.items()
        }


@dataclass(frozen=True, slots=True)
class Signal:
    """How a live source fares. `silent`: seconds since the last frame where the signal is gone,
    else None. `outages` counts how often frames stopped, `reconnects` how often a new connection
    brought them back; `lost_s` is all the time without them, seconds."""

    silent: float | None = None
    outages: int = 0
    reconnects: int = 0
    lost_s: float = 0.0
