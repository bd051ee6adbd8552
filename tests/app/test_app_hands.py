"""Hands in the live loop: what they hide, gestures, air writing."""

from __future__ import annotations

import numpy as np
import pytest
from app_kit import (
    HEIGHT,
    WIDTH,
    Maker,
    Script,
    Story,
    lines_of,
    numbered,
    pictures,
    recorded,
    until,
)
from fakes import (
    FIST,
    PALM,
    POINTING,
    THUMB_UP,
    TWO,
    FakeHands,
    FakeSource,
    hand,
)

from live_digits.display.keymap import Command
from live_digits.hands.landmarks import Hand

pytestmark = pytest.mark.usefixtures("no_thread_stays")


# --- hands ---


def shown_hand(points: list[tuple[float, float]], seconds: tuple[float, float]) -> Script:
    """A hand between two moments of the source's own time, else none."""
    there = hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60)
    return lambda time: (there,) if seconds[0] <= time < seconds[1] else ()


def test_an_open_palm_freezes_and_a_fist_lets_go(make: Maker) -> None:
    def script(time: float) -> tuple[Hand, ...]:
        points = PALM if time < 2 else FIST
        return (hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60),) if 1 < time % 2 < 1.9 else ()

    worker = FakeHands(script)
    run = make(FakeSource(numbered(130)), hands=worker, on=("open_palm", "fist"))
    outcome = run.app.run()
    times = [r.time for r in run.readings]
    assert [t for t in times if 1.6 < t < 3.4] == [], "a frozen picture takes no new frames"
    assert len([t for t in times if t < 1.5]) > 40
    assert len([t for t in times if t > 3.6]) > 15
    assert not run.status.frozen
    assert outcome.stats["hands"]["gestures"] == {"open_palm": 1, "fist": 1}
    assert worker.offered == 130, "a frozen picture is looked at too"
    rings = [s.ring for s in run.statuses if s.ring]
    assert rings[0].name == "open_palm"
    shares = [r.share for r in rings if r.name == "open_palm"]
    assert shares == sorted(shares)
    assert shares[-1] > 0.8


def test_gestures_are_off_unless_they_are_asked_for(make: Maker) -> None:
    run = make(FakeSource(numbered(60)), hands=FakeHands(shown_hand(PALM, (0.2, 2))))
    outcome = run.app.run()
    assert not any(s.frozen or s.ring for s in run.statuses)
    assert outcome.stats["hands"]["gestures"] == {}


def test_a_thumb_records_and_two_fingers_extract(make: Maker) -> None:
    def script(time: float) -> tuple[Hand, ...]:
        points = THUMB_UP if time < 2 else TWO
        return (hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60),) if time % 2 < 1 else ()

    run = make(FakeSource(numbered(110)), hands=FakeHands(script), on=("thumb_up", "two_fingers"))
    outcome = run.app.run()
    assert len(outcome.recordings) == 1
    assert len(run.screen.sheets) == 1
    assert outcome.stats["hands"]["gestures"] == {"thumb_up": 1, "two_fingers": 1}


def finger(path: list[tuple[float, float]], start: float, seconds: float = 0.8) -> Script:
    """A raised index that follows a path, in shares of the picture."""

    def script(time: float) -> tuple[Hand, ...]:
        if not start <= time < start + seconds:
            return ()
        along = (time - start) / seconds * (len(path) - 1)
        x, y = (float(np.interp(along, range(len(path)), [p[k] for p in path])) for k in (0, 1))
        tip = np.array(POINTING[8]) * 50
        return (hand(POINTING, x * WIDTH - tip[0], y * HEIGHT - tip[1], 50),)

    return script


