"""The real hand model, where it and the clips are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hands_kit import (
    CLIPS,
    CLIPS_VARIABLE,
    PATIENCE,
    SEEN,
    noisy,
    page,
    real_model,
    wait_for,
    wait_until_at,
)

from live_digits.config.settings import Settings
from live_digits.core.errors import HandsError
from live_digits.core.geometry import Box
from live_digits.core.types import Frame, Image
from live_digits.hands import landmarks
from live_digits.hands import worker as hand_worker
from live_digits.hands.controller import HandController
from live_digits.hands.landmarks import covered, hidden
from live_digits.hands.mediapipe_landmarker import MediaPipeLandmarker
from live_digits.hands.worker import HandsWorker
from live_digits.reading import judge
from live_digits.tracking.video_reader import VideoReader, read_video_frame

# The real model -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[MediaPipeLandmarker]:
    landmarker = MediaPipeLandmarker(real_model())
    yield landmarker
    landmarker.close()


def clip(name: str, step: int) -> list[Image]:
    """Every step-th frame of a real clip or picture; skips where there is none."""
    path = CLIPS / name
    if not path.is_file():
        pytest.skip(f"no {name}: the real hands are no part of the project; set {CLIPS_VARIABLE}")
    video = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    while video.grab():
        frames.append(np.asarray(video.retrieve()[1], np.uint8))
    return frames[::step]


def test_no_hand_is_seen_in_empty_frames(real: MediaPipeLandmarker) -> None:
    for i, shade in enumerate((0, 90, 200, 255)):
        assert real(page(480, 270, shade), 100 * i) == ()
        assert real(noisy(page(480, 270, shade), 20, i), 100 * i + 50) == ()


def test_times_that_do_not_grow_do_no_harm(real: MediaPipeLandmarker) -> None:
    for time_ms in (10_000, 10_000, 0, 5):
        assert real(page(480, 270), time_ms) == ()


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    real_model()
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"this is no model")
    with pytest.raises(HandsError, match=r"wrong\.task is no hand model") as caught:
        MediaPipeLandmarker(wrong)
    assert "\n" not in str(caught.value)
    with pytest.raises(HandsError, match=r"gone\.task cannot be read"):
        MediaPipeLandmarker(tmp_path / "gone.task")


def test_a_hand_is_seen_in_the_clip(real: MediaPipeLandmarker) -> None:
    """Every frame of this one shows a hand."""
    frames = clip("hand_test_video.mp4", 4)
    found = [real(hand_worker.to_landmark_size(f), 20_000 + 133 * i) for i, f in enumerate(frames)]
    assert len(frames) > 40
    assert sum(map(bool, found)) >= SEEN * len(frames)


@pytest.mark.parametrize(
    ("name", "side"), [("hand_test_image.jpg", "Right"), ("hand_thumb_up.jpg", "Left")]
)
def test_a_hand_is_seen_in_the_pictures(name: str, side: str) -> None:
    """By a whole worker, in the picture's own pixels, and it hides its own palm."""
    model = real_model()
    image = clip(name, 1)[0]
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    try:
        worker.start()
        worker.offer(image, 1.0)
        wait_for(lambda: worker.latest.hands or worker.failed)
        assert not worker.failed, worker.error
        (hand,) = worker.current(1.0)
    finally:
        assert worker.close()
    height, width = image.shape[:2]
    assert hand.landmarks.shape == (landmarks.LANDMARKS, 2)
    assert hand.landmarks.dtype == np.float32
    assert (hand.landmarks > 0).all()
    assert (hand.landmarks < [width, height]).all()
    assert np.ptp(hand.landmarks, 0).max() > 0.25 * height
    assert hand.handedness == side
    assert 0.5 <= hand.score <= 1
    x, y = hand.landmarks[landmarks.MIDDLE_KNUCKLE]
    assert hidden(Box(int(x) - 10, int(y) - 10, 20, 20), covered([hand], width, height))


def test_a_worker_sees_the_hand_come_into_the_clip() -> None:
    """First a face without a hand (24 frames), then a thumb up to the end."""
    model = real_model()
    frames = clip("gesture_test_video.mp4", 4)
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    seen = []
    try:
        worker.start()
        for i, frame in enumerate(frames):
            worker.offer(frame, i / 7.5)
            wait_until_at(worker, i / 7.5)
            seen.append(bool(worker.current(i / 7.5)))
    finally:
        assert worker.close()
    assert not any(seen[:5])
    assert sum(seen[6:]) >= SEEN * len(seen[6:])


@pytest.mark.parametrize(
    ("name", "step", "first"),
    [
        ("hand_test_video.mp4", 1, 0),
        ("gesture_test_video.mp4", 2, 24),
        ("hand_test_image.jpg", 1, 0),
        ("hand_thumb_up.jpg", 1, 0),
    ],
)
def test_no_digit_is_read_where_hands_are_shown(name: str, step: int, first: int) -> None:
    """By a video's whole path, each frame with its own look; a hand is seen from `first` on."""
    model = real_model()
    frames = clip(name, step)
    frames = frames if len(frames) > 1 else frames * 12
    worker = HandsWorker(lambda: MediaPipeLandmarker(model))
    hand_controller, video_reader = HandController(Settings(), worker), VideoReader(Settings())
    net, never, seen = judge.load("cnn"), threading.Event(), []
    try:
        hand_controller.start()
        for i, image in enumerate(frames):
            frame = Frame(image, i, i * step / 25)
            hand_controller.look(frame, never)
            seen.append(bool(worker.current(frame.time)))
            cover = hand_controller.cover(frame)
            rules = (cover.hides, cover.touches) if cover else (None, None)
            assert read_video_frame(frame, video_reader, Settings(), net, *rules).digits == (), i
    finally:
        assert worker.close(PATIENCE)
    later = seen[first // step :]
    assert sum(later) >= SEEN * len(later)
