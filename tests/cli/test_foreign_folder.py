"""The program in a folder that somebody else made: nothing that lies there runs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_kit import HAS_MATPLOTLIB, HAS_TENSORFLOW, Shell, draw
from hands_kit import real_model
from program_kit import ROOT

from live_digits.reading.model_store import models_folder

STANDARD = (
    "ast", "base64", "codecs", "collections", "contextlib", "copyreg", "ctypes", "encodings",
    "enum", "functools", "hashlib", "importlib", "io", "json", "linecache", "logging", "mmap",
    "multiprocessing", "operator", "os", "pathlib", "pickle", "queue", "random", "re", "resource",
    "runpy", "selectors", "site", "sitecustomize", "socket", "stat", "struct", "subprocess",
    "tempfile", "threading", "traceback", "types", "typing", "usercustomize", "uuid", "warnings",
    "weakref", "zipfile",
)  # fmt: skip
PACKAGES = (
    "absl", "ai_edge_litert", "av", "cv2", "flatbuffers", "keras", "live_digits", "matplotlib",
    "mediapipe", "numpy", "platformdirs", "rich", "ruamel", "tensorflow", "typer", "yaml",
)  # fmt: skip


def trap(folder: Path, marker: Path) -> None:
    """Files by every name that Python might look for; each leaves the marker."""
    folder.mkdir(exist_ok=True)
    code = f"open({str(marker)!r}, 'a').write(__name__ + ' ' + __file__ + '\\n')\n"
    for name in (*STANDARD, *PACKAGES):
        (folder / f"{name}.py").write_text(code)
    backend = "backend: module://json\ntext.usetex: True\nno such line\n"
    (folder / "matplotlibrc").write_text(backend)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran.txt"


@pytest.fixture
def foreign(tmp_path: Path, marker: Path) -> Path:
    """A folder with traps, and a model that is whole."""
    folder = tmp_path / "foreign"
    trap(folder, marker)
    shutil.copytree(models_folder() / "dense", folder / "net")
    trap(folder / "net", marker)
    return folder


@pytest.fixture
def started(shell: Shell, foreign: Path, tmp_path: Path) -> Shell:
    """The program as an installed command starts: its own folder is on Python's path, no other."""
    command = tmp_path / "bin" / "live_digits_command.py"
    command.parent.mkdir()
    # As a wheel's script, whose Python finds the package where it is installed.
    lines = f"import sys\nsys.path.append({str(ROOT)!r})\nfrom live_digits.cli import main\n"
    command.write_text(lines + "if __name__ == '__main__':\n    sys.exit(main())\n")
    shell.folder = foreign
    shell.script = command
    del shell.env["PYTHONPATH"]
    return shell


RUN = ("--source", "demo", "--no-window", "--duration", "1.5")


def test_a_config_of_the_working_folder_that_names_a_model_runs_no_code(
    started: Shell, foreign: Path, marker: Path
) -> None:
    (foreign / "config.yaml").write_text(
        "model: {name: net}\nrecording: {folder: kept}\nhands: {mode: 'off'}\n"
    )
    done = started(*RUN)
    assert done.code == 0, done.err
    assert not marker.exists(), marker.read_text()
    told = "settings of config.yaml: model net, recordings in kept"
    assert done.told[0] == told, "what it chooses is said"


def test_a_bare_start_says_what_a_found_config_chooses(started: Shell, foreign: Path) -> None:
    page = draw(foreign / "page.png")
    (foreign / "config.yaml").write_text("pipeline: {blur: 7}\n")
    assert started("read", page).told == ["settings of config.yaml"]
    (foreign / "config.yaml").write_text("source: {max_megapixels: 200}\n")
    assert started("read", page).told == ["settings of config.yaml: megapixels at most 200"]
    (foreign / "config.yaml").write_text('model: {name: "net\\e[31m"}\n')
    wrong = started("read", page)
    assert wrong.code == 2
    assert wrong.told[0] == "settings of config.yaml: model net\\x1b[31m"
    named = started("read", page, "--config", "config.yaml", "--model", "dense")
    assert named.told == [], "one that is named needs no word"


@pytest.mark.parametrize("path", ["net", "../foreign/net", "./net"])
def test_a_models_folder_runs_no_code(started: Shell, marker: Path, path: str) -> None:
    done = started(*RUN, "--model", path, "--set", "hands.mode=off")
    assert done.code == 0, done.err
    assert not marker.exists(), marker.read_text()


