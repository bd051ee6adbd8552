"""Recordings made to be looked at, torn and run again by tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fakes import wait_until
from program_kit import environment, program

import av

from live_digits.config.settings import RecordingSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Image, Reading
from live_digits.recording import session
from live_digits.recording.recorder import Recorder
from live_digits.recording.session import RAW, READINGS, SCRATCH, SESSION, TORN, VIDEO, parts

WIDTH, HEIGHT = 96, 64
FRAMES = 75
RATE = 25
PATIENCE = 120.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs locks and signals as on Linux")


def picture(n: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    return np.random.default_rng(n).integers(0, 256, (height, width, 3), np.uint8)


def reading(n: int, width: int = WIDTH, height: int = HEIGHT) -> Reading:
    digits = tuple(Digit(Box(1, 2, 3, 4), n % 10, 0.9, t) for t in range(n % 3 + 1))
    return Reading("test", n, 7 + n / RATE, width, height, digits, (f"{n}",))


def begin(folder: Path, raw: str = "lossless") -> Recorder:
    settings = RecordingSettings(folder=str(folder), min_free_mb=0, raw=raw)
    return Recorder(settings, WIDTH, HEIGHT, RATE, {"source": {"name": "test"}})


def put(to: Recorder, n: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    image = picture(n, width, height)
    wait_until(lambda: to.room(2 * image.nbytes), "room in the queue")
    assert to.write(image, reading(n, width, height), 7 + n / RATE, image)


def record(folder: Path, raw: str = "lossless", frames: int = FRAMES) -> Path:
    """A recording that was closed."""
    recorder = begin(folder, raw)
    for n in range(frames):
        put(recorder, n)
    assert recorder.close().frames == frames
    assert recorder.error is None
    return recorder.path


def crash(path: Path, cut: int | None = None) -> None:
    """Makes of a closed recording what a killed one is: no end in session.yaml, no index behind
    the films, and `cut` bytes less of each."""
    content = yaml.safe_load((path / SESSION).read_text(encoding="utf-8"))
    content |= {"ended": None, "frames": 0, "seconds": 0.0, "digits": 0, "lines": []}
    content["parts"] = [e | {"frames": 0, "seconds": 0.0} for e in content["parts"]]
    (path / SESSION).write_text(yaml.safe_dump(content), encoding="utf-8")
    for video in (*parts(path, VIDEO), *parts(path, RAW)):
        data = video.read_bytes()
        if b"mfra" in data:
            data = data[: data.rindex(b"mfra") - 4]
        video.write_bytes(data[: len(data) - (cut or 0)])


def plays(video: Path) -> int:
    """Frames of a video that decodes without a fault."""
    with av.open(str(video)) as file:
        return sum(1 for _ in file.decode(video=0))


def lines(path: Path) -> list[dict[str, Any]]:
    text = (path / READINGS).read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def content(path: Path) -> dict[str, Any]:
    loaded = session.load_session(path / SESSION)
    assert loaded is not None
    return loaded


def snapshot(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.iterdir()}


def all_kept(before: dict[str, bytes], path: Path) -> None:
    """Nothing that there was is gone: what was cut off a file stands beside it."""
    for name in (n for n in before if n not in (SESSION, SCRATCH)):
        rest = path / (name + TORN)
        now = (path / name).read_bytes() + (rest.read_bytes() if rest.exists() else b"")
        assert now == before[name], name


def recording_run(
    folder: Path, *args: str, size: tuple[int, int] = (320, 240)
) -> subprocess.Popen[str]:
    """The real program, recording into `folder`/recordings."""
    env = environment("DISPLAY", "WAYLAND_DISPLAY")
    return program(folder, env, "run", "--no-window", "--raw",
                   "--width", str(size[0]), "--height", str(size[1]), *args)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording that was closed; not to be changed."""
    return record(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "recordings" / whole.name))
