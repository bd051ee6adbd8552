"""What the tests of the recorder share: pictures, readings, and what a film holds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

import av

from live_digits.config.settings import RecordingSettings
from live_digits.core.errors import RecordingError
from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Image, Reading
from live_digits.recording.recorder import Recorder
from live_digits.recording.session import READINGS, SESSION, VIDEO

WIDTH, HEIGHT = 160, 120
PATIENCE = 60.0
"""Seconds after which something that should happen on the recorder's thread has not."""


def settings(folder: Path, min_free_mb: int = 0, raw: str = "off") -> RecordingSettings:
    return RecordingSettings(folder=str(folder), min_free_mb=min_free_mb, raw=raw)


def opened(folder: Path, width: int = WIDTH, height: int = HEIGHT, fps: float = 30) -> Recorder:
    return Recorder(settings(folder), width, height, fps, {"source": "test"})


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A moving pattern, uint8 BGR."""
    x = np.arange(width)[None, :, None] + 5 * number
    y = np.arange(height)[:, None, None]
    return np.asarray((x * np.array([1, 2, 1]) + y) % 256, np.uint8)


def noise(number: int) -> Image:
    """A picture that costs the encoder many bytes."""
    small = np.random.default_rng(number).integers(0, 255, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT)), np.uint8)


def reading(number: int, seconds: float, width: int = WIDTH, height: int = HEIGHT) -> Reading:
    digit = Digit(Box(1, 2, 3, 4), number % 10, 0.5, number)
    return Reading("test", number, seconds, width, height, (digit,), (str(number % 10),))


def put(to: Recorder, image: Image, number: int, seconds: float, raw: Image | None = None) -> None:
    """Writes a frame, again and again while the queue is full."""
    end = time.monotonic() + PATIENCE
    line = reading(number, seconds, image.shape[1], image.shape[0])
    while not to.write(image, line, seconds, raw):
        assert to.error is None, to.error
        assert time.monotonic() < end
        time.sleep(0.002)


def decoded(path: Path, name: str = VIDEO) -> tuple[list[float], list[float], float, list[Image]]:
    """Times of all frames, times of the keyframes, the file's duration and the pictures (BGR)."""
    with av.open(str(path / name)) as file:
        assert file.duration is not None
        frames = list(file.decode(video=0))
        times = [float(f.time or 0.0) for f in frames]
        keys = [float(f.time or 0.0) for f in frames if f.key_frame]
        pictures = [np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in frames]
        return times, keys, file.duration / av.time_base, pictures


def lines(path: Path) -> list[dict[str, Any]]:
    text = (path / READINGS).read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def session(path: Path) -> dict[str, Any]:
    content = yaml.safe_load((path / SESSION).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def wait_for_error(of: Recorder) -> RecordingError:
    end = time.monotonic() + PATIENCE
    while of.error is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return of.error
