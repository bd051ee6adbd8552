"""From frames to readings: a picture read at once, a moving page followed without flicker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import FakeClassifier, FakeJudge, probabilities
from page_kit import CLASSIC

from live_digits.capture.demo_scene import DemoScene
from live_digits.config.file import load
from live_digits.config.settings import ReadingSettings, Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Frame, Image, Reading
from live_digits.reading import classifier, judge, model_store
from live_digits.reading.cutouts import Cutouts, cut_out
from live_digits.reading.image_reader import read_picture
from live_digits.reading.questions import VOTES, Prediction, answer_question, as_judge
from live_digits.tracking import video_reader
from live_digits.tracking.video_reader import RECHECK, TrackedFrame, VideoReader, read_video_frame
from live_digits.vision.stages import Detections

FPS = 30
SETTINGS = load()
Mark = tuple[str, int, int]
"""A digit and where its lower left corner lies."""
ROW: tuple[Mark, ...] = (("3", 160, 200), ("8", 240, 200), ("6", 320, 200), ("3", 400, 200))


def page(marks: Iterable[Mark] = ROW, dx: float = 0, dy: float = 0) -> Image:
    image = np.full((480, 640, 3), 225, np.uint8)
    for text, x, y in marks:
        at = round(x + dx), round(y + dy)
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 3, (60, 60, 60), 7)
    return image


def frame(number: int, image: Image) -> Frame:
    return Frame(image, number, number / FPS, "test")


def by_holes(crop: Image) -> int:
    """Reads the digits of this file: 3 has no hole, 6 one, 8 two."""
    count, _ = cv2.connectedComponents(np.where(crop < 90, 255, 0).astype(np.uint8), connectivity=4)
    return {0: 3, 1: 6, 2: 8}.get(count - 2, 10)


def ask(
    video_reader: VideoReader, seen: TrackedFrame, net: FakeClassifier, every: bool = False
) -> list[int]:
    """Asks the network for what is wanted and learns its answers; the tracks asked for."""
    question = video_reader.pending_crops(seen, every)
    assert question.cutouts.crops.shape == (len(question), 28, 28)
    assert question.cutouts.crops.dtype == np.uint8
    video_reader.add_predictions(answer_question(as_judge(net), question))
    return list(question.tracks)


class Film:
    """A video reader that is shown frame after frame and read by `by_holes`."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.video_reader = VideoReader(settings)
        self.net = FakeClassifier(by_holes)
        self.number = 0
        self.asked: list[list[int]] = []

    def show(self, image: Image, answer: bool = True) -> Reading:
        """The reading of the next frame. Without `answer` the network stays silent."""
        seen = self.video_reader.see(frame(self.number, image), SETTINGS.pipeline)
        if answer:
            self.asked.append(ask(self.video_reader, seen, self.net))
        self.number += 1
        return self.video_reader.reading(seen)

    def show_again(self, seen: TrackedFrame) -> Reading:
        """A picture between two looks."""
        return self.video_reader.reading(seen)


def text(reading: Reading) -> str:
    return " / ".join(reading.lines)


# --- single pictures ---


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_frame_of_the_demo_is_mostly_read_right(size: tuple[int, int], seed: int) -> None:
    scene = DemoScene(*size, seed)
    shot = Frame(scene.render(1.5), 7, 1.5, "demo")
    before = shot.image.copy()
    found = read_picture(shot, SETTINGS, judge.load("cnn"))
    np.testing.assert_array_equal(shot.image, before)
    truth = scene.truth(1.5)
    right, free = 0, list(found.digits)
    for box, digit in truth:
        best = max(free, key=lambda d: d.box.iou(box), default=None)
        if best is not None and best.box.iou(box) >= 0.3:
            free.remove(best)
            right += best.digit == digit
    assert right >= 0.8 * len(truth)
    assert len(free) <= 2
    assert (found.source, found.frame, found.time) == ("demo", 7, 1.5)
    assert (found.width, found.height) == size
    assert found.pending == ()
    assert [d.track for d in found.digits] == list(range(1, len(found.digits) + 1))
    assert "".join(found.lines).replace(" ", "") == "".join(str(d.digit) for d in found.digits)
    assert len(found.lines) == len(scene.lines())


