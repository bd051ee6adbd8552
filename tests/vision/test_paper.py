"""The profile `paper`: digits found where they are, on any paper in any light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from page_kit import PAPER, SIZES, distance, hostile, missed, page, shadowed

from live_digits.core.geometry import Box
from live_digits.core.types import Image
from live_digits.vision import denoising, segmentation
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.polarity import is_light_on_dark


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
    vision = detect_candidates(image, PAPER)
    whole = [c.box for c in vision.candidates if c.is_whole]
    assert 10 <= len(whole) <= (12 if light == "shadow" else 10)
    # A grainy picture is softened: boxes may be a working pixel wider.
    loose = max(2, round(1 / vision.scale)) if light == "grain" else 2
    for box in truth:
        assert min(distance(box, found) for found in whole) <= loose


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_crops_of_a_page_are_the_same_at_any_resolution(width: int, height: int) -> None:
    def by_digit(w: int, h: int) -> npt.NDArray[np.float64]:
        grey, truth = page(w, h)
        vision = detect_candidates(grey, PAPER)
        boxes = [c.box for c in vision.candidates]
        best = [min(range(len(boxes)), key=lambda i: distance(boxes[i], t)) for t in truth]
        return extract_crops(vision, best).astype(np.float64)

    small, large = by_digit(853, 480), by_digit(width, height)
    apart = np.abs(small[:, None] - large[None]).mean(axis=(2, 3))
    # One of ten may be shifted or thickened by a whole pixel of its crop.
    assert np.count_nonzero(apart.argmin(axis=1) == np.arange(10)) >= 9
    assert apart.diagonal().mean() < 15


def test_crops_of_paper_hold_one_digit_without_its_neighbours() -> None:
    grey = np.full((240, 320), 225, np.uint8)
    cv2.line(grey, (100, 60), (140, 180), 60, 6)
    cv2.line(grey, (125, 60), (165, 180), 60, 6)
    vision = detect_candidates(grey, PAPER)
    whole = [i for i, c in enumerate(vision.candidates) if c.is_whole]
    left, right = (extract_crops(vision, [i])[0] for i in whole)
    assert cv2.connectedComponents(left)[0] == cv2.connectedComponents(right)[0] == 2
    assert np.abs(left.astype(int) - right).mean() < 6


def test_a_pale_0_that_touches_a_dark_5_is_ink() -> None:
    sheet = np.full((480, 640), 225, np.uint8)
    cv2.putText(sheet, "5", (300, 270), cv2.FONT_HERSHEY_SIMPLEX, 2.5, 50, 7, cv2.LINE_AA)
    cv2.ellipse(sheet, (270, 245), (26, 28), 0, 0, 360, 150, 3, cv2.LINE_AA)
    cv2.line(sheet, (290, 262), (308, 264), 150, 3, cv2.LINE_AA)
    boxes = [c.box for c in detect_candidates(sheet, PAPER).candidates]
    assert max(box.iou(Box(242, 216, 56, 58)) for box in boxes) > 0.8


@pytest.mark.parametrize("deviation", [1.0, 3.0, 8.0])
def test_grain_is_measured_beside_ink_and_shadow(deviation: float) -> None:
    grey, _ = page(1280, 720)
    noise = np.random.default_rng(3).normal(0, deviation, grey.shape)
    noisy = np.clip(shadowed(grey) + noise, 0, 255).round().astype(np.uint8)
    assert abs(denoising.noise_sigma(noisy) - deviation) < 0.15 * deviation
    assert not np.array_equal(denoising.denoise(noisy), noisy)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (30, 30), (720, 1280)])
def test_a_quiet_picture_is_not_softened(size: tuple[int, int]) -> None:
    quiet = np.full(size, 200, np.uint8)
    quiet[:: max(1, size[0] // 3)] = 60
    assert denoising.denoise(quiet) is quiet


def test_pale_digits_are_found_whole_in_a_poor_light() -> None:
    grey, truth = page(1280, 720)
    dim = 90 + (grey.astype(np.float64) - 225) * 0.09
    noise = np.random.default_rng(4).normal(0, 8, grey.shape)
    poor = np.clip(dim + noise, 0, 255).astype(np.uint8)
    assert missed(poor, truth) <= 1
    assert sum(c.is_whole for c in detect_candidates(poor, PAPER).candidates) <= 12


@pytest.mark.parametrize("step", [4, 8, 24])
def test_a_ruled_sheet_on_a_black_desk_is_no_board(step: int) -> None:
    """Its corners are light and narrow too, and stand out more than faint rulings do."""
    desk = np.full((720, 1280), 8, np.uint8)
    sheet = np.full((420, 620), 105, np.uint8)
    sheet[::step] = 88
    desk[150:570, 330:950] = sheet
    turn = cv2.getRotationMatrix2D((640, 360), 9, 1.0)
    assert not is_light_on_dark(np.asarray(cv2.warpAffine(desk, turn, (1280, 720)), np.uint8))


def few_digits(ink: int, ground: int) -> Image:
    picture = np.full((960, 640), ground, np.uint8)
    for number, (x, y) in enumerate([(60, 90), (520, 200), (580, 440), (210, 800), (420, 650)]):
        cv2.putText(picture, str(number + 3), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 1)
    return picture


def dim_page(ink: int, ground: int) -> Image:
    grey, _ = page(1280, 720)
    noise = np.random.default_rng(8).normal(0, 0.8, grey.shape)
    return np.clip(np.where(grey < 100, ink, ground) + noise, 0, 255).astype(np.uint8)


def squares(ink: int, ground: int) -> Image:
    """A squared sheet on a desk: what is between its lines is as narrow as a stroke."""
    grey, _ = page(1280, 720)
    line = (ink + ground) // 2
    sheet = np.full_like(grey, ground)
    sheet[::22], sheet[1::22], sheet[:, ::22], sheet[:, 1::22] = line, line, line, line
    sheet[grey < 100] = ink
    sheet[:, :180] = 70
    return sheet


@pytest.mark.parametrize(
    ("drawn", "ink", "ground"),
    [
        (few_digits, 70, 0), (few_digits, 6, 40), (dim_page, 24, 2), (dim_page, 6, 40),
        (squares, 24, 2), (squares, 6, 40), (squares, 130, 12),
    ],
)  # fmt: skip
def test_a_board_is_told_from_paper(
    drawn: Callable[[int, int], Image], ink: int, ground: int
) -> None:
    assert is_light_on_dark(drawn(ink, ground)) == (ink > ground)


MUCH_GRAIN = pytest.mark.xfail(
    strict=True, reason="ink.darkness stretches the grain of a blank page until it is ink"
)


def beside_a_step(ink: int, left: int, right: int) -> Image:
    """An upright stroke between two shades of paper."""
    image = np.full((480, 640), right, np.uint8)
    image[:, :320] = left
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)
    image[160:320, 314:326] = ink
    return image


@pytest.mark.parametrize(("ink", "left", "right"), [(40, 220, 220), (40, 220, 185), (60, 140, 122)])
def test_a_stroke_where_a_shadow_begins_is_found(ink: int, left: int, right: int) -> None:
    (one,) = detect_candidates(beside_a_step(ink, left, right), PAPER).candidates
    assert distance(one.box, Box(314, 160, 12, 160)) <= 2


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
    assert len(detect_candidates(blank, PAPER).candidates) <= 2
    assert sum(c.is_whole for c in detect_candidates(shadowed(blank), PAPER).candidates) <= 3


@pytest.mark.parametrize("kind", ["noise", "blocks", "grid", "ticks", "rings"])
def test_candidates_are_bounded_on_hostile_pages(kind: str) -> None:
    for width, height in SIZES[:3]:
        vision = detect_candidates(hostile(kind, width, height), PAPER)
        assert len(vision.candidates) <= segmentation.MOST_PROPOSALS
        assert extract_crops(vision).shape == (len(vision.candidates), 28, 28)


def test_the_threshold_slider_decides_what_is_ink() -> None:
    def count(threshold: int) -> int:
        vision = detect_candidates(page(640, 480)[0], replace(PAPER, threshold=threshold))
        return sum(c.is_whole for c in vision.candidates)

    assert count(5) == 0
    assert count(120) == count(0) == 10


def test_canny_sliders_out_of_reach_leave_no_ink_without_an_edge() -> None:
    faint = np.where(page(640, 480)[0] < 100, 195, 225).astype(np.uint8)
    assert sum(c.is_whole for c in detect_candidates(faint, PAPER).candidates) == 10
    deaf = replace(PAPER, canny_low=255, canny_ratio=7)
    assert detect_candidates(faint, deaf).candidates == ()
