"""The command line as users meet it: a process of its own, in a folder that holds nothing else."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import av

import live_digits
from live_digits import sources
from live_digits.classifier import models_folder
from live_digits.cli import COMMANDS
from live_digits.demo import DemoScene
from live_digits.recorder import READINGS, SESSION, VIDEO, Film
from live_digits.types import Box, Image

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
        root = str(Path(live_digits.__file__).resolve().parents[1])
        dropped = ("DISPLAY", "WAYLAND_DISPLAY", "LIVE_DIGITS_HAND_MODEL")
        self.env = {k: v for k, v in os.environ.items() if k not in dropped} | {
            "PYTHONPATH": root,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "COLUMNS": "100",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "live_digits", *map(str, args)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

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
    out = Film(path, (480, 270), fps, "ultrafast", 20)
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


# --- bad input ---


def wrong_model(folder: Path, change: Callable[[bytes], bytes], signed: bool) -> Path:
    """A copy of the model dense with other bytes; `signed`: the card agrees with them."""
    shutil.copytree(models_folder() / "dense", folder)
    file, card = folder / "model.tflite", folder / "card.yaml"
    content = change(file.read_bytes())
    file.write_bytes(content)
    if signed:
        entries = yaml.safe_load(card.read_text(encoding="utf-8"))
        entries["sha256"]["model.tflite"] = hashlib.sha256(content).hexdigest()
        card.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return folder


def of_another_shape(model: bytes) -> bytes:
    """The network with an input of 14×56."""
    for count in (-1, 1):
        before = struct.pack("<3i", count, 28, 28)
        assert before in model
        model = model.replace(before, struct.pack("<3i", count, 14, 56))
    return model


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with much that is wrong."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "none").mkdir()
    (folder / "notes.txt").write_text("seven")
    (folder / "fake.mp4").write_text("seven")
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (folder / "key.yaml").write_text("pipeline:\n  blurr: 5\n")
    (folder / "value.yaml").write_text("# mine\npipeline:\n  blur: 4\n")
    (folder / "type.yaml").write_text("reading:\n  confidence: high\n")
    (folder / "torn.yaml").write_text("pipeline: [1,\n")
    (folder / "truth.json").write_text('{"a.png": {"digits": [7]}}')
    draw(folder / "good.png")
    wrong_model(folder / "damaged", lambda b: b[:-1] + b"!", signed=False)
    wrong_model(folder / "shape", of_another_shape, signed=True)
    wrong_model(folder / "noise", lambda b: b"no network at all", signed=True)
    return folder


RUN = "run --no-window --duration 1"
REFUSED = {
    "no such camera": (f"{RUN} --source 77", "camera 77"),
    "no such device": (f"{RUN} --source /dev/video78", "camera 78"),
    "a device that is no camera": (f"{RUN} --source /dev/null", "/dev/null", "no camera"),
    "no such file": (f"{RUN} --source BAD/god.png", "god.png", "good.png"),
    "no such folder": (f"{RUN} --source BAD/nowhere/a.png", "nowhere"),
    "no video": (f"{RUN} --source BAD/fake.mp4", "fake.mp4", "no video"),
    "no picture by its name": (f"{RUN} --source BAD/notes.txt", "notes.txt", ".png"),
    "an unreadable picture": (f"{RUN} --source BAD/torn.png", "torn.png"),
    "an empty folder": (f"{RUN} --source BAD/none", "none", "no picture"),
    "a glob of nothing": (f"{RUN} --source BAD/none/*.png", "*.png", "no picture"),
    "an unknown protocol": (f"{RUN} --source ftp://a.b/c", "ftp://", "rtsp"),
    "a stream that is not there": (f"{RUN} --source http://127.0.0.1:9/a", "127.0.0.1:9"),
    "no config file": (f"{RUN} --config BAD/no.yaml", "no.yaml"),
    "an unknown key": (f"{RUN} --config BAD/key.yaml", "line 2", "blurr", "'blur'"),
    "an impossible value": (f"{RUN} --config BAD/value.yaml", "line 3", "blur", "1 to 71, odd"),
    "a wrong type": (f"{RUN} --config BAD/type.yaml", "line 2", "confidence", "0 to 1"),
    "no YAML": (f"{RUN} --config BAD/torn.yaml", "torn.yaml", "line"),
    "an unknown setting": (f"{RUN} --set pipeline.blurr=5", "blurr", "'blur'"),
    "an impossible setting": (f"{RUN} --set pipeline.blur=4", "blur", "odd"),
    "no setting": (f"{RUN} --set blur", "section.key=value"),
    "an unknown profile": (f"{RUN} --profile papper", "papper", "classic"),
    "an impossible size": (f"{RUN} --source demo --width 5", "width", "16 to 7680"),
    "no number": (f"{RUN} --height tall", "--height", "integer"),
    "an impossible duration": ("run --duration 0", "--duration"),
    "no such model": (f"{RUN} --source demo --model cnm", "cnm", "cnn, dense"),
    "a damaged model": (f"{RUN} --source demo --model BAD/damaged", "model.tflite", "sha256"),
    "a model of another shape": (f"{RUN} --source demo --model BAD/shape", "14", "28"),
    "no network": (f"{RUN} --source demo --model BAD/noise", "no LiteRT network"),
    "no folder for recordings": (
        f"{RUN} --source demo --record --set recording.folder=BAD/notes.txt", "recording.folder",
    ),
    "no folder for the figures": (f"{RUN} --source demo --stats BAD/no/s.json", "--stats"),
    "no hand model": (f"{RUN} --source demo --set hands.mode=on --set hands.model=BAD/h", "hand"),
    "an unknown option": ("run --recrod", "--recrod", "--record"),
    "an unknown option without command": ("--recrod", "--recrod", "--record"),
    "an unknown command": ("raed a.png", "raed", "read"),
    "nothing to read": ("read", "PATH"),
    "a missing picture": ("read BAD/god.png", "god.png", "good.png"),
    "only an unreadable picture": ("read BAD/torn.png", "torn.png"),
    "only a video that is none": ("read BAD/fake.mp4", "fake.mp4"),
    "an empty folder to read": ("read BAD/none", "none"),
    "two formats at once": ("read BAD/good.png --json --csv", "--json", "--csv"),
    "no folder for copies": ("read BAD/good.png --save BAD/notes.txt", "notes.txt", "--save"),
    "no model to read with": ("read BAD/good.png --model BAD/damaged", "model.tflite"),
    "no truth": ("evaluate --data BAD/none", "truth.json"),
    "a torn truth": ("evaluate --data BAD", "truth.json"),
    "no such set": ("evaluate --data mnits", "mnits", "mnist"),
    "no MNIST": ("evaluate --data mnist --mnist BAD/no.npz", "no.npz", "--mnist"),
    "no architecture": ("train cnnn", "cnnn", "dense"),
    "no epochs": ("train dense --epochs 0", "--epochs"),
}  # fmt: skip
"""What is wrong → the command line (BAD is the folder above), and words of the answer."""


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_one_line_that_says_what_to_do(shell: Shell, bad: Path, what: str) -> None:
    if what == "no architecture" and not HAS_TENSORFLOW:
        pytest.skip("without TensorFlow train names the extra first")
    if "/dev/" in REFUSED[what][0] and sys.platform != "linux":
        pytest.skip("device paths are Linux's")
    line, *words = REFUSED[what]
    done = shell(*(part.replace("BAD", str(bad)) for part in line.split()))
    one_line(done, *words)
    assert done.out == ""
    assert list(shell.folder.iterdir()) == []


def test_debug_shows_the_traceback(shell: Shell) -> None:
    done = shell("run", "--source", "nowhere.mp4", "--debug")
    assert done.code != 0
    assert "Traceback" in done.err
    assert "SourceError" in done.err


# --- help ---


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(shell: Shell, command: str) -> None:
    done = shell(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert command in done.out
    options = {
        "run": ("--source", "--profile", "--config", "--set", "--width", "--height", "--fps",
                "--no-window", "--record", "--duration", "--model", "--stats"),
        "read": ("PATH", "--json", "--csv", "--save"),
        "evaluate": ("--data",),
        "train": ("--seed", "--quick", "--mnist"),
        "bench": ("--json", "--quick", "--out"),
    }  # fmt: skip
    for option in options.get(command, ()):
        assert option in done.out


def test_the_program_has_help_and_a_version(shell: Shell) -> None:
    done = shell("--help")
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)
    assert live_digits.__version__ in shell("--version").out


# --- run ---


def test_on_a_bare_server_it_records_and_prints_what_it_read(shell: Shell) -> None:
    done = shell("--source", "demo", "--duration", "2", "--stats", "stats.json", *SMALL)
    assert done.code == 0, done.err
    assert any("DISPLAY" in line for line in done.told)
    read = "".join(done.out.split())
    assert read.isdigit(), done.out
    recording = recording_in(shell.folder / "recordings")
    assert any(str(recording) in line for line in done.told)
    session = finished(recording)
    assert session["source"]["name"] == "demo"
    assert session["seconds"] > 0.5
    stats = json.loads((shell.folder / "stats.json").read_text(encoding="utf-8"))
    check_stats(stats)
    assert stats["recording"]["path"] == str(recording)
    assert stats["recording"]["frames"] == session["frames"]
    assert stats["time_to_first_label_s"] >= stats["time_to_first_frame_s"] > 0
    assert stats["source"]["requested"] == {"width": 320, "height": 240, "fps": 15.0}
    assert stats["source"]["measured"]["width"] == 320
    assert stats["labels"] >= len(read) > 0


def check_stats(stats: dict[str, Any]) -> None:
    assert {
        "frames_captured", "frames_shown", "dropped", "seconds", "fps", "latency_ms", "vision_ms",
        "inference_ms", "batches", "labels", "time_to_first_frame_s", "time_to_first_label_s",
        "rss_mb_peak", "source", "reconnects", "recording",
    } <= set(stats)  # fmt: skip
    assert 0 < stats["frames_shown"] <= stats["frames_captured"]
    assert stats["dropped"] <= stats["frames_captured"] - stats["frames_shown"]
    for key in ("latency_ms", "vision_ms", "inference_ms"):
        assert 0 <= stats[key]["p50"] <= stats[key]["p95"] <= stats[key]["p99"]
    assert stats["fps"] == pytest.approx((stats["frames_shown"] - 1) / stats["seconds"], rel=0.02)
    assert stats["batches"] > 0
    assert stats["reconnects"] == 0
    assert 20 < stats["rss_mb_peak"] < 4000
    assert {"requested", "reported", "measured"} <= set(stats["source"])


def test_without_a_camera_it_shows_the_demo_and_says_so(shell: Shell) -> None:
    if sources.list_cameras():
        pytest.skip("a camera is connected")
    done = shell("--duration", "1", *SMALL)
    assert done.code == 0, done.err
    assert any("demo" in line for line in done.told)
    assert finished(recording_in(shell.folder / "recordings"))["source"]["kind"] == "demo"


@POSIX
@pytest.mark.skipif(sys.platform != "linux", reason="displays of X11")
def test_a_display_that_does_not_answer_is_none(shell: Shell) -> None:
    shell.env["DISPLAY"] = ":987"
    done = shell("--source", "demo", "--duration", "1", *SMALL)
    assert done.code == 0, done.err
    assert any(":987" in line and "--no-window" in line for line in done.told)
    finished(recording_in(shell.folder / "recordings"))


def test_no_window_alone_records_nothing(shell: Shell) -> None:
    done = shell("--no-window", "--source", "demo", "--duration", "1", *SMALL)
    assert (done.code, done.err) == (0, "")
    assert list(shell.folder.iterdir()) == []


def test_json_of_a_run_is_one_line_a_frame(shell: Shell) -> None:
    line = "--no-window --source demo --duration 3 --json --stats s.json"
    done = shell(*line.split(), *SMALL)
    assert done.code == 0, done.err
    lines = done.json()
    for entry in lines:
        check_schema(entry, "demo", 320, 240)
    frames = [entry["frame"] for entry in lines]
    assert frames == sorted(set(frames))
    stats = json.loads((shell.folder / "s.json").read_text(encoding="utf-8"))
    assert len(lines) == stats["frames_shown"]
    assert any(entry["digits"] for entry in lines)


def test_every_frame_of_a_video_is_recorded(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4", frames=15)
    line = f"--no-window --every-frame --record --stats s.json --source {video}"
    done = shell(*line.split())
    assert done.code == 0, done.err
    session = finished(recording_in(shell.folder / "recordings"))
    assert session["frames"] + session["dropped"] == 15
    stats = json.loads((shell.folder / "s.json").read_text(encoding="utf-8"))
    assert stats["frames_shown"] == stats["frames_captured"] == 15
    assert stats["source"]["name"] == str(video)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_finished_recording(shell: Shell, number: int) -> None:
    process = shell.start("--source", "demo", *SMALL)
    folder = shell.folder / "recordings"
    try:
        end = time.monotonic() + PATIENCE
        while sum(f.read_text().count("\n") for f in folder.glob(f"*/{READINGS}")) < 12:
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "for 10 s" in err, "the default of a bare server"
    assert finished(recording_in(folder))["seconds"] > 0.5


# --- read ---


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


def test_pictures_are_read_in_the_order_given(shell: Shell, tmp_path: Path) -> None:
    files = [draw(tmp_path / "b.jpg", 1), draw(tmp_path / "a.png", 2), draw(tmp_path / "c.bmp", 3)]
    done = shell("read", "--json", *files)
    assert (done.code, done.err) == (0, "")
    entries = done.json()
    assert len(entries) == 3
    for file, seed, entry in zip(files, (1, 2, 3), entries, strict=True):
        check_schema(entry, str(file), WIDTH, HEIGHT)
        assert (entry["frame"], entry["time"]) == (0, 0.0)
        assert right(entry, seed) >= 0.8
        assert [d["track"] for d in entry["digits"]] == list(range(1, len(entry["digits"]) + 1))
    text = shell("read", *files)
    assert (text.code, text.err) == (0, "")
    told = [" / ".join(e["lines"]) for e in entries]
    wanted = [f"{file}: {lines}" for file, lines in zip(files, told, strict=True)]
    assert text.out.splitlines() == wanted


def test_a_relative_path_stays_as_it_was_given(shell: Shell) -> None:
    draw(shell.folder / "a.png")
    (entry,) = shell("read", "--json", "a.png").json()
    assert entry["source"] == "a.png"


def test_csv_says_the_same_as_json(shell: Shell, tmp_path: Path) -> None:
    file = draw(tmp_path / "a, b.png", 4)
    done = shell("read", "--csv", file)
    assert (done.code, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    (entry,) = shell("read", "--json", file).json()
    assert len(rows) == len(entry["digits"]) > 0
    for row, digit in zip(rows, entry["digits"], strict=True):
        assert row["source"] == str(file)
        assert [int(row[k]) for k in ("x", "y", "w", "h")] == digit["box"]
        assert int(row["digit"]) == digit["digit"]
        assert float(row["confidence"]) == pytest.approx(digit["confidence"], abs=1e-4)
    lines = ["".join(r["digit"] for r in rows if r["line"] == str(n + 1)) for n in range(9)]
    assert [line for line in lines if line] == [s.replace(" ", "") for s in entry["lines"]]


def test_an_unreadable_picture_in_a_folder_is_named_and_the_rest_is_read(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    draw(folder / "page2.png", 1)
    draw(folder / "page10.png", 2)
    (folder / "page3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no picture")
    done = shell("read", "--json", folder)
    one_line(done, "page3.png", code=1)
    names = [Path(entry["source"]).name for entry in done.json()]
    assert names == ["page2.png", "page10.png"]


def test_a_video_is_one_line_a_frame(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4")
    done = shell("read", "--json", video)
    assert (done.code, done.err) == (0, "")
    entries = done.json()
    assert [e["frame"] for e in entries] == list(range(12))
    np.testing.assert_allclose([e["time"] for e in entries], np.arange(12) / 10, atol=0.002)
    for entry in entries:
        check_schema(entry, str(video), 480, 270)
    tracks = [{d["track"] for d in e["digits"]} for e in entries[4:]]
    assert len(set.intersection(*tracks)) >= 4, "digits keep their ids"


def test_saved_copies_are_annotated_and_overwrite_nothing(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other").mkdir()
    picture, twin = draw(tmp_path / "in" / "a.png"), draw(tmp_path / "in" / "other" / "a.jpg", 2)
    video = film(tmp_path / "in" / "v.mp4")
    out = tmp_path / "new" / "copies"
    before = {p: p.read_bytes() for p in (picture, twin, video)}
    contents: list[dict[str, bytes]] = []
    for _ in range(2):
        done = shell("read", "--save", out, picture, twin, video)
        assert (done.code, done.err) == (0, "")
        contents.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert set(contents[0]) == {"a.png", "a_2.png", "v.mp4"}
    assert set(contents[1]) - set(contents[0]) == {"a_3.png", "a_4.png", "v_2.mp4"}
    assert all(contents[1][name] == data for name, data in contents[0].items())
    assert all(p.read_bytes() == data for p, data in before.items())
    assert decoded(out / "v.mp4") == decoded(out / "v_2.mp4") == 12
    copy, original = cv2.imread(str(out / "a.png")), cv2.imread(str(picture))
    assert copy is not None
    assert original is not None
    assert copy.shape == original.shape
    changed = np.abs(copy.astype(int) - original).max(axis=2) > 40
    for box, _ in scene(0).truth(0.0):
        around = changed[max(0, box.y - 12) : box.bottom + 12, max(0, box.x - 12) : box.right + 12]
        assert around.any(), "a frame around each digit"


def test_a_folder_for_copies_may_be_the_pictures_own(shell: Shell, tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    before = picture.read_bytes()
    assert shell("read", "--save", tmp_path, picture).code == 0
    assert picture.read_bytes() == before
    assert (tmp_path / "a_2.png").is_file()


def with_exif(path: Path, image: Image, orientation: int) -> Path:
    """A JPEG whose EXIF says how to turn it."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 97])
    assert ok
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b"Exif\x00\x00" + tiff
    block = struct.pack(">HH", 0xFFE1, len(content) + 2) + content
    jpeg = np.asarray(data).tobytes()
    path.write_bytes(jpeg[:2] + block + jpeg[2:])
    return path


