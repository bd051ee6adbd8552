"""What can break, a camera or a stream: connect, read until it breaks, connect again.

The source's thread watches a second one, the reader, which alone touches the device. A reader that
blocks is abandoned: a new one takes its place, what it still brings is discarded, and it gives its
device back whenever its read returns.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2

import av

from live_digits.capture.connection_state import Action, ConnectionState, State, Timeouts
from live_digits.capture.threaded_source import CLOSE, ThreadedSource
from live_digits.core.errors import SourceError
from live_digits.core.errors import one_line as said
from live_digits.core.types import Image, Mode, Signal, SourceInfo

log = logging.getLogger("live_digits.capture")

_REPORT = 30
"""Frames after which a live source logs its modes."""
_MOST_BLOCKED = 8
"""Abandoned readers that still block at most; only when one returns is the next try made."""
_LEAST_WAIT = 0.01
"""Seconds between two looks at the link at least."""
_LOOK = 0.25
"""Seconds between looks for a device that has come back."""
_READER = "reader "
"""How the names of readers' threads begin."""


class Connection(Protocol):
    """An open device or stream. One thread, the reader, has it to itself."""

    reported: Mode
    finite: bool
    """The end of its pictures is the end of the source, no loss."""

    def images(self) -> Iterator[Image | None]:
        """New pictures, each when it comes; None: nothing new, but not broken (at least every few
        seconds, where the device allows). Ends where the connection does. Raises SourceError."""
        ...

    def close(self) -> None:
        """Gives the device back."""


@dataclass(eq=False, slots=True)
class _Attempt:
    """One connection, from the call that opens it to the device's return."""

    ended: threading.Event = field(default_factory=threading.Event)
    """Set when it is abandoned or the source is closed."""
    thread: threading.Thread | None = None
    beside: bool = False
    """It began while an older one still held the device."""


