"""The way from a frame to boxes and crops: `classic` against arithmetic, `paper` against truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from live_digits import ink as inks
from live_digits import segment
from live_digits.config import PipelineSettings, profile_defaults
from live_digits.ink import light_on_dark
from live_digits.pipeline import (
    Vision,
    blurred,
    contour_boxes,
    crops,
    dilated_of,
    edges_of,
    find,
    grey_of,
)
from live_digits.types import Box, Image

CLASSIC = profile_defaults("classic")
PAPER = profile_defaults("paper")
PROFILES = [pytest.param(CLASSIC, id="classic"), pytest.param(PAPER, id="paper")]
SIZES = [(640, 480), (1280, 720), (1920, 1080), (3840, 2160)]

GREYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))

SLIDERS = st.sampled_from((PAPER, CLASSIC)) | st.builds(
    PipelineSettings,
    blur=st.integers(1, 9) | st.integers(1, 71),
    canny_low=st.integers(0, 40) | st.integers(0, 255),
    canny_ratio=st.integers(1, 3) | st.integers(1, 7),
    canny_aperture=st.integers(3, 7),
    dilate_kernel=st.integers(1, 15),
    dilate_iterations=st.integers(0, 8),
    threshold=st.integers(100, 255) | st.integers(0, 255),
    profile=st.sampled_from(("paper", "classic")),
)
"""Any settings, even kernels and apertures between the permitted ones included."""


@st.composite
def pictures(draw: st.DrawFn) -> Image:
    """Small pictures, grey or BGR, with blobs (each drawn pixel enlarged) and some grain."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from(((9, 16), (7, 5), (2, 9), (1, 1))))
    paper, ink = draw(st.sampled_from(((230, 20), (210, 120), (20, 230), (120, 20))))
    small = np.where(rng.random(shape) < 0.25, ink, paper).astype(np.uint8)
    down, across, margin = (
        draw(st.sampled_from(sides)) for sides in ((9, 4, 1), (9, 4, 1), (8, 0))
    )
    large = small.repeat(down, axis=0).repeat(across, axis=1)
    large = np.pad(large, margin, constant_values=paper)
    full = np.stack([large] * 3, axis=-1) if draw(st.booleans()) else large
    grain = rng.normal(0, draw(st.sampled_from((0, 4, 30))), full.shape)
    return np.clip(full + grain, 0, 255).astype(np.uint8)


def read_only(image: Image) -> Image:
    image.flags.writeable = False
    return image


# --- classic, step by step, against NumPy ---


