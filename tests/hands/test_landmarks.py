"""Hands as values: scaled, and what they cover and hide."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hands_kit import (
    open_palm,
    steady,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from live_digits.core.geometry import Box
from live_digits.core.types import Floats
from live_digits.hands import landmarks
from live_digits.hands.landmarks import Hand, covered, hidden

coordinates = st.floats(-300, 900, width=32)


@st.composite
def any_hands(draw: st.DrawFn) -> Hand:
    """Landmarks anywhere: what a model says of a hand need not look like one."""
    points = draw(st.lists(st.tuples(coordinates, coordinates), min_size=21, max_size=21))
    return Hand(np.array(points, np.float32), "Left", 0.5)


boxes = st.builds(
    Box, st.integers(-50, 700), st.integers(-50, 500), st.integers(1, 200), st.integers(1, 200)
)


def test_a_hand_scales_to_the_full_frame() -> None:
    hand = open_palm().scaled(2, 3)
    np.testing.assert_allclose(hand.landmarks, open_palm().landmarks * [2, 3])
    assert hand.landmarks.dtype == np.float32
    assert (hand.handedness, hand.score) == ("Right", 0.9)


def test_a_palm_seen_from_its_side_keeps_a_width() -> None:
    flat = open_palm().landmarks.copy()
    flat[:, 0] = 100
    assert Hand(flat, "Right", 1).palm_width > 0.1 * np.ptp(flat[:, 1])


@steady
@given(any_hands(), st.integers(16, 640), st.integers(16, 480))
def test_a_covered_region_is_convex_and_inside_the_frame(
    hand: Hand, width: int, height: int
) -> None:
    for polygon in covered([hand], width, height):
        assert polygon.dtype == np.float32
        assert polygon.shape[1] == 2
        assert (polygon >= -1e-3).all()
        assert (polygon <= np.array([width, height]) + 1e-3).all()
        area = cv2.contourArea(polygon)
        assert cv2.contourArea(cv2.convexHull(polygon)) == pytest.approx(area, rel=1e-3, abs=1)


@steady
@given(any_hands(), st.floats(0, 2 * np.pi), st.integers(0, 20))
def test_the_hull_is_grown_by_the_palms_width(hand: Hand, angle: float, landmark: int) -> None:
    assume(hand.palm_width > 1)
    polygon = covered([hand.scaled(0.1, 0.1)], 10_000, 10_000)
    hand = hand.scaled(0.1, 0.1)
    direction = np.array([np.cos(angle), np.sin(angle)])
    point = hand.landmarks[landmark] + 0.99 * hand.palm_width * direction
    assume((point >= 0).all())
    assert cv2.pointPolygonTest(polygon[0], (float(point[0]), float(point[1])), True) > -0.05


@steady
@given(st.integers(0, 500), st.integers(0, 300))
def test_a_covered_region_moves_with_its_hand(x: int, y: int) -> None:
    at_home = covered([open_palm(1000, 1000)], 5000, 5000)[0]
    moved_on = covered([open_palm(1000 + x, 1000 + y)], 5000, 5000)[0]
    assert cv2.contourArea(moved_on) == pytest.approx(cv2.contourArea(at_home), rel=1e-3)
    np.testing.assert_allclose(moved_on.min(0), at_home.min(0) + np.array([x, y]), atol=0.01)
    np.testing.assert_allclose(moved_on.max(0), at_home.max(0) + np.array([x, y]), atol=0.01)


def test_hands_beside_the_frame_hide_nothing() -> None:
    assert covered([open_palm(-900, 100), open_palm(100, -900)], 640, 480) == ()
    assert covered([], 640, 480) == ()
    assert len(covered([open_palm(), open_palm(400, 300)], 640, 480)) == 2


def rectangle(x: float, y: float, right: float, bottom: float) -> Floats:
    return np.array([(x, y), (right, y), (right, bottom), (x, bottom)], np.float32)


@steady
@given(any_hands(), boxes)
def test_a_box_is_hidden_as_its_pixels_are(hand: Hand, box: Box) -> None:
    polygons = covered([hand], 640, 480)
    mask = np.zeros((box.h * 8, box.w * 8), np.uint8)
    for polygon in polygons:
        corners = np.round((polygon - (box.x, box.y)) * 8 - 0.5).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 1)
    share = float(mask.mean())
    assume(abs(share - landmarks.HIDDEN_SHARE) > 0.08)
    assert hidden(box, polygons) == (share > landmarks.HIDDEN_SHARE)


@steady
@given(boxes, st.floats(0, 1), st.booleans())
def test_half_a_box_is_the_limit(box: Box, share: float, down: bool) -> None:
    assume(abs(share - landmarks.HIDDEN_SHARE) > 0.05)
    w, h = (box.w, box.h * share) if down else (box.w * share, box.h)
    part = rectangle(box.x - 9, box.y - 9, box.x + w, box.y + h)
    if down:
        part[:, 0] = np.where(part[:, 0] > box.x, box.right + 9, part[:, 0])
    else:
        part[:, 1] = np.where(part[:, 1] > box.y, box.bottom + 9, part[:, 1])
    assert hidden(box, [part]) == (share > landmarks.HIDDEN_SHARE)


@steady
@given(any_hands(), any_hands(), boxes)
def test_more_hands_never_show_a_hidden_box(one: Hand, other: Hand, box: Box) -> None:
    if hidden(box, covered([one], 640, 480)):
        assert hidden(box, covered([one, other], 640, 480))


def test_two_hands_together_hide_what_neither_does() -> None:
    box = Box(100, 100, 40, 40)
    left, right = rectangle(90, 90, 114, 150), rectangle(126, 90, 150, 150)
    assert not hidden(box, [left])
    assert not hidden(box, [right])
    assert hidden(box, [left, right])


def test_a_box_under_a_palm_is_hidden_and_one_far_away_is_not() -> None:
    polygons = covered([open_palm(300, 300)], 640, 480)
    assert hidden(Box(290, 240, 20, 30), polygons)
    assert not hidden(Box(20, 20, 20, 30), polygons)
    assert not hidden(Box(290, 240, 0, 0), polygons)
    assert not hidden(Box(290, 240, 20, 30), ())
