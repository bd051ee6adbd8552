"""What the program spares itself, counted, never timed: nothing is asked twice, and no frame is
copied for nothing."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_kit import LIMIT, settings_in
from fakes import FakeClassifier, FakeDisplay, FakeSource

from live_digits.app import live as app
from live_digits.app.live import App, RunOptions
from live_digits.app.outcome import RunResult
from live_digits.bench.scenes import RATE, SCENES, Scene, frame_of
from live_digits.config.settings import PipelineSettings, Settings
from live_digits.core.types import Frame, Image, Reading
from live_digits.display import overlay, renderer
from live_digits.display.keymap import Command
from live_digits.display.status import HudStatus
from live_digits.reading.questions import answer_question, as_judge
from live_digits.tracking.video_reader import VideoReader
from live_digits.vision.detection import detect_candidates
from live_digits.vision.stages import Detections
from live_digits.vision.worker import VisionWorker

pytestmark = pytest.mark.usefixtures("no_thread_stays")

PAPER = PipelineSettings()
DIGITS = 6


def seen_of(scene: Scene, count: int) -> Iterator[Frame]:
    return (frame_of(scene, n) for n in range(count))


# --- nothing is asked twice ---


def test_no_reading_is_asked_for_an_unchanged_track() -> None:
    net = FakeClassifier(3)
    video_reader = VideoReader(Settings())
    asked: list[tuple[int, ...]] = []
    for frame in seen_of(SCENES["at rest"](640, 480, DIGITS), 90):
        seen = video_reader.see(frame, PAPER)
        question = video_reader.pending_crops(seen)
        asked.append(question.tracks)
        video_reader.add_predictions(answer_question(as_judge(net), question))
        assert len(video_reader.reading(seen).digits) >= (DIGITS if len(asked) > RATE else 0)
    known = {track for tracks in asked[:RATE] for track in tracks}
    assert len(known) >= DIGITS
    assert not [track for tracks in asked[RATE:] for track in tracks if track in known]
    assert sum(map(bool, asked[RATE:])) <= 2, "noise that makes a new candidate is rare"


def test_a_page_at_rest_is_read_and_then_neither_looked_at_nor_asked_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looks: list[int] = []

    def look(image: Image, settings: PipelineSettings) -> Detections:
        looks.append(1)
        return detect_candidates(image, settings)

    monkeypatch.setattr("live_digits.vision.worker.FRESH", 1e9)
    monkeypatch.setattr(app, "VisionWorker", partial(VisionWorker, look=look))
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

    options = RunOptions(duration=LIMIT, live=True, each=readings.append)
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

        def look(image: Image, settings: PipelineSettings) -> Detections:
            self.looked.append(image)
            return detect_candidates(image, settings)

        def draw(image: Image, reading: Reading, status: HudStatus, sure: bool = True) -> Image:
            self.drawn.append(image)
            return overlay.draw(image, reading, status, sure)

        monkeypatch.setattr(app, "VisionWorker", partial(VisionWorker, look=look))
        monkeypatch.setattr(renderer, "draw", draw)


def pages(count: int, width: int, height: int, digits: int = DIGITS) -> list[Image]:
    scene = SCENES["moving"](width, height, digits)
    return [scene(n) for n in range(count)]


def run_over(
    images: list[Image], folder: Path, display: FakeDisplay | None = None, **options: Any
) -> RunResult:
    """Every image once, each waiting for its vision."""
    return App(
        settings_in(folder), FakeSource(images), lambda: FakeClassifier(), display,
        RunOptions(**{"duration": LIMIT} | options),
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


def test_the_scene_at_rest_shows_noise_and_nothing_else() -> None:
    scene = SCENES["at rest"](320, 240, DIGITS)
    one, other = scene(1).astype(int), scene(2).astype(int)
    assert (one != other).mean() > 0.5
    assert np.abs(one - other).mean() < 8