def gaussian(grey: Image, size: int) -> npt.NDArray[np.float64]:
    """A Gaussian blur by its definition, with OpenCV's rule for sigma and its mirrored border."""
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    x = np.arange(size) - size // 2
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(grey.astype(np.float64), size // 2, mode="reflect")
    down = sum(k * padded[i : i + grey.shape[0]] for i, k in enumerate(kernel))
    across = sum(k * np.asarray(down)[:, i : i + grey.shape[1]] for i, k in enumerate(kernel))
    return np.asarray(across, np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_blur_21_is_the_gaussian_of_sigma_3_5(seed: int) -> None:
    assert 0.3 * ((21 - 1) * 0.5 - 1) + 0.8 == 3.5
    noise = np.random.default_rng(seed).integers(0, 256, (40 + seed, 61), np.uint8)
    for grey in (noise, page(320, 240)[0], step(155).repeat(4, axis=1)):
        # OpenCV's 8-bit kernel has whole 1/256ths, so it is a little off the real one.
        difference = blurred(grey, CLASSIC) - gaussian(grey, 21)
        assert np.abs(difference).max() < 2
        assert np.abs(difference).mean() < 0.6
        assert abs(difference.mean()) < 0.2


def test_blur_1_is_none_and_5_the_binomial_by_hand() -> None:
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 255
    np.testing.assert_array_equal(blurred(dot, replace(CLASSIC, blur=1)), dot)
    row = np.array([1, 4, 6, 4, 1])
    expected = 255 * np.outer(row, row) / 256
    found = blurred(dot, replace(CLASSIC, blur=5))
    assert np.abs(found[2:7, 2:7] - expected).max() <= 1
    assert found.sum() == found[2:7, 2:7].sum()


@pytest.mark.parametrize("even", [2, 4, 20, 70])
def test_an_even_blur_is_the_next_odd_one(even: int) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (60, 80), np.uint8)
    odd = blurred(grey, replace(CLASSIC, blur=even + 1))
    np.testing.assert_array_equal(blurred(grey, replace(CLASSIC, blur=even)), odd)
    assert (odd != grey).any()


def step(height: int, rows: int = 20) -> Image:
    """A vertical edge between columns 9 and 10, from 100 to 100 + `height`."""
    image = np.full((rows, 20), 100, np.uint8)
    image[:, 10:] = 100 + height
    return image


@pytest.mark.parametrize(
    ("aperture", "gain", "low", "ratio"),
    # A step of 1 has this gradient: Sobel's smoothing sum times the steps its derivative collects.
    [(3, 4, 50, 2), (3, 4, 20, 7), (5, 48, 255, 7), (7, 640, 255, 7), (3, 4, 40, 1)],
)
def test_canny_takes_a_step_just_above_ratio_times_low(
    aperture: int, gain: int, low: int, ratio: int
) -> None:
    chosen = replace(CLASSIC, canny_low=low, canny_ratio=ratio, canny_aperture=aperture)
    least = low * ratio // gain + 1
    assert not edges_of(step(least - 1), chosen).any()
    edges = edges_of(step(least), chosen)
    assert set(np.nonzero(edges)[1].tolist()) == {9}
    assert (edges[:, 9] == 255).all()


def test_canny_follows_an_edge_down_to_low_and_no_further() -> None:
    image = step(26, rows=30)
    image[10:20, 10:] = 100 + 14
    image[20:, 10:] = 100 + 11
    edges = edges_of(image, CLASSIC)[:, 9] > 0
    assert edges[:9].all()
    assert edges[12:18].all()
    assert not edges[22:].any()
    alone = step(14)
    assert 50 < 4 * 14 < 100
    assert not edges_of(alone, CLASSIC).any()


@pytest.mark.parametrize(
    ("asked", "nearest"), [(1, 3), (2, 3), (4, 3), (6, 5), (8, 7), (9, 7), (99, 7)]
)
def test_an_aperture_that_canny_refuses_is_the_nearest_one(asked: int, nearest: int) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (40, 40), np.uint8)
    settled = replace(CLASSIC, canny_low=200, canny_ratio=6)
    by_aperture = {a: edges_of(grey, replace(settled, canny_aperture=a)) for a in (3, 5, 7)}
    found = edges_of(grey, replace(settled, canny_aperture=asked))
    np.testing.assert_array_equal(found, by_aperture[nearest])
    assert len({e.tobytes() for e in by_aperture.values()}) == 3


