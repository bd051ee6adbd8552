"""The profile `classic`, step by step against arithmetic, then as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from page_kit import CLASSIC, distance, page

from live_digits.core.geometry import Box
from live_digits.core.types import Image
from live_digits.vision.classic import blur_grey, contour_boxes, detect_edges, dilate_edges
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.stages import Detections

GREYS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


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
        difference = blur_grey(grey, CLASSIC) - gaussian(grey, 21)
        assert np.abs(difference).max() < 2
        assert np.abs(difference).mean() < 0.6
        assert abs(difference.mean()) < 0.2


def test_blur_1_is_none_and_5_the_binomial_by_hand() -> None:
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 255
    np.testing.assert_array_equal(blur_grey(dot, replace(CLASSIC, blur=1)), dot)
    row = np.array([1, 4, 6, 4, 1])
    expected = 255 * np.outer(row, row) / 256
    found = blur_grey(dot, replace(CLASSIC, blur=5))
    assert np.abs(found[2:7, 2:7] - expected).max() <= 1
    assert found.sum() == found[2:7, 2:7].sum()


@pytest.mark.parametrize("even", [2, 4, 20, 70])
def test_an_even_blur_is_the_next_odd_one(even: int) -> None:
    grey = np.random.default_rng(1).integers(0, 256, (60, 80), np.uint8)
    odd = blur_grey(grey, replace(CLASSIC, blur=even + 1))
    np.testing.assert_array_equal(blur_grey(grey, replace(CLASSIC, blur=even)), odd)
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
    assert not detect_edges(step(least - 1), chosen).any()
    edges = detect_edges(step(least), chosen)
    assert set(np.nonzero(edges)[1].tolist()) == {9}
    assert (edges[:, 9] == 255).all()


def test_canny_follows_an_edge_down_to_low_and_no_further() -> None:
    image = step(26, rows=30)
    image[10:20, 10:] = 100 + 14
    image[20:, 10:] = 100 + 11
    edges = detect_edges(image, CLASSIC)[:, 9] > 0
    assert edges[:9].all()
    assert edges[12:18].all()
    assert not edges[22:].any()
    alone = step(14)
    assert 50 < 4 * 14 < 100
    assert not detect_edges(alone, CLASSIC).any()


@pytest.mark.parametrize(
    ("asked", "nearest"), [(1, 3), (2, 3), (4, 3), (6, 5), (8, 7), (9, 7), (99, 7)]
)
def test_an_aperture_that_canny_refuses_is_the_nearest_one(asked: int, nearest: int) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (40, 40), np.uint8)
    settled = replace(CLASSIC, canny_low=200, canny_ratio=6)
    by_aperture = {a: detect_edges(grey, replace(settled, canny_aperture=a)) for a in (3, 5, 7)}
    found = detect_edges(grey, replace(settled, canny_aperture=asked))
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
    np.testing.assert_array_equal(dilate_edges(image, chosen), expected)


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
    ink = detect_candidates(grey, replace(CLASSIC, threshold=threshold)).stages.ink
    np.testing.assert_array_equal(ink, np.where(grey <= threshold, 255, 0))


def test_threshold_0_finds_the_gap_between_ink_and_paper() -> None:
    rng = np.random.default_rng(3)
    grey = np.clip(rng.normal(150, 8, (80, 80)), 0, 255).astype(np.uint8)
    grey[20:50, 30:50] = np.clip(rng.normal(60, 8, (30, 20)), 0, 255)
    expected = np.zeros_like(grey)
    expected[20:50, 30:50] = 255
    np.testing.assert_array_equal(
        detect_candidates(grey, replace(CLASSIC, threshold=0)).stages.ink, expected
    )


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
    found = extract_crops(vision)
    assert found.shape == (1, 28, 28)
    assert np.abs(found[0] - expected).max() <= 1


def test_crops_of_whole_fractions_are_exact() -> None:
    ink = np.random.default_rng(4).choice(np.array([0, 255], np.uint8), (56, 84))
    means = ink.reshape(28, 2, 28, 3).mean(axis=(1, 3))
    found = extract_crops(classic_vision(ink, Box(0, 0, 84, 56)))[0]
    assert np.abs(found - means).max() <= 0.5
    same = extract_crops(classic_vision(ink, Box(0, 0, 28, 28)))[0]
    np.testing.assert_array_equal(same, ink[:28, :28])
    double = extract_crops(classic_vision(ink, Box(0, 0, 14, 14)))[0]
    np.testing.assert_array_equal(double, ink[:14, :14].repeat(2, axis=0).repeat(2, axis=1))


def classic_vision(ink: Image, box: Box) -> Detections:
    """A vision of one box over a given picture of ink."""
    seen = detect_candidates(np.full((30, 30), 255, np.uint8), CLASSIC)
    return replace(seen, stages=replace(seen.stages, ink=ink), boxes=(box,))


# --- classic as a whole ---


def test_classic_is_its_steps_one_after_the_other() -> None:
    image = np.random.default_rng(5).integers(100, 256, (6, 8, 3), np.uint8)
    image = image.repeat(30, axis=0).repeat(30, axis=1)
    chosen = replace(CLASSIC, blur=3, canny_low=120, dilate_kernel=2)
    vision = detect_candidates(image, chosen)
    b, g, r = (image[..., c].astype(np.float64) for c in range(3))
    assert np.abs(vision.stages.grey - (0.114 * b + 0.587 * g + 0.299 * r)).max() <= 1
    np.testing.assert_array_equal(vision.stages.blur, blur_grey(vision.stages.grey, chosen))
    np.testing.assert_array_equal(vision.stages.edges, detect_edges(vision.stages.blur, chosen))
    np.testing.assert_array_equal(vision.stages.dilated, dilate_edges(vision.stages.edges, chosen))
    assert vision.boxes == contour_boxes(vision.stages.dilated)
    assert tuple(c.box for c in vision.candidates) == vision.boxes
    assert len(vision.boxes) >= 2
    assert vision.scale == 1


def test_classic_finds_a_bar_where_it_is_and_crops_it_white_on_black() -> None:
    image = np.full((200, 300, 3), 230, np.uint8)
    image[60:140, 100:130] = 20
    (candidate,) = detect_candidates(image, CLASSIC).candidates
    # The edge lies on the step, the 5×5 square adds 2 px; the polygon may take up to 3.
    assert distance(candidate.box, Box(98, 58, 34, 84)) <= 3
    (crop,) = extract_crops(detect_candidates(image, CLASSIC))
    assert (crop[6:22, 6:22] == 255).all()
    box = candidate.box
    share = 30 * 80 / box.area
    assert crop.mean() / 255 == pytest.approx(share, abs=0.01)


def test_classic_takes_a_box_at_the_frames_edge() -> None:
    image = np.full((120, 160, 3), 230, np.uint8)
    image[:50, :40] = 20
    image[80:, 130:] = 20
    vision = detect_candidates(image, CLASSIC)
    assert len(vision.candidates) == 2
    for c, crop in zip(vision.candidates, extract_crops(vision), strict=True):
        assert c.box == c.box.clipped(160, 120)
        assert crop.mean() > 150
    corners = {(c.box.x == 0, c.box.y == 0) for c in vision.candidates}
    assert corners == {(True, True), (False, False)}
    far = next(c.box for c in vision.candidates if c.box.x)
    assert (far.right, far.bottom) == (160, 120)


def test_classic_works_at_the_frames_own_resolution() -> None:
    image = np.full((1500, 2000), 230, np.uint8)
    image[700:800, 900:950] = 20
    vision = detect_candidates(image, CLASSIC)
    assert vision.stages.dilated.shape == image.shape
    assert distance(vision.candidates[0].box, Box(898, 698, 54, 104)) <= 3
