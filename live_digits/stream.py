"""Streams: RTSP and HTTP by their URL, and named pipes. What may block can be given up."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2  # noqa: F401 (before av: see pyproject.toml)

import av
import av.error

from live_digits.config import SourceSettings
from live_digits.errors import SourceError, redact
from live_digits.link import Limits
from live_digits.live_feed import LiveFeed
from live_digits.types import Image, Mode, SourceInfo
from live_digits.video import decode_video, frame_bgr, paced, video_stream, why

log = logging.getLogger("live_digits.sources")

SCHEMES = ("rtsp", "rtsps", "http", "https")
_PROTOCOLS = "http,https,tcp,tls,rtsp,rtp,udp,crypto,hls,httpproxy"
"""What a stream may reach for: never a file of this computer."""
_LIMITS = Limits(attempt=4.0)
"""The waiting times of a stream. A try ends before the system has asked a host that does not answer
for the third time (1, 3 and 7 s): the next one asks anew, so that none waits longer than 2 s."""
_READ = 4.0
"""Seconds without data after which a connection counts as broken; the link gives up sooner."""
_ANALYSE = 500_000
"""Microseconds of a live stream that are looked at before its first frame is decoded; FFmpeg's own
five seconds would keep the picture away for as long."""
_EMPTY = 0.02
"""Seconds between looks into an empty pipe."""


class _Container:
    """An open stream. Implements `live_feed.Connection`."""

    def __init__(
        self,
        container: av.container.InputContainer,
        name: str,
        ended: threading.Event,
        miss: Callable[[int], None],
        reading: _Reading | None = None,
    ) -> None:
        """`reading`: what the container reads from, closed with it."""
        self._container, self._name, self._ended, self._miss = container, name, ended, miss
        self._reading = reading
        stream = video_stream(container, name)
        size = stream.codec_context
        self.reported = Mode(size.width, size.height, float(stream.average_rate or 0))
        self.finite = (container.duration or 0) > 0

    def images(self) -> Iterator[Image | None]:
        frames = decode_video(self._container, self._name, remote=True)
        if self.finite:
            # A file on a server arrives faster than it plays, and has an end.
            yield from (image for _, _, image in paced(frames, self._ended, self._miss))
            return
        for _, frame in frames:
            yield frame_bgr(frame)

    def close(self) -> None:
        self._container.close()
        if self._reading:
            self._reading.close()


class Stream(LiveFeed):
    """A stream by its URL."""

    def __init__(self, url: str, settings: SourceSettings) -> None:
        info = SourceInfo(redact(url), "stream")
        super().__init__(info, replace(_LIMITS, first=settings.timeout))
        self._url, self._patience = url, settings.timeout

    def _connect(self, ended: threading.Event) -> _Container:
        options = {"protocol_whitelist": _PROTOCOLS, "analyzeduration": str(_ANALYSE)}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        wait = self._patience if not self.captured else _LIMITS.attempt
        opened = _open(self._url, self._info.name, options, (wait, min(wait, _READ)))
        return _Container(opened, self._info.name, ended, self._miss)


class Pipe(LiveFeed):
    """A named pipe that another program writes a stream into."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        info = SourceInfo(redact(str(path)), "stream")
        super().__init__(info, replace(_LIMITS, first=settings.timeout))
        self._path = path

    def _connect(self, ended: threading.Event) -> _Container:
        try:
            reading = _Reading(self._path, ended)
        except OSError as e:
            raise SourceError(f"{self._info.name} cannot be opened: {why(e)}") from None
        try:
            options = {"analyzeduration": str(_ANALYSE)}
            container = _open(reading, self._info.name, options, None)
            return _Container(container, self._info.name, ended, self._miss, reading)
        except BaseException:
            reading.close()
            raise


class _Reading:
    """The reading end of a named pipe as FFmpeg's input. Never blocks for longer than `_EMPTY`:
    neither opening without a writer nor a writer that stalls holds the thread."""

    def __init__(self, path: Path, ended: threading.Event) -> None:
        """Raises OSError."""
        self.name = "pipe"
        self._ended, self._begun = ended, False
        self._end: int | None = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self, size: int) -> bytes:
        """What is there, as soon as something is; empty at the end: the writer has gone."""
        while self._end is not None and not self._ended.is_set():
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
        return b""

    def close(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            os.close(end)


def _open(
    where: Any, name: str, options: dict[str, str], timeout: tuple[float, float] | None
) -> av.container.InputContainer:
    """Opens a container. Raises SourceError, which carries nothing of FFmpeg's own error: that
    repeats the address with its password."""
    try:
        opened: av.container.InputContainer = av.open(where, options=options, timeout=timeout)
        return opened
    except (av.error.FFmpegError, OSError, ValueError) as e:
        raise SourceError(
            f"{name} cannot be opened: {why(e)}; check the address and the network"
        ) from None
