"""The recorder: real files, decoded again."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import weakref
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from fakes import held_disk

import av

from live_digits import film as film_room
from live_digits import recorder
from live_digits.config import RecordingSettings
from live_digits.errors import RecordingError
from live_digits.recorder import Recorder
from live_digits.session import parts
from live_digits.types import Box, Digit, Image, Reading

WIDTH, HEIGHT = 160, 120
PATIENCE = 60.0
"""Seconds after which something that should happen on the recorder's thread has not."""


def settings(folder: Path, min_free_mb: int = 0, raw: str = "off") -> RecordingSettings:
    return RecordingSettings(folder=str(folder), min_free_mb=min_free_mb, raw=raw)


def opened(folder: Path, width: int = WIDTH, height: int = HEIGHT, fps: float = 30) -> Recorder:
    return Recorder(settings(folder), width, height, fps, {"source": "test"})


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Image:
    """A moving pattern, uint8 BGR."""
    x = np.arange(width)[None, :, None] + 5 * number
    y = np.arange(height)[:, None, None]
    return np.asarray((x * np.array([1, 2, 1]) + y) % 256, np.uint8)


def noise(number: int) -> Image:
    """A picture that costs the encoder many bytes."""
    small = np.random.default_rng(number).integers(0, 255, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT)), np.uint8)


def reading(number: int, seconds: float, width: int = WIDTH, height: int = HEIGHT) -> Reading:
    digit = Digit(Box(1, 2, 3, 4), number % 10, 0.5, number)
    return Reading("test", number, seconds, width, height, (digit,), (str(number % 10),))


def put(to: Recorder, image: Image, number: int, seconds: float, raw: Image | None = None) -> None:
    """Writes a frame, again and again while the queue is full."""
    end = time.monotonic() + PATIENCE
    line = reading(number, seconds, image.shape[1], image.shape[0])
    while not to.write(image, line, seconds, raw):
        assert to.error is None, to.error
        assert time.monotonic() < end
        time.sleep(0.002)


def decoded(
    path: Path, name: str = recorder.VIDEO
) -> tuple[list[float], list[float], float, list[Image]]:
    """Times of all frames, times of the keyframes, the file's duration and the pictures (BGR)."""
    with av.open(str(path / name)) as file:
        assert file.duration is not None
        frames = list(file.decode(video=0))
        times = [float(f.time or 0.0) for f in frames]
        keys = [float(f.time or 0.0) for f in frames if f.key_frame]
        pictures = [np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in frames]
        return times, keys, file.duration / av.time_base, pictures


