"""Every slider at every position, on any picture."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakes import FakeClassifier
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wrong_kit import FUZZ_SECONDS, few

from live_digits.config.settings import (
    PROFILES,
    TRACKBARS,
    PipelineSettings,
    Settings,
    from_slider,
    option_of,
    slider_max,
)
from live_digits.core.types import Frame, Image
from live_digits.reading.image_reader import read_picture
from live_digits.vision.classic import MOST_BOXES
from live_digits.vision.detection import detect_candidates

BARS = [option_of(PipelineSettings, name) for name in TRACKBARS]
POSITIONS = st.tuples(
    *(st.sampled_from([0, slider_max(b)]) | st.integers(-1, slider_max(b) + 1) for b in BARS)
)
SIZES = st.sampled_from(
    [(1, 1), (1, 2), (2, 1), (1, 90), (90, 1), (3, 3), (7, 5), (64, 48), (80, 120)]
)


def picture_of(kind: int, size: tuple[int, int], seed: int) -> Image:
    """Noise, one shade, a ramp, black and white, or blocks."""
    w, h = size
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 2, (h // 8 + 1, w // 8 + 1)) * 255
    kinds: list[Callable[[], Any]] = [
        lambda: rng.integers(0, 256, (h, w)),
        lambda: np.full((h, w), seed % 256),
        lambda: np.tile(np.arange(w) * 3 % 256, (h, 1)),
        lambda: rng.integers(0, 2, (h, w)) * 255,
        lambda: blocks.repeat(8, axis=0).repeat(8, axis=1)[:h, :w],
    ]
    grey = np.asarray(kinds[kind](), np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def sliders(positions: tuple[int, ...], profile: str) -> PipelineSettings:
    values: dict[str, Any] = {
        name: from_slider(bar, p) for name, bar, p in zip(TRACKBARS, BARS, positions, strict=True)
    }
    return PipelineSettings(profile=profile, **values)


def read_within(image: Image, pipeline: PipelineSettings, label: int) -> None:
    """Any reading is whole, and every box inside the picture."""
    frame = Frame(image, 0, 0.0, "a")
    reading = read_picture(frame, Settings(pipeline=pipeline), FakeClassifier(label))
    h, w = image.shape[:2]
    for box in [d.box for d in reading.digits] + [r.box for r in reading.rejected]:
        assert 0 <= box.x < box.right <= w
        assert 0 <= box.y < box.bottom <= h
    assert sum(len("".join(x.split())) for x in reading.lines) == len(reading.digits)


@settings(few, max_examples=300)
@given(
    POSITIONS, st.sampled_from(PROFILES), st.integers(0, 4), SIZES, st.integers(0, 999),
    st.sampled_from([7, 10]),
)  # fmt: skip
@example((0,) * 7, "classic", 0, (1, 1), 0, 7)
@example(tuple(slider_max(b) for b in BARS), "paper", 0, (1, 1), 0, 7)
def test_every_slider_anywhere_on_any_picture(
    positions: tuple[int, ...],
    profile: str,
    kind: int,
    size: tuple[int, int],
    seed: int,
    label: int,
) -> None:
    read_within(picture_of(kind, size, seed), sliders(positions, profile), label)


@pytest.mark.soak
def test_every_slider_anywhere_on_any_picture_for_long() -> None:
    rng, end = random.Random(), time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < end:
        positions = tuple(
            rng.choice((0, slider_max(b), rng.randint(0, slider_max(b)))) for b in BARS
        )
        size = rng.choice(((1, 1), (1, 3000), (2000, 2), (64, 48), (640, 480), (1280, 720)))
        image = picture_of(rng.randrange(5), size, rng.randrange(10**6))
        begun = time.monotonic()
        read_within(image, sliders(positions, rng.choice(PROFILES)), rng.choice((7, 10)))
        assert time.monotonic() - begun < 30, (positions, size)


@pytest.mark.parametrize("profile", PROFILES)
def test_grain_taken_for_edges_neither_holds_the_program_nor_fills_its_memory(profile: str) -> None:
    """Classic found 8,000 boxes here and took minutes over them, and gigabytes when live."""
    image = picture_of(0, (640, 480), 1)
    open_wide = PipelineSettings(
        profile=profile, blur=1, canny_low=0, canny_ratio=1, dilate_kernel=1, dilate_iterations=0
    )
    begun = time.monotonic()
    assert len(detect_candidates(image, open_wide).candidates) <= 4 * MOST_BOXES
    read_within(image, open_wide, 7)
    assert time.monotonic() - begun < 30
