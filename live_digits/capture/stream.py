"""Streams: RTSP and HTTP by their URL, and named pipes, each opened and decoded in a process of its
own (`stream_worker`), which bounds what it takes and can be ended whatever it does."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from live_digits.capture.connection_state import Timeouts
from live_digits.capture.reconnecting_source import ReconnectingSource
from live_digits.capture.stream_worker import (
    END,
    ERROR,
    FRAME,
    HEAD,
    MAX_TEXT,
    MISSED,
    NOTHING,
    OPENED,
    WARNING,
)
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError, redact, too_many_pixels
from live_digits.core.isolated_process import end, exactly, kill_group, start_isolated
from live_digits.core.sanitize import sanitize
from live_digits.core.types import Image, Mode, SourceInfo

log = logging.getLogger("live_digits.capture")

SCHEMES = ("rtsp", "rtsps", "http", "https")
_LIMITS = Timeouts(attempt=4.0)
"""The waiting times of a stream. A try ends before the system has asked a host that does not answer
for the third time (1, 3 and 7 s): the next one asks anew, so that none waits longer than 2 s."""
_READ = 4.0
"""Seconds without data after which a connection counts as broken; the link gives up sooner."""
_PIPE_BYTES = 2**20
"""What the pipe of frames holds, where the system lets it be set; fewer cost time per frame."""
_MAX_SIDE = 2**16
"""Pixels of a frame's side."""


class _Process:
    """The process that plays one stream after another. Belongs to one reader at a time."""

    def __init__(self, name: str) -> None:
        """Starts it. Raises SourceError."""
        self._name = name
        self.good = False
        """It has ended its last stream in order and can play another."""
        try:
            self._process = start_isolated(
                "from live_digits.capture.stream_worker import serve; serve()"
            )
        except OSError as e:
            raise SourceError(f"{name}: no process can be started: {e.strerror or e}") from e
        assert self._process.stdout is not None
        self._answers: IO[bytes] = self._process.stdout
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def ask(self, **asked: str | int | float) -> None:
        """Begins a stream. Raises SourceError."""
        self.good = False
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as e:
            raise self._broken() from e

    def next(self, most: int) -> tuple[bytes, tuple[int, int, int], float, Image | None]:
        """Returns the next message: its kind, numbers and picture. Raises SourceError, as well for
        the other side's own errors and for what is no message."""
        try:
            kind, *numbers, real = HEAD.unpack(exactly(self._answers, HEAD.size))
            first, second, third = numbers
            if kind == FRAME:
                return kind, (first, second, third), real, self._picture(first, second, most)
            if kind in (ERROR, WARNING):
                if first > MAX_TEXT:
                    raise ValueError(f"a text of {first} bytes")
                text = sanitize(exactly(self._answers, first).decode("utf-8", "replace"))
                if kind == ERROR:
                    self.good = True
                    raise SourceError(text)
                log.warning("%s", text)
            elif kind not in (OPENED, MISSED, END, NOTHING):
                raise ValueError(f"a message of kind {kind!r}")
        except (OSError, EOFError, ValueError) as e:
            raise self._broken() from e
        self.good = kind == END
        return kind, (first, second, third), real, None

    def _picture(self, width: int, height: int, most: int) -> Image:
        if not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
            raise ValueError(f"a frame of {width}×{height} pixels")
        if width * height > most:
            raise too_many_pixels(f"{self._name} has frames of", (width, height), most)
        picture = np.empty((height, width, 3), np.uint8)
        rest = picture.data.cast("B")
        while rest:
            count = self._answers.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise EOFError("a frame is cut off")
            rest = rest[count:]
        return picture

    def _broken(self) -> SourceError:
        self.close()
        status = self._process.returncode
        return SourceError(f"{self._name}: what reads it broke down (exit status {status})")

    def kill(self) -> None:
        """Makes the reader's next message the last; for other threads."""
        kill_group(self._process)

    def close(self) -> None:
        """Ends the process. May be called twice; for the reader."""
        end(self._process)


class _StreamConnection:
    """An open stream. Implements `reconnecting_source.Connection`."""

    def __init__(self, feed: _ProcessFeed, process: _Process, ended: threading.Event) -> None:
        """Waits for the stream to open. Raises SourceError."""
        self._feed, self._process, self._ended = feed, process, ended
        while True:
            kind, (width, height, finite), rate, _ = process.next(feed.most)
            if kind == OPENED:
                break
            if ended.is_set() or kind not in (NOTHING, WARNING):
                raise SourceError(f"{feed.info.name} was given up while it was opened")
        self.reported = Mode(width, height, rate)
        self.finite = bool(finite)

    def images(self) -> Iterator[Image | None]:
        while not self._ended.is_set():
            kind, (count, _, _), _, picture = self._process.next(self._feed.most)
            if kind == END:
                return
            if kind == MISSED:
                self._feed.miss(count)
            yield picture

    def close(self) -> None:
        self._feed.give_back(self._process)


class _ProcessFeed(ReconnectingSource):
    """What a process of its own opens and decodes."""

    def __init__(self, name: str, settings: SourceSettings) -> None:
        info = SourceInfo(redact(name), "stream")
        super().__init__(info, replace(_LIMITS, first=settings.timeout))
        self.most = settings.max_pixels
        self._patience = settings.timeout
        self._idle = [_Process(self._info.name)]
        self._processes = set(self._idle)
        """All that live, in use or not."""

    def _play(self, where: str, ended: threading.Event, *, pipe: bool) -> _StreamConnection:
        """Lets a process open the stream. Raises SourceError."""
        wait = self._patience if not self.captured else _LIMITS.attempt
        process = self._take_process()
        try:
            process.ask(
                name=self._info.name, where=where, pipe=pipe, pixels=self.most, open=wait,
                read=min(wait, _READ),
            )  # fmt: skip
            return _StreamConnection(self, process, ended)
        except BaseException:
            self.give_back(process)
            raise

    def run(self) -> None:
        process = self._take_process()
        process.next(self.most)  # the first frame's time counts from where there is a process
        process.good = True
        self.give_back(process)
        super().run()

    def _take_process(self) -> _Process:
        """Raises SourceError."""
        with self._condition:
            if self._idle:
                return self._idle.pop()
            if self._stop.is_set():
                raise SourceError(f"{self._info.name} is closed")
            process = _Process(self._info.name)
            self._processes.add(process)
            return process

    def give_back(self, process: _Process) -> None:
        """Keeps a process for the next try, or ends one that is in the middle of a stream."""
        with self._condition:
            if process.good and not self._stop.is_set():
                self._idle.append(process)
                return
            self._processes.discard(process)
        process.close()

    def miss(self, count: int) -> None:
        """Counts frames that were due and are skipped."""
        self.skip(count)

    def close(self) -> None:
        with self._condition:
            self._stop.set()
            for process in self._processes:
                process.kill()
        super().close()

    def release(self) -> None:
        super().release()
        with self._condition:
            idle, self._idle = self._idle, []
            self._processes.difference_update(idle)
        for process in idle:
            process.close()


class Stream(_ProcessFeed):
    """A stream by its URL."""

    def __init__(self, url: str, settings: SourceSettings) -> None:
        super().__init__(url, settings)
        self._url = url

    def _connect(self, ended: threading.Event) -> _StreamConnection:
        return self._play(self._url, ended, pipe=False)


class Pipe(_ProcessFeed):
    """A named pipe that another program writes a stream into."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        super().__init__(str(path), settings)
        self._path = path.absolute()

    def _connect(self, ended: threading.Event) -> _StreamConnection:
        return self._play(str(self._path), ended, pipe=True)