def test_a_picture_is_read_in_one_call_and_in_reading_order() -> None:
    net = FakeClassifier(by_holes)
    marks = [("3", 240, 390), *ROW, ("6", 160, 390)]
    found = read_picture(frame(0, page(marks)), SETTINGS, net)
    assert found.lines == ("3863", "63")
    assert len(net.batches) == 1
    assert [d.digit for d in found.digits] == [3, 8, 6, 3, 6, 3]


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_says_nothing(shade: int) -> None:
    blank = np.full((60, 80, 3), shade, np.uint8)
    found = read_picture(frame(0, blank), SETTINGS, classifier.load("dense"))
    assert found == Reading("test", 0, 0.0, 80, 60)


@pytest.mark.parametrize("grain", [2.0, 6.0, 15.0])
@pytest.mark.parametrize("name", model_store.list_models())
def test_a_noisy_blank_page_is_not_read(name: str, grain: float) -> None:
    noise = np.random.default_rng(7).normal(0, grain, (480, 640, 1))
    blank = np.clip(200 + noise, 0, 255).astype(np.uint8).repeat(3, axis=2)
    found = read_picture(frame(0, blank), SETTINGS, classifier.load(name))
    assert len(found.digits) <= 1


def test_what_the_network_rejects_is_drawn_and_not_read() -> None:
    found = read_picture(frame(0, page()), SETTINGS, FakeClassifier(10))
    assert (found.digits, found.lines) == ((), ())
    assert len(found.rejected) == 4
    unsure = FakeClassifier(7, confidence=0.45)
    assert len(read_picture(frame(0, page()), SETTINGS, unsure).rejected) == 4
    lax = replace(SETTINGS, reading=ReadingSettings(confidence=0.4))
    assert len(read_picture(frame(0, page()), lax, unsure).digits) == 4


# --- asking ---


def test_new_tracks_are_asked_for_at_once_and_settled_ones_no_more() -> None:
    film = Film()
    first = film.show(page())
    assert text(first) == "3863"
    count = len(film.video_reader.see(frame(0, page()), SETTINGS.pipeline).tracks)
    assert len(film.asked[0]) == count
    for _ in range(round(3 * RECHECK * FPS)):
        assert text(film.show(page())) == "3863"
    # Two sure answers settle a track; then an unchanged page costs nothing.
    assert all(asked == [] for asked in film.asked[6:])
    assert len(film.net.batches) <= 6


def test_what_was_read_unsurely_is_looked_at_again_until_it_is_sure() -> None:
    """Blurred frames leave doubtful answers, and a crop that is hardly another when it is sharp."""
    film = Film()
    film.net.confidence = 0.45
    for _ in range(20):
        assert text(film.show(page())) == ""
    film.net.confidence = 0.995
    assert text([film.show(page()) for _ in range(round(8 * RECHECK * FPS))][-1]) == "3863"
    film.asked.clear()
    for _ in range(round(30 * RECHECK * FPS)):
        film.show(page())
    assert film.asked[-round(5 * RECHECK * FPS) :] == [[]] * round(5 * RECHECK * FPS)


def test_a_page_at_rest_keeps_its_digits_however_rarely_it_is_looked_at() -> None:
    film, apart = Film(), round(2 * SETTINGS.tracker.expiry * FPS)
    first = film.show(page())
    for _ in range(6):
        film.number += apart - 1
        later = film.show(page(), answer=False)
        assert later.lines == first.lines
        assert [d.track for d in later.digits] == [d.track for d in first.digits]


