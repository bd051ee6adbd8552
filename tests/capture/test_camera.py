"""Cameras: a made-up device, and what Linux tells of real ones."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from source_kit import (
    QUICK,
    SETTINGS,
    FakeCamera,
    our_threads,
    running,
    take,
    wait_for,
)

from live_digits.capture import camera as cameras
from live_digits.capture import open_source as sources
from live_digits.capture import reconnecting_source, v4l2
from live_digits.capture.camera import CameraInfo, describe_cameras, list_cameras
from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError

pytestmark = pytest.mark.usefixtures("no_proxy")


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
    monkeypatch.setattr(reconnecting_source, "_REPORT", 3)
    with (
        caplog.at_level(logging.INFO, "live_digits.capture"),
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

    def described() -> list[CameraInfo]:
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "ioctl", driver.ioctl)
            patch.setattr(os, "open", driver.opens)
            patch.setattr(os, "close", driver.open.remove)
            patch.setattr(
                v4l2, "processes_using", lambda index: ["cheese (12)"] if index == 0 else []
            )
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
        (user,) = v4l2.processes_using(7)
        assert f"({other.pid})" in user
        other.communicate()
    assert v4l2.processes_using(7) == []


def test_list_cameras_elsewhere_tries_four(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    camera.there = {0, 2}
    assert list_cameras() == [("0", "camera 0"), ("2", "camera 2")]
    assert (0, cv2.CAP_DSHOW) in camera.opened