def lines(path: Path) -> list[dict[str, Any]]:
    text = (path / recorder.READINGS).read_text(encoding="utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def session(path: Path) -> dict[str, Any]:
    content = yaml.safe_load((path / recorder.SESSION).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def wait_for_error(of: Recorder) -> RecordingError:
    end = time.monotonic() + PATIENCE
    while of.error is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return of.error


def test_frames_and_irregular_times_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = 1234.5 + np.cumsum(rng.choice([0.011, 1 / 30, 1 / 15, 0.1, 0.4], 100))
    film = opened(tmp_path)
    for number, seconds in enumerate(times):
        put(film, picture(number), number, float(seconds))
    summary = film.close()
    found, keys, duration, pictures = decoded(film.path)
    assert film.error is None
    assert summary.frames == len(found) == 100
    np.testing.assert_allclose(found, times - times[0], atol=0.002)
    span = float(times[-1] - times[0])
    usual = float(np.median(np.diff(times[-film_room.GAPS - 1 :])))
    assert duration == pytest.approx(span + usual, abs=0.002)
    assert summary.seconds == pytest.approx(duration, abs=0.002)
    assert max(np.diff(keys)) < film_room.KEYFRAME_EVERY + 0.4 + 0.002
    assert np.abs(pictures[50].astype(int) - picture(50)).mean() < 12


@pytest.mark.parametrize("rate", [5, 12, 60])
def test_work_of_some_seconds_is_a_film_of_as_many(tmp_path: Path, rate: int) -> None:
    film = opened(tmp_path)
    for number in range(4 * rate):
        put(film, picture(number), number, number / rate)
    assert film.close().seconds == pytest.approx(4, abs=0.002)
    assert decoded(film.path)[2] == pytest.approx(4, abs=0.002)


def test_one_frame_lasts_as_long_as_the_rate_says(tmp_path: Path) -> None:
    film = opened(tmp_path, fps=10)
    put(film, picture(0), 0, 99.0)
    assert film.close().seconds == pytest.approx(0.1, abs=0.001)
    assert decoded(film.path)[2] == pytest.approx(0.1, abs=0.002)


def test_no_frame_and_no_known_rate(tmp_path: Path) -> None:
    film = opened(tmp_path, fps=0)
    summary = film.close()
    assert film.error is None
    assert (summary.frames, summary.seconds, summary.dropped) == (0, 0.0, 0)
    assert lines(film.path) == []


def test_times_that_stand_or_step_back_still_grow(tmp_path: Path) -> None:
    given = [0.0, 0.5, 0.5, 0.45, 1.0, 9.0, 0.0, 0.5, 1.0]
    film = opened(tmp_path, fps=2)
    for number, seconds in enumerate(given):
        put(film, picture(number), number, seconds)
    film.close()
    found = decoded(film.path)[0]
    assert len(found) == len(given)
    assert min(np.diff(found)) > 0
    np.testing.assert_allclose(found[:6], [0, 0.5, 0.5, 0.5, 1.0, 9.0], atol=0.002)
    np.testing.assert_allclose(np.diff(found[6:]), [0.5, 0.5], atol=0.002)


def test_a_time_that_is_no_number_is_dropped(tmp_path: Path) -> None:
    film = opened(tmp_path)
    assert not film.write(picture(0), reading(0, 0), float("nan"))
    put(film, picture(1), 1, 1.0)
    summary = film.close()
    assert (summary.frames, summary.dropped, film.error) == (1, 1, None)


@pytest.mark.parametrize("size", [(161, 121), (161, 120), (160, 121), (33, 17), (1, 1)])
def test_odd_sizes_are_padded_by_their_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    film = opened(tmp_path, width, height)
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, -1] = image[-1, :] = 200
    for number in range(3):
        put(film, image, number, number / 30)
    film.close()
    assert film.error is None
    pictures = decoded(film.path)[3]
    assert len(pictures) == 3
    assert pictures[0].shape == (height + height % 2, width + width % 2, 3)
    assert abs(int(pictures[0][-1, -1, 0]) - 200) < 25
    if min(size) > 16:
        assert abs(int(pictures[0][4, 4, 0]) - 60) < 25
    assert (session(film.path)["width"], session(film.path)["height"]) == size


def test_another_size_or_rate_begins_another_part(tmp_path: Path) -> None:
    film = opened(tmp_path)
    given = [(160, 120, 30), (160, 120, 30), (200, 100, 30), (200, 100, 30), (200, 100, 10),
             (200, 100, 0), (160, 120, 10)]  # fmt: skip
    for n, (width, height, fps) in enumerate(given):
        image = np.full((height, width, 3), 20 * n, np.uint8)
        end = time.monotonic() + PATIENCE
        while not film.write(image, reading(n, 5 + n / 5, width, height), 5 + n / 5, fps=fps):
            assert time.monotonic() < end
    summary = film.close()
    assert film.error is None
    assert summary.frames == 7
    kept = lines(film.path)
    assert [(e["width"], e["height"]) for e in kept] == [(w, h) for w, h, _ in given]
    found = session(film.path)
    names = ["annotated.mp4", "annotated_2.mp4", "annotated_3.mp4", "annotated_4.mp4"]
    assert [p.name for p in parts(film.path, recorder.VIDEO)] == names
    assert [e["video"] for e in found["parts"]] == names
    assert [e["raw"] for e in found["parts"]] == [None] * 4
    assert [e["start"] for e in found["parts"]] == [0, 0.4, 0.8, 1.2]
    assert [e["frames"] for e in found["parts"]] == [2, 2, 2, 1]
    sizes = [(160, 120), (200, 100), (200, 100), (160, 120)]
    assert [(e["width"], e["height"]) for e in found["parts"]] == sizes
    assert [e["fps"] for e in found["parts"]] == [30, 30, 10, 10]
    told = [e["seconds"] for e in found["parts"]]
    seen = 0
    for name, seconds, (width, height), entry in zip(
        names, told, sizes, found["parts"], strict=True
    ):
        times, _, duration, pictures = decoded(film.path, name)
        assert duration == pytest.approx(seconds, abs=0.002)
        assert times[0] == 0
        for image in pictures:
            assert image.shape == (height, width, 3)
            assert abs(float(image.mean()) - 20 * seen) < 4
            seen += 1
        assert entry["frames"] == len(pictures)
    assert seen == 7
    assert summary.seconds == pytest.approx(sum(told), abs=0.002)


@pytest.mark.parametrize("size", [(160, 120), (33, 17), (1, 1)])
def test_the_cameras_own_frames_come_back_exactly(tmp_path: Path, size: tuple[int, int]) -> None:
    film = Recorder(settings(tmp_path, raw="lossless"), *size, 30, {})
    own = [np.random.default_rng(n).integers(0, 256, (size[1], size[0], 3), np.uint8)
           for n in range(40)]  # fmt: skip
    times = [100 + n / 30 + (0.2 if n > 20 else 0) for n in range(40)]
    for n, image in enumerate(own):
        put(film, picture(n, *size), n, times[n], image)
    film.close()
    assert film.error is None
    found, keys, _, pictures = decoded(film.path, recorder.RAW)
    np.testing.assert_allclose(found, np.array(times) - 100, atol=1 / film_room.TICKS)
    for n, image in enumerate(own):
        np.testing.assert_array_equal(pictures[n], image)
    assert len(keys) >= 2
    assert len(decoded(film.path)[3]) == len(lines(film.path)) == 40
    entry = session(film.path)["parts"][0]
    assert (entry["video"], entry["raw"]) == (recorder.VIDEO, recorder.RAW)
    assert session(film.path)["raw"] == "lossless"


def test_high_is_near_and_smaller(tmp_path: Path) -> None:
    sizes, worst = {}, 0.0
    for raw in ("lossless", "high"):
        film = Recorder(settings(tmp_path, raw=raw), WIDTH, HEIGHT, 30, {})
        for n in range(20):
            put(film, picture(n), n, n / 30, noise(n))
        film.close()
        sizes[raw] = (film.path / recorder.RAW).stat().st_size
        pictures = decoded(film.path, recorder.RAW)[3]
        assert len(pictures) == 20
        grey = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(int) for p in (pictures[9], noise(9))]
        worst = max(worst, float(np.abs(grey[0] - grey[1]).mean()))
    assert sizes["high"] < 0.6 * sizes["lossless"]
    assert worst < 3


