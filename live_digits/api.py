"""The way in from Python: pictures read, sources followed, one reader kept.

    import live_digits

    page = live_digits.read("page.jpg")
    for reading in live_digits.stream("demo"):
        print(reading.lines)

`import live_digits` names all of it and loads nothing of it before it is used.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from live_digits.capture.base import Source
from live_digits.capture.image_files import Picture, open_picture
from live_digits.capture.input_paths import expand_inputs, is_video
from live_digits.capture.open_source import open_source
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import Settings
from live_digits.core.errors import SourceError, redact
from live_digits.core.types import Classifier, Frame, Image, Reading
from live_digits.reading import judge as judges
from live_digits.reading.image_reader import read_picture
from live_digits.reading.questions import Judge
from live_digits.tracking.video_reader import VideoReader, read_video_frame

_WAIT = 0.1
"""Seconds that a stream waits for a frame before it looks whether it was closed."""

PathOrImage = str | os.PathLike[str] | Image
"""A picture's file, or its pixels: uint8, H×W grey or H×W×3 BGR."""


def read(source: PathOrImage, *, model: str = "cnn", settings: Settings | None = None) -> Reading:
    """Reads the digits of one picture.

    Args:
        source: a file, or uint8 pixels, H×W grey or H×W×3 BGR. Of a file with pages the first.
        model: "cnn", "dense", or a model's folder.
        settings: of finding and reading; the program's defaults by default.

    Returns:
        The reading; boxes are in the pixels of the array, or of the file as stored.

    Raises:
        SourceError: the file is missing, damaged or a video; the array is of another kind.
        ModelError: there is no such model, or it is damaged.

    Example:
        >>> import live_digits, numpy as np
        >>> live_digits.read(np.full((120, 160), 255, np.uint8)).lines
        ()
    """
    return DigitReader(model=model, settings=settings).read(source)


def stream(
    source: str | int | os.PathLike[str] = "auto",
    *,
    model: str = "cnn",
    settings: Settings | None = None,
    every_frame: bool = False,
) -> Stream:
    """Follows a camera, stream, file or the demo, and reads frame after frame.

    Args:
        source: as the command's `--source`: a camera's number, a URL, a file, "demo", "auto".
        model: "cnn", "dense", or a model's folder.
        settings: of source, finding, tracking and reading; the program's defaults by default.
        every_frame: a file's every frame, without waiting for its clock; else the newest wins.

    Returns:
        An iterator of readings, closed by `close`, by `with`, or at its end.

    Raises:
        SourceError: there is no such source.
        ModelError: there is no such model, or it is damaged.

    Example:
        >>> import live_digits
        >>> with live_digits.stream("demo", every_frame=True) as readings:
        ...     reading = next(readings)
        >>> reading.width, reading.height
        (1280, 720)
    """
    return DigitReader(model=model, settings=settings).stream(source, every_frame=every_frame)


