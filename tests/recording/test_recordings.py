"""Recordings on disk: listed, and repaired after a crash."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import wait_until
from recordings_kit import (
    FRAMES,
    HEIGHT,
    LINUX,
    WIDTH,
    all_kept,
    begin,
    content,
    crash,
    lines,
    plays,
    put,
    record,
    snapshot,
)

import av

from live_digits import cli
from live_digits.core.errors import RecordingError
from live_digits.recording import video_writer
from live_digits.recording.catalog import RecordingReport, inspect, list_recordings
from live_digits.recording.session import RAW, READINGS, SCRATCH, SESSION, TORN, VIDEO

# --- the list ---


def test_a_whole_recording_is_listed_and_left_as_it_is(copy: Path) -> None:
    before = snapshot(copy)
    (found,) = list_recordings(copy.parent)
    size = sum(map(len, before.values()))
    assert found == RecordingReport(
        copy,
        "whole",
        content(copy)["started"],
        3.0,
        size,
        FRAMES,
        0,
        3,
        (f"{FRAMES - 1}",),
        1,
        True,
    )
    assert snapshot(copy) == before
    assert list(list_recordings(copy)) == [found], "a recording's own folder is that one"


def test_other_folders_and_files_are_no_recordings(copy: Path) -> None:
    (copy.parent / "notes").mkdir()
    (copy.parent / "2026-01-01_picture.png").write_bytes(b"")
    assert [s.path for s in list_recordings(copy.parent)] == [copy]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="away"):
        list(list_recordings(tmp_path / "away"))


def test_the_command_lists_repairs_and_tells_by_its_exit_code(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(copy.parent)
    assert cli.invoke(["recordings", folder]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in (copy.name, "0:03.0", "MB", str(FRAMES), "whole", "74"))
    with (copy / READINGS).open("ab") as file:
        file.write(b'{"source": "te')
    before = snapshot(copy)
    assert cli.invoke(["recordings", folder, "--check"]) == 1
    told = capsys.readouterr()
    assert "torn" in told.out
    assert READINGS in told.err
    assert snapshot(copy) == before, "only looked at"
    assert cli.invoke(["recordings", folder, "--json"]) == 0
    (entry,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (entry["state"], entry["frames"], entry["digits"]) == ("repaired", FRAMES, 3)
    assert (entry["path"], entry["seconds"], entry["raw"]) == (str(copy), 3.0, True)
    assert cli.invoke(["recordings", folder]) == 0
    assert "whole" in capsys.readouterr().out
    (copy / READINGS).unlink()
    assert cli.invoke(["recordings", folder]) == 1
    assert "damaged" in capsys.readouterr().out
    assert cli.invoke(["recordings", str(copy / "away")]) == 2
    assert "away" in capsys.readouterr().err


def test_no_recordings_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["recordings", str(tmp_path)]) == 0
    assert "no recordings" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_what_may_only_be_read_is_listed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (*copy.iterdir(), copy):
        path.chmod(0o500 if path.is_dir() else 0o400)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write all
    try:
        assert (inspect(copy).state, inspect(copy).frames) == ("whole", FRAMES)
    finally:
        copy.chmod(0o700)


# --- repairs ---


@pytest.mark.parametrize("tail", [b'{"source": "te', b"\x00" * 100, b'{"digits": 3}\n', b"\xff\n"])
def test_torn_readings_end_after_their_last_whole_line(copy: Path, tail: bytes) -> None:
    crash(copy)
    with (copy / READINGS).open("ab") as file:
        file.write(tail)
    before = snapshot(copy)
    found = inspect(copy)
    assert found.state == "repaired"
    assert any(READINGS in text for text in found.found)
    assert len(lines(copy)) == found.frames == FRAMES
    all_kept(before, copy)
    assert inspect(copy).state == "whole"


@pytest.mark.parametrize("cut", [1, 8, 100, 5_000, 20_000, 60_000])
def test_torn_films_end_after_their_last_whole_fragment(copy: Path, cut: int) -> None:
    crash(copy, cut)
    before = snapshot(copy)
    found = inspect(copy)
    assert found.state == "repaired"
    for name in (VIDEO, RAW):
        assert plays(copy / name) >= 1
    with av.open(str(copy / VIDEO)) as file:
        assert found.seconds == pytest.approx((file.duration or 0) / av.time_base, abs=0.002)
    if cut < 1000:
        assert found.seconds > 2.6
    all_kept(before, copy)
    assert inspect(copy).state == "whole"


def test_a_film_whose_end_the_disk_never_wrote_is_cut_where_it_decodes(copy: Path) -> None:
    crash(copy)
    data = bytearray((copy / VIDEO).read_bytes())
    ends = video_writer.fragment_ends(copy / VIDEO)
    data[ends[-2] + 400 : ends[-1]] = bytes(ends[-1] - ends[-2] - 400)
    (copy / VIDEO).write_bytes(data)
    before = snapshot(copy)
    found = inspect(copy)
    assert found.state == "repaired"
    assert (copy / VIDEO).stat().st_size == ends[-2]
    assert plays(copy / VIDEO) > FRAMES / 2
    all_kept(before, copy)


@pytest.mark.parametrize("how", ["missing", "empty", "cut off", "no session", "scratch"])
def test_a_session_file_is_made_anew(copy: Path, how: str) -> None:
    known = content(copy)
    crash(copy)
    text = (copy / SESSION).read_bytes()
    (copy / SESSION).unlink()
    if how == "scratch":
        (copy / SCRATCH).write_bytes(text)
    elif how != "missing":
        given = {"empty": b"", "cut off": text[:40] + b": [", "no session": b"- 1\n"}[how]
        (copy / SESSION).write_bytes(given)
    before = snapshot(copy)
    found = inspect(copy)
    assert found.state == "repaired"
    made = content(copy)
    for key in ("frames", "seconds", "width", "height", "digits", "lines"):
        assert made[key] == known[key], key
    assert made["started"][:19] == known["started"][:19]
    assert made["ended"] is not None
    assert made["repaired"]
    (part,) = made["parts"]
    assert (part["video"], part["raw"], part["start"]) == (VIDEO, RAW, 0)
    assert (part["seconds"], part["width"], part["height"]) == (3.0, WIDTH, HEIGHT)
    assert part["frames"] == FRAMES
    assert ("settings" in made or "source" in made) == (how == "scratch")
    if how in ("cut off", "no session"):
        assert (copy / (SESSION + TORN)).read_bytes() == before[SESSION]
    all_kept(before, copy)
    assert inspect(copy).state == "whole"


def test_what_an_unfinished_session_says_is_kept(copy: Path) -> None:
    crash(copy)
    found = inspect(copy)
    assert (found.state, found.frames, found.seconds) == ("repaired", FRAMES, 3.0)
    made = content(copy)
    assert made["source"] == {"name": "test"}
    assert (made["frames"], made["digits"], made["lines"]) == (FRAMES, 3, [f"{FRAMES - 1}"])


def test_a_recording_that_ended_at_once_is_no_damage(tmp_path: Path) -> None:
    path = record(tmp_path, frames=0)
    crash(path)
    assert inspect(path).state == "repaired"
    assert (inspect(path).state, inspect(path).seconds) == ("whole", 0.0)
    (path / VIDEO).write_bytes(b"")
    assert inspect(path).frames == 0


def test_what_no_repair_can_bring_back_is_said(copy: Path) -> None:
    (copy / VIDEO).unlink()
    found = inspect(copy)
    assert found.state == "damaged"
    assert found.found == (f"{VIDEO} is missing",)
    assert inspect(copy).state == "damaged"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_a_repair_that_the_disk_refuses_loses_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(copy, 100)
    before = snapshot(copy)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("live_digits.recording.repair.shutil.copyfileobj", full)
    found = inspect(copy)
    assert found.state == "damaged"
    assert "No space left" in found.found[0]
    assert snapshot(copy) == before
    monkeypatch.undo()
    assert inspect(copy).state == "repaired"


@LINUX
def test_a_recording_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    recorder = begin(tmp_path)
    try:
        for n in range(40):
            put(recorder, n)
        wait_until(lambda: recorder.summary().frames == 40)
        found = inspect(recorder.path)
        assert found.state == "recording"
        assert found.seconds > 0.5
        assert found.frames == 40
        assert content(recorder.path)["ended"] is None
    finally:
        recorder.close()
    assert (inspect(recorder.path).state, inspect(recorder.path).frames) == ("whole", 40)
