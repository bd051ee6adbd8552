"""Pictures and videos that are damaged, hidden bombs or odd: read right, or refused in one line."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fakes import FakeClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from wrong_kit import FUZZ_SECONDS, chunk, encoded, few, mutated, one_line, seeds

import av

from live_digits.capture import image_files, video_decoding
from live_digits.capture.image_files import load_picture
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import PROFILES, PipelineSettings, Settings
from live_digits.core.errors import SourceError
from live_digits.core.limits import MOST_PIXELS
from live_digits.core.types import Frame
from live_digits.reading.image_reader import read_picture

# --- pictures ---


def picture_or_line(path: Path) -> None:
    try:
        image, turn = load_picture(path)
    except SourceError as e:
        one_line(e, str(path))
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= MOST_PIXELS
    assert 1 <= turn <= 8


@settings(few, max_examples=400)
@given(st.sampled_from(sorted(seeds())), st.integers(0, 2**32))
def test_damaged_pictures_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(mutated(random.Random(seed), seeds()[kind]))
    picture_or_line(path)


@pytest.mark.soak
def test_damaged_pictures_for_long(tmp_path: Path) -> None:
    path, rng, end = tmp_path / "damaged.png", random.Random(), time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < end:
        path.write_bytes(mutated(rng, seeds()[rng.choice(sorted(seeds()))]))
        picture_or_line(path)


BIG = 20_000
BOMBS = {
    "png": b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">II5B", BIG, BIG, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(100)))
    + chunk(b"IEND", b""),
    "jpg": b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", BIG, BIG) + bytes(50),
    "gif": b"GIF89a" + struct.pack("<HH", BIG, BIG) + bytes(50),
    "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, BIG, -BIG) + bytes(50),
    "webp": b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0" + bytes(50),
    "ppm": b"P6 %d %d 255\n" % (BIG, BIG) + bytes(50),
    "tif": b"II*\0\x08\0\0\0\x02\0"
    + struct.pack("<HHIIHHII", 256, 4, 1, BIG, 257, 4, 1, BIG)
    + bytes(50),
}


@pytest.mark.parametrize("kind", sorted(BOMBS))
def test_header_bombs_are_refused_before_decoding(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(BOMBS[kind])
    with pytest.raises(SourceError, match=r"bomb\..* pixels; at most 200 megapixels"):
        load_picture(path)


def test_a_chunk_longer_than_its_file_is_refused_before_memory_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV asked for 4 GB and took 12 s over such an end of a file of 388 bytes."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    path = tmp_path / "a.png"
    good = seeds()["grey.png"]
    at = good.rindex(b"IEND")
    path.write_bytes(good[: at - 4] + b"\xff\xff\xff\xff" + good[at:])
    with pytest.raises(SourceError, match="damaged"):
        load_picture(path)


def test_what_a_header_hides_from_us_opencv_refuses_itself() -> None:
    script = (
        "import live_digits, cv2, numpy as np\n"
        "data = bytearray(cv2.imencode('.bmp', np.zeros((4, 4, 3), np.uint8))[1].tobytes())\n"
        "data[18:26] = (20000).to_bytes(4, 'little') * 2\n"
        "try: print(cv2.imdecode(np.frombuffer(data, np.uint8), -1) is None)\n"
        "except cv2.error as e: print('PIXELS' in str(e))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_the_smallest_pictures_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(np.full((size[1], size[0]), 9, np.uint8), ".png"))
    image, _ = load_picture(path)
    assert image.shape == (size[1], size[0], 3)
    for profile in PROFILES:
        frame = Frame(image, 0, 0.0, "a")
        reading = read_picture(
            frame, Settings(pipeline=PipelineSettings(profile=profile)), FakeClassifier()
        )
        assert (reading.width, reading.height) == size


def test_transparency_is_white_in_every_strip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "_STRIP", 7)
    noise = np.random.default_rng(1).integers(0, 256, (23, 5, 4), dtype=np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(noise, ".png"))
    alpha = noise[..., 3:].astype(float) / 255
    wanted = noise[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(load_picture(path)[0] - wanted).max() <= 1


def pillow() -> Any:
    return pytest.importorskip("PIL.Image", reason="Pillow makes these pictures")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_comes_in_its_colours(tmp_path: Path, suffix: str) -> None:
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, :16], rgb[:, 16:32], rgb[:, 32:] = (250, 250, 250), (20, 20, 20), (200, 40, 40)
    path = tmp_path / f"a.{suffix}"
    pillow().fromarray(rgb).convert("CMYK").save(path, quality=95)
    try:
        image, _ = load_picture(path)
    except SourceError as e:
        assert suffix == "tif"
        one_line(e, "a.tif")
        return
    for x, colour in ((8, (250, 250, 250)), (24, (20, 20, 20)), (40, (40, 40, 200))):
        assert image[16, x].tolist() == pytest.approx(colour, abs=25)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_turns_every_kind(tmp_path: Path, suffix: str) -> None:
    image = pillow()
    stored = np.full((20, 40, 3), 255, np.uint8)
    stored[:8, :8] = 0
    exif = image.Exif()
    exif[274] = 6  # a quarter to the right makes it upright
    path = tmp_path / f"a.{suffix}"
    image.fromarray(stored).save(path, exif=exif, quality=95)
    upright, turn = load_picture(path)
    assert turn == 6
    assert upright.shape == (40, 20, 3)
    assert upright[3, 16].max() < 60, "the dark corner is at the upper right"
    assert upright[3, 3].min() > 200


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_what_moves_the_first_picture_is_read(tmp_path: Path, suffix: str) -> None:
    image = pillow()
    shades = [image.fromarray(np.full((20, 30, 3), s, np.uint8)) for s in (40, 120, 220)]
    path = tmp_path / f"a.{suffix}"
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=100)
    found, _ = load_picture(path)
    assert found.shape == (20, 30, 3)
    assert abs(float(found.mean()) - 40) < 5


# --- videos ---


@cache
def films() -> dict[str, bytes]:
    """Small good videos, by their suffix."""
    made = {}
    for suffix, codec, pixels in (
        ("mp4", "libx264", "yuv420p"), ("avi", "mjpeg", "yuvj420p"), ("mkv", "mpeg4", "yuv420p"),
    ):  # fmt: skip
        out = io.BytesIO()
        with av.open(out, "w", format={"mkv": "matroska"}.get(suffix, suffix)) as file:
            stream = file.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for i in range(6):
                shade = np.full((48, 64, 3), 30 * i, np.uint8)
                shade[i : i + 9, i : i + 9] = 255
                file.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
            file.mux(stream.encode(None))
        made[suffix] = out.getvalue()
    return made


def film_or_line(path: Path) -> None:
    try:
        for count, frame in enumerate(video_frames(path)):
            assert frame.image.ndim == 3
            assert count < 1000
    except SourceError as e:
        one_line(e, str(path))


@settings(few, max_examples=150)
@given(st.sampled_from(["avi", "mkv", "mp4"]), st.integers(0, 2**32))
def test_damaged_videos_give_frames_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mp4"
    path.write_bytes(mutated(random.Random(seed), films()[kind]))
    film_or_line(path)


@pytest.mark.soak
def test_damaged_videos_for_long(tmp_path: Path) -> None:
    path, rng, end = tmp_path / "damaged.mp4", random.Random(), time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < end:
        path.write_bytes(mutated(rng, films()[rng.choice(sorted(films()))]))
        film_or_line(path)


def test_frames_that_are_too_large_are_refused_by_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vast.mp4"
    path.write_bytes(films()["mp4"])
    assert len(list(video_frames(path))) == 6
    monkeypatch.setattr(video_decoding, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(SourceError, match=r"vast\.mp4 has frames of 64×48 pixels; at most"):
        list(video_frames(path))


def test_a_frame_larger_than_its_file_says_is_left_out(tmp_path: Path) -> None:
    """An AVI of 64×48 whose JPEGs say 20000×20000."""
    data = films()["avi"].replace(struct.pack(">HH", 48, 64), struct.pack(">HH", BIG, BIG))
    path = tmp_path / "a.avi"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.avi"):
        list(video_frames(path))


def test_wrong_suffixes_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(films()["mp4"])
    with pytest.raises(SourceError, match="no picture of a known kind"):
        load_picture(tmp_path / "film.png")
    (tmp_path / "picture.jpg").write_bytes(seeds()[".png"])
    assert load_picture(tmp_path / "picture.jpg")[0].shape == (24, 40, 3)
    (tmp_path / "picture.mp4").write_bytes(seeds()[".png"])
    film_or_line(tmp_path / "picture.mp4")
