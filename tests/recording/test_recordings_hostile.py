"""Recordings that somebody else made: links, pipes, holes, bombs and wrong types in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import recordings_kit
import yaml
from fakes import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from program_kit import environment
from recordings_kit import FRAMES, begin, content, crash, plays, put, record, snapshot

from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError
from live_digits.recording import catalog, session
from live_digits.recording.catalog import inspect, list_recordings
from live_digits.recording.session import RAW, READINGS, SCRATCH, SESSION, TORN, VIDEO
from live_digits.recording.video_writer import Mp4Writer

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs links, pipes and holes")
PATIENCE = 120.0
"""Seconds after which a command hangs."""
MOST_MB = 700.0
"""Peak memory that any list of recordings may take, MB; one of a single recording takes 250."""
PRECIOUS = b"what nobody may touch\n" * 200
_RUN = (
    "import sys\n"
    "from live_digits import cli\n"
    "from live_digits.app import statistics as stats\n"
    "code = cli.invoke(sys.argv[1:])\n"
    "print(f'peak {stats.peak_memory_mb():.0f}', file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def run(*args: str | Path) -> tuple[int, str, list[str], float]:
    """A command in a process of its own: exit code, output, lines on stderr, peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *map(str, args)],
        env=environment("DISPLAY", "WAYLAND_DISPLAY"), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE,
    )  # fmt: skip
    *told, last = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, told, float(last.removeprefix("peak "))


# --- links ---


@POSIX
@pytest.mark.parametrize("name", [VIDEO, RAW, READINGS, SESSION, SCRATCH, "annotated_2.mp4"])
@pytest.mark.parametrize("how", ["link", "dangling"])
@pytest.mark.parametrize("killed", [True, False])
def test_a_link_in_a_recording_is_named_and_left_alone(
    copy: Path, tmp_path: Path, name: str, how: str, killed: bool
) -> None:
    if killed:
        crash(copy, 100)
    precious = tmp_path / "precious"
    if how == "link":
        precious.write_bytes(PRECIOUS)
    (copy / name).unlink(missing_ok=True)
    (copy / name).symlink_to(precious)
    before = {p.name: p.read_bytes() for p in copy.iterdir() if not p.is_symlink()}
    found = inspect(copy)
    assert found.state == "damaged"
    assert any(f"left alone: {name} is a link" in text for text in found.found), found
    assert (copy / name).is_symlink()
    assert not precious.exists() if how == "dangling" else precious.read_bytes() == PRECIOUS
    assert {p.name: p.read_bytes() for p in copy.iterdir() if not p.is_symlink()} == before
    with pytest.raises(SourceError, match=f"{name} is a link"):
        open_source(str(copy), SourceSettings())


@POSIX
def test_every_name_a_link_at_once_by_the_command(copy: Path, tmp_path: Path) -> None:
    good = Path(shutil.copytree(copy, copy.with_name("good")))
    for name in (VIDEO, RAW, READINGS, SESSION, VIDEO + TORN, READINGS + TORN):
        (tmp_path / name).write_bytes(PRECIOUS)
        (copy / name).unlink(missing_ok=True)
        (copy / name).symlink_to(tmp_path / name)
    code, out, told, _ = run("recordings", copy.parent)
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[2:]] == [copy.name, good.name]
    assert len(told) == 1
    assert all((tmp_path / n).read_bytes() == PRECIOUS for n in (VIDEO, RAW, READINGS, SESSION))
    assert all((tmp_path / n).read_bytes() == PRECIOUS for n in (VIDEO + TORN, READINGS + TORN))


@POSIX
def test_torn_ends_go_into_no_file_that_is_linked_to(copy: Path, tmp_path: Path) -> None:
    crash(copy, 100)
    for name in (VIDEO, RAW):
        (copy / (name + TORN)).symlink_to(tmp_path / "away")
    assert inspect(copy).state == "repaired"
    assert not (tmp_path / "away").exists()
    assert (copy / f"{VIDEO}{TORN}2").is_file()


@POSIX
def test_a_second_name_elsewhere_is_not_cut(copy: Path, tmp_path: Path) -> None:
    crash(copy, 100)
    precious = tmp_path / "precious.mp4"
    os.link(copy / VIDEO, precious)
    before, all_before = precious.read_bytes(), snapshot(copy)
    found = inspect(copy)
    assert found.state == "damaged"
    assert any("hard link" in text for text in found.found)
    assert precious.read_bytes() == before
    assert snapshot(copy) == all_before
    precious.unlink()
    assert inspect(copy).state == "repaired"


