"""Hands: a fake landmark source for every rule; the real model where it and the clips are."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib.util
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import platformdirs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from live_digits import classifier, hands
from live_digits.config import HandsSettings, Settings
from live_digits.errors import HandsError, MissingExtraError
from live_digits.hands import Hand, HandsWorker, MediaPipeLandmarker, covered, hidden, moved
from live_digits.handwork import Handwork
from live_digits.reader import Follower, read_moving
from live_digits.types import Box, Floats, Frame, Image

PATIENCE = 20.0
"""Seconds after which something that should happen on the worker's thread has not."""
SHARED = Path(__file__).parents[2] / "shared"
CLIPS_VARIABLE = "LIVE_DIGITS_HANDS"
CLIPS = Path(os.environ.get(CLIPS_VARIABLE, SHARED / "hands"))
steady = settings(deadline=None)
few = settings(deadline=None, max_examples=20)
SEEN = 0.95
"""Least share of the frames with a hand in which one is seen."""


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def open_palm(x: float = 100, y: float = 100, size: float = 100) -> Hand:
    """A right hand, fingers up, as high as `size`; the wrist is at x, y."""
    points = [(0.0, 0.0)]
    for finger in range(5):
        across = 0.2 * (finger - 2)
        points += [(across * k, -0.25 * k) for k in (1.0, 2.0, 3.0, 4.0)]
    landmarks = np.array(points, np.float32) * size + np.array([x, y], np.float32)
    return Hand(landmarks, "Right", 0.9)


class Fake:
    """A landmarker that says what it is told, and remembers what it was shown."""

    def __init__(self, found: tuple[Hand, ...] = (), error: Exception | None = None) -> None:
        self.found, self.error = found, error
        self.images: list[Image] = []
        self.times: list[int] = []
        self.closed = 0
        self.thread = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        self.thread = threading.get_ident()
        self.images.append(image)
        self.times.append(time_ms)
        assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        return self.found

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def running() -> Iterator[Callable[[Fake], HandsWorker]]:
    """Starts workers and ends them."""
    workers: list[HandsWorker] = []

    def start(fake: Fake) -> HandsWorker:
        worker = HandsWorker(lambda: fake)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        assert worker.close()


Start = Callable[[Fake], HandsWorker]


def wait_until_at(worker: HandsWorker, when: float) -> None:
    """Until the frame of that time has been looked at, or taken as empty."""
    wait_for(lambda: worker.latest.time == when or worker.failed)
    assert not worker.failed, worker.error


def wait_for_failures(worker: HandsWorker, count: int) -> None:
    wait_for(lambda: worker.failures == count)


def page(width: int = 640, height: int = 360, shade: int = 200) -> Image:
    return np.full((height, width, 3), shade, np.uint8)


