"""Recordings: annotated.mp4, readings.jsonl and session.yaml, written on a thread of their own.

A recording is a folder DATE_TIME that is never used twice. The videos are H.264 in short fragments,
so a process that is killed leaves files that play; their times are the frames' own. Another size
or rate of the frames begins another part in the same folder. The readings are one whole line a
frame. `session.yaml` is there from the start, with `ended: null` until the recording is closed.

Two threads: one encodes and writes; one has the disk keep what was written and looks at the free
space, so that a disk that takes its time makes frames drop and nothing else wait.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import math
import platform
import queue
import threading
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import av

import live_digits
from live_digits.config.settings import RecordingSettings
from live_digits.core.errors import RecordingError, one_line
from live_digits.core.types import Image, Reading
from live_digits.recording.durable_files import JsonLinesFile, sync_folder, sync_path
from live_digits.recording.session import (
    RAW,
    READINGS,
    SCRATCH,
    SESSION,
    VIDEO,
    RecordingSummary,
    free_mb,
    new_folder,
    part_name,
    save_session,
    to_plain_yaml,
)
from live_digits.recording.video_writer import FAILURES, Mp4Writer

QUEUE = 16
"""Most frames that wait for the encoder; more are dropped."""
QUEUE_BYTES = 128_000_000
"""Most bytes of pictures that wait: of large ones fewer than `QUEUE`, but always one."""
SYNC_EVERY = 0.4
"""Seconds between the moments at which the disk is made to keep what was written, and is looked at:
its free space, and whether the folder is still there."""
IDLE = 0.5
"""Seconds between looks at a failure of the guard while no frame comes."""
SAME_RATE = 0.05
"""Share by which a source's rate may differ before it counts as another."""
JOIN_TIMEOUT = 20.0
"""Seconds that close waits for a disk that does not answer."""


@dataclass(slots=True)
class _Part:
    """One video file of the recording, and the raw one beside it."""

    number: int
    width: int
    height: int
    fps: float
    begun: float
    film: Mp4Writer
    raw: Mp4Writer | None = None
    frames: int = 0

    def as_dict(self, origin: float) -> dict[str, Any]:
        """Its entry in session.yaml; `origin`: the time of the recording's first frame."""
        return {
            "video": part_name(VIDEO, self.number),
            "raw": part_name(RAW, self.number) if self.raw else None,
            "start": round(self.begun - origin, 4) if self.frames else 0.0,
            "seconds": round(self.film.seconds, 3),
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "fps": round(self.fps, 3),
        }

    def fits(self, image: Image, fps: float) -> bool:
        """Whether a frame belongs to this part. A rate of 0 is not known and fits any."""
        if image.shape[:2] != (self.height, self.width):
            return False
        return not fps or not self.fps or abs(fps - self.fps) <= SAME_RATE * self.fps


@dataclass(frozen=True, slots=True)
class _QueuedFrame:
    """A frame on its way to the files; `bytes`: what it keeps in memory."""

    image: Image
    reading: Reading
    time: float
    raw: Image | None
    fps: float
    bytes: int


