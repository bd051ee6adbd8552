"""`live-digits read` as users meet it."""

from __future__ import annotations

import csv
import io
import signal
import struct
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from cli_kit import (
    HEIGHT,
    PATIENCE,
    POSIX,
    WIDTH,
    Shell,
    check_schema,
    decoded,
    draw,
    film,
    one_line,
    right,
    scene,
)

from live_digits.core.geometry import Box
from live_digits.core.types import Image

# --- read ---


def test_pictures_are_read_in_the_order_given(shell: Shell, tmp_path: Path) -> None:
    files = [draw(tmp_path / "b.jpg", 1), draw(tmp_path / "a.png", 2), draw(tmp_path / "c.bmp", 3)]
    done = shell("read", "--json", *files)
    assert (done.code, done.err) == (0, "")
    entries = done.json()
    assert len(entries) == 3
    for file, seed, entry in zip(files, (1, 2, 3), entries, strict=True):
        check_schema(entry, str(file), WIDTH, HEIGHT)
        assert (entry["frame"], entry["time"]) == (0, 0.0)
        assert right(entry, seed) >= 0.8
        assert [d["track"] for d in entry["digits"]] == list(range(1, len(entry["digits"]) + 1))
    text = shell("read", *files)
    assert (text.code, text.err) == (0, "")
    told = [" / ".join(e["lines"]) for e in entries]
    wanted = [f"{file}: {lines}" for file, lines in zip(files, told, strict=True)]
    assert text.out.splitlines() == wanted


def test_a_relative_path_stays_as_it_was_given(shell: Shell) -> None:
    draw(shell.folder / "a.png")
    (entry,) = shell("read", "--json", "a.png").json()
    assert entry["source"] == "a.png"