@pytest.mark.parametrize("orientation", [6, 3])
def test_boxes_of_a_turned_picture_are_in_its_stored_pixels(
    shell: Shell, tmp_path: Path, orientation: int
) -> None:
    page = scene(5).render(0.0)
    stored = np.ascontiguousarray(np.rot90(page, 1 if orientation == 6 else 2))
    turned = with_exif(tmp_path / "turned.jpg", stored, orientation)
    upright = with_exif(tmp_path / "upright.jpg", page, 1)
    first, second = shell("read", "--json", upright, turned).json()
    height, width = stored.shape[:2]
    check_schema(second, str(turned), width, height)
    assert right(first, 5) >= 0.8
    assert first["lines"] == second["lines"], "read the right way up"
    for a, b in zip(first["digits"], second["digits"], strict=True):
        x, y, w, h = a["box"]
        there = Box(y, WIDTH - x - w, h, w)
        if orientation == 3:
            there = Box(WIDTH - x - w, HEIGHT - y - h, w, h)
        assert there.iou(Box(*b["box"])) > 0.85


@POSIX
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell, tmp_path: Path, form: str) -> None:
    video = film(tmp_path / "page.mp4", frames=60)
    process = shell.start("read", form, video)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.stderr.close()
    assert (process.returncode, err) == (0, "")


