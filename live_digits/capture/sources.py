"""Where frames come from: a camera, a stream, a video, pictures or the built-in demo.

Each source owns one thread, cameras and streams one more that reads (see `feed`). Live kinds keep
the newest frame only and count what nobody took; files in batch give every frame, with
back-pressure. What is on disk is read by `media`, whose functions for batch are offered here too.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2  # noqa: F401 (before av: see pyproject.toml)

import av

from live_digits.capture.camera import Camera, cameras_there, describe_cameras, list_cameras
from live_digits.capture.demo_scene import DemoScene
from live_digits.capture.image_files import MOST_PIXELS, load_picture, silence_opencv_log, to_stored
from live_digits.capture.input_paths import expand_inputs, file_kind, is_picture, is_video
from live_digits.capture.reconnecting_source import blocked_readers
from live_digits.capture.stream import SCHEMES, Pipe, Stream
from live_digits.capture.threaded_source import ThreadedSource
from live_digits.capture.video_decoding import (
    decode_parts,
    decode_video,
    frame_bgr,
    open_video,
    paced,
    recorded_video,
    video_frames,
    video_stream,
)
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError, redact, without_address
from live_digits.core.types import Frame, Image, Mode, Signal, SourceInfo
from live_digits.recording.session import ReplayFiles, SessionError, is_session, replay_files

__all__ = [
    "MOST_PIXELS",
    "Source",
    "blocked_readers",
    "describe_cameras",
    "expand_inputs",
    "is_picture",
    "is_video",
    "list_cameras",
    "load_picture",
    "open_source",
    "redact",
    "to_stored",
    "video_frames",
]

log = logging.getLogger("live_digits.capture.sources")

PICTURE_RATE = 30
"""Frames a second of a picture that is shown live."""
PICTURE_SECONDS = 3
"""How long each picture of several is shown."""
_AUTO = 3.0
"""Seconds that `auto` gives each camera."""


class Source(Protocol):
    """What gives frames. Every method may be called from the main thread."""

    note: str
    """One line for the user: why `auto` shows the demo, or what a broken source waits for."""
    captured: int
    """Frames captured or due so far."""
    dropped: int
    """Of these, the ones that never will be handed out."""
    error: SourceError | None

    @property
    def info(self) -> SourceInfo: ...

    @property
    def signal(self) -> Signal:
        """Whether frames come, and what was lost."""
        ...

    @property
    def finished(self) -> bool:
        """No frame will come any more."""
        ...

    def start(self) -> None:
        """Starts the thread; a second call does nothing."""

    def read(self, timeout: float) -> Frame | None:
        """The newest frame not handed out before, or None after `timeout` seconds."""

    def close(self) -> None:
        """Ends the thread, within a second. May be called again."""


class _Video(ThreadedSource):
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


class _Pictures(ThreadedSource):
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


class Scene(Protocol):
    """What the demo plays."""

    def render(self, t: float) -> Image:
        """The frame at `t` seconds, uint8 BGR H×W×3; nobody writes to it."""
        ...


class Demo(ThreadedSource):
    """The built-in scene, or another one, drawn as it plays."""

    def __init__(
        self,
        settings: SourceSettings,
        *,
        lossless: bool = False,
        note: str = "",
        scene: Scene | None = None,
    ) -> None:
        mode = Mode(settings.width, settings.height, settings.fps)
        super().__init__(SourceInfo("demo", "demo", mode, mode), lossless=lossless)
        self.note = note
        self._scene = scene or DemoScene(settings.width, settings.height)

    def run(self) -> None:
        fps = self._info.requested.fps
        start, i = time.monotonic(), 0
        while not self._stop.is_set():
            if not self._lossless:
                missed = int((time.monotonic() - start) * fps) - i
                if missed > 0:
                    self.skip(missed)
                    i += missed
                if self._stop.wait(max(0.0, start + i / fps - time.monotonic())):
                    return
            when = start + i / fps if self._lossless else time.monotonic()
            if not self.put(self._scene.render(i / fps), i, when):
                return
            i += 1


def open_source(
    spec: str, settings: SourceSettings, *, every_frame: bool = False, paced: bool = True
) -> Source:
    """The source that `spec` names: auto, demo, a camera's index or device, a URL, a named pipe, a
    video, a picture, a folder or a glob of pictures, the folder of a recording.

    `every_frame`: files and the demo give each frame, with back-pressure, videos and the demo
    without waiting for their clock. `paced` False is for batch: the same, and each picture once.
    Cameras and streams always give the newest frame. Raises SourceError with one line to act on.
    """
    silence_opencv_log()
    spec = os.path.expanduser(spec.strip())
    lossless = every_frame or not paced
    if spec == "auto":
        return _auto(settings, lossless)
    if spec == "demo":
        return Demo(settings, lossless=lossless)
    if re.fullmatch(r"[0-9]{1,2}", spec):
        return Camera(int(spec), settings)
    if "://" in spec:
        scheme = spec.partition("://")[0].lower()
        if scheme not in SCHEMES:
            raise SourceError(
                f"{redact(spec)}: {scheme}:// is not supported; expected {', '.join(SCHEMES)}"
            )
        return Stream(spec, settings)
    if match := re.fullmatch(r"/dev/video([0-9]{1,2})", spec):
        return Camera(int(match[1]), settings)
    kind = file_kind(spec)
    if kind == "device":
        match = re.search(r"video([0-9]{1,2})$", os.path.realpath(spec))
        if match is None:
            raise SourceError(f"{spec} is a device but no camera{cameras_there()}")
        return Camera(int(match[1]), settings)
    if kind == "folder" and is_session(Path(spec)):
        return _session(Path(spec), settings, lossless)
    if kind == "pipe":
        return Pipe(Path(spec), settings)
    paths = expand_inputs([spec])
    pictures = [p for p in paths if not is_video(p)]
    if (kind == "file" and not pictures) or (kind == "glob" and not pictures and len(paths) == 1):
        return _Video(paths[0], settings.max_pixels, lossless=lossless)
    if not pictures:
        raise SourceError(f"{spec} holds {len(paths)} videos and no picture; name one of them")
    return _Pictures(pictures, settings.max_pixels, lossless=lossless, paced=paced)


def _session(folder: Path, settings: SourceSettings, lossless: bool) -> Source:
    """A recording's folder, run again."""
    try:
        session = replay_files(folder)
    except OSError as e:
        name = f"{Path(e.filename).name}: " if e.filename else ""
        raise SourceError(f"recording {folder} cannot be read: {name}{without_address(e)}") from e
    except SessionError as e:
        raise SourceError(f"recording {folder} cannot be run again: {e}") from e
    if not session.files:
        raise SourceError(f"recording {folder} holds no video; only its readings are left")
    return _Video(folder, settings.max_pixels, lossless=lossless, session=session)


def _auto(settings: SourceSettings, lossless: bool) -> Source:
    """The first camera that delivers, else the demo."""
    for spec, name in list_cameras():
        try:
            camera = Camera(int(spec), settings)
        except SourceError as e:
            log.info("%s (%s) left out: %s", spec, name, e)
            continue
        if camera.wait_for_first(min(settings.timeout, _AUTO)):
            return camera
        camera.close()
        log.info("camera %s (%s) left out: no frame", spec, name)
    note = "no camera delivers a frame: showing the built-in demo"
    return Demo(settings, lossless=lossless, note=note)
