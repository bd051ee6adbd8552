"""Boxes keep their ids while the page moves, and lose them for good when they leave."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_digits.config.settings import TrackerSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Track
from live_digits.tracking.tracker import CLOCK_ROUNDING, Tracker

FPS = 30
SETTINGS = TrackerSettings(expiry=0.3)


def candidate(box: Box, primary: bool = True, pieces: int = 1) -> Candidate:
    return Candidate(box, frozenset(range(pieces)), primary, box.area // 4)


def grid(rows: int, columns: int, size: int = 40) -> list[Box]:
    """A page of boxes a hand's spacing apart."""
    return [
        Box(100 + round(size * 0.8) * c, 80 + round(size * 1.5) * r, round(size * 0.6), size)
        for r in range(rows)
        for c in range(columns)
    ]


def moved(boxes: list[Box], dx: float, dy: float, turn: float = 0.0) -> list[Box]:
    """The boxes shifted, and turned by `turn` degrees around the page's middle."""
    a = math.radians(turn)
    out = []
    for b in boxes:
        x, y = b.centre[0] - 400, b.centre[1] - 300
        nx, ny = x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)
        out.append(Box(round(nx + 400 + dx - b.w / 2), round(ny + 300 + dy - b.h / 2), b.w, b.h))
    return out


def follow(tracker: Tracker, boxes: list[Box], time: float) -> tuple[Track, ...]:
    return tracker.update([candidate(b) for b in boxes], time)


def ids(tracks: tuple[Track, ...]) -> list[int]:
    return [t.id for t in tracks]


def test_tracks_stand_for_the_candidates_in_their_order() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(2, 3)
    tracks = follow(tracker, boxes, 0.0)
    assert ids(tracks) == [1, 2, 3, 4, 5, 6]
    assert [t.box for t in tracks] == boxes
    assert [t.candidate for t in tracks] == list(range(6))
    assert {t.age for t in tracks} == {0}
    back = follow(tracker, boxes[::-1], 1 / FPS)
    assert ids(back) == [6, 5, 4, 3, 2, 1]
    assert [t.candidate for t in back] == list(range(6))
    assert {t.age for t in back} == {1}


@pytest.mark.parametrize(
    ("dx", "dy", "turn"),
    [(0, 0, 0), (6, 0, 0), (-4, 9, 0), (0, 0, 0.8), (3, -2, -0.6), (14, 5, 0)],
)
def test_ids_stay_while_the_page_drifts_and_turns(dx: float, dy: float, turn: float) -> None:
    """`dx`, `dy` pixels and `turn` degrees a frame: up to 450 px and 24° a second."""
    tracker = Tracker(SETTINGS)
    boxes = grid(6, 10)
    first = ids(follow(tracker, boxes, 0.0))
    for n in range(1, 40):
        now = moved(boxes, dx * n, dy * n, turn * n)
        assert ids(follow(tracker, now, n / FPS)) == first


def test_a_page_that_speeds_up_past_the_spacing_of_its_digits_keeps_its_ids() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(4, 8)
    first = ids(follow(tracker, boxes, 0.0))
    at, speed = 0.0, 0.0
    for n in range(1, 30):
        speed = min(speed + 4, 48)
        at += speed
        assert ids(follow(tracker, moved(boxes, at, 0), n / FPS)) == first
    assert speed > boxes[1].x - boxes[0].x


def test_boxes_that_tremble_keep_their_ids() -> None:
    tracker = Tracker(SETTINGS)
    rng = np.random.default_rng(1)
    boxes = grid(5, 8)
    first = ids(follow(tracker, boxes, 0.0))
    for n in range(1, 60):
        trembling = [
            Box(b.x + int(dx), b.y + int(dy), b.w + int(dw), b.h + int(dh))
            for b, (dx, dy, dw, dh) in zip(boxes, rng.integers(-3, 4, (40, 4)), strict=True)
        ]
        assert ids(follow(tracker, trembling, n / FPS)) == first


def test_uneven_frame_times_keep_ids() -> None:
    tracker = Tracker(SETTINGS)
    rng = np.random.default_rng(2)
    boxes = grid(3, 8)
    first = ids(follow(tracker, boxes, 0.0))
    time = 0.0
    for n in range(60):
        time += float(rng.choice([0.01, 0.033, 0.1, 0.2])) if n > 5 else 0.033
        assert ids(follow(tracker, moved(boxes, 90 * time, 30 * time), time)) == first


