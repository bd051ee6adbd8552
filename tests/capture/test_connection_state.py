"""The state machine of a live source, by a clock of its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_digits.capture.connection_state import Action, ConnectionState, State, Timeouts

LIMITS = Timeouts(first=10.0, stale=1.0, lost=3.0, attempt=5.0, pauses=(0.1, 1.0))
STEP = 0.05


class Clocked:
    """A link whose time passes when a test says so; does what the link asks for."""

    def __init__(self, limits: Timeouts = LIMITS) -> None:
        self.now = 100.0
        self.link = ConnectionState(limits, self.now)
        self.connected: list[float] = []
        self.abandoned: list[float] = []
        self.tick()

    def tick(self) -> None:
        while (todo := self.link.tick(self.now)) is not Action.NOTHING:
            (self.connected if todo is Action.CONNECT else self.abandoned).append(self.now)

    def pass_time(self, seconds: float) -> None:
        """Ticks when the link itself asks to be asked."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + max(1e-3, self.link.wait(self.now)))
            self.tick()

    def frames(self, count: int = 10, every: float = 1 / 30) -> None:
        for _ in range(count):
            self.pass_time(every)
            self.link.frame(self.now)

    def breaks(self) -> None:
        self.link.broken(self.now, "it broke")
        self.tick()

    def state(self) -> State:
        return self.link.state


@pytest.fixture
def clocked() -> Clocked:
    found = Clocked()
    assert found.state() is State.OPENING
    assert len(found.connected) == 1
    return found


def test_the_first_frame_makes_it_live(clocked: Clocked) -> None:
    clocked.pass_time(9.0)
    assert clocked.state() is State.OPENING
    clocked.frames(1)
    assert clocked.state() is State.LIVE
    assert clocked.link.outages == clocked.link.reconnects == 0


def test_a_first_connection_that_breaks_is_the_end(clocked: Clocked) -> None:
    clocked.breaks()
    assert clocked.state() is State.CLOSED
    clocked.pass_time(100)
    assert len(clocked.connected) == 1


def test_no_first_frame_in_time_is_the_end(clocked: Clocked) -> None:
    clocked.pass_time(9.99)
    assert clocked.state() is State.OPENING
    clocked.pass_time(0.02)
    assert clocked.state() is State.CLOSED
    assert len(clocked.abandoned) == 1


def test_silence_is_stale_then_lost_and_the_connection_given_up(clocked: Clocked) -> None:
    clocked.frames()
    clocked.pass_time(0.99)
    assert clocked.state() is State.LIVE
    assert clocked.link.silent(clocked.now) is None
    clocked.pass_time(0.02)
    assert clocked.state() is State.STALE
    assert clocked.link.silent(clocked.now) == pytest.approx(1.01)
    assert clocked.abandoned == []
    clocked.pass_time(2.0)
    assert clocked.state() is State.LOST
    assert len(clocked.abandoned) == 1
    assert len(clocked.connected) == 2, "the next connection is tried at once"
    assert clocked.link.outages == 1


def test_a_stale_source_that_goes_on_was_not_connected_anew(clocked: Clocked) -> None:
    clocked.frames()
    clocked.pass_time(2.5)
    clocked.frames(1)
    assert clocked.state() is State.LIVE
    assert clocked.link.reconnects == 0
    assert clocked.link.outages == 1
    assert clocked.link.lost(clocked.now) == pytest.approx(2.5 + 1 / 30)
    assert clocked.link.silent(clocked.now) is None


@pytest.mark.parametrize("silence", [0.0, 2.0])
def test_a_connection_that_breaks_is_lost(clocked: Clocked, silence: float) -> None:
    clocked.frames(60)
    clocked.pass_time(silence)
    clocked.breaks()
    assert clocked.state() is State.LOST
    assert clocked.link.reason == "it broke"
    assert clocked.abandoned == []
    clocked.pass_time(0.11)
    assert len(clocked.connected) == 2
    clocked.frames(1)
    assert clocked.state() is State.LIVE
    assert clocked.link.reconnects == 1
    assert clocked.link.outages == 1


def test_a_break_that_is_mended_at_once_says_nothing(clocked: Clocked) -> None:
    clocked.frames(60)
    clocked.breaks()
    clocked.pass_time(0.3)
    assert clocked.link.silent(clocked.now) is None
    clocked.pass_time(0.7)
    assert clocked.link.silent(clocked.now) is not None


def test_pauses_grow_to_a_second_and_begin_anew_after_a_long_life(clocked: Clocked) -> None:
    clocked.frames(60)
    clocked.breaks()
    for pause in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0):
        tried = len(clocked.connected)
        clocked.pass_time(pause - 0.01)
        assert len(clocked.connected) == tried
        clocked.pass_time(0.02)
        assert len(clocked.connected) == tried + 1
        clocked.breaks()
    clocked.pass_time(1.0)
    clocked.frames(60)
    clocked.breaks()
    clocked.pass_time(0.11)
    assert clocked.connected[-1] == pytest.approx(clocked.now, abs=0.02)


