"""The process that opens and decodes a stream: bounded in memory, whatever the other side sends.

`stream.StreamProcess` starts it, asks for one stream after another, and reads its messages; each
is a head of fixed form, and what the head announces.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn

import cv2  # noqa: F401 (before av: see pyproject.toml)
import numpy as np

import av
import av.error

from live_digits.capture.video_decoding import (
    decode_video,
    error_reason,
    frame_bgr,
    paced,
    video_stream,
)
from live_digits.core.errors import SourceError, one_line
from live_digits.core.isolated_process import take_answers
from live_digits.core.process_memory import data_segment, resident_memory
from live_digits.core.types import Image

HEAD = struct.Struct("<c3Id")
"""A message: its kind, three whole numbers and a real one."""
OPENED, FRAME, MISSED, WARNING, ERROR, END, NOTHING = b"O", b"F", b"M", b"W", b"E", b"Z", b"N"
"""OPENED: width, height, whether it has an end, rate. FRAME: width and height, then its pixels.
MISSED: frames skipped. WARNING and ERROR: the bytes of a text, then the text. END: of the
connection. NOTHING: the process is alive."""
MAX_TEXT = 2000
"""Bytes of a text."""
HEARTBEAT_SECONDS = 0.2
"""Between two messages at most."""

_PROTOCOLS = "http,https,tcp,tls,rtsp,rtp,udp,crypto,hls,httpproxy"
"""What a stream may reach for: never a file of this computer."""
_ANALYSE = 500_000
"""Microseconds of a live stream that are looked at before its first frame is decoded; FFmpeg's own
five seconds would keep the picture away for as long."""
_EMPTY = 0.02
"""Seconds between looks into an empty pipe."""
_MAX_MEMORY = 128_000_000
"""Bytes that opening a stream may take. Measured: 4K of H.264 or 10-bit H.265 opens with less, 8K
does not; raising it gives a hostile stream more."""
_MEMORY_OF_PIXEL = 40
"""More bytes for each pixel of a frame that is decoded: frames that wait for others, and the one
that is converted. Measured: 16 reference frames of 1080p and 10-bit H.265 of 4K need less."""
_SLACK = 96_000_000
"""Bytes of data segment beyond the limit, for threads' stacks, before the system itself refuses."""
_LOOK_SECONDS = 0.01
"""Between two looks at the memory; 100 Mbit arrive meanwhile at most, from the fastest network."""
_MAX_THREADS = 4
"""Threads of a decoder: each holds frames of its own."""


class _Channel:
    """Sends messages to the other side, of any thread."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._lock = pipe, threading.Lock()
        self.sent = time.monotonic()
        """When the last message was sent."""

    def send(self, kind: bytes, *numbers: int, real: float = 0.0, content: Any = b"") -> None:
        """Sends one message. Where nobody reads any more, the process ends."""
        with self._lock:
            try:
                self._pipe.write(HEAD.pack(kind, *numbers, *(0,) * (3 - len(numbers)), real))
                self._pipe.write(content)
                self._pipe.flush()
            except OSError:
                os._exit(0)
            self.sent = time.monotonic()

    def tell(self, kind: bytes, text: str) -> None:
        content = text.encode("utf-8", "replace")[:MAX_TEXT]
        self.send(kind, len(content), content=content)


class _Warnings(logging.Handler):
    """Passes on what is logged as a warning."""

    def __init__(self, channel: _Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.tell(WARNING, record.getMessage())


class _Memory(threading.Thread):
    """Watches the process's own memory: where a stream takes too much, says so and ends it."""

    def __init__(self, channel: _Channel) -> None:
        super().__init__(name="memory", daemon=True)
        self.name_of_stream = ""
        """Empty while none is played."""
        self._channel = channel
        self._idle = resident_memory()
        self._idle_data = data_segment() if sys.platform == "linux" else 0
        self.limit = 0
        self.allow(0)

    def allow(self, pixels: int) -> None:
        """Sets the limit for frames of so many pixels."""
        self.limit = _MAX_MEMORY + _MEMORY_OF_PIXEL * pixels
        if sys.platform == "linux":
            import resource

            most = self._idle_data + self.limit + _SLACK
            with contextlib.suppress(OSError, ValueError):
                hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
                resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def refusal(self) -> str:
        return (
            f"{self.name_of_stream} was given up: it takes more than {self.limit // 10**6} MB of "
            "memory, more than a camera's stream of its size needs; check the address"
        )

    def run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            if resident_memory() > self._idle + self.limit:
                self._channel.tell(ERROR, self.refusal())
                os._exit(1)
            idle = not self.name_of_stream
            if not idle and time.monotonic() - self._channel.sent > HEARTBEAT_SECONDS:
                self._channel.send(NOTHING)


