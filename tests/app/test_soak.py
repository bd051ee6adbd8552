"""An hour at 30 frames a second with a random fault every 20 s: nothing lost, nothing grows.

    LIVE_DIGITS_SOAK_SECONDS  how long, 3600 by default
    LIVE_DIGITS_SOAK_SEED     the order of the faults, another each time by default

What it measured lies in docs/figures/soak.json, drawn in soak.png where matplotlib is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FakeDevice, FakeDisplay

from live_digits.app.display import Display
from live_digits.app.live import App, RunOptions
from live_digits.capture.base import Source
from live_digits.capture.connection_state import Timeouts
from live_digits.capture.demo_scene import DemoScene
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    RecordingSettings,
    Settings,
    SourceSettings,
    from_slider,
    option_of,
    slider_max,
)
from live_digits.core.errors import DisplayError
from live_digits.core.types import Classifier, Floats, Image, Reading
from live_digits.display.desktop import check_display
from live_digits.display.keymap import Command
from live_digits.display.window import TITLE, Window
from live_digits.reading import judge
from live_digits.recording import video_writer
from live_digits.recording.session import READINGS, VIDEO

SECONDS = float(os.environ.get("LIVE_DIGITS_SOAK_SECONDS", "3600"))
EVERY = min(20.0, SECONDS / 10)
"""Seconds between two faults."""
LASTS = min(5.0, EVERY / 3)
"""Seconds that a fault lasts which has a length."""
SAMPLE = min(5.0, SECONDS / 60)
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "figures"
MOST_HANGS = 2
"""The program itself replaces three threads that hang and gives up at the next."""
GROWTH = 60.0
"""MB between the medians of the second and the last fifth of the run."""
WORST_GAP = 15.0
"""Seconds without a new picture, outages aside; this machine may be busy."""
RETURNS = 2.0
"""Seconds within which the picture of a camera that is back is back."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(sys.platform != "linux", reason="counts by /proc"),
]


class DemoCamera(FakeDevice):
    """A camera that sees the demo, and can be unplugged or go silent at any moment."""

    def __init__(self, asked: SourceSettings) -> None:
        super().__init__(Timeouts())
        self.size = asked.width, asked.height
        self.images_given = partial(next, self._pictures(asked))
        self.away_until = 0.0

    def fail(self, fault: str, seconds: float) -> None:
        self.fault, self.away_until = fault, time.monotonic() + seconds

    def turn(self) -> None:
        if self.fault and time.monotonic() > self.away_until:
            self.fault = ""

    @staticmethod
    def _pictures(asked: SourceSettings) -> Iterator[Image]:
        scene, begun, number = DemoScene(asked.width, asked.height), time.monotonic(), 0
        while True:
            number = max(number + 1, int((time.monotonic() - begun) * asked.fps))
            time.sleep(max(0.0, begun + number / asked.fps - time.monotonic()))
            yield scene.render(number / asked.fps)


class FailingNet:
    """The default network, which raises or hangs when it is told to."""

    raises = 0
    hang_until = 0.0

    def __init__(self) -> None:
        self._net = judge.load("cnn")
        self.name = self._net.name

    def classify(self, crops: Image) -> Floats:
        cls = type(self)
        if cls.raises:
            cls.raises -= 1
            raise RuntimeError("a fault made on purpose")
        while time.monotonic() < cls.hang_until:
            time.sleep(0.05)
        return self._net.classify(crops)


