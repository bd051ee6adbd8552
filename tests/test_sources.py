"""Sources with real files, a loopback server and a made-up camera: one contract, then each kind."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import logging
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import av

from live_digits import camera as cameras
from live_digits import feed, media, sources, stream, v4l2
from live_digits.camera import Listed
from live_digits.config import SourceSettings
from live_digits.errors import SourceError
from live_digits.link import Limits
from live_digits.sources import (
    Source,
    describe_cameras,
    expand_inputs,
    is_picture,
    is_video,
    list_cameras,
    load_picture,
    open_source,
    redact,
    to_stored,
    video_frames,
)
from live_digits.types import Box, Frame, Image

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
    monkeypatch.setattr(sources, "list_cameras", lambda: [("0", "Fake Camera")])
    monkeypatch.setattr(cameras, "list_cameras", lambda: [("0", "Fake Camera")])
    monkeypatch.setattr(cameras, "_present", lambda index: True)
    return FakeCamera


QUICK = Limits(stale=0.1, lost=0.3, attempt=1.0, pauses=(0.05, 0.2))
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


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


# The contract of every kind


@pytest.mark.parametrize("every_frame", [False, True])
@pytest.mark.parametrize("kind", ["camera", "stream", "video", "picture", "folder", "demo"])
def test_contract(
    kind: str, every_frame: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "camera":
            request.getfixturevalue("camera")
            spec = "0"
        elif kind == "stream":
            content = write_video(tmp_path / "live.ts", codec="mpeg2video").read_bytes()
            spec = stack.enter_context(Server(content)).url
        elif kind == "video":
            spec = str(write_video(tmp_path / "a.mp4"))
        elif kind == "demo":
            spec = "demo"
        else:
            for i in range(2):
                save(tmp_path / f"{i}.png", picture(100 + i))
            spec = str(tmp_path if kind == "folder" else tmp_path / "0.png")
        source = open_source(spec, SETTINGS, every_frame=every_frame)
        source.start()
        source.start()
        frames = take(source, 6)
        assert source.error is None
        assert len(frames) >= 1 if kind == "stream" else len(frames) == 6
        for frame in frames:
            assert frame.image.dtype == np.uint8
            assert frame.image.ndim == 3
            assert frame.image.shape[2] == 3
            assert not frame.image.flags.writeable
            assert frame.source
        pairs = list(itertools.pairwise(frames))
        assert all(b.seq > a.seq and b.time >= a.time for a, b in pairs)
        height, width = frames[0].image.shape[:2]
        info = source.info
        assert (info.measured.width, info.measured.height) == (width, height)
        assert info.kind == ("pictures" if kind in ("picture", "folder") else kind)
        assert source.captured >= len(frames) + source.dropped
        began = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - began < 1
        assert source.finished
        assert source.read(0.2) is None
        source.start()
        assert our_threads() == []


def test_close_without_start_leaves_nothing(tmp_path: Path, camera: type[FakeCamera]) -> None:
    path = str(write_video(tmp_path / "a.mp4", 3))
    for spec in ("0", "demo", path):
        source = open_source(spec, SETTINGS)
        source.close()
        assert source.finished
        assert source.read(0.1) is None
    assert our_threads() == []
    assert camera.released == 1


# Cameras


def test_camera_newest_frame_wins_and_drops_are_counted(camera: type[FakeCamera]) -> None:
    with running(open_source("0", SETTINGS)) as source:
        frames = []
        for _ in range(4):
            time.sleep(0.1)
            frame = source.read(1)
            assert frame is not None
            assert time.monotonic() - frame.time < 0.08
            frames.append(frame)
        numbers = [int(f.image[0, :4, 0].copy().view("<u4")[0]) for f in frames]
        assert numbers == [f.seq + 1 for f in frames]
        assert all(b - a >= 3 for a, b in itertools.pairwise(numbers))
        assert source.dropped >= 8
        # Asked faster than frames come, each is given once.
        fast = take(source, 10)
        assert len({f.seq for f in fast}) == 10
        assert 30 < source.info.measured.fps < 55
        assert source.info.reported.width == 160
        assert source.dropped + 4 + 10 <= source.captured


def test_camera_is_asked_for_mjpg_and_size(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "_REPORT", 3)
    with (
        caplog.at_level(logging.INFO, "live_digits.sources"),
        running(open_source("0", SourceSettings(width=640, height=480, backend="any"))) as source,
    ):
        assert len(take(source, 4)) == 4
        assert camera.opened == [(0, cv2.CAP_ANY)]
        device = FakeCamera.newest
        assert device is not None
        assert device.values[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
        assert device.values[cv2.CAP_PROP_FRAME_WIDTH] == 640
    assert "requested 640×480 at 30/s, reported 640×480 at 30/s, measured 160×120" in caplog.text


def test_camera_that_does_not_exist_names_those_there(camera: type[FakeCamera]) -> None:
    with pytest.raises(SourceError, match=r"there is no camera 57; there is 0 \(Fake Camera\)"):
        open_source("57", SETTINGS)
    with pytest.raises(SourceError, match="no camera 58"):
        open_source("/dev/video58", SETTINGS)


def test_no_camera_at_all_on_the_real_library(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="there is no camera 93"):
        open_source("93", SETTINGS)
    assert capfd.readouterr().err == ""


def test_camera_without_frames_fails_after_the_timeout(camera: type[FakeCamera]) -> None:
    camera.stalls = True
    settings = SourceSettings(timeout=0.5)
    with running(open_source("0", settings)) as source:
        began = time.monotonic()
        assert source.read(5) is None
        assert 0.4 < time.monotonic() - began < 1
        assert "gave no frame within 0.5 s" in str(source.error)
        assert source.finished


def test_camera_is_opened_again(camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "_LIMITS", QUICK)
    camera.breaks_after = 3
    with running(open_source("0", SETTINGS)) as source:
        frames = take(source, 8)
        assert len(frames) == 8
        assert source.signal.reconnects >= 2
        assert source.error is None
        camera.there = set()
        assert wait_for(lambda: "there is no camera 0" in source.note)
        camera.there = {0}
        assert source.read(3) is not None


def test_auto_takes_a_camera_or_says_why_not(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(open_source("auto", SETTINGS)) as source:
        assert source.info.kind == "camera"
        assert source.note == ""
        assert source.read(1) is not None
    camera.stalls = True
    monkeypatch.setattr(sources, "_AUTO", 0.2)
    with running(open_source("auto", SETTINGS)) as source:
        assert source.info.kind == "demo"
        assert source.note == "no camera delivers a frame: showing the built-in demo"
        assert source.read(2) is not None
    assert our_threads() == []


def test_list_cameras_on_linux_names_capture_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node, index in (("video10", "0"), ("video2", "0"), ("video3", "1")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "index").write_text(index + "\n")
        (tmp_path / node / "name").write_text(f"Cam {node}\n")
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path)
    monkeypatch.setattr(sys, "platform", "linux")
    assert list_cameras() == [("2", "Cam video2"), ("10", "Cam video10")]


def plug(folder: Path, node: str, name: str, port: str = "", serial: str = "") -> None:
    """A camera as sysfs shows it."""
    (folder / node).mkdir(parents=True)
    (folder / node / "index").write_text("0\n")
    (folder / node / "name").write_text(name + "\n")
    if port:
        interface = folder.parent / "devices" / port / f"{port}:1.0"
        interface.mkdir(parents=True, exist_ok=True)
        (interface.parent / "idVendor").write_text("1d6b\n")
        (interface.parent / "idProduct").write_text("0102\n")
        (interface.parent / "serial").write_text(serial + "\n")
        (folder / node / "device").symlink_to(interface)


def unplug(folder: Path, node: str) -> None:
    shutil.rmtree(folder / node)


@pytest.fixture
def linux(
    camera: type[FakeCamera], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Fake cameras, known by a made-up sysfs."""
    folder = tmp_path / "class"
    folder.mkdir()
    monkeypatch.setattr(v4l2, "SYSFS", folder)
    monkeypatch.setattr(cameras, "_present", lambda index: (folder / f"video{index}").exists())
    monkeypatch.setattr(cameras, "_LIMITS", QUICK)
    monkeypatch.setattr(sys, "platform", "linux")
    return lambda: folder


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights here")
def test_a_camera_is_found_under_another_number_and_no_other_is_taken_for_it(
    linux: Callable[[], Path], camera: type[FakeCamera]
) -> None:
    folder = linux()
    plug(folder, "video0", "Cam", "1-1", "A")
    plug(folder, "video1", "Cam", "1-2", "B")
    camera.there = {0, 1, 2, 3}
    with running(open_source("0", SETTINGS)) as source:
        assert source.read(3) is not None
        device = FakeCamera.newest
        assert device is not None
        device.fails = True
        unplug(folder, "video0")
        assert wait_for(lambda: "was unplugged" in source.note or "not there" in source.note, 30)
        plug(folder, "video0", "Another", "1-1", "A")
        plug(folder, "video2", "Cam", "1-1", "C")
        assert wait_for(lambda: source.signal.silent is not None, 30)
        assert [index for index, _ in camera.opened] == [0], "neither of the others is opened"
        plug(folder, "video3", "Cam", "1-3", "A")
        assert wait_for(lambda: source.signal.silent is None, 30)
        assert camera.opened[-1][0] == 3
        newest = FakeCamera.newest
        assert newest is not None
        assert newest.values == device.values, "the same is asked for again"
        assert source.info.name == "camera 0"
        assert source.signal.reconnects == 1
    assert camera.released == 2