class ReconnectingSource(ThreadedSource):
    """A camera or a stream: connect, read until it breaks, pause, connect again."""

    def __init__(self, info: SourceInfo, limits: Timeouts, first: Connection | None = None) -> None:
        """`first`: a connection that stands already."""
        super().__init__(info, lossless=False)
        self._limits, self._first = limits, first
        self._link: ConnectionState | None = None
        # Shares the lock: the watcher is woken by what matters, not by every frame.
        self._matters = threading.Condition(self._lock)
        self._try: _Attempt | None = None
        self._blocked: list[_Attempt] = []

    @abstractmethod
    def _connect(self, ended: threading.Event) -> Connection:
        """Opens the device or the connection; called by a reader. May block; should give up when
        `ended` is set. Raises SourceError."""

    def _worth_trying(self) -> bool:
        """Whether something has changed since the last call that makes a try worth while."""
        return False

    @property
    def reconnects(self) -> int:
        return self._link.reconnects if self._link else 0

    @property
    def state(self) -> State:
        with self._condition:
            return self._link.state if self._link else State.OPENING

    @property
    def signal(self) -> Signal:
        now = time.monotonic()
        with self._condition:
            if self._link is None:
                return Signal()
            link = self._link
            return Signal(link.silent(now), link.outages, link.reconnects, link.lost(now))

    def close(self) -> None:
        end = time.monotonic() + CLOSE
        with self._condition:
            if self._link and self._link.state is not State.CLOSED:
                self._link.close(time.monotonic())
            readers = [t for t in (self._try, *self._blocked) if t]
            for t in readers:
                t.ended.set()
            self._stop.set()
            self._matters.notify_all()
        super().close()
        threads = [t.thread for t in readers if t.thread]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            # It cannot be interrupted; its device is given back when the read returns, at the
            # latest with the process.
            log.debug("%s: a read still blocks while closing", self._info.name)

    # --- the watcher's thread ---

    def run(self) -> None:
        with self._condition:
            self._link = link = ConnectionState(self._limits, time.monotonic())
        while not self._stop.is_set() and not self._ended:
            changed = link.state is State.LOST and self._worth_trying()
            with self._condition:
                if changed:
                    link.retry_now(time.monotonic())
                self._step(link)

    def _step(self, link: ConnectionState) -> None:
        """Does what the link asks for, or waits until it may ask. The lock is held."""
        now = time.monotonic()
        self._blocked = [t for t in self._blocked if t.thread and t.thread.is_alive()]
        free = len(self._blocked) < _MOST_BLOCKED
        todo = link.tick(now, free)
        if todo is Action.CONNECT:
            self._begin()
        elif todo is Action.ABANDON:
            self._abandon()
        if link.state is State.CLOSED:
            self._fail_first()
        elif todo is Action.NOTHING and not self._stop.is_set():
            wait = max(link.wait(now), _LEAST_WAIT)
            if link.state is State.LOST:
                wait = min(wait, _LOOK) if free else _LOOK
            self._matters.wait(wait)

    def _begin(self) -> None:
        """Starts a reader. The lock is held."""
        attempt = self._try = _Attempt(beside=bool(self._blocked))
        name = f"{_READER}{self._info.name}"
        attempt.thread = threading.Thread(target=self._read, args=(attempt,), name=name)
        attempt.thread.daemon = True
        attempt.thread.start()

    def _abandon(self) -> None:
        """Gives the reader at hand up. The lock is held."""
        if self._try is not None:
            self._try.ended.set()
            self._blocked.append(self._try)
            self._try = None
        self._tell()

    def _fail_first(self) -> None:
        """No first frame: the source ends with an error. The lock is held."""
        if self.error is None and not self._stop.is_set():
            self.error = SourceError(
                f"{self._info.name} gave no frame within {self._limits.first:g} s; "
                "check that nothing else uses it, or try --source demo"
            )
        self._ended = True
        self._condition.notify_all()

    def _tell(self) -> None:
        """Notes and logs what the source waits for, a new reason once. The lock is held."""
        link = self._link
        if link is None or link.state is not State.LOST:
            return
        reason = link.reason
        name = self._info.name
        note = f"{reason if name in reason else f'{name}: {reason}'}; trying again"
        if note != self.note:
            log.log(logging.DEBUG if self.note else logging.WARNING, "%s", note)
            self.note = note

    # --- a reader's thread ---

    def _read(self, attempt: _Attempt) -> None:
        """Connects, reads to the end, gives the device back and says why."""
        connection: Connection | None = None
        reason: SourceError | None = None
        finite = False
        try:
            connection = self._open(attempt)
            with self._condition:
                if attempt is self._try:
                    self._info = replace(self._info, reported=connection.reported)
            finite = connection.finite
            for image in connection.images():
                if attempt.ended.is_set() or (image is not None and not self._take(attempt, image)):
                    return
        except SourceError as e:
            reason = e
        except Exception as e:
            log.debug("%s failed", self._info.name, exc_info=True)
            reason = SourceError(f"{self._info.name}: {type(e).__name__}: {said(e)}")
        finally:
            if connection is not None:
                self._close_quietly(connection)
            self._on_connection_end(attempt, reason, finite)

    def _open(self, attempt: _Attempt) -> Connection:
        first, self._first = self._first, None
        return first if first is not None else self._connect(attempt.ended)

    def _close_quietly(self, connection: Connection) -> None:
        """Gives a device back, which may have gone for good."""
        try:
            connection.close()
        except (OSError, cv2.error, av.FFmpegError) as e:
            log.debug("%s: closing failed: %s", self._info.name, type(e).__name__)

    def _take(self, attempt: _Attempt, image: Image) -> bool:
        """A frame of the connection at hand; False where it is not that any more."""
        with self._condition:
            link = self._link
            if attempt is not self._try or link is None or attempt.ended.is_set():
                return False
            now = time.monotonic()
            silent, before = link.silent(now), link.state
            link.frame(now)
            if before is not State.LIVE:
                self.note = ""
                self._arrivals.clear()
                self._matters.notify_all()
                if silent is not None:
                    log.warning("%s is back after %.1f s", self._info.name, silent)
            if self.captured == _REPORT - 1:
                self._report()
            return self.put(image, self.captured, now)

    def _on_connection_end(
        self, attempt: _Attempt, reason: SourceError | None, finite: bool
    ) -> None:
        """The reader's connection has ended and its device is free."""
        now = time.monotonic()
        with self._condition:
            link = self._link
            if link is None or self._stop.is_set():
                return
            if attempt is not self._try:
                link.retry_now(now)  # what it has blocked is free now
            else:
                self._try = None
                if finite and reason is None:
                    self._ended = True
                else:
                    opening = link.state is State.OPENING
                    ended = f"{self._info.name}: the connection ended"
                    if attempt.beside:  # what it says of other programs is not to the point
                        reason = SourceError(f"{self._info.name}: a read of it still blocks")
                    link.broken(now, str(reason) if reason else ended)
                    if opening:
                        self.error = reason or SourceError(ended)
                        self._ended = True
                    self._tell()
            self._condition.notify_all()
            self._matters.notify_all()

    def release(self) -> None:
        first, self._first = self._first, None
        if first is not None:
            self._close_quietly(first)

    def _report(self) -> None:
        info = self.info
        log.info(
            "%s: requested %s, reported %s, measured %s",
            info.name, info.requested, info.reported, info.measured,
        )  # fmt: skip


def blocked_readers() -> int:
    """Readers that are still alive, blocked in a driver or a library: the process must not wait
    for them, nor take itself apart while one may return."""
    return sum(t.name.startswith(_READER) for t in threading.enumerate())