def largest(image: Image, side: int) -> Image:
    """A maximum filter by its definition; the square's middle is at side // 2."""
    before, after = side // 2, side - 1 - side // 2
    padded = np.pad(image, ((before, after), (before, after)), constant_values=0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return np.asarray(windows.max(axis=(2, 3)), np.uint8)


@settings(deadline=None, max_examples=60)
@given(GREYS, st.integers(1, 9), st.integers(0, 3))
def test_dilation_is_the_maximum_in_a_square(image: Image, side: int, times: int) -> None:
    expected = image
    for _ in range(times):
        expected = largest(expected, side)
    chosen = replace(CLASSIC, dilate_kernel=side, dilate_iterations=times)
    np.testing.assert_array_equal(dilated_of(image, chosen), expected)


def test_boxes_are_of_outer_contours_only() -> None:
    image = np.zeros((80, 100), np.uint8)
    image[5:45, 5:55] = 255
    image[10:40, 10:50] = 0
    image[20:30, 20:30] = 255
    image[50:70, 60:99] = 255
    assert set(contour_boxes(image)) == {Box(5, 5, 50, 40), Box(60, 50, 39, 20)}


@pytest.mark.parametrize(("spur", "top"), [(0, 20), (1, 20), (3, 20), (4, 16), (6, 14)])
def test_boxes_are_of_the_polygon_within_3_pixels(spur: int, top: int) -> None:
    image = np.zeros((60, 60), np.uint8)
    image[20:40, 10:50] = 255
    image[20 - spur : 20, 30] = 255
    assert contour_boxes(image) == (Box(10, top, 40, 40 - top),)


def test_corners_touch_and_a_lone_pixel_is_a_box() -> None:
    image = np.zeros((20, 20), np.uint8)
    image[2:6, 2:6] = image[6:12, 6:12] = 255
    image[18, 18] = 255
    assert set(contour_boxes(image)) == {Box(2, 2, 10, 10), Box(18, 18, 1, 1)}


@pytest.mark.parametrize("threshold", [1, 159, 160, 254, 255])
def test_ink_is_what_is_no_lighter_than_the_threshold(threshold: int) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ink = find(grey, replace(CLASSIC, threshold=threshold)).stages.ink
    np.testing.assert_array_equal(ink, np.where(grey <= threshold, 255, 0))


def test_threshold_0_finds_the_gap_between_ink_and_paper() -> None:
    rng = np.random.default_rng(3)
    grey = np.clip(rng.normal(150, 8, (80, 80)), 0, 255).astype(np.uint8)
    grey[20:50, 30:50] = np.clip(rng.normal(60, 8, (30, 20)), 0, 255)
    expected = np.zeros_like(grey)
    expected[20:50, 30:50] = 255
    np.testing.assert_array_equal(find(grey, replace(CLASSIC, threshold=0)).stages.ink, expected)


def area_weights(length: int) -> npt.NDArray[np.float64]:
    """28×length: what share of each source pixel falls into each of 28 equal parts."""
    parts = np.linspace(0, length, 29)
    low = np.maximum(parts[:-1, None], np.arange(length))
    high = np.minimum(parts[1:, None], np.arange(length) + 1)
    return np.asarray(np.maximum(high - low, 0) * 28 / length, np.float64)


@settings(deadline=None, max_examples=25)
@given(st.integers(28, 100), st.integers(28, 100), st.integers(0, 2**31))
def test_a_crop_is_the_area_average_of_the_ink_in_its_box(w: int, h: int, seed: int) -> None:
    ink = np.random.default_rng(seed).choice(np.array([0, 255], np.uint8), (h + 7, w + 9))
    vision = classic_vision(ink, Box(4, 3, w, h))
    expected = area_weights(h) @ ink[3 : 3 + h, 4 : 4 + w] @ area_weights(w).T
    found = crops(vision)
    assert found.shape == (1, 28, 28)
    assert np.abs(found[0] - expected).max() <= 1


def test_crops_of_whole_fractions_are_exact() -> None:
    ink = np.random.default_rng(4).choice(np.array([0, 255], np.uint8), (56, 84))
    means = ink.reshape(28, 2, 28, 3).mean(axis=(1, 3))
    found = crops(classic_vision(ink, Box(0, 0, 84, 56)))[0]
    assert np.abs(found - means).max() <= 0.5
    same = crops(classic_vision(ink, Box(0, 0, 28, 28)))[0]
    np.testing.assert_array_equal(same, ink[:28, :28])
    double = crops(classic_vision(ink, Box(0, 0, 14, 14)))[0]
    np.testing.assert_array_equal(double, ink[:14, :14].repeat(2, axis=0).repeat(2, axis=1))


def classic_vision(ink: Image, box: Box) -> Vision:
    """A vision of one box over a given picture of ink."""
    seen = find(np.full((30, 30), 255, np.uint8), CLASSIC)
    return replace(seen, stages=replace(seen.stages, ink=ink), boxes=(box,))


# --- classic as a whole ---


def test_classic_is_its_steps_one_after_the_other() -> None:
    image = np.random.default_rng(5).integers(100, 256, (6, 8, 3), np.uint8)
    image = image.repeat(30, axis=0).repeat(30, axis=1)
    chosen = replace(CLASSIC, blur=3, canny_low=120, dilate_kernel=2)
    vision = find(image, chosen)
    b, g, r = (image[..., c].astype(np.float64) for c in range(3))
    assert np.abs(vision.stages.grey - (0.114 * b + 0.587 * g + 0.299 * r)).max() <= 1
    np.testing.assert_array_equal(vision.stages.blur, blurred(vision.stages.grey, chosen))
    np.testing.assert_array_equal(vision.stages.edges, edges_of(vision.stages.blur, chosen))
    np.testing.assert_array_equal(vision.stages.dilated, dilated_of(vision.stages.edges, chosen))
    assert vision.boxes == contour_boxes(vision.stages.dilated)
    assert tuple(c.box for c in vision.candidates) == vision.boxes
    assert len(vision.boxes) >= 2
    assert vision.scale == 1


def test_classic_finds_a_bar_where_it_is_and_crops_it_white_on_black() -> None:
    image = np.full((200, 300, 3), 230, np.uint8)
    image[60:140, 100:130] = 20
    (candidate,) = find(image, CLASSIC).candidates
    # The edge lies on the step, the 5×5 square adds 2 px; the polygon may take up to 3.
    assert distance(candidate.box, Box(98, 58, 34, 84)) <= 3
    (crop,) = crops(find(image, CLASSIC))
    assert (crop[6:22, 6:22] == 255).all()
    box = candidate.box
    share = 30 * 80 / box.area
    assert crop.mean() / 255 == pytest.approx(share, abs=0.01)


def test_classic_takes_a_box_at_the_frames_edge() -> None:
    image = np.full((120, 160, 3), 230, np.uint8)
    image[:50, :40] = 20
    image[80:, 130:] = 20
    vision = find(image, CLASSIC)
    assert len(vision.candidates) == 2
    for c, crop in zip(vision.candidates, crops(vision), strict=True):
        assert c.box == c.box.clipped(160, 120)
        assert crop.mean() > 150
    corners = {(c.box.x == 0, c.box.y == 0) for c in vision.candidates}
    assert corners == {(True, True), (False, False)}
    far = next(c.box for c in vision.candidates if c.box.x)
    assert (far.right, far.bottom) == (160, 120)


def test_classic_works_at_the_frames_own_resolution() -> None:
    image = np.full((1500, 2000), 230, np.uint8)
    image[700:800, 900:950] = 20
    vision = find(image, CLASSIC)
    assert vision.stages.dilated.shape == image.shape
    assert distance(vision.candidates[0].box, Box(898, 698, 54, 104)) <= 3


# --- both profiles ---


@pytest.mark.parametrize("chosen", PROFILES)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_holds_nothing(chosen: PipelineSettings, shade: int) -> None:
    vision = find(np.full((90, 120, 3), shade, np.uint8), chosen)
    assert vision.candidates == ()
    found = crops(vision)
    assert found.shape == (0, 28, 28)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("chosen", PROFILES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 200), (200, 1, 3), (2, 3), (1, 5000)])
