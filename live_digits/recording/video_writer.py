"""The video file of a recording: frames in, H.264 in fragments out, at the frames' own times.

A fragment is whole as soon as it stands in the file, so what a killed process or a full disk leaves
plays up to its last whole fragment; `cut_torn` takes away what follows.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import statistics
import sys
from array import array
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import av
from av.video.frame import PictureType

from live_digits.core.picture_fit import letterbox
from live_digits.core.safe_files import open_regular, regular_file
from live_digits.core.types import Image

TICKS = 90_000
"""Units of the video's times in a second."""
KEYFRAME_EVERY = 1.0
"""Seconds between keyframes, by the frames' own times."""
FRAGMENT_US = 250_000
"""Microseconds of video that wait in memory before they go to the file."""
RESTART = 1.0
"""Seconds that a frame's time must step back to count as a source that began anew."""
GAPS = 31
"""Latest frame intervals from which the last frame's own duration is taken."""
RATE = 30.0
"""Frames per second assumed where the source's rate is not known."""
HIGH_CRF = 10
"""H.264 quality at which a camera's frames are hardly told from the lossless ones."""
FAILURES = (OSError, ValueError, av.FFmpegError)
"""What the file system and av raise."""
MATRIX_601 = 6
"""SMPTE 170M in H.264's table: the matrix of cv2's BGR → I420. Untagged, HD plays as BT.709."""
RANGE_LIMITED = 1
"""16…235, in FFmpeg's numbering: what cv2's BGR → I420 gives."""
MOST_BOXES = 10_000_000
"""Boxes of an MP4 file that are looked at: a recording of two weeks has as many."""


class Mp4Writer:
    """One video file. It belongs to one thread."""

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        preset: str = "ultrafast",
        crf: int = HIGH_CRF,
        *,
        lossless: bool = False,
    ) -> None:
        """Opens the encoder and writes the header of a new file; whatever has its name already is
        left as it is. `size`: width, height in pixels, any parity. `lossless`: every pixel comes
        back as it was; `crf` does not count then, and browsers do not play it. Raises one of
        FAILURES, FileExistsError among them."""
        self._path = path
        self._closed = False
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
        self._lossless = lossless
        with open(path, "xb") as made:
            own = os.fstat(made.fileno())
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
            codec = "libx264rgb" if lossless else "libx264"
            stream = self._file.add_stream(codec, rate=Fraction(rate).limit_denominator(1001))
            assert isinstance(stream, av.VideoStream)
            even = 0 if lossless else 1  # only 4:2:0 needs even sides
            stream.width = self._width + self._width % 2 * even
            stream.height = self._height + self._height % 2 * even
            stream.pix_fmt = "bgr24" if lossless else "yuv420p"
            stream.time_base = Fraction(1, TICKS)
            context = stream.codec_context
            context.time_base = Fraction(1, TICKS)
            # Keyframes are asked for by time; this only bounds them in frames.
            context.gop_size = max(1, math.ceil(rate * KEYFRAME_EVERY * 10))
            context.thread_count = min(4, os.cpu_count() or 1)
            if not lossless:
                context.colorspace = MATRIX_601
                context.color_range = RANGE_LIMITED
            context.options = {
                "preset": preset,
                "tune": "zerolatency",
                "forced-idr": "1",
            } | ({"qp": "0"} if lossless else {"crf": str(crf)})
            self._stream = stream
            self._file.start_encoding()
            # FFmpeg opens by the name: it must still have been the file made above.
            if sys.platform != "win32" and not os.path.samestat(own, os.lstat(path)):
                raise OSError(errno.EINVAL, "it was exchanged while it was opened", str(path))
        except BaseException:
            with contextlib.suppress(*FAILURES):
                self._file.close()
            with contextlib.suppress(OSError):
                if os.path.samestat(own, os.lstat(path)):
                    path.unlink()
            raise

    @property
    def seconds(self) -> float:
        """Seconds of video, the last frame's own duration included."""
        return 0.0 if self._last is None else (self._last + self._duration) / TICKS

    def add(self, image: Image, time: float) -> None:
        """Encodes a frame (uint8 BGR H×W×3) of a time in seconds. Raises FAILURES or cv2.error."""
        image = self._fitted(image)
        if self._lossless:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        else:
            planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
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
        """Writes what the encoder holds and the file's end; a second call does nothing. Raises one
        of FAILURES."""
        if self._closed:
            return
        self._closed = True
        try:
            for packet in self._stream.encode(None):
                self._file.mux(packet)
        finally:
            try:
                self._file.close()
            finally:
                # Cheap, and not every failed write is told: a whole file stays as it is.
                truncate_torn_tail(self._path)

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
            image = letterbox(image, self._width, self._height)
        if not self._lossless and (self._width % 2 or self._height % 2):
            image = np.pad(image, ((0, self._height % 2), (0, self._width % 2), (0, 0)), "edge")
        return image


def truncate_torn_tail(path: Path) -> None:
    """Ends an MP4 file after its last whole fragment: a full disk tears the one being written, and
    decoders stumble over it. Raises OSError."""
    end = fragment_ends(path)[-1]
    with os.fdopen(open_regular(path, os.O_RDWR), "r+b") as file:
        file.truncate(end)


def fragment_ends(path: Path) -> Sequence[int]:
    """Where a fragmented MP4 file may end, in bytes, growing: 0, after its header and after each of
    its whole fragments, as far as they follow one another and are no more than `MOST_BOXES`. Raises
    OSError, for what is no regular file too."""
    ends = array("Q", [0])
    with regular_file(path) as file:
        end = file.seek(0, os.SEEK_END)
        at = 0
        for _ in range(MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                break
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8 or at + size > end or not kind.isalnum():
                break
            at += size
            if kind not in (b"ftyp", b"moof"):  # nothing without what follows
                ends.append(at)
    return ends
