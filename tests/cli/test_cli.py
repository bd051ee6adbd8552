"""The command line as users meet it: bad input, help, what is missing, the smaller commands."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from cli_kit import (
    HAS_MATPLOTLIB,
    HAS_TENSORFLOW,
    PATIENCE,
    SMALL,
    Shell,
    draw,
    finished,
    one_line,
    recording_in,
    right,
    scene,
)

import live_digits
from live_digits.capture import camera
from live_digits.cli import COMMANDS
from live_digits.reading.model_store import models_folder

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
    there = camera.list_cameras()
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
    with np.load(Path(live_digits.__file__).parent / "capture" / "demo_digits.npz") as z:
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
    import matplotlib

    mnist = tiny_mnist(tmp_path / "mnist.npz")
    (tmp_path / "fonts").mkdir()
    sans = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    shutil.copy(sans, tmp_path / "fonts")
    processes = [
        shell.start("train", "dense", "--quick", "--epochs", "1", "--mnist", mnist,
                    "--fonts", tmp_path / "fonts", "--seed", seed, "--out", tmp_path / name)
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
        assert card["fonts"]["files"] == [sans.name]
        assert card["crops"]["fonts"] > 0
        sums.append(hashlib.sha256(content).hexdigest())
    assert sums[0] == sums[1]
    assert "mnist: 0." in ends[0][0]
    assert {"drawing 0 %", "training 50 %"} <= {
        line.split(",")[0] for line in ends[0][1].splitlines()
    }
    page = draw(tmp_path / "a.png")
    done = shell("read", "--model", tmp_path / "a" / "dense", page)
    assert done.code == 0, done.err


@pytest.mark.skipif(not HAS_TENSORFLOW, reason="training needs the extra train")
def test_a_folder_without_fonts_is_refused_in_one_line(shell: Shell, tmp_path: Path) -> None:
    mnist = tiny_mnist(tmp_path / "mnist.npz")
    done = shell("train", "dense", "--quick", "--mnist", mnist, "--fonts", tmp_path)
    assert done.code == 2
    assert f"{tmp_path} holds no font" in done.told[-1]
    assert not (shell.folder / "models").exists()
