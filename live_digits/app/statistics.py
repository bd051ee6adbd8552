"""What a run measures of itself: durations, the process's start, its peak memory."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import live_digits
from live_digits.core.durations import Durations, percentiles
from live_digits.core.process_memory import peak_memory
from live_digits.core.types import Reading
from live_digits.display.status import HudStatus
from live_digits.reading.worker import InferenceStats

_REFRESH = 0.5
"""Seconds between new figures on the picture: numbers that race cannot be read."""
_RATE_SPAN = 1.5
"""Seconds over which the frame rate is measured."""
_NEWEST = 30
"""Frames that the figures on the picture are averaged over."""


def process_start() -> float:
    """The process's start on the monotonic clock; where the system does not tell, the moment this
    package was imported."""
    if sys.platform != "linux":
        return live_digits.IMPORTED
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        ticks = int(after_name[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # a system without /proc: the import will do
        return live_digits.IMPORTED
    age = uptime - ticks / os.sysconf("SC_CLK_TCK")
    return min(time.monotonic() - max(0.0, age), live_digits.IMPORTED)


def peak_memory_mb() -> float:
    """The most memory that the process has had in use, MB (10⁶ bytes)."""
    return round(peak_memory() / 1e6, 1)


def _recent(times: deque[float], now: float) -> None:
    """Adds a moment and forgets those before the last `_RATE_SPAN` seconds."""
    times.append(now)
    while now - times[0] > _RATE_SPAN:
        times.popleft()


def _rate(times: deque[float]) -> float:
    """Moments a second."""
    span = times[-1] - times[0] if times else 0.0
    return (len(times) - 1) / span if span > 0 else 0.0


class RunStatistics:
    """All that a run counts. Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._start = process_start()
        self.vision = Durations()
        self.latency = Durations()
        self.looks = self.reused = 0
        """Frames that vision looked at, and those that it found to show nothing new."""
        self._showing = Durations()
        self.count = 0
        """Frames shown, repeats left out."""
        self.shown_at = 0.0
        """When a picture was shown last, repeats included; monotonic."""
        self.begun: float | None = None
        """When the first frame was shown; monotonic."""
        self.labels = 0
        """Tracks that became a digit; one that stops being one and returns counts again."""
        self._first_label: float | None = None
        self._labelled: frozenset[int] = frozenset()
        self._times: deque[float] = deque()
        self._looked_at: deque[float] = deque()
        self._status, self._status_at = HudStatus(), 0.0

    def shown(self, now: float, arrived: float | None) -> None:
        """A picture was shown; `arrived`: when its frame was captured, None for a repeat."""
        self.shown_at = now
        if arrived is None:
            return
        self.count += 1
        if self.begun is None:
            self.begun = now
        self.latency.add(now - arrived)
        _recent(self._times, now)

    def looked(self, seconds: float, reused: bool) -> None:
        """Vision has looked at a frame, or found that it shows nothing new."""
        self.vision.add(seconds)
        self.looks += not reused
        self.reused += reused
        _recent(self._looked_at, time.monotonic())

    def add_display_time(self, seconds: float) -> None:
        """Drawing, showing and handing to the recorder took so long."""
        self._showing.add(seconds)

    def mean_display_time(self) -> float:
        """Seconds that a picture takes from its reading to the next frame, lately."""
        return self._showing.recent(_NEWEST)

    def read(self, reading: Reading) -> None:
        """What a frame's reading adds to the count of labels."""
        labelled = frozenset(d.track for d in reading.digits)
        if labelled and self._first_label is None:
            self._first_label = time.monotonic()
        self.labels += len(labelled - self._labelled)
        self._labelled = labelled

    def current(self, now: float, inference: InferenceStats) -> HudStatus:
        """The figures for the picture, renewed twice a second."""
        if now - self._status_at < _REFRESH and self._status_at:
            return self._status
        took = inference.times[-1] if inference.times else 0.0
        self._status_at = now
        self._status = replace(
            self._status,
            fps=_rate(self._times),
            vision_fps=_rate(self._looked_at),
            latency_ms=1000 * self.latency.recent(_NEWEST),
            vision_ms=1000 * self.vision.recent(_NEWEST),
            batch=inference.last_batch,
            inference_ms=1000 * took,
        )
        return self._status

    def as_json(self, inference: InferenceStats) -> dict[str, Any]:
        """The statistics of `--stats`, but for what the source and the recording know."""
        seconds = self.shown_at - self.begun if self.begun is not None else 0.0
        return {
            "frames_shown": self.count,
            "seconds": round(seconds, 3),
            "fps": round((self.count - 1) / seconds, 2) if seconds > 0 else 0.0,
            "latency_ms": self.latency.percentiles(),
            "vision_ms": self.vision.percentiles(),
            "looks": self.looks,
            "looks_saved": self.reused,
            "inference_ms": percentiles(inference.times),
            "batches": inference.batches,
            "crops": inference.crops,
            "labels": self.labels,
            "time_to_first_frame_s": self._since(self.begun),
            "time_to_first_label_s": self._since(self._first_label),
            "rss_mb_peak": peak_memory_mb(),
        }

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self._start, 3)
