"""The built-in scene: the same for the same seed, and its truth holds against its pictures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from live_digits.capture.demo_scene import DemoScene
from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Image
from live_digits.reading.text_lines import reading_order

TIMES = (0.0, 1.7, 3.3, 8.1)


def inked(frame: Image) -> npt.NDArray[np.bool_]:
    """What is clearly darker than the paper around it, by a closing wider than any stroke."""
    grey = frame.astype(np.float32).mean(axis=2)
    side = round(frame.shape[0] / 8) | 1
    around = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    return np.asarray(grey < 0.75 * np.asarray(around), np.bool_)


def tight(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def grown(box: Box, by: int) -> tuple[slice, slice]:
    return (
        slice(max(0, box.y - by), box.bottom + by),
        slice(max(0, box.x - by), box.right + by),
    )


def test_the_same_seed_gives_the_same_frames() -> None:
    one, two = DemoScene(320, 240, seed=5), DemoScene(320, 240, seed=5)
    for t in TIMES:
        np.testing.assert_array_equal(one.render(t), two.render(t))
        assert one.truth(t) == two.truth(t)
    assert one.lines() == two.lines()
    other = DemoScene(320, 240, seed=6)
    assert (one.render(0.0) != other.render(0.0)).any()
    assert one.lines() != other.lines()


def test_moments_may_be_asked_in_any_order() -> None:
    scene = DemoScene(320, 240)
    first = {t: (scene.render(t), scene.truth(t)) for t in TIMES}
    for t in reversed(TIMES):
        np.testing.assert_array_equal(scene.render(t), first[t][0])
        assert scene.truth(t) == first[t][1]


def test_a_frame_is_a_new_picture_each_time() -> None:
    scene = DemoScene(320, 240)
    frame = scene.render(1.0)
    before = frame.copy()
    frame[:] = 0
    np.testing.assert_array_equal(scene.render(1.0), before)


def test_the_sheet_moves_smoothly_and_turns() -> None:
    scene = DemoScene(1280, 720)
    path = np.array([[b.centre for b, _ in scene.truth(n / 30)] for n in range(200)])
    steps = np.abs(np.diff(path, axis=0))
    assert 0 < steps.max() < 4
    assert np.ptp(path[..., 0], axis=0).min() > 10
    assert np.ptp(path[:, 0] - path[:, -1], axis=0).max() > 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (1920, 1080)])
def test_truth_boxes_hold_the_ink_tightly(width: int, height: int, seed: int) -> None:
    scene = DemoScene(width, height, seed)
    for t in TIMES[seed::2]:
        mask = inked(scene.render(t))
        truth = scene.truth(t)
        assert len(truth) == 16
        alone = 0
        for box, _ in truth:
            assert box == box.clipped(width, height)
            wide = Box(box.x - 6, box.y - 6, box.w + 12, box.h + 12)
            if any(other != box and other.iou(wide) > 0 for other, _ in truth):
                continue
            alone += 1
            found = tight(mask[grown(box, 4)])
            x, y = max(0, box.x - 4) + found.x, max(0, box.y - 4) + found.y
            sides = (x - box.x, y - box.y, x + found.w - box.right, y + found.h - box.bottom)
            assert max(map(abs, sides)) <= max(2, height // 360)
        assert alone >= 8
        for box, _ in truth:
            mask[grown(box, 2)] = False
        left, top = min(b.x for b, _ in truth), min(b.y for b, _ in truth)
        right, bottom = max(b.right for b, _ in truth), max(b.bottom for b, _ in truth)
        assert not mask[top:bottom, left:right].any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 2, 7, 16, 60])
def test_lines_are_the_truths_digits_in_order(seed: int, digits: int) -> None:
    scene = DemoScene(1280, 720, seed, digits)
    for t in TIMES:
        truth = scene.truth(t)
        assert len(truth) == digits
        assert "".join(scene.lines()).replace(" ", "") == "".join(str(d) for _, d in truth)
        placed = [Digit(box, d, 1.0, i) for i, (box, d) in enumerate(truth)]
        ordered, lines = reading_order(placed[::-1])
        assert [d.track for d in ordered] == list(range(digits))
        assert [line.replace(" ", "") for line in lines] == [
            line.replace(" ", "") for line in scene.lines()
        ]


def test_numbers_are_parted_in_most_lines() -> None:
    right = every = 0
    for seed in range(20):
        scene = DemoScene(1280, 720, seed)
        placed = [Digit(box, d, 1.0, i) for i, (box, d) in enumerate(scene.truth(2.0))]
        right += sum(a == b for a, b in zip(reading_order(placed)[1], scene.lines(), strict=True))
        every += len(scene.lines())
    assert right >= 0.95 * every


@pytest.mark.parametrize(
    ("width", "height"), [(16, 16), (17, 33), (64, 48), (2000, 30), (30, 1500), (3840, 2160)]
)
def test_any_size(width: int, height: int) -> None:
    scene = DemoScene(width, height)
    frame = scene.render(0.5)
    assert frame.shape == (height, width, 3)
    assert frame.dtype == np.uint8
    assert len(scene.truth(0.5)) == 16
    assert frame.max() > 100


@settings(deadline=None, max_examples=60)
@given(
    st.integers(16, 300),
    st.integers(16, 300),
    st.integers(0, 2**32),
    st.integers(1, 40),
    st.floats(-1e6, 1e6),
)
@example(16, 16, 13692, 15, 0.0)
def test_any_scene_at_any_moment(width: int, height: int, seed: int, digits: int, t: float) -> None:
    scene = DemoScene(width, height, seed, digits)
    assert scene.render(t).shape == (height, width, 3)
    truth = scene.truth(t)
    assert len(truth) == digits
    assert all(box.area > 0 and 0 <= d <= 9 for box, d in truth)


@pytest.mark.parametrize("digits", [1, 640])
def test_as_many_digits_as_asked(digits: int) -> None:
    scene = DemoScene(1280, 720, digits=digits)
    assert len(scene.truth(0.0)) == sum(len(x.replace(" ", "")) for x in scene.lines()) == digits


@pytest.mark.parametrize(
    ("width", "height", "digits"),
    [(15, 100, 16), (100, 15, 16), (0, 0, 16), (-5, 100, 16), (100, 100, 0), (100, 100, 641)],
)
def test_what_is_out_of_bounds_is_refused_in_words(width: int, height: int, digits: int) -> None:
    with pytest.raises(ValueError, match=r"16×16|1 to 640"):
        DemoScene(width, height, digits=digits)
