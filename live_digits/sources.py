"""Where frames come from: a camera, a stream, a video, pictures or the built-in demo.

Each source owns one thread. Live kinds keep the newest frame only and count what nobody took; files
in batch give every frame, with back-pressure. What is on disk is read by `media`, whose functions
for batch are offered here too.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import av
import av.error
import cv2

from live_digits.config import SourceSettings
from live_digits.demo import DemoScene
from live_digits.errors import SourceError
from live_digits.media import (
    MOST_PIXELS,
    as_bgr,
    decode_parts,
    decode_video,
    expand_inputs,
    file_kind,
    frame_bgr,
    is_picture,
    is_video,
    load_picture,
    open_video,
    quiet,
    to_stored,
    video_frames,
    video_stream,
    why,
)
from live_digits.session import Replay, is_session, replay
from live_digits.types import Frame, Image, Mode, SourceInfo

__all__ = [
    "MOST_PIXELS",
    "Source",
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

log = logging.getLogger("live_digits.sources")

_SCHEMES = ("rtsp", "rtsps", "http", "https")
_PROTOCOLS = "http,https,tcp,tls,rtsp,rtp,udp,crypto,hls,httpproxy"
"""What a stream may reach for: never a file of this computer."""

PICTURE_RATE = 30
"""Frames a second of a picture that is shown live."""
PICTURE_SECONDS = 3
"""How long each picture of several is shown."""
_QUEUE = 4
"""Frames that wait at most where every frame counts."""
_CLOSE = 0.8
"""Seconds that `close` waits for the thread."""
_AUTO = 3.0
"""Seconds that `auto` gives each camera."""
_PAUSES = (1.0, 10.0)
"""Seconds before the first and the last try to reconnect; they double between."""
_STALL = 1.0
"""Seconds of failing reads after which a camera is opened anew."""
_STREAM_READ = 5.0
"""Seconds without data after which a stream counts as broken."""
_LATE = 0.05
"""Seconds; a video frame that is later is dropped undrawn…"""
_SHOWN = 0.25
"""…unless nothing was shown for so many seconds."""
_GAP = 5.0
"""Seconds; a longer hole between timestamps is not waited for."""
_MEASURE = 60
"""Arrivals that the measured rate spans."""
_REPORT = 30
"""Frames after which a live source logs its modes."""
_SYSFS = Path("/sys/class/video4linux")
_BACKENDS = {
    "any": cv2.CAP_ANY,
    "v4l2": cv2.CAP_V4L2,
    "gstreamer": cv2.CAP_GSTREAMER,
    "dshow": cv2.CAP_DSHOW,
    "msmf": cv2.CAP_MSMF,
    "avfoundation": cv2.CAP_AVFOUNDATION,
}
_OWN = {"win32": cv2.CAP_DSHOW, "linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}


class Source(Protocol):
    """What gives frames. Every method may be called from the main thread."""

    note: str
    """One line for the user: why `auto` shows the demo, or what a broken source waits for."""
    captured: int
    """Frames captured or due so far."""
    dropped: int
    """Of these, the ones that never will be handed out."""
    reconnects: int
    error: SourceError | None

    @property
    def info(self) -> SourceInfo: ...

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


class _Threaded(ABC):
    """The machinery of all kinds: one thread that runs `_work` and puts frames, a slot (or, where
    every frame counts, a short queue), the counters, and the end."""

    def __init__(self, info: SourceInfo, *, lossless: bool, patience: float | None = None) -> None:
        """`patience`: seconds until the first frame, after which the source fails."""
        self.note = ""
        self.captured = self.dropped = self.reconnects = 0
        self.error: SourceError | None = None
        self._info, self._lossless, self._patience = info, lossless, patience
        self._frames: deque[Frame] = deque()
        self._condition = threading.Condition()
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._size = (0, 0)
        self._arrivals: deque[float] = deque(maxlen=_MEASURE)

    @property
    def info(self) -> SourceInfo:
        with self._condition:
            times, (width, height) = tuple(self._arrivals), self._size
        span = times[-1] - times[0] if times else 0.0
        fps = (len(times) - 1) / span if span > 0 else 0.0
        return replace(self._info, measured=Mode(width, height, fps))

    @property
    def finished(self) -> bool:
        return self._ended and not self._frames

    def start(self) -> None:
        if self._thread is None and not self._ended:
            self._begun = time.monotonic()
            name = f"source {self._info.kind}"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            self._thread.start()

    def read(self, timeout: float) -> Frame | None:
        self.start()
        self._asked.set()
        with self._condition:
            self._await_frame(timeout)
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._condition.notify_all()
            return frame

    def wait_for_first(self, timeout: float) -> bool:
        """Whether a frame comes within `timeout` seconds. It is not taken."""
        self.start()
        with self._condition:
            self._await_frame(timeout)
            return bool(self._frames)

    def close(self) -> None:
        self._stop.set()
        self._asked.set()
        with self._condition:
            self._ended = True
            self._frames.clear()
            self._condition.notify_all()
        if self._thread is None:
            self._release()
            return
        self._thread.join(_CLOSE)
        if self._thread.is_alive():
            # A blocked driver or socket cannot be interrupted; the thread ends when that returns.
            log.info("%s: still blocked while closing", self._info.name)

    def _await_frame(self, timeout: float) -> None:
        """Waits, the condition held, for a frame or the end; fails a source that never began."""
        left = timeout
        if self._patience is not None and not self.captured:
            left = min(timeout, max(0.0, self._begun + self._patience - time.monotonic()))
        came = self._condition.wait_for(lambda: bool(self._frames) or self._ended, left)
        if came or self.captured or self._patience is None:
            return
        if time.monotonic() - self._begun >= self._patience:
            reason = f" ({self.note})" if self.note else ""
            self.error = SourceError(
                f"{self._info.name} gave no frame within {self._patience:g} s{reason}; "
                "check that nothing else uses it, or try --source demo"
            )
            self._ended = True
            self._stop.set()

    def _run(self) -> None:
        try:
            self._work()
        except SourceError as e:
            self.error = e
        except Exception as e:
            log.debug("%s failed", self._info.name, exc_info=True)
            self.error = SourceError(f"{self._info.name}: {type(e).__name__}: {e}")
        finally:
            self._release()
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    @abstractmethod
    def _work(self) -> None:
        """Puts frames until there are none or `_stop` is set."""

    def _release(self) -> None:  # noqa: B027 (some kinds hold nothing)
        """Gives back what the source holds. May be called again."""

    def _put(self, image: Image, seq: int, when: float, name: str = "") -> bool:
        """Offers one frame; False once the source is being closed."""
        image.flags.writeable = False
        now = time.monotonic()
        frame = Frame(image, seq, when, name or self._info.name, now)
        with self._condition:
            self.captured += 1
            self._size = image.shape[1], image.shape[0]
            self._arrivals.append(now)
            if self._lossless:
                self._condition.wait_for(lambda: len(self._frames) < _QUEUE or self._stop.is_set())
            elif self._frames:
                self._frames.clear()
                self.dropped += 1
            if self._stop.is_set():
                return False
            self._frames.append(frame)
            self._condition.notify_all()
        return True

    def _miss(self, count: int) -> None:
        """Counts frames that were due and are skipped."""
        with self._condition:
            self.captured += count
            self.dropped += count

    def _play(self, frames: Iterator[tuple[float, av.VideoFrame]], *, live: bool) -> None:
        """Puts decoded frames when they are due, counted from the first read; skips late ones.
        `live`: their time is the monotonic clock, else the presentation time."""
        self._asked.wait()
        start, shown = time.monotonic(), 0.0
        for seq, (when, frame) in enumerate(frames):
            now = time.monotonic()
            if seq == 0 or start + when - now > _GAP:
                start = now - when
            wait = start + when - now
            if -wait > _LATE and now - shown < _SHOWN:
                self._miss(1)
                if self._stop.is_set():
                    return
                continue
            image = frame_bgr(frame)
            if self._stop.wait(max(0.0, start + when - time.monotonic())):
                return
            shown = time.monotonic()
            if not self._put(image, seq, shown if live else when):
                return


class _Live(_Threaded):
    """A camera or a stream: connect, read until it breaks, pause, connect again."""

    def __init__(self, info: SourceInfo, settings: SourceSettings) -> None:
        super().__init__(info, lossless=False, patience=settings.timeout)
        self._settings = settings

    @abstractmethod
    def _connect(self) -> None:
        """Opens the device or the connection. Raises SourceError."""

    @abstractmethod
    def _images(self) -> Iterator[Image]:
        """New pictures until the end of the connection. Raises SourceError where it breaks."""

    def _work(self) -> None:
        pause, connections = _PAUSES[0], 0
        while not self._stop.is_set():
            reason = f"{self._info.name}: the connection ended"
            try:
                self._connect()
                self.reconnects, connections = connections, connections + 1
                for image in self._images():
                    if not self._put(image, self.captured, time.monotonic()):
                        return
                    pause, self.note = _PAUSES[0], ""
                    if self.captured == _REPORT:
                        self._report()
            except (SourceError, cv2.error) as e:
                if not connections:
                    raise
                reason = str(e)
            finally:
                self._release()
            if self._ended or self._stop.is_set():
                return
            self.note = f"{reason}; trying again in {pause:g} s"
            log.warning("%s", self.note)
            self._stop.wait(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _report(self) -> None:
        info = self.info
        log.info(
            "%s: requested %s, reported %s, measured %s",
            info.name, info.requested, info.reported, info.measured,
        )  # fmt: skip


class _Camera(_Live):
    def __init__(self, index: int, settings: SourceSettings) -> None:
        asked = Mode(settings.width, settings.height, settings.fps)
        super().__init__(SourceInfo(f"camera {index}", "camera", requested=asked), settings)
        self._index = index
        self._device: cv2.VideoCapture | None = None
        # Opened by the caller: macOS asks for permission on the main thread only.
        self._connect()

    def _connect(self) -> None:
        if self._device is not None:
            return
        device = _open_camera(self._index, self._settings.backend)
        if device is None:
            raise SourceError(_no_camera(self._index))
        self._device = device
        asked = self._info.requested
        # MJPG first: uncompressed, USB 2 carries 720p at ten frames a second only.
        device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        device.set(cv2.CAP_PROP_FRAME_WIDTH, asked.width)
        device.set(cv2.CAP_PROP_FRAME_HEIGHT, asked.height)
        device.set(cv2.CAP_PROP_FPS, asked.fps)
        width, height, fps = (
            device.get(p)
            for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        self._info = replace(self._info, reported=Mode(int(width), int(height), float(fps)))

    def _images(self) -> Iterator[Image]:
        good = time.monotonic()
        while not self._stop.is_set() and self._device is not None:
            ok, image = self._device.read()
            if ok and image is not None and image.size:
                good = time.monotonic()
                yield as_bgr(image, self._info.name)
            elif time.monotonic() - good > _STALL:
                raise SourceError(f"{self._info.name} gives no frames any more; is it plugged in?")
            else:
                self._stop.wait(0.02)

    def _release(self) -> None:
        if self._device is not None:
            self._device.release()
            self._device = None


class _Stream(_Live):
    def __init__(self, url: str, settings: SourceSettings) -> None:
        super().__init__(SourceInfo(redact(url), "stream"), settings)
        self._url = url
        self._container: av.container.InputContainer | None = None

    def _connect(self) -> None:
        options = {"protocol_whitelist": _PROTOCOLS}
        if self._url.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        wait = self._settings.timeout
        try:
            container = av.open(self._url, options=options, timeout=(wait, min(wait, _STREAM_READ)))
        except (av.error.FFmpegError, OSError, ValueError) as e:
            raise SourceError(
                f"{self._info.name} cannot be opened: {why(e)}; check the address and the network"
            ) from e
        self._container = container
        stream = video_stream(container, self._info.name)
        size = stream.codec_context
        rate = float(stream.average_rate or 0)
        self._info = replace(self._info, reported=Mode(size.width, size.height, rate))

    def _images(self) -> Iterator[Image]:
        container = self._container
        if container is None:
            return
        frames = decode_video(container, self._info.name, remote=True)
        if (container.duration or 0) > 0:
            # A file on a server arrives faster than it plays, and has an end.
            self._play(frames, live=True)
            self._ended = True
            return
        for _, frame in frames:
            yield frame_bgr(frame)

    def _release(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None


class _Video(_Threaded):
    def __init__(self, path: Path, *, lossless: bool, session: Replay | None = None) -> None:
        """`session`: the path is a recording's folder, and these are its videos."""
        files = session.files if session else ((path, 0.0),)
        with open_video(files[0][0]) as container:
            rate = float(video_stream(container, str(path)).average_rate or 0)
        self._decoded = decode_parts(files)
        # The first frame shows that it is a video, and its size once turned upright.
        self._first = next(self._decoded)
        height, width = frame_bgr(self._first[1]).shape[:2]
        info = SourceInfo(str(path), "video", reported=Mode(width, height, rate))
        super().__init__(info, lossless=lossless)
        self.note = session.note if session else ""

    def _all(self) -> Iterator[tuple[float, av.VideoFrame]]:
        yield self._first
        yield from self._decoded

    def _work(self) -> None:
        if not self._lossless:
            self._play(self._all(), live=False)
            return
        for seq, (when, frame) in enumerate(self._all()):
            if not self._put(frame_bgr(frame), seq, when):
                return

    def _release(self) -> None:
        self._decoded.close()