def test_a_new_digit_is_asked_for_alone() -> None:
    film = Film()
    for _ in range(10):
        film.show(page(ROW[:3]))
    known = {d.track for d in film.show(page(ROW[:3])).digits}
    film.show(page(ROW))
    asked = set(film.asked[-1])
    more = film.show(page(ROW))
    (fresh,) = {d.track for d in more.digits} - known
    assert text(more) == "3863"
    assert fresh in asked
    assert not asked & known


def test_what_flashes_up_in_one_frame_is_never_shown() -> None:
    film = Film()
    for _ in range(20):
        film.show(page(ROW[:3]))
    shown = [text(film.show(page(row))) for row in (ROW, ROW[:3], ROW[:3], ROW, ROW[:3])]
    assert set(shown) == {text(film.show(page(ROW[:3])))}


def test_a_new_digit_needs_another_look_and_none_of_vision() -> None:
    """Pictures between two looks prove nothing; a page at rest is looked at with what was found."""
    film = Film()
    for _ in range(20):
        film.show(page(ROW[:3]))
    seen = film.video_reader.see(frame(film.number, page(ROW)), SETTINGS.pipeline)
    ask(film.video_reader, seen, film.net)
    before = text(film.show_again(seen))
    assert before != "3863"
    assert {text(film.show_again(seen)) for _ in range(3)} == {before}
    later = film.video_reader.follow(frame(film.number + 1, page(ROW)), seen.vision)
    assert [text(film.show_again(later)) for _ in range(2)] == ["3863", "3863"]


def test_ink_that_changes_is_asked_for_again_and_read_anew() -> None:
    film = Film()
    for _ in range(20):
        film.show(page())
    changed = (("8", 160, 200), *ROW[1:])
    track = film.show(page()).digits[0].track
    film.asked.clear()
    shown = [text(film.show(page(changed))) for _ in range(round(2 * RECHECK * FPS))]
    assert any(track in asked for asked in film.asked)
    assert shown[-1] == "8863"
    assert set(shown) <= {"3863", "863", "8863"}
    others = {d.track for d in film.show(page(changed)).digits[1:]}
    assert not any(set(asked) & others for asked in film.asked)


def test_every_asks_for_all_boxes_even_settled_ones() -> None:
    film = Film()
    for _ in range(20):
        film.show(page())
    seen = film.video_reader.see(frame(film.number, page()), SETTINGS.pipeline)
    assert film.video_reader.pending_crops(seen).tracks == ()
    question = film.video_reader.pending_crops(seen, every=True)
    assert set(question.tracks) == {t.id for t in seen.tracks}
    assert len(question.cutouts) == len(question) >= 4


def moved(film: Film, frames: int = 12) -> list[str]:
    return [text(film.show(page(ROW, dx=-8 * n))) for n in range(frames)]


def test_what_is_sure_is_not_asked_about_again_while_the_page_moves() -> None:
    film = Film()
    film.net.confidence = 0.99
    assert set(moved(film)) == {"3863"}
    assert film.asked[0]
    assert sum(map(len, film.asked[2:])) == 0


def test_what_is_unsure_is_asked_about_while_the_page_moves_and_then_rarely() -> None:
    film = Film()
    film.net.confidence = 0.9
    assert set(moved(film)) == {"3863"}
    first = film.asked[0][0]
    assert 3 <= sum(first in asked for asked in film.asked) <= VOTES + 1


def test_settled_digits_are_looked_at_now_and_then_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def counted(vision: Detections, indices: Sequence[int], surroundings: bool = True) -> Cutouts:
        looks.append(len(indices))
        return cut_out(vision, indices, surroundings)

    monkeypatch.setattr(video_reader, "cut_out", counted)
    film = Film()
    for _ in range(10):
        film.show(page())
    count = len(film.video_reader.see(frame(10, page()), SETTINGS.pipeline).tracks)
    looks.clear()
    for _ in range(FPS):
        film.show(page())
    assert count <= sum(looks) <= 3 * count


