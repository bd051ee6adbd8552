"""Recordings run again as a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings_kit import (
    FRAMES,
    HEIGHT,
    PATIENCE,
    RATE,
    WIDTH,
    begin,
    content,
    lines,
    picture,
    put,
    recording_run,
)

from live_digits.capture.open_source import open_source
from live_digits.capture.video_decoding import decode_parts, frame_bgr
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError
from live_digits.core.types import Image
from live_digits.recording import video_writer
from live_digits.recording.session import RAW, VIDEO


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
    empty.write_bytes((copy / RAW).read_bytes()[: video_writer.fragment_ends(copy / RAW)[1]])
    assert len(frames_from(copy)) == FRAMES


def test_a_run_again_reads_the_same(tmp_path: Path) -> None:
    """The real program: a run of the demo, and twice again from what it recorded."""

    def run(*args: str) -> tuple[list[dict[str, Any]], str]:
        process = recording_run(tmp_path, "--every-frame", "--json", *args, size=(640, 360))
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