class _Pictures(_Threaded):
    """Pictures in turn. Live, each is shown for a while and the last one stays; in batch, once."""

    def __init__(self, paths: Sequence[Path], *, lossless: bool, paced: bool) -> None:
        self.skipped: list[tuple[Path, str]] = []
        self._paths, self._paced = deque(paths), paced
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
        info = SourceInfo(name, "pictures", reported=Mode(width, height, rate))
        super().__init__(info, lossless=lossless)

    def _load_next(self, quietly: bool = False) -> tuple[Path, Image] | None:
        while self._paths:
            path = self._paths.popleft()
            try:
                return path, load_picture(path)[0]
            except SourceError as e:
                self.skipped.append((path, str(e)))
                if not quietly:
                    log.warning("skipped: %s", e)
        return None

    def _work(self) -> None:
        seq = 0
        due = time.monotonic()
        current: tuple[Path, Image] | None = self._now
        while current is not None:
            path, image = current
            repeats = PICTURE_RATE * PICTURE_SECONDS if self._paced else 1
            following = None
            while repeats > 0 or (self._paced and following is None):
                if not self._put(image, seq, seq / PICTURE_RATE, str(path)):
                    return
                seq, repeats = seq + 1, repeats - 1
                if repeats == 0 and self._paced:
                    following = self._load_next()
                due = max(due + 1 / PICTURE_RATE, time.monotonic())
                if self._paced and self._stop.wait(due - time.monotonic()):
                    return
            current = following if self._paced else self._load_next()