def test_waiting_is_until_every_track_has_an_answer() -> None:
    video_reader, net = VideoReader(SETTINGS), FakeClassifier(by_holes)
    seen = video_reader.see(frame(0, page()), SETTINGS.pipeline)
    assert video_reader.waiting(seen)
    assert len(video_reader.reading(seen).pending) == 4
    ask(video_reader, seen, net)
    assert not video_reader.waiting(seen)
    assert video_reader.reading(seen).pending == ()


# --- late answers ---


def test_an_answer_that_comes_some_frames_late_still_counts() -> None:
    video_reader, net = VideoReader(SETTINGS), FakeClassifier(by_holes)
    seen = video_reader.see(frame(0, page()), SETTINGS.pipeline)
    question = video_reader.pending_crops(seen)
    for n in range(1, 6):
        seen = video_reader.see(frame(n, page(dx=2 * n)), SETTINGS.pipeline)
        assert video_reader.reading(seen).digits == ()
    video_reader.add_predictions(answer_question(as_judge(net), question))
    assert text(video_reader.reading(seen)) == "3863"


def test_answers_for_dead_tracks_are_ignored() -> None:
    video_reader = VideoReader(SETTINGS)
    seen = video_reader.see(frame(0, page(ROW[:1])), SETTINGS.pipeline)
    dead, *_ = video_reader.pending_crops(seen).tracks
    for n in range(1, FPS):
        video_reader.see(frame(n, page([])), SETTINGS.pipeline)
    video_reader.add_predictions(
        [Prediction(dead, probabilities(5)), Prediction(987, probabilities(5))]
    )
    again = video_reader.see(frame(FPS, page(ROW[:1])), SETTINGS.pipeline)
    assert dead not in {t.id for t in again.tracks}
    found = video_reader.reading(again)
    assert found.digits == ()
    assert len(found.pending) == 1
    empty = video_reader.see(frame(3 * FPS, page([])), SETTINGS.pipeline)
    assert video_reader.reading(empty).digits == ()


# --- no flicker ---


@pytest.mark.parametrize("lost", [0, 1, 3])
@pytest.mark.parametrize("speed", [0, 3])
def test_a_digit_lost_for_a_frame_or_two_stays_in_the_reading(lost: int, speed: int) -> None:
    film = Film()
    for n in range(20):
        before = film.show(page(ROW, dx=speed * n))
    for missing in range(2):
        n = 20 + missing
        now = film.show(page([m for i, m in enumerate(ROW) if i != lost], dx=speed * n))
        assert text(now) == "3863"
        assert [d.track for d in now.digits] == [d.track for d in before.digits]
        held, was = now.digits[lost].box, before.digits[lost].box
        assert abs(held.x - was.x - speed * (missing + 1)) <= 3
        assert abs(held.y - was.y) <= 2
    back = film.show(page(ROW, dx=speed * 22))
    assert [d.track for d in back.digits] == [d.track for d in before.digits]


def test_a_digit_that_leaves_is_gone_within_half_a_second() -> None:
    film = Film()
    for _ in range(20):
        film.show(page())
    readings = [film.show(page(ROW[:3])) for _ in range(FPS)]
    lines = [text(r) for r in readings]
    gone = lines.index("386")
    assert 1 <= gone <= FPS // 2
    assert lines == ["3863"] * gone + ["386"] * (FPS - gone)