def page_with_thing(x: int, width: int = 640, height: int = 360) -> Image:
    """A page on which something the size of a finger lies at x."""
    image = page(width, height)
    cv2.rectangle(image, (x, height // 3), (x + width // 16, height), (90, 110, 160), -1)
    return image


# The model ----------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no model named by the environment."""
    monkeypatch.delenv(hands.MODEL_VARIABLE, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *a, **k: folder)
    return folder


CONTENT = bytes(range(256)) * 1000


class Server(http.server.ThreadingHTTPServer):
    status = 200
    length = len(CONTENT)
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves CONTENT as the published model."""
    with Server(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(hands, "MODEL_URL", f"http://127.0.0.1:{serving.server_port}/m.task")
        monkeypatch.setattr(hands, "MODEL_SHA256", hashlib.sha256(CONTENT).hexdigest())
        yield serving
        serving.shutdown()
        thread.join()


def ignore(done: int, total: int) -> None: ...


def test_the_models_address_and_checksum_are_googles() -> None:
    assert hands.MODEL_URL.startswith("https://storage.googleapis.com/mediapipe-models/")
    assert len(bytes.fromhex(hands.MODEL_SHA256)) == 32


def test_find_model_takes_the_setting_then_the_environment_then_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hands.find_model(HandsSettings()) is None
    cache.mkdir()
    (cache / hands.MODEL_NAME).write_bytes(b"cached")
    assert hands.find_model(HandsSettings()) == cache / hands.MODEL_NAME
    named = tmp_path / "named.task"
    named.write_bytes(b"named")
    monkeypatch.setenv(hands.MODEL_VARIABLE, str(named))
    assert hands.find_model(HandsSettings()) == named
    mine = tmp_path / "mine.task"
    mine.write_bytes(b"mine")
    assert hands.find_model(HandsSettings(model=str(mine))) == mine


def test_a_named_model_that_is_missing_is_an_error_that_says_where_it_was_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HandsError, match=r"nowhere\.task.*hands\.model"):
        hands.find_model(HandsSettings(model="nowhere.task"))
    monkeypatch.setenv(hands.MODEL_VARIABLE, str(tmp_path))
    with pytest.raises(HandsError, match=hands.MODEL_VARIABLE):
        hands.find_model(HandsSettings())


def test_fetch_keeps_the_whole_file_and_reports_its_way(server: Server, cache: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = hands.fetch_model(lambda done, total: steps.append((done, total)))
    assert path == cache / hands.MODEL_NAME
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)
    assert hands.find_model(HandsSettings()) == path


def assert_nothing_kept(cache: Path) -> None:
    assert not cache.is_dir() or list(cache.iterdir()) == []


def test_fetch_refuses_another_file_and_keeps_the_old_one(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    old = cache / hands.MODEL_NAME
    old.write_bytes(b"old")
    monkeypatch.setattr(hands, "MODEL_SHA256", "0" * 64)
    with pytest.raises(HandsError, match="not the published hand model") as caught:
        hands.fetch_model(ignore)
    assert "\n" not in str(caught.value)
    assert old.read_bytes() == b"old"
    assert list(cache.iterdir()) == [old]


def test_fetch_names_what_the_server_said(server: Server, cache: Path) -> None:
    server.status = 404
    with pytest.raises(HandsError, match=r"cannot be fetched.*404"):
        hands.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_that_breaks_off_leaves_nothing(server: Server, cache: Path) -> None:
    server.length = len(CONTENT) + 5
    with pytest.raises(HandsError, match="broke off"):
        hands.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_ends_where_a_server_never_does(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "_LARGEST", 1000)
    with pytest.raises(HandsError, match="more than 1000 bytes"):
        hands.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_that_is_interrupted_leaves_nothing(server: Server, cache: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hands.fetch_model(interrupt)
    assert_nothing_kept(cache)


def test_fetch_without_a_network_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(hands, "MODEL_URL", f"http://127.0.0.1:{port}/m.task")
    with pytest.raises(HandsError, match=r"cannot be fetched.*go online.*hands\.model") as caught:
        hands.fetch_model(ignore)
    assert "\n" not in str(caught.value)
    assert "urlopen" not in str(caught.value)
    assert_nothing_kept(cache)


def test_fetch_into_a_folder_that_takes_no_file_is_one_line(server: Server, cache: Path) -> None:
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(HandsError, match="cannot be kept in"):
        hands.fetch_model(ignore)


def test_fetch_that_cannot_take_the_models_place_leaves_nothing(
    server: Server, cache: Path
) -> None:
    (cache / hands.MODEL_NAME).mkdir(parents=True)
    with pytest.raises(HandsError, match="cannot be kept in"):
        hands.fetch_model(ignore)
    assert [p.name for p in cache.iterdir()] == [hands.MODEL_NAME]


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
    small = hands.reduced(np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3)))
    assert max(small.shape[:2]) == min(max(width, height), hands.LOOK_SIZE)
    assert min(small.shape[:2]) >= 1


def noisy(image: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def thumb(image: Image) -> Floats:
    return hands.thumbnail(hands.reduced(image))


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
    assert worker.current(10.0 + hands.STALE)
    assert worker.current(10.01 + hands.STALE) == ()
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
    spread = hands.HandsStats(100, 0, times).ms
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


# Opening ------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether MediaPipe is installed, whatever the machine has."""

    def say(there: bool) -> None:
        spec = object() if there else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    return say


Say = Callable[[bool], None]


def test_hands_off_are_off(installed: Say, cache: Path) -> None:
    installed(True)
    assert hands.open_hands(HandsSettings(mode="off", model="nowhere.task")) == (None, "")


def test_auto_without_the_extra_says_nothing(installed: Say, cache: Path) -> None:
    installed(False)
    assert hands.open_hands(HandsSettings()) == (None, "")


def test_auto_without_a_model_says_in_one_line_how_to_get_it(installed: Say, cache: Path) -> None:
    installed(True)
    worker, line = hands.open_hands(HandsSettings())
    assert worker is None
    assert "hands.mode=on" in line
    assert "\n" not in line
    worker, line = hands.open_hands(HandsSettings(model="nowhere.task"))
    assert worker is None
    assert "nowhere.task" in line


def test_auto_with_both_gives_a_worker(installed: Say, cache: Path) -> None:
    installed(True)
    cache.mkdir()
    (cache / hands.MODEL_NAME).write_bytes(b"a model")
    for mode in ("auto", "on"):
        worker, line = hands.open_hands(HandsSettings(mode=mode))
        assert isinstance(worker, HandsWorker)
        assert line == ""
        assert worker.close()


def test_on_raises_what_is_missing(installed: Say, cache: Path) -> None:
    installed(False)
    with pytest.raises(MissingExtraError, match=r"live-digits\[hands\]"):
        hands.open_hands(HandsSettings(mode="on"))
    installed(True)
    with pytest.raises(HandsError, match=hands.MODEL_VARIABLE):
        hands.open_hands(HandsSettings(mode="on"))
    with pytest.raises(HandsError, match=r"nowhere\.task"):
        hands.open_hands(HandsSettings(mode="on", model="nowhere.task"))


def test_without_mediapipe_the_landmarker_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r"live-digits\[hands\]"):
        MediaPipeLandmarker(Path("any.task"))


# The world around -----------------------------------------------------------------------------


def test_quiet_drops_log_lines_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    with hands._quiet():
        os.write(2, b"INFO: [environment.cc:36] Creating\nmatters\n")
        os.write(2, b"W0000 00:00:1795552079.017121    5167 port.cc:153] noise\nWhat now\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "matters\nWhat now\nINFO: after\n"


def test_quiet_gives_stderr_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), hands._quiet():
        os.write(2, b"told\n")
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "told\nafter\n"


@pytest.mark.skipif("tensorflow" in sys.modules, reason="TensorFlow is imported already")
def test_only_one_thread_goes_without_what_is_needless(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test may have imported TensorFlow into this process: a module nobody needs stands
    # for it.
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    monkeypatch.setattr(hands, "_NEEDLESS", frozenset({"tabnanny"}))
    asked: list[Any] = []

    def ask() -> None:
        try:
            asked.append(importlib.util.find_spec("tabnanny"))
        except ModuleNotFoundError:
            asked.append("hidden")

    with hands._without_needless():
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert asked[0] == "hidden"
    assert "hidden" not in asked[1:]


def hand_model() -> Path:
    """The real model; skips the test where it or MediaPipe is not at hand."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("the extra 'hands' is not installed")
    named = os.environ.get(hands.MODEL_VARIABLE)
    path = Path(named) if named else SHARED / "models" / hands.MODEL_NAME
    if not path.is_file():
        pytest.skip(f"no hand model: set {hands.MODEL_VARIABLE}")
    return path


def test_the_room_imports_no_mediapipe_and_the_landmarker_no_tensorflow() -> None:
    """In a process of its own; and nothing of MediaPipe's chatter reaches stderr."""
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from live_digits import hands
        from live_digits.config import HandsSettings
        worker, line = hands.open_hands(HandsSettings(model=sys.argv[1]))
        assert worker is not None and not line, line
        assert "mediapipe" not in sys.modules
        landmarker = hands.MediaPipeLandmarker(Path(sys.argv[1]))
        assert landmarker(np.full((270, 480, 3), 200, np.uint8), 5) == ()
        landmarker.close()
        landmarker.close()
        assert "mediapipe" in sys.modules
        assert not {"tensorflow", "sounddevice"} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(hand_model())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# The real model -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[MediaPipeLandmarker]:
    landmarker = MediaPipeLandmarker(hand_model())
    yield landmarker
    landmarker.close()


def clip(name: str, step: int) -> list[Image]:
    """Every step-th frame of a real clip or picture; skips where there is none."""
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"no {name}: the real hands are no part of the project; set {CLIPS_VARIABLE}")
    video = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    while video.grab():
        frames.append(np.asarray(video.retrieve()[1], np.uint8))
    return frames[::step]


def test_no_hand_is_seen_in_empty_frames(real: MediaPipeLandmarker) -> None:
    for i, shade in enumerate((0, 90, 200, 255)):
        assert real(page(480, 270, shade), 100 * i) == ()
        assert real(noisy(page(480, 270, shade), 20, i), 100 * i + 50) == ()


def test_times_that_do_not_grow_do_no_harm(real: MediaPipeLandmarker) -> None:
    for time_ms in (10_000, 10_000, 0, 5):
        assert real(page(480, 270), time_ms) == ()


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    hand_model()
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"this is no model")
    with pytest.raises(HandsError, match=r"wrong\.task is no hand model") as caught:
        MediaPipeLandmarker(wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(HandsError, match=r"gone\.task cannot be read"):
        MediaPipeLandmarker(tmp_path / "gone.task")


def test_a_hand_is_seen_in_the_clip(real: MediaPipeLandmarker) -> None:
    """Every frame of this one shows a hand."""
    frames = clip("hand_test_video.mp4", 4)
    found = [real(hands.reduced(f), 20_000 + 133 * i) for i, f in enumerate(frames)]
    assert len(frames) > 40
    assert sum(map(bool, found)) >= SEEN * len(frames)


@pytest.mark.parametrize(
    ("name", "side"), [("hand_test_image.jpg", "Right"), ("hand_thumb_up.jpg", "Left")]
)
def test_a_hand_is_seen_in_the_pictures(name: str, side: str) -> None:
    """By a whole worker, in the picture's own pixels, and it hides its own palm."""
    model = hand_model()
    image = clip(name, 1)[0]
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    try:
        worker.start()
        worker.offer(image, 1.0)
        wait_for(lambda: worker.latest.hands or worker.failed)
        assert not worker.failed, worker.error
        (hand,) = worker.current(1.0)
    finally:
        assert worker.close()
    height, width = image.shape[:2]
    assert hand.landmarks.shape == (hands.LANDMARKS, 2)
    assert hand.landmarks.dtype == np.float32
    assert (hand.landmarks > 0).all()
    assert (hand.landmarks < [width, height]).all()
    assert np.ptp(hand.landmarks, 0).max() > 0.25 * height
    assert hand.handedness == side
    assert 0.5 <= hand.score <= 1
    x, y = hand.landmarks[hands.MIDDLE_KNUCKLE]
    assert hidden(Box(int(x) - 10, int(y) - 10, 20, 20), covered([hand], width, height))


def test_a_worker_sees_the_hand_come_into_the_clip() -> None:
    """First a face without a hand (24 frames), then a thumb up to the end."""
    model = hand_model()
    frames = clip("gesture_test_video.mp4", 4)
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    seen = []
    try:
        worker.start()
        for i, frame in enumerate(frames):
            worker.offer(frame, i / 7.5)
            wait_until_at(worker, i / 7.5)
            seen.append(bool(worker.current(i / 7.5)))
    finally:
        assert worker.close()
    assert not any(seen[:5])
    assert sum(seen[6:]) >= SEEN * len(seen[6:])


@pytest.mark.parametrize(
    ("name", "step", "first"),
    [
        ("hand_test_video.mp4", 1, 0),
        ("gesture_test_video.mp4", 2, 24),
        ("hand_test_image.jpg", 1, 0),
        ("hand_thumb_up.jpg", 1, 0),
    ],
)
def test_no_digit_is_read_where_hands_are_shown(name: str, step: int, first: int) -> None:
    """By a video's whole path, each frame with its own look; a hand is seen from `first` on."""
    model = hand_model()
    frames = clip(name, step)
    frames = frames if len(frames) > 1 else frames * 12
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    handwork, follower = Handwork(Settings(), worker), Follower(Settings())
    net, never, seen = classifier.load("cnn"), threading.Event(), []
    try:
        handwork.start()
        for i, image in enumerate(frames):
            frame = Frame(image, i, i * step / 25)
            handwork.look(frame, never)
            seen.append(bool(worker.current(frame.time)))
            cover = handwork.cover(frame)
            rules = (cover.hides, cover.touches) if cover else (None, None)
            assert read_moving(frame, follower, Settings(), net, *rules).digits == (), i
    finally:
        assert worker.close(PATIENCE)
    later = seen[first // step :]
    assert sum(later) >= SEEN * len(later)
