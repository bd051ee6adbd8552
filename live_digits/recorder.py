"""Recordings: annotated.mp4, readings.jsonl and session.yaml, written on a thread of their own.

A recording is a folder DATE_TIME that is never used twice. The video is H.264 in fragments of half
a second, so a process that is killed leaves a file that plays; its times are the frames' own. The
readings are one whole line a frame. `session.yaml` is there from the start, with `ended: null`
until the recording is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import math
import os
import platform
import queue
import shutil
import statistics
import threading
import time as clock
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import yaml
from av.video.frame import PictureType

import live_digits
from live_digits.config import RecordingSettings
from live_digits.errors import RecordingError
from live_digits.types import Image, Reading, RecordingSummary

VIDEO = "annotated.mp4"
READINGS = "readings.jsonl"
SESSION = "session.yaml"

QUEUE = 8
"""Most frames that wait for the encoder; more are dropped."""
TICKS = 90_000
"""Units of the video's times in a second."""
KEYFRAME_EVERY = 1.0
"""Seconds between keyframes, by the frames' own times."""
FRAGMENT_US = 500_000
"""Microseconds of video that wait in memory before they go to the file."""
CHECK_EVERY = 1.0
"""Seconds between looks at the free space and at the folder."""
RESTART = 1.0
"""Seconds that a frame's time must step back to count as a source that began anew."""
GAPS = 31
"""Latest frame intervals from which the last frame's own duration is taken."""
RATE = 30.0
"""Frames per second assumed where the source's rate is not known."""
JOIN_TIMEOUT = 60.0
"""Seconds that close waits for a disk that does not answer."""
MB = 1_000_000
FAILURES = (OSError, ValueError, av.FFmpegError)
"""What the file system and av raise."""
MATRIX_601 = 6
"""SMPTE 170M in H.264's table: the matrix of cv2's BGR → I420. Untagged, HD plays as BT.709."""
RANGE_LIMITED = 1
"""16…235, in FFmpeg's numbering: what cv2's BGR → I420 gives."""


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
        """Opens the folder and its files and starts the thread.

        `width`, `height`: pixels of the frames to come. `fps`: the source's rate, 0 where unknown;
        it is only the duration of a single frame, the times are the frames' own. `session`: what
        session.yaml shall hold besides the recorder's own entries.

        Raises RecordingError if the folder cannot be made or written, if the disk has less than
        `settings.min_free_mb`, or if the encoder refuses the size.
        """
        self.error = None
        self._min_free = settings.min_free_mb
        self._started = datetime.now().astimezone()
        self._ended: datetime | None = None
        self._session = _plain(session)
        self._size = (int(width), int(height))
        self._frames = 0
        self._refused = 0  # counted by the caller of write
        self._lost = 0  # counted by the recorder's thread
        self._queue: queue.SimpleQueue[tuple[Image, Reading, float] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.path = _new_folder(Path(settings.folder), self._started, settings.min_free_mb)
        try:
            self._film = Film(self.path / VIDEO, self._size, fps, settings.preset, settings.crf)
            self._lines = Lines(self.path / READINGS)
            self._write_session()
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()
        except (*FAILURES, RuntimeError) as e:
            self._abandon()
            raise RecordingError(
                f"a recording of {width}×{height} cannot be started in {self.path}: {_reason(e)}; "
                "check the folder or choose another with recording.folder"
            ) from e
        except BaseException:
            self._abandon()
            raise
        atexit.register(self.close)

    def write(self, image: Image, reading: Reading, time: float) -> bool:
        """Hands a frame over; never blocks.

        `image`: uint8 BGR H×W×3, not changed afterwards; another size than the recording's is
        scaled into it. `time`: monotonic seconds of the frame. False: the frame was dropped,
        because the encoder is behind or the recording has stopped.
        """
        if self._stop.is_set():
            return False
        behind = self._queue.qsize() >= QUEUE
        if behind or self.error is not None or not math.isfinite(time):
            self._refused += 1
            return False
        self._queue.put((image, reading, time))
        return True

    def summary(self) -> RecordingSummary:
        """What is recorded so far: frames written, seconds of video, frames dropped. After an
        `error` of the disk the video may lack the last half second of these."""
        return RecordingSummary(
            str(self.path), self._frames, self._film.seconds, self._refused + self._lost
        )

    def close(self) -> RecordingSummary:
        """Writes what waits, finishes the files and joins the thread. Any further call does
        nothing. Raises nothing: `error` tells what went wrong."""
        if not self._stop.is_set():
            self._stop.set()
            self._queue.put(None)
        self._thread.join(JOIN_TIMEOUT)
        if self._thread.is_alive():
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
        except RecordingError as e:
            self.error = e
        except Exception as e:
            self.error = self._failed(e)
        self._finish()

    def _record(self) -> None:
        """Writes frames until the stop. Raises RecordingError and what cv2, av and files raise."""
        due = clock.monotonic() + CHECK_EVERY
        while True:
            try:
                item = self._queue.get(timeout=CHECK_EVERY)
                if item is None:
                    return
                try:
                    self._put(*item)
                except BaseException:
                    self._lost += 1
                    raise
            except queue.Empty:
                # An interrupt inside close may have kept the None from the queue.
                if self._stop.is_set():
                    return
            if clock.monotonic() >= due:
                due = clock.monotonic() + CHECK_EVERY
                self._check()

    def _put(self, image: Image, reading: Reading, time: float) -> None:
        line = json.dumps(reading.as_json()) + "\n"
        self._film.add(image, time)
        self._lines.add(line)
        self._frames += 1

    def _check(self) -> None:
        """Raises RecordingError if the disk is nearly full or the files are gone."""
        for name in (VIDEO, READINGS):
            # POSIX lets a process write on into a file that has no name any more.
            if not (self.path / name).exists():
                raise RecordingError(
                    f"recording stopped: {self.path / name} was removed or its disk is gone; "
                    "start a new recording"
                )
        free = _free_mb(self.path)
        if free < self._min_free:
            raise RecordingError(
                f"recording stopped: {self.path} has {free} MB free and recording.min_free_mb "
                f"keeps {self._min_free}; free some space, then start a new recording"
            )

    def _finish(self) -> None:
        """Ends every file, whatever happened before; the first failure is kept."""
        while not self._queue.empty():
            self._lost += self._queue.get() is not None
        self._ended = datetime.now().astimezone()
        for end in (self._film.close, self._lines.close, self._write_session):
            try:
                end()
            except Exception as e:
                self.error = self.error or self._failed(e)

    def _failed(self, e: Exception) -> RecordingError:
        error = RecordingError(
            f"recording stopped: {self.path} cannot be written: {_reason(e)}; what was written "
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
        content = self._session | {
            "started": self._started.isoformat(timespec="milliseconds"),
            "ended": self._ended.isoformat(timespec="milliseconds") if self._ended else None,
            "frames": self._frames,
            "dropped": self._refused + self._lost,
            "seconds": round(self._film.seconds, 3),
            "width": self._size[0],
            "height": self._size[1],
            "versions": versions | (given if isinstance(given, dict) else {}),
        }
        if self.error is not None:
            content["error"] = str(self.error)
        scratch = self.path / (SESSION + ".new")
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        try:
            scratch.write_text(text, encoding="utf-8")
            os.replace(scratch, self.path / SESSION)
        except OSError:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise

    def _abandon(self) -> None:
        """Takes back a folder whose recording could not start."""
        for name in ("_film", "_lines"):
            if hasattr(self, name):
                with contextlib.suppress(*FAILURES):
                    getattr(self, name).close()
        for name in (VIDEO, READINGS, SESSION, SESSION + ".new"):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()


class Film:
    """The video file: frames in, H.264 out, at the frames' own times."""

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, preset: str, crf: int
    ) -> None:
        """Opens the encoder and writes the file's header. `size`: width, height in pixels, any
        parity. Raises one of FAILURES."""
        self._path = path
        self._width, self._height = size
        if self._width < 1 or self._height < 1:
            raise ValueError(f"a picture needs at least 1×1 pixels, got {size[0]}×{size[1]}")
        rate = fps if math.isfinite(fps) and fps > 0 else RATE
        self._usual = max(1, round(TICKS / rate))
        self._gaps: deque[int] = deque(maxlen=GAPS)
        self._origin = 0.0
        self._last: int | None = None
        self._duration = 0
        self._keyframe = 0
        self._file = av.open(
            str(path),
            "w",
            format="mp4",
            options={
                "movflags": "frag_keyframe+empty_moov+default_base_moof",
                "frag_duration": str(FRAGMENT_US),
                "flush_packets": "1",
            },
        )
        try:
            stream = self._file.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
            stream.width = self._width + self._width % 2
            stream.height = self._height + self._height % 2
            stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, TICKS)
            context = stream.codec_context
            context.time_base = Fraction(1, TICKS)
            # Keyframes are asked for by time; this only bounds them in frames.
            context.gop_size = max(1, math.ceil(rate * KEYFRAME_EVERY * 10))
            context.thread_count = min(4, os.cpu_count() or 1)
            context.colorspace = MATRIX_601
            context.color_range = RANGE_LIMITED
            context.options = {
                "preset": preset,
                "crf": str(crf),
                "tune": "zerolatency",
                "forced-idr": "1",
            }
            self._stream = stream
            self._file.start_encoding()
        except BaseException:
            with contextlib.suppress(*FAILURES):
                self._file.close()
            raise

    @property
    def seconds(self) -> float:
        """Seconds of video, the last frame's own duration included."""
        return 0.0 if self._last is None else (self._last + self._duration) / TICKS

    def add(self, image: Image, time: float) -> None:
        """Encodes a frame (uint8 BGR H×W×3) of a time in seconds. Raises FAILURES or cv2.error."""
        planes = np.asarray(cv2.cvtColor(self._fitted(image), cv2.COLOR_BGR2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        pts = self._pts(time)
        frame.pts = pts
        frame.time_base = Fraction(1, TICKS)
        if self._last is None or pts - self._keyframe >= KEYFRAME_EVERY * TICKS:
            frame.pict_type = PictureType.I
        if self._last is not None:
            self._gaps.append(pts - self._last)
        duration = max(1, round(statistics.median(self._gaps))) if self._gaps else self._usual
        for packet in self._stream.encode(frame):
            if packet.is_keyframe:
                self._keyframe = pts
            # The muxer itself ends a frame where the next begins; this one ends the very last.
            packet.duration = duration
            self._file.mux(packet)
        self._last, self._duration = pts, duration

    def close(self) -> None:
        """Writes what the encoder holds and the file's end. Raises one of FAILURES."""
        try:
            for packet in self._stream.encode(None):
                self._file.mux(packet)
        finally:
            try:
                self._file.close()
            finally:
                # Cheap, and not every failed write is told: a whole file stays as it is.
                _cut_torn(self._path)

    def _pts(self, time: float) -> int:
        """The frame's time in ticks from the first frame, always later than the frame before."""
        if self._last is None:
            self._origin = time
            return 0
        pts = round((time - self._origin) * TICKS)
        if pts > self._last:
            return pts
        if self._last - pts < RESTART * TICKS:
            return self._last + 1
        pts = self._last + self._duration
        self._origin = time - pts / TICKS
        return pts

    def _fitted(self, image: Image) -> Image:
        """The frame at the video's size, both sides even: another size is scaled and centred on
        black, an odd side repeats its last row or column."""
        height, width = image.shape[:2]
        if (width, height) != (self._width, self._height):
            scale = min(self._width / width, self._height / height)
            w = min(self._width, max(1, round(width * scale)))
            h = min(self._height, max(1, round(height * scale)))
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            x, y = (self._width - w) // 2, (self._height - h) // 2
            canvas = np.zeros((self._height, self._width, 3), np.uint8)
            canvas[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=method)
            image = canvas
        if self._width % 2 or self._height % 2:
            image = np.pad(image, ((0, self._height % 2), (0, self._width % 2), (0, 0)), "edge")
        return image


def _cut_torn(path: Path) -> None:
    """Ends an MP4 file after its last whole fragment: a full disk tears the one being written, and
    decoders stumble over it. Raises OSError."""
    with open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        at = whole = 0
        while True:
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                break
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8 or at + size > end:
                break
            at += size
            if kind != b"moof":  # a moof is nothing without its mdat
                whole = at
        file.truncate(whole)


class Lines:
    """The readings file: whole lines only, each in the file when `add` returns."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115
        self._size = 0

    def add(self, line: str) -> None:
        """Writes a line, all of it or nothing. Raises OSError."""
        data = line.encode("utf-8")
        try:
            written = self._file.write(data) or 0
            if written < len(data):
                # The disk is full when a rest remains; the second write says so.
                written += self._file.write(data[written:]) or 0
            if written < len(data):
                raise OSError("the disk took only a part of a line")
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        self._file.close()


def _new_folder(base: Path, started: datetime, min_free_mb: int) -> Path:
    """A new folder DATE_TIME under `base`, which is made as well. Raises RecordingError."""
    try:
        base = base.expanduser().resolve()
        base.mkdir(parents=True, exist_ok=True)
        free = _free_mb(base)
        if free < min_free_mb:
            raise RecordingError(
                f"{base} has {free} MB free and a recording needs {min_free_mb}; free some space, "
                "choose another folder with recording.folder or lower recording.min_free_mb"
            )
        name = started.strftime("%Y-%m-%d_%H-%M-%S")
        number = 1
        while True:
            path = base / (name if number == 1 else f"{name}_{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except (OSError, RuntimeError) as e:
        raise RecordingError(
            f"no recording can be made in {base}: {_reason(e)}; choose a folder that can be "
            "written with recording.folder"
        ) from e


def _free_mb(path: Path) -> int:
    """MB that the disk of `path` has free for this user. Raises OSError."""
    return shutil.disk_usage(path).free // MB


def _reason(e: BaseException) -> str:
    """What an error says, on one line."""
    text = getattr(e, "strerror", None) or str(e)
    return " ".join(text.split()) or type(e).__name__


def _plain(value: Any) -> Any:
    """`value` as YAML's own types: the session may hold paths, tuples, NumPy numbers, settings."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _plain(value.tolist())
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)