def test_a_page_that_is_taken_away_is_gone_within_half_a_second() -> None:
    film = Film()
    for _ in range(20):
        film.show(page())
    assert film.show(page([])).lines == ("3863",)
    for _ in range(FPS // 2):
        last = film.show(page([]))
    assert (last.digits, last.lines, last.pending, last.rejected) == ((), (), (), ())


def test_a_digit_moving_out_of_the_picture_is_not_held_outside() -> None:
    film = Film()
    for n in range(40):
        found = film.show(page(ROW, dx=-12 * n))
        assert all(d.box == d.box.clipped(640, 480) and d.box.area for d in found.digits)
        assert n > 10 or text(found) == "3863"
    for _ in range(FPS // 2):
        found = film.show(page([]))
    assert found.digits == ()


def test_a_shaking_page_reads_the_same_in_every_frame() -> None:
    film = Film()
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(40):
        dx, dy = rng.integers(-5, 6, 2)
        found = film.show(page(ROW, dx=float(dx), dy=float(dy)))
        seen.add((found.lines, tuple(d.track for d in found.digits)))
    assert len(seen) == 1
    assert seen.pop()[0] == ("3863",)


def test_what_lies_under_a_hand_is_not_read() -> None:
    video_reader, net = VideoReader(SETTINGS), FakeClassifier(by_holes)
    seen = video_reader.see(frame(0, page()), SETTINGS.pipeline, lambda box: box.x > 300)
    ask(video_reader, seen, net)
    assert text(video_reader.reading(seen)) == "38"


# --- limits and the end ---


def test_a_new_floor_counts_from_the_next_frame_on() -> None:
    video_reader, net = VideoReader(SETTINGS), FakeClassifier(by_holes, confidence=0.8)
    seen = video_reader.see(frame(0, page()), SETTINGS.pipeline)
    ask(video_reader, seen, net)
    assert text(video_reader.reading(seen)) == "3863"
    video_reader.configure(ReadingSettings(confidence=0.95))
    assert video_reader.reading(seen).digits == ()
    video_reader.configure(ReadingSettings(confidence=0.6))
    assert text(video_reader.reading(seen)) == "3863"


def test_reset_forgets_and_ids_go_on() -> None:
    film = Film()
    for _ in range(5):
        before = film.show(page())
    film.video_reader.reset()
    silent = film.show(page(), answer=False)
    assert silent.digits == ()
    assert len(silent.pending) == 4
    after = film.show(page())
    assert min(d.track for d in after.digits) > max(d.track for d in before.digits)


def test_a_video_is_read_frame_by_frame_at_once() -> None:
    video_reader, net = VideoReader(SETTINGS), FakeClassifier(by_holes)
    for n in range(10):
        found = read_video_frame(frame(n, page(dx=n)), video_reader, SETTINGS, net)
        assert (found.lines, found.frame, found.source) == (("3863",), n, "test")
        assert found.time == pytest.approx(n / FPS)
        assert found.pending == ()
    assert len(net.batches) < 10


@pytest.mark.parametrize("learned", [False, True], ids=["crop network", "judge"])
def test_classic_asks_crops_alone_whatever_the_model(learned: bool) -> None:
    fake = FakeJudge(by_holes, lambda _, evidence: np.zeros_like(evidence))
    net = fake if learned else FakeClassifier(by_holes)
    settings = replace(SETTINGS, pipeline=CLASSIC)
    video_reader = VideoReader(settings)
    for n in range(5):
        moving = read_video_frame(frame(n, page()), video_reader, settings, net)
    still = read_picture(frame(0, page()), settings, net)
    assert sorted(d.digit for d in moving.digits) == sorted(d.digit for d in still.digits)
    assert {3, 6, 8} >= {d.digit for d in still.digits}
    assert len(still.digits) >= 3
    assert fake.cutouts == []


def test_readings_are_in_frame_pixels_at_any_resolution() -> None:
    large = np.asarray(cv2.resize(page(), (2560, 1920), interpolation=cv2.INTER_CUBIC), np.uint8)
    small = Film().show(page())
    big = Film().show(large)
    assert text(small) == text(big) == "3863"
    for a, b in zip(small.digits, big.digits, strict=True):
        scaled = Box(a.box.x * 4, a.box.y * 4, a.box.w * 4, a.box.h * 4)
        assert b.box.iou(scaled) > 0.85


def test_held_digits_keep_what_they_were() -> None:
    film = Film()
    for _ in range(10):
        before = film.show(page())
    now = film.show(page(ROW[1:]))
    (held,) = (d for d in now.digits if d.track == before.digits[0].track)
    assert isinstance(held, Digit)
    assert (held.digit, held.confidence) == (3, before.digits[0].confidence)
