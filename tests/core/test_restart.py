"""Start and stop in one process, again and again: nothing is left behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes import FakeDisplay, wait_until

from live_digits.app.live import App, RunOptions
from live_digits.capture.open_source import open_source
from live_digits.config.settings import ModelSettings, RecordingSettings, Settings, SourceSettings
from live_digits.core.types import Image, Reading
from live_digits.display.keymap import Command
from live_digits.hands.landmarks import Hand
from live_digits.hands.worker import HandsWorker
from live_digits.reading import classifier

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc")
WARM = 5
"""Runs after which caches and pools have their size."""
GROWTH = 40.0
"""MB that may be added by many runs: the allocator's own slack."""


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    threads: int
    files: int
    mb: float


def held() -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return Held(threading.active_count(), files, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


class Eyes:
    """A landmarker that sees nothing."""

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        return ()

    def close(self) -> None: ...


def one_run(folder: Path, number: int) -> None:
    """The demo, the study's network, hands, a recording and a search for parameters: a second or
    less of all, ended in one of the ways there are."""
    source = SourceSettings(width=160, height=120, fps=60)
    settings = Settings(
        source=source,
        model=ModelSettings(name="dense"),
        recording=RecordingSettings(folder=str(folder), min_free_mb=0),
    )
    seen: list[int] = []
    enough = 2 + number % 4
    ways: tuple[Callable[[], None], ...] = (lambda: live.stop(), lambda: None)
    keys = {enough: [Command.QUIT]} if number % 2 else {}
    keys.setdefault(1, []).append(Command.AUTO)

    def each(reading: Reading) -> None:
        seen.append(reading.frame)
        if len(seen) >= enough:
            ways[number % 2]()

    live = App(
        settings, open_source("demo", source), lambda: classifier.load("dense"),
        FakeDisplay(keys, keep=1), RunOptions(record=number % 3 == 0, duration=30, each=each),
        HandsWorker(Eyes),
    )  # fmt: skip
    outcome = live.run()
    assert outcome.errors == ()
    assert outcome.stats["frames_shown"] >= 1


def start_and_stop(folder: Path, times: int) -> tuple[Held, Held]:
    for number in range(WARM):
        one_run(folder, number)
    wait_until(lambda: "automatic parameters" not in {t.name for t in threading.enumerate()})
    before = held()
    for number in range(times):
        one_run(folder, number)
    wait_until(lambda: threading.active_count() <= before.threads, "the threads to end")
    return before, held()


@pytest.mark.parametrize(
    "times", [20, pytest.param(200, marks=pytest.mark.soak)], ids=["20", "200"]
)
def test_starting_and_stopping_leaves_nothing_behind(tmp_path: Path, times: int) -> None:
    before, after = start_and_stop(tmp_path, times)
    assert after.threads == before.threads
    assert after.files == before.files
    assert after.mb - before.mb < GROWTH, f"{before} → {after} after {times} runs"
    print(f"{times} runs: {before} → {after}")