@POSIX
def test_an_interrupted_reading_ends_without_a_traceback(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4", frames=900)
    process = shell.start("read", "--json", video, "--save", "copies")
    assert process.stdout is not None
    assert process.stderr is not None
    drain = threading.Thread(target=process.stdout.read)
    try:
        assert all(process.stdout.readline() for _ in range(5))
        process.send_signal(signal.SIGINT)
        drain.start()
        err = process.stderr.read()
        process.wait(PATIENCE)
    finally:
        process.kill()
        drain.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert decoded(shell.folder / "copies" / "page.mp4") >= 1


# --- what is not installed ---


def test_a_missing_system_library_is_named_with_its_package(shell: Shell, tmp_path: Path) -> None:
    fake = tmp_path / "fake" / "cv2"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(
        'raise ImportError("libGL.so.1: cannot open shared object file: '
        'No such file or directory")\n'
    )
    shell.before(tmp_path / "fake")
    for line in ("--source demo --duration 1", "read a.png", "doctor", "cameras"):
        one_line(shell(*line.split()), "libGL.so.1", "libgl1")
    assert shell("run", "--help").code == 0


@pytest.fixture
def slim(shell: Shell, tmp_path: Path) -> Shell:
    """An installation without the extras."""
    folder = tmp_path / "slim"
    folder.mkdir()
    names = ("tensorflow", "keras", "mediapipe", "matplotlib", "PIL")
    (folder / "sitecustomize.py").write_text(
        f"import sys\nfor name in {names}:\n    sys.modules[name] = None\n"
    )
    shell.before(folder)
    return shell


def test_a_slim_installation_runs_and_reads(slim: Shell, tmp_path: Path) -> None:
    done = slim("--source", "demo", "--no-window", "--record", "--duration", "1", *SMALL)
    assert done.code == 0, done.err
    finished(recording_in(slim.folder / "recordings"))
    page = draw(tmp_path / "a.png")
    (entry,) = slim("read", "--json", page).json()
    assert right(entry, 0) >= 0.8


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("train dense --quick", "train"),
        ("evaluate --data mnist", "train"),
        ("--source demo --no-window --duration 1 --set hands.mode=on", "hands"),
    ],
)
def test_a_slim_installation_names_the_extra(slim: Shell, line: str, extra: str) -> None:
    one_line(slim(*line.split()), f"[{extra}]", "pip install")


