"""What the program spares itself, counted, never timed: nothing is asked twice, no frame is copied
for nothing, nothing grows, and the picture waits for nobody."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pytest
from fakes import PATIENCE, FakeClassifier, FakeDisplay, FakeSource, wait_until

from live_digits import app, overlay, painter
from live_digits.app import App, Options, Outcome
from live_digits.bench.scenes import RATE, SCENES, Scene, frame_of
from live_digits.config import PipelineSettings, RecordingSettings, Settings, SourceSettings
from live_digits.film import Film
from live_digits.inference import Answer
from live_digits.looker import Looker
from live_digits.pipeline import Vision, find
from live_digits.reader import Follower
from live_digits.sources import open_source
from live_digits.types import Frame, Image, Reading, Status
from live_digits.window import Command

PAPER = PipelineSettings()
DIGITS = 6
FEW = 2
"""Digits where many frames are run."""
LIMIT = 120.0
"""Seconds after which a run that does not come to its end has failed."""
FRAMES, SOAK = 2_000, 10_000
WARM = 200
"""Frames until every buffer and every digit's reading is there."""
SMALL = 128, 96
EVERY = 100
"""Frames between two looks at the memory."""
SPAN = 5
"""The memory of each look is compared with that of so many looks before."""
GROWTH = 180_000
"""Bytes in use that may be more after `SPAN * EVERY` frames. One leaked frame in fifty would be
twice as much."""
BLOCKS = 3.8
"""Small objects that Python may hold more after each frame: three durations are kept for the
statistics, up to a bound. One leaked object a frame would be more."""
RSS_GROWTH = 24_000_000
"""Bytes that the process may hold more in the second half of the soak: allocators keep some. A
frame is 37 kB; one leaked frame in five would be more."""


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before]
    assert not left, f"threads left running: {left}"


def settings_in(folder: Path) -> Settings:
    return Settings(recording=RecordingSettings(folder=str(folder / "recordings"), min_free_mb=0))


def seen_of(scene: Scene, count: int) -> Iterator[Frame]:
    return (frame_of(scene, n) for n in range(count))


# --- nothing is asked twice ---


def test_no_reading_is_asked_for_an_unchanged_track() -> None:
    net = FakeClassifier(3)
    follower = Follower(Settings())
    asked = []
    for frame in seen_of(SCENES["at rest"](640, 480, DIGITS), 90):
        seen = follower.see(frame, PAPER)
        tracks, crops = follower.wanted(seen)
        asked.append(len(tracks))
        if tracks:
            answers = net.classify(crops)
            follower.learn(Answer(t, p) for t, p in zip(tracks, answers, strict=True))
        assert len(follower.reading(seen).digits) >= (DIGITS if len(asked) > RATE else 0)
    assert sum(asked[:RATE]) >= DIGITS
    assert asked[RATE:] == [0] * (len(asked) - RATE)


def test_a_page_at_rest_is_read_and_then_neither_looked_at_nor_asked_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks: list[int] = []

    def look(image: Image, settings: PipelineSettings) -> Vision:
        looks.append(1)
        return find(image, settings)

    monkeypatch.setattr("live_digits.looker.FRESH", 1e9)
    monkeypatch.setattr(app, "Looker", partial(Looker, look=look))
    net = FakeClassifier(3)
    scene = SCENES["at rest"](640, 480, DIGITS)
    source = FakeSource((scene(n) for n in itertools.count()), fps=60.0)
    readings: list[Reading] = []
    marks: list[tuple[int, int]] = []

    class Screen(FakeDisplay):
        """Quits a hundred pictures after all is read and nothing is on its way."""

        read_at = 0

        def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
            newest = readings[-1] if readings else None
            whole = newest is not None and len(newest.digits) >= DIGITS and not newest.pending
            if not self.read_at and whole and self.shown > 2 * RATE:
                self.read_at = self.shown
                marks.append((len(looks), len(net.batches)))
            return (Command.QUIT,) if self.read_at and self.shown >= self.read_at + 100 else ()

    options = Options(duration=LIMIT, live=True, each=readings.append)
    App(settings_in(tmp_path), source, lambda: net, Screen(keep=1), options).run()
    ((looks_then, batches_then),) = marks
    assert len(looks) == looks_then <= 3
    # A batch that was under way when all was read may still have come.
    assert len(net.batches) - batches_then <= 1


# --- no frame is copied for nothing ---


