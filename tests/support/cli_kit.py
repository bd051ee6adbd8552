"""The program as a process of its own, in a folder that holds nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from program_kit import environment, program

import av

from live_digits.capture.demo_scene import DemoScene
from live_digits.core.geometry import Box
from live_digits.recording.session import READINGS, SESSION, VIDEO
from live_digits.recording.video_writer import Mp4Writer

PATIENCE = 120.0
"""Seconds after which a command has failed."""
WIDTH, HEIGHT = 960, 540
SMALL = ("--width", "320", "--height", "240", "--fps", "15")
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on standard error."""
        return self.err.splitlines()

    def json(self) -> list[dict[str, Any]]:
        """Standard output as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Shell:
    """Runs the program from a folder that holds nothing of this project, without a display."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.script: Path | None = None
        """What starts the program; by default Python's -m."""
        self.env = environment(
            "DISPLAY", "WAYLAND_DISPLAY", "LIVE_DIGITS_HAND_MODEL",
            HOME=str(home), XDG_CONFIG_HOME=str(home / "config"),
            XDG_CACHE_HOME=str(home / "cache"), COLUMNS="100", PYTHONUTF8="1",
            PYTHONDONTWRITEBYTECODE="1",
        )  # fmt: skip

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        return program(self.folder, self.env, *args, script=self.script)

    def __call__(self, *args: str | Path) -> Done:
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return Done(process.returncode, out, err)

    def before(self, folder: Path) -> None:
        """Python looks into `folder` first."""
        self.env["PYTHONPATH"] = os.pathsep.join((str(folder), self.env["PYTHONPATH"]))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    for name in ("empty", "home"):
        (tmp_path / name).mkdir()
    return Shell(tmp_path / "empty", tmp_path / "home")


def scene(seed: int = 0, digits: int = 8) -> DemoScene:
    return DemoScene(WIDTH, HEIGHT, seed=seed, digits=digits)


def draw(path: Path, seed: int = 0) -> Path:
    """A page of digits as a picture file."""
    assert cv2.imwrite(str(path), scene(seed).render(0.0))
    return path


def film(path: Path, frames: int = 12, fps: float = 10.0) -> Path:
    """A video of a drifting page."""
    page = DemoScene(480, 270, seed=1, digits=6)
    out = Mp4Writer(path, (480, 270), fps, "ultrafast", 20)
    for n in range(frames):
        out.add(page.render(n / fps), n / fps)
    out.close()
    return path


def decoded(path: Path) -> int:
    """How many frames of a video can be decoded."""
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


def recording_in(folder: Path) -> Path:
    """The one recording there is."""
    (found,) = (p for p in folder.iterdir() if p.is_dir())
    return found


def finished(recording: Path) -> dict[str, Any]:
    """The session of a recording that must be whole: it plays, a line a frame."""
    session = yaml.safe_load((recording / SESSION).read_text(encoding="utf-8"))
    assert session["ended"] is not None
    lines = (recording / READINGS).read_text(encoding="utf-8").splitlines()
    assert decoded(recording / VIDEO) == len(lines) == session["frames"] > 0
    assert isinstance(session, dict)
    return session


def one_line(done: Done, *words: str, code: int = 2) -> None:
    """A failure as users shall meet it: a line that says what to do."""
    assert done.code == code, done.err
    assert len(done.told) == 1, done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err
    assert done.err.startswith("live-digits: ")


def check_schema(entry: dict[str, Any], source: str, width: int, height: int) -> None:
    """One line of JSON, exactly as the design has it."""
    assert list(entry) == ["source", "frame", "time", "width", "height", "digits", "lines"]
    assert (entry["source"], entry["width"], entry["height"]) == (source, width, height)
    assert type(entry["frame"]) is int
    assert type(entry["time"]) is float
    for digit in entry["digits"]:
        assert list(digit) == ["box", "digit", "confidence", "track"]
        assert [type(v) for v in digit["box"]] == [int] * 4
        x, y, w, h = digit["box"]
        assert 0 <= x < x + w <= width
        assert 0 <= y < y + h <= height
        assert type(digit["digit"]) is int
        assert 0 <= digit["digit"] <= 9
        assert 0 < digit["confidence"] <= 1
        assert type(digit["track"]) is int
    assert all(type(line) is str for line in entry["lines"])
    assert len("".join(entry["lines"]).replace(" ", "")) == len(entry["digits"])


def right(entry: dict[str, Any], seed: int) -> float:
    """The share of the page's digits that were read, each in its place."""
    truth = scene(seed).truth(0.0)
    found = [(Box(*d["box"]), d["digit"]) for d in entry["digits"]]
    hits = sum(any(b.iou(box) > 0.5 and d == digit for b, d in found) for box, digit in truth)
    return hits / len(truth)