def test_a_slim_installation_evaluates_a_folder(slim: Shell, tmp_path: Path) -> None:
    folder = with_truth(tmp_path / "photos")
    done = slim("evaluate", "--data", folder, "--json")
    assert done.code == 0, done.err


# --- the other commands ---


def test_doctor_says_what_works(shell: Shell) -> None:
    done = shell("doctor")
    assert (done.code, done.err) == (0, "")
    marks = {line.split(":")[0] for line in done.out.splitlines()}
    assert {"ok  Python", "ok  numpy", "ok  model cnn", "ok  model dense"} <= marks
    if sys.platform == "linux":
        assert "no  display" in marks


def test_doctor_tells_of_settings_that_are_wrong(shell: Shell) -> None:
    (shell.folder / "config.yaml").write_text("pipeline:\n  blurr: 5\n")
    done = shell("doctor")
    assert done.code == 1
    assert any("settings" in x and "blurr" in x for x in done.out.splitlines() if x[:2] == "no")


def test_cameras_are_listed(shell: Shell) -> None:
    done = shell("cameras")
    assert done.code == 0
    there = sources.list_cameras()
    if there:
        named = [line for line in done.out.splitlines() if not line.startswith(" ")]
        assert named == [f"{spec}  {name}" for spec, name in there]
    else:
        assert done.out == ""
        assert "--source demo" in done.err