@POSIX
def test_the_named_folder_may_be_a_link_and_what_lies_in_it_may_not(
    copy: Path, tmp_path: Path
) -> None:
    crash(copy, 100)
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "theirs").mkdir()
    shutil.move(copy, elsewhere)
    (tmp_path / "theirs" / "session").symlink_to(elsewhere)
    before = snapshot(elsewhere)
    (found,) = list_recordings(tmp_path / "theirs")
    assert (found.state, "link" in found.found[0]) == ("damaged", True)
    assert snapshot(elsewhere) == before
    (found,) = list_recordings(tmp_path / "theirs" / "session")
    assert found.state == "repaired", "the user has named it"


@POSIX
def test_a_recording_writes_into_no_file_that_lies_there(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(PRECIOUS)
    path = tmp_path / "a.mp4"
    path.symlink_to(precious)
    with pytest.raises(FileExistsError):
        Mp4Writer(path, (64, 48), 25)
    path.unlink()
    path.symlink_to(tmp_path / "away")
    with pytest.raises(FileExistsError):
        Mp4Writer(path, (64, 48), 25)
    assert precious.read_bytes() == PRECIOUS
    assert not (tmp_path / "away").exists()


# --- what is no session ---


def aliases() -> str:
    """Nine levels of nine aliases each: a billion when told out."""
    rows = ["started: now", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(rows)


BAD_SESSIONS: dict[str, str] = {
    "aliases": aliases(),
    "anchor": "started: &a now\nframes: *a",
    "tag": "started: !!python/object/apply:os.system ['touch gotcha']",
    "deep": "started: " + "[" * 40_000,
    "digits": "started: now\nframes: " + "1" * 5_000,
    "hex": "started: now\nx: 0x" + "f" * 100_000,
    "parts of text": "started: now\nended: now\nparts: [annotated.mp4]",
    "unhashable": "started: now\nended: now\nparts: [{video: [1], start: 1}]",
    "unhashable key": "started: now\n? [a]\n: 1",
    "frames": "started: now\nended: now\nframes: many",
    "400 digits": "started: now\nended: now\nframes: " + "9" * 400,
    "infinite": "started: now\nended: now\nseconds: .inf",
    "lines": "started: now\nended: now\nlines: 7",
    "list": "- 1",
    "moment": "started: [1]\nended: now",
    "no date": "started: 2001-99-99",
    "latin": "started: \xff",
}


def make_odd(path: Path, how: str) -> None:
    path.unlink(missing_ok=True)
    if how == "pipe":
        os.mkfifo(path)
    elif how == "device":
        path.symlink_to("/dev/zero")
    elif how == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**40)  # a hole: it takes no disk


@POSIX
def test_no_bad_session_keeps_the_others_from_the_list(whole: Path, tmp_path: Path) -> None:
    """A pipe hangs, a hole or a bomb fills the memory, a wrong type breaks a list that trusts."""
    folder = tmp_path / "recordings"
    made = {}
    for n, (what, text) in enumerate(BAD_SESSIONS.items()):
        made[what] = Path(shutil.copytree(whole, folder / f"b{n:02} {what}"))
        (made[what] / SESSION).write_bytes(text.encode("latin-1"))
    for name in (SESSION, READINGS, VIDEO):
        for how in ("pipe", "device", "folder", "hole"):
            if (name, how) == (READINGS, "hole"):
                continue  # below, of a session that was not closed
            what = f"{how} as {name}"
            made[what] = Path(shutil.copytree(whole, folder / f"c {what}"))
            make_odd(made[what] / name, how)
    what = "hole of readings"
    made[what] = Path(shutil.copytree(whole, folder / f"d {what}"))
    crash(made[what])
    make_odd(made[what] / READINGS, "hole")
    for name in ("a good", "z good"):
        shutil.copytree(whole, folder / name)
    for check in (True, False):
        code, out, told, peak = run("recordings", folder, "--json", *["--check"][:check])
        entries = {Path(e["path"]).name: e for e in map(json.loads, out.splitlines())}
        assert len(entries) == len(made) + 2
        assert code == 1
        assert peak < MOST_MB
        assert len(told) == len(made), "a line each"
        for name in ("a good", "z good"):
            assert (entries[name]["state"], entries[name]["frames"]) == ("whole", FRAMES)
        for what, path in made.items():
            state = entries[path.name]["state"]
            odd = any(kind in what for kind in ("pipe", "device", "folder"))
            lost = what in ("hole of readings", f"hole as {VIDEO}")
            expected = "damaged" if odd or lost else "torn" if check else "repaired"
            assert state == expected, (what, entries[path.name])
            assert entries[path.name]["found"], what
    assert not Path("gotcha").exists()
    kept = made["frames"] / (SESSION + TORN)
    assert kept.read_text() == BAD_SESSIONS["frames"], "nothing is thrown away"


@POSIX
@pytest.mark.parametrize("what", [*BAD_SESSIONS, "pipe", "hole", "folder"])
def test_a_bad_session_is_one_line_as_a_source(copy: Path, what: str) -> None:
    if what in BAD_SESSIONS:
        (copy / SESSION).write_bytes(BAD_SESSIONS[what].encode("latin-1"))
    else:
        make_odd(copy / SESSION, what)
    begun = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_source(str(copy), SourceSettings())
    assert SESSION in str(caught.value)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 60


@POSIX
@pytest.mark.parametrize("name", [SESSION, READINGS, RAW])
def test_a_pipe_in_a_source_ends_the_command_with_one_line(copy: Path, name: str) -> None:
    make_odd(copy / name, "pipe")
    code, _, told, _ = run("--no-window", "--duration", "1", "--source", copy)
    assert code == 2
    assert len(told) == 1
    assert f"{name} is a pipe" in told[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    | st.integers(min_value=10**400, max_value=10**401),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip
PART = st.dictionaries(
    st.sampled_from(["video", "raw", "start", "seconds", "frames", "width"]), VALUES, max_size=4
)
CONTENT = st.dictionaries(
    st.sampled_from(
        ["ended", "frames", "dropped", "seconds", "digits", "lines", "repaired", "settings"]
    ),
    VALUES,
    max_size=5,
)


@POSIX
@settings(deadline=None, max_examples=60)
@given(CONTENT, st.none() | VALUES | st.lists(PART | VALUES, max_size=3))
def test_whatever_a_session_says_it_is_listed_repaired_and_replayed(
    whole: Path, told: dict[str, Any], parts: Any
) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(shutil.copytree(whole, Path(name) / whole.name))
        (path / RAW).unlink()
        said = {"started": "2026-01-01"} | told | ({"parts": parts} if parts is not None else {})
        text = yaml.safe_dump(said, sort_keys=False)
        (path / SESSION).write_text(text, encoding="utf-8")
        try:
            open_source(str(path), SourceSettings(), every_frame=True).close()
        except SourceError as e:
            assert SESSION in str(e)  # noqa: PT017 (most of them are fine)
        found = inspect(path)
        assert found.state in ("whole", "repaired"), found
        json.loads(json.dumps(found.as_json(), allow_nan=False))
        assert inspect(path).state == "whole"
        assert plays(path / VIDEO) == FRAMES


@POSIX
def test_a_folder_that_lets_nobody_look_spoils_no_list(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.lstat

    def refuse(path: Any) -> os.stat_result:  # root may look anywhere
        if Path(path).parent.name in ("lost+found", "2026-01-01_10-00-00"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path)

    for name in ("lost+found", "2026-01-01_10-00-00"):
        (copy.parent / name).mkdir()
    monkeypatch.setattr("live_digits.recording.session.os.lstat", refuse)
    one, other = list_recordings(copy.parent)
    assert (one.path.name, one.state) == ("2026-01-01_10-00-00", "damaged")
    assert "Permission denied" in one.found[0]
    assert other.state == "whole"


# --- readings ---


def line(**changes: Any) -> bytes:
    return (json.dumps({"digits": [], "time": 1.0, "lines": []} | changes) + "\n").encode()


@pytest.mark.parametrize(
    "bad",
    [
        line(time=None), line(lines="74"), line(lines={"7": 1}), line(lines=[7]), line(digits=7),
        b'{"digits": [], "lines": [], "time": ' + b"1" * 5_000 + b"}\n",
        b"[" * 100_000 + b"\n", b"[]\n", b"7\n", b"null\n", b"\xff\n",
        line(source="x" * catalog.MOST_LINE),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_line_of_a_wrong_type_ends_the_readings(copy: Path, bad: bytes) -> None:
    crash(copy)
    with (copy / READINGS).open("ab") as file:
        file.write(bad + line())
    found = inspect(copy)
    assert (found.state, found.frames) == ("repaired", FRAMES)
    assert (copy / (READINGS + TORN)).read_bytes() == bad + line()


@pytest.mark.parametrize("time", ["NaN", "Infinity", "1" + "0" * 400, "1e999", "true"])
def test_a_time_that_is_none_is_no_figure(copy: Path, time: str) -> None:
    crash(copy)
    with (copy / READINGS).open("ab") as file:
        file.write(f'{{"digits": [], "lines": [], "time": {time}}}\n'.encode())
    found = inspect(copy)
    assert (found.state, found.frames) == ("repaired", FRAMES + 1)
    json.dumps(content(copy), allow_nan=False)


@pytest.mark.parametrize("when", [-1e18, 1e12, 1e300])
def test_a_file_of_an_impossible_time_is_repaired(
    copy: Path, monkeypatch: pytest.MonkeyPatch, when: float
) -> None:
    crash(copy)
    monkeypatch.setattr(catalog, "last_change", lambda folder: when)  # not every disk keeps such
    assert inspect(copy).state == "repaired"
    assert content(copy)["ended"].startswith("1970-01-01")


def test_a_video_of_endless_boxes_costs_no_gigabytes(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = (8).to_bytes(4, "big") + b"free"
    with (copy / VIDEO).open("ab") as file:
        file.write(box * 200_000)
    assert inspect(copy).state == "whole"
    monkeypatch.setattr("live_digits.recording.video_writer.MOST_BOXES", 100_000)
    assert inspect(copy, repair=False).state == "torn", "what follows the bound is not looked at"


# --- killed as it begins, and parts that cannot begin ---


@POSIX
@pytest.mark.parametrize("at", ["readings", "session"])
def test_a_recording_killed_as_it_begins_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    code = (
        "import os, sys\n"
        "from recordings_kit import begin\n"
        "from live_digits.recording import recorder\n"
        "def gone(*_):\n"
        "    os._exit(9)\n"
        f"recorder.{'JsonLinesFile' if at == 'readings' else 'save_session'} = gone\n"
        "from pathlib import Path\n"
        "begin(Path(sys.argv[1]))\n"
    )
    env = environment(PYTHONPATH=os.pathsep.join(
        (str(Path(catalog.__file__).parents[2]), str(Path(recordings_kit.__file__).parent))
    ))  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=env, timeout=PATIENCE)
    assert done.returncode == 9
    (path,) = tmp_path.iterdir()
    assert (path / VIDEO).is_file()
    assert (path / READINGS).exists() == (at == "session")
    before = snapshot(path)
    monkeypatch.setattr(session, "FRESH", -1.0)
    found = inspect(path)
    assert found.state == "repaired", found
    assert all((path / name).read_bytes() == data for name, data in before.items())
    assert (path / READINGS).read_bytes() == b""
    assert (inspect(path).state, inspect(path).frames) == ("whole", 0)


def test_a_film_whose_readings_are_gone_is_said_once_and_mended(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(copy)
    (copy / READINGS).unlink()
    monkeypatch.setattr(session, "FRESH", -1.0)
    found = inspect(copy)
    assert found.state == "damaged"
    assert any("nothing is known of 3.0 s" in text for text in found.found)
    assert any("nothing is known" in text for text in content(copy)["repaired"])
    assert (inspect(copy).state, inspect(copy).seconds) == ("whole", 3.0)


def in_the_way(folder: Path, name: str) -> None:
    (folder / name).mkdir()


@pytest.mark.parametrize("name", ["annotated_2.mp4", "raw_2.mp4"])
@pytest.mark.parametrize("block", [in_the_way, lambda f, n: (f / n).write_bytes(PRECIOUS)])
def test_a_part_that_cannot_begin_counts_nothing_twice(
    tmp_path: Path, name: str, block: Callable[[Path, str], Any]
) -> None:
    recorder = begin(tmp_path)
    for n in range(FRAMES):
        put(recorder, n)
    wait_until(lambda: recorder.summary().frames == FRAMES)
    block(recorder.path, name)
    put(recorder, FRAMES, 64, 48)
    wait_until(lambda: recorder.error is not None)
    summary = recorder.close()
    assert summary.seconds == pytest.approx(3.0, abs=0.01)
    assert (summary.frames, summary.dropped) == (FRAMES, 1)
    assert content(recorder.path)["seconds"] == pytest.approx(3.0, abs=0.01)
    assert len(content(recorder.path)["parts"]) == 1
    assert plays(recorder.path / VIDEO) == FRAMES
    other = {"annotated_2.mp4": "raw_2.mp4", "raw_2.mp4": "annotated_2.mp4"}[name]
    assert not (recorder.path / other).exists(), "half a part is none"
    blocked = recorder.path / name
    assert blocked.is_dir() or blocked.read_bytes() == PRECIOUS


def test_a_closed_recording_is_plain_data(tmp_path: Path) -> None:
    """What the recorder writes passes the check that others' sessions have to."""
    path = record(tmp_path, frames=3)
    assert session.read_session(path / SESSION)["frames"] == 3
