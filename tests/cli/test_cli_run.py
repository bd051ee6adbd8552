"""`live-digits run` as users meet it."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_kit import (
    PATIENCE,
    POSIX,
    SMALL,
    Shell,
    check_schema,
    film,
    finished,
    recording_in,
)

from live_digits.capture import camera
from live_digits.recording.session import READINGS

# --- run ---


def test_on_a_bare_server_it_records_and_prints_what_it_read(shell: Shell) -> None:
    done = shell("--source", "demo", "--duration", "2", "--stats", "stats.json", *SMALL)
    assert done.code == 0, done.err
    assert any("DISPLAY" in line for line in done.told)
    read = "".join(done.out.split())
    assert read.isdigit(), done.out
    recording = recording_in(shell.folder / "recordings")
    assert any(str(recording) in line for line in done.told)
    session = finished(recording)
    assert session["source"]["name"] == "demo"
    assert session["seconds"] > 0.5
    stats = json.loads((shell.folder / "stats.json").read_text(encoding="utf-8"))
    check_stats(stats)
    assert stats["recording"]["path"] == str(recording)
    assert stats["recording"]["frames"] == session["frames"]
    assert stats["time_to_first_label_s"] >= stats["time_to_first_frame_s"] > 0
    assert stats["source"]["requested"] == {"width": 320, "height": 240, "fps": 15.0}
    assert stats["source"]["measured"]["width"] == 320
    assert stats["labels"] >= len(read) > 0


def check_stats(stats: dict[str, Any]) -> None:
    assert {
        "frames_captured", "frames_shown", "dropped", "seconds", "fps", "latency_ms", "vision_ms",
        "inference_ms", "batches", "labels", "time_to_first_frame_s", "time_to_first_label_s",
        "rss_mb_peak", "source", "reconnects", "recording",
    } <= set(stats)  # fmt: skip
    assert 0 < stats["frames_shown"] <= stats["frames_captured"]
    assert stats["dropped"] <= stats["frames_captured"] - stats["frames_shown"]
    for key in ("latency_ms", "vision_ms", "inference_ms"):
        assert 0 <= stats[key]["p50"] <= stats[key]["p95"] <= stats[key]["p99"]
    assert stats["fps"] == pytest.approx((stats["frames_shown"] - 1) / stats["seconds"], rel=0.02)
    assert stats["batches"] > 0
    assert stats["reconnects"] == 0
    assert 20 < stats["rss_mb_peak"] < 4000
    assert {"requested", "reported", "measured"} <= set(stats["source"])


def test_without_a_camera_it_shows_the_demo_and_says_so(shell: Shell) -> None:
    if camera.list_cameras():
        pytest.skip("a camera is connected")
    done = shell("--duration", "1", *SMALL)
    assert done.code == 0, done.err
    assert any("demo" in line for line in done.told)
    assert finished(recording_in(shell.folder / "recordings"))["source"]["kind"] == "demo"


@POSIX
@pytest.mark.skipif(sys.platform != "linux", reason="displays of X11")
def test_a_display_that_does_not_answer_is_none(shell: Shell) -> None:
    shell.env["DISPLAY"] = ":987"
    done = shell("--source", "demo", "--duration", "1", *SMALL)
    assert done.code == 0, done.err
    assert any(":987" in line and "--no-window" in line for line in done.told)
    finished(recording_in(shell.folder / "recordings"))


def test_no_window_alone_records_nothing(shell: Shell) -> None:
    done = shell("--no-window", "--source", "demo", "--duration", "1", *SMALL)
    assert (done.code, done.err) == (0, "")
    assert list(shell.folder.iterdir()) == []


def test_json_of_a_run_is_one_line_a_frame(shell: Shell) -> None:
    line = "--no-window --source demo --duration 3 --json --stats s.json"
    done = shell(*line.split(), *SMALL)
    assert done.code == 0, done.err
    lines = done.json()
    for entry in lines:
        check_schema(entry, "demo", 320, 240)
    frames = [entry["frame"] for entry in lines]
    assert frames == sorted(set(frames))
    stats = json.loads((shell.folder / "s.json").read_text(encoding="utf-8"))
    assert len(lines) == stats["frames_shown"]
    assert any(entry["digits"] for entry in lines)


def test_every_frame_of_a_video_is_recorded(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4", frames=15)
    line = f"--no-window --every-frame --record --stats s.json --source {video}"
    done = shell(*line.split())
    assert done.code == 0, done.err
    session = finished(recording_in(shell.folder / "recordings"))
    assert session["frames"] + session["dropped"] == 15
    stats = json.loads((shell.folder / "s.json").read_text(encoding="utf-8"))
    assert stats["frames_shown"] == stats["frames_captured"] == 15
    assert stats["source"]["name"] == str(video)


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_finished_recording(shell: Shell, number: int) -> None:
    process = shell.start("--source", "demo", *SMALL)
    folder = shell.folder / "recordings"
    try:
        end = time.monotonic() + PATIENCE
        while sum(f.read_text().count("\n") for f in folder.glob(f"*/{READINGS}")) < 12:
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "for 10 s" in err, "the default of a bare server"
    assert finished(recording_in(folder))["seconds"] > 0.5