class _Demo(_Threaded):
    def __init__(self, settings: SourceSettings, *, lossless: bool, note: str = "") -> None:
        mode = Mode(settings.width, settings.height, settings.fps)
        super().__init__(SourceInfo("demo", "demo", mode, mode), lossless=lossless)
        self.note = note
        self._scene = DemoScene(settings.width, settings.height)

    def _work(self) -> None:
        fps = self._info.requested.fps
        start, i = time.monotonic(), 0
        while not self._stop.is_set():
            if not self._lossless:
                missed = int((time.monotonic() - start) * fps) - i
                if missed > 0:
                    self._miss(missed)
                    i += missed
                if self._stop.wait(max(0.0, start + i / fps - time.monotonic())):
                    return
            when = start + i / fps if self._lossless else time.monotonic()
            if not self._put(self._scene.render(i / fps), i, when):
                return
            i += 1


def open_source(
    spec: str, settings: SourceSettings, *, every_frame: bool = False, paced: bool = True
) -> Source:
    """The source that `spec` names: auto, demo, a camera's index or device, a URL, a video, a
    picture, a folder or a glob of pictures, the folder of a recording.

    `every_frame`: files and the demo give each frame, with back-pressure, videos and the demo
    without waiting for their clock. `paced` False is for batch: the same, and each picture once.
    Cameras and streams always give the newest frame. Raises SourceError with one line to act on.
    """
    quiet()
    spec = os.path.expanduser(spec.strip())
    lossless = every_frame or not paced
    if spec == "auto":
        return _auto(settings, lossless)
    if spec == "demo":
        return _Demo(settings, lossless=lossless)
    if re.fullmatch(r"[0-9]{1,2}", spec):
        return _Camera(int(spec), settings)
    if "://" in spec:
        scheme = spec.partition("://")[0].lower()
        if scheme not in _SCHEMES:
            raise SourceError(
                f"{redact(spec)}: {scheme}:// is not supported; expected {', '.join(_SCHEMES)}"
            )
        return _Stream(spec, settings)
    if match := re.fullmatch(r"/dev/video([0-9]{1,2})", spec):
        return _Camera(int(match[1]), settings)
    kind = file_kind(spec)
    if kind == "device":
        match = re.search(r"video([0-9]{1,2})$", os.path.realpath(spec))
        if match is None:
            raise SourceError(f"{spec} is a device but no camera{_cameras_there()}")
        return _Camera(int(match[1]), settings)
    if kind == "folder" and is_session(Path(spec)):
        return _session(Path(spec), lossless)
    paths = expand_inputs([spec])
    pictures = [p for p in paths if not is_video(p)]
    if (kind == "file" and not pictures) or (kind == "glob" and not pictures and len(paths) == 1):
        return _Video(paths[0], lossless=lossless)
    if not pictures:
        raise SourceError(f"{spec} holds {len(paths)} videos and no picture; name one of them")
    return _Pictures(pictures, lossless=lossless, paced=paced)


