"""The recorder: real files, decoded again."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
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
)

import av

from live_digits.core.errors import RecordingError
from live_digits.recording import video_writer as film_room
from live_digits.recording.recorder import Recorder
from live_digits.recording.session import RAW, READINGS, SESSION, VIDEO, parts


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
    assert [p.name for p in parts(film.path, VIDEO)] == names
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
    found, keys, _, pictures = decoded(film.path, RAW)
    np.testing.assert_allclose(found, np.array(times) - 100, atol=1 / film_room.TICKS)
    for n, image in enumerate(own):
        np.testing.assert_array_equal(pictures[n], image)
    assert len(keys) >= 2
    assert len(decoded(film.path)[3]) == len(lines(film.path)) == 40
    entry = session(film.path)["parts"][0]
    assert (entry["video"], entry["raw"]) == (VIDEO, RAW)
    assert session(film.path)["raw"] == "lossless"


def test_high_is_near_and_smaller(tmp_path: Path) -> None:
    sizes, worst = {}, 0.0
    for raw in ("lossless", "high"):
        film = Recorder(settings(tmp_path, raw=raw), WIDTH, HEIGHT, 30, {})
        for n in range(20):
            put(film, picture(n), n, n / 30, noise(n))
        film.close()
        sizes[raw] = (film.path / RAW).stat().st_size
        pictures = decoded(film.path, RAW)[3]
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
    with av.open(str(film.path / VIDEO)) as file:
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
    data = (film.path / VIDEO).read_bytes()
    assert data.index(b"moov") < data.index(b"moof")
    assert data.count(b"moof") >= 4


def test_readings_are_one_line_a_frame(tmp_path: Path) -> None:
    film = opened(tmp_path)
    for number in range(20):
        put(film, picture(number), number, number / 30)
    film.close()
    assert lines(film.path) == [reading(n, n / 30).as_dict() for n in range(20)]


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
    names = {VIDEO, READINGS, SESSION}
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
    written = (film.path / SESSION).read_bytes()
    assert not film.write(picture(1), reading(1, 1.0), 1.0)
    assert film.close() == first
    assert (film.path / SESSION).read_bytes() == written
