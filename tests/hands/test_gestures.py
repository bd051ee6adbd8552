"""Poses by landmarks, and what holds a gesture back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from fakes import FIST, PALM, PINCH, POINTING, THUMB_UP, TWO, hand
from hypothesis import given, settings
from hypothesis import strategies as st

from live_digits.hands.gestures import GESTURES, GRIP, HOLD, POINT, GestureRecognizer, classify_pose
from live_digits.hands.landmarks import LANDMARKS, Hand

POSES = {
    "open_palm": PALM, "fist": FIST, "thumb_up": THUMB_UP, "two_fingers": TWO, POINT: POINTING,
    GRIP: PINCH,
}  # fmt: skip
RATE = 20
Points = Sequence[tuple[float, float]]


def of(points: Points, x: float = 300, y: float = 300) -> Hand:
    return hand(points, x, y, 100)


@pytest.mark.parametrize("name", POSES)
@settings(deadline=None)
@given(st.floats(20, 600), st.floats(-400, 2000), st.booleans(), st.integers(0, 1 << 30))
def test_a_pose_is_known_at_any_size_and_place_by_either_hand_and_trembling(
    name: str, size: float, x: float, mirrored: bool, seed: int
) -> None:
    points = np.array(POSES[name]) + np.random.default_rng(seed).normal(0, 0.01, (LANDMARKS, 2))
    if mirrored:
        points[:, 0] *= -1
    assert classify_pose(Hand((points * size + [x, 50]).astype(np.float32), "Left", 1)) == name


@pytest.mark.parametrize("name", [n for n in POSES if n != "thumb_up"])
@given(st.floats(-math.pi, math.pi))
def test_a_pose_is_known_however_the_hand_is_turned(name: str, angle: float) -> None:
    c, s = math.cos(angle), math.sin(angle)
    points = np.array(POSES[name]) @ np.array([[c, s], [-s, c]])
    assert classify_pose(Hand((points * 90).astype(np.float32), "Left", 1)) == name


def test_a_thumb_that_is_not_up_is_no_gesture() -> None:
    points = np.array(THUMB_UP)
    for turned in (points * [1, -1], points @ np.array([[0, 1], [-1, 0]])):
        assert classify_pose(Hand((turned * 90).astype(np.float32), "Left", 1)) == ""


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 2), min_size=21, max_size=21))
def test_any_landmarks_have_a_pose_or_none(points: list[tuple[float, float]]) -> None:
    assert classify_pose(Hand(np.array(points, np.float32), "Left", 1)) in (
        *GESTURES,
        POINT,
        GRIP,
        "",
    )


def test_landmarks_on_one_spot_are_no_gesture() -> None:
    assert classify_pose(Hand(np.zeros((LANDMARKS, 2), np.float32), "Left", 1)) not in GESTURES


def made(
    watch: GestureRecognizer,
    poses: Sequence[Points | None],
    start: float = 0.0,
    step: float = 1 / RATE,
) -> list[tuple[float, str]]:
    """The gestures that a row of looks makes, with their times; None: no hand."""
    out = []
    for i, points in enumerate(poses):
        time = start + i * step
        name = watch.update([] if points is None else [of(points)], time)
        if name:
            out.append((time, name))
    return out


@pytest.mark.parametrize("name", GESTURES)
def test_half_a_second_makes_a_gesture_once(name: str) -> None:
    ((time, what),) = made(GestureRecognizer(GESTURES), [POSES[name]] * 3 * RATE)
    assert what == name
    assert time == pytest.approx(HOLD, abs=1.5 / RATE)


def test_less_than_half_a_second_makes_none() -> None:
    short: list[Points | None] = [PALM] * round(0.4 * RATE)
    assert made(GestureRecognizer(GESTURES), [*short, None, *[FIST] * 5, None, *short, None]) == []


def test_only_gestures_that_are_on_count() -> None:
    assert made(GestureRecognizer(()), [*[PALM] * RATE, *[FIST] * RATE]) == []
    assert [n for _, n in made(GestureRecognizer(("fist",)), [*[PALM] * RATE, *[FIST] * RATE])] == [
        "fist"
    ]


def test_a_look_that_goes_wrong_does_not_break_a_gesture() -> None:
    row: list[Points | None] = [THUMB_UP] * RATE
    row[4], row[7] = None, FIST
    assert [n for _, n in made(GestureRecognizer(GESTURES), row)] == ["thumb_up"]


def test_a_gesture_counts_again_after_it_was_let_go() -> None:
    row = [*[PALM] * RATE, *[None] * RATE, *[PALM] * RATE]
    assert [n for _, n in made(GestureRecognizer(GESTURES), row)] == ["open_palm", "open_palm"]
    flicker = [*[PALM] * RATE, None, None, *[PALM] * RATE]
    assert len(made(GestureRecognizer(GESTURES), flicker)) == 1


def test_one_gesture_after_the_other() -> None:
    row = [*[PALM] * RATE, *[FIST] * RATE, *[TWO] * RATE]
    assert [n for _, n in made(GestureRecognizer(GESTURES), row)] == [
        "open_palm",
        "fist",
        "two_fingers",
    ]


def test_a_writing_hand_makes_none_and_none_shortly_after() -> None:
    watch = GestureRecognizer(GESTURES)
    assert made(watch, [PINCH] * RATE) == []
    found = made(watch, [FIST] * 2 * RATE, start=1.0)
    assert [n for _, n in found] == ["fist"]
    assert found[0][0] >= 1.0 + HOLD + 0.4, "the pause after writing counts for nothing"


def test_while_one_hand_writes_the_other_makes_none() -> None:
    watch = GestureRecognizer(GESTURES)
    for i in range(3 * RATE):
        assert watch.update([of(PALM, 100), of(PINCH, 500)], i / RATE) is None


def test_a_hand_that_passes_by_makes_none() -> None:
    watch = GestureRecognizer(GESTURES)
    for i in range(RATE):
        assert watch.update([of(PALM, 100 + 30 * i)], i / RATE) is None


def test_a_video_that_begins_again_makes_no_gesture_out_of_nothing() -> None:
    watch = GestureRecognizer(GESTURES)
    assert watch.update([of(PALM)], 50.0) is None
    assert made(watch, [PALM] * 3) == []


def test_the_ring_fills_while_a_pose_is_held_and_goes_with_it() -> None:
    watch, shares = GestureRecognizer(GESTURES), []
    assert watch.ring(0.0, 640, 480) is None
    for i in range(RATE):
        watch.update([of(PALM, 320, 240)], i / RATE)
        ring = watch.ring(i / RATE, 640, 480)
        shares.append(ring.share if ring else None)
        if ring:
            assert (ring.name, ring.x, ring.y) == ("open_palm", 0.5, 0.5)
    until = round(HOLD * RATE)
    assert shares[:until] == pytest.approx([i / until for i in range(until)], abs=1e-6)
    assert set(shares[until + 1 :]) == {None}
    watch.update([of(FIST)], 2.0)
    watch.update([of(FIST)], 2.1)
    assert watch.ring(2.1, 640, 480)
    assert watch.ring(2.5, 640, 480) is None, "nothing was seen for a while"