def test_a_finger_writes_a_number_that_is_shown_read_and_recorded(make: Maker) -> None:
    seven = [(0.3, 0.3), (0.6, 0.3), (0.45, 0.8)]
    first, second = finger(seven, 0.5), finger(seven, 2.5)
    run = make(
        FakeSource(numbered(140)),
        hands=FakeHands(lambda t: (*first(t), *second(t))),
        air=True, lockstep=True, record=True,
    )  # fmt: skip
    outcome = run.app.run()
    written = [d for d in run.readings[-1].digits if d.origin]
    assert len(written) == 2
    assert all(d.track < 0 for d in written)
    number = "".join(str(d.digit) for d in written)
    assert outcome.lines[-1] == number
    air = run.statuses[-1].air
    assert air is not None
    assert air.number == number
    assert any(s.air and s.air.strokes for s in run.statuses)
    (folder,) = recorded(run.folder)
    lines = lines_of(folder)
    assert [d["origin"] for d in lines[-1]["digits"] if "origin" in d] == ["air", "air"]
    assert lines[-1]["lines"][-1] == number
    assert not any("origin" in d for d in lines[5]["digits"])
    assert any(d["track"] > 0 for d in lines[-1]["digits"]), "the page is read as ever"


def test_an_open_palm_takes_back_what_was_written_and_holding_it_clears(make: Maker) -> None:
    seven = [(0.3, 0.3), (0.6, 0.3), (0.45, 0.8)]
    digits = [finger(seven, start) for start in (0.5, 2.5, 4.5)]
    palms = [shown_hand(PALM, (7, 7.9)), shown_hand(PALM, (9, 11.2))]
    run = make(
        FakeSource(numbered(340)),
        hands=FakeHands(lambda t: tuple(h for s in (*digits, *palms) for h in s(t))),
        air=True, lockstep=True, on=("open_palm",),
    )  # fmt: skip
    run.app.run()

    def count(time: float) -> int:
        return sum(bool(d.origin) for r in run.readings if abs(r.time - time) < 1e-6
                   for d in r.digits)  # fmt: skip

    assert [count(t) for t in (2.0, 4.0, 6.5, 8.5)] == [1, 2, 3, 2]
    assert count(10.0) == 1
    assert count(11.0) == 0
    assert not any(s.frozen for s in run.statuses), "an open palm takes back and does not freeze"


def test_the_key_f_begins_and_ends_writing(make: Maker) -> None:
    def story() -> Story:
        yield from pictures(3)
        assert run.status.air is None
        yield Command.AIR
        yield from until(lambda: run.status.air is not None, "air writing")
        assert "index finger" in run.status.message
        yield Command.AIR
        yield from until(lambda: run.status.air is None, "its end")

    run = make(hands=FakeHands(lambda t: ()))
    run.play(story())


def test_the_key_f_without_hands_says_what_is_missing(make: Maker) -> None:
    def story() -> Story:
        yield from pictures(2)
        yield Command.AIR
        yield from until(lambda: "hands.mode=on" in run.status.message, "the message")
        assert run.status.air is None

    run = make()
    run.play(story())


def test_looking_for_hands_begins_after_the_first_picture(make: Maker) -> None:
    worker = FakeHands(lambda t: ())
    run = make(FakeSource(numbered(1)), hands=worker)
    run.app.run()
    assert worker.started == 0, "one picture: the window came first"
    worker = FakeHands(lambda t: ())
    make(FakeSource(numbered(5)), hands=worker).app.run()
    assert worker.started == 1


def test_a_hand_over_the_page_hides_boxes_and_is_counted(make: Maker) -> None:
    there = shown_hand(PALM, (2.0, 3.0))
    run = make(FakeSource(numbered(120)), hands=FakeHands(there), lockstep=True)
    outcome = run.app.run()
    assert outcome.stats["hands"]["masked"] > 0
    seen = {d.track: d.digit for d in run.readings[50].digits}
    for reading in run.readings[50:]:
        assert {d.track: d.digit for d in reading.digits} == seen


def test_hands_off_are_not_counted(make: Maker) -> None:
    outcome = make(FakeSource(numbered(5)), mode="off").app.run()
    assert outcome.stats["hands"] is None
    counted = make(FakeSource(numbered(5))).app.run().stats["hands"]
    assert counted == {"frames": 0, "seen": 0, "ms": None, "masked": 0, "gestures": {}}
