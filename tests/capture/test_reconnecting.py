"""Live sources whose device fails in every way there is; real threads, a made-up device."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from fakes import FakeDevice, wait_until

from live_digits.capture import reconnecting_source
from live_digits.capture.connection_state import State, Timeouts
from live_digits.capture.reconnecting_source import blocked_readers
from live_digits.core.types import Frame

QUICK = Timeouts(first=30.0, stale=0.3, lost=0.8, attempt=1.0, pauses=(0.02, 0.1))
SLOW = Timeouts(first=0.5, stale=0.3, lost=0.8, attempt=1.0, pauses=(0.02, 0.1))
CLOSES = 1.0
"""Seconds that closing may take."""


@contextlib.contextmanager
def device(fault: str = "", limits: Timeouts = QUICK) -> Iterator[FakeDevice]:
    made = FakeDevice(limits, fault)
    made.start()
    try:
        yield made
    finally:
        made.gate.set()
        made.close()
        wait_until(lambda: not ours(), "the last thread's end")
        assert made.given_back == made.opened, "every connection is given back"


def ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("source ", "reader "))]


def next_frame(source: FakeDevice) -> Frame:
    found: list[Frame] = []

    def came() -> bool:
        frame = source.read(0.01)
        if frame:
            found.append(frame)
        return bool(found)

    wait_until(came, "a frame")
    return found[0]


def connection_of(frame: Frame) -> int:
    return int(frame.image[0, 0, 0])


def drained(source: FakeDevice) -> None:
    while source.read(0.0) is not None:
        pass


MEANS = {
    "silent": "no frame comes any more",
    "blocks": "no frame comes any more",
    "breaks": "fake camera was unplugged",
    "ends": "fake camera: the connection ended",
    "fails": "fake camera: ValueError: nobody thought of this",
    "away": "fake camera",
    "opening blocks": "fake camera",
}


@pytest.mark.parametrize("fault", MEANS)
def test_a_fault_is_seen_said_and_survived(fault: str) -> None:
    with device() as source:
        next_frame(source)
        assert source.state is State.LIVE
        assert source.signal.silent is None
        source.fault = fault
        source.size = 80, 60
        wait_until(lambda: source.signal.silent is not None, "the silence")
        wait_until(lambda: source.state is State.LOST, "the loss")
        wait_until(lambda: MEANS[fault] in source.note, "the reason")
        assert source.note.endswith("; trying again")
        assert source.signal.outages == 1
        assert not source.finished
        source.fault = ""
        source.gate.set()
        wait_until(lambda: source.state is State.LIVE, "its return")
        drained(source)
        frame = next_frame(source)
        assert frame.image.shape == (60, 80, 3), "it may come back with another size"
        assert connection_of(frame) == source.opened > 1
        assert source.note == ""
        assert source.error is None
        assert source.signal.silent is None
        assert source.signal.reconnects == 1
        assert source.signal.outages == 1
        assert source.signal.lost_s >= QUICK.stale
        assert (source.info.reported.width, source.info.reported.height) == (80, 60)


def test_a_short_silence_needs_no_new_connection() -> None:
    limits = Timeouts(first=30.0, stale=0.3, lost=60.0)
    with device(limits=limits) as source:
        next_frame(source)
        source.fault = "silent"
        wait_until(lambda: source.state is State.STALE, "the silence")
        source.fault = ""
        wait_until(lambda: source.state is State.LIVE, "its return")
        assert source.opened == 1
        assert source.signal.reconnects == 0


def test_a_blocked_read_holds_up_nothing_and_its_late_picture_is_discarded() -> None:
    with device() as source:
        next_frame(source)
        source.fault = "blocks"
        wait_until(lambda: source.blocked == 1, "the block")
        source.fault = ""
        drained(source)
        assert source.read(0.01) is None, "asking is not held up"
        wait_until(lambda: source.opened == 2, "the next try, while the read still blocks")
        frames = [next_frame(source)]
        assert source.blocked == 1
        given_back = source.given_back
        source.gate.set()
        wait_until(lambda: source.given_back == given_back + 1, "the blocked device's return")
        frames += [next_frame(source) for _ in range(10)]
        assert {connection_of(f) for f in frames} == {2}
        assert all(b.seq > a.seq for a, b in itertools.pairwise(frames))


def test_readers_that_never_return_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting_source, "_MOST_BLOCKED", 3)
    limits = Timeouts(first=30.0, stale=0.1, lost=0.2, attempt=0.05, pauses=(0.01, 0.02))
    with device(limits=limits) as source:
        next_frame(source)
        source.fault = "opening blocks"
        wait_until(lambda: source.blocked == 3, "three blocked readers")
        time.sleep(0.5)
        assert source.blocked == 3
        source.fault = ""
        source.gate.set()
        wait_until(lambda: source.state is State.LIVE, "its return")


@pytest.mark.parametrize("fault", ["", "silent", "blocks", "breaks", "away", "opening blocks"])
@pytest.mark.parametrize("lasting", [False, True])
def test_closing_is_quick_in_every_state(fault: str, lasting: bool) -> None:
    with device() as source:
        next_frame(source)
        source.fault = fault
        if fault:
            wanted = (State.LOST,) if lasting else (State.STALE, State.LOST)
            wait_until(lambda: source.state in wanted, "the fault")
        start = time.monotonic()
        source.close()
        took = time.monotonic() - start
        assert took < CLOSES + 1.0, "a loaded machine may take a little longer"
        assert source.state is State.CLOSED
        assert source.finished
        assert source.read(0.01) is None
        blocked = fault in ("blocks", "opening blocks")
        assert bool(blocked_readers()) == (blocked and source.blocked > 0)
        readers = [t for t in threading.enumerate() if t.name.startswith("reader ")]
        assert all(t.daemon for t in readers), "what blocks ends with the process"


def test_closing_before_the_first_frame() -> None:
    with device("opening blocks") as source:
        wait_until(lambda: source.blocked == 1, "the block")
        assert source.state is State.OPENING
        start = time.monotonic()
        source.close()
        assert time.monotonic() - start < CLOSES + 1.0
        assert source.finished
        assert source.error is None


@pytest.mark.parametrize("fault", ["silent", "blocks", "opening blocks"])
def test_a_first_frame_that_never_comes_is_an_error(fault: str) -> None:
    with device(fault, SLOW) as source:
        wait_until(lambda: source.finished, "the end")
        assert "fake camera gave no frame within 0.5 s" in str(source.error)
        assert source.state is State.CLOSED
        assert source.signal.silent is None


@pytest.mark.parametrize(
    ("fault", "said"), [("away", "is not there"), ("fails", "nobody thought"), ("ends", "ended")]
)
def test_a_first_connection_that_fails_is_an_error(fault: str, said: str) -> None:
    with device(fault) as source:
        wait_until(lambda: source.finished, "the end")
        assert said in str(source.error)
        assert source.opened <= 1


def test_an_outage_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "live_digits.capture"), device() as source:
        next_frame(source)
        source.fault = "breaks"
        wait_until(lambda: source.state is State.LOST, "the loss")
        source.fault = "away"
        wait_until(lambda: source.signal.silent is not None, "the silence")
        source.fault = ""
        wait_until(lambda: source.state is State.LIVE, "its return")
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(said) == 2
    assert "trying again" in said[0]
    assert "is back after" in said[1]


def test_many_faults_leave_nothing_behind() -> None:
    chance = np.random.default_rng(1)
    with device() as source:
        for fault in chance.permutation([*MEANS, *MEANS]):
            next_frame(source)
            source.gate.clear()
            source.fault = str(fault)
            wait_until(lambda: source.state is State.LOST, f"the loss by {fault}")
            source.fault = ""
            source.gate.set()
            wait_until(lambda: source.state is State.LIVE, f"its return from {fault}")
        assert source.signal.outages == 2 * len(MEANS)
        wait_until(lambda: len(ours()) == 2, "watcher and reader alone")
