"""Cameras: which there are, opening one, and finding it again after it was gone.

Linux tells a camera from its like (name, maker's ids, USB port), so that one which comes back under
another number is found, and another one under its old number is not taken for it. Elsewhere a
number is all there is.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from live_digits.capture import v4l2
from live_digits.capture.connection_state import Timeouts
from live_digits.capture.image_files import as_bgr, silence_opencv_log
from live_digits.capture.reconnecting_source import ReconnectingSource
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError
from live_digits.core.types import Image, Mode, SourceInfo

log = logging.getLogger("live_digits.capture")

_LIMITS = Timeouts()
"""The waiting times of a camera; the first frame's comes from the settings."""
_RETRY = 0.02
"""Seconds between reads that fail."""
_REPEAT = 0.002
"""Seconds; a read that is faster and brings the picture before once more brings nothing: some
drivers go on handing out their last buffer when the camera has gone."""
_SAMPLE = 16
"""Every so many pixels are compared for that."""
_TRIED = 4
"""Numbers that are tried where the system does not list its cameras."""
_SELECT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
"""OpenCV's name for the seconds that a read of a V4L2 camera blocks: 10 by its default."""
_BACKENDS = {
    "any": cv2.CAP_ANY,
    "v4l2": cv2.CAP_V4L2,
    "gstreamer": cv2.CAP_GSTREAMER,
    "dshow": cv2.CAP_DSHOW,
    "msmf": cv2.CAP_MSMF,
    "avfoundation": cv2.CAP_AVFOUNDATION,
}
_OWN = {"win32": cv2.CAP_DSHOW, "linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that is there. `spec` is what --source takes; `modes`: a line a pixel format;
    `users`: other programs that have it open, as far as can be seen."""

    spec: str
    name: str
    modes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    note: str = ""


def list_cameras() -> list[tuple[str, str]]:
    """The cameras there are: what --source takes, and a name. On Linux none is opened."""
    if sys.platform == "linux":
        return [(str(n.index), n.name) for n in v4l2.list_devices()]
    silence_opencv_log()
    there = []
    for index in range(_TRIED):
        device = _opened(index, _OWN.get(sys.platform, cv2.CAP_ANY))
        if device is not None:
            device.release()
            there.append((str(index), f"camera {index}"))
    return there


def describe_cameras() -> list[CameraInfo]:
    """The cameras there are with all that the system tells. Each is opened once at most, on Linux
    only to be asked: one that is in use is not disturbed."""
    if sys.platform != "linux":
        note = "this system does not tell names and modes"
        return [CameraInfo(spec, name, note=note) for spec, name in list_cameras()]
    found = []
    for node in v4l2.list_devices():
        users, note = tuple(v4l2.processes_using(node.index)), ""
        try:
            formats = v4l2.list_formats(node.index)
        except OSError as e:
            formats, note = (), f"modes unknown: {e.strerror or e}"
            if isinstance(e, PermissionError):
                note += "; add your user to the group video"
        if formats is not None:
            lines = tuple(f"{f.name}: {_modes(f.modes)}" for f in formats)
            found.append(CameraInfo(str(node.index), node.name, lines, users, note))
    return found


def _modes(modes: tuple[Mode, ...]) -> str:
    return ", ".join(map(str, modes)) if modes else "the driver lists no sizes"


class _CameraConnection:
    """An open camera, as asked for. Implements `reconnecting_source.Connection`."""

    finite = False

    def __init__(self, device: cv2.VideoCapture, index: int, name: str, asked: Mode) -> None:
        self.reported = _ask(device, asked)
        self._device, self._index, self._name = device, index, name

    def images(self) -> Iterator[Image | None]:
        before: Image | None = None
        while True:
            start = time.monotonic()
            ok, image = self._device.read()
            if not ok or image is None or not image.size:
                if not _present(self._index):
                    raise SourceError(f"{self._name} was unplugged; plug it in again")
                time.sleep(_RETRY)
                yield None
                continue
            sample = np.asarray(image[::_SAMPLE, ::_SAMPLE], np.uint8)
            if time.monotonic() - start < _REPEAT and _same(sample, before):
                time.sleep(_RETRY)
                yield None
                continue
            before = sample.copy()
            yield as_bgr(image, self._name)

    def close(self) -> None:
        self._device.release()


def _same(a: Image, b: Image | None) -> bool:
    return b is not None and np.array_equal(a, b)


def _ask(device: cv2.VideoCapture, asked: Mode) -> Mode:
    """Asks for a mode; what the camera says that it gives."""
    # MJPG first: uncompressed, USB 2 carries 720p at ten frames a second only.
    device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    device.set(cv2.CAP_PROP_FRAME_WIDTH, asked.width)
    device.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.height)
    device.set(cv2.CAP_PROP_FPS, asked.fps)
    width, height, fps = (
        device.get(p)
        for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    )
    return Mode(int(width), int(height), float(fps))


class Camera(ReconnectingSource):
    """A camera by its number; found again under another one."""

    def __init__(self, index: int, settings: SourceSettings) -> None:
        """Opens it: macOS asks for permission on the main thread only. Raises SourceError."""
        # A read that blocks for a second is no danger; OpenCV's ten would keep the camera closed
        # for as long. Where the user has set it, it stays.
        os.environ.setdefault(_SELECT, "1")
        self._index, self._backend = index, settings.backend
        self._node = _node(index)
        self._there = True
        asked = Mode(settings.width, settings.height, settings.fps)
        self._name = f"camera {index}"
        self._mode = asked
        first = self._device(index)
        info = SourceInfo(self._name, "camera", requested=asked, reported=first.reported)
        super().__init__(info, replace(_LIMITS, first=settings.timeout), first)

    def _device(self, index: int) -> _CameraConnection:
        device = _open_camera(index, self._backend)
        if device is None:
            raise SourceError(no_camera(index))
        return _CameraConnection(device, index, self._name, self._mode)

    def _connect(self, ended: threading.Event) -> _CameraConnection:
        index = self._find()
        if index is None:
            raise SourceError(f"{self._name} is not there; plug it in again")
        device = self._device(index)
        if index != self._index:
            log.warning("%s has come back as number %d", self._name, index)
            self._index = index
        return device

    def _find(self) -> int | None:
        """The number that the camera has now; None while it is not there."""
        if self._node is None:
            return self._index
        alike = [(self._node.likeness(n), n.index) for n in v4l2.list_devices()]
        best = max(alike, default=(0, 0))
        return best[1] if best[0] else None

    def _worth_trying(self) -> bool:
        before, self._there = self._there, self._find() is not None
        return self._there and not before


def _node(index: int) -> v4l2.VideoDevice | None:
    if sys.platform != "linux":
        return None
    return next((n for n in v4l2.list_devices() if n.index == index), None)


def _present(index: int) -> bool:
    """False where the system is sure that the camera has gone."""
    return sys.platform != "linux" or (v4l2.DEVICES / f"video{index}").exists()


def _open_camera(index: int, backend: str) -> cv2.VideoCapture | None:
    choices = [_BACKENDS[backend]] if backend != "auto" else [_OWN.get(sys.platform, cv2.CAP_ANY)]
    if backend == "auto" and sys.platform != "linux":
        choices.append(cv2.CAP_ANY)  # on Linux it opens the same camera once more, and complains
    for choice in dict.fromkeys(choices):
        device = _opened(index, choice)
        if device is not None:
            return device
    return None


def _opened(index: int, backend: int) -> cv2.VideoCapture | None:
    device = cv2.VideoCapture(index, backend)
    if device.isOpened():
        return device
    device.release()
    return None


def no_camera(index: int) -> str:
    """Why a camera cannot be opened, and what to do."""
    node = v4l2.DEVICES / f"video{index}"
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return f"camera {index}: no permission for {node}; add your user to the group video"
    if node.exists():
        by = ", ".join(v4l2.processes_using(index))
        if by:
            return f"camera {index} cannot be opened; close the other program that uses it: {by}"
        return (
            f"camera {index} cannot be opened: it is asleep, or another program uses it; wake it "
            "or close that program"
        )
    return f"there is no camera {index}{cameras_there()}"


def cameras_there() -> str:
    """What a message adds: the cameras that could be meant."""
    there = ", ".join(f"{spec} ({name})" for spec, name in list_cameras())
    if there:
        return f"; there is {there}: name one of these with --source"
    return "; no camera is connected: connect one, or try --source demo or a file"
