"""Streams whose server is killed, stopped and started again, over real HTTP and RTSP on loopback;
named pipes whose writer stalls or goes away."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import source_kit
from fakes import wait_until
from program_kit import environment, program

import av

from live_digits.capture.base import Source
from live_digits.capture.connection_state import State
from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.types import Frame

SERVER = Path(source_kit.__file__).with_name("stream_server.py")
SETTINGS = SourceSettings(timeout=30.0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Server:
    """A stream's server in a process of its own, always at the same address."""

    def __init__(self, kind: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.kind = kind
        self.process: subprocess.Popen[str] | None = None
        scheme = "rtsp" if kind == "rtsp" else "http"
        self.url = f"{scheme}://me:secret@127.0.0.1:{self.port}/live?pwd=secret"

    def start(self, width: int = 160, height: int = 120) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SERVER, self.kind, str(self.port), str(width), str(height), "25"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(request.param)
    made.start()
    yield made
    made.kill()


class Watched:
    """A source, read as the live loop reads it while a test waits."""

    def __init__(self, spec: str) -> None:
        self.source: Source = open_source(spec, SETTINGS)
        self.frames: list[Frame] = []

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            frame = self.source.read(0.02)
            if frame:
                self.frames = [*self.frames[-20:], frame]
            return condition()

        wait_until(met, what)

    @property
    def state(self) -> State:
        found: State = self.source.state  # type: ignore[attr-defined]
        return found

    @property
    def silent(self) -> bool:
        return self.source.signal.silent is not None

    def shape(self) -> tuple[int, ...]:
        return self.frames[-1].image.shape if self.frames else ()


@pytest.fixture
def watch() -> Iterator[Callable[[str], Watched]]:
    made: list[Watched] = []

    def make(spec: str) -> Watched:
        made.append(Watched(spec))
        return made[-1]

    yield make
    for watched in made:
        watched.source.close()
    left = ("source ", "reader ")
    wait_until(
        lambda: not any(t.name.startswith(left) for t in threading.enumerate()), "the threads' end"
    )


KINDS = pytest.mark.parametrize("server", ["http", "mjpeg", "rtsp"], indirect=True)


@KINDS
def test_a_server_that_is_killed_and_started_again(
    server: Server, watch: Callable[[str], Watched], caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    stream = watch(server.url)
    stream.wait(lambda: len(stream.frames) >= 5, "the first frames")
    server.kill()
    stream.wait(lambda: stream.silent, "the silence")
    stream.wait(lambda: stream.state is State.LOST, "the loss")
    stream.wait(lambda: "Connection refused" in stream.source.note, "a try that is refused")
    note = stream.source.note
    server.start(200, 152)
    stream.wait(lambda: stream.shape() == (152, 200, 3), "the picture, in its new size")
    assert not stream.silent
    assert stream.source.signal.reconnects == 1
    assert stream.source.note == ""
    told = note + caplog.text + str(stream.source.info) + stream.frames[-1].source
    told += "".join(capfd.readouterr())
    assert "me:***@127.0.0.1" in told
    assert "pwd=***" in told
    assert "secret" not in told


@KINDS
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_a_server_that_stops_without_an_error(
    server: Server, watch: Callable[[str], Watched]
) -> None:
    stream = watch(server.url)
    stream.wait(lambda: len(stream.frames) >= 5, "the first frames")
    server.send(signal.SIGSTOP)
    stream.wait(lambda: stream.state is State.STALE, "the silence")
    assert stream.silent
    server.send(signal.SIGCONT)
    stream.wait(lambda: stream.state is State.LIVE, "its return")
    assert stream.source.signal.reconnects == 0, "the connection has held"
    server.send(signal.SIGSTOP)
    stream.wait(lambda: stream.state is State.LOST, "the loss")
    server.send(signal.SIGCONT)
    stream.wait(lambda: stream.state is State.LIVE, "its return")
    assert stream.source.signal.reconnects == 1
    server.send(signal.SIGSTOP)
    stream.wait(lambda: stream.silent, "the silence")
    start = time.monotonic()
    stream.source.close()
    assert time.monotonic() - start < 2.0
    server.send(signal.SIGCONT)


@pytest.mark.parametrize("server", ["mjpeg"], indirect=True)
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_the_program_ends_while_a_read_blocks(server: Server, tmp_path: Path) -> None:
    with program(tmp_path, environment(), "run", "--source", server.url, "--no-window",
                 "--json", "--record", "--stats", "run.json") as run:  # fmt: skip
        assert run.stdout is not None
        lines = [run.stdout.readline() for _ in range(5)]
        server.send(signal.SIGSTOP)
        time.sleep(1.5)
        run.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = run.communicate(timeout=60)
        took = time.monotonic() - start
        assert run.returncode == 0, err
        assert took < 5.0
        server.send(signal.SIGCONT)
    stats = (tmp_path / "run.json").read_text()
    assert json.loads(stats)["outages"] == 1
    assert json.loads(stats)["time_lost_s"] > 0
    (session,) = (tmp_path / "recordings").glob("*/session.yaml")
    told = "".join(lines) + out + err + stats + session.read_text()
    assert "me:***@127.0.0.1" in told
    assert "ended: null" not in told, "the recording was finished"
    assert "secret" not in told


# Named pipes


class Writer:
    """Another program's end of a named pipe: MPEG-TS, 25 pictures a second, until told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stalls, self.ends = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._write)
        self.thread.start()

    def _write(self) -> None:
        # Waits for the reader, who waits for nobody.
        with open(self.path, "wb", buffering=0) as end:
            try:
                self._encode(end)
            except OSError:
                return  # the reader has gone

    def _encode(self, end: object) -> None:
        with av.open(end, "w", format="mpegts", options={"flush_packets": "1"}) as out:
            stream = out.add_stream("mpeg2video", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            while not self.ends.wait(0.04):
                if not self.stalls.is_set():
                    image = np.full((120, 160, 3), 90, np.uint8)
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))

    def close(self) -> None:
        self.ends.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_that_stalls_and_one_whose_writer_goes_away(
    tmp_path: Path, watch: Callable[[str], Watched]
) -> None:
    path = tmp_path / "live.ts"
    os.mkfifo(path)
    pipe = watch(str(path))
    pipe.source.start()
    assert pipe.source.read(0.3) is None, "a pipe without a writer blocks nobody"
    writer = Writer(path)
    try:
        pipe.wait(lambda: len(pipe.frames) >= 5, "the first frames")
        writer.stalls.set()
        pipe.wait(lambda: pipe.silent, "the silence")
        assert pipe.state is State.STALE
        writer.stalls.clear()
        pipe.wait(lambda: not pipe.silent, "its return")
        assert pipe.source.signal.reconnects == 0
        writer.close()
        pipe.wait(lambda: pipe.state is State.LOST, "the loss")
        pipe.wait(lambda: pipe.silent, "the silence")
        writer = Writer(path)
        pipe.wait(lambda: pipe.state is State.LIVE, "its return")
        assert pipe.source.signal.reconnects == 1
        writer.stalls.set()
        pipe.wait(lambda: pipe.state is State.LOST, "the loss of one that stalls for long")
        start = time.monotonic()
        pipe.source.close()
        assert time.monotonic() - start < 2.0
    finally:
        writer.close()
