"""Opens what a name stands for: a camera, a stream, a video, pictures or the built-in demo.

Each source owns one thread, cameras and streams one more that reads (`reconnecting_source`). Live
kinds keep the newest frame only and count what nobody took; files in batch give every frame, with
back-pressure.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import cv2  # noqa: F401 (before av: see pyproject.toml)

from live_digits.capture.base import Source
from live_digits.capture.camera import Camera, cameras_there, list_cameras
from live_digits.capture.demo_source import DemoSource
from live_digits.capture.file_sources import PicturesSource, VideoFileSource
from live_digits.capture.image_files import silence_opencv_log
from live_digits.capture.input_paths import expand_inputs, file_kind, is_video
from live_digits.capture.stream import SCHEMES, Pipe, Stream
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError, redact, without_address
from live_digits.recording.session import SessionError, is_session, replay_files

log = logging.getLogger("live_digits.capture")
_AUTO = 3.0
"""Seconds that `auto` gives each camera."""


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
        return DemoSource(settings, lossless=lossless)
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
        return VideoFileSource(paths[0], settings.max_pixels, lossless=lossless)
    if not pictures:
        raise SourceError(f"{spec} holds {len(paths)} videos and no picture; name one of them")
    return PicturesSource(pictures, settings.max_pixels, lossless=lossless, paced=paced)


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
    return VideoFileSource(folder, settings.max_pixels, lossless=lossless, session=session)


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
    return DemoSource(settings, lossless=lossless, note=note)
