"""A frame's way with the program's savings on, or with some of them off. One thread, timed.

Each saving is named after what is spared. Switched off, the work that it spares is done again with
the program's own functions wherever it still has them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial

import cv2
import numpy as np

from live_digits.bench.samples import Stopwatch
from live_digits.config.settings import Settings, profile_defaults
from live_digits.core.types import Classifier, Floats, Frame, Image, Reading
from live_digits.display.overlay import draw
from live_digits.display.status import HudStatus
from live_digits.reading.questions import Question, answer_question, as_judge
from live_digits.tracking.video_reader import TrackedFrame, VideoReader
from live_digits.vision import paper
from live_digits.vision.classic import to_grey
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.frame_difference import has_changed, thumbnail
from live_digits.vision.stages import Detections
from live_digits.vision.worker import FRESH

VISION = (
    "compare", "grey", "light", "rulings", "blur", "edges", "dilated", "ink", "contours", "pieces",
    "proposals", "crops",
)  # fmt: skip
"""The stages from the frame to its crops, in their order."""
AFTER = ("tracks", "network", "reading", "picture")
"""The stages from the crops to the picture that is shown."""
_NO_LIMIT = 1 << 20
"""A working side that no frame reaches."""


@dataclass(frozen=True, slots=True)
class Savings:
    """What the program spares itself; True: spared, as the program runs."""

    working: bool = True
    """Vision at one working resolution instead of the frame's own."""
    grey_first: bool = True
    """Grey, then reduced, instead of an area resize of the colours."""
    rest: bool = True
    """Frames of a page at rest share one vision."""
    crops: bool = True
    """Only the tracks that need a reading are cropped and read."""
    readings: bool = True
    """A reading of which nothing changed is handed out again."""
    drawing: bool = True
    """The picture is drawn at the window's size instead of the frame's."""


NO_SAVINGS = Savings(**{f.name: False for f in fields(Savings)})


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run: a profile, and which savings are on."""

    name: str
    profile: str = "paper"
    savings: Savings = Savings()


CLASSIC = Variant("classic", "classic", NO_SAVINGS)
"""The study: its own resolution, every box cropped and read in every frame, drawn at full size."""
DEFAULT = Variant("default")
NOTHING_SAVED = Variant("every saving off", savings=NO_SAVINGS)
ONE_OFF = (
    Variant("at the frame's own resolution", savings=Savings(working=False)),
    Variant("colours reduced before grey", savings=Savings(grey_first=False)),
    Variant("every frame looked at", savings=Savings(rest=False)),
    Variant("every box cropped and read", savings=Savings(crops=False)),
    Variant("every reading made anew", savings=Savings(readings=False)),
    Variant("drawn at the frame's size", savings=Savings(drawing=False)),
)
VARIANTS = (CLASSIC, DEFAULT, *ONE_OFF, NOTHING_SAVED)


def colours_first(image: Image) -> tuple[Image, float]:
    """The working picture by an area resize of the colours, grey afterwards: what
    `paper.to_working_resolution` was before."""
    height, width = image.shape[:2]
    scale = min(1.0, paper.WORKING_SIDE / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return to_grey(image), image.shape[1] / width


@contextlib.contextmanager
def vision_of(savings: Savings) -> Iterator[None]:
    """Has vision do without savings for a while. For one thread of the whole process."""
    side, working = paper.WORKING_SIDE, paper.to_working_resolution
    try:
        if not savings.working:
            paper.WORKING_SIDE = _NO_LIMIT
        if not savings.grey_first:
            paper.to_working_resolution = colours_first
        yield
    finally:
        paper.WORKING_SIDE, paper.to_working_resolution = side, working


class Forgetful(VideoReader):
    """A video reader with savings off."""

    def __init__(self, settings: Settings, savings: Savings) -> None:
        super().__init__(settings)
        self._savings = savings

    def pending_crops(self, seen: TrackedFrame, every: bool = False) -> Question:
        return super().pending_crops(seen, every or not self._savings.crops)

    def reading(self, seen: TrackedFrame) -> Reading:
        if not self._savings.readings:
            self._known = None
        return super().reading(seen)


class Way:
    """Takes frames from camera to picture as the live program does, on the caller's thread."""

    def __init__(self, variant: Variant, net: Classifier, window: tuple[int, int]) -> None:
        """`window`: the size at which the picture is shown at most."""
        self.variant = variant
        self._settings = Settings(pipeline=profile_defaults(variant.profile))
        self._net, self._window = net, window
        self._video_reader = Forgetful(self._settings, variant.savings)
        self._last: tuple[Detections, Floats, float] | None = None
        self.vision: Detections | None = None
        """The last frame's."""
        self.looks = 0
        """Frames that vision looked at."""
        self.steps = self.asked = 0
        """Frames, and crops that the network was asked about."""

    def step(self, frame: Frame, fresh: bool = False) -> dict[str, float]:
        """Milliseconds of each stage of this frame's way. `fresh`: vision looks whatever the
        comparison says. Frames' times grow from call to call."""
        watch = Stopwatch()
        with vision_of(self.variant.savings):
            watch.skip()
            vision = self._look(frame, watch, fresh)
        self.vision = vision
        self.steps += 1
        if self.variant.profile == "classic":
            # The study crops each box of each frame; the tracks come after, for the readings.
            extract_crops(vision)
            watch.lap("crops")
            seen = self._video_reader.follow(frame, vision)
            watch.lap("tracks")
            question = self._video_reader.pending_crops(seen, every=True)
            watch.skip()
        else:
            seen = self._video_reader.follow(frame, vision)
            watch.lap("tracks")
            question = self._video_reader.pending_crops(seen)
            watch.lap("crops")
        self.asked += len(question)
        if question:
            self._video_reader.add_predictions(answer_question(as_judge(self._net), question))
        watch.lap("network")
        reading = self._video_reader.reading(seen)
        watch.lap("reading")
        self._picture(frame.image, reading)
        watch.lap("picture")
        return watch.ms

    def _look(self, frame: Frame, watch: Stopwatch, fresh: bool) -> Detections:
        look = partial(detect_candidates, frame.image, self._settings.pipeline, watch.lap)
        if not self.variant.savings.rest:
            self.looks += 1
            return look()
        small = thumbnail(frame.image)
        last = self._last
        same = last is not None and not has_changed(last[1], small) and frame.time - last[2] < FRESH
        watch.lap("compare")
        if last is not None and same and not fresh:
            return last[0]
        self.looks += 1
        vision = look()
        self._last = vision, small, frame.time
        return vision

    def _picture(self, image: Image, reading: Reading) -> Image:
        """The picture at the window's size, with all that is drawn on it."""
        height, width = image.shape[:2]
        size = fitted((width, height), self._window)
        status = HudStatus(source="bench", width=width, height=height, fps=30.0, model="cnn")
        if size == (width, height):
            return draw(image, reading, status)
        if self.variant.savings.drawing:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            return draw(image, reading.scaled(size[0] / width), status)
        full = draw(image, reading, status)
        return np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.uint8)


def fitted(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same shape that fits into `room`, at most its own."""
    scale = min(1.0, room[0] / size[0], room[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