def with_truth(folder: Path, pictures: int = 3) -> Path:
    """A folder of drawn pages with their truth.json."""
    folder.mkdir()
    truth: dict[str, Any] = {}
    for seed in range(pictures):
        draw(folder / f"page{seed}.png", seed)
        page = scene(seed)
        truth[f"page{seed}.png"] = {
            "category": "even" if seed % 2 == 0 else "odd",
            "digits": [{"box": b.as_list(), "digit": d} for b, d in page.truth(0.0)],
            "lines": list(page.lines()),
        }
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def test_evaluate_scores_a_folder(shell: Shell, tmp_path: Path) -> None:
    folder = with_truth(tmp_path / "photos")
    done = shell("evaluate", "--data", folder, "--json", "--out", "figures")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert set(report) == {"all", "even", "odd"}
    total = report["all"]
    assert total["pictures"] == report["even"]["pictures"] + report["odd"]["pictures"] == 3
    assert total["truth"] == sum(len(scene(seed).truth(0.0)) for seed in range(3))
    assert 0.8 <= total["recall"] <= 1
    assert 0.8 <= total["precision"] <= 1
    assert cv2.imread(str(shell.folder / "figures" / "mistakes.png")) is not None
    table = shell("evaluate", "--data", folder / "truth.json", "--out", "figures")
    assert table.code == 0
    assert {"all", "even", "odd"} <= {row.split()[0] for row in table.out.splitlines()[2:]}