def test_the_smallest_pictures_pass(chosen: PipelineSettings, shape: tuple[int, ...]) -> None:
    for shade in (0, 255):
        vision = find(np.full(shape, shade, np.uint8), chosen)
        assert vision.candidates == ()
        assert crops(vision).shape == (0, 28, 28)


@pytest.mark.parametrize("chosen", PROFILES)
def test_grey_and_colour_of_the_same_greys_are_one(chosen: PipelineSettings) -> None:
    grey, _ = page(320, 240)
    colour = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    first, second = find(grey, chosen), find(colour, chosen)
    assert first.candidates == second.candidates != ()
    np.testing.assert_array_equal(crops(first), crops(second))
    np.testing.assert_array_equal(grey_of(colour), grey)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(pictures(), SLIDERS)
def test_any_picture_under_any_settings(image: Image, chosen: PipelineSettings) -> None:
    before = image.copy()
    vision = find(read_only(image), chosen)
    height, width = image.shape[:2]
    found = crops(vision)
    assert found.shape == (len(vision.candidates), 28, 28)
    assert found.dtype == np.uint8
    assert len(vision.boxes) == len(vision.candidates) <= max(segment.MOST_PROPOSALS, image.size)
    for c in vision.candidates:
        assert c.box == c.box.clipped(width, height)
        assert c.box.area > 0
        assert c.pieces
    for stage in (vision.stages.grey, vision.stages.blur, vision.stages.edges, vision.stages.ink):
        assert stage.shape == vision.stages.dilated.shape
        assert stage.dtype == np.uint8
    assert set(np.unique(vision.stages.edges)) <= {0, 255}
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("chosen", PROFILES)
def test_chosen_crops_are_rows_of_all_crops(chosen: PipelineSettings) -> None:
    vision = find(page(640, 480)[0], chosen)
    every = crops(vision)
    assert len(every) >= 10
    np.testing.assert_array_equal(crops(vision, [3, 0, 3]), every[[3, 0, 3]])
    assert crops(vision, []).shape == (0, 28, 28)


