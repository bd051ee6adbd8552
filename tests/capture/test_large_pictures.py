"""Pictures and videos over the limit: refused by their headers, or read at a part of their size."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from cli_kit import Shell, film
from program_kit import environment
from source_kit import picture, running, save

from live_digits.capture import image_files
from live_digits.capture.image_files import load_picture, open_picture
from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError
from live_digits.core.geometry import Box
from live_digits.core.types import Image

GB = 10**9
"""What the default limit must hold in."""
MEASURED = (
    "import sys; from live_digits.cli import invoke\n"
    "from live_digits.core.process_memory import peak_memory\n"
    "code = invoke(sys.argv[1:]); print(peak_memory(), file=sys.stderr); sys.exit(code)\n"
)


def measured(folder: Path, *args: str | Path) -> tuple[int, str, list[str], int]:
    """A command's exit code, output, errors, and the most memory it took, bytes."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, args)], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    *told, peak = done.stderr.splitlines()
    return done.returncode, done.stdout, told, int(peak)


def digits(side: int) -> Image:
    """A page with 4 7 2, scaled to a square."""
    page = np.full((1000, 1000, 3), 230, np.uint8)
    cv2.putText(page, "4 7 2", (200, 500), 0, 5, (20, 20, 20), 14)
    return np.asarray(cv2.resize(page, (side, side)), np.uint8)


def test_the_largest_picture_of_the_heaviest_kind_takes_a_gigabyte(tmp_path: Path) -> None:
    side = int(SourceSettings().max_pixels ** 0.5)
    deep = digits(side).astype(np.uint16) * 257
    opaque = np.full((side, side), 65535, np.uint16)
    path = save(tmp_path / "deep.png", np.dstack([deep, opaque]))
    code, out, told, peak = measured(tmp_path, "read", "--json", path)
    assert code == 0, told
    assert json.loads(out)["lines"] == ["472"]
    assert peak < GB


def test_a_larger_png_is_refused_with_the_setting_that_allows_it(tmp_path: Path) -> None:
    path = save(tmp_path / "large.png", np.full((6100, 6000), 255, np.uint8))
    code, _, told, peak = measured(tmp_path, "read", path)
    assert code == 2
    assert told == [
        f"live-digits: {path} has 6000×6100 pixels; at most 36 megapixels are read: make it "
        "smaller, or raise source.max_megapixels"
    ]
    assert peak < GB / 4
    assert measured(tmp_path, "read", path, "--set", "source.max_megapixels=37")[0] == 0


def test_a_large_jpeg_is_read_at_a_part_of_its_size(tmp_path: Path) -> None:
    path = save(tmp_path / "large.jpg", digits(10_000))
    code, out, told, peak = measured(tmp_path, "read", "--json", path)
    assert code == 0, told
    found = json.loads(out)
    assert (found["width"], found["height"]) == (10_000, 10_000)
    assert found["lines"] == ["472"]
    small = json.loads(measured(tmp_path, "read", "--json",
                                save(tmp_path / "small.png", digits(1000)))[1])  # fmt: skip
    for large, other in zip(found["digits"], small["digits"], strict=True):
        assert np.abs(np.array(large["box"]) - 10 * np.array(other["box"])).max() <= 40
    assert peak < 0.45 * GB


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("most", [300 * 200, 40_000, 10_000, 2_000])
def test_boxes_of_a_reduced_picture_are_in_the_pixels_as_stored(
    tmp_path: Path, turn: int, most: int
) -> None:
    stored = np.full((200, 300), 255, np.uint8)
    stored[40:104, 160:240] = 0
    data = np.asarray(cv2.imencode(".jpg", stored)[1]).tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 3, 1, turn, 0)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    found = open_picture(path, most)
    assert found.image.shape[0] * found.image.shape[1] <= max(most, 2_100)
    assert found.stored_size == (300, 200)
    x, y, w, h = cv2.boundingRect((found.image[..., 0] < 128).astype(np.uint8))
    box = found.stored_box(Box(x, y, w, h))
    off = np.abs(np.array(box.as_list()) - np.array([160, 40, 80, 64]))
    assert off.max() <= (1 if found.reduced == 1 else found.reduced)
    assert {60_000: 1, 40_000: 2, 10_000: 4, 2_000: 8}[most] == found.reduced
    shown = found.shown_box(Box(160, 40, 80, 64))
    assert np.abs(np.array(shown.as_list()) - np.array([x, y, w, h])).max() <= 1


def test_a_progressive_jpeg_needs_the_whole_in_memory_and_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert load_picture(path)[0].size
    with pytest.raises(SourceError, match=r"a\.jpg has .* at most 0\.001 megapixels"):
        load_picture(path, 1000)


def test_pixels_of_more_than_16_bit_are_refused_by_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "_decoded", lambda *_: pytest.fail("decoded"))
    for kind, bits in ((np.float32, 32), (np.float64, 64)):
        for shape in ((20, 30), (20, 30, 3)):
            path = save(tmp_path / "deep.tif", np.zeros(shape, kind))
            with pytest.raises(SourceError, match=f"{bits}-bit pixels are not supported"):
                load_picture(path)


def test_videos_and_what_is_shown_live_heed_the_limit(shell: Shell, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 3)
    done = shell("read", path, "--set", "source.max_megapixels=1")
    assert done.code == 0, done.err
    settings = SourceSettings(max_megapixels=1)
    large = save(tmp_path / "a.png", np.full((1001, 1000), 255, np.uint8))
    with pytest.raises(SourceError, match=r"a\.png has 1000×1001 pixels; at most 1 megapixels"):
        open_source(str(large), settings)
    page = save(tmp_path / "b.jpg", np.full((1500, 2000), 255, np.uint8))
    with running(open_source(str(page), settings)) as source:
        frame = source.read(5)
        assert frame is not None
        assert frame.image.shape == (750, 1000, 3)


def test_a_video_over_the_limit_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "large.avi"
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1200, 1000))
    out.write(np.full((1000, 1200, 3), 200, np.uint8))
    out.release()
    done = shell("read", path, "--set", "source.max_megapixels=1")
    assert done.code == 2
    assert "large.avi has frames of 1200×1000 pixels; at most 1 megapixels" in done.err
    with pytest.raises(SourceError, match=r"source\.max_megapixels"):
        open_source(str(path), SourceSettings(max_megapixels=1))
    assert shell("read", path).code == 0
