"""What both profiles promise for any picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_kit import CLASSIC, PAPER, page, read_only

from live_digits.config.settings import PipelineSettings
from live_digits.core.types import Image
from live_digits.vision import segmentation
from live_digits.vision.classic import to_grey
from live_digits.vision.detection import detect_candidates, extract_crops

PROFILES = [pytest.param(CLASSIC, id="classic"), pytest.param(PAPER, id="paper")]


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


@pytest.mark.parametrize("chosen", PROFILES)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_holds_nothing(chosen: PipelineSettings, shade: int) -> None:
    vision = detect_candidates(np.full((90, 120, 3), shade, np.uint8), chosen)
    assert vision.candidates == ()
    found = extract_crops(vision)
    assert found.shape == (0, 28, 28)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("chosen", PROFILES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 200), (200, 1, 3), (2, 3), (1, 5000)])
def test_the_smallest_pictures_pass(chosen: PipelineSettings, shape: tuple[int, ...]) -> None:
    for shade in (0, 255):
        vision = detect_candidates(np.full(shape, shade, np.uint8), chosen)
        assert vision.candidates == ()
        assert extract_crops(vision).shape == (0, 28, 28)


@pytest.mark.parametrize("chosen", PROFILES)
def test_lines_of_which_no_pixel_is_pale_enough_pass(chosen: PipelineSettings) -> None:
    image = np.full((23, 61), 230, np.uint8)
    image[9:11, 8:17] = 20
    image[8, 35:44] = image[12:14, 35:44] = 20
    assert all(c.box.w <= 36 for c in detect_candidates(image, chosen).candidates)


@pytest.mark.parametrize("chosen", PROFILES)
def test_grey_and_colour_of_the_same_greys_are_one(chosen: PipelineSettings) -> None:
    grey, _ = page(320, 240)
    colour = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    first, second = detect_candidates(grey, chosen), detect_candidates(colour, chosen)
    assert first.candidates == second.candidates != ()
    np.testing.assert_array_equal(extract_crops(first), extract_crops(second))
    np.testing.assert_array_equal(to_grey(colour), grey)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(pictures(), SLIDERS)
def test_any_picture_under_any_settings(image: Image, chosen: PipelineSettings) -> None:
    before = image.copy()
    vision = detect_candidates(read_only(image), chosen)
    height, width = image.shape[:2]
    found = extract_crops(vision)
    assert found.shape == (len(vision.candidates), 28, 28)
    assert found.dtype == np.uint8
    assert (
        len(vision.boxes) == len(vision.candidates) <= max(segmentation.MOST_PROPOSALS, image.size)
    )
    for c in vision.candidates:
        assert c.box == c.box.clipped(width, height)
        assert c.box.area > 0
        assert c.component_ids
    for stage in (vision.stages.grey, vision.stages.blur, vision.stages.edges, vision.stages.ink):
        assert stage.shape == vision.stages.dilated.shape
        assert stage.dtype == np.uint8
    assert set(np.unique(vision.stages.edges)) <= {0, 255}
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("chosen", PROFILES)
def test_chosen_crops_are_rows_of_all_crops(chosen: PipelineSettings) -> None:
    vision = detect_candidates(page(640, 480)[0], chosen)
    every = extract_crops(vision)
    assert len(every) >= 10
    np.testing.assert_array_equal(extract_crops(vision, [3, 0, 3]), every[[3, 0, 3]])
    assert extract_crops(vision, []).shape == (0, 28, 28)


@pytest.mark.parametrize("light_ink", [False, True])
def test_paper_tells_the_dark_on_light_picture_that_it_worked_on(light_ink: bool) -> None:
    image, _ = page(1280, 720)
    vision = detect_candidates(
        np.where(image < 100, 200, 20).astype(np.uint8) if light_ink else image, PAPER
    )
    assert vision.grey.shape == vision.raw.shape == vision.labels.shape
    assert vision.grey.dtype == vision.raw.dtype == np.uint8
    ink, paper = vision.labels > 0, np.zeros(vision.labels.shape, bool)
    paper[:20] = True
    assert np.median(vision.grey[ink]) < np.median(vision.grey[paper]) - 100
    assert np.median(vision.raw[ink]) > 100
    assert np.median(vision.raw[paper]) <= 1


def test_classic_tells_no_picture_but_its_stages() -> None:
    vision = detect_candidates(page(320, 240)[0], CLASSIC)
    assert vision.grey.shape == vision.raw.shape == vision.labels.shape == (0, 0)


@pytest.mark.parametrize("chosen", PROFILES)
def test_large_pictures_are_never_written_to(chosen: PipelineSettings) -> None:
    grey, _ = page(1280, 720)
    image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    before = image.copy()
    extract_crops(detect_candidates(read_only(image), chosen))
    np.testing.assert_array_equal(image, before)
