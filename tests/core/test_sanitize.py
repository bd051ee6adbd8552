"""Names and texts from outside on the terminal: nothing of them steers it, and nothing vanishes."""

from __future__ import annotations

import ast
import json
import logging
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_kit import draw
from hypothesis import example, given
from hypothesis import strategies as st
from program_kit import environment
from recordings_kit import record

import live_digits
from live_digits import cli
from live_digits.app.doctor import Check
from live_digits.capture import v4l2
from live_digits.capture.camera import CameraInfo
from live_digits.cli.console import LogProgress, print_table
from live_digits.core.sanitize import json_line, sanitize
from live_digits.display import drawing
from live_digits.recording.session import READINGS, SESSION

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="its file names hold no such signs")
PATIENCE = 120.0
HOSTILE = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31mred",
    "return": "good\rbad",
    "feed": "one\ntwo",
    "back": "abc\b\b\bxyz",
    "delete": "a\x7fb",
    "bidi": "a\u202egnp.b",
    "isolate": "a\u2066b\u2069",
    "separator": "a\u2028b",
    "bytes": "a\udcffb",
    "draft": "[draft]",
    "close": "[/]",
    "link": "[link=x]y[/link]",
    "emoji": ":smile:",
    "plain": "Übung – 七 👩‍🔬",
}
"""Names that a folder, a file, a device or a line of somebody else may have."""


def steering(text: str) -> list[str]:
    """What in a text steers a terminal; line feeds aside."""
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [
        hex(ord(c)) for c in text
        if unicodedata.category(c) in unseen and c not in "\n\u200c\u200d"
    ]  # fmt: skip


@given(st.text(st.characters(exclude_categories=())))
@example("\x1b\x9b\x7f\u202e\udcff\r\n\t")
def test_a_sanitized_text_is_one_line_that_steers_nothing(text: str) -> None:
    shown = sanitize(text)
    assert steering(shown) == []
    assert "\n" not in shown
    assert sanitize(shown) == shown
    shown.encode("utf-8")
    if not steering(text) and "\n" not in text:
        assert shown == text, "what is harmless stays as it is"


@given(st.recursive(
    st.text(st.characters(exclude_categories=())) | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
), st.booleans())  # fmt: skip
def test_a_line_of_json_is_exact_and_steers_nothing(value: Any, ascii_only: bool) -> None:
    line = json_line(value, ascii_only=ascii_only)
    assert json.loads(line) == value
    assert steering(line) == []
    line.encode("ascii" if ascii_only else "utf-8")


def test_only_one_room_prints() -> None:
    """What another module printed would not be sanitized."""
    root = Path(live_digits.__file__).parent
    printing = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                printing |= (
                    {path.relative_to(root).as_posix()} if node.func.id == "print" else set()
                )
    # The bench's child answers its parent, in JSON; the command prints its own tracebacks.
    assert printing == {"cli/console.py", "cli/__init__.py", "bench/subprocesses.py"}


# --- real runs ---


def run(*args: str | Path, tty: bool = False, **env: str) -> tuple[int, str, str]:
    """The program: exit code, output and stderr. `tty`: its output is a terminal, as in a shell."""
    command = [sys.executable, "-m", "live_digits", *map(str, args)]
    kept = environment("DISPLAY", "WAYLAND_DISPLAY", TERM="dumb", COLUMNS="300", **env)
    if not tty:
        done = subprocess.run(command, env=kept, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=PATIENCE)  # fmt: skip
        return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=kept, stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=theirs)  # fmt: skip
    os.close(theirs)
    out = b""
    try:
        while chunk := os.read(ours, 65536):
            out += chunk
    except OSError:  # so Linux tells that the other side has gone
        pass
    finally:
        os.close(ours)
        code = process.wait(PATIENCE)
    return code, out.decode("utf-8").replace("\r\n", "\n"), ""


