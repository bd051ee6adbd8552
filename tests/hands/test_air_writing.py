"""Writing in the air: the filter, the pen, crops, and the number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from fakes import PALM, PINCH, POINTING, hand, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

from live_digits.core.types import AIR, NOT_A_DIGIT, Floats
from live_digits.hands.air_writing import MOST_DIGITS, PAUSE, AirWriter, OneEuro, crop_of
from live_digits.hands.landmarks import Hand

HEIGHT = 480
RATE = 30
SIZE = 80.0
SEVEN = [(200.0, 100.0), (300.0, 100.0), (240.0, 260.0)]
ONE = [(250.0, 90.0), (245.0, 250.0)]
Path = Sequence[tuple[float, float]]


def at(points: Path, x: float, y: float) -> Hand:
    """A hand whose index tip is at x, y."""
    tip = np.array(points[8]) * SIZE
    return hand(points, x - tip[0], y - tip[1], SIZE)


def along(path: Path, seconds: float) -> Iterator[tuple[float, float]]:
    """Points of a path, one a frame."""
    corners = np.array(path)
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    for s in np.linspace(0, way[-1], round(seconds * RATE)):
        yield float(np.interp(s, way, corners[:, 0])), float(np.interp(s, way, corners[:, 1]))


class Finger:
    """Writes with a Writer, frame by frame."""

    def __init__(self, mirror: bool = False) -> None:
        self.writer = AirWriter(0.6, mirror)
        self.time = 0.0

    def see(self, *hands: Hand) -> None:
        self.writer.update(hands, self.time, HEIGHT)
        self.writer.tick(self.time)
        self.time += 1 / RATE

    def draw(self, path: Path, points: Path = POINTING, seconds: float = 0.6) -> None:
        for x, y in along(path, seconds):
            self.see(at(points, x, y))

    def lift(self, seconds: float, points: Path | None = None) -> None:
        for _ in range(round(seconds * RATE)):
            self.see(*([] if points is None else [at(points, 400, 200)]))

    def write(self, path: Path, label: int) -> None:
        self.draw(path)
        self.lift(PAUSE + 0.1)
        self.answer(label)

    def answer(self, label: int) -> None:
        ids, _ = self.writer.pending_crops()
        self.writer.add_predictions((i, probabilities(label)) for i in ids)


@pytest.mark.parametrize("points", [POINTING, PINCH])
@pytest.mark.parametrize("up", [None, PALM])
def test_a_finger_draws_a_digit_and_a_pause_ends_it(points: Path, up: Path | None) -> None:
    finger = Finger()
    finger.draw(SEVEN, points)
    finger.lift(PAUSE - 0.1, up)
    assert finger.writer.pending_crops()[0] == ()
    assert len(finger.writer.view(640, HEIGHT).strokes) == 1
    finger.lift(0.2, up)
    ids, crops = finger.writer.pending_crops()
    assert len(ids) == len(crops) == 1
    assert ids[0] < 0
    assert finger.writer.number == "."
    finger.answer(7)
    assert finger.writer.number == "7"
    assert finger.writer.pending_crops()[0] == ()
    (digit,) = finger.writer.digits
    assert (digit.digit, digit.origin, digit.track) == (7, AIR, ids[0])
    assert digit.as_dict()["origin"] == "air"
    np.testing.assert_allclose(digit.box.as_list(), (200, 100, 100, 160), atol=12)


def test_the_crop_is_what_was_drawn() -> None:
    finger = Finger()
    finger.draw(SEVEN)
    finger.lift(1.0)
    (crop,) = finger.writer.pending_crops()[1]
    ys, _ = np.nonzero(crop > 100)
    assert np.ptp(ys) >= 17, "20 pixels high, as MNIST's are"
    top, bottom = crop[ys.min() : ys.min() + 4], crop[ys.max() - 4 : ys.max()]
    assert (top > 100).any(axis=0).sum() > 2 * (bottom > 100).any(axis=0).sum()
    assert crop.mean(axis=0) @ np.arange(28) / crop.mean(axis=0).sum() == pytest.approx(13.5, abs=1)


def test_a_camera_that_faces_the_writer_reads_strokes_mirrored() -> None:
    crops = []
    for mirror in (False, True):
        finger = Finger(mirror)
        finger.draw(SEVEN)
        finger.lift(1.0)
        crops.append(finger.writer.pending_crops()[1][0].astype(int))
    mirrored = crops[0][:, ::-1]
    shifts = [np.abs(np.roll(mirrored, s, axis=1) - crops[1]).mean() for s in (-1, 0, 1)]
    assert min(shifts) < 8 < np.abs(crops[0] - crops[1]).mean()


def test_strokes_with_a_short_pause_between_are_one_digit() -> None:
    finger = Finger()
    finger.draw([(200.0, 100.0), (200.0, 200.0), (300.0, 200.0)])
    finger.lift(0.4, PALM)
    finger.draw([(270.0, 110.0), (270.0, 280.0)])
    finger.lift(0.3)
    assert len(finger.writer.view(640, HEIGHT).strokes) == 2
    finger.lift(0.5)
    assert len(finger.writer.pending_crops()[0]) == 1


def test_a_look_that_misses_the_finger_does_not_split_a_stroke() -> None:
    finger = Finger()
    for i, (x, y) in enumerate(along(SEVEN, 1.0)):
        finger.see(*([] if i % 9 == 4 else [at(POINTING, x, y)]))
    assert len(finger.writer.view(640, HEIGHT).strokes) == 1


def test_a_twitch_is_no_digit() -> None:
    finger = Finger()
    finger.draw([(200.0, 100.0), (205.0, 104.0)])
    finger.lift(1.0)
    assert finger.writer.number == ""
    assert finger.writer.pending_crops()[0] == ()


def test_a_hand_that_does_not_point_draws_nothing() -> None:
    finger = Finger()
    finger.draw(SEVEN, PALM)
    finger.lift(1.0)
    assert finger.writer.view(640, HEIGHT).strokes == ()
    assert finger.writer.number == ""


def test_digits_line_up_and_are_taken_back() -> None:
    finger = Finger()
    for path, label in ((SEVEN, 7), (ONE, 1), (SEVEN, 7)):
        finger.write(path, label)
    assert finger.writer.number == "717"
    assert [d.track for d in finger.writer.digits] == [-1, -2, -3]
    finger.writer.undo()
    assert finger.writer.number == "71"
    finger.draw(SEVEN)
    finger.writer.undo()
    assert finger.writer.view(640, HEIGHT).strokes == (), "the stroke at hand goes first"
    assert finger.writer.number == "71"
    finger.lift(1.0)
    finger.write(ONE, 1)
    assert finger.writer.number == "711"
    assert len({d.track for d in finger.writer.digits}) == 3
    finger.writer.clear()
    assert finger.writer.number == ""
    finger.writer.undo()


def test_what_the_network_takes_for_no_digit_is_said_and_left_out() -> None:
    finger = Finger()
    finger.write(SEVEN, 7)
    finger.write(ONE, NOT_A_DIGIT)
    assert finger.writer.number == "7"
    assert "again" in finger.writer.note
    unsure: Floats = np.full(11, 0.09, np.float32)
    finger.draw(SEVEN)
    finger.lift(1.0)
    finger.writer.add_predictions((i, unsure) for i in finger.writer.pending_crops()[0])
    assert finger.writer.number == "7"
    assert "again" in finger.writer.note
    finger.draw(SEVEN)
    assert finger.writer.note == ""


def test_answers_that_come_late_or_for_others_count_nothing() -> None:
    finger = Finger()
    finger.draw(SEVEN)
    finger.lift(1.0)
    (there,) = finger.writer.pending_crops()[0]
    finger.writer.add_predictions([(5, probabilities(3)), (-99, probabilities(4))])
    assert finger.writer.number == "."
    finger.writer.undo()
    finger.writer.add_predictions([(there, probabilities(7))])
    assert finger.writer.number == ""


def test_a_number_and_a_stroke_never_grow_without_end() -> None:
    finger = Finger()
    for _ in range(MOST_DIGITS + 3):
        finger.write(ONE, 1)
    assert finger.writer.number == "1" * MOST_DIGITS
    for i in range(5000):
        finger.see(at(POINTING, 200 + i % 100, 200))
    assert sum(map(len, finger.writer.view(640, HEIGHT).strokes)) <= 2000


def test_of_two_hands_the_one_that_draws_goes_on() -> None:
    finger = Finger()
    for x, y in along(SEVEN, 0.6):
        finger.see(at(PALM, 500, 300), at(POINTING, x, y))
    (stroke,) = finger.writer.view(640, HEIGHT).strokes
    assert stroke[:, 0].max() < 0.5


def test_a_video_that_begins_again_ends_the_stroke() -> None:
    finger = Finger()
    finger.time = 100.0
    finger.draw(SEVEN)
    finger.time = 0.0
    finger.lift(1.0)
    finger.draw(ONE)
    finger.lift(1.0)
    assert len(finger.writer.pending_crops()[0]) >= 1


def test_the_view_shows_tip_and_pen() -> None:
    finger = Finger()
    assert finger.writer.view(640, HEIGHT).tip is None
    finger.see(at(PALM, 320, 240))
    view = finger.writer.view(640, HEIGHT)
    assert view.tip == pytest.approx((0.5, 0.5))
    assert not view.down
    finger.see(at(POINTING, 320, 240))
    assert finger.writer.view(640, HEIGHT).down
    finger.writer.lost()
    assert not finger.writer.view(640, HEIGHT).down


# The filter ---------------------------------------------------------------------------------------


def test_the_filter_calms_a_finger_that_rests() -> None:
    rng = np.random.default_rng(0)
    steady = OneEuro()
    noise = rng.normal(0, 0.004, (200, 2))
    out = np.array([steady(0.5 + n, i / RATE) for i, n in enumerate(noise)])
    assert out[50:].std() < 0.6 * noise[50:].std()


def test_the_filter_keeps_up_with_a_finger_that_moves() -> None:
    steady = OneEuro()
    for i in range(30):
        true = np.array([i / RATE, 0.0])
        out = steady(true, i / RATE)
    assert abs(out[0] - true[0]) < 0.02


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=60),
    st.booleans(),
)
def test_any_stroke_gives_a_crop(points: list[tuple[float, float]], mirror: bool) -> None:
    crop = crop_of([np.array(points, np.float32)], mirror)
    assert crop.shape == (28, 28)
    assert crop.dtype == np.uint8
    assert crop.max() == 255
