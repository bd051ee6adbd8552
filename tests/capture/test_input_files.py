"""Videos and pictures as sources: real files of every kind, damaged ones too."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_kit import (
    SETTINGS,
    exif_jpeg,
    picture,
    running,
    save,
    take,
    tiff,
    write_video,
)

import av

from live_digits.capture import file_sources, image_files, input_paths
from live_digits.capture.image_files import load_picture, to_stored
from live_digits.capture.open_source import open_source
from live_digits.capture.video_decoding import video_frames
from live_digits.core.errors import SourceError
from live_digits.core.geometry import Box
from live_digits.core.types import Image

pytestmark = pytest.mark.usefixtures("no_proxy")


# Videos


def test_video_is_paced_by_its_timestamps_and_drops_for_a_slow_reader(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=20, fps=20)
    with running(open_source(str(path), SETTINGS)) as source:
        time.sleep(0.2)
        assert source.captured == 0  # due from the first read on
        began = time.monotonic()
        frames = []
        while not source.finished:
            frame = source.read(1)
            if frame is not None:
                frames.append(frame)
                assert frame.time <= time.monotonic() - began + 0.1
                time.sleep(0.12)
        assert 0.8 < time.monotonic() - began < 2
        assert source.captured == 20
        assert source.dropped == 20 - len(frames)
        assert source.dropped >= 5
        assert [f.time for f in frames] == pytest.approx([f.seq / 20 for f in frames])
        assert frames[-1].seq == 19


@pytest.mark.parametrize("how", [{"every_frame": True}, {"paced": False}])
def test_video_every_frame(tmp_path: Path, how: dict[str, bool]) -> None:
    path = write_video(tmp_path / "a.mp4", frames=25, fps=2)
    with running(open_source(str(path), SETTINGS, **how)) as source:
        began = time.monotonic()
        assert source.read(2) is not None
        time.sleep(0.2)
        assert source.captured <= 6  # back-pressure
        frames = take(source, 100)
        assert time.monotonic() - began < 3
        assert [f.seq for f in frames] == list(range(1, 25))
        assert source.dropped == 0
        assert source.finished
        assert source.read(0.1) is None


def test_video_frames_are_lossless_and_in_order(tmp_path: Path) -> None:
    path = write_video(tmp_path / "grün: 1.mkv" if os.name != "nt" else tmp_path / "grün.mkv")
    frames = list(video_frames(path))
    assert [f.seq for f in frames] == list(range(20))
    assert [f.time for f in frames] == pytest.approx([i / 20 for i in range(20)], abs=0.002)
    assert frames[0].source == str(path)
    assert all(abs(int(f.image.mean()) - 10 * f.seq) < 8 for f in frames)


def test_video_is_turned_as_its_metadata_say(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=2)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a version 0 track header
    one = 0x10000
    struct.pack_into(">9i", data, at, 0, one, 0, -one, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    assert next(video_frames(path)).image.shape == (64, 48, 3)
    source = open_source(str(path), SETTINGS)
    assert (source.info.reported.width, source.info.reported.height) == (48, 64)
    source.close()


def test_truncated_video_gives_what_is_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", codec="mpeg2video", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count = len(list(video_frames(path)))
    assert 5 < count < 40
    with running(open_source(str(path), SETTINGS, paced=False)) as source:
        assert len(take(source, 99)) == count


@pytest.mark.parametrize("content", [b"", b"these are words\n" * 300, os.urandom(4000)])
def test_text_named_mp4(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"notes\.mp4 (is no video|holds no)"):
        open_source(str(path), SETTINGS)
    with pytest.raises(SourceError, match=r"notes\.mp4"):
        list(video_frames(path))
    assert capfd.readouterr().err == ""


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(SourceError, match="holds no picture, only sound"):
        open_source(str(path), SETTINGS)


# Pictures


@pytest.mark.parametrize("suffix", sorted(input_paths.PICTURES - {".gif", ".pbm"}))
def test_every_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    stored = picture()
    pgm = suffix == ".pgm"
    path = save(tmp_path / f"a{suffix}", stored[..., 0] if pgm else stored)
    image, orientation = load_picture(path)
    assert image.shape == (48, 64, 3)
    assert orientation == 1
    assert image[40, 50].tolist() == pytest.approx([200] * 3, abs=3)
    if not pgm:
        assert image[4, 4].tolist() == pytest.approx([20, 40, 220], abs=12)


def test_grey_alpha_and_sixteen_bit(tmp_path: Path) -> None:
    grey = np.full((5, 7), 90, np.uint8)
    image, _ = load_picture(save(tmp_path / "grey.png", grey))
    assert image.shape == (5, 7, 3)
    assert (image == 90).all()

    alpha = np.zeros((5, 7, 4), np.uint8)
    alpha[:, 3:, 3] = 255
    alpha[0, 0] = 0, 0, 0, 51
    image, _ = load_picture(save(tmp_path / "alpha.png", alpha))
    assert (image[1:, :3] == 255).all()
    assert (image[:, 3:] == 0).all()
    assert image[0, 0].tolist() == [204, 204, 204]

    deep = np.full((5, 7, 3), 257 * 77, np.uint16)
    for name in ("deep.png", "deep.tif"):
        image, _ = load_picture(save(tmp_path / name, deep))
        assert image.dtype == np.uint8
        assert (image == 77).all()


def as_stored(upright: Image, orientation: int) -> Image:
    """How a camera that writes `orientation` holds this picture, in OpenCV's own operations."""
    if orientation == 1:
        return upright
    return {
        2: lambda: cv2.flip(upright, 1),
        3: lambda: cv2.rotate(upright, cv2.ROTATE_180),
        4: lambda: cv2.flip(upright, 0),
        5: lambda: cv2.transpose(upright),
        6: lambda: cv2.rotate(upright, cv2.ROTATE_90_COUNTERCLOCKWISE),
        7: lambda: cv2.rotate(cv2.transpose(upright), cv2.ROTATE_180),
        8: lambda: cv2.rotate(upright, cv2.ROTATE_90_CLOCKWISE),
    }[orientation]().astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = picture()
    stored = as_stored(upright, orientation)
    if suffix == ".jpg":
        path = exif_jpeg(tmp_path / "a.jpg", np.ascontiguousarray(stored), orientation)
        expected = cv2.imread(str(path))  # OpenCV turns it by itself
        assert expected is not None
        assert np.abs(expected.astype(int) - load_picture(path)[0]).max() <= 3
    else:
        path = tiff(tmp_path / "a.tif", stored, orientation)
    image, found = load_picture(path)
    assert found == orientation
    assert image.shape == (48, 64, 3)
    assert image[3, 3].tolist() == pytest.approx([20, 40, 220], abs=12)