def made(parent: Path, name: str) -> Path | None:
    """A folder of that name, where the file system takes it."""
    try:
        (parent / name).mkdir(parents=True)
    except (OSError, UnicodeError):
        return None
    return parent / name


@POSIX
@pytest.mark.parametrize("tty", [False, True])
def test_recordings_of_any_name_are_listed_as_they_are(tmp_path: Path, tty: bool) -> None:
    one = record(tmp_path / "made", "off", frames=3)
    told = {"digits": [], "time": 1.0, "lines": ["\x1b[31m7 [/] [draft]"]}
    names = [name.replace("/", "") for name in HOSTILE.values()]
    names = [name for name in names if made(tmp_path / "list", name)]
    assert len(names) > 10
    for name in names:
        shutil.copytree(one, tmp_path / "list" / name, dirs_exist_ok=True)
        content = yaml.safe_load((one / SESSION).read_text())
        content |= {"ended": None, "lines": told["lines"]}
        (tmp_path / "list" / name / SESSION).write_text(yaml.safe_dump(content))
        with (tmp_path / "list" / name / READINGS).open("a") as file:
            file.write(json.dumps(told) + "\n")
    code, out, err = run("recordings", tmp_path / "list", tty=tty)
    assert code == 0, err
    assert steering(out + err) == []
    for name in names:
        assert sanitize(name) in out, repr(name)
    # A terminal that is dumb has 80 columns: the cells of a table break there.
    assert out.count("[/]" if tty else "\\x1b[31m7 [/] [draft]") == len(names)
    code, out, err = run("recordings", tmp_path / "list", "--json", tty=tty)
    assert {Path(json.loads(line)["path"]).name for line in out.splitlines()} == set(names)
    assert steering(out) == []


@POSIX
@pytest.mark.parametrize("how", ["plain", "--csv", "--json", "tty"])
def test_pictures_of_any_name_are_read_and_named(tmp_path: Path, how: str) -> None:
    page = draw(tmp_path / "page.png")
    pictures = tmp_path / "in"
    pictures.mkdir()
    for name in (HOSTILE[k] for k in ("title", "c1", "feed", "bidi", "bytes", "close", "emoji")):
        shutil.copy(page, pictures / f"{name.replace('/', '')}.png")
    (pictures / "\x1b[5mtorn.png").write_bytes(b"no picture")
    args = [how] if how.startswith("--") else []
    code, out, err = run("read", pictures, *args, tty=how == "tty")
    assert code == 1
    assert steering(out + err) == []
    assert "\\x1b[5mtorn.png" in out + err
    names = {os.path.join(pictures, name) for name in os.listdir(pictures) if "torn" not in name}
    if how == "--json":
        assert {json.loads(line)["source"] for line in out.splitlines()} == names
    else:
        for name in names:
            assert sanitize(name) in out, repr(name)


ERRORS = {
    "source": ["--no-window", "--source", "\x1b]0;x\x07[/].mp4"],
    "glob": ["read", "\x1b[31m*[/].png"],
    "url": ["--no-window", "--source", "\x1b[31m://x"],
    "option": ["run", "--\x1b[31m[/]"],
    "command": ["\x1b[31m[/]"],
    "key": ["run", "--set", "pipeline.\x1b[31m[/]=1"],
    "value": ["run", "--set", "pipeline.blur=\x1b[31m\u202e[/]"],
    "model": ["--no-window", "--source", "demo", "--model", "\x1b[31m[/]"],
    "config": ["--no-window", "--source", "demo", "--config", "\x1b[31m[/].yaml"],
    "folder": ["recordings", "\x9b31m[/]\u202e"],
    "data": ["evaluate", "--data", "\x1b[31m[/]"],
    "debug": ["read", "\x1b[31m[/].png", "--debug"],
}