def _session(folder: Path, lossless: bool) -> Source:
    """A recording's folder, run again."""
    try:
        session = replay(folder)
    except OSError as e:
        raise SourceError(f"recording {folder} cannot be read: {why(e)}") from e
    if not session.files:
        raise SourceError(f"recording {folder} holds no video; only its readings are left")
    return _Video(folder, lossless=lossless, session=session)


def _auto(settings: SourceSettings, lossless: bool) -> Source:
    """The first camera that delivers, else the demo."""
    for spec, name in list_cameras():
        try:
            camera = _Camera(int(spec), settings)
        except SourceError as e:
            log.info("%s (%s) left out: %s", spec, name, e)
            continue
        if camera.wait_for_first(min(settings.timeout, _AUTO)):
            return camera
        camera.close()
        log.info("camera %s (%s) left out: no frame", spec, name)
    note = "no camera delivers a frame: showing the built-in demo"
    return _Demo(settings, lossless=lossless, note=note)


def list_cameras() -> list[tuple[str, str]]:
    """The cameras there are: what --source takes, and a name. On Linux none is opened."""
    if sys.platform == "linux":
        found = []
        for node in _SYSFS.glob("video*"):
            try:
                if (node / "index").read_text().strip() == "0":
                    found.append((node.name[5:], (node / "name").read_text().strip()))
            except OSError as e:
                log.debug("%s left out: %s", node, e)
        return sorted(found, key=lambda c: int(c[0]) if c[0].isdigit() else 100)
    quiet()
    there = []
    for index in range(4):
        device = _open_camera(index, "auto")
        if device is not None:
            device.release()
            there.append((str(index), f"camera {index}"))
    return there


