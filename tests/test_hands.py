"""Hands: values, movement, the worker, the world around; a fake landmark source for every rule."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import cv2
import numpy as np
import pytest
from hands_kit import (
    PATIENCE,
    Fake,
    Start,
    few,
    noisy,
    open_palm,
    page,
    page_with_thing,
    real_model,
    steady,
    thumb,
    wait_for,
    wait_for_failures,
    wait_until_at,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from live_digits import hand_worker, hands, landmarker
from live_digits.errors import HandsError
from live_digits.hand_worker import HandsWorker, moved
from live_digits.hands import Hand, covered, hidden
from live_digits.types import Box, Floats

# Hands as values ----------------------------------------------------------------------------------


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
    assume(abs(share - hands.HIDDEN_SHARE) > 0.08)
    assert hidden(box, polygons) == (share > hands.HIDDEN_SHARE)


@steady
@given(boxes, st.floats(0, 1), st.booleans())
def test_half_a_box_is_the_limit(box: Box, share: float, down: bool) -> None:
    assume(abs(share - hands.HIDDEN_SHARE) > 0.05)
    w, h = (box.w, box.h * share) if down else (box.w * share, box.h)
    part = rectangle(box.x - 9, box.y - 9, box.x + w, box.y + h)
    if down:
        part[:, 0] = np.where(part[:, 0] > box.x, box.right + 9, part[:, 0])
    else:
        part[:, 1] = np.where(part[:, 1] > box.y, box.bottom + 9, part[:, 1])
    assert hidden(box, [part]) == (share > hands.HIDDEN_SHARE)


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


# Movement -----------------------------------------------------------------------------------------


@few
@given(st.integers(1, 3000), st.integers(1, 2000))
def test_a_reduced_picture_keeps_its_shape(width: int, height: int) -> None:
    small = hand_worker.reduced(np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3)))
    assert max(small.shape[:2]) == min(max(width, height), landmarker.LOOK_SIZE)
    assert min(small.shape[:2]) >= 1


@few
@given(st.floats(0, 20), st.integers(0, 1 << 30), st.integers(-20, 20))
def test_neither_noise_nor_light_is_movement(sigma: float, seed: int, light: int) -> None:
    before, after = noisy(page(), sigma, seed), noisy(page(shade=200 + light), sigma, seed + 1)
    assert not moved(thumb(before), thumb(after))


@few
@given(st.floats(0, 20), st.integers(0, 1 << 30), st.integers(0, 600))
def test_a_finger_that_comes_into_the_picture_is_movement(sigma: float, seed: int, x: int) -> None:
    before, after = noisy(page(), sigma, seed), noisy(page_with_thing(x), sigma, seed + 1)
    assert moved(thumb(before), thumb(after))


def test_another_size_is_movement() -> None:
    assert moved(thumb(page()), thumb(page(360, 360)))


# The worker ---------------------------------------------------------------------------------------


def test_hands_come_back_in_the_frames_own_pixels_and_time(running: Start) -> None:
    fake = Fake((open_palm(100, 100),))
    worker = running(fake)
    worker.offer(page(1920, 1080), 12.5)
    wait_for(lambda: worker.latest.hands)
    assert worker.latest.time == 12.5
    assert fake.images[0].shape == (270, 480, 3)
    assert fake.times == [12500]
    assert fake.thread not in (0, threading.get_ident())
    np.testing.assert_allclose(worker.latest.hands[0].landmarks[0], [400, 400])
    assert worker.current(12.5) == worker.latest.hands


def test_an_old_sighting_is_no_hand(running: Start) -> None:
    worker = running(Fake((open_palm(),)))
    assert worker.current(0.0) == ()
    worker.offer(page(), 10.0)
    wait_for(lambda: worker.latest.hands)
    assert worker.current(10.0 + hand_worker.STALE)
    assert worker.current(10.01 + hand_worker.STALE) == ()
    assert worker.current(2.0) == (), "the time of a video that began again"


def test_the_newest_frame_replaces_one_that_waits(running: Start) -> None:
    fake = Fake((open_palm(),))
    fake.gate.clear()
    worker = running(fake)
    worker.offer(page(), 0.0)
    wait_for(lambda: fake.times)
    start = time.perf_counter()
    for i in range(1, 100):
        worker.offer(page(), float(i))
    assert time.perf_counter() - start < 0.5, "an offer waits for nothing"
    fake.gate.set()
    wait_for(lambda: worker.latest.time == 99.0)
    assert fake.times == [0, 99000]


def test_an_offered_frame_is_neither_copied_nor_changed(running: Start) -> None:
    fake = Fake()
    worker = running(fake)
    small = page(320, 240)
    small.flags.writeable = False
    worker.offer(small, 0.0)
    wait_for(lambda: fake.images)
    assert fake.images[0] is small


def test_a_still_page_without_a_hand_is_looked_at_once(running: Start) -> None:
    fake = Fake()
    worker = running(fake)
    for i in range(10):
        worker.offer(noisy(page(), 8, i), float(i))
        wait_until_at(worker, float(i))
    assert worker.stats().frames == len(fake.times) == 1
    assert worker.current(9.0) == ()


def test_a_page_on_which_something_moves_is_looked_at(running: Start) -> None:
    fake = Fake()
    worker = running(fake)
    for i in range(5):
        worker.offer(page_with_thing(100 * i), float(i))
        wait_until_at(worker, float(i))
    assert len(fake.times) == 5


def test_slow_movement_adds_up_to_a_look(running: Start) -> None:
    fake = Fake()
    worker = running(fake)
    for i in range(100):
        worker.offer(page_with_thing(i), float(i))
        wait_until_at(worker, float(i))
    assert 5 < len(fake.times) < 100


def test_a_hand_that_rests_is_looked_at_now_and_then_until_it_is_gone(running: Start) -> None:
    fake = Fake((open_palm(),))
    worker = running(fake)
    for i in range(40):
        if i == 20:
            fake.found = ()
        worker.offer(page(), i / 20)
        wait_until_at(worker, i / 20)
        assert bool(worker.current(i / 20)) == (i < 20)
    assert fake.times == [0, 250, 500, 750, 1000]
    stats = worker.stats()
    assert (stats.frames, stats.seen) == (5, 4)


def test_a_hand_that_writes_is_looked_at_in_every_frame(running: Start) -> None:
    fake = Fake((open_palm(),))
    worker = running(fake)
    worker.eager = True
    for i in range(10):
        worker.offer(page(), i / 30)
        wait_until_at(worker, i / 30)
    assert len(fake.times) == 10


def test_stats_sum_up_in_milliseconds(running: Start) -> None:
    worker = running(Fake((open_palm(),)))
    assert worker.stats().as_json() == {"frames": 0, "seen": 0, "ms": None}
    worker.offer(page(), 0.0)
    wait_for(lambda: worker.stats().frames)
    told = worker.stats().as_json()
    assert (told["frames"], told["seen"]) == (1, 1)
    assert set(told["ms"]) == {"p50", "p95", "p99"}
    times = tuple(0.001 * k for k in range(1, 101))
    spread = hand_worker.HandsStats(100, 0, times).ms
    assert spread is not None
    assert spread["p50"] == pytest.approx(50, abs=1)
    assert spread["p95"] == pytest.approx(95, abs=1)


def test_a_failure_is_told_and_forgotten_with_the_next_look(running: Start) -> None:
    fake = Fake((open_palm(),), ValueError("no"))
    worker = running(fake)
    worker.offer(page(), 0.0)
    wait_for(lambda: worker.error)
    assert isinstance(worker.error, ValueError)
    assert not worker.failed
    wait_for(lambda: fake.closed == 1)
    fake.error = None
    worker.offer(page(), 1.0)
    wait_for(lambda: worker.latest.hands)
    wait_for(lambda: worker.error is None)
    assert worker.failures == 1


def test_three_failures_in_a_row_end_the_looking(running: Start) -> None:
    fake = Fake((open_palm(),))
    worker = running(fake)
    worker.offer(page(), 0.0)
    wait_for(lambda: worker.latest.hands)
    fake.error = RuntimeError("broken")
    for i in range(1, 4):
        assert not worker.failed
        worker.offer(page(), float(i))
        wait_for_failures(worker, i)
    wait_for(lambda: worker.failed)
    assert str(worker.error) == "broken"
    assert worker.current(0.1) == (), "a hand of before the failure hides nothing for ever"
    worker.offer(page(), 1.0)
    assert worker.close()
    assert len(fake.times) == 4
    assert fake.closed == 3


def test_a_landmarker_that_cannot_be_loaded_ends_the_looking() -> None:
    def load() -> Fake:
        raise HandsError("no such model")

    worker = HandsWorker(load)
    worker.start()
    wait_for(lambda: worker.failed)
    assert isinstance(worker.error, HandsError)
    worker.offer(page(), 0.0)
    assert worker.current(0.0) == ()
    assert worker.close()


def test_close_is_quick_and_may_be_called_in_any_state() -> None:
    fresh = HandsWorker(Fake)
    assert fresh.close()
    fresh.offer(page(), 0.0)
    fresh.start()
    assert fresh.close()

    fake = Fake((open_palm(),))
    idle = HandsWorker(lambda: fake)
    idle.start()
    idle.offer(page(), 0.0)
    wait_for(lambda: idle.latest.hands)
    start = time.perf_counter()
    assert idle.close()
    assert idle.close()
    assert time.perf_counter() - start < 1.0
    assert fake.closed == 1
    assert fake.error is None


def test_close_does_not_wait_for_ever_for_a_look_that_hangs() -> None:
    fake = Fake()
    fake.gate.clear()
    worker = HandsWorker(lambda: fake)
    worker.start()
    worker.offer(page(), 0.0)
    wait_for(lambda: fake.times)
    assert not worker.close(0.05)
    fake.gate.set()
    assert worker.close(PATIENCE)
    assert fake.closed == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux")
def test_the_worker_stands_back_and_the_process_does_not() -> None:
    found: list[int] = []

    def load() -> Fake:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return Fake()

    before = os.getpriority(os.PRIO_PROCESS, 0)
    worker = HandsWorker(load)
    worker.start()
    wait_for(lambda: found)
    assert worker.close()
    assert found[0] > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


# The world around -----------------------------------------------------------------------------


def test_quiet_drops_log_lines_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    with landmarker._quiet():
        os.write(2, b"INFO: [environment.cc:36] Creating\nmatters\n")
        os.write(2, b"W0000 00:00:1795552079.017121    5167 port.cc:153] noise\nWhat now\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "matters\nWhat now\nINFO: after\n"


def test_quiet_gives_stderr_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), landmarker._quiet():
        os.write(2, b"told\n")
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "told\nafter\n"


@pytest.mark.skipif("tensorflow" in sys.modules, reason="TensorFlow is imported already")
def test_only_one_thread_goes_without_what_is_needless(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test may have imported TensorFlow into this process: a module nobody needs stands
    # for it.
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    monkeypatch.setattr(landmarker, "_NEEDLESS", frozenset({"tabnanny"}))
    asked: list[Any] = []

    def ask() -> None:
        try:
            asked.append(importlib.util.find_spec("tabnanny"))
        except ModuleNotFoundError:
            asked.append("hidden")

    with landmarker._without_needless():
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert asked[0] == "hidden"
    assert "hidden" not in asked[1:]


def test_the_room_imports_no_mediapipe_and_the_landmarker_no_tensorflow() -> None:
    """In a process of its own; and nothing of MediaPipe's chatter reaches stderr."""
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from live_digits import hand_worker, hands, landmarker
        from live_digits.config import HandsSettings
        worker, line = hand_worker.open_hands(HandsSettings(model=sys.argv[1]))
        assert worker is not None and not line, line
        assert "mediapipe" not in sys.modules
        landmarker = landmarker.MediaPipeLandmarker(Path(sys.argv[1]))
        assert landmarker(np.full((270, 480, 3), 200, np.uint8), 5) == ()
        landmarker.close()
        landmarker.close()
        assert "mediapipe" in sys.modules
        assert not {"tensorflow", "sounddevice"} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(real_model())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