def test_one_that_breaks_after_each_frame_is_not_tried_in_a_hurry(clocked: Clocked) -> None:
    clocked.frames(60)
    for _ in range(30):
        clocked.breaks()
        clocked.pass_time(1.01)
        clocked.frames(1)
    began = clocked.now
    tried = len(clocked.connected)
    while clocked.now < began + 10:
        clocked.breaks()
        while len(clocked.connected) == tried:
            clocked.pass_time(STEP)
        tried = len(clocked.connected)
        clocked.link.frame(clocked.now)
    assert clocked.connected[-1] - clocked.connected[-2] == pytest.approx(1.0, abs=STEP)


def test_a_try_that_brings_nothing_is_given_up(clocked: Clocked) -> None:
    clocked.frames()
    clocked.pass_time(3.1)
    assert len(clocked.connected) == 2
    clocked.pass_time(4.8)
    assert len(clocked.connected) == 2
    clocked.pass_time(0.5)
    assert len(clocked.abandoned) == 2
    assert len(clocked.connected) == 3


def test_what_has_come_back_is_tried_at_once(clocked: Clocked) -> None:
    clocked.frames(60)
    clocked.breaks()
    for _ in range(8):
        clocked.pass_time(1.0)
        clocked.breaks()
    tried = len(clocked.connected)
    clocked.link.retry_now(clocked.now)
    clocked.tick()
    assert len(clocked.connected) == tried + 1


def test_without_a_free_thread_no_connection_is_begun(clocked: Clocked) -> None:
    clocked.frames()
    clocked.breaks()
    clocked.now += 5
    assert clocked.link.tick(clocked.now, free=False) is Action.NOTHING
    assert clocked.link.tick(clocked.now, free=True) is Action.CONNECT


def test_a_slow_source_is_not_lost(clocked: Clocked) -> None:
    clocked.frames(10, every=2.0)
    clocked.pass_time(5.9)
    assert clocked.state() is State.LIVE
    clocked.pass_time(0.2)
    assert clocked.state() is State.STALE
    clocked.frames(30)
    clocked.pass_time(1.01)
    assert clocked.state() is State.STALE, "it has become a fast one"


@pytest.mark.parametrize("way", ["opening", "live", "stale", "lost", "tried"])
def test_closed_is_the_end_from_every_state(clocked: Clocked, way: str) -> None:
    if way != "opening":
        clocked.frames()
    if way == "stale":
        clocked.pass_time(2)
    if way in ("lost", "tried"):
        clocked.breaks()
    if way == "tried":
        clocked.pass_time(0.5)
    clocked.link.close(clocked.now)
    lost = clocked.link.lost(clocked.now)
    tried = len(clocked.connected)
    clocked.link.frame(clocked.now)
    clocked.link.broken(clocked.now, "late")
    clocked.now += 100
    clocked.tick()
    assert clocked.state() is State.CLOSED
    assert len(clocked.connected) == tried
    assert clocked.link.silent(clocked.now) is None
    assert clocked.link.lost(clocked.now) == lost


EVENTS = st.lists(
    st.one_of(
        st.floats(0.0, 8.0),
        st.sampled_from(["frame", "broken", "hurry", "burst"]),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(EVENTS)
def test_whatever_happens(events: list[float | str]) -> None:
    clocked = Clocked()
    link = clocked.link
    clocked.frames(3)
    last, lost = clocked.now, 0.0
    for event in events:
        running = len(clocked.connected) > len(clocked.abandoned) and link._trying
        if isinstance(event, float):
            clocked.pass_time(event)
        elif event == "hurry":
            link.retry_now(clocked.now)
        elif running and event == "broken":
            clocked.breaks()
            assert link.state is State.LOST
        elif running and event in ("frame", "burst"):
            clocked.frames(1 if event == "frame" else 20)
            if link._trying:
                last = clocked.now
        silent = link.silent(clocked.now)
        assert link.state in (State.LIVE, State.STALE, State.LOST)
        assert (silent is not None) <= (clocked.now - last >= LIMITS.stale - 1e-6)
        assert link.lost(clocked.now) >= lost - 1e-9
        lost = link.lost(clocked.now)
        assert lost <= clocked.now - 100.0
        assert link.reconnects < len(clocked.connected)
    # Whatever has happened: said within two seconds, and tried within two again and again.
    if link.patience <= LIMITS.stale:
        clocked.pass_time(2.0)
        assert link.silent(clocked.now) is not None
    clocked.pass_time(60)
    tried = len(clocked.connected)
    while not link._trying:
        clocked.pass_time(STEP)
    clocked.breaks()
    clocked.pass_time(1.01)
    assert len(clocked.connected) > tried
