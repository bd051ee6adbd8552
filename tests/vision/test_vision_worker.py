"""Vision on its own thread: newest frame wins, a page at rest is looked at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from fakes import PATIENCE, wait_until

from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import PipelineSettings
from live_digits.core.types import Frame, Image
from live_digits.vision.detection import detect_candidates
from live_digits.vision.frame_difference import has_changed, thumbnail
from live_digits.vision.stages import Detections
from live_digits.vision.worker import VisionWorker

PAPER = PipelineSettings()


class Counting:
    """Vision that counts, and waits at its gate."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = 0

    def __call__(self, image: Image, settings: PipelineSettings) -> Detections:
        assert self.gate.wait(PATIENCE)
        self.seen.append(int(image[0, 0, 0]))
        if self.fails:
            self.fails -= 1
            raise ValueError("cannot see")
        return detect_candidates(image, settings)


@pytest.fixture
def eye() -> Counting:
    return Counting()


@pytest.fixture
def vision_worker(eye: Counting) -> Iterator[VisionWorker]:
    made = VisionWorker(look=eye)
    made.start()
    yield made
    eye.gate.set()
    assert made.close(PATIENCE)


def frame(number: int, image: Image | None = None) -> Frame:
    """Without an image, a picture of its own for each number."""
    if image is None:
        image = np.full((40, 60, 3), 200, np.uint8)
        image[:, : 5 + number % 50] = 60
        image[0, 0, 0] = number
    return Frame(image, number, number / 30, "test", 0.0)


def take(vision_worker: VisionWorker) -> int:
    look = vision_worker.take(PATIENCE)
    assert look is not None
    return look.frame.seq


def test_the_newest_frame_replaces_one_that_waits(
    vision_worker: VisionWorker, eye: Counting
) -> None:
    eye.gate.clear()
    vision_worker.submit(frame(1), PAPER)
    wait_until(lambda: vision_worker._asked is None, "the first frame to be taken")
    for number in (40, 70, 120):
        vision_worker.submit(frame(number), PAPER)
    eye.gate.set()
    wait_until(lambda: len(eye.seen) == 2, "the second look")
    while take(vision_worker) != 120:  # the first may or may not be replaced before it is taken
        pass
    assert eye.seen == [1, 120]


def test_take_returns_at_once_where_nothing_is_asked(vision_worker: VisionWorker) -> None:
    assert vision_worker.take(PATIENCE) is None
    assert vision_worker.take(None) is None


def test_a_failure_is_kept_until_a_look_works(vision_worker: VisionWorker, eye: Counting) -> None:
    eye.fails = 1
    vision_worker.submit(frame(1), PAPER)
    assert vision_worker.take(PATIENCE) is None
    assert str(vision_worker.error) == "cannot see"
    vision_worker.submit(frame(90), PAPER)
    assert take(vision_worker) == 90
    assert vision_worker.error is None
    assert vision_worker.failures == 1


def noisy(page: Image, seed: int, sigma: float, light: float = 1.0) -> Image:
    grain = np.random.default_rng(seed).normal(0, sigma, page.shape)
    return np.clip(page * light + grain, 0, 255).astype(np.uint8)


PAGE = DemoScene(1280, 720, seed=3).render(0)


def test_a_page_at_rest_is_looked_at_once_for_all_its_noise(
    vision_worker: VisionWorker, eye: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_digits.vision.worker.FRESH", 1e9)
    for number in range(6):
        vision_worker.submit(frame(number, noisy(PAGE, number, 4, 1 + 0.01 * (number % 3))), PAPER)
        look = vision_worker.take(PATIENCE)
        assert look is not None
        assert look.frame.seq == number
        assert look.reused == (number > 0)
    assert len(eye.seen) == 1


def test_other_sliders_look_again(vision_worker: VisionWorker, eye: Counting) -> None:
    for settings in (PAPER, PipelineSettings(blur=9)):
        vision_worker.submit(frame(1, PAGE), settings)
        assert take(vision_worker) == 1
    assert len(eye.seen) == 2


def test_the_same_page_in_another_size_is_looked_at(
    vision_worker: VisionWorker, eye: Counting
) -> None:
    small = DemoScene(960, 540, seed=3).render(0)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    assert not has_changed(thumbnail(small), thumbnail(large))
    for number, image in enumerate((large, small)):
        vision_worker.submit(frame(number, image), PAPER)
        assert take(vision_worker) == number
    assert len(eye.seen) == 2


def test_a_page_at_rest_is_looked_at_again_after_a_while(
    vision_worker: VisionWorker, eye: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("live_digits.vision.worker.FRESH", 0.0)
    for number in range(3):
        vision_worker.submit(frame(number, PAGE), PAPER)
        assert take(vision_worker) == number
    assert len(eye.seen) == 3


@pytest.mark.parametrize("sigma", [0.0, 2.0, 5.0])
@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (1920, 1080), (3840, 2160)])
def test_a_new_stroke_is_a_change_and_noise_is_none(width: int, height: int, sigma: float) -> None:
    page = np.full((height, width, 3), 190, np.uint8)
    written = page.copy()
    tall = height // 18
    x, y = width // 3, height // 2
    cv2.line(written, (x, y), (x + tall // 3, y + tall), (90, 90, 90), max(2, height // 240))
    before = thumbnail(noisy(page, 1, sigma))
    assert not has_changed(before, thumbnail(noisy(page, 2, sigma, 1.02)))
    assert has_changed(before, thumbnail(noisy(written, 2, sigma)))


def test_a_page_that_drifts_by_a_few_pixels_has_changed() -> None:
    assert has_changed(thumbnail(PAGE), thumbnail(np.roll(PAGE, 3, axis=1)))


def test_another_size_has_changed() -> None:
    assert has_changed(thumbnail(PAGE), thumbnail(PAGE[:360]))
