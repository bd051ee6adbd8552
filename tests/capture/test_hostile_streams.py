"""Servers that send what no camera sends: the try ends, says why, and stays small."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import source_kit
from fakes import wait_until
from program_kit import environment, program, starter_of
from test_streams_live import Server

from live_digits.capture import stream
from live_digits.capture.open_source import open_source
from live_digits.capture.stream_worker import FRAME, HEAD, OPENED, WARNING
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError

psutil: Any = pytest.importorskip("psutil")

SERVER = Path(source_kit.__file__).with_name("hostile_server.py")
MOST = 300_000_000
"""Bytes that the program and its processes may take beyond what they take while a stream is silent
and the process of the stream is not there yet."""
pytestmark = pytest.mark.usefixtures("no_proxy")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def hostile(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a hostile server of the kind that is asked for."""
    port, kind = free_port(), request.param
    with subprocess.Popen(
        [sys.executable, SERVER, kind, str(port)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield f"{'rtsp' if kind.startswith('rtsp') else 'http'}://127.0.0.1:{port}/live"
        server.kill()


def memory_of(process: Any) -> int:
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_info().rss
        except psutil.Error:
            continue
    return total


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes that the program takes while it plays the demo."""
    run = program(tmp_path_factory.mktemp("idle"), environment(), "run", "--source", "demo",
                  "--no-window", "--duration", "2", "--set", "hands.mode=off")  # fmt: skip
    peak, process = 0, psutil.Process(run.pid)
    while run.poll() is None:
        peak = max(peak, memory_of(process))
        time.sleep(0.02)
    run.communicate()
    assert run.returncode == 0
    return peak


GIVEN_UP = "was given up: it takes more than 128 MB of memory"
NO_FRAME = "gave no frame within 3 s"
REFUSED = "cannot be opened"


@pytest.mark.skipif(sys.platform == "win32", reason="measured on POSIX")
@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        ("multipart_length", GIVEN_UP), ("multipart_no_end", GIVEN_UP), ("playlist", GIVEN_UP),
        ("subtitles", GIVEN_UP), ("matroska", GIVEN_UP), ("rtsp_tracks", GIVEN_UP),
        ("multipart_header", NO_FRAME), ("headers", NO_FRAME), ("cookies", NO_FRAME),
        ("rtsp_length", ""), ("rtsp_packets", ""), ("redirects", REFUSED),
    ],
    indirect=["hostile"],
)  # fmt: skip
def test_a_hostile_stream_ends_and_stays_small(
    hostile: str, said: str, idle: int, tmp_path: Path
) -> None:
    begun = time.monotonic()
    # A busy machine takes its time to send what is too much.
    patience = 50 if said == GIVEN_UP else 3
    run = program(tmp_path, environment(), "run", "--source", hostile, "--no-window",
                  "--set", "hands.mode=off", "--set", f"source.timeout={patience}")  # fmt: skip
    peak, process = 0, psutil.Process(run.pid)
    while run.poll() is None:
        peak = max(peak, memory_of(process))
        time.sleep(0.01)
        assert time.monotonic() - begun < 60
    _, err = run.communicate()
    assert run.returncode == 2
    last = err.splitlines()[-1]
    assert last.startswith(f"live-digits: {hostile} ")
    assert said in last
    assert peak < idle + MOST


@pytest.mark.parametrize("server", ["mjpeg", "rtsp"])
def test_a_good_stream_comes_at_its_full_rate(server: str) -> None:
    made = Server(server)
    made.start(640, 480)
    source = open_source(made.url, SourceSettings(timeout=30.0))
    try:
        wait_until(lambda: source.read(0.1) is not None, "the first frame")
        start, before = time.monotonic(), source.captured
        while time.monotonic() - start < 4:
            source.read(0.1)
        rate = (source.captured - before) / (time.monotonic() - start)
        assert rate > 20
        assert source.info.reported.width == 640
    finally:
        source.close()
        made.kill()


def test_nothing_of_a_stream_stays(tmp_path: Path) -> None:
    made = Server("mjpeg")
    made.start()
    here = psutil.Process()
    before = {p.pid for p in here.children()}
    source = open_source(made.url, SourceSettings(timeout=30.0))
    wait_until(lambda: source.read(0.1) is not None, "the first frame")
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 1.0
    wait_until(lambda: {p.pid for p in here.children()} <= before | {made.process.pid}, "its end")  # type: ignore[union-attr]
    made.kill()
    never_started = open_source("http://127.0.0.1:1/", SourceSettings())
    never_started.close()
    wait_until(lambda: {p.pid for p in here.children()} <= before, "the other's end")


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal")
def test_a_process_of_a_stream_that_dies_is_replaced() -> None:
    made = Server("mjpeg")
    made.start()
    source = open_source(made.url, SourceSettings(timeout=30.0))
    assert isinstance(source, stream.Stream)
    try:
        wait_until(lambda: source.read(0.1) is not None, "the first frame")
        (process,) = source._processes
        process._process.kill()
        wait_until(lambda: "broke down" in source.note, "the loss")
        wait_until(lambda: source.signal.reconnects == 1, "its return")
    finally:
        source.close()
        made.kill()


@pytest.mark.parametrize(
    "said",
    [
        b"", b"garbage" * 100, HEAD.pack(FRAME, 0, 5, 0, 0.0), HEAD.pack(b"?", 0, 0, 0, 0.0),
        HEAD.pack(OPENED, 64, 48, 0, 25.0) + HEAD.pack(FRAME, 2**31, 2**31, 0, 0.0),
        HEAD.pack(OPENED, 64, 48, 0, 25.0) + HEAD.pack(FRAME, 60000, 60000, 0, 0.0),
        HEAD.pack(OPENED, 64, 48, 0, 25.0) + HEAD.pack(FRAME, 64, 48, 0, 0.0) + bytes(99),
        HEAD.pack(WARNING, 2**32 - 1, 0, 0, 0.0),
    ],
)  # fmt: skip
def test_a_process_that_was_taken_over_can_only_break_down(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "taken.py"
    script.write_text(f"import sys\nsys.stdout.buffer.write({said!r})\n")

    monkeypatch.setattr(stream, "start_isolated", starter_of(script))
    source = open_source("http://127.0.0.1:1/", SourceSettings(timeout=5.0))
    try:
        wait_until(lambda: source.read(0.1) is None and source.finished, "the end")
        assert isinstance(source.error, SourceError)
        assert "broke down" in str(source.error) or "at most 36 mega" in str(source.error)
    finally:
        source.close()
