"""A page at rest never flickers: answers tremble about every threshold, boxes come and go.

No network and no drawing: looks are made up, so that each trembles as much as it may.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from fakes import FakeJudge, judged
from label_kit import split
from page_kit import vision_of

from live_digits.config.settings import ReadingSettings, Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Floats, Frame, Image, Reading
from live_digits.reading.classes import JUDGED, LETTER, PART
from live_digits.reading.questions import Prediction, answer_question
from live_digits.tracking.video_reader import VideoReader
from live_digits.vision.stages import Detections

LOOKS = 15
"""Looks a second."""
SETTLES, RESTS = 2, 10
"""Seconds until the page has been read, and seconds at rest."""
DIGITS = 8
STEP, WIDTH, HEIGHT = 60, 30, 48
PAPER: Image = np.full((240, 640), 200, np.uint8)
BLANK: Image = np.repeat(PAPER[..., None], 3, axis=2)


def place_of(box: Box) -> int:
    """Which digit of the row a box begins with."""
    return round((box.x - 40) / STEP)


@dataclass
class Trembling:
    """A row of digits as one look after another finds and judges it."""

    rng: np.random.Generator
    shake: int = 0
    """Most pixels that the page moves between two looks."""
    merges: float = 0.0
    """How often two neighbours are found as one blob, for a look."""
    halves: bool = False
    """Whether the blob's halves are offered as well."""
    drops: float = 0.0
    """How often a digit is not found, for a look."""

    def look(self) -> Detections:
        dx, dy = (int(v) for v in self.rng.integers(-self.shake, self.shake + 1, 2))
        boxes = [Box(40 + STEP * i + dx, 90 + dy, WIDTH, HEIGHT) for i in range(DIGITS)]
        vision = vision_of(PAPER, boxes)
        found = list(vision.candidates)
        if self.rng.random() < self.merges:
            i = int(self.rng.integers(DIGITS - 1))
            a, b = found[i], found[i + 1]
            union = Box(a.box.x, a.box.y, b.box.right - a.box.x, HEIGHT)
            blob = Candidate(
                union, a.component_ids | b.component_ids, True, a.ink + b.ink, a.contrast
            )
            rest = [replace(c, is_whole=False) for c in (a, b)] if self.halves else []
            found[i : i + 2] = [blob, *rest]
        if self.rng.random() < self.drops:
            del found[int(self.rng.integers(len(found)))]
        return replace(vision, candidates=tuple(found), boxes=tuple(c.box for c in found))


Say = Callable[[Candidate, np.random.Generator], Floats]
"""What is said of a candidate among its neighbours, another thing each time."""


def followed(
    page: Trembling, settings: ReadingSettings, say: Say, every: bool, late: int = 1
) -> list[Reading]:
    """The readings of the seconds at rest; answers come `late` looks late."""

    def verdicts(candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        del evidence
        return np.array([say(c, page.rng) for c in candidates], np.float32).reshape(-1, JUDGED)

    judge = FakeJudge(judged(LETTER, 0.5), verdicts)
    video_reader = VideoReader(replace(Settings(), reading=settings))
    waiting: deque[tuple[Prediction, ...]] = deque([()] * late)
    readings = []
    for n in range(LOOKS * (SETTLES + RESTS)):
        seen = video_reader.follow(Frame(BLANK, n, n / LOOKS, "page"), page.look())
        waiting.append(answer_question(judge, video_reader.pending_crops(seen, every)))
        video_reader.add_predictions(waiting.popleft())
        readings.append(video_reader.reading(seen))
    return readings[LOOKS * SETTLES :]


def about_the_floor(c: Candidate, rng: np.random.Generator) -> Floats:
    """As sure as it must be, more or less; two digits in one box are a part, more or less."""
    if c.box.w > 2 * WIDTH:
        return split(8, float(rng.uniform(0.2, 0.45)), PART, 0.5, LETTER)
    return judged(place_of(c.box), float(rng.uniform(0.54, 0.74)), LETTER)


def between_two_labels(c: Candidate, rng: np.random.Generator) -> Floats:
    """Now one digit leads by a little, now another."""
    if c.box.w > 2 * WIDTH:
        return judged(PART, 0.9)
    digit = place_of(c.box)
    p = 0.48 + float(rng.uniform(-0.04, 0.05))
    return split(digit, p, 9, 0.94 - p)


def sure(c: Candidate, rng: np.random.Generator) -> Floats:
    del rng
    return judged(PART if c.box.w > 2 * WIDTH else place_of(c.box), 0.98, LETTER)


FLOOR, LOW = ReadingSettings(confidence=0.6), ReadingSettings(confidence=0.4)
WAYS: dict[str, dict[str, Any]] = {
    "still": {},
    "shaken": {"shake": 2},
    "neighbours touch": {"shake": 1, "merges": 0.15},
    "neighbours touch and are cut": {"shake": 1, "merges": 0.3, "halves": True},
    "one is not found": {"shake": 1, "drops": 0.2},
}


@pytest.mark.parametrize("every", [False, True], ids=["asked now and then", "asked each look"])
@pytest.mark.parametrize(
    ("say", "settings"),
    [(sure, FLOOR), (about_the_floor, FLOOR), (between_two_labels, LOW)],
    ids=["sure", "about the floor", "between two labels"],
)
@pytest.mark.parametrize("way", WAYS)
def test_at_rest_no_digit_vanishes_changes_or_comes(
    way: str, say: Say, settings: ReadingSettings, every: bool
) -> None:
    page = Trembling(np.random.default_rng(7), **WAYS[way])
    readings = followed(page, settings, say, every)
    seen = [[(place_of(d.box), d.digit) for d in r.digits] for r in readings]
    assert [place for place, _ in seen[0]] == list(range(DIGITS))
    breaks = [n for n in range(1, len(seen)) if seen[n] != seen[n - 1]]
    assert breaks == [], f"{len(breaks)} looks of {len(seen)} differ: {seen[breaks[0]]}"
    assert len({r.lines for r in readings}) == 1
    ids = {tuple(d.track for d in r.digits) for r in readings}
    assert len(ids) == 1, "each keeps its number"


@pytest.mark.parametrize("late", [0, 1, 4])
def test_rivals_for_the_same_ink_do_not_take_turns_however_late_the_answers(late: int) -> None:
    """Two strokes that are 11 or, nearly as likely, a 4."""
    rng = np.random.default_rng(3)
    strokes = [Box(200, 90, 10, 48), Box(214, 90, 10, 48)]
    both = Candidate(Box(200, 90, 24, 48), frozenset((1, 2)), False, 960, 128)

    @dataclass
    class Rivals(Trembling):
        def look(self) -> Detections:
            vision = vision_of(PAPER, strokes)
            found = (*vision.candidates, both)
            return replace(vision, candidates=found, boxes=tuple(c.box for c in found))

    def say(c: Candidate, lot: np.random.Generator) -> Floats:
        return judged(4 if c.box.w > 12 else 1, 0.85 + float(lot.uniform(-0.05, 0.05)))

    readings = followed(Rivals(rng), FLOOR, say, True, late)
    assert len({r.lines for r in readings}) == 1
    assert readings[0].lines[0] in ("11", "4")