def test_a_box_of_another_size_is_another_track() -> None:
    tracker = Tracker(SETTINGS)
    (old,) = ids(follow(tracker, [Box(100, 100, 24, 40)], 0.0))
    (new,) = ids(follow(tracker, [Box(80, 80, 64, 80)], 1 / FPS))
    assert new != old
    (far,) = ids(follow(tracker, [Box(300, 100, 24, 40)], 2 / FPS))
    assert far not in (old, new)


def test_a_whole_and_its_halves_are_not_mixed_up() -> None:
    tracker = Tracker(SETTINGS)
    whole, left, right = Box(100, 100, 44, 40), Box(100, 100, 24, 40), Box(124, 100, 20, 40)
    first = [candidate(whole, True, 2), candidate(left, False), candidate(right, False)]
    before = ids(tracker.update(first, 0.0))
    for n in range(1, 20):
        step = 2 * n
        now = [
            candidate(
                Box(c.box.x + step, c.box.y, c.box.w, c.box.h), c.is_whole, len(c.component_ids)
            )
            for c in first
        ]
        order = [2, 0, 1] if n % 2 else [1, 2, 0]
        found = ids(tracker.update([now[i] for i in order], n / FPS))
        assert found == [before[i] for i in order]


def test_a_whole_and_its_larger_half_are_told_apart_when_their_boxes_cross() -> None:
    tracker = Tracker(SETTINGS)
    first = [candidate(Box(100, 100, 44, 40), True, 2), candidate(Box(100, 100, 40, 40), False)]
    before = ids(tracker.update(first, 0.0))
    then = [candidate(Box(100, 100, 41, 40), True, 2), candidate(Box(100, 100, 43, 40), False)]
    assert ids(tracker.update(then, 1 / FPS)) == before


def test_a_box_missed_for_some_frames_comes_back_as_itself() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(2, 4)
    first = ids(follow(tracker, boxes, 0.0))
    for n in range(1, 40):
        now = moved(boxes, 3 * n, 0)
        if n % 10 in (3, 4, 5):
            assert ids(follow(tracker, now[1:], n / FPS)) == first[1:]
            assert first[0] in tracker.alive()
        else:
            assert ids(follow(tracker, now, n / FPS)) == first


@pytest.mark.parametrize("expiry", [0.0, 0.1, 0.3, 2.0])
def test_expiry_forgets_and_no_sooner(expiry: float) -> None:
    tracker = Tracker(TrackerSettings(expiry=expiry))
    box = [Box(100, 100, 24, 40)]
    (first,) = ids(follow(tracker, box, 0.0))
    follow(tracker, [], expiry)
    assert tracker.alive() == {first}
    follow(tracker, [], expiry + 2 * CLOCK_ROUNDING)
    assert tracker.alive() == frozenset()
    assert tracker.missing(expiry + 0.1) == ()
    (second,) = ids(follow(tracker, box, expiry + 0.1))
    assert second != first


@pytest.mark.parametrize("apart", [0.31, 1.0, 10.0])
def test_looks_further_apart_than_expiry_keep_ids(apart: float) -> None:
    """A busy machine looks rarely; no time runs out for what no look has missed."""
    tracker = Tracker(SETTINGS)
    boxes = grid(4, 6)
    first = ids(follow(tracker, boxes, 0.0))
    for n in range(1, 6):
        assert ids(follow(tracker, moved(boxes, n % 2, 0), n * apart)) == first
        assert tracker.missing(n * apart) == ()
    assert ids(follow(tracker, boxes[1:], 6 * apart)) == first[1:]
    assert first[0] not in tracker.alive()
    assert first[0] not in ids(follow(tracker, boxes, 7 * apart))


def test_ids_are_never_used_again() -> None:
    tracker = Tracker(TrackerSettings(expiry=0.05))
    rng = np.random.default_rng(3)
    seen: set[int] = set()
    before: set[int] = set()
    for n in range(300):
        if n == 150:
            tracker.reset()
            before = set()
            assert tracker.alive() == frozenset()
        boxes = [
            Box(int(x), int(y), 24, 40) for x, y in rng.integers(0, 900, (rng.integers(0, 9), 2))
        ]
        now = ids(follow(tracker, boxes, n / FPS))
        assert len(now) == len(set(now))
        fresh = set(now) - before
        assert not fresh & seen
        seen |= set(now)
        before = set(tracker.alive())
    assert len(seen) > 500
    assert max(seen) == len(seen)