def test_what_the_child_starts_with_is_not_pythonpath(
    started: Shell, foreign: Path, tmp_path: Path
) -> None:
    """Only the main process takes PYTHONPATH: sitecustomize tells of each that does."""
    pids = tmp_path / "pids"
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        f"import os\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    )
    started.env["PYTHONPATH"] = str(tmp_path / "path")
    process = started.start(*RUN, "--model", foreign / "net", "--set", "hands.mode=off")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert pids.read_text().split() == [str(process.pid)]


@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="extra hands")
@pytest.mark.parametrize("way", ["set", "config", "environment"])
def test_a_hand_models_folder_runs_no_code(
    started: Shell, foreign: Path, marker: Path, way: str
) -> None:
    shutil.copy(real_model(), foreign / "hands.task")
    more: tuple[str, ...] = ()
    if way == "set":
        more = ("--set", "hands.model=hands.task")
    elif way == "config":
        (foreign / "config.yaml").write_text("hands: {mode: 'on', model: hands.task}\n")
    else:
        started.env["LIVE_DIGITS_HAND_MODEL"] = "hands.task"
    done = started("--source", "demo", "--no-window", "--duration", "6", "--set", "hands.mode=on",
                   "--stats", "stats.json", *more)  # fmt: skip
    assert done.code == 0, done.err
    assert not marker.exists(), marker.read_text()
    assert ("hand model hands.task" in done.err) == (way == "config")


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="it draws by matplotlib")
def test_a_matplotlibrc_of_the_working_folder_is_not_read(
    started: Shell, foreign: Path, marker: Path
) -> None:
    if hasattr(os, "mkfifo"):  # a read of it would wait for ever
        (foreign / "matplotlibrc").unlink()
        os.mkfifo(foreign / "matplotlibrc")
    crops, labels = np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10
    some = {"x_train": crops, "y_train": labels, "x_test": crops, "y_test": labels}
    np.savez(foreign / "mnist.npz", **some)  # type: ignore[arg-type]
    done = started("evaluate", "--data", "mnist", "--mnist", "mnist.npz", "--model", "dense")
    assert done.code == 0, done.err
    assert (foreign / "out" / "mnist_confusion.png").is_file()
    assert not marker.exists(), marker.read_text()


@pytest.mark.skipif(not HAS_TENSORFLOW, reason="training needs the extra train")
def test_training_in_a_foreign_folder_runs_no_code(
    started: Shell, foreign: Path, marker: Path, tmp_path: Path
) -> None:
    """Its processes are started by multiprocessing, which hands sys.path down."""
    code = (
        "import multiprocessing, sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from live_digits.core import isolated_process\n"
        "from live_digits.core.types import Box\n"
        "if __name__ == '__main__':\n"
        f"    sys.path[0] = ''; sys.path.insert(1, {str(foreign)!r})\n"
        "    isolated_process.isolate_pools()\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    with ProcessPoolExecutor(2, mp_context=spawn) as pool:\n"
        "        print(*pool.map(Box.as_list, [Box(1, 2, 3, 4)]))\n"
    )
    assert started.script
    started.script.write_text(f"import sys\nsys.path.append({str(ROOT)!r})\n{code}")
    done = started()
    assert done.out == "[1, 2, 3, 4]\n", done.err
    assert not marker.exists(), marker.read_text()


def test_a_card_or_session_of_a_foreign_folder_chooses_no_code(
    started: Shell, foreign: Path, marker: Path
) -> None:
    card = foreign / "net" / "card.yaml"
    content = yaml.safe_load(card.read_text(encoding="utf-8"))
    content["sha256"]["../json.py"] = hashlib.sha256(b"").hexdigest()
    content["module"] = "json"
    card.write_text(yaml.safe_dump(content))
    assert started(*RUN, "--model", "net", "--set", "hands.mode=off").code == 0
    card.write_text("!!python/object/apply:os.system [touch x]")
    done = started(*RUN, "--model", "net")
    assert done.code == 2
    assert "card.yaml" in done.err
    assert not marker.exists()


def test_the_checkouts_own_config_is_told_only_where_it_chooses(shell: Shell) -> None:
    from live_digits.config.file import chosen_by, default_config_path

    assert chosen_by(default_config_path()) == ""
    copied = shutil.copy(default_config_path(), shell.folder / "config.yaml")
    assert chosen_by(Path(copied)).endswith(
        "config.yaml: model cnn, recordings in recordings, megapixels at most 36"
    )