@settings(deadline=None)
@given(st.data())
def test_to_stored_finds_the_same_pixels(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    upright = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = Box(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    wanted = upright[box.y : box.bottom, box.x : box.right]
    for orientation in range(1, 9):
        stored = as_stored(upright, orientation)
        back = to_stored(box, orientation, width, height)
        cut = stored[back.y : back.bottom, back.x : back.right]
        assert sorted(cut.ravel().tolist()) == sorted(wanted.ravel().tolist())
        assert (image_files._upright(cut, orientation) == wanted).all()


def png_header(width: int, height: int) -> bytes:
    chunk = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    end = b"\x00\x00\x00\x00IEND\xaeB`\x82"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + chunk + b"\x00" * 4 + end


def test_too_many_pixels_are_refused_by_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vast.png"
    path.write_bytes(png_header(20000, 10001))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(SourceError, match=r"vast\.png has 20000×10001 pixels; at most 200 mega"):
        load_picture(path)


STARTS = [b"", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF0000WEBP", b"GIF8", b"P6 "]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*STARTS, b"\x89PNG\r\n\x1a\n"]))
def test_headers_of_noise(noise: bytes, start: bytes) -> None:
    data = bytearray(start + noise)
    try:
        width, height, turn = image_files._header(data)
    except (ValueError, KeyError, struct.error):
        return
    assert width > 0
    assert height > 0
    assert 1 <= turn <= 8


@pytest.mark.parametrize("content", [b"", b"no picture", png_header(4, 4), b"P6 3 3 255\nab"])
def test_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.png"):
        load_picture(path)
    with pytest.raises(SourceError, match=r"bad\.png"):
        open_source(str(path), SETTINGS)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"])
def test_truncated_picture_is_named(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"cut{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match="cut"):
        load_picture(path)


def test_one_picture_repeats(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    with running(open_source(str(path), SETTINGS)) as source:
        began = time.monotonic()
        frames = take(source, 10)
        assert 0.2 < time.monotonic() - began < 2
        assert all(f.image is frames[0].image for f in frames)
        assert [f.time for f in frames] == pytest.approx([f.seq / 30 for f in frames])
        assert not source.finished


def test_folder_in_order_skips_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sources, "PICTURE_SECONDS", 0.1)
    for i, name in enumerate(("a2.png", "a10.png", "a1.png")):
        save(tmp_path / name, picture(100 + i))
    cut = tmp_path / "a3.png"
    cut.write_bytes((tmp_path / "a2.png").read_bytes()[:80])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_text("x")
    names = []
    with running(open_source(str(tmp_path), SETTINGS)) as source:
        for frame in take(source, 25):
            if Path(frame.source).name not in names:
                names.append(Path(frame.source).name)
        assert names == ["a1.png", "a2.png", "a10.png"]
        assert not source.finished
        skipped = source.skipped  # type: ignore[attr-defined]
        assert [path for path, _ in skipped] == [cut]
        assert "a3.png" in skipped[0][1]


def test_folder_in_batch_gives_each_once(tmp_path: Path) -> None:
    for i in range(7):
        save(tmp_path / f"{i}.png", picture(i))
    with running(open_source(str(tmp_path / "*.png"), SETTINGS, paced=False)) as source:
        frames = take(source, 99)
    assert [int(f.image[40, 40, 0]) for f in frames] == list(range(7))
    assert source.dropped == 0


def test_no_readable_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("x")
    (tmp_path / "b.png").write_text("x")
    with pytest.raises(SourceError, match=r"no picture is readable: .*a\.png.*b\.png"):
        open_source(str(tmp_path), SETTINGS)