def test_evaluate_names_a_picture_that_is_missing(shell: Shell, tmp_path: Path) -> None:
    folder = with_truth(tmp_path / "photos")
    (folder / "page1.png").unlink()
    done = shell("evaluate", "--data", folder, "--json")
    assert done.code == 1
    assert any("page1.png" in line for line in done.told)
    assert json.loads(done.out)["odd"]["recall"] == 0


def tiny_mnist(path: Path) -> Path:
    """MNIST's own layout, of a few hundred digits, repeated."""
    with np.load(Path(live_digits.__file__).with_name("demo_digits.npz")) as z:
        x, y = z["digits"], z["labels"]
    np.savez(
        path,
        x_train=np.tile(x[120:], (4, 1, 1)),
        y_train=np.tile(y[120:], 4),
        x_test=x[:120],
        y_test=y[:120],
    )
    return path


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="the confusion picture needs the extra train")
def test_evaluate_scores_a_digit_set(shell: Shell, tmp_path: Path) -> None:
    mnist = tiny_mnist(tmp_path / "mnist.npz")
    done = shell("evaluate", "--data", "mnist", "--mnist", mnist, "--json", "--model", "dense")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["data"], report["model"], report["count"]) == ("mnist", "dense", 120)
    assert report["accuracy"] > 0.9
    assert [row["digit"] for row in report["digits"]] == list(range(10))
    assert sum(row["count"] for row in report["digits"]) == 120
    assert cv2.imread(str(shell.folder / "out" / "mnist_confusion.png")) is not None