class Faults:
    """Makes one fault after the other, from the loop's own thread."""

    def __init__(self, rng: random.Random, camera: DemoCamera, window: bool) -> None:
        self.made: list[dict[str, Any]] = []
        self.commands: list[Command] = []
        self.sliders: PipelineSettings | None = None
        self.slow_until = 0.0
        self._rng, self._camera = rng, camera
        self._begun = time.monotonic()
        self._due = EVERY
        self._sliders_until = 0.0
        self._kinds: list[Callable[[], None]] = [
            self.stall, self.unplug, self.slow_disk, self.exception, self.hang,
            self.sliders_moved, self.config_written, self.new_recording, self.search,
            *([self.resize] * window),
        ]  # fmt: skip
        self._rest: list[Callable[[], None]] = []

    def turn(self) -> None:
        now = time.monotonic()
        self._camera.turn()
        if self._sliders_until and now > self._sliders_until:
            self._sliders_until, self.sliders = 0.0, PipelineSettings()
        if now - self._begun < self._due or now - self._begun > SECONDS - EVERY:
            return
        self._due += EVERY
        if not self._rest:  # each once, in another order, before any comes again
            self._rest = self._rng.sample(self._kinds, len(self._kinds))
        fault = self._rest.pop()
        if fault == self.hang and self.count("hang") >= MOST_HANGS:
            fault = self.exception
        self.made.append({"at": round(now - self._begun, 1), "fault": fault.__name__})
        fault()

    def count(self, name: str) -> int:
        return sum(f["fault"] == name for f in self.made)

    def stall(self) -> None:
        self._camera.fail("silent", LASTS)

    def unplug(self) -> None:
        self._camera.fail("away", LASTS)

    def slow_disk(self) -> None:
        self.slow_until = time.monotonic() + LASTS

    def exception(self) -> None:
        FailingNet.raises = 1

    def hang(self) -> None:
        FailingNet.hang_until = time.monotonic() + 8.0

    def sliders_moved(self) -> None:
        values: dict[str, Any] = {}
        for name in TRACKBARS:
            option = option_of(PipelineSettings, name)
            values[name] = from_slider(option, self._rng.randint(0, slider_max(option)))
        self.sliders = PipelineSettings(**values)
        self._sliders_until = time.monotonic() + LASTS

    def config_written(self) -> None:
        self.commands += [Command.WRITE, Command.DEFAULTS]

    def new_recording(self) -> None:
        self.commands += [Command.RECORD, Command.RECORD]

    def search(self) -> None:
        self.commands.append(Command.AUTO)

    def resize(self) -> None:
        cv2.resizeWindow(TITLE, self._rng.randint(200, 1200), self._rng.randint(150, 800))


class FaultyScreen:
    """A window, or a stand-in where there is no display, whose sliders and keys the faults move."""

    def __init__(self, inner: Display) -> None:
        self._inner = inner
        self.faults: Faults | None = None
        self.pictures: list[float] = []
        self.worst = 0.0

    def fit(self, width: int, height: int) -> tuple[int, int]:
        return self._inner.fit(width, height)

    def show(self, picture: Image) -> None:
        self._inner.show(picture)

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        found = self._inner.poll(wait_ms)
        if self.faults is None:
            return found
        self.faults.turn()
        if self.faults.sliders is not None:
            self._inner.set_parameters(self.faults.sliders)
            self.faults.sliders = None
        given, self.faults.commands = tuple(self.faults.commands), []
        return found + given

    def parameters(self) -> PipelineSettings:
        return self._inner.parameters()

    def set_parameters(self, settings: PipelineSettings) -> None:
        self._inner.set_parameters(settings)

    def show_sheet(self, sheet: Image) -> None:
        self._inner.show_sheet(sheet)

    def close(self) -> None:
        self._inner.close()


class Sampler(threading.Thread):
    """What the process holds, every few seconds."""

    def __init__(self, source: Source) -> None:
        super().__init__(name="sampler", daemon=True)
        self.samples: list[dict[str, float]] = []
        self.over = threading.Event()
        self._source = source

    def run(self) -> None:
        begun, before = time.monotonic(), (time.monotonic(), 0)
        while not self.over.wait(SAMPLE):
            now, taken = time.monotonic(), self._source.captured - self._source.dropped
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples.append(
                {
                    "s": round(now - begun, 1),
                    "mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
                    "files": len(os.listdir("/proc/self/fd")),
                    "threads": threading.active_count(),
                    "fps": round((taken - before[1]) / (now - before[0]), 1),
                }
            )
            before = now, taken

    def median(self, key: str, fifth: int) -> float:
        """Of one fifth of the run, 0…4."""
        size = max(1, len(self.samples) // 5)
        return statistics.median(s[key] for s in self.samples[fifth * size : (fifth + 1) * size])


def screen() -> tuple[Display, bool]:
    with contextlib.suppress(DisplayError):
        check_display()
        return Window(PipelineSettings()), True
    return FakeDisplay(keep=1), False


def written(folder: Path) -> tuple[int, int]:
    """Whole lines of readings, and frames of film that can be decoded, of one recording."""
    lines = (folder / READINGS).read_text(encoding="utf-8").splitlines()
    for line in lines:
        json.loads(line)
    return len(lines), sum(1 for _ in video_frames(folder / VIDEO))


@pytest.fixture
def results() -> Iterator[dict[str, Any]]:
    """What is written at the end, whatever came of the run."""
    found: dict[str, Any] = {"seconds": SECONDS}
    yield found
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1)
    (RESULTS / "soak.json").write_text(text + "\n", encoding="utf-8")
    with contextlib.suppress(ImportError):
        plot(found, RESULTS / "soak.png")


