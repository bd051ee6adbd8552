"""The whole program at a camera's pace, in a process of its own; beside it an empty window loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from live_digits.app.display import Display
from live_digits.app.live import App, RunOptions
from live_digits.app.statistics import peak_memory_mb
from live_digits.bench.samples import percentile
from live_digits.bench.scenes import RATE, Scene, moving, resting
from live_digits.bench.variants import NO_SAVINGS, Forgetful, fitted, vision_of
from live_digits.capture.base import Source
from live_digits.capture.demo_source import DemoSource
from live_digits.config.settings import Settings, SourceSettings
from live_digits.core.types import Image, Reading
from live_digits.hands.worker import open_hands
from live_digits.reading import judge
from live_digits.vision.worker import VisionWorker

_KEPT = {"moving": 6, "at rest": 4}
"""Frames made beforehand, which are then played there and back: they cost the run nothing."""
_RENDERED = 10
"""Frames by which the source's own work is measured."""
_SETTLED = 1.0
"""Seconds from the first picture on after which dropped frames count as the run's own."""
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """One paced run. `scene`: "demo" draws each frame while the program runs, on the same cores;
    "moving" and "at rest" play frames made beforehand. `savings`: False switches every one off.
    `empty`: no program, only its window, polled and shown each frame undrawn. `hands`: True looks
    for hands as well, MediaPipe's start included; else they are off."""

    name: str
    width: int
    height: int
    fps: float
    seconds: float
    scene: str = "demo"
    record: bool = False
    savings: bool = True
    empty: bool = False
    window: bool = True
    hands: bool = False

    @property
    def kind(self) -> str:
        """What is unlike a usual run, or nothing."""
        if self.empty:
            return "empty loop"
        return "hands" if self.hands else "" if self.savings else "savings off"

    def job(self, folder: str) -> dict[str, Any]:
        return asdict(self) | {"folder": folder}


@dataclass(frozen=True, slots=True)
class Paced:
    """What came of it. Frames are the whole run's; `late` are the dropped ones of all but the first
    second, in which windows open. CPU is the whole process's, milliseconds a captured frame;
    `source_cpu_ms` of it is what drawing the frame takes by itself; `cores` were busy on average.
    Memory in MB: the run's peak, and what was held before it began (the libraries, the network and
    the frames that are played). `hands_looks`: how often hands were looked for, None where they
    were off."""

    case: Case
    captured: int
    shown: int
    dropped: int
    late: int
    recorder_dropped: int | None
    latency_ms: Mapping[str, float]
    cpu_ms: float
    source_cpu_ms: float
    cores: float
    rss_mb: float
    rss_mb_before: float
    looks: int
    digits: int
    seconds: float
    error: str = ""
    hands_looks: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(case: Case, answer: Mapping[str, Any]) -> Paced:
        """What a child said."""
        return Paced(case, **answer)


class _Played:
    """Frames made beforehand, there and back. The same arrays again and again: nobody writes to
    a frame."""

    def __init__(self, scene: Scene, count: int) -> None:
        there = [scene(n) for n in range(count)]
        self._frames = [*there, *there[-2:0:-1]]
        self._next = 0

    def render(self, t: float) -> Image:
        """See sources.Scene."""
        del t
        self._next += 1
        return self._frames[self._next % len(self._frames)]


class _Drawn:
    """A scene that is drawn as it plays."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def render(self, t: float) -> Image:
        return self._scene(t * RATE)


def _source(case: Case) -> tuple[Source, float]:
    """The built-in demo's source with the case's own page, and the CPU milliseconds of drawing one
    frame of it."""
    make = resting if case.scene == "at rest" else moving
    scene = make(case.width, case.height)
    if case.scene == "demo":
        start = time.process_time()
        for n in range(_RENDERED):
            scene(n)
        cost = 1000 * (time.process_time() - start) / _RENDERED
        playing: Any = _Drawn(scene)
    else:
        playing, cost = _Played(scene, _KEPT[case.scene]), 0.0
    settings = SourceSettings(width=case.width, height=case.height, fps=case.fps)
    return DemoSource(settings, scene=playing), cost


class _Full:
    """A window for which the picture is drawn at the frame's size."""

    def __init__(self, window: Any) -> None:
        self._window = window

    def __getattr__(self, name: str) -> Any:
        return getattr(self._window, name)

    def fit(self, width: int, height: int) -> tuple[int, int]:
        return width, height


def _window(settings: Settings) -> Any:
    from live_digits.display.window import Window

    return Window(settings.pipeline, settings.window.width)


