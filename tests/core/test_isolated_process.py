"""Functions in a process of their own: calls, crashes, hangs, and answers that are none."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from fakes import wait_until
from program_kit import starter_of

from live_digits.core import isolated_process
from live_digits.core.isolated_process import IsolatedProcess, IsolatedProcessError, isolated_python
from live_digits.core.types import Floats, Image

psutil: Any = pytest.importorskip("psutil")

ECHO, CRASH, SLEEP, RAISE, PRINT, NAN, LARGE = range(7)
PICTURE = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def thing(content: bytes, wrong: str = "") -> Callable[[Image, int], Floats]:
    """What the tests keep apart: the number says what a call does."""
    if wrong:
        raise ValueError(wrong)

    def called(picture: Image, number: int) -> Floats:
        if number == CRASH:
            ctypes.string_at(0)
        elif number == SLEEP:
            time.sleep(1000)
        elif number == RAISE:
            raise RuntimeError("raised\nin two lines \x1b[31m" + "x" * 100_000)
        elif number == PRINT:
            print("words", flush=True)
            os.write(1, b"words")
        elif number == NAN:
            return np.full((2, 12), np.nan, np.float32)
        elif number == LARGE:
            return np.zeros((3, 12), np.float32)
        table = np.frombuffer(picture.tobytes(), np.uint8).reshape(2, 12)
        return np.asarray(table + np.float32(len(content)), np.float32)

    return called


@pytest.fixture(autouse=True)
def _found_by_the_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    start = isolated_process._BOOTSTRAP
    folders = (str(Path(__file__).parent), str(Path(fakes.__file__).parent))
    here = f"sys.path += {folders!r}\n"
    monkeypatch.setattr(isolated_process, "_BOOTSTRAP", start.replace("spec =", here + "spec =", 1))


def made(**settings: str) -> IsolatedProcess:
    return IsolatedProcess("test_isolated_process", "thing", b"12345", **settings)


def call(it: IsolatedProcess, number: int = ECHO) -> Floats:
    return it(PICTURE, number, rows=2, columns=12)


def children() -> list[Any]:
    return list(psutil.Process().children())


def test_calls_and_errors_come_through() -> None:
    it = made()
    expected = PICTURE.reshape(2, 12) + 5
    assert (call(it) == expected).all()
    with pytest.raises(IsolatedProcessError) as raised:
        call(it, RAISE)
    assert str(raised.value).startswith("raised in two lines \\x1b[31mxxx")
    assert len(str(raised.value)) < 2100, "an error's text is bounded"
    assert (call(it, PRINT) == expected).all(), "an error does not end it; a print is no answer"
    large = np.ones((1000, 1000, 3), np.uint8)
    with pytest.raises(IsolatedProcessError, match="reshape"):
        it(large, rows=2, columns=12)
    assert (call(it) == expected).all()
    it.close()
    it.close()


def test_what_cannot_be_made_says_why() -> None:
    before = len(children())
    with pytest.raises(IsolatedProcessError, match=r"^no such thing$"):
        made(wrong="no such thing")
    wait_until(lambda: len(children()) <= before, "the process to end")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (CRASH, "broke down"), (SLEEP, "no answer within 1 s"), (NAN, "what is no number"),
        (LARGE, "another form"),
    ],
)  # fmt: skip
def test_a_crash_a_hang_or_a_wrong_answer_there_is_an_error_here(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(children())
    it = made()
    monkeypatch.setattr(isolated_process, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(IsolatedProcessError, match=said):
        call(it, number)
    assert len(children()) == before, "nothing of it stays"
    with pytest.raises(IsolatedProcessError):
        call(it)


@pytest.mark.parametrize("end", ["close", "forget"])
def test_the_process_ends_with_the_object(end: str) -> None:
    before = len(children())
    it: IsolatedProcess | None = made()
    assert len(children()) == before + 1
    if end == "close" and it is not None:
        it.close()
    it = None
    wait_until(lambda: len(children()) == before, "the process to end")


class Bomb:
    """Runs code where somebody unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.kill, (os.getpid(), signal.SIGTERM)


