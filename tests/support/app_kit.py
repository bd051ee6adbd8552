"""Runs of the live loop over fakes, and all that can be seen of them."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fakes import (
    PATIENCE,
    FakeClassifier,
    FakeDisplay,
    FakeSource,
)

import av

from live_digits.app.live import App, RunOptions
from live_digits.app.outcome import RunResult
from live_digits.capture.base import Source
from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import HandsSettings, PipelineSettings, RecordingSettings, Settings
from live_digits.core.types import Frame, Image, Reading
from live_digits.display import overlay, renderer
from live_digits.display.keymap import Command
from live_digits.display.status import HudStatus
from live_digits.hands.landmarks import Hand
from live_digits.hands.worker import HandsWorker
from live_digits.recording.session import READINGS, SESSION, VIDEO

WIDTH, HEIGHT = 320, 240
BAR = 40
"""Rows of the picture that the status bar covers, with room to spare."""
INSIDE = slice(BAR, None), slice(None, WIDTH - 24)
"""The part of a picture without status bar and number."""
RATE = 25.0
LIMIT = 60.0
"""Seconds after which a run that does not come to its end has failed."""
BLIND = PipelineSettings(
    canny_low=255, canny_ratio=7, blur=71, dilate_iterations=0, threshold=1, profile="classic"
)
"""Sliders with which nothing is found."""

Script = Callable[[float], tuple[Hand, ...]]
"""The hands at a frame's time."""

Story = Iterator[Command | None]
"""What a user does: resumed after each picture, it yields the key to press, None for no key. Its
end presses q."""


def page(seconds: float = 0.0) -> Image:
    return DemoScene(WIDTH, HEIGHT, seed=7, digits=6).render(seconds)


PAGE = page()
DIGITS = 6


def numbered(count: int | None = None) -> Iterator[Image]:
    """A still page whose frames differ by a number in the lower right corner, 0…255 and again."""
    for n in itertools.count() if count is None else range(count):
        yield page_of(n % 256)


def page_of(n: int) -> Image:
    image: Image = np.array(PAGE)
    image[-1, -1] = n
    return image


def number(picture: Image) -> int:
    """The number of the frame that a picture shows."""
    return int(picture[-1, -1, 0])


def moving() -> Iterator[Image]:
    scene = DemoScene(WIDTH, HEIGHT, seed=7, digits=DIGITS)
    for n in itertools.count():
        yield scene.render(n / 30)


class Screen(FakeDisplay):
    """A window before which a story is played."""

    def __init__(self) -> None:
        super().__init__()
        self._story: Story | None = None
        self._told = 0
        self.over = False

    def play(self, story: Story) -> None:
        self._story = story

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        if self._story is None or self.shown == self._told:
            return ()
        self._told = self.shown
        try:
            key = next(self._story)
        except StopIteration:
            self.over = True
            return (Command.QUIT,)
        return () if key is None else (key,)


def pictures(count: int) -> Story:
    """So many more pictures are shown."""
    for _ in range(count):
        yield None


def until(condition: Callable[[], bool], what: str) -> Story:
    """Pictures are shown until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        yield None


class Timed(FakeSource):
    """A source that remembers the time of each frame that it handed out."""

    def __init__(self, images: Iterable[Image], fps: float | None = None) -> None:
        super().__init__(images, fps=fps)
        self.times: list[float] = []

    def read(self, timeout: float) -> Frame | None:
        frame = super().read(timeout)
        if frame is not None:
            self.times.append(frame.time)
        return frame


@dataclass
class Run:
    """A run over fakes and all that can be seen of it."""

    app: App
    source: Any
    screen: Screen
    net: FakeClassifier
    folder: Path
    statuses: list[HudStatus]
    readings: list[Reading] = field(default_factory=list)

    @property
    def status(self) -> HudStatus:
        """What stands on the picture that is shown."""
        return self.statuses[-1]

    @property
    def reading(self) -> Reading:
        return self.readings[-1]

    def play(self, story: Story) -> RunResult:
        """The whole story; it must come to its end."""
        self.screen.play(story)
        outcome = self.app.run()
        assert self.screen.over, "the run ended before the story did"
        return outcome

    def read_all(self) -> bool:
        """True once every box carries a digit."""
        return len(self.reading.digits) >= DIGITS and not self.reading.pending


Maker = Callable[..., Run]


def _hands_settings(mode: str, on: tuple[str, ...]) -> HandsSettings:
    return HandsSettings(
        mode,
        open_palm="open_palm" in on,
        fist="fist" in on,
        thumb_up="thumb_up" in on,
        two_fingers="two_fingers" in on,
    )


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes an app over fakes whose recordings go to tmp_path/recordings."""
    statuses: list[HudStatus] = []

    def draw(image: Image, reading: Reading, status: HudStatus, confidence: bool = True) -> Image:
        statuses.append(status)
        return overlay.draw(image, reading, status, confidence)

    def decorate(picture: Image, status: HudStatus) -> None:
        statuses.append(status)
        overlay.draw_hud(picture, status)

    monkeypatch.setattr(renderer, "draw", draw)
    monkeypatch.setattr(renderer, "draw_hud", decorate)

    def made(
        source: Source | None = None,
        net: FakeClassifier | None = None,
        load: Callable[[], FakeClassifier] | None = None,
        pipeline: PipelineSettings | None = None,
        folder: Path = tmp_path / "recordings",
        raw: str = "off",
        hands: HandsWorker | None = None,
        on: tuple[str, ...] = (),
        mode: str = "auto",
        **options: Any,
    ) -> Run:
        settings = Settings(
            pipeline=pipeline or PipelineSettings(),
            recording=RecordingSettings(folder=str(folder), min_free_mb=0, raw=raw),
            hands=_hands_settings(mode, on),
        )
        source = source or FakeSource(numbered(), fps=RATE)
        network = net or FakeClassifier()
        screen = Screen()
        screen.set_parameters(settings.pipeline)
        screen.given.clear()
        readings: list[Reading] = []
        chosen: dict[str, Any] = {"duration": LIMIT, "each": readings.append} | options
        live = App(settings, source, load or (lambda: network), screen, RunOptions(**chosen), hands)
        return Run(live, source, screen, network, folder, statuses, readings)

    return made


def settings_in(folder: Path) -> Settings:
    """Defaults that record below `folder`, however full the disk is."""
    return Settings(recording=RecordingSettings(folder=str(folder / "recordings"), min_free_mb=0))


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before]
    assert not left, f"threads left running: {left}"


def recorded(folder: Path) -> list[Path]:
    """The recordings, oldest first."""
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def lines_of(recording: Path) -> list[dict[str, Any]]:
    text = (recording / READINGS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def film_of(recording: Path) -> tuple[int, float]:
    """Frames and seconds of the recorded video, decoded."""
    with av.open(str(recording / VIDEO)) as file:
        assert file.duration is not None
        return sum(1 for _ in file.decode(video=0)), file.duration / av.time_base


def session_of(recording: Path) -> dict[str, Any]:
    content = yaml.safe_load((recording / SESSION).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content
