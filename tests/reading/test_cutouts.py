"""What the judge sees of a candidate: where things are in its windows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_kit import CLASSIC, PAPER, page, vision_of

from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Image
from live_digits.reading.cutouts import (
    NEAR,
    NEAR_CHANNELS,
    SHAPES,
    SIDE,
    WIDE,
    WIDE_CHANNELS,
    Cutouts,
    cut_out,
    no_cutouts,
    shapes_of,
)
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.stages import Detections

DARK, GREY, OWN = 0, 1, 2
"""The channels of the windows."""


def paper(width: int, height: int, shade: int = 200) -> Image:
    return np.full((height, width), shade, np.uint8)


def one(grey: Image, box: Box, dark: int = 128) -> Cutouts:
    return cut_out(vision_of(grey, [box], dark), [0])


def extent(window: Image) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is lit, pixels of the window."""
    lit = window > max(8, 0.4 * int(window.max()))
    columns, rows = np.flatnonzero(lit.any(axis=0)), np.flatnonzero(lit.any(axis=1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def close(found: tuple[float, ...], wanted: tuple[float, ...], by: float = 1.01) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(
    "box",
    [Box(300, 200, 30, 40), Box(305, 210, 6, 9), Box(150, 100, 300, 250), Box(250, 230, 100, 14)],
    ids=["usual", "tiny", "huge", "lying"],
)
def test_the_candidate_lies_in_the_middle_of_its_windows_at_its_share(box: Box) -> None:
    seen = one(paper(640, 480), box)
    for window, reach in ((seen.near[0, ..., DARK], NEAR), (seen.wide[0, ..., DARK], WIDE)):
        step = reach * max(box.w, box.h) / SIDE
        w, h = box.w / step / 2, box.h / step / 2
        middle = SIDE / 2
        assert close(extent(window), (middle - w, middle - h, middle + w, middle + h))
    own = seen.near[0, ..., OWN]
    assert close(extent(own), extent(seen.near[0, ..., DARK])), "its own ink lies on itself"


def test_what_stands_beside_it_lies_beside_it_and_is_not_its_own() -> None:
    box, other = Box(300, 200, 20, 40), Box(340, 200, 20, 40)
    seen = cut_out(vision_of(paper(640, 480), [box, other]), [0])
    step = NEAR * 40 / SIDE
    at = SIDE / 2 + 40 / step
    beside = seen.near[0, :, round(at) - 1 : round(at) + 1, :]
    assert (beside[SIDE // 2, :, DARK] > 100).all()
    assert not beside[..., OWN].any()
    far = seen.wide[0, SIDE // 2, :, DARK]
    lit = np.flatnonzero(far > 40)
    assert lit[0] >= SIDE // 2 - 2
    assert lit[-1] >= SIDE // 2 + 2


@pytest.mark.parametrize(("x", "y"), [(0, 0), (610, 0), (0, 440), (610, 440)])
def test_outside_the_picture_there_is_nothing(x: int, y: int) -> None:
    seen = one(paper(640, 480), Box(x, y, 30, 40))
    for window in (seen.near[0], seen.wide[0]):
        grey = window[..., GREY]
        left, above = grey[SIDE // 2, 2], grey[2, SIDE // 2]
        right, below = grey[SIDE // 2, -3], grey[-3, SIDE // 2]
        assert (left == 0) == (x == 0)
        assert (right == 0) == (x > 0)
        assert (above == 0) == (y == 0)
        assert (below == 0) == (y > 0)
    assert close(extent(seen.near[0, ..., OWN]), (18, 16, 30, 32))
    assert seen.shapes[0, -1] == 2, "it touches two sides"


def test_ink_of_any_darkness_looks_alike_in_its_own_windows() -> None:
    pale, black = (one(paper(640, 480), Box(300, 200, 30, 40), dark) for dark in (20, 200))
    assert int(pale.near[0, SIDE // 2, SIDE // 2, DARK]) == pytest.approx(128, abs=3)
    assert np.abs(pale.near[..., DARK].astype(int) - black.near[..., DARK]).max() <= 8
    assert pale.shapes[0, 2] < black.shapes[0, 2], "how dark it is, is told apart"


def test_a_dark_neighbour_of_a_pale_candidate_is_as_dark_as_can_be() -> None:
    vision = vision_of(paper(640, 480), [Box(300, 200, 20, 40), Box(340, 200, 20, 40)], 30)
    vision.raw[200:240, 340:360] = 220
    seen = cut_out(vision, [0])
    assert seen.near[0, ..., DARK].max() == 255
    assert 100 < seen.near[0, SIDE // 2, SIDE // 2, DARK] < 150


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_at_twice_the_size_looks_nearly_the_same(digit: int) -> None:
    windows = []
    for size, thick, side in ((2.0, 6, 320), (4.0, 12, 640)):
        grey = paper(side, side)
        at = round(side * 0.4), round(side * 0.6)
        cv2.putText(grey, str(digit), at, cv2.FONT_HERSHEY_SIMPLEX, size, 60, thick, cv2.LINE_AA)
        vision = detect_candidates(grey, PAPER)
        ink = [c.ink for c in vision.candidates]
        windows.append(cut_out(vision, [ink.index(max(ink))]))
    small, large = windows
    for a, b in ((small.near, large.near), (small.wide, large.wide)):
        assert np.abs(a.astype(int) - b).mean() < 10
    columns = [1, 3, 4, 5, 6]
    np.testing.assert_allclose(small.shapes[0, columns], large.shapes[0, columns], atol=0.1)
    assert large.shapes[0, 0] - small.shapes[0, 0] == pytest.approx(np.log(2), abs=0.1)


def test_its_own_ink_is_all_its_components_and_no_others() -> None:
    boxes = [Box(300, 200, 10, 40), Box(330, 200, 10, 40), Box(312, 200, 10, 40)]
    vision = vision_of(paper(640, 480), boxes)
    union = Candidate(Box(300, 200, 40, 40), frozenset((1, 2)), False, 800, 128)
    both = Detections((union,), vision.stages, 1.0, (union.box,), vision.labels, "paper",
                  vision.grey, vision.raw)  # fmt: skip
    own = cut_out(both, [0]).near[0, ..., OWN]
    lit = own[SIDE // 2] > 64
    edges = np.flatnonzero(np.diff(lit.astype(int)))
    assert len(edges) == 4, "two strokes with nothing between"


def test_rows_are_of_the_candidates_named_in_that_order() -> None:
    grey, _ = page(640, 480)
    vision = detect_candidates(grey, PAPER)
    every = cut_out(vision, range(len(vision.candidates)))
    some = [3, 0, 7]
    for chosen in (cut_out(vision, some), every.rows(some), every.rows(np.array(some))):
        for part in ("crops", "near", "wide", "shapes"):
            np.testing.assert_array_equal(getattr(chosen, part), getattr(every, part)[some])
    np.testing.assert_array_equal(every.crops, extract_crops(vision))
    assert len(every.rows([])) == 0


@pytest.mark.parametrize("profile", [PAPER, CLASSIC], ids=["paper", "classic"])
def test_without_surroundings_only_crops_and_shapes_are_cut(profile: PipelineSettings) -> None:
    vision = detect_candidates(page(640, 480)[0], profile)
    count = len(vision.candidates)
    seen = cut_out(vision, range(count), surroundings=False)
    assert seen.crops.shape == (count, 28, 28)
    assert (seen.near.size, seen.wide.size) == (0, 0)
    assert seen.rows([1, 0]).crops.shape == (2, 28, 28)
    np.testing.assert_array_equal(seen.shapes, shapes_of(vision, range(count)))


def test_nothing_is_cut_of_no_candidate() -> None:
    vision = vision_of(paper(64, 48), [])
    for seen in (cut_out(vision, []), no_cutouts()):
        assert len(seen) == 0
        assert seen.near.shape == (0, SIDE, SIDE, NEAR_CHANNELS)
        assert seen.wide.shape == (0, SIDE, SIDE, WIDE_CHANNELS)
        assert seen.shapes.shape == (0, SHAPES)


@st.composite
def anywhere(draw: st.DrawFn) -> tuple[Image, Box, int]:
    """A picture of any size, a box anywhere inside it, and how dark its ink is."""
    width, height = draw(st.integers(1, 900)), draw(st.integers(1, 700))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    w, h = draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    shade, dark = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    return paper(width, height, shade), Box(x, y, w, h), dark


@settings(deadline=None, max_examples=150)
@given(anywhere())
def test_any_box_on_any_picture_is_cut_out(where: tuple[Image, Box, int]) -> None:
    grey, box, dark = where
    seen = one(grey, box, dark)
    assert seen.crops.shape == (1, 28, 28)
    assert seen.near.shape == (1, SIDE, SIDE, NEAR_CHANNELS)
    assert seen.wide.shape == (1, SIDE, SIDE, WIDE_CHANNELS)
    assert {a.dtype for a in (seen.crops, seen.near, seen.wide)} == {np.dtype(np.uint8)}
    assert seen.shapes.shape == (1, SHAPES)
    assert seen.shapes.dtype == np.float32
    assert np.isfinite(seen.shapes).all()
    assert seen.near[0, ..., OWN].any()
    assert (seen.near[..., GREY] <= int(grey[0, 0])).all()
