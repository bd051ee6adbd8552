"""Recordings on disk: listed, repaired after a crash, and run again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fakes import wait_until

import av

import live_digits
from live_digits import cli, film, session
from live_digits.config import RecordingSettings, SourceSettings
from live_digits.errors import RecordingError, SourceError
from live_digits.media import decode_parts, frame_bgr
from live_digits.recorder import RAW, READINGS, SESSION, VIDEO, Recorder
from live_digits.recordings import Session, look, sessions
from live_digits.session import SCRATCH, TORN, parts
from live_digits.sources import open_source
from live_digits.types import Box, Digit, Image, Reading

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
    loaded = session.load(path / SESSION)
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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "recordings" / whole.name))


# --- the list ---


def test_a_whole_recording_is_listed_and_left_as_it_is(copy: Path) -> None:
    before = snapshot(copy)
    (found,) = sessions(copy.parent)
    size = sum(map(len, before.values()))
    assert found == Session(
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
    assert list(sessions(copy)) == [found], "a recording's own folder is that one"


def test_other_folders_and_files_are_no_recordings(copy: Path) -> None:
    (copy.parent / "notes").mkdir()
    (copy.parent / "2026-01-01_picture.png").write_bytes(b"")
    assert [s.path for s in sessions(copy.parent)] == [copy]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="away"):
        list(sessions(tmp_path / "away"))


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
        assert (look(copy).state, look(copy).frames) == ("whole", FRAMES)
    finally:
        copy.chmod(0o700)


# --- repairs ---


@pytest.mark.parametrize("tail", [b'{"source": "te', b"\x00" * 100, b'{"digits": 3}\n', b"\xff\n"])
def test_torn_readings_end_after_their_last_whole_line(copy: Path, tail: bytes) -> None:
    crash(copy)
    with (copy / READINGS).open("ab") as file:
        file.write(tail)
    before = snapshot(copy)
    found = look(copy)
    assert found.state == "repaired"
    assert any(READINGS in text for text in found.found)
    assert len(lines(copy)) == found.frames == FRAMES
    all_kept(before, copy)
    assert look(copy).state == "whole"


@pytest.mark.parametrize("cut", [1, 8, 100, 5_000, 20_000, 60_000])
def test_torn_films_end_after_their_last_whole_fragment(copy: Path, cut: int) -> None:
    crash(copy, cut)
    before = snapshot(copy)
    found = look(copy)
    assert found.state == "repaired"
    for name in (VIDEO, RAW):
        assert plays(copy / name) >= 1
    with av.open(str(copy / VIDEO)) as file:
        assert found.seconds == pytest.approx((file.duration or 0) / av.time_base, abs=0.002)
    if cut < 1000:
        assert found.seconds > 2.6
    all_kept(before, copy)
    assert look(copy).state == "whole"


def test_a_film_whose_end_the_disk_never_wrote_is_cut_where_it_decodes(copy: Path) -> None:
    crash(copy)
    data = bytearray((copy / VIDEO).read_bytes())
    ends = film.whole_ends(copy / VIDEO)
    data[ends[-2] + 400 : ends[-1]] = bytes(ends[-1] - ends[-2] - 400)
    (copy / VIDEO).write_bytes(data)
    before = snapshot(copy)
    found = look(copy)
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
    found = look(copy)
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
    assert look(copy).state == "whole"


def test_what_an_unfinished_session_says_is_kept(copy: Path) -> None:
    crash(copy)
    found = look(copy)
    assert (found.state, found.frames, found.seconds) == ("repaired", FRAMES, 3.0)
    made = content(copy)
    assert made["source"] == {"name": "test"}
    assert (made["frames"], made["digits"], made["lines"]) == (FRAMES, 3, [f"{FRAMES - 1}"])


def test_a_recording_that_ended_at_once_is_no_damage(tmp_path: Path) -> None:
    path = record(tmp_path, frames=0)
    crash(path)
    assert look(path).state == "repaired"
    assert (look(path).state, look(path).seconds) == ("whole", 0.0)
    (path / VIDEO).write_bytes(b"")
    assert look(path).frames == 0


def test_what_no_repair_can_bring_back_is_said(copy: Path) -> None:
    (copy / VIDEO).unlink()
    found = look(copy)
    assert found.state == "damaged"
    assert found.found == (f"{VIDEO} is missing",)
    assert look(copy).state == "damaged"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_a_repair_that_the_disk_refuses_loses_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(copy, 100)
    before = snapshot(copy)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("live_digits.recordings.shutil.copyfileobj", full)
    found = look(copy)
    assert found.state == "damaged"
    assert "No space left" in found.found[0]
    assert snapshot(copy) == before
    monkeypatch.undo()
    assert look(copy).state == "repaired"


@LINUX
def test_a_recording_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    recorder = begin(tmp_path)
    try:
        for n in range(40):
            put(recorder, n)
        wait_until(lambda: recorder.summary().frames == 40)
        found = look(recorder.path)
        assert found.state == "recording"
        assert found.seconds > 0.5
        assert found.frames == 40
        assert content(recorder.path)["ended"] is None
    finally:
        recorder.close()
    assert (look(recorder.path).state, look(recorder.path).frames) == ("whole", 40)


# --- killed ---


def program(folder: Path, *args: str, size: tuple[int, int] = (320, 240)) -> subprocess.Popen[str]:
    """The real program, recording into `folder`/recordings."""
    root = str(Path(live_digits.__file__).resolve().parents[1])
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "live_digits", "run", "--no-window", "--raw",
               "--width", str(size[0]), "--height", str(size[1]), *args]  # fmt: skip
    return subprocess.Popen(
        command, cwd=folder, env=env | {"PYTHONPATH": root},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def recording_in(folder: Path) -> Path | None:
    found = list((folder / "recordings").glob(f"*/{READINGS}"))
    return found[0].parent if found and found[0].stat().st_size else None


def kill_and_look(folder: Path, after: float, size: tuple[int, int]) -> tuple[float, float]:
    """Kills a run so many seconds after its first reading. Seconds that the film lacks of the last
    reading's time, and of the moment of the kill."""
    folder.mkdir()
    process = program(folder, "--source", "demo", "--duration", "600", size=size)
    try:
        wait_until(lambda: recording_in(folder) is not None, "the first reading")
        time.sleep(after)
        killed = time.monotonic()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
    path = recording_in(folder)
    assert path is not None
    kept = lines(path)
    torn = [frames_of(path / name) for name in (VIDEO, RAW)]
    found = look(path)
    assert found.state == "repaired"
    assert found.frames == len(kept) == len(lines(path))
    assert [plays(path / name) for name in (VIDEO, RAW)] == torn, "as many as before the repair"
    film_end = kept[0]["time"] + found.seconds
    return kept[-1]["time"] - film_end, killed - film_end