@pytest.mark.parametrize("what", ERRORS)
def test_errors_repeat_a_name_spelt_out(what: str, tmp_path: Path) -> None:
    code, out, err = run(*ERRORS[what])
    assert code == (1 if what == "debug" else 2)
    assert steering(out + err) == []
    assert "\\x1b" in err or "\\x9b" in err
    assert "[/]" in err or what == "url"
    assert what == "debug" or len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        '"\\e[31m[/]": 1', 'pipeline: {"\\e[31m": 1}', 'pipeline: {blur: "\\e]0;x\\a"}',
        'model: {name: "\\e[31m[/]"}', "pipeline: \x1b[31m",
        'hands: {model: "\\e[31m", mode: "on"}', "pipeline: {\u202eblur: 7}", "a\u202e: [",
    ],
)  # fmt: skip
def test_errors_of_a_config_are_spelt_out(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    assert cli.invoke(["read", str(draw(tmp_path / "a.png")), "--config", str(path)]) in (0, 2)
    told = capsys.readouterr()
    assert steering(told.out + told.err) == []


def test_cameras_programs_and_findings_are_spelt_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in HOSTILE.values():
        there = [
            CameraInfo("0", f"USB {name}", (f"YUYV {name}: 1×1",), (f"{name} (7)",), f"note {name}")
        ]
        monkeypatch.setattr(
            "live_digits.capture.camera.describe_cameras", lambda there=there: there
        )
        checks = (Check(f"what {name}", True, f"found {name}"),)
        monkeypatch.setattr("live_digits.app.doctor.run_checks", lambda checks=checks: checks)
        assert cli.invoke(["cameras"]) == 0
        assert cli.invoke(["doctor"]) == 0
        told = capsys.readouterr()
        assert steering(told.out + told.err) == []
        shown = sanitize(name)
        for text in ("USB ", "YUYV ", "in use by ", "note ", "what ", "found "):
            assert f"{text}{shown}" in told.out


@pytest.mark.skipif(sys.platform != "linux", reason="needs sysfs")
def test_a_camera_of_any_name_is_an_error_that_steers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = tmp_path / "video7"
    node.mkdir()
    (node / "index").write_text("0\n")
    (node / "name").write_text("\x1b[31mUSB [/] \x9b")
    monkeypatch.setattr(v4l2, "SYSFS", tmp_path)
    assert cli.invoke(["--no-window", "--source", "/dev/null"]) == 2
    told = capsys.readouterr()
    assert "\\x1b[31mUSB [/] \\x9b" in told.err
    assert steering(told.err) == []


def test_log_lines_and_tracebacks_are_spelt_out(capsys: pytest.CaptureFixture[str]) -> None:
    cli.invoke(["recordings", os.devnull])
    log = logging.getLogger("live_digits.test")
    for name in HOSTILE.values():
        log.warning("%s: damaged", name)
        try:
            raise ValueError(name)
        except ValueError:
            log.exception("failed")
    err = capsys.readouterr().err
    assert steering(err) == []
    for name in HOSTILE.values():
        assert f"{sanitize(name)}: damaged" in err
        assert f"ValueError: {sanitize(name).split(chr(92) + 'n')[0]}" in err


def test_tables_and_progress_are_spelt_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "200")
    for tty in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda tty=tty: tty, raising=False)
        for name in HOSTILE.values():
            print_table(f"of {name}", ("name",), [[f"cell {name}"]])
            LogProgress().tell(name, 1, 10, name)
            told = capsys.readouterr()
            assert steering(told.out + told.err) == []
            assert f"of {sanitize(name)}" in told.out
            assert f"cell {sanitize(name)}" in told.out


@pytest.mark.parametrize("what", HOSTILE)
def test_the_picture_takes_any_text(what: str) -> None:
    """OpenCV refuses a lone surrogate, and the window ended with it."""
    image = np.zeros((60, 600, 3), np.uint8)
    drawing.draw_text(image, HOSTILE[what], 5, 40, 0.6)
    assert image.any()
    assert drawing.text_size(HOSTILE[what], 0.6)[0] > 0
    assert drawing.wrap_text(HOSTILE[what], 0.6, 100)