class DigitReader:
    """Keeps the networks loaded, for many pictures or sources.

    May be used from several threads: each has networks of its own.
    """

    def __init__(
        self,
        model: str | Classifier | Judge = "cnn",
        settings: Settings | None = None,
    ) -> None:
        """Loads the model.

        Args:
            model: "cnn", "dense", a model's folder, or what classifies: an object with a `name`
                and `classify(crops)`, uint8 N×28×28 (white ink on black) to float32 N×11.
            settings: the program's defaults by default; `model.name` of these is not looked at.

        Raises:
            ModelError: there is no such model, or it is damaged.

        Example:
            >>> import live_digits, numpy as np
            >>> reader = live_digits.DigitReader("dense")
            >>> sum(len(p.digits) for p in reader.read_many([np.zeros((9, 9, 3), np.uint8)]))
            0
        """
        self.settings = settings or Settings()
        self._model = model
        self._local = threading.local()
        self._network()

    def _network(self) -> Classifier | Judge:
        """This thread's networks."""
        if not isinstance(self._model, str):
            return self._model
        found: Classifier | Judge | None = getattr(self._local, "network", None)
        if found is None:
            wanted = self.settings.model
            found = judges.load(self._model, threads=wanted.threads, batch=wanted.batch)
            self._local.network = found
        return found

    def read(self, source: PathOrImage) -> Reading:
        """Reads the digits of one picture; see `live_digits.read`."""
        if isinstance(source, (str, os.PathLike)):
            return self._file(os.fspath(source))
        frame = Frame(_pixels(source), 0, 0.0, "array")
        return read_picture(frame, self.settings, self._network())

    def read_many(self, sources: Iterable[PathOrImage]) -> Iterator[Reading]:
        """Reads pictures and videos one by one, in bounded memory.

        Args:
            sources: files, folders, globs, or pixels as in `read`.

        Yields:
            A reading a picture, and a frame of a video.

        Raises:
            SourceError: a file is missing or damaged; what came before was given.
        """
        for source in sources:
            if not isinstance(source, (str, os.PathLike)):
                yield self.read(source)
                continue
            for path in expand_inputs([os.fspath(source)]):
                if is_video(path):
                    video_reader = VideoReader(self.settings)
                    for frame in video_frames(path, self.settings.source.max_pixels):
                        yield read_video_frame(frame, video_reader, self.settings, self._network())
                else:
                    yield self._file(str(path))

    def follow(self, images: Iterable[Image], fps: float = 0.0) -> Iterator[Reading]:
        """Reads the frames of a moving picture of your own: digits keep their `track`.

        Args:
            images: uint8, H×W×3 BGR or H×W grey, as they come; each is read when it is asked for.
            fps: frames a second of the images' own clock; 0: they are live, and come as they come.

        Yields:
            A reading a frame.

        Raises:
            SourceError: a frame is of another kind.
        """
        video_reader = VideoReader(self.settings)
        for number, image in enumerate(images):
            at = number / fps if fps else time.monotonic()
            frame = Frame(_pixels(image), number, at, "frames")
            yield read_video_frame(frame, video_reader, self.settings, self._network())

    def stream(
        self, source: str | int | os.PathLike[str] = "auto", *, every_frame: bool = False
    ) -> Stream:
        """Follows a source with these networks; see `live_digits.stream`."""
        spec = str(source) if isinstance(source, int) else os.fspath(source)
        opened = open_source(spec, self.settings.source, every_frame=every_frame)
        return Stream(opened, self.settings, self)

    def _file(self, path: str) -> Reading:
        if "://" in path or is_video(path):
            what = "an address" if "://" in path else "a video"
            raise SourceError(
                f"{redact(path)} is {what}; read takes pictures: use stream or read_many"
            )
        picture = open_picture(Path(path).expanduser(), self.settings.source.max_pixels)
        reading = read_picture(Frame(picture.image, 0, 0.0, path), self.settings, self._network())
        return as_stored(reading, picture)


class Stream:
    """The readings of a source, frame by frame; belongs to the thread that iterates."""

    def __init__(self, source: Source, settings: Settings, reader: DigitReader) -> None:
        self.source = source
        """Where the frames come from: its `info`, and how many were dropped."""
        self.frame: Frame | None = None
        """The frame that the latest reading is of."""
        self._settings, self._reader = settings, reader
        self._video_reader = VideoReader(settings)
        self._closed = False

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Reading:
        """Reads the newest frame; waits for it.

        Raises:
            SourceError: the source failed.
            StopIteration: it has ended, or was closed.
        """
        while not self._closed:
            frame = self.source.read(_WAIT)
            if frame is not None:
                self.frame = frame
                network = self._reader._network()
                return read_video_frame(frame, self._video_reader, self._settings, network)
            if self.source.finished:
                error = self.source.error
                self.close()
                if error is not None:
                    raise error
        raise StopIteration

    def close(self) -> None:
        """Lets go of the camera or file; may be called again."""
        self._closed = True
        self.source.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed") and not self._closed:
            self.close()


def as_stored(reading: Reading, picture: Picture) -> Reading:
    """Returns the reading of a decoded picture in the pixels of the picture as stored."""
    if picture.orientation == 1 and picture.reduced == 1:
        return reading
    width, height = picture.stored_size
    return replace(reading.map_boxes(picture.stored_box), width=width, height=height)


def _pixels(source: Any) -> Image:
    """Returns the array as uint8 BGR or grey. Raises SourceError for any other."""
    if not isinstance(source, np.ndarray):
        raise SourceError(
            f"got {type(source).__name__}, expected a path or a NumPy array of uint8 pixels"
        )
    shape = " × ".join(map(str, source.shape)) or "no dimension"
    expected = "expected uint8 of H × W (grey) or H × W × 3 (BGR)"
    if source.dtype != np.uint8:
        raise SourceError(
            f"got an array of {source.dtype}, {expected}: scale it to 0…255 and use astype(uint8)"
        )
    if source.ndim == 3 and source.shape[2] == 4:
        raise SourceError(f"got {shape}, {expected}: drop the fourth channel")
    if source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] != 3):
        raise SourceError(f"got {shape}, {expected}")
    if not source.size:
        raise SourceError(f"got an empty array, {shape}; {expected}")
    bgr = source if source.ndim == 3 else cv2.cvtColor(source, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(bgr, np.uint8)