def plot(found: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    keys = {"mb": "memory, MB", "files": "open files", "threads": "threads", "fps": "frames/s"}
    figure, axes = pyplot.subplots(len(keys), 1, sharex=True, figsize=(9, 9))
    for axis, (key, label) in zip(axes, keys.items(), strict=True):
        axis.plot([s["s"] for s in found["samples"]], [s[key] for s in found["samples"]])
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        for fault in found["faults"]:
            axis.axvline(fault["at"], color="0.85", zorder=0)
    axes[-1].set_xlabel("seconds; the lines are faults")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    pyplot.close(figure)


def test_an_hour_of_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: dict[str, Any]
) -> None:
    seed = int(os.environ.get("LIVE_DIGITS_SOAK_SEED", time.time_ns() % 10**6))
    asked = SourceSettings(width=640, height=480, fps=30)
    settings = Settings(
        source=asked,
        recording=RecordingSettings(folder=str(tmp_path / "r"), min_free_mb=0, crf=40),
    )
    config = tmp_path / "config.yaml"
    camera = DemoCamera(asked)
    inner, windowed = screen()
    view = FaultyScreen(inner)
    faults = Faults(random.Random(seed), camera, windowed)
    add = video_writer.Mp4Writer.add

    def slow_add(one: video_writer.Mp4Writer, image: Image, when: float) -> None:
        if time.monotonic() < faults.slow_until:
            time.sleep(0.2)
        add(one, image, when)

    monkeypatch.setattr(video_writer.Mp4Writer, "add", slow_add)
    FailingNet.raises, FailingNet.hang_until = 0, 0.0
    frames: list[int] = []
    gaps: list[float] = []
    last = [time.monotonic()]

    def each(reading: Reading) -> None:
        now = time.monotonic()
        if now - camera.away_until > RETURNS:
            gaps.append(now - last[0])
        last[0] = now
        frames.append(reading.frame)

    def net() -> Classifier:
        return FailingNet()

    options = RunOptions(record=True, duration=SECONDS, config=config, each=each, live=True)
    live = App(settings, camera, net, view, options)
    sampler = Sampler(camera)
    sampler.start()
    view.faults = faults
    outcome = live.run()
    sampler.over.set()
    sampler.join()

    recordings = [written(Path(r.path)) for r in outcome.recordings]
    kept = sum(r.frames for r in outcome.recordings)
    dropped = sum(r.dropped for r in outcome.recordings)
    stats = outcome.stats
    stats["recording"] = None  # it names a folder that is gone
    results |= {
        "seed": seed, "window": windowed, "made": dict(Counter(f["fault"] for f in faults.made)),
        "recordings": len(recordings), "recorded": kept, "recording_dropped": dropped,
        "shown": stats["frames_shown"], "captured": stats["frames_captured"],
        "dropped": stats["dropped"], "worst_gap_s": round(max(gaps), 2),
        "outages": camera.signal.outages, "reconnects": camera.signal.reconnects,
        "errors": [str(e) for e in outcome.errors], "stats": stats, "faults": faults.made,
        "samples": sampler.samples,
    }  # fmt: skip

    assert outcome.errors == ()
    assert camera.signal.outages >= faults.count("stall") + faults.count("unplug")
    assert camera.signal.reconnects >= faults.count("unplug")
    assert len(faults.made) >= min(5, SECONDS / EVERY - 2)
    assert stats["worker_errors"]["inference"] == faults.count("exception")
    assert stats["worker_hangs"]["inference"] == faults.count("hang")
    assert frames == sorted(set(frames)), "no frame is shown twice as new, none out of order"
    assert len(frames) == stats["frames_shown"]
    waiting = stats["frames_captured"] - stats["frames_shown"] - stats["dropped"]
    assert 0 <= waiting <= 2, "one in the slot and one at its door may be there at the end"
    for (lines, shots), r in zip(recordings, outcome.recordings, strict=True):
        assert lines == shots == r.frames, r.path
    lost = stats["frames_shown"] - kept - dropped
    assert 0 <= lost <= 2 * len(recordings), "every frame shown was written, or counted as dropped"
    assert max(gaps) < WORST_GAP
    assert sampler.median("mb", 4) - sampler.median("mb", 1) < GROWTH
    assert sampler.median("files", 4) <= sampler.median("files", 1) + 2
    assert sampler.median("threads", 4) <= sampler.median("threads", 1) + 1
    assert np.median([s["fps"] for s in sampler.samples]) > 0