def test_a_driver_that_repeats_its_last_picture_is_silent(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "_LIMITS", QUICK)
    with running(open_source("0", SETTINGS)) as source:
        assert source.read(3) is not None
        camera.repeats = True
        assert wait_for(lambda: source.signal.silent is not None, 30)
        camera.repeats = False
        assert wait_for(lambda: source.signal.silent is None, 30)


class Driver:
    """Stands for a V4L2 driver's ioctls that list: two formats, the second a range of sizes."""

    formats = (b"MJPG", b"YUYV")
    able = 0x1

    def __init__(self) -> None:
        self.open: list[int] = []
        self.opened = 0

    def ioctl(self, node: int, request: int, answer: bytearray) -> None:
        assert node in self.open
        index = struct.unpack_from("<I", answer)[0]
        if request == v4l2._QUERYCAP:
            struct.pack_into("<II", answer, 84, 0x80000001, self.able)
        elif request == v4l2._ENUM_FMT and index < 2:
            assert struct.unpack_from("<I", answer, 4)[0] == 1
            answer[44:48] = self.formats[index]
        elif request == v4l2._ENUM_FRAMESIZES and bytes(answer[4:8]) == b"MJPG" and index < 2:
            struct.pack_into("<III", answer, 8, 1, (640, 1280)[index], (480, 720)[index])
        elif request == v4l2._ENUM_FRAMESIZES and bytes(answer[4:8]) == b"YUYV":
            struct.pack_into("<7I", answer, 8, 3, 16, 1920, 8, 16, 1080, 8)
        elif request == v4l2._ENUM_FRAMEINTERVALS and index < 2 and bytes(answer[4:8]) == b"MJPG":
            struct.pack_into("<III", answer, 16, 1, 1, (15, 30)[index])
        else:
            raise OSError(22, "Invalid argument")

    def opens(self, path: Path, flags: int) -> int:
        if path.name == "video4":
            raise PermissionError(13, "Permission denied")
        self.opened += 1
        self.open.append(self.opened)
        return self.opened


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_cameras_are_described_and_each_is_opened_once(
    linux: Callable[[], Path], camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver()
    import fcntl

    def described() -> list[Listed]:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "ioctl", driver.ioctl)
            patch.setattr(os, "open", driver.opens)
            patch.setattr(os, "close", driver.open.remove)
            patch.setattr(v4l2, "users", lambda index: ["cheese (12)"] if index == 0 else [])
            return describe_cameras()

    plug(linux(), "video0", "Cam")
    plug(linux(), "video4", "Locked")
    first, locked = described()
    assert (first.spec, first.name, first.users) == ("0", "Cam", ("cheese (12)",))
    assert first.modes == ("MJPG: 640×480 at 30/s, 1280×720 at 30/s", "YUYV: 1920×1080")
    assert driver.opened == 1
    assert driver.open == []
    assert camera.opened == [], "a camera is asked, not started"
    assert locked.modes == ()
    assert "Permission denied; add your user to the group video" in locked.note
    driver.able = 0x2
    assert [c.spec for c in described()] == ["4"], "what only shows pictures is no camera"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_program_that_has_a_camera_open_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video7").write_text("")
    monkeypatch.setattr(v4l2, "DEVICES", tmp_path)
    program = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "video7")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        (user,) = v4l2.users(7)
        assert f"({other.pid})" in user
        other.communicate()
    assert v4l2.users(7) == []