class Spies:
    """Which pictures vision and drawing were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked: list[Image] = []
        self.drawn: list[Image] = []

        def look(image: Image, settings: PipelineSettings) -> Vision:
            self.looked.append(image)
            return find(image, settings)

        def draw(image: Image, reading: Reading, status: Status, sure: bool = True) -> Image:
            self.drawn.append(image)
            return overlay.draw(image, reading, status, sure)

        monkeypatch.setattr(app, "Looker", partial(Looker, look=look))
        monkeypatch.setattr(painter, "draw", draw)


def pages(count: int, width: int, height: int, digits: int = DIGITS) -> list[Image]:
    scene = SCENES["moving"](width, height, digits)
    return [scene(n) for n in range(count)]


def run_over(
    images: list[Image], folder: Path, display: FakeDisplay | None = None, **options: Any
) -> Outcome:
    """Every image once, each waiting for its vision."""
    return App(
        settings_in(folder), FakeSource(images), lambda: FakeClassifier(), display,
        Options(**{"duration": LIMIT} | options),
    ).run()  # fmt: skip


def test_vision_looks_at_the_captured_frame_itself_and_each_picture_is_drawn_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spies = Spies(monkeypatch)
    images = pages(8, 320, 240)
    display = FakeDisplay()
    outcome = run_over(images, tmp_path, display)
    assert outcome.stats["frames_shown"] == display.shown == len(images)
    assert [id(i) for i in spies.looked] == [id(i) for i in images]
    assert len(spies.drawn) == len(images)


def test_a_picture_shown_at_its_own_size_is_drawn_once_for_window_and_recording(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spies = Spies(monkeypatch)
    images = pages(8, 320, 240)
    outcome = run_over(images, tmp_path, FakeDisplay(), record=True, lockstep=True)
    (summary,) = outcome.recordings
    assert summary.frames == len(images)
    assert len(spies.drawn) == len(images)


def test_a_large_frame_is_drawn_at_the_windows_size_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spies = Spies(monkeypatch)
    display = FakeDisplay(fit=lambda w, h: (w // 3, h // 3))
    run_over(pages(4, 1920, 1080), tmp_path, display)
    assert {d.shape for d in spies.drawn} == {(360, 640, 3)}
    assert len(spies.drawn) == 4


def test_between_camera_and_window_no_copy_of_a_4k_frame_is_made(tmp_path: Path) -> None:
    (page,) = pages(1, 3840, 2160)
    display = FakeDisplay(keep=1, fit=lambda w, h: (640, 360))

    class Settled(FakeSource):
        """After a few frames, notes how much memory is held."""

        held = 0

        def read(self, timeout: float) -> Frame | None:
            if self.captured == 3:
                gc.collect()
                self.held = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
            return super().read(timeout)

    source = Settled([page] * 8)
    tracemalloc.start()
    try:
        live = App(settings_in(tmp_path), source, lambda: FakeClassifier(), display)
        live.run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert display.shown >= 8
    assert 0 < peak - source.held < page.nbytes


# --- nothing grows ---


def fast(frames: int, each: Callable[[int], None]) -> FakeSource:
    """A source as fast as it is asked. Its page moves, and rests for a moment after each move;
    `each` hears of each frame's number."""
    few = pages(24, *SMALL, FEW)
    there_and_back = [*few, *few[-2:0:-1]]

    def images() -> Iterator[Image]:
        for n in range(frames):
            each(n)
            yield there_and_back[n // 3 % len(there_and_back)].copy()

    return FakeSource(images())


def run_fast(frames: int, each: Callable[[int], None], folder: Path) -> Outcome:
    # Every fifth answer is another digit: votes, labels and readings change all the time.
    answers = itertools.cycle([1, 1, 1, 1, 7])
    net = FakeClassifier(lambda crop: next(answers))
    source, display = fast(frames, each), FakeDisplay(keep=1)
    outcome = App(settings_in(folder), source, lambda: net, display, Options(live=True)).run()
    assert outcome.errors == ()
    assert outcome.stats["frames_shown"] == frames
    assert outcome.stats["batches"] > 0
    assert outcome.stats["looks_saved"] > 0
    return outcome


class _Heap(ctypes.Structure):
    """What glibc's mallinfo2 tells, in bytes and counts."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def bytes_in_use() -> Callable[[], int]:
    """Asks the C library how much it has given out: pictures of NumPy and OpenCV, and what their
    libraries hold. tracemalloc would see Python's part only, and slow every thread down."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("needs glibc 2.33")
    assert libc
    libc.mallinfo2.restype = _Heap

    def ask() -> int:
        heap = libc.mallinfo2()
        return int(heap.uordblks + heap.hblkhd)

    return ask


def test_no_allocation_grows_over_2000_frames(tmp_path: Path) -> None:
    in_use = bytes_in_use()
    held: list[int] = []
    blocks: list[int] = []

    def each(number: int) -> None:
        if number >= WARM and number % EVERY == 0:
            gc.collect()
            held.append(in_use())
            blocks.append(sys.getallocatedblocks())

    run_fast(WARM + FRAMES, each, tmp_path)
    assert len(held) == FRAMES // EVERY
    # Medians: Python makes its own tables larger now and then, by a megabyte at once.
    assert median([b - a for a, b in zip(held, held[SPAN:], strict=False)]) < GROWTH
    assert median([b - a for a, b in itertools.pairwise(blocks)]) < BLOCKS * EVERY


@pytest.mark.soak
def test_memory_is_flat_and_no_thread_is_left_after_10000_frames(tmp_path: Path) -> None:
    process = psutil.Process()
    sizes: list[int] = []
    threads: set[int] = set()

    def each(number: int) -> None:
        if number >= SOAK // 5 and number % 100 == 0:
            gc.collect()
            sizes.append(process.memory_info().rss)
            threads.add(threading.active_count())

    run_fast(SOAK, each, tmp_path)
    half = len(sizes) // 2
    assert max(sizes[half:]) - max(sizes[:half]) < RSS_GROWTH
    assert len(threads) == 1


# --- the picture waits for nobody ---


class Gate:
    """Something slow: whoever comes waits until it opens. `begun`: somebody has come."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.begun.set()
        assert self.open.wait(PATIENCE), "nobody opened the gate"


class Pages(FakeDisplay):
    """Counts pictures of different frames while everything slow is stuck, then opens the gates."""

    def __init__(self, gates: list[Gate], pictures: int) -> None:
        super().__init__(keep=1)
        self.gates, self.wanted = gates, pictures
        self.stuck_at: int | None = None

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        if self.stuck_at is None and all(g.begun.is_set() for g in self.gates):
            self.stuck_at = self.shown
        if self.stuck_at is None or self.shown < self.stuck_at + self.wanted:
            return ()
        for gate in self.gates:
            gate.open.set()
        return (Command.QUIT,)


@pytest.mark.parametrize(
    "slow", [("vision",), ("network",), ("disk",), ("network", "disk")], ids=" and ".join
)
def test_the_pictures_rate_stays_while_something_hangs(
    slow: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gates = {name: Gate() for name in slow}
    encode = Film.add

    def look(image: Image, settings: PipelineSettings) -> Vision:
        gates["vision"].wait()
        return find(image, settings)

    def stuck(self: Film, image: Image, seconds: float) -> None:
        gates["disk"].wait()
        encode(self, image, seconds)

    if "vision" in slow:
        monkeypatch.setattr(app, "Looker", partial(Looker, look=look))
    if "disk" in slow:
        monkeypatch.setattr(Film, "add", stuck)
    net = FakeClassifier()
    if "network" in slow:
        net.gate = gates["network"].open
        gates["network"].begun = net.begun
    scene = SCENES["moving"](320, 240, DIGITS)
    source = FakeSource((scene(n) for n in itertools.count()), fps=25.0)
    frames: set[int] = set()
    screen = Pages(list(gates.values()), 40)
    options = Options(
        record="disk" in slow, duration=LIMIT, live=True, each=lambda r: frames.add(r.frame)
    )
    outcome = App(settings_in(tmp_path), source, lambda: net, screen, options).run()
    assert all(g.open.is_set() for g in gates.values()), "40 pictures never came"
    # In proportion: what the camera gave was shown but for what a busy machine dropped by itself.
    assert len(frames) >= 0.5 * source.captured
    assert len(frames) + source.dropped >= source.captured - 1
    assert outcome.errors == ()


def test_a_slow_window_drops_frames_and_shows_new_ones(tmp_path: Path) -> None:
    source = open_source("demo", SourceSettings(width=64, height=48, fps=100))
    lags: list[int] = []

    class Slow(FakeDisplay):
        """Takes five frames' time for each picture."""

        def show(self, picture: Image) -> None:
            super().show(picture)
            captured = source.captured
            wait_until(lambda: source.captured >= captured + 5, "five more frames")

    def each(reading: Reading) -> None:
        lags.append(source.captured - 1 - reading.frame)

    screen = Slow({15: (Command.QUIT,)}, keep=1)
    options = Options(duration=LIMIT, live=True, each=each)
    App(settings_in(tmp_path), source, lambda: FakeClassifier(), screen, options).run()
    assert source.dropped >= 4 * (screen.shown - 2)
    # Nothing queues: four more would wait with each picture, 28 at the eighth.
    assert median(lags) <= 10


def test_the_scene_at_rest_shows_noise_and_nothing_else() -> None:
    scene = SCENES["at rest"](320, 240, DIGITS)
    one, other = scene(1).astype(int), scene(2).astype(int)
    assert (one != other).mean() > 0.5
    assert np.abs(one - other).mean() < 8