def frames_of(video: Path) -> int:
    """Frames that come out of a torn video, as the program itself plays it."""
    try:
        return sum(1 for _ in decode_parts([(video, 0.0)]))
    except SourceError:
        return 0


@LINUX
def test_a_run_killed_at_any_moment_loses_less_than_a_second(tmp_path: Path) -> None:
    for turn, after in enumerate((0.05, 1.27, 2.6)):
        lost, _ = kill_and_look(tmp_path / str(turn), after, (320, 240))
        assert lost < 1


@LINUX
@pytest.mark.soak
def test_many_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(5)
    every = []
    for turn in range(30):
        after = chance.uniform(0.0, 4.0)
        every.append(kill_and_look(tmp_path / str(turn), after, (640, 360)))
        assert every[-1][0] < 1
    of_reading, of_kill = (max(column) for column in zip(*every, strict=True))
    print(f"{len(every)} kills: film ends at most {of_reading:.2f} s before the last reading, "
          f"{of_kill:.2f} s before the kill")  # fmt: skip


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A journalling file system in a file that can be copied as a power cut would leave it: the
    file and where it is mounted."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(48_000_000)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", image, folder]):
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("needs mkfs.ext4")
        if done.returncode:
            pytest.skip(f"not allowed here: {done.stderr.strip()}")
    try:
        yield image, folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@LINUX
@pytest.mark.soak
def test_power_cuts_at_random_moments(tmp_path: Path, loop: tuple[Path, Path]) -> None:
    image, folder = loop
    process = program(folder, "--source", "demo", "--duration", "600", "--fps", "15",
                      "--set", "recording.min_free_mb=0")  # fmt: skip
    chance = random.Random(9)
    cuts: list[tuple[float, Path]] = []
    try:
        wait_until(lambda: recording_in(folder) is not None, "the first reading")
        for turn in range(12):
            time.sleep(chance.uniform(0.5, 2.0))
            copied = tmp_path / f"cut{turn}.img"
            when = time.monotonic()
            copied.write_bytes(image.read_bytes())
            cuts.append((when, copied))
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
    told = []
    for when, copied in cuts:
        after = tmp_path / copied.stem
        after.mkdir()
        subprocess.run(["mount", "-o", "loop", str(copied), str(after)], check=True)
        try:
            path = recording_in(after)
            assert path is not None, "the folder itself was kept"
            found = look(path)
            assert found.state == "repaired", found.found
            kept = lines(path)
            told.append(when - kept[0]["time"] - found.seconds)
            assert plays(path / VIDEO) > 0
        finally:
            subprocess.run(["umount", "-l", str(after)], check=True)
    print("seconds before each cut at which the film ends:", [f"{s:.2f}" for s in told])
    assert max(told) < 1.5, "a second, and what a frame takes to the recorder on a busy machine"


