"""Files, a loopback server and a made-up camera that sources are tried with."""

from __future__ import annotations

import contextlib
import http.server
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

import av

from live_digits.capture import camera as cameras
from live_digits.capture import open_source
from live_digits.capture.base import Source
from live_digits.capture.connection_state import Timeouts
from live_digits.config.settings import SourceSettings
from live_digits.core.types import Frame, Image

SETTINGS = SourceSettings(width=160, height=120, fps=30.0, timeout=2.0)


class FakeCamera:
    """Stands for cv2.VideoCapture: 50 frames a second, each with its number in the first pixels."""

    rate = 50.0
    stalls = False
    """No frame ever."""
    repeats = False
    """The same picture at once, as of a driver whose camera has gone."""
    breaks_after: int | None = None
    opened: ClassVar[list[tuple[int, int]]] = []
    released = 0
    newest: ClassVar[FakeCamera | None] = None
    there: ClassVar[set[int]] = {0}

    def __init__(self, index: int, backend: int = 0) -> None:
        FakeCamera.opened.append((index, backend))
        FakeCamera.newest = self
        self.index, self.count = index, 0
        self.values: dict[int, float] = {}
        self.fails = False

    def isOpened(self) -> bool:
        return self.index in FakeCamera.there

    def set(self, key: int, value: float) -> bool:
        self.values[key] = value
        return True

    def get(self, key: int) -> float:
        return self.values.get(key, 0.0)

    def read(self) -> tuple[bool, Image | None]:
        if FakeCamera.stalls or self.fails or self.count == FakeCamera.breaks_after:
            return False, None
        if FakeCamera.repeats:
            return True, np.zeros((120, 160, 3), np.uint8)
        time.sleep(1 / FakeCamera.rate)
        self.count += 1
        image = np.zeros((120, 160, 3), np.uint8)
        image[0, :4] = np.frombuffer(struct.pack("<I", self.count), np.uint8)[:, None]
        return True, image

    def release(self) -> None:
        FakeCamera.released += 1


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    fresh: dict[str, Any] = {
        "stalls": False,
        "repeats": False,
        "breaks_after": None,
        "opened": [],
        "released": 0,
    }
    for key, value in (fresh | {"there": {0}}).items():
        monkeypatch.setattr(FakeCamera, key, value)
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(open_source, "list_cameras", lambda: [("0", "Fake Camera")])
    monkeypatch.setattr(cameras, "list_cameras", lambda: [("0", "Fake Camera")])
    monkeypatch.setattr(cameras, "_present", lambda index: True)
    return FakeCamera


QUICK = Timeouts(stale=0.1, lost=0.3, attempt=1.0, pauses=(0.05, 0.2))
"""Waiting times for tests."""


def picture(value: int = 200, width: int = 64, height: int = 48) -> Image:
    image = np.full((height, width, 3), value, np.uint8)
    image[:8, :16] = 20, 40, 220  # marks the stored top left corner
    return image


def save(path: Path, image: np.ndarray[Any, Any]) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def write_video(path: Path, frames: int = 20, fps: int = 20, codec: str = "mpeg4") -> Path:
    """Frame i is grey of level 10 i."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            image = np.full((48, 64, 3), 10 * i % 250, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        out.mux(stream.encode())
    return path


def exif_jpeg(path: Path, image: Image, orientation: int) -> Path:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    tiff = b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    block = b"Exif\x00\x00" + tiff
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    return path


def tiff(path: Path, image: Image, orientation: int) -> Path:
    """An uncompressed TIFF of one strip."""
    height, width = image.shape[:2]
    strip = image[..., ::-1].tobytes()
    bits = 8 + 2 + 10 * 12 + 4
    shorts = {259: 1, 262: 2, 274: orientation, 277: 3}
    longs = {256: width, 257: height, 273: bits + 6, 278: height, 279: len(strip)}
    entries = {t: struct.pack("<HHIHH", t, 3, 1, v, 0) for t, v in shorts.items()}
    entries |= {t: struct.pack("<HHII", t, 4, 1, v) for t, v in longs.items()}
    entries[258] = struct.pack("<HHII", 258, 3, 3, bits)
    directory = b"".join(entries[t] for t in sorted(entries))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    path.write_bytes(head + struct.pack("<3H", 8, 8, 8) + strip)
    return path


def wait_for(done: Callable[[], bool], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.01)
    return done()


def take(source: Source, count: int, timeout: float = 3.0) -> list[Frame]:
    """Up to `count` frames; fewer where the source ends."""
    frames: list[Frame] = []
    while len(frames) < count and not source.finished:
        frame = source.read(timeout)
        if frame is not None:
            frames.append(frame)
        elif source.error:
            break
    return frames


@contextlib.contextmanager
def running(source: Source) -> Iterator[Source]:
    source.start()
    try:
        yield source
    finally:
        source.close()


def our_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(("source ", "reader "))]


class Server:
    """Serves one file on loopback, whatever path is asked; counts the requests."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        counts = self
        self.requests = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                counts.requests += 1
                self.send_response(status)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/live.ts"


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
