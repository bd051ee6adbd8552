"""The state machine of a live source: opening, live, stale, lost, closed.

Pure: events come in with their times, the state and what to do next come out. It owns no thread, no
device and no clock; `reconnecting_source` runs it.

    opening ──frame──▶ live ──silence──▶ stale ──silence──▶ lost ⟲ tries with growing pauses
       │                ▲ └───broken──────┼────broken────────▶│
       │                └──────frame──────┴───────frame───────┘
       └──broken, or no frame in time──▶ closed   (as every state, by `close`)
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a live source stands."""

    OPENING = "opening"
    """No frame yet, ever."""
    LIVE = "live"
    STALE = "stale"
    """Connected, but frames have stopped coming."""
    LOST = "lost"
    """Broken or given up; tried anew."""
    CLOSED = "closed"


class Action(Enum):
    """What the link asks for."""

    NOTHING = "nothing"
    CONNECT = "connect"
    """Begin a new connection."""
    ABANDON = "abandon"
    """Give up the connection at hand; what it still brings does not count."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first`: until the very first frame, after which the source fails. `stale`: without
    a frame until the signal counts as gone; `lost`: until the connection is given up as well.
    `attempt`: what a new connection gets for its first frame. `pauses`: before the first and the
    last try to connect again; they double between, and the last is short: the picture shall be back
    within 2 s."""

    first: float = 10.0
    stale: float = 1.0
    lost: float = 3.0
    attempt: float = 5.0
    pauses: tuple[float, float] = (0.1, 0.8)


_SLOW = 3.0
"""A source is stale after so many of its own usual intervals, where these are longer than a second
in all: one frame in two seconds is slow, not lost."""
_SLOWEST = 20.0
"""Seconds; no source is slower than that."""
_INTERVALS, _FEWEST = 15, 5
"""Newest intervals between frames from which the usual one is taken, and the fewest that tell."""


class ConnectionState:
    """One source's state. Not for several threads at once: the owner holds a lock."""

    def __init__(self, limits: Timeouts, now: float) -> None:
        self.state = State.OPENING
        self.reason = ""
        """Why the last connection broke."""
        self.outages = 0
        self.reconnects = 0
        """Connections after the first that brought a frame."""
        self._limits = limits
        self._begun = now
        self._last = now
        self._live_since = now
        self._lost_before = 0.0
        self._intervals: deque[float] = deque(maxlen=_INTERVALS)
        self._pause = limits.pauses[0]
        self._trying = False
        """There is a connection, or one is being made."""
        self._tried_at = self._retry_at = now
        self._connections = self._delivered = 0

    # --- events ---

    def frame(self, now: float) -> None:
        """The connection at hand brought a frame."""
        if self.state is State.CLOSED:
            return
        if self.state in (State.LIVE, State.STALE):
            # Silences count as well: a source that is slow from the start must be known as such.
            self._intervals.append(now - self._last)
        if self.state is not State.LIVE:
            if self.state is not State.OPENING:
                self._lost_before += now - self._last
            self.state, self._live_since = State.LIVE, now
            if self._delivered not in (0, self._connections):
                self.reconnects += 1
        self._delivered = self._connections
        self._last = now

    def broken(self, now: float, reason: str) -> None:
        """The connection at hand has ended, or could not be made."""
        if self.state is State.CLOSED:
            return
        self._trying, self.reason = False, reason
        if self.state is State.OPENING:
            self.state = State.CLOSED
            return
        if self.state is State.LIVE:
            self.outages += 1
            # One that breaks at once again and again is no reason to hurry.
            if now - self._live_since > self._limits.pauses[1]:
                self._pause = self._limits.pauses[0]
        elif self.state is State.STALE:
            self._pause = self._limits.pauses[0]
        self.state = State.LOST
        self._later(now)

    def retry_now(self, now: float) -> None:
        """Something has changed that makes a try worth while: a camera was plugged in, or a blocked
        device was given back."""
        self._retry_at = now
        self._pause = self._limits.pauses[0]

    def close(self, now: float) -> None:
        if self.state in (State.STALE, State.LOST):
            self._lost_before += now - self._last
        self.state, self._trying = State.CLOSED, False

    def tick(self, now: float, free: bool = True) -> Action:
        """What is due at this time; to be asked until it is nothing. `free` False: no new
        connection can be begun now."""
        limits = self._limits
        if self.state is State.OPENING:
            if not self._trying:
                return self._connect(now)
            if now - self._begun >= limits.first:
                self.state, self._trying = State.CLOSED, False
                return Action.ABANDON
        if self.state is State.LIVE and now - self._last >= self.patience:
            self.state = State.STALE
            self.outages += 1
        if self.state is State.STALE and now - self._last >= self._give_up:
            self.state, self.reason = State.LOST, "no frame comes any more"
            self._trying, self._pause, self._retry_at = False, limits.pauses[0], now
            return Action.ABANDON
        if self.state is State.LOST:
            if self._trying and now - self._tried_at >= limits.attempt:
                self._trying = False
                self._later(now)
                return Action.ABANDON
            if not self._trying and free and now >= self._retry_at:
                return self._connect(now)
        return Action.NOTHING

    # --- what it knows ---

    @property
    def patience(self) -> float:
        """Seconds without a frame from which this source counts as silent."""
        known = len(self._intervals) >= _FEWEST
        usual = statistics.median(self._intervals) if known else 0.0
        return max(self._limits.stale, min(_SLOW * usual, _SLOWEST))

    @property
    def _give_up(self) -> float:
        return max(self._limits.lost, self.patience + self._limits.lost - self._limits.stale)

    def wait(self, now: float) -> float:
        """Seconds until `tick` may have something to do, if nothing happens before."""
        limits = self._limits
        due = {
            State.OPENING: self._begun + limits.first,
            State.LIVE: self._last + self.patience,
            State.STALE: self._last + self._give_up,
            State.LOST: self._tried_at + limits.attempt if self._trying else self._retry_at,
            State.CLOSED: now,
        }
        return max(0.0, due[self.state] - now)

    def silent(self, now: float) -> float | None:
        """Seconds since the last frame where the signal is gone, else None. A connection that is
        made anew at once is not worth a word."""
        if self.state not in (State.STALE, State.LOST) or now - self._last < self._limits.stale:
            return None
        return now - self._last

    def lost(self, now: float) -> float:
        """Seconds without signal so far: from each outage's last frame to the first after it."""
        running = self.state in (State.STALE, State.LOST)
        return self._lost_before + (now - self._last if running else 0.0)

    # --- steps ---

    def _connect(self, now: float) -> Action:
        self._trying, self._tried_at = True, now
        self._connections += 1
        return Action.CONNECT

    def _later(self, now: float) -> None:
        """Sets the next try; the one after that waits longer."""
        self._retry_at = now + self._pause
        self._pause = min(2 * self._pause, self._limits.pauses[1])
