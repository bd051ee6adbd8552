"""What disks, muxers and signals do to a recording: one message, and what it has plays."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recorder_kit
from fakes import held_disk
from recorder_kit import (
    HEIGHT,
    PATIENCE,
    WIDTH,
    decoded,
    lines,
    noise,
    opened,
    picture,
    put,
    reading,
    session,
    settings,
    wait_for_error,
)

from live_digits.core.errors import RecordingError
from live_digits.core.types import Image, Reading
from live_digits.recording import recorder
from live_digits.recording.durable_files import JsonLinesFile
from live_digits.recording.recorder import Recorder
from live_digits.recording.session import RAW
from live_digits.recording.video_writer import Mp4Writer


def test_write_never_waits_and_drops_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Mp4Writer.add

    def slow(self: Mp4Writer, image: Image, seconds: float) -> None:
        time.sleep(0.1)
        encode(self, image, seconds)

    monkeypatch.setattr(Mp4Writer, "add", slow)
    film = opened(tmp_path)
    slowest, taken = 0.0, 0
    for number in range(60):
        line, image = reading(number, number / 60), picture(number)
        begun = time.perf_counter()
        taken += film.write(image, line, number / 60)
        slowest = max(slowest, time.perf_counter() - begun)
        time.sleep(0.005)
    summary = film.close()
    assert slowest < 0.05
    assert recorder.QUEUE <= taken < 60
    assert (summary.frames, summary.dropped) == (taken, 60 - taken)
    assert len(lines(film.path)) == len(decoded(film.path)[0]) == taken
    assert session(film.path)["dropped"] == 60 - taken


def test_an_error_of_the_muxer_stops_and_leaves_a_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Mp4Writer.add
    left = iter(range(40))

    def failing(self: Mp4Writer, image: Image, seconds: float) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        encode(self, image, seconds)

    film = opened(tmp_path)
    monkeypatch.setattr(Mp4Writer, "add", failing)
    for number in range(40):
        put(film, picture(number), number, number / 30)
    put(film, picture(40), 40, 40 / 30)  # a full queue would refuse it
    error = wait_for_error(film)
    assert "No space left on device" in str(error)
    assert str(film.path) in str(error)
    before = film.summary().dropped
    assert not film.write(picture(41), reading(41, 41 / 30), 41 / 30)
    summary = film.close()
    assert (summary.frames, summary.dropped) == (40, before + 1)
    assert len(decoded(film.path)[0]) == len(lines(film.path)) == 40
    assert "No space left" in session(film.path)["error"]


def test_a_reading_that_cannot_be_written_does_not_die_silently(tmp_path: Path) -> None:
    film = opened(tmp_path)
    put(film, picture(0), 0, 0.0)
    bad = Reading(object(), 1, 1.0, WIDTH, HEIGHT)  # type: ignore[arg-type]
    assert film.write(picture(1), bad, 1.0)
    assert "JSON" in str(wait_for_error(film))
    summary = film.close()
    assert (summary.frames, summary.dropped) == (1, 1)
    assert len(decoded(film.path)[0]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove an open file")
def test_a_removed_folder_stops_the_recording(tmp_path: Path) -> None:
    film = opened(tmp_path)
    put(film, picture(0), 0, 0.0)
    shutil.rmtree(film.path)
    assert "removed" in str(wait_for_error(film))
    film.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_stops_the_recording_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = Recorder(settings(tmp_path, 1), WIDTH, HEIGHT, 30, {})
    for number in range(20):
        put(film, picture(number), number, number / 30)
    monkeypatch.setattr(recorder, "free_mb", lambda path: 0)
    assert "min_free_mb" in str(wait_for_error(film))
    assert film.close().frames == 20
    assert len(decoded(film.path)[0]) == len(lines(film.path)) == 20


def test_a_disk_that_does_not_answer_costs_frames_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_disk(monkeypatch)
    film = opened(tmp_path)
    kept = [offer(film, n) for n in range(300)]
    alive = sum(r() is not None for r in kept)
    assert film.summary().dropped >= 300 - recorder.QUEUE - 1
    assert alive <= recorder.QUEUE + 1, "no more pictures stay in memory than the queue has room"
    begun = time.monotonic()
    film.stop()
    assert time.monotonic() - begun < 5
    assert not film.finished
    assert not film.write(picture(0), reading(0, 99.0), 99.0)
    gate.set()
    summary = film.close()
    assert film.finished
    assert film.error is None
    assert summary.frames == len(lines(film.path)) == len(decoded(film.path)[0])
    assert summary.frames + summary.dropped == 300


def offer(film: Recorder, n: int) -> weakref.ref[Image]:
    """Writes a picture and keeps no hold of it; tells whether someone else does."""
    image = picture(n)
    film.write(image, reading(n, n / 30), n / 30)
    return weakref.ref(image)


def test_large_pictures_fill_the_queue_sooner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = threading.Event(), threading.Event()

    def stuck(self: Mp4Writer, image: Image, seconds: float) -> None:
        begun.set()
        assert gate.wait(PATIENCE)

    monkeypatch.setattr(Mp4Writer, "add", stuck)
    monkeypatch.setattr(recorder, "QUEUE_BYTES", 3 * WIDTH * HEIGHT * 3)
    film = opened(tmp_path)
    assert film.write(picture(0), reading(0, 0.0), 0.0)
    assert begun.wait(PATIENCE)
    taken = sum(film.write(picture(n), reading(n, n), n) for n in range(1, 12))
    gate.set()
    film.close()
    assert taken == 2, "with the one being written they are three"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("where", ["film", "lines", "sync"])
def test_whatever_the_disk_refuses_stops_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, where: str
) -> None:
    film = opened(tmp_path)
    for n in range(10):
        put(film, picture(n), n, n / 30)
    end = time.monotonic() + PATIENCE
    while film.summary().frames < 10:
        assert time.monotonic() < end
        time.sleep(0.002)

    def refuse(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    target = {"film": (Mp4Writer, "add"), "lines": (JsonLinesFile, "add"),
              "sync": (recorder, "sync_path")}[where]  # fmt: skip
    monkeypatch.setattr(*target, refuse)
    film.write(picture(10), reading(10, 1.0), 1.0)
    error = wait_for_error(film)
    film.stop()
    monkeypatch.undo()
    film.close()
    assert film.error is error
    assert os.strerror(code) in str(error)
    assert str(film.path) in str(error)
    assert "\n" not in str(error)
    assert len(lines(film.path)) >= 10
    assert len(decoded(film.path)[0]) >= 10
    assert session(film.path)["error"] == str(error)


@pytest.mark.parametrize("raw", ["off", "lossless"])
def test_a_real_disk_that_runs_full_leaves_a_recording_that_plays(disk: Path, raw: str) -> None:
    film = Recorder(settings(disk, raw=raw), WIDTH, HEIGHT, 30, {})
    n = 0
    while film.error is None:
        assert n < 20_000
        film.write(noise(n), reading(n, n / 30), n / 30, noise(n))
        n += 1
        time.sleep(0.001)
    film.close()
    assert "No space left" in str(film.error)
    kept = lines(film.path)
    times = decoded(film.path)[0]
    assert len(times) > 20
    assert kept[-1]["time"] - kept[0]["time"] - times[-1] < 1
    if raw == "lossless":
        assert len(decoded(film.path, RAW)[0]) > 20


def test_a_real_disk_is_left_its_free_space(disk: Path) -> None:
    with pytest.raises(RecordingError, match="min_free_mb"):
        Recorder(settings(disk, 10), WIDTH, HEIGHT, 30, {})
    film = Recorder(settings(disk, 2), WIDTH, HEIGHT, 30, {})
    (disk / "filler").write_bytes(bytes(2_500_000))
    put(film, picture(0), 0, 0.0)
    assert "recording.min_free_mb keeps 2" in str(wait_for_error(film))
    film.close()
    assert len(decoded(film.path)[0]) == len(lines(film.path)) == 1
    assert session(film.path)["ended"] is not None


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_a_folder_without_permission_is_named() -> None:
    code = """
        import os, sys, tempfile
        from pathlib import Path
        from recorder_kit import opened
        from live_digits.core.errors import RecordingError
        folder = Path(sys.argv[1])
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            opened(folder / "recordings")
        except RecordingError as e:
            print(e)
        """
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o555)
        process = run(code, name)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Permission denied" in out
    assert "recording.folder" in out
    assert out.count("\n") == 1


def test_two_programs_that_record_at_once_share_no_name(tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from recorder_kit import opened, picture, put
        print("ready", flush=True)
        sys.stdin.readline()
        for turn in range(4):
            film = opened(Path(sys.argv[1]))
            for n in range(5):
                put(film, picture(n), n, n / 30)
            print(film.close().path, flush=True)
        """
    processes = [run(code, str(tmp_path)) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=PATIENCE)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
    paths = [Path(p) for out in told for p in out]
    assert len(set(paths)) == 8
    assert set(paths) == set(tmp_path.iterdir())
    assert len({p.name[:19] for p in paths}) < 8, "some began in the same second"
    for path in paths:
        assert len(lines(path)) == len(decoded(path)[0]) == session(path)["frames"] == 5


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process with this checkout on its path."""
    root = Path(recorder.__file__).resolve().parents[2]
    paths = [str(root), str(Path(recorder_kit.__file__).parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_write_that_fails_in_the_middle_of_a_fragment_leaves_a_film(tmp_path: Path) -> None:
    code = """
        import resource, sys
        from pathlib import Path
        from recorder_kit import noise, opened, reading, wait_for_error
        import time
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        film = opened(Path(sys.argv[1]))
        for n in range(2000):
            film.write(noise(n), reading(n, n / 30), n / 30)
            time.sleep(0.002)
            if film.error:
                break
        print(wait_for_error(film))
        film.close()
        """
    process = run(code, str(tmp_path))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "File too large" in out
    (path,) = tmp_path.iterdir()
    times = decoded(path)[0]
    kept = lines(path)
    assert len(times) >= 15
    assert len(times) < len(kept)
    assert kept[-1]["time"] - kept[0]["time"] - times[-1] < 1


def test_a_killed_process_loses_a_second_at_most(tmp_path: Path) -> None:
    code = """
        import sys, time
        from pathlib import Path
        from recorder_kit import opened, picture, reading
        film = opened(Path(sys.argv[1]))
        start = time.monotonic()
        for n in range(10_000):
            now = time.monotonic() - start
            film.write(picture(n), reading(n, now), now)
            if n == 0:
                print("begun", flush=True)
            time.sleep(1 / 30)
        """
    process = run(code, str(tmp_path))
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(2.5)
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
    (path,) = tmp_path.iterdir()
    times, _, duration, _ = decoded(path)
    kept = lines(path)
    assert len(times) <= len(kept) > 30
    span = kept[-1]["time"] - kept[0]["time"]
    assert span > 2
    print(f"killed after {span:.2f} s, {duration:.2f} s play")
    assert duration > span - 1
    found = [line["time"] - kept[0]["time"] for line in kept[: len(times)]]
    np.testing.assert_allclose(times, found, atol=0.002)
    assert session(path)["ended"] is None


def test_a_recording_that_nobody_closes_is_finished_at_exit(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from recorder_kit import opened, picture, put
        film = opened(Path(sys.argv[1]))
        for n in range(20):
            put(film, picture(n), n, n / 30)
        raise SystemExit(3)
        """
    process = run(code, str(tmp_path))
    process.communicate(timeout=60)
    assert process.returncode == 3
    (path,) = tmp_path.iterdir()
    assert len(decoded(path)[0]) == 20
    assert session(path)["ended"] is not None
