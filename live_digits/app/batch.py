"""Pictures, folders and videos read in batch: every frame, in order, at full care."""

from __future__ import annotations

import contextlib
import csv
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from live_digits.api import as_stored
from live_digits.capture.image_files import open_picture
from live_digits.capture.input_paths import is_video
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import Settings
from live_digits.core.errors import RecordingError, SourceError
from live_digits.core.safe_files import free_names, new_file, probe
from live_digits.core.types import Classifier, Frame, Image, Reading
from live_digits.display.overlay import draw_readings
from live_digits.hands.controller import HandController
from live_digits.hands.worker import HandsWorker
from live_digits.reading.image_reader import read_picture
from live_digits.reading.parameter_search import search
from live_digits.reading.questions import Judge
from live_digits.recording.video_writer import FAILURES, Mp4Writer
from live_digits.tracking.video_reader import VideoReader, read_video_frame

CSV_HEADER = (
    "source", "frame", "time", "line", "digit", "confidence", "x", "y", "w", "h", "track",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One picture or frame: `upright` is what was looked at and `seen` what was read there;
    `reading` is the same in the pixels of the picture as stored."""

    reading: Reading
    upright: Image
    seen: Reading


@dataclass(slots=True)
class Batch:
    """A run over many files. `skipped` names what could not be read, and why."""

    paths: Sequence[Path]
    settings: Settings
    classifier: Classifier | Judge
    auto: bool = False
    skipped: list[str] = field(default_factory=list)
    hands: HandsWorker | None = None
    """What looks for hands in videos; started and closed here."""

    def __iter__(self) -> Iterator[BatchResult]:
        if self.hands:
            self.hands.start()
        try:
            for path in self.paths:
                try:
                    yield from self._video(path) if is_video(path) else self._picture(path)
                except SourceError as e:
                    self.skipped.append(str(e))
        finally:
            if self.hands:
                self.hands.close()

    def _picture(self, path: Path) -> Iterator[BatchResult]:
        picture = open_picture(path, self.settings.source.max_pixels)
        frame = Frame(picture.image, 0, 0.0, str(path))
        seen = read_picture(frame, self._chosen(frame), self.classifier)
        yield BatchResult(as_stored(seen, picture), picture.image, seen)

    def _video(self, path: Path) -> Iterator[BatchResult]:
        video_reader = VideoReader(self.settings)
        hand_controller = HandController(self.settings, self.hands, begun=True)
        never = threading.Event()
        settings: Settings | None = None
        for frame in video_frames(path, self.settings.source.max_pixels):
            settings = settings or self._chosen(frame)
            hand_controller.look(frame, never)
            cover = hand_controller.cover(frame)
            rules = (cover.hides, cover.touches) if cover else (None, None)
            reading = read_video_frame(frame, video_reader, settings, self.classifier, *rules)
            yield BatchResult(reading, frame.image, reading)

    def _chosen(self, frame: Frame) -> Settings:
        """The settings, their sliders found automatically where that was asked for."""
        if not self.auto:
            return self.settings
        found = search(frame.image, self.settings, self.classifier)
        return replace(self.settings, pipeline=found.settings)


def csv_rows(reading: Reading) -> str:
    """A line of CSV a digit; `line` counts the text lines from 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    line_of = [n for n, text in enumerate(reading.lines, 1) for _ in "".join(text.split())]
    for line, d in zip(line_of, reading.digits, strict=True):
        writer.writerow(
            (reading.source, reading.frame, f"{reading.time:.4f}", line, d.digit,
             f"{d.confidence:.4f}", *d.box.as_list(), d.track)
        )  # fmt: skip
    return out.getvalue()


class AnnotatedWriter:
    """Writes annotated copies into a folder: a PNG a picture, an MP4 a video. Names that are taken
    get a number; nothing is overwritten. Raises RecordingError."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder, self._settings = folder, settings
        self._film: Mp4Writer | None = None
        self._filming = ""
        self.files: list[Path] = []
        try:
            probe(folder)
        except OSError as e:
            raise RecordingError(
                f"{folder} cannot be written: {e.strerror or e}; choose another with --save"
            ) from e

    def add(self, read: BatchResult) -> None:
        """Annotates one picture or frame and writes it."""
        source = Path(read.seen.source)
        picture = draw_readings(read.upright, read.seen, self._settings.window.confidence)
        try:
            if is_video(source):
                self._film_for(read).add(picture, read.seen.time)
                return
            ok, data = cv2.imencode(".png", picture)
            if not ok:
                size = f"{picture.shape[1]}×{picture.shape[0]}"
                raise OSError(f"{source.stem}.png: PNG refuses {size}")
            path, file = new_file(self._folder, source.stem, ".png")
            with file:
                file.write(np.asarray(data).tobytes())
        except FAILURES as e:
            raise RecordingError(f"{self._folder} cannot be written: {e}; check the disk") from e
        self.files.append(path)

    def _film_for(self, read: BatchResult) -> Mp4Writer:
        if self._film is None or self._filming != read.seen.source or read.seen.frame == 0:
            self.close()
            recording = self._settings.recording
            size = read.seen.width, read.seen.height
            for path in free_names(self._folder, Path(read.seen.source).stem, ".mp4"):
                with contextlib.suppress(FileExistsError):
                    self._film = Mp4Writer(path, size, 0.0, recording.preset, recording.crf)
                    self.files.append(path)
                    break
            self._filming = read.seen.source
        assert self._film is not None
        return self._film

    def close(self) -> None:
        """Ends the video that is being written. Raises RecordingError."""
        film, self._film = self._film, None
        if film:
            try:
                film.close()
            except FAILURES as e:
                raise RecordingError(f"{self._folder}: the video is incomplete: {e}") from e