ANSWER = struct.Struct("<B2I")
GOOD_SETUP = ANSWER.pack(0, 0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        pickle.dumps((True, Bomb())),
        pickle.dumps((True, Bomb()), 0),
        GOOD_SETUP + pickle.dumps((True, Bomb())),
        GOOD_SETUP + ANSWER.pack(0, 2**32 - 1, 12),
        GOOD_SETUP + ANSWER.pack(0, 2, 2**32 - 1),
        GOOD_SETUP + ANSWER.pack(0, 2, 11) + bytes(88),
        GOOD_SETUP + ANSWER.pack(0, 2, 12) + bytes(95),
        GOOD_SETUP + ANSWER.pack(0, 2, 12) + struct.pack("<f", float("inf")) * 24,
        GOOD_SETUP + ANSWER.pack(1, 2**31, 0) + b"x" * 100_000,
        GOOD_SETUP + ANSWER.pack(7, 2, 12) + bytes(96),
        b"",
    ],
    ids=["pickle", "old pickle", "pickle as an answer", "rows", "columns", "another width",
         "too short", "infinite", "endless error", "another kind", "nothing"],
)  # fmt: skip
def test_a_process_that_was_taken_over_can_only_break_down(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "taken.py"
    script.write_text(f"import sys\nsys.stdout.buffer.write({answer!r})\nsys.stdout.flush()\n"
                      "sys.stdin.buffer.read()\n")  # fmt: skip

    monkeypatch.setattr(isolated_process, "start_isolated", starter_of(script))
    monkeypatch.setattr(isolated_process, "PATIENCE_SECONDS", 2.0)
    with pytest.raises(IsolatedProcessError, match=r"broke down|no answer"):
        call(made())


@pytest.mark.skipif(sys.platform == "win32", reason="no groups of processes")
def test_what_such_a_process_has_started_holds_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grandchild keeps the pipes open, and the child is gone."""
    script = tmp_path / "parent.py"
    script.write_text("import os, time\nos.fork() and time.sleep(0.2)\ntime.sleep(60)\n")

    monkeypatch.setattr(isolated_process, "start_isolated", starter_of(script))
    monkeypatch.setattr(isolated_process, "PATIENCE_SECONDS", 1.0)
    begun = time.monotonic()
    with pytest.raises(IsolatedProcessError, match="no answer within 1 s"):
        made()
    assert time.monotonic() - begun < 20


def test_only_what_is_installed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the working folder nor PYTHONPATH; the package's own folder hides no module of the
    standard library, though it holds a `types`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "x.py"))
    monkeypatch.chdir(tmp_path)
    said = "import json, os, types, live_digits.core.types; "
    said += "print(json.dumps([sys.path, types.__file__, "
    said += "live_digits.__file__, [k for k in os.environ if k.startswith('PYTHON')]]))"
    done = subprocess.run(
        isolated_python(said), capture_output=True, text=True, check=True,
        env=isolated_process.isolated_environment(),
    )  # fmt: skip
    path, types_file, package, variables = __import__("json").loads(done.stdout)
    package_folder = Path(isolated_process.__file__).parents[1]
    assert variables == []
    assert Path(package).parent == package_folder
    assert Path(types_file).parent != package_folder
    assert not {"", ".", str(tmp_path), str(package_folder)} & set(path)


def test_packages_of_the_user_come_before_those_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `pip install --user`, with the same order as in any Python."""
    import site

    mine = tmp_path / "mine"
    (mine / "yaml").mkdir(parents=True)
    (mine / "yaml" / "__init__.py").write_text("mine = 1\n")
    (mine / "more.pth").write_text(str(tmp_path / "more") + "\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "only_by_pth.py").write_text("")
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(mine))
    said = "import yaml, only_by_pth; assert yaml.mine; import json; print(json.__file__)"
    done = subprocess.run(isolated_python(said), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_packages_that_only_pythonpath_finds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    start = isolated_process._BOOTSTRAP
    gone = start.replace("spec =", "sys.modules['numpy'] = None\nspec =", 1)
    monkeypatch.setattr(isolated_process, "_BOOTSTRAP", gone)
    with pytest.raises(IsolatedProcessError, match="PYTHONPATH does not count"):
        made()
