"""Crops are made as MNIST was: held against MNIST's own digits and against the recipe."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import live_digits
from live_digits.core.geometry import Box
from live_digits.core.types import Image
from live_digits.vision.mnist_crop import normalise, stroke_width

INK = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=70),
    elements=st.integers(0, 255),
    fill=st.sampled_from((0, 255)),
)


def bounds(crop: Image, above: int = 0) -> Box:
    """The box of what is lighter than `above`."""
    rows, columns = np.flatnonzero((crop > above).any(1)), np.flatnonzero((crop > above).any(0))
    if not len(rows):
        return Box(0, 0, 0, 0)
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def centre_of_mass(crop: Image) -> tuple[float, float]:
    """x, y; the middle of 28×28 is 14, 14."""
    y, x = np.indices(crop.shape) + 0.5
    return float((x * crop).sum() / crop.sum()), float((y * crop).sum() / crop.sum())


def mnist() -> Image:
    """The demo's 400 MNIST test digits."""
    with np.load(Path(live_digits.__file__).parent / "capture" / "demo_digits.npz") as z:
        return np.asarray(z["digits"], np.uint8)


def drawn(text: str, height: int, weight: int) -> Image:
    size = height / 22
    image = np.zeros((height * 2, height * 3), np.uint8)
    at = height // 2, round(height * 1.5)
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight)
    return image


@settings(deadline=None, max_examples=300)
@given(INK)
def test_any_ink_gives_a_centred_crop_within_20_by_20(ink: Image) -> None:
    before = ink.copy()
    crop = normalise(ink)
    assert crop.shape == (28, 28)
    assert crop.dtype == np.uint8
    box = bounds(crop)
    assert max(box.w, box.h) <= 20
    if ink.max() >= 100:
        assert max(box.w, box.h) >= 18
    if crop.any():
        # Lopsided ink cannot be centred without leaving the picture; this is far from any digit.
        across, down = (abs(c - 14) for c in centre_of_mass(crop))
        assert across <= 1.05 or box.x == 0 or box.right == 28
        assert down <= 1.05 or box.y == 0 or box.bottom == 28
    np.testing.assert_array_equal(ink, before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (28, 28), (400, 300)])
@pytest.mark.parametrize("level", [0, 10])
def test_a_picture_without_ink_is_black(shape: tuple[int, int], level: int) -> None:
    assert not normalise(np.full(shape, level, np.uint8)).any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (28, 28), (500, 500)])
def test_a_square_of_any_size_fills_20_by_20(shape: tuple[int, int]) -> None:
    crop = normalise(np.full(shape, 255, np.uint8))
    expected = np.zeros((28, 28), np.uint8)
    expected[4:24, 4:24] = 255
    np.testing.assert_array_equal(crop, expected)


@settings(deadline=None, max_examples=100)
@given(st.integers(8, 200), st.integers(8, 200))
def test_the_aspect_is_kept(width: int, height: int) -> None:
    if max(width, height) > 9 * min(width, height):
        return
    box = bounds(normalise(np.full((height, width), 255, np.uint8)), 127)
    scale = 20 / max(width, height)
    assert box.w == pytest.approx(width * scale, abs=1.01)
    assert box.h == pytest.approx(height * scale, abs=1.01)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_paper_around_the_ink_does_not_count(
    left: int, top: int, right: int, bottom: int
) -> None:
    ink = drawn("5", 40, 5)
    box = bounds(ink)
    tight = ink[box.y : box.bottom, box.x : box.right]
    faint = np.pad(tight, ((top, bottom), (left, right)), constant_values=8)
    np.testing.assert_array_equal(normalise(faint), normalise(tight))


@pytest.mark.parametrize("digit", "0123456789")
def test_a_digits_mass_is_in_the_middle(digit: str) -> None:
    for height in (9, 22, 60, 180):
        crop = normalise(drawn(digit, height, max(1, height // 9)))
        x, y = centre_of_mass(crop)
        assert 13.4 <= x <= 15
        assert 13.4 <= y <= 15


@pytest.mark.parametrize("factor", [2, 4, 7])
def test_mnist_enlarged_comes_back_as_it_was(factor: int) -> None:
    digits = mnist()
    back = []
    for digit in digits:
        large = cv2.resize(digit, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        back.append(normalise(np.asarray(large, np.uint8)))
    away = np.abs(np.array(back).astype(int) - digits).mean(axis=(1, 2))
    # Two different digits are 41 apart, the same moved by one pixel about 25.
    assert away.mean() < 10
    assert np.quantile(away, 0.95) < 18
    assert away.max() < 30
    same, ink = np.array(back) > 100, digits > 100
    assert (same & ink).sum() / (same | ink).sum() > 0.78


def test_mnist_is_known_again_among_all_its_digits() -> None:
    digits = mnist().astype(np.int32)
    flat = digits.reshape(len(digits), -1)
    known = 0
    for i, digit in enumerate(mnist()):
        large = cv2.resize(digit, (112, 112), interpolation=cv2.INTER_CUBIC)
        crop = normalise(np.asarray(large, np.uint8)).reshape(-1).astype(np.int32)
        known += int(np.abs(flat - crop).sum(axis=1).argmin() == i)
    assert known >= 0.92 * len(digits)


@pytest.mark.parametrize("level", [60, 120, 255])
def test_pale_ink_becomes_as_light_as_any(level: int) -> None:
    ink = drawn("3", 60, 7)
    pale = np.rint(ink * (level / 255)).astype(np.uint8)
    assert normalise(pale).max() == 255
    assert np.abs(normalise(pale).astype(int) - normalise(ink)).mean() < 6


@pytest.mark.parametrize("height", [60, 120, 300])
def test_a_hairline_is_thickened_and_a_marker_is_not(height: int) -> None:
    thin, broad = normalise(drawn("7", height, 1)), normalise(drawn("7", height, height // 6))
    assert stroke_width(np.where(thin > 127, 255, 0).astype(np.uint8)) > 1.2
    assert np.percentile(thin[thin > 0], 75) > 150
    box = bounds(drawn("7", height, height // 6))
    share = (drawn("7", height, height // 6) > 0).sum() / max(box.w, box.h) ** 2
    assert (broad > 127).sum() / 400 == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("weight", "width"), [(1, 1.0), (5, 5.0), (20, 20.0)])
def test_the_width_of_a_stroke(weight: int, width: float) -> None:
    bar = np.zeros((60, 300), np.uint8)
    bar[20 : 20 + weight, 10:290] = 255
    assert stroke_width(bar) == pytest.approx(width, rel=0.2, abs=1.01)
    assert stroke_width(np.zeros((5, 5), np.uint8)) == 0