def test_csv_says_the_same_as_json(shell: Shell, tmp_path: Path) -> None:
    file = draw(tmp_path / "a, b.png", 4)
    done = shell("read", "--csv", file)
    assert (done.code, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    (entry,) = shell("read", "--json", file).json()
    assert len(rows) == len(entry["digits"]) > 0
    for row, digit in zip(rows, entry["digits"], strict=True):
        assert row["source"] == str(file)
        assert [int(row[k]) for k in ("x", "y", "w", "h")] == digit["box"]
        assert int(row["digit"]) == digit["digit"]
        assert float(row["confidence"]) == pytest.approx(digit["confidence"], abs=1e-4)
    lines = ["".join(r["digit"] for r in rows if r["line"] == str(n + 1)) for n in range(9)]
    assert [line for line in lines if line] == [s.replace(" ", "") for s in entry["lines"]]


@pytest.mark.parametrize("turned", [1, 6])
def test_json_tells_the_rejected_boxes_where_they_are_asked_for(
    shell: Shell, tmp_path: Path, turned: int
) -> None:
    """A floor of 1 lets hardly any digit pass: the others are told, with why."""
    stored = np.ascontiguousarray(np.rot90(scene(4).render(0.0), 1 if turned == 6 else 0))
    file = with_exif(tmp_path / "a.jpg", stored, turned)
    strict = ("--set", "reading.confidence=1")
    (usual,) = shell("read", "--json", *strict, file).json()
    done = shell("read", "--json", "--rejected", *strict, file)
    assert (done.code, done.err) == (0, "")
    (entry,) = done.json()
    told = entry.pop("rejected")
    assert entry == usual
    assert all(set(r) == {"box", "reason", "confidence"} for r in told)
    assert {r["reason"] for r in told} <= {"letter", "sign", "part", "mark", "unsure"}
    assert all(0 <= r["confidence"] <= 1 for r in told)
    boxes = [Box(*r["box"]) for r in told]
    truth = [box for box, _ in scene(4).truth(0.0)]
    stored_at = [Box(b.y, WIDTH - b.right, b.h, b.w) if turned == 6 else b for b in truth]
    near = [max(there.iou(box) for box in boxes) > 0.5 for there in stored_at]
    read = len(entry["digits"])
    assert sum(near) + read >= len(truth), "each digit is told, where the stored picture has it"
    assert sum(near) >= len(truth) // 2


def test_rejected_boxes_of_a_video_stand_in_every_line(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4", frames=4)
    done = shell("read", "--json", "--rejected", "--set", "reading.confidence=1", video)
    assert (done.code, done.err) == (0, "")
    assert all(entry["rejected"] for entry in done.json())


@pytest.mark.parametrize("form", [(), ("--csv",)])
def test_rejected_boxes_without_json_are_one_line(
    shell: Shell, tmp_path: Path, form: tuple[str, ...]
) -> None:
    one_line(shell("read", "--rejected", *form, draw(tmp_path / "a.png")), "--json")


def test_an_unreadable_picture_in_a_folder_is_named_and_the_rest_is_read(
    shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    draw(folder / "page2.png", 1)
    draw(folder / "page10.png", 2)
    (folder / "page3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no picture")
    done = shell("read", "--json", folder)
    one_line(done, "page3.png", code=1)
    names = [Path(entry["source"]).name for entry in done.json()]
    assert names == ["page2.png", "page10.png"]


def test_a_video_is_one_line_a_frame(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4")
    done = shell("read", "--json", video)
    assert (done.code, done.err) == (0, "")
    entries = done.json()
    assert [e["frame"] for e in entries] == list(range(12))
    np.testing.assert_allclose([e["time"] for e in entries], np.arange(12) / 10, atol=0.002)
    for entry in entries:
        check_schema(entry, str(video), 480, 270)
    tracks = [{d["track"] for d in e["digits"]} for e in entries[4:]]
    assert len(set.intersection(*tracks)) >= 4, "digits keep their ids"


def test_saved_copies_are_annotated_and_overwrite_nothing(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other").mkdir()
    picture, twin = draw(tmp_path / "in" / "a.png"), draw(tmp_path / "in" / "other" / "a.jpg", 2)
    video = film(tmp_path / "in" / "v.mp4")
    out = tmp_path / "new" / "copies"
    before = {p: p.read_bytes() for p in (picture, twin, video)}
    contents: list[dict[str, bytes]] = []
    for _ in range(2):
        done = shell("read", "--save", out, picture, twin, video)
        assert (done.code, done.err) == (0, "")
        contents.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert set(contents[0]) == {"a.png", "a_2.png", "v.mp4"}
    assert set(contents[1]) - set(contents[0]) == {"a_3.png", "a_4.png", "v_2.mp4"}
    assert all(contents[1][name] == data for name, data in contents[0].items())
    assert all(p.read_bytes() == data for p, data in before.items())
    assert decoded(out / "v.mp4") == decoded(out / "v_2.mp4") == 12
    copy, original = cv2.imread(str(out / "a.png")), cv2.imread(str(picture))
    assert copy is not None
    assert original is not None
    assert copy.shape == original.shape
    changed = np.abs(copy.astype(int) - original).max(axis=2) > 40
    for box, _ in scene(0).truth(0.0):
        around = changed[max(0, box.y - 12) : box.bottom + 12, max(0, box.x - 12) : box.right + 12]
        assert around.any(), "a frame around each digit"


def test_a_folder_for_copies_may_be_the_pictures_own(shell: Shell, tmp_path: Path) -> None:
    picture = draw(tmp_path / "a.png")
    before = picture.read_bytes()
    assert shell("read", "--save", tmp_path, picture).code == 0
    assert picture.read_bytes() == before
    assert (tmp_path / "a_2.png").is_file()


def with_exif(path: Path, image: Image, orientation: int) -> Path:
    """A JPEG whose EXIF says how to turn it."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 97])
    assert ok
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    content = b"Exif\x00\x00" + tiff
    block = struct.pack(">HH", 0xFFE1, len(content) + 2) + content
    jpeg = np.asarray(data).tobytes()
    path.write_bytes(jpeg[:2] + block + jpeg[2:])
    return path


@pytest.mark.parametrize("orientation", [6, 3])
def test_boxes_of_a_turned_picture_are_in_its_stored_pixels(
    shell: Shell, tmp_path: Path, orientation: int
) -> None:
    page = scene(5).render(0.0)
    stored = np.ascontiguousarray(np.rot90(page, 1 if orientation == 6 else 2))
    turned = with_exif(tmp_path / "turned.jpg", stored, orientation)
    upright = with_exif(tmp_path / "upright.jpg", page, 1)
    first, second = shell("read", "--json", upright, turned).json()
    height, width = stored.shape[:2]
    check_schema(second, str(turned), width, height)
    assert right(first, 5) >= 0.8
    assert first["lines"] == second["lines"], "read the right way up"
    for a, b in zip(first["digits"], second["digits"], strict=True):
        x, y, w, h = a["box"]
        there = Box(y, WIDTH - x - w, h, w)
        if orientation == 3:
            there = Box(WIDTH - x - w, HEIGHT - y - h, w, h)
        assert there.iou(Box(*b["box"])) > 0.85


@POSIX
@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell, tmp_path: Path, form: str) -> None:
    video = film(tmp_path / "page.mp4", frames=60)
    process = shell.start("read", form, video)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.stderr.close()
    assert (process.returncode, err) == (0, "")


@POSIX
def test_an_interrupted_reading_ends_without_a_traceback(shell: Shell, tmp_path: Path) -> None:
    video = film(tmp_path / "page.mp4", frames=900)
    process = shell.start("read", "--json", video, "--save", "copies")
    assert process.stdout is not None
    assert process.stderr is not None
    drain = threading.Thread(target=process.stdout.read)
    try:
        assert all(process.stdout.readline() for _ in range(5))
        process.send_signal(signal.SIGINT)
        drain.start()
        err = process.stderr.read()
        process.wait(PATIENCE)
    finally:
        process.kill()
        drain.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert decoded(shell.folder / "copies" / "page.mp4") >= 1
