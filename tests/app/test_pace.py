"""The picture waits for nobody: neither for vision, network or disk, nor for a slow window."""

from __future__ import annotations

import itertools
import threading
from functools import partial
from pathlib import Path
from statistics import median

import pytest
from app_kit import LIMIT, settings_in
from fakes import PATIENCE, FakeClassifier, FakeDisplay, FakeSource, wait_until

from live_digits.app import live
from live_digits.app.live import App, RunOptions
from live_digits.bench.scenes import SCENES
from live_digits.capture.open_source import open_source
from live_digits.config.settings import PipelineSettings, SourceSettings
from live_digits.core.types import Image, Reading
from live_digits.display.keymap import Command
from live_digits.recording.video_writer import Mp4Writer
from live_digits.vision.detection import detect_candidates
from live_digits.vision.stages import Detections
from live_digits.vision.worker import VisionWorker

pytestmark = pytest.mark.usefixtures("no_thread_stays")

DIGITS = 6


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
        self.gates, self.pending_crops = gates, pictures
        self.stuck_at: int | None = None

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        if self.stuck_at is None and all(g.begun.is_set() for g in self.gates):
            self.stuck_at = self.shown
        if self.stuck_at is None or self.shown < self.stuck_at + self.pending_crops:
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
    encode = Mp4Writer.add

    def look(image: Image, settings: PipelineSettings) -> Detections:
        gates["vision"].wait()
        return detect_candidates(image, settings)

    def stuck(self: Mp4Writer, image: Image, seconds: float) -> None:
        gates["disk"].wait()
        encode(self, image, seconds)

    if "vision" in slow:
        monkeypatch.setattr(live, "VisionWorker", partial(VisionWorker, look=look))
    if "disk" in slow:
        monkeypatch.setattr(Mp4Writer, "add", stuck)
    net = FakeClassifier()
    if "network" in slow:
        net.gate = gates["network"].open
        gates["network"].begun = net.begun
    scene = SCENES["moving"](320, 240, DIGITS)
    source = FakeSource((scene(n) for n in itertools.count()), fps=25.0)
    frames: set[int] = set()
    screen = Pages(list(gates.values()), 40)
    options = RunOptions(
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
    options = RunOptions(duration=LIMIT, live=True, each=each)
    App(settings_in(tmp_path), source, lambda: FakeClassifier(), screen, options).run()
    assert source.dropped >= 4 * (screen.shown - 2)
    # Nothing queues: four more would wait with each picture, 28 at the eighth.
    assert median(lags) <= 10