@pytest.mark.parametrize("chosen", PROFILES)
def test_large_pictures_are_never_written_to(chosen: PipelineSettings) -> None:
    grey, _ = page(1280, 720)
    image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    before = image.copy()
    crops(find(read_only(image), chosen))
    np.testing.assert_array_equal(image, before)


# --- paper ---


@cache
def _page(width: int, height: int) -> tuple[Image, tuple[Box, ...]]:
    image = np.full((height, width), 225, np.uint8)
    boxes = []
    for digit in range(10):
        ink = np.zeros_like(image)
        at = round(width * (0.06 + 0.18 * (digit % 5))), round(height * (0.4 + 0.35 * (digit // 5)))
        size, weight = height / 480 * 2.2, max(1, round(height / 96))
        cv2.putText(ink, str(digit), at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight)
        image[ink > 0] = 60
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        boxes.append(Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1))
    return read_only(image), tuple(boxes)


def page(width: int, height: int) -> tuple[Image, tuple[Box, ...]]:
    """Grey paper with the digits 0…9 in two rows, and their boxes in that order."""
    image, boxes = _page(width, height)
    return image.copy(), boxes


def distance(a: Box, b: Box) -> int:
    """How far the two boxes' farthest sides are apart, pixels."""
    sides = (a.x - b.x, a.y - b.y, a.right - b.right, a.bottom - b.bottom)
    return max(abs(side) for side in sides)


def shadowed(grey: Image) -> Image:
    """The page in light that falls to a third from side to side, a soft shadow over a corner."""
    h, w = grey.shape
    x, y = np.linspace(0, 1, w)[None], np.linspace(0, 1, h)[:, None]
    light = (1 - 0.65 * x) * (1 - 0.45 / (1 + np.exp(-30 * (x + y - 1.1))))
    return np.asarray(grey * light, np.uint8)


def grained(grey: Image) -> Image:
    noise = np.random.default_rng(6).normal(0, 4, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


LIGHTS: dict[str, Callable[[Image], Image]] = {
    "plain": lambda grey: grey,
    "shadow": shadowed,
    "grain": grained,
    "pale": lambda grey: np.where(grey < 100, 190, grey).astype(np.uint8),
    "chalk": lambda grey: np.where(grey < 100, 220, 40).astype(np.uint8),
    "negative": lambda grey: (255 - grey).astype(np.uint8),
}


@pytest.mark.parametrize(
    ("width", "height", "light"),
    [(w, h, light) for w, h in SIZES for light in LIGHTS],
)
def test_drawn_digits_are_found_tight(width: int, height: int, light: str) -> None:
    grey, truth = page(width, height)
    image = np.asarray(cv2.cvtColor(LIGHTS[light](grey), cv2.COLOR_GRAY2BGR), np.uint8)
    vision = find(image, PAPER)
    whole = [c.box for c in vision.candidates if c.primary]
    assert 10 <= len(whole) <= (12 if light == "shadow" else 10)
    # A grainy picture is softened: boxes may be a working pixel wider.
    loose = max(2, round(1 / vision.scale)) if light == "grain" else 2
    for box in truth:
        assert min(distance(box, found) for found in whole) <= loose


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_crops_of_a_page_are_the_same_at_any_resolution(width: int, height: int) -> None:
    def by_digit(w: int, h: int) -> npt.NDArray[np.float64]:
        grey, truth = page(w, h)
        vision = find(grey, PAPER)
        boxes = [c.box for c in vision.candidates]
        best = [min(range(len(boxes)), key=lambda i: distance(boxes[i], t)) for t in truth]
        return crops(vision, best).astype(np.float64)

    small, large = by_digit(853, 480), by_digit(width, height)
    apart = np.abs(small[:, None] - large[None]).mean(axis=(2, 3))
    # One of ten may be shifted or thickened by a whole pixel of its crop.
    assert np.count_nonzero(apart.argmin(axis=1) == np.arange(10)) >= 9
    assert apart.diagonal().mean() < 15


def test_crops_of_paper_hold_one_digit_without_its_neighbours() -> None:
    grey = np.full((240, 320), 225, np.uint8)
    cv2.line(grey, (100, 60), (140, 180), 60, 6)
    cv2.line(grey, (125, 60), (165, 180), 60, 6)
    vision = find(grey, PAPER)
    whole = [i for i, c in enumerate(vision.candidates) if c.primary]
    left, right = (crops(vision, [i])[0] for i in whole)
    assert cv2.connectedComponents(left)[0] == cv2.connectedComponents(right)[0] == 2
    assert np.abs(left.astype(int) - right).mean() < 6


def squared(grey: Image, lean: float, width: int, shade: int) -> Image:
    """The page on squared paper that lies turned before the camera; the pen is darker."""
    h, w = grey.shape
    paper = np.full((h, w), 225, np.uint8)
    for at in range(-w, max(h, w) + w, 40):
        cv2.line(paper, (0, at), (w, round(at + lean * w)), shade, width, cv2.LINE_AA)
        cv2.line(paper, (at, 0), (round(at - lean * h), h), shade, width, cv2.LINE_AA)
    return np.minimum(grey, paper)


@pytest.mark.parametrize("lean", [0.0, 0.05, 0.1, 0.15, -0.2, 0.25])
@pytest.mark.parametrize(("width", "shade"), [(1, 110), (3, 150)])
def test_digits_on_turned_squared_paper_are_found(lean: float, width: int, shade: int) -> None:
    grey, truth = page(1280, 720)
    vision = find(squared(grey, lean, width, shade), PAPER)
    missed = [
        t for t in truth if min(distance(t, c.box) for c in vision.candidates if c.primary) > 8
    ]
    assert len(missed) <= 1


def missed(image: Image, truth: Sequence[Box]) -> int:
    """Digits that no whole piece of ink lies on within 8 pixels."""
    whole = [c.box for c in find(image, PAPER).candidates if c.primary]
    return sum(min((distance(t, box) for box in whole), default=99) > 8 for t in truth)


@pytest.mark.parametrize("lean", [0.0, -0.05, 0.1])
@pytest.mark.parametrize(("width", "shade"), [(11, 150), (13, 120)])
def test_digits_on_broad_lines_close_before_the_camera_are_found(
    lean: float, width: int, shade: int
) -> None:
    grey, truth = page(1280, 720)
    paper = np.full_like(grey, 225)
    for at in range(-150, 900, 105):
        cv2.line(paper, (0, at), (1280, round(at + lean * 1280)), shade, width, cv2.LINE_AA)
    assert missed(np.minimum(grey, paper), truth) <= 2


def test_a_dark_table_on_pale_squared_paper_is_no_ink() -> None:
    grey, truth = page(1280, 720)
    sheet = squared(grey, 0.0, 2, 190)
    boxes = [c.box for c in find(sheet, PAPER).candidates]
    for x in range(20, 1280, 135):
        cv2.line(sheet, (x, 10), (x, 710), 60, 3, cv2.LINE_AA)
    for y in (15, 190, 360, 540, 700):
        cv2.line(sheet, (15, y), (1265, y), 60, 3, cv2.LINE_AA)
    assert missed(sheet, truth) <= 3
    assert len(find(sheet, PAPER).candidates) <= 2 * len(boxes) + 20


def test_what_is_left_of_a_hard_rulings_middle_is_no_digit() -> None:
    """A table's upright lines: soft and pale, their middle far darker in places."""
    grey, _ = page(1280, 720)
    table = grey.copy()
    for x in range(30, 1280, 130):
        cv2.line(table, (x, 0), (x, 720), 170, 3)
        for y in range(40, 680, 90):
            cv2.line(table, (x, y), (x, y + 28), 70, 1)
    for y in range(20, 720, 85):
        cv2.line(table, (0, y), (1280, y), 170, 3)
    slim = [c.box for c in find(table, PAPER).candidates if c.box.w <= 4]
    assert len(slim) <= 4


@pytest.mark.parametrize("deviation", [1.0, 3.0, 8.0])
def test_grain_is_measured_beside_ink_and_shadow(deviation: float) -> None:
    grey, _ = page(1280, 720)
    noise = np.random.default_rng(3).normal(0, deviation, grey.shape)
    noisy = np.clip(shadowed(grey) + noise, 0, 255).round().astype(np.uint8)
    assert abs(inks.grain_of(noisy) - deviation) < 0.15 * deviation
    assert not np.array_equal(inks.calmed(noisy), noisy)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (30, 30), (720, 1280)])
def test_a_quiet_picture_is_not_softened(size: tuple[int, int]) -> None:
    quiet = np.full(size, 200, np.uint8)
    quiet[:: max(1, size[0] // 3)] = 60
    assert inks.calmed(quiet) is quiet


def test_pale_digits_are_found_whole_in_a_poor_light() -> None:
    grey, truth = page(1280, 720)
    dim = 90 + (grey.astype(np.float64) - 225) * 0.09
    noise = np.random.default_rng(4).normal(0, 8, grey.shape)
    poor = np.clip(dim + noise, 0, 255).astype(np.uint8)
    assert missed(poor, truth) <= 1
    assert sum(c.primary for c in find(poor, PAPER).candidates) <= 12


@pytest.mark.parametrize("step", [4, 8, 24])
def test_a_ruled_sheet_on_a_black_desk_is_no_board(step: int) -> None:
    """Its corners are light and narrow too, and stand out more than faint rulings do."""
    desk = np.full((720, 1280), 8, np.uint8)
    sheet = np.full((420, 620), 105, np.uint8)
    sheet[::step] = 88
    desk[150:570, 330:950] = sheet
    turn = cv2.getRotationMatrix2D((640, 360), 9, 1.0)
    assert not light_on_dark(np.asarray(cv2.warpAffine(desk, turn, (1280, 720)), np.uint8))


MUCH_GRAIN = pytest.mark.xfail(
    strict=True, reason="ink.darkness stretches the grain of a blank page until it is ink"
)


@pytest.mark.parametrize(
    ("width", "height", "grain"),
    [
        pytest.param(w, h, grain, marks=[MUCH_GRAIN] if (w, grain) == (640, 15) else [])
        for w, h in SIZES[:3]
        for grain in (0.0, 2.0, 4.0, 6.0, 15.0)
    ],
)
def test_a_blank_page_holds_next_to_nothing(width: int, height: int, grain: float) -> None:
    noise = np.random.default_rng(7).normal(0, grain, (height, width)) if grain else 0.0
    blank = np.clip(np.full((height, width), 210.0) + noise, 0, 255).astype(np.uint8)
    assert len(find(blank, PAPER).candidates) <= 2
    assert sum(c.primary for c in find(shadowed(blank), PAPER).candidates) <= 3


def hostile(kind: str, width: int, height: int) -> Image:
    rng = np.random.default_rng(8)
    if kind == "noise":
        return rng.integers(0, 256, (height, width), np.uint8)
    if kind == "blocks":
        small = np.where(rng.random((height // 6, width // 6)) < 0.3, 40, 220).astype(np.uint8)
        return np.asarray(cv2.resize(small, (width, height), interpolation=0), np.uint8)
    image = np.full((height, width), 220, np.uint8)
    if kind == "grid":
        image[:: height // 40] = image[:, :: height // 40] = 90
    for x in range(4, width - 12, 12):
        for y in range(4, height - 16, 16):
            if kind == "ticks":
                image[y : y + 11, x : x + 3] = 60
            elif kind == "rings":
                cv2.circle(image, (x + 5, y + 7), 5, 60, 1)
    return image


@pytest.mark.parametrize("kind", ["noise", "blocks", "grid", "ticks", "rings"])
def test_candidates_are_bounded_on_hostile_pages(kind: str) -> None:
    for width, height in SIZES[:3]:
        vision = find(hostile(kind, width, height), PAPER)
        assert len(vision.candidates) <= segment.MOST_PROPOSALS
        assert crops(vision).shape == (len(vision.candidates), 28, 28)


def test_squared_paper_is_no_page_of_digits() -> None:
    for width, height in SIZES[:3]:
        assert len(find(hostile("grid", width, height), PAPER).candidates) <= 3


def test_the_threshold_slider_decides_what_is_ink() -> None:
    def count(threshold: int) -> int:
        vision = find(page(640, 480)[0], replace(PAPER, threshold=threshold))
        return sum(c.primary for c in vision.candidates)

    assert count(5) == 0
    assert count(120) == count(0) == 10


def test_canny_sliders_out_of_reach_leave_no_ink_without_an_edge() -> None:
    faint = np.where(page(640, 480)[0] < 100, 195, 225).astype(np.uint8)
    assert sum(c.primary for c in find(faint, PAPER).candidates) == 10
    deaf = replace(PAPER, canny_low=255, canny_ratio=7)
    assert find(faint, deaf).candidates == ()
