"""Streams from a loopback server; addresses with passwords."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path

import pytest
from source_kit import (
    QUICK,
    SETTINGS,
    Server,
    our_threads,
    picture,
    running,
    save,
    take,
    wait_for,
    write_video,
)

from live_digits.capture import stream
from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError, redact

pytestmark = pytest.mark.usefixtures("no_proxy")


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
