"""Reads moving pictures: finds, follows and reads what each frame shows.

`VideoReader` names the crops that need an answer, learns answers whenever they come, and gives each
frame's reading from what it knows; the caller decides where the network runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from live_digits.config.settings import PipelineSettings, ReadingSettings, Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Classifier, Digit, Frame, Image, Reading, Track
from live_digits.reading.cutouts import cut_out
from live_digits.reading.questions import (
    Judge,
    Prediction,
    Question,
    answer_question,
    as_judge,
)
from live_digits.reading.text_lines import reading_order
from live_digits.tracking.label_voting import LabelVoting
from live_digits.tracking.tracker import CLOCK_ROUNDING, Tracker
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.stages import Detections

RECHECK = 0.5
"""Seconds after which the crop of a track that is settled is looked at again."""
_CHANGED = 22.0
"""Mean absolute difference of two crops (0…255) from which the ink is not the same."""
_CONFIRMED, _CONFIRMED_BY_HANDS = 2, 3
"""Looks in a row that a digit which comes later than the page is read in before it is shown, and
any while a hand is in the picture: what moves by makes single ones."""
_OPENING = 0.3
"""Seconds from the first frame in which whatever is read is shown at once."""


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """A frame after vision and tracking; `tracks` has one entry a candidate."""

    frame: Frame
    vision: Detections
    tracks: tuple[Track, ...]


@dataclass(slots=True)
class _LastCrop:
    """The crop of a track that was asked about last, and when it was last looked at."""

    crop: Image
    at: float


class VideoReader:
    """Follows and reads the digits of a moving picture. Belongs to one thread."""

    def __init__(self, settings: Settings) -> None:
        self._tracker = Tracker(settings.tracker)
        self._labels = LabelVoting(settings.reading)
        self._read: dict[int, _LastCrop] = {}
        self._held: dict[int, Digit] = {}
        self._known: tuple[tuple[object, ...], Detections, Reading] | None = None
        self._guarded = False
        """Whether a hand is in the picture."""
        self._begun: float | None = None
        """The time of the first frame."""
        self._consecutive_looks: dict[int, int] = {}
        """Looks in a row in which a track was read as a digit."""
        self._counted: TrackedFrame | None = None
        """The look that the streaks end with: pictures between two looks prove nothing."""
        self.masked = 0
        """Boxes that were not read because a hand lay on them, summed over frames."""

    def see(
        self,
        frame: Frame,
        pipeline: PipelineSettings,
        hidden: Callable[[Box], bool] | None = None,
        touched: Callable[[Box], bool] | None = None,
    ) -> TrackedFrame:
        """Vision and tracking of a new frame; times grow from call to call. `hidden` tells which
        boxes lie under a hand: they are not read. `touched` (by default the same) tells where a
        digit may be hidden: it is kept until the hand is gone; while it is given, a new digit is
        shown once three looks in a row have it."""
        return self.follow(frame, detect_candidates(frame.image, pipeline), hidden, touched)

    def follow(
        self,
        frame: Frame,
        vision: Detections,
        hidden: Callable[[Box], bool] | None = None,
        touched: Callable[[Box], bool] | None = None,
    ) -> TrackedFrame:
        """The tracking of a new frame whose vision is at hand."""
        self._guarded = touched is not None
        self._begun = frame.time if self._begun is None else self._begun
        if hidden is not None:
            shown = _without(vision, hidden)
            self.masked += _primary(vision) - _primary(shown)
            vision = shown
        tracks = self._tracker.update(vision.candidates, frame.time, touched or hidden)
        alive = self._tracker.alive()
        self._labels.retain(alive)
        self._read = {i: r for i, r in self._read.items() if i in alive}
        return TrackedFrame(frame, vision, tracks)

    def pending_crops(self, seen: TrackedFrame, every: bool = False) -> Question:
        """Asks about the tracks that need an answer: new ones, those not settled, and, now and
        then, those that are unsure or whose ink has changed. `every`: all."""
        time = seen.frame.time
        looked = [t for t in seen.tracks if every or self._due(t, time)]
        if not looked:
            return Question()
        plain = seen.vision.profile == "classic"
        images = cut_out(seen.vision, [t.candidate for t in looked], not plain)
        rows = []
        for row, t in enumerate(looked):
            crop = images.crops[row]
            if every or self._crop_changed(t, crop, time):
                rows.append(row)
                self._read[t.id] = _LastCrop(crop, time)
        if not rows:
            return Question()
        return Question(
            tuple(looked[row].id for row in rows),
            images.rows(rows),
            self._labels.page(seen.vision.candidates, seen.tracks),
            plain,
        )

    def _due(self, track: Track, time: float) -> bool:
        before = self._read.get(track.id)
        if before is None:
            return True
        if track.moving and self._labels.is_confident(track.id):
            return False  # a crop blurred by motion is no better evidence than what is known
        if not self._labels.is_settled(track.id):
            return True
        # Ids spread the looks over the frames between.
        return time - before.at >= RECHECK * (1 + track.id % 8 / 16) - CLOCK_ROUNDING

    def _crop_changed(self, track: Track, crop: Image, time: float) -> bool:
        before = self._read.get(track.id)
        if before is None or not self._labels.is_settled(track.id):
            return True
        before.at = time
        difference = np.abs(crop.astype(np.int16) - before.crop)
        changed = float(difference.mean()) >= _CHANGED
        if changed:
            self._labels.discount(track.id)
        return changed or not self._labels.is_confident(track.id)

    def add_predictions(self, answers: Iterable[Prediction]) -> None:
        """Takes answers, late ones too: those of tracks that are gone count nothing."""
        alive = self._tracker.alive()
        for answer in answers:
            if answer.track in alive:
                self._labels.add_predictions(answer)

    def reading(self, seen: TrackedFrame) -> Reading:
        """What this frame says by all that is known. A digit that the frame lost is held where it
        should be until its track expires: nothing flickers."""
        missing = self._tracker.missing(seen.frame.time)
        state = self._labels.version, tuple(t.id for t in seen.tracks)
        known = self._known
        if known and not missing and known[0] == state and known[1] is seen.vision:
            frame = seen.frame
            return replace(known[2], source=frame.source, frame=frame.seq, time=frame.time)
        resolution = self._labels.resolve(seen.vision.candidates, seen.tracks)
        self._count(seen, resolution.digits)
        digits = [d for d in resolution.digits if self._is_confirmed(d, seen.frame)]
        waits = len(digits) < len(resolution.digits)
        here = {t.id for t in seen.tracks}
        height, width = seen.frame.image.shape[:2]
        for track in missing:
            held = self._held.get(self._labels.id_of(track.id))
            if held is None or track.id in here or any(d.box.iou(track.box) > 0 for d in digits):
                continue
            box = track.box.clipped(width, height)
            if box.area * 2 >= track.box.area:
                digits.append(replace(held, box=box))
        self._held = {d.track: d for d in digits}
        ordered, lines = reading_order(digits)
        frame = seen.frame
        reading = Reading(
            frame.source, frame.seq, frame.time, width, height,
            ordered, lines, resolution.pending, resolution.rejected,
        )  # fmt: skip
        self._known = None if missing or waits else (state, seen.vision, reading)
        return reading

    def _count(self, seen: TrackedFrame, digits: Iterable[Digit]) -> None:
        another = self._counted is not seen
        self._counted = seen
        before = self._consecutive_looks
        self._consecutive_looks = {
            d.track: before.get(d.track, int(not another)) + another for d in digits
        }

    def _is_confirmed(self, digit: Digit, frame: Frame) -> bool:
        """Whether what is read as a digit is shown as one yet. While a hand is in the picture, what
        the frame's edge cuts off may be its arm."""
        if digit.track in self._held:
            return True
        looks = self._consecutive_looks[digit.track]
        if not self._guarded:
            return looks >= _CONFIRMED or frame.time - (self._begun or 0.0) <= _OPENING
        height, width = frame.image.shape[:2]
        box = digit.box
        cut = box.x <= 0 or box.y <= 0 or box.right >= width or box.bottom >= height
        return not cut and looks >= _CONFIRMED_BY_HANDS

    def extrapolate(self, reading: Reading, frame: Frame) -> Reading:
        """An earlier frame's reading for `frame`: the boxes where the page should have taken them
        since. The page moves as one."""
        shift = self._tracker.drift * (frame.time - reading.time)
        height, width = frame.image.shape[:2]
        x, y = (round(float(v)) for v in shift)
        if (x, y) == (0, 0) or (width, height) != (reading.width, reading.height):
            return replace(reading, frame=frame.seq, time=frame.time)
        moved = reading.map_boxes(lambda box: box.moved(x, y))
        return replace(moved, frame=frame.seq, time=frame.time)

    def waiting(self, seen: TrackedFrame) -> bool:
        """True while a track of this frame has no answer yet."""
        return any(self._labels.count(t.id) == 0 for t in seen.tracks)

    def configure(self, reading: ReadingSettings) -> None:
        """Takes new limits from the next frame on."""
        self._labels.configure(reading)

    def reset(self) -> None:
        """Forgets all tracks and votes; ids go on counting."""
        self._tracker.reset()
        self._labels.reset()
        self._read.clear()
        self._held.clear()
        self._consecutive_looks.clear()
        self._known = None
        self._begun = None
        self._counted = None