@pytest.mark.skipif(not HAS_TENSORFLOW, reason="training needs the extra train")
def test_the_same_seed_trains_the_same_weights(shell: Shell, tmp_path: Path) -> None:
    mnist = tiny_mnist(tmp_path / "mnist.npz")
    processes = [
        shell.start("train", "dense", "--quick", "--epochs", "1", "--mnist", mnist,
                    "--seed", seed, "--out", tmp_path / name)
        for name, seed in (("a", "3"), ("b", "3"))
    ]  # fmt: skip
    try:
        ends = [p.communicate(timeout=2 * PATIENCE) for p in processes]
    finally:
        for p in processes:
            p.kill()
    assert [p.returncode for p in processes] == [0, 0], ends
    sums = []
    for name in ("a", "b"):
        folder = tmp_path / name / "dense"
        card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
        content = (folder / "model.tflite").read_bytes()
        assert card["sha256"]["model.tflite"] == hashlib.sha256(content).hexdigest()
        assert card["seed"] == 3
        sums.append(hashlib.sha256(content).hexdigest())
    assert sums[0] == sums[1]
    assert "mnist: 0." in ends[0][0]
    page = draw(tmp_path / "a.png")
    done = shell("read", "--model", tmp_path / "a" / "dense", page)
    assert done.code == 0, done.err
