"""What hides the page, by rendered hands; and what becomes of the digits below."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from fakes import PALM, hand

from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Classifier, Frame, Image, Reading
from live_digits.hands.landmarks import Hand
from live_digits.hands.occlusion import OcclusionDetector, OcclusionMask
from live_digits.reading import judge
from live_digits.reading.questions import Prediction, answer_question, as_judge
from live_digits.tracking.video_reader import VideoReader

WIDTH, HEIGHT = 640, 360
SKIN = (150, 178, 222)
EXPIRY = Settings().tracker.expiry


def page() -> Image:
    return DemoScene(WIDTH, HEIGHT, seed=3, digits=8).render(0)


def boxes() -> tuple[Box, ...]:
    return tuple(box for box, _ in DemoScene(WIDTH, HEIGHT, seed=3, digits=8).truth(0))


def with_arm(image: Image, x: int, top: int, colour: tuple[int, int, int] = SKIN) -> Image:
    """An arm from the lower edge up to the row `top`, 90 pixels wide, its middle at x."""
    out: Image = image.copy()
    cv2.rectangle(out, (x - 45, top + 40), (x + 45, HEIGHT), colour, -1)
    cv2.ellipse(out, (x, top + 45), (45, 45), 0, 0, 360, colour, -1)
    return out


def watched(*frames: Image, step: float = 1 / 15) -> OcclusionMask | None:
    """The cover of the last of some frames."""
    occluder, cover = OcclusionDetector(), None
    for i, frame in enumerate(frames):
        cover = occluder.update(frame, i * step)
    return cover


# The region ---------------------------------------------------------------------------------------


def test_a_page_at_rest_is_not_hidden_whatever_lies_around_it() -> None:
    for image in (page(), np.full((90, 120, 3), 30, np.uint8), with_arm(page(), 300, 200)):
        assert watched(*[image] * 20) is None


@pytest.mark.parametrize("colour", [SKIN, (128, 74, 52), (40, 38, 36), (60, 120, 60)])
def test_an_arm_that_comes_in_hides_what_is_under_it_and_nothing_else(
    colour: tuple[int, int, int],
) -> None:
    cover = watched(page(), page(), with_arm(page(), 300, 150, colour))
    assert cover is not None
    assert cover.hides(Box(280, 220, 40, 50))
    assert cover.hides(Box(290, 300, 20, 40))
    for clear in (Box(100, 60, 40, 60), Box(450, 200, 40, 60), Box(290, 40, 30, 60)):
        assert not cover.hides(clear)
        assert not cover.touches(clear)


def test_what_is_uncovered_can_be_read_at_once() -> None:
    arm = with_arm(page(), 300, 150)
    assert watched(page(), page(), *[arm] * 30, page()) is None


def test_a_hand_that_was_there_from_the_start_leaves_no_trace_behind() -> None:
    arm = with_arm(page(), 300, 150)
    assert watched(*[arm] * 10, page()) is None


def test_a_hand_that_moves_never_becomes_part_of_the_page() -> None:
    frames = [page(), *(with_arm(page(), 300 + 8 * (i % 5), 150) for i in range(300))]
    cover = watched(*frames)
    assert cover is not None
    assert cover.hides(Box(290, 220, 30, 40))


def test_a_thing_that_was_laid_down_becomes_part_of_the_page() -> None:
    assert watched(page(), *[with_arm(page(), 300, 150, (90, 160, 220))] * 300) is None


def test_a_hand_behind_a_white_sleeve_is_hidden_too() -> None:
    hand_only = page()
    cv2.ellipse(hand_only, (320, 180), (60, 45), 0, 0, 360, SKIN, -1)
    cover = watched(page(), page(), hand_only)
    assert cover is not None
    assert cover.hides(Box(300, 160, 40, 40))


def test_a_shadow_a_lamp_and_new_ink_hide_nothing() -> None:
    shadow = page()
    shadow[:, 200:] = (shadow[:, 200:] * 0.6).astype(np.uint8)
    lamp = np.clip(page() * 1.25, 0, 255).astype(np.uint8)
    ink = page()
    cv2.putText(ink, "8", (250, 250), cv2.FONT_HERSHEY_SIMPLEX, 4, (60, 30, 30), 14)
    for image in (shadow, lamp, ink):
        assert watched(page(), page(), image) is None


def test_a_white_page_that_is_pushed_onto_the_desk_is_read_at_once() -> None:
    desk = np.full((HEIGHT, WIDTH, 3), (52, 62, 78), np.uint8)
    frames = [desk] * 5
    for i in range(20):
        frame = desk.copy()
        frame[100:300, : 20 * i] = (215, 222, 226)
        frames.append(frame)
        cover = watched(*frames)
        assert cover is None or not cover.hides(Box(5, 150, max(1, 10 * i), 60))


def test_another_scene_begins_anew() -> None:
    other = np.full((HEIGHT, WIDTH, 3), (40, 90, 160), np.uint8)
    assert watched(page(), page(), other) is None
    assert watched(page(), page()[::2, ::2], np.zeros((HEIGHT, WIDTH, 3), np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (37, 2000)])
def test_any_size_of_picture_does(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    occluder = OcclusionDetector()
    known = hand(PALM, 0, 0, 50)
    for i in range(4):
        image = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
        cover = occluder.update(image, i / 30, (known,) if i % 2 else ())
        if cover:
            cover.hides(Box(0, 0, 5, 5))
            cover.touches(Box(-10, -10, 5, 5))


# With landmarks -----------------------------------------------------------------------------------


def scene_with_hand(sleeve: tuple[int, int, int] = (128, 74, 52)) -> tuple[Image, Hand, Image]:
    """A page with the benchmark's hand, its landmarks, and its pixels."""
    bench = benchmark()
    image = page().copy()
    points = bench.placed(260, 120, 70.0, -0.5)
    mask = bench.draw_hand(image, points, sleeve)
    return image, Hand(points.astype(np.float32), "Right", 0.9), mask


