"""Each stage in milliseconds: by resolution, by saving, by the number of digits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from live_digits.bench.samples import Spread, as_json, by_stage, ratio, spread, take_turns
from live_digits.bench.scenes import RATE, SCENES, Scene, frame_of
from live_digits.bench.variants import CLASSIC, DEFAULT, VISION, Variant, Way
from live_digits.core.types import Frame
from live_digits.reading import judge
from live_digits.vision.worker import FRESH

SIZES = {"480p": (640, 480), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
COUNTS = (1, 10, 40, 160, 640)
_ROOM = (1376, 972)
"""The window's room on a screen of 1920×1080 beside the sliders: the picture is drawn to fit."""
_WARM = 8
"""Frames before the first that counts: tracks settle, buffers are there."""
_LEAST, _MOST = 3, 60
"""Rounds at least and at most."""
_COPY = "copy"


@dataclass(frozen=True, slots=True)
class Costs:
    """One variant's milliseconds a frame: by stage, from the frame to its crops (`vision`), and to
    the picture (`whole`); `crops` the network was asked about, a frame; `boxes` that vision found
    last."""

    name: str
    profile: str
    stages: Mapping[str, Spread]
    vision: Spread
    whole: Spread
    crops: float
    boxes: int

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "profile": self.profile,
            "vision_ms": as_json(self.vision),
            "whole_ms": as_json(self.whole),
            "stages_ms": as_json(self.stages),
            "crops_read_a_frame": round(self.crops, 2),
            "boxes": self.boxes,
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """Variants over the same frames. `floor`: milliseconds of a plain copy of the frame. `cheaper`:
    how many times a variant's vision is cheaper than `classic`'s, `cheaper_whole` with all the
    rest."""

    size: str
    width: int
    height: int
    scene: str
    costs: tuple[Costs, ...]
    floor: Spread
    cheaper: Mapping[str, Spread]
    cheaper_whole: Mapping[str, Spread]

    def as_json(self) -> dict[str, Any]:
        return {
            "size": self.size,
            "width": self.width,
            "height": self.height,
            "scene": self.scene,
            "floor_copy_ms": as_json(self.floor),
            "variants": as_json(self.costs),
            "classic_vision_by_this": as_json(self.cheaper),
            "classic_whole_by_this": as_json(self.cheaper_whole),
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """What the default costs with so many digits on the page."""

    digits: int
    costs: Costs

    def as_json(self) -> dict[str, Any]:
        return {"digits": self.digits, **self.costs.as_json()}


class _Frames:
    """The newest frames of a scene, made once for all variants of a round."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._made: dict[int, Frame] = {}

    def __call__(self, number: int) -> Frame:
        if number not in self._made:
            self._made = {n: f for n, f in self._made.items() if n >= number - 1}
            self._made[number] = frame_of(self._scene, number)
        return self._made[number]


def _moving(way: Way, frames: _Frames, number: int) -> dict[str, float]:
    """A frame that shows something new."""
    return way.step(frames(_WARM + number), fresh=True)


def _resting(way: Way, frames: _Frames, number: int) -> dict[str, float]:
    """A frame of a page at rest, on average: one in so many is looked at all the same."""
    frame = frames(_WARM + 2 * number)
    if not way.variant.savings.rest:
        return way.step(frame)
    look, reused = way.step(frame, fresh=True), way.step(frames(_WARM + 2 * number + 1))
    share = 1 / (FRESH * RATE)
    names = dict.fromkeys((*look, *reused))
    return {n: share * look.get(n, 0.0) + (1 - share) * reused.get(n, 0.0) for n in names}


def _warm(ways: Sequence[Way], frames: _Frames, seconds: float) -> None:
    """The first frames, which do not count; fewer where they take longer than `seconds`."""
    end = time.perf_counter() + seconds
    for number in range(_WARM):
        if number >= _LEAST and time.perf_counter() > end:
            break
        for way in ways:
            # Where every box is read anew in each frame, there is nothing to settle.
            if way.variant.savings.crops or number == 0:
                way.step(frames(number), fresh=True)
    for way in ways:
        way.steps = way.asked = way.looks = 0


def _vision(stages: Mapping[str, float]) -> float:
    return sum(ms for name, ms in stages.items() if name in VISION)


def _whole(stages: Mapping[str, float]) -> float:
    return sum(stages.values())


def _costs(way: Way, name: str, rounds: Sequence[Mapping[str, float]]) -> Costs:
    return Costs(
        name, way.variant.profile, by_stage(rounds),
        spread([_vision(r) for r in rounds]), spread([_whole(r) for r in rounds]),
        way.asked / way.steps, len(way.vision.boxes) if way.vision else 0,
    )  # fmt: skip


def compare(
    size: str, scene: str, variants: Sequence[Variant], seconds: float, model: str = "cnn"
) -> Compared:
    """Variants, `classic` among them, over the frames of a scene ("moving", "at rest"), for about
    so many seconds beside the warming up."""
    width, height = SIZES[size]
    frames = _Frames(SCENES[scene](width, height))
    ways = {v.name: Way(v, judge.load(model), _ROOM) for v in variants}
    _warm(list(ways.values()), frames, seconds)
    step = _resting if scene == "at rest" else _moving
    buffer = np.empty((height, width, 3), np.uint8)

    def copy(number: int) -> dict[str, float]:
        image = frames(_WARM + number * (2 if step is _resting else 1)).image
        start = time.perf_counter()
        np.copyto(buffer, image)
        return {_COPY: 1000 * (time.perf_counter() - start)}

    turns: dict[str, Callable[[int], dict[str, float]]] = {
        name: partial(step, way, frames) for name, way in ways.items()
    }
    found = take_turns({_COPY: copy, **turns}, seconds, _LEAST, _MOST)
    costs = tuple(_costs(way, name, found[name]) for name, way in ways.items())
    vision = {name: [_vision(r) for r in found[name]] for name in ways}
    whole = {name: [_whole(r) for r in found[name]] for name in ways}
    return Compared(
        size, width, height, scene, costs, spread([r[_COPY] for r in found[_COPY]]),
        {n: ratio(vision[CLASSIC.name], v) for n, v in vision.items()},
        {n: ratio(whole[CLASSIC.name], w) for n, w in whole.items()},
    )  # fmt: skip


def grow(
    counts: Sequence[int], seconds: float, size: str = "1080p", model: str = "cnn"
) -> tuple[Growth, ...]:
    """The default over moving pages of so many digits each."""
    width, height = SIZES[size]
    pages = {c: _Frames(SCENES["moving"](width, height, c)) for c in counts}
    ways = {c: Way(DEFAULT, judge.load(model), _ROOM) for c in counts}
    for count in counts:
        _warm([ways[count]], pages[count], seconds / len(counts))
    found = take_turns(
        {str(c): partial(_moving, ways[c], pages[c]) for c in counts}, seconds, _LEAST, _MOST
    )
    return tuple(Growth(c, _costs(ways[c], str(c), found[str(c)])) for c in counts)
