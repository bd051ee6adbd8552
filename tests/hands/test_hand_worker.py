"""Looking at hands on a thread of its own: what is movement, what is asked, how it ends."""

from __future__ import annotations

import os
import sys
import threading
import time

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
    thumb,
    wait_for,
    wait_for_failures,
    wait_until_at,
)
from hypothesis import given
from hypothesis import strategies as st

from live_digits.core.errors import HandsError
from live_digits.hands import mediapipe_landmarker
from live_digits.hands import worker as hand_worker
from live_digits.hands.worker import HandsWorker, moved

# Movement -----------------------------------------------------------------------------------------


@few
@given(st.integers(1, 3000), st.integers(1, 2000))
def test_a_reduced_picture_keeps_its_shape(width: int, height: int) -> None:
    small = hand_worker.to_landmark_size(np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3)))
    assert max(small.shape[:2]) == min(max(width, height), mediapipe_landmarker.LOOK_SIZE)
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