@pytest.mark.parametrize("sleeve", [(128, 74, 52), (62, 58, 56)])
def test_with_landmarks_the_forearm_is_hidden_from_the_first_frame_on(
    sleeve: tuple[int, int, int],
) -> None:
    image, known, mask = scene_with_hand(sleeve)
    cover = OcclusionDetector().update(image, 0.0, (known,))
    assert cover is not None
    rows, columns = cover.mask.shape
    small = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 128
    hull = np.zeros((HEIGHT, WIDTH), np.uint8)
    for polygon in cover.polygons:
        cv2.fillConvexPoly(hull, np.rint(polygon).astype(np.int32), 1)
    both = (cover.mask > 0) | (cv2.resize(hull, (columns, rows)) > 0)
    assert both[small].mean() > 0.9
    assert both.mean() < 0.5
    assert not cover.hides(Box(40, 60, 40, 60))
    assert not cover.hides(Box(560, 60, 40, 60))


def test_landmarks_that_are_missed_for_a_moment_go_on_hiding() -> None:
    image, known, _ = scene_with_hand()
    occluder = OcclusionDetector()
    assert occluder.update(image, 0.0, (known,))
    assert occluder.update(image, 0.1)
    assert occluder.update(image, 1.0) is None


# The digits below ---------------------------------------------------------------------------------


class Reader:
    """Reads frames as the live loop does; the network answers one frame late."""

    def __init__(self, net: Classifier) -> None:
        self.video_reader, self.occluder, self.net = (
            VideoReader(Settings()),
            OcclusionDetector(),
            net,
        )
        self.late: tuple[Prediction, ...] = ()
        self.time = 0.0

    def read(self, image: Image, *hands: Hand) -> Reading:
        cover = self.occluder.update(image, self.time, hands)
        rules = (cover.hides, cover.touches) if cover else (None, None)
        seen = self.video_reader.see(Frame(image, 0, self.time), Settings().pipeline, *rules)
        self.time += 1 / 15
        self.video_reader.add_predictions(self.late)
        self.late = answer_question(as_judge(self.net), self.video_reader.pending_crops(seen))
        return self.video_reader.reading(seen)


@pytest.fixture(scope="module")
def net() -> Classifier:
    return judge.load("cnn")


def labels(reading: Reading) -> dict[int, int]:
    return {d.track: d.digit for d in reading.digits}


def test_digits_under_an_arm_stay_and_come_back_as_they_were(
    net: Classifier,
) -> None:
    reader = Reader(net)
    before = [labels(reader.read(page())) for _ in range(12)][-1]
    assert len(before) == 8
    for i in range(round(6 * EXPIRY * 15)):
        reading = reader.read(with_arm(page(), 300 + 6 * (i % 4), 60))
        assert labels(reading) == before, "what is hidden is still what it was"
    after = [labels(reader.read(page())) for _ in range(4)]
    assert after == [before] * 4
    assert reader.video_reader.masked >= 0


def test_digits_that_are_gone_when_the_arm_leaves_are_gone(
    net: Classifier,
) -> None:
    reader = Reader(net)
    before = [labels(reader.read(page())) for _ in range(12)][-1]
    for _ in range(10):
        reader.read(with_arm(page(), 300, 60))
    blank = np.full_like(page(), 214)
    after = [labels(reader.read(blank)) for _ in range(round(2 * EXPIRY * 15) + 2)][-1]
    assert before
    assert after == {}


def test_a_digit_written_under_the_hand_is_read_as_soon_as_it_is_uncovered(
    net: Classifier,
) -> None:
    reader = Reader(net)
    box, _ = DemoScene(WIDTH, HEIGHT, seed=3, digits=8).truth(0)[5]
    without = page().copy()
    without[box.y - 6 : box.bottom + 6, box.x - 6 : box.right + 6] = 214
    x = int(box.centre[0])
    for _ in range(12):
        reader.read(without)
    for i in range(12):
        assert len(reader.read(with_arm(without, x + 2 * (i % 2), box.y - 40)).digits) <= 7
    for _ in range(5):
        reading = reader.read(with_arm(page(), x, box.y - 40))
        assert not any(d.box.iou(box) > 0.3 for d in reading.digits), "it is under the arm"
    reader.read(page())
    readings = [reader.read(page()) for _ in range(3)]
    assert any(d.box.iou(box) > 0.3 for d in readings[-1].digits)


@cache
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "experiments" / "hands.py"
    spec = importlib.util.spec_from_file_location("bench_hands", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_hands"] = module
    spec.loader.exec_module(module)
    return module


def test_a_writing_hand_makes_no_false_digits_and_costs_no_ids(
    net: Classifier,
) -> None:
    """The benchmark's clip, six seconds of it, of a page whose digits are all read."""
    bench = benchmark()
    moments = list(bench.clip(6, WIDTH, HEIGHT, seed=5))
    bare = bench.follow(moments, "none", net)
    simple = bench.follow(moments, "simple", net)
    known = bench.follow(moments, "landmarks", net)
    assert bare.false >= 1, "the clip is no test"
    assert simple.false <= bare.false
    assert known.false == 0
    assert known.covered >= 2
    assert known.ids == known.labels == known.covered