def test_missing_boxes_are_expected_where_the_page_carries_them() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(1, 5)
    for n in range(11):
        follow(tracker, moved(boxes, 6 * n, -3 * n), n / FPS)
    assert tracker.missing(10 / FPS) == ()
    seen = moved(boxes, 66, -33)
    follow(tracker, seen[:2] + seen[3:], 11 / FPS)
    for ahead in (11, 13, 16):
        (lost,) = (t for t in tracker.missing(ahead / FPS) if t.id == 3)
        expected = moved(boxes, 6 * ahead, -3 * ahead)[2]
        assert (lost.id, lost.candidate) == (3, -1)
        assert abs(lost.box.x - expected.x) <= 6
        assert abs(lost.box.y - expected.y) <= 6
        assert (lost.box.w, lost.box.h) == (expected.w, expected.h)


def test_moving_is_told_from_lying_still() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(1, 4)
    for n in range(10):
        assert not any(t.moving for t in follow(tracker, boxes, n / FPS))
    for n in range(10, 20):
        tracks = follow(tracker, moved(boxes, 8 * (n - 9), 0), n / FPS)
    assert all(t.moving for t in tracks)
    for n in range(20, 40):
        tracks = follow(tracker, moved(boxes, 80, 0), n / FPS)
    assert not any(t.moving for t in tracks)


def test_new_boxes_on_a_moving_page_move_with_it_at_once() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(1, 6)
    for n in range(10):
        follow(tracker, moved(boxes[:5], 14 * n, 0), n / FPS)
    fresh = follow(tracker, moved(boxes, 140, 0), 10 / FPS)[5]
    assert fresh.age == 0
    assert fresh.moving
    again = follow(tracker, moved(boxes, 154, 0), 11 / FPS)[5]
    assert (again.id, again.age) == (fresh.id, 1)


def test_the_same_moment_twice_keeps_ids_and_speeds() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(2, 3)
    first = ids(follow(tracker, boxes, 1.0))
    again = follow(tracker, moved(boxes, 2, 0), 1.0)
    assert ids(again) == first
    assert not any(t.moving for t in again)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.lists(
            st.builds(
                Box,
                st.integers(0, 200),
                st.integers(0, 200),
                st.integers(1, 60),
                st.integers(1, 60),
            ),
            max_size=10,
        ),
        max_size=8,
    )
)
def test_any_boxes_have_one_id_each_and_a_growing_age(film: list[list[Box]]) -> None:
    tracker = Tracker(SETTINGS)
    ages: dict[int, int] = {}
    for n, boxes in enumerate(film):
        tracks = follow(tracker, boxes, n / FPS)
        assert [t.box for t in tracks] == boxes
        assert len(set(ids(tracks))) == len(boxes)
        assert set(ids(tracks)) <= tracker.alive()
        for t in tracks:
            assert t.age == ages.get(t.id, -1) + 1
            ages[t.id] = t.age
        assert {t.id for t in tracker.missing(n / FPS)} == tracker.alive() - set(ids(tracks))


def test_many_boxes_are_followed() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(20, 40, 30)
    first = ids(follow(tracker, boxes, 0.0))
    assert len(set(first)) == 800
    for n in range(1, 6):
        assert ids(follow(tracker, moved(boxes, 4 * n, 2 * n, 0.2 * n), n / FPS)) == first


def test_speeds_do_not_run_away_from_a_single_bad_box() -> None:
    tracker = Tracker(SETTINGS)
    boxes = grid(3, 6)
    for n in range(10):
        follow(tracker, boxes, n / FPS)
    jumped = [Box(b.x + 9 * (i == 4), b.y, b.w, b.h) for i, b in enumerate(boxes)]
    before = ids(follow(tracker, jumped, 10 / FPS))
    after = [ids(follow(tracker, boxes, n / FPS)) for n in range(11, 15)]
    assert all(a == b for a, b in pairwise([before, *after]))
