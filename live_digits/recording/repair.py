"""What a crash left of a file: how much of a film still plays, and the torn rest put aside.

Nothing is taken away: what is cut off a file is kept beside it under its name and `.torn`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2  # noqa: F401 (before av: see pyproject.toml)

import av
import av.error

from live_digits.core.safe_files import open_regular, regular_file
from live_digits.recording.durable_files import sync
from live_digits.recording.session import TORN

log = logging.getLogger("live_digits.recording.repair")

MOST_PIXELS = 2 * 7680 * 4320
"""Pixels of a frame at most: twice what a camera can be asked for."""
MOST_CUT = 8
"""Fragments at most that are given up because they do not decode (a power cut may leave such)."""


@dataclass(frozen=True, slots=True)
class VideoExtent:
    """What a video file holds, pixels and seconds; zeros where it holds nothing."""

    seconds: float = 0.0
    width: int = 0
    height: int = 0


class _TruncatedFile(io.RawIOBase):
    """The first bytes of a file, as if it ended there."""

    def __init__(self, path: Path, end: int) -> None:
        super().__init__()
        self._file, self._end = regular_file(path), end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._file.tell()
        return self._file.read(max(0, left if size < 0 else min(size, left)))

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            return self._file.seek(max(0, self._end + offset))
        return self._file.seek(offset, whence)

    def close(self) -> None:
        self._file.close()
        super().close()


def _film(path: Path, end: int) -> VideoExtent:
    """What the first `end` bytes of a video hold, their last second decoded. Raises FFmpegError or
    ValueError where that fails."""
    with _TruncatedFile(path, end) as head, av.open(head, format="mp4") as file:
        stream = file.streams.best("video")
        if not isinstance(stream, av.VideoStream) or not file.duration:
            return VideoExtent()
        context = stream.codec_context
        if context.width * context.height > MOST_PIXELS:
            raise ValueError(f"frames of {context.width}×{context.height} pixels")
        context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}
        film = VideoExtent(file.duration / av.time_base, context.width, context.height)
        file.seek(max(0, file.duration - av.time_base))
        if any(frame.is_corrupt for frame in file.decode(stream)):
            raise ValueError("a frame is damaged")
        return film


def decodable(path: Path, ends: Sequence[int]) -> tuple[int, VideoExtent]:
    """Where a torn video ends at best, and what it holds until there: after its last whole
    fragment, or a few before it where the disk lost their content."""
    for end in reversed(ends[-MOST_CUT:]):
        if end == 0:
            break
        try:
            return end, _film(path, end)
        except (av.error.FFmpegError, ValueError) as e:
            log.debug("%s up to byte %d: %s", path, end, e)
    return ends[-1], VideoExtent()


def move_tail_aside(path: Path, end: int) -> None:
    """Moves what stands behind `end` into a file of its own beside it. Raises OSError, for what is
    no regular file or has a second name too."""
    with os.fdopen(open_regular(path, os.O_RDWR, alone=True), "r+b") as source:
        rest = free_name(path)
        kept = open(rest, "xb")  # noqa: SIM115 (closed before it is removed)
        try:
            with kept:
                source.seek(end)
                shutil.copyfileobj(source, kept)
                kept.flush()
                sync(kept.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                rest.unlink()
            raise
        source.truncate(end)


def free_name(path: Path) -> Path:
    """A name beside `path` that is not taken, for what is cut off it."""
    name, count = path.with_name(path.name + TORN), 1
    while os.path.lexists(name):
        count += 1
        name = path.with_name(f"{path.name}{TORN}{count}")
    return name
