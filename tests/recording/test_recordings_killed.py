"""Runs that are killed while they record, and disks that lose their power."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import wait_until
from recordings_kit import (
    LINUX,
    PATIENCE,
    lines,
    plays,
    recording_run,
)

from live_digits.capture.video_decoding import decode_parts
from live_digits.core.errors import SourceError
from live_digits.recording.catalog import inspect
from live_digits.recording.session import RAW, READINGS, VIDEO


def recording_in(folder: Path) -> Path | None:
    found = list((folder / "recordings").glob(f"*/{READINGS}"))
    return found[0].parent if found and found[0].stat().st_size else None


def kill_and_look(folder: Path, after: float, size: tuple[int, int]) -> tuple[float, float]:
    """Kills a run so many seconds after its first reading. Seconds that the film lacks of the last
    reading's time, and of the moment of the kill."""
    folder.mkdir()
    process = recording_run(folder, "--source", "demo", "--duration", "600", size=size)
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
    found = inspect(path)
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
    process = recording_run(folder, "--source", "demo", "--duration", "600", "--fps", "15",
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
            found = inspect(path)
            assert found.state == "repaired", found.found
            kept = lines(path)
            told.append(when - kept[0]["time"] - found.seconds)
            assert plays(path / VIDEO) > 0
        finally:
            subprocess.run(["umount", "-l", str(after)], check=True)
    print("seconds before each cut at which the film ends:", [f"{s:.2f}" for s in told])
    assert max(told) < 1.5, "a second, and what a frame takes to the recorder on a busy machine"