def test_list_cameras_elsewhere_tries_four(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    camera.there = {0, 2}
    assert list_cameras() == [("0", "camera 0"), ("2", "camera 2")]
    assert (0, cv2.CAP_DSHOW) in camera.opened


# Streams


def test_stream_reconnects_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_LIMITS", QUICK)
    content = write_video(tmp_path / "live.ts", codec="mpeg2video").read_bytes()
    with Server(content) as server:
        source = open_source(server.url, SETTINGS)
        with running(source):
            assert source.read(3) is not None
            assert wait_for(lambda: source.signal.reconnects >= 2)
            assert source.error is None
            assert server.requests >= 3
    assert our_threads() == []


def test_stream_that_is_refused_fails_at_once_without_the_password(tmp_path: Path) -> None:
    with Server(b"", status=404) as server:
        url = server.url.replace("://", "://me:secret@")
    for address in (url, url.replace("http", "rtsp", 1)):
        with running(open_source(address, SETTINGS)) as source:
            assert source.read(5) is None
            assert source.finished
            assert "cannot be opened" in str(source.error)
            assert "me:***@" in str(source.error)
            assert "secret" not in str(source.error) + source.info.name


def test_stream_that_says_nothing_closes_in_time() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        source = open_source(url, SourceSettings(timeout=1.5))
        source.start()
        assert source.read(0.2) is None
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 1
        assert source.finished
        assert wait_for(lambda: our_threads() == [])


def test_file_on_a_server_plays_in_its_own_time(tmp_path: Path) -> None:
    content = write_video(tmp_path / "a.mkv", frames=10).read_bytes()
    with Server(content) as server, running(open_source(server.url, SETTINGS)) as source:
        frames = take(source, 100)
        assert source.finished
        assert source.error is None
        if server.requests == 1:
            assert len(frames) + source.dropped == 10
            assert frames[-1].time - frames[0].time > 0.3


def test_unknown_scheme() -> None:
    with pytest.raises(SourceError, match="ftp:// is not supported; expected rtsp"):
        open_source("ftp://a:b@c/x", SETTINGS)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@cam:554/h264?a=b", "rtsp://me:***@cam:554/h264?a=b"),
        ("rtsp://me:p@ss@cam/x", "rtsp://me:***@cam/x"),
        ("rtsp://me:p/w@cam/x", "rtsp://me:***@cam/x"),
        ("http://cam:8080/a@b", "http://cam:8080/a@b"),
        ("http://cam/x?mail=a@b:c", "http://cam/x?mail=a@b:c"),
        ("http://me@cam/x", "http://me@cam/x"),
        ("photos/a.jpg", "photos/a.jpg"),
        ("http://cam/x?user=me&pwd=secret&a=1", "http://cam/x?user=me&pwd=***&a=1"),
        ("http://cam/x?access_token=secret#1", "http://cam/x?access_token=***#1"),
        ("rtsp:/me:secret@cam/x", "rtsp:***@cam/x"),
        ("me:secret@cam/x", "me:***@cam/x"),
        ("recordings/me:secret@cam.mp4", "recordings/me:***@cam.mp4"),
        ("C:\\photos\\a.jpg", "C:\\photos\\a.jpg"),
        ("clip 12:30.mp4", "clip 12:30.mp4"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert str(SourceError(f"there is no {url}; try demo")) == f"there is no {shown}; try demo"


@pytest.mark.parametrize(
    "spec",
    [
        "rtsp:/me:secret@cam/x", "me:secret@cam/x", "rtsp//me:secret@cam/x", "me:secret@cam.mp4",
        "ftp://me:secret@cam/x", "http://me:secret@127.0.0.1:1/x", "http://127.0.0.1:1/?pwd=secret",
    ],
)  # fmt: skip
def test_no_password_is_told(
    spec: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    told = ""
    with caplog.at_level(logging.DEBUG):
        try:
            source = open_source(spec, SETTINGS)
        except SourceError as e:
            told = "".join(traceback.format_exception(e))
        else:
            with running(source):
                assert wait_for(lambda: source.finished, 30)
                assert source.error is not None
                told = "".join(traceback.format_exception(source.error))
    assert "SourceError" in told
    assert "secret" not in told + caplog.text + "".join(capfd.readouterr())


def test_a_file_whose_name_holds_a_password_is_shown_without(tmp_path: Path) -> None:
    for name, kind in (("me:secret@cam.png", "pictures"), ("me:secret@cam.mp4", "video")):
        path = tmp_path / name
        if kind == "video":
            write_video(path)
        else:
            save(path, picture())
        with running(open_source(str(path), SETTINGS)) as source:
            frame = source.read(3)
            assert frame is not None
            assert source.info.kind == kind
            assert "me:***@cam" in source.info.name
            assert "secret" not in frame.source + str(source.info.as_json())


# Videos


def test_video_is_paced_by_its_timestamps_and_drops_for_a_slow_reader(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=20, fps=20)
    with running(open_source(str(path), SETTINGS)) as source:
        time.sleep(0.2)
        assert source.captured == 0  # due from the first read on
        began = time.monotonic()
        frames = []
        while not source.finished:
            frame = source.read(1)
            if frame is not None:
                frames.append(frame)
                assert frame.time <= time.monotonic() - began + 0.1
                time.sleep(0.12)
        assert 0.8 < time.monotonic() - began < 2
        assert source.captured == 20
        assert source.dropped == 20 - len(frames)
        assert source.dropped >= 5
        assert [f.time for f in frames] == pytest.approx([f.seq / 20 for f in frames])
        assert frames[-1].seq == 19


@pytest.mark.parametrize("how", [{"every_frame": True}, {"paced": False}])
def test_video_every_frame(tmp_path: Path, how: dict[str, bool]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=25, fps=2)
    with running(open_source(str(path), SETTINGS, **how)) as source:
        began = time.monotonic()
        assert source.read(2) is not None
        time.sleep(0.2)
        assert source.captured <= 6  # back-pressure
        frames = take(source, 100)
        assert time.monotonic() - began < 3
        assert [f.seq for f in frames] == list(range(1, 25))
        assert source.dropped == 0
        assert source.finished
        assert source.read(0.1) is None


def test_video_frames_are_lossless_and_in_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "grün: 1.mkv" if os.name != "nt" else tmp_path / "grün.mkv")
    frames = list(video_frames(path))
    assert [f.seq for f in frames] == list(range(20))
    assert [f.time for f in frames] == pytest.approx([i / 20 for i in range(20)], abs=0.002)
    assert frames[0].source == str(path)
    assert all(abs(int(f.image.mean()) - 10 * f.seq) < 8 for f in frames)


def test_video_is_turned_as_its_metadata_say(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a version 0 track header
    one = 0x10000
    struct.pack_into(">9i", data, at, 0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    assert next(video_frames(path)).image.shape == (64, 48, 3)
    source = open_source(str(path), SETTINGS)
    assert (source.info.reported.width, source.info.reported.height) == (48, 64)
    source.close()


def test_truncated_video_gives_what_is_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", codec="mpeg2video", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count = len(list(video_frames(path)))
    assert 5 < count < 40
    with running(open_source(str(path), SETTINGS, paced=False)) as source:
        assert len(take(source, 99)) == count


@pytest.mark.parametrize("content", [b"", b"these are words\n" * 300, os.urandom(4000)])
def test_text_named_mp4(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"notes\.mp4 (is no video|holds no)"):
        open_source(str(path), SETTINGS)
    with pytest.raises(SourceError, match=r"notes\.mp4"):
        list(video_frames(path))
    assert capfd.readouterr().err == ""


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(SourceError, match="holds no picture, only sound"):
        open_source(str(path), SETTINGS)


# Pictures


@pytest.mark.parametrize("suffix", sorted(media.PICTURES - {".gif", ".pbm"}))
def test_every_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    stored = picture()
    pgm = suffix == ".pgm"
    path = save(tmp_path / f"a{suffix}", stored[..., 0] if pgm else stored)
    image, orientation = load_picture(path)
    assert image.shape == (48, 64, 3)
    assert orientation == 1
    assert image[40, 50].tolist() == pytest.approx([200] * 3, abs=3)
    if not pgm:
        assert image[4, 4].tolist() == pytest.approx([20, 40, 220], abs=12)


def test_grey_alpha_and_sixteen_bit(tmp_path: Path) -> None:
    grey = np.full((5, 7), 90, np.uint8)
    image, _ = load_picture(save(tmp_path / "grey.png", grey))
    assert image.shape == (5, 7, 3)
    assert (image == 90).all()

    alpha = np.zeros((5, 7, 4), np.uint8)
    alpha[:, 3:, 3] = 255
    alpha[0, 0] = 0, 0, 0, 51
    image, _ = load_picture(save(tmp_path / "alpha.png", alpha))
    assert (image[1:, :3] == 255).all()
    assert (image[:, 3:] == 0).all()
    assert image[0, 0].tolist() == [204, 204, 204]

    deep = np.full((5, 7, 3), 257 * 77, np.uint16)
    for name in ("deep.png", "deep.tif"):
        image, _ = load_picture(save(tmp_path / name, deep))
        assert image.dtype == np.uint8
        assert (image == 77).all()


def as_stored(upright: Image, orientation: int) -> Image:
    """How a camera that writes `orientation` holds this picture, in OpenCV's own operations."""
    if orientation == 1:
        return upright
    return {
        2: lambda: cv2.flip(upright, 1),
        3: lambda: cv2.rotate(upright, cv2.ROTATE_180),
        4: lambda: cv2.flip(upright, 0),
        5: lambda: cv2.transpose(upright),
        6: lambda: cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE),
        7: lambda: cv2.rotate(cv2.transpose(upright), cv2.ROTATE_180),
        8: lambda: cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE),
    }[orientation]().astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = picture()
    stored = as_stored(upright, orientation)
    if suffix == ".jpg":
        path = exif_jpeg(tmp_path / "a.jpg", np.ascontiguousarray(stored), orientation)
        expected = cv2.imread(str(path))  # OpenCV turns it by itself
        assert expected is not None
        assert np.abs(expected.astype(int) - load_picture(path)[0]).max() <= 3
    else:
        path = tiff(tmp_path / "a.tif", stored, orientation)
    image, found = load_picture(path)
    assert found == orientation
    assert image.shape == (48, 64, 3)
    assert image[3, 3].tolist() == pytest.approx([20, 40, 220], abs=12)


@settings(deadline=None)
@given(st.data())
def test_to_stored_finds_the_same_pixels(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    upright = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    wanted = upright[box.y : box.bottom, box.x : box.right]
    for orientation in range(1, 9):
        stored = as_stored(upright, orientation)
        back = to_stored(box, orientation, width, height)
        cut = stored[back.y : back.bottom, back.x : back.right]
        assert sorted(cut.ravel().tolist()) == sorted(wanted.ravel().tolist())
        assert (media._upright(cut, orientation) == wanted).all()


def png_header(width: int, height: int) -> bytes:
    chunk = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    end = b"\x00\x00\x00\x00IEND\xaeB`\x82"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + chunk + b"\x00" * 4 + end


def test_too_many_pixels_are_refused_by_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vast.png"
    path.write_bytes(png_header(20000, 10001))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(SourceError, match=r"vast\.png has 20000×10001 pixels; at most 200 mega"):
        load_picture(path)


STARTS = [b"", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF0000WEBP", b"GIF8", b"P6 "]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*STARTS, b"\x89PNG\r\n\x1a\n"]))
def test_headers_of_noise(noise: bytes, start: bytes) -> None:
    data = bytearray(start + noise)
    try:
        width, height, turn = media._header(data)
    except (ValueError, KeyError, struct.error):
        return
    assert width > 0
    assert height > 0
    assert 1 <= turn <= 8


@pytest.mark.parametrize("content", [b"", b"no picture", png_header(4, 4), b"P6 3 3 255\nab"])
def test_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.png"):
        load_picture(path)
    with pytest.raises(SourceError, match=r"bad\.png"):
        open_source(str(path), SETTINGS)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_truncated_picture_is_named(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"cut{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match="cut"):
        load_picture(path)


def test_one_picture_repeats(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    with running(open_source(str(path), SETTINGS)) as source:
        began = time.monotonic()
        frames = take(source, 10)
        assert 0.2 < time.monotonic() - began < 2
        assert all(f.image is frames[0].image for f in frames)
        assert [f.time for f in frames] == pytest.approx([f.seq / 30 for f in frames])
        assert not source.finished


def test_folder_in_order_skips_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PICTURE_SECONDS", 0.1)
    for i, name in enumerate(("a2.png", "a10.png", "a1.png")):
        save(tmp_path / name, picture(100 + i))
    cut = tmp_path / "a3.png"
    cut.write_bytes((tmp_path / "a2.png").read_bytes()[:80])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_text("x")
    names = []
    with running(open_source(str(tmp_path), SETTINGS)) as source:
        for frame in take(source, 25):
            if Path(frame.source).name not in names:
                names.append(Path(frame.source).name)
        assert names == ["a1.png", "a2.png", "a10.png"]
        assert not source.finished
        skipped = source.skipped  # type: ignore[attr-defined]
        assert [path for path, _ in skipped] == [cut]
        assert "a3.png" in skipped[0][1]


def test_folder_in_batch_gives_each_once(tmp_path: Path) -> None:
    for i in range(7):
        save(tmp_path / f"{i}.png", picture(i))
    with running(open_source(str(tmp_path / "*.png"), SETTINGS, paced=False)) as source:
        frames = take(source, 99)
    assert [int(f.image[40, 40, 0]) for f in frames] == list(range(7))
    assert source.dropped == 0


def test_no_readable_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("x")
    (tmp_path / "b.png").write_text("x")
    with pytest.raises(SourceError, match=r"no picture is readable: .*a\.png.*b\.png"):
        open_source(str(tmp_path), SETTINGS)


# What is named on the command line


def test_expand_inputs(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", "c.mp4", "d.txt", "[x].png"):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner.png").mkdir()
    names = [p.name for p in expand_inputs([str(tmp_path)])]
    assert names == ["[x].png", "b2.png", "b10.png", "c.mp4"]
    given_twice = [str(tmp_path / "c.mp4"), str(tmp_path / "b*.png"), str(tmp_path / "[x].png")]
    names = [p.name for p in expand_inputs(given_twice)]
    assert names == ["c.mp4", "b2.png", "b10.png", "[x].png"]
    assert is_picture("A.JPG")
    assert is_video("a.MP4")
    assert not is_picture("a.mp4")


def test_what_cannot_be_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits.png").write_text("x")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for text, message in {
        "digit.png": r"there is no digit\.png; did you mean digits\.png\?",
        "dmeo": "did you mean demo",
        "away/digits.png": "folder away does not exist",
        "empty": "folder empty holds no picture or video",
        "*.tif": r"\*\.tif matches no picture or video",
        "a.txt": "is no picture or video by its name",
        "digits.png/x": "there is no",
        "a\0b": "cannot be read",
        "x" * 5000: "xxx",
        "": "the source is empty",
        "100": "expected auto, a camera's number",
    }.items():
        with pytest.raises(SourceError, match=message):
            open_source(text, SETTINGS)
        with pytest.raises(SourceError):
            expand_inputs([text])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    with pytest.raises(SourceError, match="is a pipe"):
        expand_inputs([str(pipe)])
    with pytest.raises(SourceError, match="holds no picture"):
        expand_inputs([str(tmp_path)])
    with pytest.raises(SourceError, match="device but no camera"):
        open_source("/dev/null", SETTINGS)


def test_folder_of_videos_only(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    source = open_source(str(tmp_path / "*.mp4"), SETTINGS, paced=False)
    assert source.info.kind == "video"
    source.close()
    with pytest.raises(SourceError, match="name one"):
        open_source(str(tmp_path), SETTINGS)


# The demo


class SlowScene:
    def __init__(self, width: int, height: int) -> None:
        self.size = height, width, 3

    def render(self, t: float) -> Image:
        time.sleep(0.1)
        return np.full(self.size, int(t * 100) % 256, np.uint8)


def test_slow_demo_counts_what_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "DemoScene", SlowScene)
    with running(open_source("demo", SETTINGS)) as source:
        frames = take(source, 5)
        assert all(b.seq - a.seq >= 3 for a, b in itertools.pairwise(frames))
        assert source.dropped >= 8
        assert source.captured >= frames[-1].seq + 1


def test_demo_keeps_its_rate_and_drops_for_a_slow_reader() -> None:
    with running(open_source("demo", SETTINGS)) as source:
        first = source.read(2)
        time.sleep(0.4)
        second = source.read(1)
        third = source.read(1)
        assert first is not None
        assert second is not None
        assert third is not None
        assert second.seq - first.seq >= 8
        assert second.time - first.time == pytest.approx((second.seq - first.seq) / 30, abs=0.08)
        assert third.seq > second.seq
        assert source.dropped == second.seq - first.seq - 1 + third.seq - second.seq - 1


def test_demo_every_frame_is_the_same_each_time() -> None:
    def images() -> list[Image]:
        with running(open_source("demo", SETTINGS, every_frame=True)) as source:
            frames = take(source, 20)
            assert [f.seq for f in frames] == list(range(20))
            assert source.dropped == 0
            return [f.image for f in frames]

    assert all((a == b).all() for a, b in zip(images(), images(), strict=True))


def test_a_failing_thread_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: SlowScene, t: float) -> Image:
        raise RuntimeError("no paint left")

    monkeypatch.setattr(sources, "DemoScene", SlowScene)
    monkeypatch.setattr(SlowScene, "render", broken)
    with running(open_source("demo", SETTINGS)) as source:
        assert source.read(2) is None
        assert source.finished
        assert str(source.error) == "demo: RuntimeError: no paint left"
