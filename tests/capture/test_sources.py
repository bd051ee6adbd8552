"""Sources: the contract of every kind, what names them, the demo."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
from source_kit import (
    SETTINGS,
    FakeCamera,
    Server,
    our_threads,
    picture,
    running,
    save,
    take,
    write_video,
)

from live_digits.capture import demo_source
from live_digits.capture.input_paths import expand_inputs, is_picture, is_video
from live_digits.capture.open_source import open_source
from live_digits.core.errors import SourceError
from live_digits.core.types import Image

pytestmark = pytest.mark.usefixtures("no_proxy")


# The contract of every kind


@pytest.mark.parametrize("every_frame", [False, True])
@pytest.mark.parametrize("kind", ["camera", "stream", "video", "picture", "folder", "demo"])
def test_contract(
    kind: str, every_frame: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        if kind == "camera":
            request.getfixturevalue("camera")
            spec = "0"
        elif kind == "stream":
            content = write_video(tmp_path / "live.ts", codec="mpeg2video").read_bytes()
            spec = stack.enter_context(Server(content)).url
        elif kind == "video":
            spec = str(write_video(tmp_path / "a.mp4"))
        elif kind == "demo":
            spec = "demo"
        else:
            for i in range(2):
                save(tmp_path / f"{i}.png", picture(100 + i))
            spec = str(tmp_path if kind == "folder" else tmp_path / "0.png")
        source = open_source(spec, SETTINGS, every_frame=every_frame)
        source.start()
        source.start()
        frames = take(source, 6)
        assert source.error is None
        assert len(frames) >= 1 if kind == "stream" else len(frames) == 6
        for frame in frames:
            assert frame.image.dtype == np.uint8
            assert frame.image.ndim == 3
            assert frame.image.shape[2] == 3
            assert not frame.image.flags.writeable
            assert frame.source
        pairs = list(itertools.pairwise(frames))
        assert all(b.seq > a.seq and b.time >= a.time for a, b in pairs)
        height, width = frames[0].image.shape[:2]
        info = source.info
        assert (info.measured.width, info.measured.height) == (width, height)
        assert info.kind == ("pictures" if kind in ("picture", "folder") else kind)
        assert source.captured >= len(frames) + source.dropped
        began = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - began < 1
        assert source.finished
        assert source.read(0.2) is None
        source.start()
        assert our_threads() == []


def test_close_without_start_leaves_nothing(tmp_path: Path, camera: type[FakeCamera]) -> None:
    path = str(write_video(tmp_path / "a.mp4", 3))
    for spec in ("0", "demo", path):
        source = open_source(spec, SETTINGS)
        source.close()
        assert source.finished
        assert source.read(0.1) is None
    assert our_threads() == []
    assert camera.released == 1


# What is named on the command line


def test_expand_inputs(tmp_path: Path) -> None:
    for name in ("b10.png", "b2.png", "c.mp4", "d.txt", "[x].png"):
        (tmp_path / name).write_text("x")
    (tmp_path / "inner.png").mkdir()
    names = [p.name for p in expand_inputs([str(tmp_path)])]
    assert names == ["[x].png", "b2.png", "b10.png", "c.mp4"]
    given_twice = [str(tmp_path / "c.mp4"), str(tmp_path / "b*.png"), str(tmp_path / "[x].png")]
    names = [p.name for p in expand_inputs(given_twice)]
    assert names == ["c.mp4", "b2.png", "b10.png", "[x].png"]
    assert is_picture("A.JPG")
    assert is_video("a.MP4")
    assert not is_picture("a.mp4")


def test_what_cannot_be_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits.png").write_text("x")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for text, message in {
        "digit.png": r"there is no digit\.png; did you mean digits\.png\?",
        "dmeo": "did you mean demo",
        "away/digits.png": "folder away does not exist",
        "empty": "folder empty holds no picture or video",
        "*.tif": r"\*\.tif matches no picture or video",
        "a.txt": "is no picture or video by its name",
        "digits.png/x": "there is no",
        "a\0b": "cannot be read",
        "x" * 5000: "xxx",
        "": "the source is empty",
        "100": "expected auto, a camera's number",
    }.items():
        with pytest.raises(SourceError, match=message):
            open_source(text, SETTINGS)
        with pytest.raises(SourceError):
            expand_inputs([text])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_no_files(tmp_path: Path) -> None:
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    with pytest.raises(SourceError, match="is a pipe"):
        expand_inputs([str(pipe)])
    with pytest.raises(SourceError, match="holds no picture"):
        expand_inputs([str(tmp_path)])
    with pytest.raises(SourceError, match="device but no camera"):
        open_source("/dev/null", SETTINGS)


def test_folder_of_videos_only(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 3)
    source = open_source(str(tmp_path / "*.mp4"), SETTINGS, paced=False)
    assert source.info.kind == "video"
    source.close()
    with pytest.raises(SourceError, match="name one"):
        open_source(str(tmp_path), SETTINGS)


# The demo


class SlowScene:
    def __init__(self, width: int, height: int) -> None:
        self.size = height, width, 3

    def render(self, t: float) -> Image:
        time.sleep(0.1)
        return np.full(self.size, int(t * 100) % 256, np.uint8)


def test_slow_demo_counts_what_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_source, "DemoScene", SlowScene)
    with running(open_source("demo", SETTINGS)) as source:
        frames = take(source, 5)
        assert all(b.seq - a.seq >= 3 for a, b in itertools.pairwise(frames))
        assert source.dropped >= 8
        assert source.captured >= frames[-1].seq + 1


def test_demo_keeps_its_rate_and_drops_for_a_slow_reader() -> None:
    with running(open_source("demo", SETTINGS)) as source:
        first = source.read(2)
        time.sleep(0.4)
        second = source.read(1)
        third = source.read(1)
        assert first is not None
        assert second is not None
        assert third is not None
        assert second.seq - first.seq >= 8
        assert second.time - first.time == pytest.approx((second.seq - first.seq) / 30, abs=0.08)
        assert third.seq > second.seq
        assert source.dropped == second.seq - first.seq - 1 + third.seq - second.seq - 1


def test_demo_every_frame_is_the_same_each_time() -> None:
    def images() -> list[Image]:
        with running(open_source("demo", SETTINGS, every_frame=True)) as source:
            frames = take(source, 20)
            assert [f.seq for f in frames] == list(range(20))
            assert source.dropped == 0
            return [f.image for f in frames]

    assert all((a == b).all() for a, b in zip(images(), images(), strict=True))


def test_a_failing_thread_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: SlowScene, t: float) -> Image:
        raise RuntimeError("no paint left")

    monkeypatch.setattr(demo_source, "DemoScene", SlowScene)
    monkeypatch.setattr(SlowScene, "render", broken)
    with running(open_source("demo", SETTINGS)) as source:
        assert source.read(2) is None
        assert source.finished
        assert str(source.error) == "demo: RuntimeError: no paint left"
