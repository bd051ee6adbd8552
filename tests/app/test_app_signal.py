"""A source that loses its signal, in the live loop."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from app_kit import (
    DIGITS,
    HEIGHT,
    Maker,
    Story,
    lines_of,
    numbered,
    pictures,
    recorded,
    until,
)
from fakes import (
    FakeDevice,
    wait_until,
)

import av

from live_digits.capture.connection_state import Timeouts
from live_digits.capture.reconnecting_source import blocked_readers
from live_digits.core.types import Image
from live_digits.display.keymap import Command
from live_digits.recording.session import VIDEO

pytestmark = pytest.mark.usefixtures("no_thread_stays")


# --- a source that loses its signal ---

QUICK = Timeouts(first=30.0, stale=0.3, lost=0.8, attempt=5.0, pauses=(0.02, 0.1))


def failing() -> FakeDevice:
    device = FakeDevice(QUICK)
    device.images_given = partial(next, numbered())
    return device


def colourless(picture: Image) -> bool:
    """Whether the right edge, where nothing is written, is grey."""
    edge = picture[HEIGHT // 4 : HEIGHT * 3 // 4, -8:].astype(int)
    return int(np.ptp(edge, axis=2).max()) == 0


@pytest.mark.parametrize("fault", ["silent", "blocks", "breaks", "away", "ends"])
def test_no_signal_is_said_over_the_grey_last_frame_and_nothing_is_read_of_it(
    make: Maker, fault: str
) -> None:
    source = failing()
    run = make(source, record=True)
    times: list[float] = []

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        assert run.status.silent_s is None
        assert not colourless(run.screen.pictures[-1])
        source.fault = fault
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")
        last = run.readings[-1].frame
        shown = run.screen.shown
        yield from until(lambda: (run.status.silent_s or 0) > 1.2, "a second of it")
        times.append(run.status.silent_s or 0.0)
        assert run.screen.shown - shown >= 3, "the window lives"
        assert colourless(run.screen.pictures[-1])
        assert run.app._state.reading is not None
        assert run.app._state.reading.digits == ()
        assert run.app._state.reading.frame == last == run.readings[-1].frame
        assert run.status.fps == 0.0
        yield Command.EXTRACT
        yield Command.PREDICT
        yield Command.VIEW
        yield Command.VIEW
        source.fault = ""
        source.gate.set()
        yield from until(lambda: run.readings[-1].frame > last, "its return")
        for _ in range(5):
            yield Command.VIEW
        yield from until(lambda: run.status.silent_s is None and run.read_all(), "all digits")
        assert not colourless(run.screen.pictures[-1])

    outcome = run.play(story())
    source.gate.set()
    assert outcome.errors == ()
    assert outcome.stats["outages"] == 1
    assert outcome.stats["reconnects"] == (0 if source.opened == 1 else 1)
    assert outcome.stats["time_lost_s"] >= 1.2
    (folder,) = recorded(run.folder)
    lines = lines_of(folder)
    gap = max(b["time"] - a["time"] for a, b in itertools.pairwise(lines))
    assert gap == pytest.approx(outcome.stats["time_lost_s"], abs=0.1), "the gap, in its true time"
    with av.open(str(folder / VIDEO)) as film:
        stamps = [float(f.time or 0.0) for f in film.decode(video=0)]
    filmed = max(b - a for a, b in itertools.pairwise(stamps))
    assert filmed == pytest.approx(gap, abs=0.05)
    assert len(stamps) == len(lines)


@pytest.mark.parametrize("fault", ["silent", "blocks", "breaks", "away"])
def test_quit_works_without_a_signal(make: Maker, fault: str) -> None:
    source = failing()
    run = make(source)

    def story() -> Story:
        yield from pictures(5)
        source.fault = fault
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")

    run.play(story())
    assert source.finished
    source.gate.set()
    wait_until(lambda: source.given_back == source.opened, "the device's return")
    wait_until(lambda: not blocked_readers(), "the reader's end")


def test_a_frozen_picture_stays_while_the_signal_is_gone(make: Maker) -> None:
    source = failing()
    run = make(source)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        source.fault = "silent"
        yield from until(lambda: "no signal for" in run.status.message, "the message")
        assert run.status.silent_s is None
        assert run.app._state.reading is not None
        assert len(run.app._state.reading.digits) == DIGITS
        yield Command.FREEZE
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")

    run.play(story())
