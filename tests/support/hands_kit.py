"""A landmark source that says what it is told, and pages to show it."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings

from live_digits.core.types import Floats, Image
from live_digits.hands import model_file
from live_digits.hands import worker as hand_worker
from live_digits.hands.landmarks import Hand
from live_digits.hands.worker import HandsWorker

PATIENCE = 20.0
"""Seconds after which something that should happen on the worker's thread has not."""
SHARED = Path(__file__).parents[3] / "shared"
CLIPS_VARIABLE = "LIVE_DIGITS_HANDS"
CLIPS = Path(os.environ.get(CLIPS_VARIABLE, SHARED / "hands"))
steady = settings(deadline=None)
few = settings(deadline=None, max_examples=20)
SEEN = 0.95
"""Least share of the frames with a hand in which one is seen."""


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def open_palm(x: float = 100, y: float = 100, size: float = 100) -> Hand:
    """A right hand, fingers up, as high as `size`; the wrist is at x, y."""
    points = [(0.0, 0.0)]
    for finger in range(5):
        across = 0.2 * (finger - 2)
        points += [(across * k, -0.25 * k) for k in (1.0, 2.0, 3.0, 4.0)]
    landmarks = np.array(points, np.float32) * size + np.array([x, y], np.float32)
    return Hand(landmarks, "Right", 0.9)


class Fake:
    """A landmarker that says what it is told, and remembers what it was shown."""

    def __init__(self, found: tuple[Hand, ...] = (), error: Exception | None = None) -> None:
        self.found, self.error = found, error
        self.images: list[Image] = []
        self.times: list[int] = []
        self.closed = 0
        self.thread = 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        self.thread = threading.get_ident()
        self.images.append(image)
        self.times.append(time_ms)
        assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        return self.found

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def running() -> Iterator[Callable[[Fake], HandsWorker]]:
    """Starts workers and ends them."""
    workers: list[HandsWorker] = []

    def start(fake: Fake) -> HandsWorker:
        worker = HandsWorker(lambda: fake)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        assert worker.close()


Start = Callable[[Fake], HandsWorker]


def wait_until_at(worker: HandsWorker, when: float) -> None:
    """Until the frame of that time has been looked at, or taken as empty."""
    wait_for(lambda: worker.latest.time == when or worker.failed)
    assert not worker.failed, worker.error


def wait_for_failures(worker: HandsWorker, count: int) -> None:
    wait_for(lambda: worker.failures == count)


def page(width: int = 640, height: int = 360, shade: int = 200) -> Image:
    return np.full((height, width, 3), shade, np.uint8)


def page_with_thing(x: int, width: int = 640, height: int = 360) -> Image:
    """A page on which something the size of a finger lies at x."""
    image = page(width, height)
    cv2.rectangle(image, (x, height // 3), (x + width // 16, height), (90, 110, 160), -1)
    return image


def noisy(image: Image, sigma: float, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def thumb(image: Image) -> Floats:
    return hand_worker.thumbnail(hand_worker.to_landmark_size(image))


def real_model() -> Path:
    """The real model; skips the test where it or MediaPipe is not at hand."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("the extra 'hands' is not installed")
    named = os.environ.get(model_file.MODEL_VARIABLE)
    path = Path(named) if named else SHARED / "models" / model_file.MODEL_NAME
    if not path.is_file():
        pytest.skip(f"no hand model: set {model_file.MODEL_VARIABLE}")
    return path