def _open_camera(index: int, backend: str) -> cv2.VideoCapture | None:
    own = _OWN.get(sys.platform, cv2.CAP_ANY)
    for choice in dict.fromkeys((own, cv2.CAP_ANY)) if backend == "auto" else [_BACKENDS[backend]]:
        device = cv2.VideoCapture(index, choice)
        if device.isOpened():
            return device
        device.release()
    return None


def _no_camera(index: int) -> str:
    node = Path(f"/dev/video{index}")
    if node.exists() and not os.access(node, os.R_OK | os.W_OK):
        return f"camera {index}: no permission for {node}; add your user to the group video"
    if node.exists():
        return f"camera {index} cannot be opened; close the other program that uses it"
    return f"there is no camera {index}{_cameras_there()}"


def _cameras_there() -> str:
    there = ", ".join(f"{spec} ({name})" for spec, name in list_cameras())
    if there:
        return f"; there is {there}: name one of these with --source"
    return "; no camera is connected: connect one, or try --source demo or a file"


def redact(url: str) -> str:
    """The URL with its password starred: user:password@ → user:***@."""
    head, sign, rest = url.partition("://")
    if not sign:
        return url
    cut = re.search(r"[/?#]", rest)
    end = cut.start() if cut else len(rest)
    authority = rest[:end]
    if "@" not in authority and re.match(r"[^:]*:(?!\d*$)", authority):
        end, authority = len(rest), rest  # a password with a bare / in it
    user, at, host = authority.rpartition("@")
    if not at or ":" not in user:
        return url
    return f"{head}://{user.partition(':')[0]}:***@{host}{rest[end:]}"