class Recorder:
    """One recording, from its opening to `close`. One thread calls `write`.

    `path` is the recording's folder, absolute. `error` is set when writing has failed or the disk
    has become full: the recording has stopped then, and what was written stays playable.
    """

    path: Path
    error: RecordingError | None

    def __init__(
        self,
        settings: RecordingSettings,
        width: int,
        height: int,
        fps: float,
        session: Mapping[str, Any],
    ) -> None:
        """Opens the folder and its files and starts the threads.

        `width`, `height`: pixels of the frames to come. `fps`: the source's rate, 0 where unknown;
        it is only the duration of a single frame, the times are the frames' own. `session`: what
        session.yaml shall hold besides the recorder's own entries.

        Raises RecordingError if the folder cannot be made or written, if the disk has less than
        `settings.min_free_mb`, or if the encoder refuses the size.
        """
        self.error = None
        self._settings = settings
        self._started = datetime.now().astimezone()
        self._ended: datetime | None = None
        self._session = to_plain_yaml(session)
        self._frames = 0
        self._refused = 0  # counted by the caller of write
        self._lost = 0  # counted by the recorder's thread
        self._given = self._taken = 0  # bytes, counted by the caller and by the thread
        self._origin = 0.0
        self._digits = 0
        self._text: tuple[str, ...] = ()
        self._queue: queue.SimpleQueue[_QueuedFrame | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._done = threading.Event()
        self._parts: list[_Part] = []
        self.path = new_folder(Path(settings.folder), self._started, settings.min_free_mb)
        try:
            self._begin_part((int(width), int(height)), fps, 0.0)
            self._lines = JsonLinesFile(self.path / READINGS)
            self._write_session()
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._guard = threading.Thread(target=self._watch, name="recorder guard", daemon=True)
            self._thread.start()
            self._guard.start()
        except (*FAILURES, RuntimeError) as e:
            self._abandon()
            raise RecordingError(
                f"a recording of {width}×{height} cannot be started in {self.path}: {one_line(e)}; "
                "check the folder or choose another with recording.folder"
            ) from e
        except BaseException:
            self._abandon()
            raise
        atexit.register(self.close)

    def write(
        self,
        image: Image,
        reading: Reading,
        time: float,
        raw: Image | None = None,
        fps: float = 0.0,
    ) -> bool:
        """Hands a frame over; never blocks.

        `image`: uint8 BGR H×W×3, not changed afterwards; `raw`: the camera's own, of the same size,
        kept where `recording.raw` asks for it. Another size, or another `fps` (0 where unknown),
        begins another part. `time`: monotonic seconds of the frame. False: the frame was dropped,
        because the encoder is behind or the recording has stopped.
        """
        if self._stop.is_set():
            return False
        size = image.nbytes + (raw.nbytes if raw is not None else 0)
        if not self.room(size) or self.error is not None or not math.isfinite(time):
            self._refused += 1
            return False
        self._given += size
        self._queue.put(_QueuedFrame(image, reading, time, raw, fps, size))
        return True

    def room(self, size: int) -> bool:
        """Whether `write` takes pictures of so many bytes at this moment."""
        waiting = self._queue.qsize()
        fits = not waiting or self._given - self._taken + size <= QUEUE_BYTES
        return waiting < QUEUE and fits

    def summary(self) -> RecordingSummary:
        """What is recorded so far: frames written, seconds of video, frames dropped. After an
        `error` of the disk the video may lack the last half second of these."""
        seconds = sum(part.film.seconds for part in tuple(self._parts))
        return RecordingSummary(str(self.path), self._frames, seconds, self._refused + self._lost)

    @property
    def finished(self) -> bool:
        """True once the files are closed, after `stop` and whatever the disk took for it."""
        return self._done.is_set()

    def stop(self) -> None:
        """Takes no more frames and has the files finished on their thread; does not wait."""
        if not self._stop.is_set():
            self._stop.set()
            self._queue.put(None)

    def close(self) -> RecordingSummary:
        """Writes what waits, finishes the files and joins the threads. Any further call does
        nothing. Raises nothing: `error` tells what went wrong."""
        self.stop()
        end = clock.monotonic() + JOIN_TIMEOUT
        for thread in (self._thread, self._guard):
            thread.join(max(0.0, end - clock.monotonic()))
        if not self._done.is_set():
            self.error = self.error or RecordingError(
                f"the disk of {self.path} has not answered for {JOIN_TIMEOUT:g} s; the end of the "
                "recording may be missing"
            )
        atexit.unregister(self.close)
        return self.summary()

    def _run(self) -> None:
        """The thread: frames until the stop, then the ends of the files."""
        try:
            self._record()
        except Exception as e:
            self._fault(e)
        self._finish()
        self._done.set()

    def _record(self) -> None:
        """Writes frames until the stop or a failure. Raises what cv2, av and files raise."""
        while self.error is None:
            try:
                item = self._queue.get(timeout=IDLE)
            except queue.Empty:
                # An interrupt inside close may have kept the None from the queue.
                if self._stop.is_set():
                    return
                continue
            if item is None:
                return
            try:
                self._put(item)
            except BaseException:
                self._lost += 1
                raise
            finally:
                self._taken += item.bytes

    def _put(self, item: _QueuedFrame) -> None:
        line = json.dumps(item.reading.as_dict()) + "\n"
        part = self._parts[-1]
        if not part.frames:
            part.begun = item.time
            if not self._frames:
                self._origin = item.time
        if not part.fits(item.image, item.fps):
            part = self._next_part(item)
        part.film.add(item.image, item.time)
        if part.raw is not None:
            part.raw.add(item.image if item.raw is None else item.raw, item.time)
        self._lines.add(line)
        part.frames += 1
        self._frames += 1
        self._digits = max(self._digits, len(item.reading.digits))
        self._text = item.reading.lines or self._text

    def _next_part(self, item: _QueuedFrame) -> _Part:
        """Ends the part at hand and begins one for frames like `item`."""
        last = self._parts[-1]
        self._end_part(last)
        height, width = item.image.shape[:2]
        part = self._begin_part((width, height), item.fps or last.fps, item.time)
        self._write_session()
        return part

    def _begin_part(self, size: tuple[int, int], fps: float, begun: float) -> _Part:
        number = len(self._parts) + 1
        s = self._settings
        film = Mp4Writer(self.path / part_name(VIDEO, number), size, fps, s.preset, s.crf)
        part = _Part(number, *size, fps, begun, film)
        if s.raw != "off":
            path = self.path / part_name(RAW, number)
            try:
                part.raw = Mp4Writer(path, size, fps, lossless=s.raw == "lossless")
            except BaseException:
                with contextlib.suppress(*FAILURES):
                    film.close()
                    (self.path / part_name(VIDEO, number)).unlink()
                raise
        self._parts.append(part)
        return part

    def _end_part(self, part: _Part) -> None:
        """Raises one of FAILURES, both files closed."""
        try:
            part.film.close()
        finally:
            if part.raw is not None:
                part.raw.close()

    def _watch(self) -> None:
        """The guard's thread: what was written is kept, and the disk looked at, until the end."""
        named = 0
        while not self._done.wait(SYNC_EVERY) and self.error is None:
            try:
                parts = tuple(self._parts)
                for path in self._files(parts[-1]):
                    sync_path(path)
                if named < len(parts):
                    named = len(parts)
                    sync_folder(self.path)
                    sync_folder(self.path.parent)
                self._check()
            except FileNotFoundError as e:
                # POSIX lets a process write on into a file that has no name any more.
                self._fault(
                    RecordingError(
                        f"recording stopped: {e.filename or self.path} was removed or its disk is "
                        "gone; start a new recording"
                    )
                )
            except Exception as e:
                self._fault(e)

    def _files(self, part: _Part) -> list[Path]:
        names = [part_name(VIDEO, part.number), READINGS]
        if part.raw is not None:
            names.append(part_name(RAW, part.number))
        return [self.path / name for name in names]

    def _check(self) -> None:
        """Raises RecordingError if the disk is nearly full, OSError if it is gone."""
        free = free_mb(self.path)
        if free < self._settings.min_free_mb:
            raise RecordingError(
                f"recording stopped: {self.path} has {free} MB free and recording.min_free_mb "
                f"keeps {self._settings.min_free_mb}; free some space, then start a new recording"
            )

    def _finish(self) -> None:
        """Ends every file, whatever happened before; the first failure is kept."""
        while not self._queue.empty():
            self._lost += self._queue.get() is not None
        self._ended = datetime.now().astimezone()
        last = self._parts[-1]
        for end in (last.film.close, last.raw and last.raw.close, self._write_session):
            try:
                if end:
                    end()
            except Exception as e:
                self._fault(e)
        # Last: it unlocks the session for other programs.
        with contextlib.suppress(OSError):
            self._lines.close()

    def _fault(self, e: Exception) -> None:
        """Stops the recording for a reason; the first one is told."""
        if self.error is None:
            self.error = e if isinstance(e, RecordingError) else self._failed(e)

    def _failed(self, e: Exception) -> RecordingError:
        error = RecordingError(
            f"recording stopped: {self.path} cannot be written: {one_line(e)}; what was written "
            "before plays; check the disk and start a new recording"
        )
        error.__cause__ = e
        return error

    def _write_session(self) -> None:
        """Replaces session.yaml in one step. Raises OSError."""
        versions = {
            "live_digits": live_digits.__version__,
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "av": av.__version__,
        }
        given = self._session.get("versions")
        first = self._parts[0]
        content = self._session | {
            "started": self._started.isoformat(timespec="milliseconds"),
            "ended": self._ended.isoformat(timespec="milliseconds") if self._ended else None,
            "frames": self._frames,
            "dropped": self._refused + self._lost,
            "seconds": round(self.summary().seconds, 3),
            "width": first.width,
            "height": first.height,
            "raw": self._settings.raw,
            "digits": self._digits,
            "lines": list(self._text),
            "parts": [part.as_dict(self._origin) for part in self._parts],
            "versions": versions | (given if isinstance(given, dict) else {}),
        }
        if self.error is not None:
            content["error"] = str(self.error)
        save_session(self.path, content)

    def _abandon(self) -> None:
        """Takes back a folder whose recording could not start."""
        for part in self._parts:
            with contextlib.suppress(*FAILURES):
                self._end_part(part)
        if hasattr(self, "_lines"):
            with contextlib.suppress(*FAILURES):
                self._lines.close()
        for name in (VIDEO, RAW, READINGS, SESSION, SCRATCH):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()
