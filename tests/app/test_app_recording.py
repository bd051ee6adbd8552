"""Recording from the live loop: real files, true times, disks that fail."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_kit import (
    HEIGHT,
    PAGE,
    RATE,
    WIDTH,
    Maker,
    Story,
    Timed,
    film_of,
    lines_of,
    moving,
    number,
    numbered,
    pictures,
    recorded,
    session_of,
    until,
)
from fakes import (
    PATIENCE,
    FakeSource,
    held_disk,
)

import av

from live_digits.config.settings import PipelineSettings
from live_digits.core.errors import RecordingError
from live_digits.core.types import Image
from live_digits.display.keymap import Command
from live_digits.recording import recorder
from live_digits.recording.session import RAW, READINGS, SESSION, VIDEO, new_folder

pytestmark = pytest.mark.usefixtures("no_thread_stays")


# --- recording ---


def test_recordings_begin_and_end_with_the_key(make: Maker) -> None:
    run = make(FakeSource(moving(), fps=RATE))

    def story() -> Story:
        yield from pictures(3)
        for _ in range(2):
            yield Command.RECORD
            yield from until(lambda: run.status.recording_s is not None, "the recording")
            yield from pictures(12)
            yield Command.RECORD
            yield from until(lambda: "recorded" in run.status.message, "the message")
            assert run.status.recording_s is None

    outcome = run.play(story())
    assert outcome.errors == ()
    folders = recorded(run.folder)
    assert [Path(r.path).name for r in outcome.recordings] == [f.name for f in folders]
    assert len(folders) == 2
    for folder, summary in zip(folders, outcome.recordings, strict=True):
        frames, seconds = film_of(folder)
        assert frames == summary.frames == len(lines_of(folder))
        assert frames + summary.dropped >= 12
        assert seconds == pytest.approx(summary.seconds, abs=0.01)
    assert outcome.stats["recording"] == dict(outcome.recordings[-1].as_json())


def test_a_recording_asked_for_at_the_start_holds_the_whole_run(make: Maker) -> None:
    source = Timed(moving(), fps=RATE)
    run = make(source, record=True)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield from pictures(10)

    outcome = run.play(story())
    (folder,) = recorded(run.folder)
    assert {p.name for p in folder.iterdir()} == {
        VIDEO,
        READINGS,
        SESSION,
    }
    frames, seconds = film_of(folder)
    lines = lines_of(folder)
    assert frames == len(lines)
    assert frames + outcome.recordings[0].dropped == len(source.times)
    assert seconds == pytest.approx(source.times[-1] - source.times[0], abs=0.2)
    assert lines[0]["frame"] == 0
    assert lines[-1]["lines"] == list(outcome.lines)
    session = session_of(folder)
    assert session["ended"] is not None
    assert session["frames"] == frames
    assert session["model"] == "cnn"
    assert session["source"]["kind"] == "camera"
    assert session["settings"]["pipeline"]["blur"] == PipelineSettings().blur
    assert (session["width"], session["height"]) == (WIDTH, HEIGHT)
    assert {"started", "dropped", "seconds", "versions"} <= set(session)


def test_a_source_that_drops_frames_and_a_freeze_keep_the_films_true_time(make: Maker) -> None:
    source = Timed(numbered(), fps=60)
    run = make(source, record=True)
    slow = run.screen.show

    def show(picture: Image) -> None:
        slow(picture)
        time.sleep(0.05)

    run.screen.show = show  # type: ignore[method-assign]
    frozen: list[float] = []

    def story() -> Story:
        yield from pictures(15)
        yield Command.FREEZE
        frozen.append(source.times[-1])
        yield from pictures(10)
        frozen.append(source.times[-1])
        yield Command.FREEZE
        yield from pictures(10)

    outcome = run.play(story())
    assert outcome.stats["dropped"] > 10
    assert frozen[1] - frozen[0] > 0.5
    (folder,) = recorded(run.folder)
    frames, seconds = film_of(folder)
    assert seconds == pytest.approx(source.times[-1] - source.times[0], abs=0.25)
    numbers = [line["frame"] for line in lines_of(folder)]
    assert frames == len(numbers)
    assert max(numbers.count(n) for n in numbers) >= 6, "the freeze is in the film"


def test_a_recording_that_fails_is_told_and_the_picture_goes_on(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SYNC_EVERY", 0.05)
    run = make(record=True)

    def story() -> Story:
        yield from pictures(5)
        shutil.rmtree(run.folder)
        yield from until(lambda: "removed" in run.status.error, "the error on the picture")
        assert run.status.recording_s is None
        yield from pictures(10)

    outcome = run.play(story())
    numbers = [number(p) for p in list(run.screen.pictures)[-10:]]
    assert len(set(numbers)) >= 5
    (error,) = outcome.errors
    assert isinstance(error, RecordingError)
    assert "removed" in str(error)


def grain() -> Iterator[Image]:
    """Pages that cost the disk much, numbered."""
    for n in itertools.count():
        image = np.random.default_rng(n).integers(0, 256, PAGE.shape, np.uint8)
        image[-1, -1] = n % 256
        yield image


def test_a_full_disk_ends_the_recording_with_one_message_and_the_picture_goes_on(
    make: Maker, disk: Path
) -> None:
    run = make(FakeSource(grain(), fps=RATE), folder=disk, raw="lossless", record=True)
    told: list[str] = []

    def story() -> Story:
        yield from until(lambda: "No space left" in run.status.error, "the error on the picture")
        for _ in range(20):
            told.append(run.status.error)
            assert run.status.recording_s is None
            yield None

    outcome = run.play(story())
    assert len(set(told) - {""}) == 1
    numbers = [number(p) for p in list(run.screen.pictures)[-10:]]
    assert len(set(numbers)) >= 5
    assert [str(e) for e in outcome.errors] == [told[0]]
    (folder,) = recorded(disk)
    frames, _ = film_of(folder)
    assert 0 < frames <= len(lines_of(folder))
    with av.open(str(folder / RAW)) as file:
        assert sum(1 for _ in file.decode(video=0)) > 0


def test_a_slow_disk_drops_recorded_frames_and_no_pictures(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_disk(monkeypatch)
    run = make(FakeSource(numbered(), fps=RATE), record=True)

    def story() -> Story:
        yield from until(lambda: run.status.recording_dropped >= 5, "dropped frames")
        yield Command.RECORD
        seen = [number(run.screen.pictures[-1])]
        for _ in range(15):  # the recording cannot end yet, and nobody waits for it
            yield None
            seen.append(number(run.screen.pictures[-1]))
        assert len(set(seen)) >= 8
        assert "recorded" not in run.status.message
        gate.set()
        yield from until(lambda: "recorded" in run.status.message, "its end")
        assert "frames dropped" in run.status.message

    outcome = run.play(story())
    assert outcome.errors == ()
    (summary,) = outcome.recordings
    assert summary.dropped >= 5
    assert summary.frames == film_of(recorded(run.folder)[0])[0]


def test_a_disk_that_must_wake_up_first_keeps_no_picture(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def asleep(*given: Any) -> Path:
        assert gate.wait(PATIENCE)
        return new_folder(*given)

    monkeypatch.setattr(recorder, "new_folder", asleep)
    run = make(FakeSource(numbered(), fps=RATE))

    def story() -> Story:
        yield from pictures(2)
        yield Command.RECORD
        yield from pictures(10)
        assert run.status.recording_s is None
        yield Command.RECORD
        yield from until(lambda: "being opened" in run.status.message, "the message")
        gate.set()
        yield from until(lambda: bool(run.status.recording_s), "the recording")
        yield from pictures(3)

    outcome = run.play(story())
    (summary,) = outcome.recordings
    assert summary.frames > 0
    assert session_of(recorded(run.folder)[0])["ended"] is not None


def test_a_camera_that_changes_its_size_goes_on_in_another_part(make: Maker) -> None:
    small = np.ascontiguousarray(PAGE[:160, :200])
    images = [np.array(PAGE) for _ in range(20)] + [small.copy() for _ in range(20)]
    run = make(FakeSource(images), record=True, raw="lossless", lockstep=True)
    outcome = run.app.run()
    assert outcome.errors == ()
    (folder,) = recorded(run.folder)
    entries = session_of(folder)["parts"]
    assert [(e["width"], e["height"]) for e in entries] == [(WIDTH, HEIGHT), (200, 160)]
    assert [e["frames"] for e in entries] == [20, 20]
    assert outcome.recordings[0].frames == len(lines_of(folder)) == 40
    for entry, image in zip(entries, (images[0], small), strict=True):
        with av.open(str(folder / entry["raw"])) as file:
            for frame in file.decode(video=0):
                np.testing.assert_array_equal(frame.to_ndarray(format="bgr24"), image)


def test_a_folder_that_cannot_be_written_ends_a_run_that_shall_record(
    make: Maker, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("in the way")
    run = make(record=True)
    with pytest.raises(RecordingError, match=r"recording\.folder"):
        run.app.run()
    assert run.source.closed
    assert run.screen.closed


def test_a_folder_that_cannot_be_written_is_only_told_after_the_key(
    make: Maker, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("in the way")
    run = make()

    def story() -> Story:
        yield from pictures(2)
        yield Command.RECORD
        yield from until(lambda: "recording.folder" in run.status.error, "the message")
        assert run.status.recording_s is None
        yield Command.SAVE
        yield from pictures(2)
        assert "_picture.png" in run.status.error
        yield from pictures(5)

    outcome = run.play(story())
    assert [type(e) for e in outcome.errors] == [RecordingError, RecordingError]
    assert outcome.recordings == ()