class _PipeReader:
    """The reading end of a named pipe as FFmpeg's input. It waits for a writer without blocking the
    opening, and ends where the writer has gone."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self.name = "pipe"
        self._begun = False
        self._end = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self, size: int) -> bytes:
        """What is there, as soon as something is; empty at the end."""
        while True:
            try:
                data = os.read(self._end, size)
            except BlockingIOError:
                data = None
            if data:
                self._begun = True
                return data
            if data is not None and self._begun:
                return b""
            time.sleep(_EMPTY)

    def close(self) -> None:
        os.close(self._end)


@contextlib.contextmanager
def _opened(asked: dict[str, Any]) -> Iterator[av.container.InputContainer]:
    """The stream that is asked for. Raises SourceError, which carries nothing of FFmpeg's own
    error: that repeats the address with its password."""
    name, where = asked["name"], asked["where"]
    options = {"analyzeduration": str(_ANALYSE)}
    timeout = None
    with contextlib.ExitStack() as stack:
        try:
            if asked["pipe"]:
                where = _PipeReader(where)
                stack.callback(where.close)
            else:
                options["protocol_whitelist"] = _PROTOCOLS
                timeout = asked["open"], asked["read"]
                if where.lower().startswith("rtsp"):
                    options["rtsp_transport"] = "tcp"
            container = av.open(where, options=options, timeout=timeout)
        except (av.error.FFmpegError, OSError, ValueError) as e:
            if _is_out_of_memory(e):
                raise MemoryError from None
            raise SourceError(
                f"{name} cannot be opened: {error_reason(e)}; check the address and the network"
            ) from None
        with container:
            yield container


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM


def _play(asked: dict[str, Any], channel: _Channel, memory: _Memory) -> None:
    """Sends a stream's frames until it ends. Raises SourceError, MemoryError."""
    name, most = asked["name"], asked["pixels"]
    with _opened(asked) as container:
        stream = video_stream(container, name)
        size = stream.codec_context
        size.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        finite = (container.duration or 0) > 0
        memory.allow(min(most, size.width * size.height))
        rate = float(stream.average_rate or 0)
        channel.send(OPENED, size.width, size.height, finite, real=rate)
        frames = decode_video(container, name, remote=True, most=most)
        for image in _images(frames, finite, lambda count: channel.send(MISSED, count)):
            height, width = image.shape[:2]
            memory.allow(width * height)
            channel.send(FRAME, width, height, content=np.ascontiguousarray(image).data.cast("B"))


def _images(
    frames: Iterator[tuple[float, av.VideoFrame]], finite: bool, miss: Callable[[int], None]
) -> Iterator[Image]:
    if finite:
        # A file on a server arrives faster than it plays, and has an end.
        yield from (image for _, _, image in paced(frames, threading.Event(), miss))
        return
    for _, frame in frames:
        yield frame_bgr(frame)


def serve() -> NoReturn:
    """Plays the streams that are asked for, a line of JSON each, until nobody asks any more."""
    requests, channel = sys.stdin.buffer, _Channel(take_answers())
    logging.getLogger("live_digits").addHandler(_Warnings(channel))
    memory = _Memory(channel)
    memory.start()
    channel.send(NOTHING)
    for line in requests:
        asked: dict[str, Any] = json.loads(line)
        memory.name_of_stream = asked["name"]
        memory.allow(0)
        try:
            _play(asked, channel, memory)
        except SourceError as e:
            channel.tell(ERROR, str(e))
        except Exception as e:
            out = _is_out_of_memory(e)
            said = (
                memory.refusal() if out else f"{asked['name']}: {type(e).__name__}: {one_line(e)}"
            )
            channel.tell(ERROR, str(SourceError(said)))
            if out:
                os._exit(1)
        else:
            channel.send(END)
        finally:
            memory.name_of_stream = ""
    os._exit(0)