# --- run again ---


def frames_from(path: Path) -> list[tuple[float, Image]]:
    source = open_source(str(path), SourceSettings(), every_frame=True)
    got = []
    try:
        while not source.finished:
            frame = source.read(1.0)
            if frame is not None:
                got.append((frame.time, frame.image))
    finally:
        source.close()
    assert source.error is None
    return got


def test_a_session_is_a_source_of_the_cameras_own_frames(whole: Path) -> None:
    got = frames_from(whole)
    assert len(got) == FRAMES
    for n, (when, image) in enumerate(got):
        assert when == pytest.approx(n / RATE, abs=1e-4)
        np.testing.assert_array_equal(image, picture(n))


def test_parts_are_replayed_in_order_at_their_own_times(tmp_path: Path) -> None:
    recorder = begin(tmp_path)
    sizes = [(WIDTH, HEIGHT), (64, 48), (WIDTH, HEIGHT)]
    for n in range(30):
        put(recorder, n + 100 * (n // 10), *sizes[n // 10])
    recorder.close()
    assert len(content(recorder.path)["parts"]) == 3
    got = frames_from(recorder.path)
    assert [image.shape[:2] for _, image in got] == [sizes[n // 10][::-1] for n in range(30)]
    for n, (when, image) in enumerate(got):
        assert when == pytest.approx((n + 100 * (n // 10)) / RATE, abs=1e-3)
        np.testing.assert_array_equal(image, picture(n + 100 * (n // 10), *sizes[n // 10]))


def test_without_its_own_frames_the_annotated_ones_are_replayed_and_it_is_said(copy: Path) -> None:
    source = open_source(str(copy), SourceSettings(), every_frame=True)
    assert source.note == ""
    source.close()
    (copy / RAW).unlink()
    source = open_source(str(copy), SourceSettings(), every_frame=True)
    assert "--raw" in source.note
    source.close()
    assert len(frames_from(copy)) == FRAMES


def test_a_session_without_a_film_is_an_error(copy: Path) -> None:
    (copy / RAW).unlink()
    (copy / VIDEO).unlink()
    with pytest.raises(SourceError, match="holds no video"):
        open_source(str(copy), SourceSettings())


def test_a_later_part_without_a_frame_is_left_out(copy: Path) -> None:
    empty = copy / "raw_2.mp4"
    empty.write_bytes((copy / RAW).read_bytes()[: film.whole_ends(copy / RAW)[1]])
    assert len(frames_from(copy)) == FRAMES


def test_a_run_again_reads_the_same(tmp_path: Path) -> None:
    """The real program: a run of the demo, and twice again from what it recorded."""

    def run(*args: str) -> tuple[list[dict[str, Any]], str]:
        process = program(tmp_path, "--every-frame", "--json", *args, size=(640, 360))
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()], err

    first, _ = run("--source", "demo", "--duration", "4")
    (path,) = (tmp_path / "recordings").iterdir()
    again, _ = run("--source", str(path))
    other, _ = run("--source", str(path), "--set", "reading.confidence=0.9995")
    assert len(lines(path)) == len(first) == len(again) > 10
    for key in ("digits", "lines", "width", "height"):
        assert [e[key] for e in again] == [e[key] for e in first], key
    assert max(len(e["digits"]) for e in again) >= 12
    assert sum(len(e["digits"]) for e in other) < sum(len(e["digits"]) for e in again)
    begun = first[0]["time"], again[0]["time"]
    for a, b in zip(first, again, strict=True):
        assert a["time"] - begun[0] == pytest.approx(b["time"] - begun[1], abs=2e-4)


def test_decoded_parts_are_pictures(whole: Path) -> None:
    frames = list(decode_parts([(whole / RAW, 0.0), (whole / RAW, None), (whole / RAW, 10.0)]))
    assert len(frames) == 3 * FRAMES
    times = [when for when, _ in frames]
    assert times == sorted(times)
    assert times[2 * FRAMES] == 10.0
    np.testing.assert_array_equal(frame_bgr(frames[FRAMES][1]), picture(0))