def labelled_crops(seen: TrackedFrame, reading: Reading) -> tuple[Image, list[str]]:
    """The crops of a frame's boxes, uint8 N×28×28, and what `reading`, its own, says of each."""
    candidate_of = {t.id: t.candidate for t in seen.tracks}
    labels = {
        candidate_of[d.track]: f"{d.digit}  {d.confidence:.0%}"
        for d in reading.digits
        if d.track in candidate_of
    }
    unread = dict.fromkeys(reading.pending, "...") | {r.box: r.reason for r in reading.rejected}
    for i, c in enumerate(seen.vision.candidates):
        if c.is_whole and i not in labels and c.box in unread:
            labels[i] = unread[c.box]
    return extract_crops(seen.vision, list(labels)), list(labels.values())


def _without(vision: Detections, hidden: Callable[[Box], bool]) -> Detections:
    """Only the candidates that can be seen; neither are halves of a blob that is hidden, nor its
    unions with others."""
    seen = [not hidden(c.box) for c in vision.candidates]
    under: set[int] = set()
    for c, visible in zip(vision.candidates, seen, strict=True):
        if c.is_whole and not visible:
            under |= c.component_ids
    rows = [
        i
        for i, c in enumerate(vision.candidates)
        if seen[i] and (c.is_whole or not c.component_ids & under)
    ]
    return replace(
        vision,
        candidates=tuple(vision.candidates[i] for i in rows),
        boxes=tuple(vision.boxes[i] for i in rows),
    )


def _primary(vision: Detections) -> int:
    return sum(c.is_whole for c in vision.candidates)


def read_video_frame(
    frame: Frame,
    video_reader: VideoReader,
    settings: Settings,
    net: Classifier | Judge,
    hidden: Callable[[Box], bool] | None = None,
    touched: Callable[[Box], bool] | None = None,
) -> Reading:
    """A video's next frame, read at once on the caller's thread; `hidden` and `touched` as in
    `Follower.see`."""
    seen = video_reader.see(frame, settings.pipeline, hidden, touched)
    question = video_reader.pending_crops(seen)
    if question:
        video_reader.add_predictions(answer_question(as_judge(net), question))
    return video_reader.reading(seen)