def test_colours_are_tagged_as_they_are_made(tmp_path: Path) -> None:
    film = opened(tmp_path)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, :53], image[:, 53:106], image[:, 106:] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    put(film, image, 0, 0.0)
    film.close()
    found = decoded(film.path)[3][0]
    for column in (26, 80, 134):
        np.testing.assert_allclose(found[60, column].astype(int), image[60, column], atol=8)
    with av.open(str(film.path / recorder.VIDEO)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert context.colorspace == film_room.MATRIX_601
        assert context.color_range == film_room.RANGE_LIMITED


def test_the_file_is_fragmented(tmp_path: Path) -> None:
    film = opened(tmp_path)
    for number in range(60):
        put(film, picture(number), number, number / 30)
    film.close()
    data = (film.path / recorder.VIDEO).read_bytes()
    assert data.index(b"moov") < data.index(b"moof")
    assert data.count(b"moof") >= 4


def test_readings_are_one_line_a_frame(tmp_path: Path) -> None:
    film = opened(tmp_path)
    for number in range(20):
        put(film, picture(number), number, number / 30)
    film.close()
    assert lines(film.path) == [reading(n, n / 30).as_json() for n in range(20)]


def test_session_is_there_from_the_start_and_complete_at_the_end(tmp_path: Path) -> None:
    given = {
        "source": "démo",
        "model": {"name": "cnn", "path": Path("models/cnn"), "metrics": (np.float32(0.5), 2)},
        "settings": settings(tmp_path),
        "versions": {"runtime": "2.1"},
        "frames": "not mine",
    }
    film = Recorder(settings(tmp_path), WIDTH, HEIGHT, 30, given)
    begun = session(film.path)
    assert begun["ended"] is None
    assert begun["frames"] == 0
    for number in range(10):
        put(film, picture(number), number, number / 10)
    film.close()
    found = session(film.path)
    assert found["source"] == "démo"
    assert found["model"] == {"name": "cnn", "path": "models/cnn", "metrics": [0.5, 2]}
    assert found["settings"]["crf"] == 23
    assert (found["frames"], found["dropped"], found["seconds"]) == (10, film.summary().dropped, 1)
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    assert {"live_digits", "python", "opencv", "numpy", "av", "runtime"} <= set(found["versions"])
    started, ended = (datetime.fromisoformat(found[k]) for k in ("started", "ended"))
    assert started.tzinfo is not None
    assert started <= ended
    assert "error" not in found
    names = {recorder.VIDEO, recorder.READINGS, recorder.SESSION}
    assert {p.name for p in film.path.iterdir()} == names


def test_recordings_of_the_same_second_have_their_own_folders(tmp_path: Path) -> None:
    films = [opened(tmp_path) for _ in range(4)]
    for film in films:
        put(film, picture(0), 0, 0.0)
    for film in films:
        assert film.close().frames == 1
    assert len({film.path for film in films}) == 4
    assert all(film.path.parent == tmp_path.resolve() for film in films)
    assert all(datetime.strptime(f.path.name[:19], "%Y-%m-%d_%H-%M-%S") for f in films)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "recordings"):
        with pytest.raises(RecordingError, match=r"recording\.folder") as caught:
            opened(folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="MB free") as caught:
        Recorder(settings(tmp_path, 1_000_000_000), WIDTH, HEIGHT, 30, {})
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(0, 10), (100_000, 100_000)])
def test_an_impossible_size_is_refused_and_leaves_nothing(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with pytest.raises(RecordingError, match=f"{size[0]}×{size[1]}"):
        opened(tmp_path, *size)
    assert list(tmp_path.iterdir()) == []


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    film = opened(tmp_path)
    put(film, picture(0), 0, 0.0)
    first = film.close()
    written = (film.path / recorder.SESSION).read_bytes()
    assert not film.write(picture(1), reading(1, 1.0), 1.0)
    assert film.close() == first
    assert (film.path / recorder.SESSION).read_bytes() == written


def test_write_never_waits_and_drops_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = recorder.Film.add

    def slow(self: recorder.Film, image: Image, seconds: float) -> None:
        time.sleep(0.1)
        encode(self, image, seconds)

    monkeypatch.setattr(recorder.Film, "add", slow)
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
    encode = recorder.Film.add
    left = iter(range(40))

    def failing(self: recorder.Film, image: Image, seconds: float) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        encode(self, image, seconds)

    film = opened(tmp_path)
    monkeypatch.setattr(recorder.Film, "add", failing)
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
    monkeypatch.setattr(recorder, "_free_mb", lambda path: 0)
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

    def stuck(self: recorder.Film, image: Image, seconds: float) -> None:
        begun.set()
        assert gate.wait(PATIENCE)

    monkeypatch.setattr(recorder.Film, "add", stuck)
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

    target = {"film": (recorder.Film, "add"), "lines": (recorder.Lines, "add"),
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
        assert len(decoded(film.path, recorder.RAW)[0]) > 20


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
        from test_recorder import opened
        from live_digits.errors import RecordingError
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
        from test_recorder import opened, picture, put
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
    root = Path(recorder.__file__).resolve().parents[1]
    paths = [str(root), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
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
        from test_recorder import noise, opened, reading, wait_for_error
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
        from test_recorder import opened, picture, reading
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
        from test_recorder import opened, picture, put
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