class _Watch:
    """Notes how many frames were dropped by the time the run has settled."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._begun: float | None = None
        self.early: int | None = None
        self.digits = 0

    def each(self, reading: Reading) -> None:
        self.digits = max(self.digits, len(reading.digits))
        self.frame()

    def frame(self) -> None:
        now = time.monotonic()
        self._begun = self._begun or now
        if self.early is None and now - self._begun >= _SETTLED:
            self.early = self._source.dropped

    def late(self) -> int:
        return self._source.dropped - (self.early or 0)


def _case(job: Mapping[str, Any]) -> tuple[Case, str]:
    rest = dict(job)
    folder = str(rest.pop("folder"))
    return Case(**rest), folder


def _app(case: Case, settings: Settings, source: Source, display: Any, options: RunOptions) -> App:
    """The live program over a case, without any saving where the case wants none."""
    model = settings.model
    net = judge.load(model.name, threads=model.threads, batch=model.batch)
    if case.savings:
        hands, _ = open_hands(settings.hands)
        return App(settings, source, lambda: net, cast("Display | None", display), options, hands)
    return App(
        settings, source, lambda: net, cast("Display | None", display and _Full(display)), options,
        vision_worker=VisionWorker(reuse=False), video_reader=Forgetful(settings, NO_SAVINGS),
    )  # fmt: skip


def _held() -> float:
    """MB held now; the peak counts anew from here. Where the system does not forget a peak (all but
    Linux), the peak so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory_mb()


def run_app(job: Mapping[str, Any]) -> dict[str, Any]:
    """A child's work: the program over a case."""
    case, folder = _case(job)
    source, source_cost = _source(case)
    base = Settings()
    settings = replace(
        base,
        source=replace(base.source, width=case.width, height=case.height, fps=case.fps),
        recording=replace(base.recording, folder=folder),
        hands=replace(base.hands, mode="on" if case.hands else "off"),
    )
    display = _window(settings) if case.window else None
    watch = _Watch(source)
    options = RunOptions(case.record, case.seconds, each=watch.each, live=True)
    with contextlib.nullcontext() if case.savings else vision_of(NO_SAVINGS):
        live = _app(case, settings, source, display, options)
        before = _held()
        start, begun = time.process_time(), time.monotonic()
        outcome = live.run()
    spent, lasted = time.process_time() - start, time.monotonic() - begun
    stats = outcome.stats
    recording = stats["recording"]
    captured = max(1, stats["frames_captured"])
    return {
        "captured": stats["frames_captured"],
        "shown": stats["frames_shown"],
        "dropped": stats["dropped"],
        "late": watch.late(),
        "recorder_dropped": recording["dropped"] if recording else None,
        "latency_ms": stats["latency_ms"] or {},
        "cpu_ms": round(1000 * spent / captured, 3),
        "source_cpu_ms": round(source_cost, 3),
        "cores": round(spent / lasted, 3),
        "rss_mb": round(stats["rss_mb_peak"], 1),
        "rss_mb_before": round(before, 1),
        "looks": stats["looks"],
        "digits": watch.digits,
        "seconds": stats["seconds"],
        "error": "; ".join(str(e) for e in outcome.errors),
        "hands_looks": stats["hands"]["frames"] if case.hands else None,
    }


def run_empty(job: Mapping[str, Any]) -> dict[str, Any]:
    """A child's work: the same source and window, and nothing between them."""
    case, _ = _case(job)
    source, source_cost = _source(case)
    window = _window(Settings()) if case.window else None
    watch, latencies, shown = _Watch(source), [], 0
    before, start, begun = _held(), time.process_time(), time.monotonic()
    end = begun + case.seconds
    source.start()
    try:
        while time.monotonic() < end:
            frame = source.read(_POLL)
            if frame is not None:
                if window is not None:
                    window.show(_to_fit(frame.image, window.fit))
                if not shown:
                    end = time.monotonic() + case.seconds
                shown += 1
                latencies.append(time.monotonic() - frame.arrived)
                watch.frame()
            if window is not None:
                window.poll()
        spent, lasted = time.process_time() - start, time.monotonic() - begun
    finally:
        source.close()
        if window is not None:
            window.close()
    return {
        "captured": source.captured,
        "shown": shown,
        "dropped": source.dropped,
        "late": watch.late(),
        "recorder_dropped": None,
        "latency_ms": {
            f"p{p}": round(1000 * percentile(latencies, p / 100), 3) for p in (50, 95, 99)
        },
        "cpu_ms": round(1000 * spent / max(1, source.captured), 3),
        "source_cpu_ms": round(source_cost, 3),
        "cores": round(spent / lasted, 3),
        "rss_mb": round(peak_memory_mb(), 1),
        "rss_mb_before": round(before, 1),
        "looks": 0,
        "digits": 0,
        "seconds": round(time.monotonic() - begun, 3),
    }


def _to_fit(image: Image, fit: Callable[[int, int], tuple[int, int]]) -> Image:
    height, width = image.shape[:2]
    size = fit(width, height)
    if size == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def run_window(job: Mapping[str, Any]) -> dict[str, Any]:
    """A child's work: milliseconds of showing one undrawn frame and polling, as often as `seconds`
    allow, for a frame of `width` × `height` made to fit the window beforehand."""
    settings = Settings()
    window = _window(settings)
    width, height = int(job["width"]), int(job["height"])
    size = fitted((width, height), window.fit(width, height))
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    times: list[float] = []
    try:
        for _ in range(_RENDERED):
            window.show(image)
            window.poll()
        end = time.perf_counter() + float(job["seconds"])
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            window.show(image)
            window.poll()
            times.append(1000 * (time.perf_counter() - start))
    finally:
        window.close()
    return {"ms": times, "width": size[0], "height": size[1]}
