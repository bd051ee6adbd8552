"""The stages that the benchmark times, and that each saving can be switched off."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from bench_kit import made_small
from fakes import FakeClassifier
from hypothesis import given
from hypothesis import strategies as st

from live_digits.bench import stages
from live_digits.bench.samples import Spread
from live_digits.bench.scenes import SCENES, frame_of
from live_digits.bench.variants import (
    CLASSIC,
    DEFAULT,
    NO_SAVINGS,
    NOTHING_SAVED,
    ONE_OFF,
    VARIANTS,
    VISION,
    Savings,
    Variant,
    Way,
    fitted,
    vision_of,
)
from live_digits.config.settings import PROFILES, profile_defaults
from live_digits.core import types
from live_digits.vision import detection, paper
from live_digits.vision.frame_difference import has_changed, thumbnail

WIDE = 1280, 720
"""More than the working resolution."""


@pytest.mark.parametrize("profile", PROFILES)
def test_vision_tells_of_each_stage_and_finds_the_same(profile: str) -> None:
    page = SCENES["moving"](*WIDE)(0)
    told: list[str] = []
    settings = profile_defaults(profile)
    timed, plain = (
        detection.detect_candidates(page, settings, told.append),
        detection.detect_candidates(page, settings),
    )
    assert timed.candidates == plain.candidates
    assert [s for s in VISION if s in told] == told, "in the order in which they are shown"
    assert {"grey", "blur", "edges", "dilated", "ink"} <= set(told)


def way_of(variant: Variant, frames: int = 3, scene: str = "moving") -> Way:
    way = Way(variant, FakeClassifier(3), WIDE)
    page = SCENES[scene](*WIDE, 12)
    for n in range(frames):
        ms = way.step(frame_of(page, n))
        assert set(ms) <= {*VISION, "tracks", "network", "reading", "picture"}
    return way


def test_every_saving_has_its_variant() -> None:
    off = [f.name for v in ONE_OFF for f in fields(Savings) if not getattr(v.savings, f.name)]
    assert off == [f.name for f in fields(Savings)], "one each, in their order"
    assert DEFAULT.savings == Savings()
    assert not any(getattr(NO_SAVINGS, f.name) for f in fields(Savings))
    assert len({v.name for v in VARIANTS}) == len(VARIANTS)


def test_without_a_working_resolution_vision_works_at_the_frames_own() -> None:
    usual, large = way_of(DEFAULT, 1), way_of(Variant("", savings=Savings(working=False)), 1)
    assert usual.vision
    assert large.vision
    assert usual.vision.scale < 1
    assert large.vision.scale == 1
    assert large.vision.stages.grey.shape == (WIDE[1], WIDE[0])


def test_colours_reduced_first_show_the_same_page() -> None:
    usual, other = way_of(DEFAULT, 1), way_of(Variant("", savings=Savings(grey_first=False)), 1)
    assert usual.vision
    assert other.vision
    a, b = usual.vision.stages.grey, other.vision.stages.grey
    assert a.shape == b.shape
    assert 0 < np.abs(a.astype(int) - b).mean() < 6


def test_savings_are_back_after_vision_without_them() -> None:
    before = paper.WORKING_SIDE, paper.to_working_resolution

    def fails() -> None:
        with vision_of(NO_SAVINGS):
            assert before[0] < paper.WORKING_SIDE
            assert paper.to_working_resolution is not before[1]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert (paper.WORKING_SIDE, paper.to_working_resolution) == before


def test_a_page_at_rest_is_looked_at_once_or_each_time() -> None:
    assert way_of(DEFAULT, 5, "at rest").looks == 1
    assert way_of(Variant("", savings=Savings(rest=False)), 5, "at rest").looks == 5


def test_crops_are_read_where_they_are_wanted_or_all() -> None:
    usual = way_of(DEFAULT, 24, "at rest")
    every = way_of(Variant("", savings=Savings(crops=False)), 24, "at rest")
    assert every.vision
    assert every.asked == 24 * len(every.vision.boxes)
    assert usual.asked < every.asked / 2


def test_readings_are_handed_out_again_or_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from live_digits.tracking.label_voting import LabelVoting

    made = []
    resolve = LabelVoting.resolve
    monkeypatch.setattr(LabelVoting, "resolve", lambda *a: made.append(1) or resolve(*a))  # type: ignore[func-returns-value]
    way_of(DEFAULT, 30, "at rest")
    usual = len(made)
    way_of(Variant("", savings=Savings(readings=False)), 30, "at rest")
    assert len(made) - usual == 30
    assert usual < 20


@pytest.mark.parametrize("drawing", [True, False])
def test_the_picture_is_drawn_at_the_windows_size_or_the_frames(
    drawing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from live_digits.bench import variants
    from live_digits.display import overlay

    drawn: list[tuple[int, ...]] = []

    def draw(image: types.Image, *rest: Any) -> types.Image:
        drawn.append(image.shape)
        return overlay.draw(image, *rest)

    monkeypatch.setattr(variants, "draw", draw)
    way = Way(Variant("", savings=Savings(drawing=drawing)), FakeClassifier(3), (640, 640))
    way.step(frame_of(SCENES["moving"](*WIDE), 0))
    assert drawn == [(360, 640, 3) if drawing else (720, 1280, 3)]


@given(st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
       st.tuples(st.integers(1, 9999), st.integers(1, 9999)))  # fmt: skip
def test_what_is_fitted_fits(size: tuple[int, int], room: tuple[int, int]) -> None:
    found = fitted(size, room)
    assert all(1 <= f <= min(s, r) or f == 1 for f, s, r in zip(found, size, room, strict=True))
    if all(s <= r for s, r in zip(size, room, strict=True)):
        assert found == size


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    made_small(monkeypatch)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("scene", SCENES)
def test_stages_are_compared_over_the_same_frames(scene: str) -> None:
    found = stages.compare("480p", scene, (CLASSIC, DEFAULT, NOTHING_SAVED), 0.0)
    classic, default, _ = found.costs
    assert set(classic.stages) >= {"grey", "blur", "edges", "dilated", "contours", "crops"}
    assert set(default.stages) >= {"compare", "grey", "rulings", "proposals", "crops", "picture"}
    assert len({s.repeats for c in found.costs for s in c.stages.values()}) == 1
    for cost in found.costs:
        assert 0 < cost.vision.median < cost.whole.median
        assert cost.boxes > 0
    assert found.cheaper["classic"] == Spread(1.0, 1.0, 1.0, classic.vision.repeats)
    assert found.floor.median > 0
    json.dumps(found.as_json())


@pytest.mark.usefixtures("small")
def test_growth_is_measured_for_each_count() -> None:
    found = stages.grow((1, 30), 0.0)
    assert [g.digits for g in found] == [1, 30]
    assert found[0].costs.boxes < found[1].costs.boxes
    json.dumps([g.as_json() for g in found])


@pytest.mark.parametrize("size", [(640, 480), (3840, 2160)])
def test_the_scene_at_rest_has_fresh_noise_and_no_change(size: tuple[int, int]) -> None:
    scene = SCENES["at rest"](*size)
    pictures = [scene(n) for n in range(3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (pictures[one] != pictures[other]).mean() > 0.5
        assert not has_changed(thumbnail(pictures[one]), thumbnail(pictures[other]))
