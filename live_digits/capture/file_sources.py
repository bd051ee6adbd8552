"""Frames from files: a video at its own pace or frame by frame, pictures one by one."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2  # noqa: F401 (before av: see pyproject.toml)

import av

from live_digits.capture.image_files import load_picture
from live_digits.capture.threaded_source import ThreadedSource
from live_digits.capture.video_decoding import (
    decode_parts,
    decode_video,
    frame_bgr,
    open_video,
    paced,
    recorded_video,
    video_stream,
)
from live_digits.core.errors import SourceError, redact
from live_digits.core.types import Image, Mode, SourceInfo
from live_digits.recording.session import ReplayFiles

log = logging.getLogger("live_digits.capture")


PICTURE_RATE = 30
"""Frames a second of a picture that is shown live."""
PICTURE_SECONDS = 3
"""How long each picture of several is shown."""


class VideoFileSource(ThreadedSource):
    def __init__(
        self, path: Path, most: int, *, lossless: bool, session: ReplayFiles | None = None
    ) -> None:
        """Opens the video.

        Args:
            path: a file, or the folder of a recording.
            most: pixels of a frame.
            lossless: whether every frame counts.
            session: the recording's videos.
        """
        opened = recorded_video(session.files[0][0]) if session else open_video(path)
        with opened as container:
            rate = float(video_stream(container, str(path)).average_rate or 0)
        self._decoded = (
            decode_parts(session.files, most)
            if session
            else decode_video(open_video(path), str(path), most=most)
        )
        # The first frame shows that it is a video, and its size once turned upright.
        self._first = next(self._decoded)
        height, width = frame_bgr(self._first[1]).shape[:2]
        info = SourceInfo(redact(str(path)), "video", reported=Mode(width, height, rate))
        super().__init__(info, lossless=lossless)
        self.note = session.note if session else ""

    def _all(self) -> Iterator[tuple[float, av.VideoFrame]]:
        yield self._first
        yield from self._decoded

    def run(self) -> None:
        if not self._lossless:
            self._asked.wait()
            for seq, when, image in paced(self._all(), self._stop, self.skip):
                if not self.put(image, seq, when):
                    return
            return
        for seq, (when, frame) in enumerate(self._all()):
            if not self.put(frame_bgr(frame), seq, when):
                return

    def release(self) -> None:
        self._decoded.close()


class PicturesSource(ThreadedSource):
    """Pictures in turn. Live, each is shown for a while and the last one stays; in batch, once."""

    def __init__(self, paths: Sequence[Path], most: int, *, lossless: bool, paced: bool) -> None:
        """`most`: pixels of a picture. Raises SourceError where none can be read."""
        self.skipped: list[tuple[Path, str]] = []
        self._paths, self._most, self._paced = deque(paths), most, paced
        first = self._load_next(quietly=True)
        if first is None:
            reasons = "; ".join(reason for _, reason in self.skipped[:3])
            raise SourceError(reasons if len(paths) == 1 else f"no picture is readable: {reasons}")
        for _, reason in self.skipped:
            log.warning("skipped: %s", reason)
        self._now = first
        name = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
        height, width = first[1].shape[:2]
        rate = PICTURE_RATE if paced else 0
        info = SourceInfo(redact(name), "pictures", reported=Mode(width, height, rate))
        super().__init__(info, lossless=lossless)

    def _load_next(self, quietly: bool = False) -> tuple[Path, Image] | None:
        while self._paths:
            path = self._paths.popleft()
            try:
                return path, load_picture(path, self._most)[0]
            except SourceError as e:
                self.skipped.append((path, str(e)))
                if not quietly:
                    log.warning("skipped: %s", e)
        return None

    def run(self) -> None:
        seq = 0
        due = time.monotonic()
        current: tuple[Path, Image] | None = self._now
        while current is not None:
            path, image = current
            repeats = PICTURE_RATE * PICTURE_SECONDS if self._paced else 1
            following = None
            while repeats > 0 or (self._paced and following is None):
                if not self.put(image, seq, seq / PICTURE_RATE, redact(str(path))):
                    return
                seq, repeats = seq + 1, repeats - 1
                if repeats == 0 and self._paced:
                    following = self._load_next()
                due = max(due + 1 / PICTURE_RATE, time.monotonic())
                if self._paced and self._stop.wait(due - time.monotonic()):
                    return
            current = following if self._paced else self._load_next()
