"""Videos on disk and streams: their frames, whole, with their own times and at their own pace."""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import cv2  # noqa: F401 (before av: see pyproject.toml)
import numpy as np

import av
import av.error

from live_digits.core.errors import SourceError, too_many_pixels, without_address
from live_digits.core.limits import MOST_PIXELS
from live_digits.core.safe_files import regular_file
from live_digits.core.types import Frame, Image

log = logging.getLogger("live_digits.capture")

_LATE = 0.05
"""Seconds; a video frame that is later is dropped undrawn…"""
_SHOWN = 0.25
"""…unless nothing was shown for so many seconds."""
_GAP = 5.0
"""Seconds; a longer hole between timestamps is not waited for."""
_BUFFER = 2**20
"""Bytes that are read at once of a recording's video."""


def error_reason(error: Exception) -> str:
    """The reason without the address."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return without_address(error)


def video_frames(path: Path, most: int = MOST_PIXELS) -> Iterator[Frame]:
    """Every frame of a video; `time` is the presentation time in seconds from the first frame.
    `most`: pixels of a frame. Raises SourceError, where the file is no video at the first frame."""
    for seq, (when, frame) in enumerate(decode_video(open_video(path), str(path), most=most)):
        yield Frame(frame_bgr(frame), seq, when, str(path))


def open_video(path: Path) -> av.container.InputContainer:
    try:
        # The prefix keeps a colon in the name from being a protocol; a playlist reaches no network.
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as e:
        raise SourceError(
            f"{path} is no video that can be read: {error_reason(e)}; "
            "expected MP4, MKV, WebM, AVI, MOV …"
        ) from e


@contextlib.contextmanager
def recorded_video(path: Path) -> Iterator[av.container.InputContainer]:
    """Opens a video of a recording's folder: a regular file by its own name, read as MP4 only.
    Raises SourceError."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(regular_file(path))
            opened: av.container.InputContainer = stack.enter_context(
                av.open(file, format="mp4", buffer_size=_BUFFER)
            )
        except (av.error.FFmpegError, OSError, ValueError) as e:
            raise SourceError(f"{path} is no video that can be read: {error_reason(e)}") from e
        yield opened


def video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream):
        container.close()
        raise SourceError(f"{name} holds no picture, only sound or data; expected a video")
    known: av.VideoCodecContext | None = stream.codec_context
    if known is None:
        container.close()
        raise SourceError(f"{name} is coded in a way that is not known; expected H.264, MJPEG …")
    return stream


def decode_video(
    container: av.container.InputContainer,
    name: str,
    *,
    remote: bool = False,
    most: int = MOST_PIXELS,
) -> Generator[tuple[float, av.VideoFrame], None, None]:
    """Decodes the seconds since the first frame, and the frame, of each.

    Damaged packets are left out and logged; the container is closed at the end.

    Args:
        container: an open video.
        name: what messages call it.
        remote: a server that hangs up is the end, no error.
        most: pixels of a frame, never over MOST_PIXELS.

    Raises:
        SourceError: reading fails, nothing is there or a frame is larger.
    """
    stream = video_stream(container, name)
    codec = stream.codec_context
    most = min(most, MOST_PIXELS)
    if codec.width * codec.height > most:
        container.close()
        raise too_many_pixels(f"{name} has frames of", (codec.width, codec.height), most)
    # A frame may still say another size than the file does.
    codec.options = {**codec.options, "max_pixels": str(most)}
    period = 1 / float(stream.average_rate or 30)
    first: float | None = None
    last, damaged = -period, 0
    try:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except av.error.InvalidDataError:
                damaged += 1
                continue
            except OSError as e:
                if e.errno != errno.EIO or first is None or not remote:
                    raise
                packet, frames = None, list(stream.codec_context.decode(None))
            for frame in frames:
                if not isinstance(frame, av.VideoFrame):
                    continue
                stamp = frame.time if frame.time is not None else last + period + (first or 0.0)
                first = stamp if first is None else first
                last = max(stamp - first, last)
                yield last, frame
            if packet is None:
                break
        if first is None:
            raise SourceError(f"{name} holds no video frame that can be decoded")
    except (av.error.FFmpegError, OSError) as e:
        # A stream's own error repeats its address, with the password.
        raise SourceError(f"{name}: reading failed: {error_reason(e)}") from None if remote else e
    finally:
        if damaged:
            log.warning("%s: %d damaged packets left out", name, damaged)
        container.close()


def decode_parts(
    files: Sequence[tuple[Path, float | None]], most: int = MOST_PIXELS
) -> Generator[tuple[float, av.VideoFrame], None, None]:
    """Decodes the videos of a recording one after the other, as `decode_video` does one. Each
    begins at its second, or where the one before ends. A later part without any frame is left out
    and logged."""
    last, begun = 0.0, False
    for path, start in files:
        base = max(last, start or 0.0) if begun else 0.0
        try:
            with recorded_video(path) as container:
                for when, frame in decode_video(container, str(path), most=most):
                    begun, last = True, base + when
                    yield last, frame
        except SourceError as e:
            if not begun:
                raise
            log.warning("%s", e)


def frame_bgr(frame: av.VideoFrame) -> Image:
    """The frame as uint8 BGR H×W×3, turned as its metadata say."""
    image: Image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def paced(
    frames: Iterator[tuple[float, av.VideoFrame]],
    stop: threading.Event,
    miss: Callable[[int], None],
) -> Iterator[tuple[int, float, Image]]:
    """Decoded frames when they are due, counted from the first `next`: number, presentation time
    and picture. Late ones are skipped and told to `miss`; ends when `stop` is set."""
    start, shown = time.monotonic(), 0.0
    for seq, (when, frame) in enumerate(frames):
        now = time.monotonic()
        if seq == 0 or start + when - now > _GAP:
            start = now - when
        wait = start + when - now
        if -wait > _LATE and now - shown < _SHOWN:
            miss(1)
            if stop.is_set():
                return
            continue
        image = frame_bgr(frame)
        if stop.wait(max(0.0, start + when - time.monotonic())):
            return
        shown = time.monotonic()
        yield seq, when, image
