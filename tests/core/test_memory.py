"""Nothing grows, however long the program runs."""

from __future__ import annotations

import ctypes
import gc
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import psutil
import pytest
from app_kit import settings_in
from fakes import FakeClassifier, FakeDisplay, FakeSource

from live_digits.app.live import App, RunOptions
from live_digits.app.outcome import RunResult
from live_digits.bench.scenes import SCENES
from live_digits.core.types import Image

pytestmark = pytest.mark.usefixtures("no_thread_stays")

DIGITS = 2
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


def fast(frames: int, each: Callable[[int], None]) -> FakeSource:
    """A source as fast as it is asked. Its page moves, and rests for a moment after each move;
    `each` hears of each frame's number."""
    scene = SCENES["moving"](*SMALL, DIGITS)
    few = [scene(n) for n in range(24)]
    there_and_back = [*few, *few[-2:0:-1]]

    def images() -> Iterator[Image]:
        for n in range(frames):
            each(n)
            yield there_and_back[n // 3 % len(there_and_back)].copy()

    return FakeSource(images())


def run_fast(frames: int, each: Callable[[int], None], folder: Path) -> RunResult:
    # Every fifth answer is another digit: votes, labels and readings change all the time.
    answers = itertools.cycle([1, 1, 1, 1, 7])
    net = FakeClassifier(lambda crop: next(answers))
    source, display = fast(frames, each), FakeDisplay(keep=1)
    outcome = App(settings_in(folder), source, lambda: net, display, RunOptions(live=True)).run()
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
