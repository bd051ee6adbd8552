"""The manual of `import live_digits`: every way in, every answer, every refusal."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeClassifier
from program_kit import environment

import live_digits
from live_digits import api
from live_digits.core.types import Image

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def page(text: str = "3863") -> Image:
    image = np.full((240, 480, 3), 235, np.uint8)
    cv2.putText(image, text, (60, 160), cv2.FONT_HERSHEY_SIMPLEX, 3, (60, 50, 40), 7)
    return image


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    cv2.imwrite(str(path), page())
    return path


# --- pictures ---


def test_a_file_and_its_pixels_are_read_alike(file: Path) -> None:
    by_name, by_path, by_pixels = (live_digits.read(source) for source in (str(file), file, page()))
    assert by_name.lines == by_path.lines == by_pixels.lines == ("3863",)
    assert by_name.digits == by_pixels.digits
    first = by_name.digits[0]
    assert (first.digit, first.track) == (3, 1)
    assert first.confidence > 0.6
    assert 0 < first.box.x < 120
    assert (by_name.width, by_name.height) == (480, 240)


def test_grey_pixels_are_read_as_coloured_ones() -> None:
    grey = cv2.cvtColor(page(), cv2.COLOR_BGR2GRAY)
    assert live_digits.read(np.asarray(grey)).lines == ("3863",)


def test_pixels_may_be_a_view_and_are_never_written_to() -> None:
    image = page()
    image.flags.writeable = False
    assert live_digits.read(image[::1, ::-1][:, ::-1]).lines == ("3863",)


def test_settings_and_model_are_the_users() -> None:
    strict = live_digits.Settings()
    strict = replace(strict, reading=replace(strict.reading, confidence=1.0))
    assert live_digits.read(page(), settings=strict).lines == ()
    assert live_digits.read(page(), model="dense").lines


# --- one reader for many ---


def test_a_reader_reads_one_by_one_and_only_when_asked(file: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "second.png"), page("5"))
    asked: list[str] = []

    def sources() -> Iterator[Path]:
        for path in (file, tmp_path / "second.png"):
            asked.append(path.name)
            yield path

    readings = live_digits.DigitReader().read_many(sources())
    assert asked == []
    assert next(readings).lines == ("3863",)
    assert asked == ["page.png"]
    assert [r.lines for r in readings] == [("5",)]


def test_read_many_takes_folders_in_order_and_videos_frame_by_frame(tmp_path: Path) -> None:
    for name in ("a10.png", "a9.png"):
        cv2.imwrite(str(tmp_path / name), page())
    found = [Path(r.source).name for r in live_digits.DigitReader().read_many([str(tmp_path)])]
    assert found == ["a9.png", "a10.png"]
    film = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"mp4v"), 30, (480, 240))
    for _ in range(5):
        writer.write(page())
    writer.release()
    readings = list(live_digits.DigitReader().read_many([film]))
    assert [r.frame for r in readings] == [0, 1, 2, 3, 4]
    assert {r.lines for r in readings} == {("3863",)}
    assert len({r.digits[0].track for r in readings}) == 1


def test_a_reader_serves_several_threads() -> None:
    reader = live_digits.DigitReader()
    lines: list[tuple[str, ...]] = []
    threads = [
        threading.Thread(target=lambda: lines.append(reader.read(page()).lines)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert lines == [("3863",)] * 3


def test_a_classifier_of_ones_own_takes_the_networks_place() -> None:
    reader = live_digits.DigitReader(FakeClassifier(lambda crop: 7))
    assert set("".join(reader.read(page()).lines)) == {"7"}


# --- what moves ---


def test_a_stream_gives_readings_and_lets_go() -> None:
    with live_digits.stream("demo") as readings:
        seen = [next(readings) for _ in range(4)]
        assert readings.frame is not None
        assert readings.source.info.kind == "demo"
    assert seen[-1].lines
    assert [r.frame for r in seen] == sorted({r.frame for r in seen})
    with pytest.raises(StopIteration):
        next(readings)
    readings.close()


def test_a_files_stream_ends_with_the_file(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), page())
    readings = live_digits.stream(tmp_path / "one.png", every_frame=True)
    first = next(iter(readings))
    assert first.lines == ("3863",)
    readings.close()


def test_frames_of_ones_own_keep_their_tracks() -> None:
    frames = (page() for _ in range(6))
    readings = list(live_digits.DigitReader().follow(frames, fps=30))
    assert [r.time for r in readings] == pytest.approx([n / 30 for n in range(6)])
    assert len({tuple(d.track for d in r.digits) for r in readings}) == 1


# --- readings as other tools take them ---


def test_a_reading_as_plain_values() -> None:
    content = live_digits.read(page()).as_dict(rejected=True)
    assert content["lines"] == ["3863"]
    assert set(content["digits"][0]) == {"box", "digit", "confidence", "track"}
    assert isinstance(content["rejected"], list)


def test_a_reading_as_detections_of_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    made = types.SimpleNamespace(Detections=lambda **fields: fields)
    monkeypatch.setitem(sys.modules, "supervision", made)
    reading = live_digits.read(page())
    fields = reading.to_supervision()
    assert fields["xyxy"].shape == (4, 4)
    assert fields["class_id"].tolist() == [3, 8, 6, 3]
    assert fields["data"]["class_name"].tolist() == ["3", "8", "6", "3"]
    box = reading.digits[0].box
    assert fields["xyxy"][0].tolist() == [box.x, box.y, box.right, box.bottom]
    nothing = live_digits.read(np.full((50, 50), 255, np.uint8)).to_supervision()
    assert nothing["xyxy"].shape == (0, 4)


def test_without_supervision_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(live_digits.LiveDigitsError, match="pip install supervision"):
        live_digits.read(page()).to_supervision()


# --- refusals ---


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4)), "float64.*astype"),
        (np.zeros((0, 4), np.uint8), "empty array, 0 × 4"),
        (np.zeros((4, 4, 4), np.uint8), "4 × 4 × 4.*drop the fourth"),
        (np.zeros((4, 4, 2), np.uint8), "4 × 4 × 2, expected"),
        (np.zeros(4, np.uint8), "got 4, expected"),
        (np.array(5, np.uint8), "no dimension"),
        ([[1, 2]], "got list, expected a path"),
        (None, "got NoneType"),
        ("nothing.png", r"nothing\.png cannot be read"),
        ("clip.mp4", "is a video; .*stream or read_many"),
        ("http://me:secret@host/a.jpg", r"me:\*\*\*@host.* is an address"),
    ],
)
def test_wrong_input_is_an_error_that_says_what_to_do(source: object, message: str) -> None:
    with pytest.raises(live_digits.SourceError, match=message) as caught:
        live_digits.read(source)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_or_source_is_an_error_at_once() -> None:
    with pytest.raises(live_digits.ModelError):
        live_digits.DigitReader("no such model")
    with pytest.raises(live_digits.SourceError):
        live_digits.stream("no/such/file.mp4")


# --- the package ---


def test_importing_loads_neither_opencv_nor_numpy() -> None:
    code = (
        "import sys; before = set(sys.modules); import live_digits; "
        "print(len(set(sys.modules) - before), 'numpy' in sys.modules, 'cv2' in sys.modules); "
        "print(set(live_digits.__all__) <= set(dir(live_digits)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    count, numpy, opencv = done.stdout.splitlines()[0].split()
    assert (numpy, opencv) == ("False", "False")
    assert int(count) < 40
    assert done.stdout.splitlines()[1] == "True"


def test_a_missing_system_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        del name
        raise ImportError("libGL.so.1: cannot open shared object file: No such file")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ImportError, match="apt-get install libgl1"):
        _ = live_digits.read


def test_every_public_name_is_there_and_no_other() -> None:
    for name in live_digits.__all__:
        assert getattr(live_digits, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = live_digits.nothing


def test_the_examples_in_docstrings_hold() -> None:
    failed, tried = doctest.testmod(api)
    assert tried >= 6
    assert failed == 0


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs a checkout, not an installed copy")
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("read_picture.py", ("PAGE", "TABLE"), "3863"),
        ("webcam_numbers.py", ("demo", "2"), "|"),
        ("own_source.py", ("90",), "372"),
        ("own_classifier.py", ("PAGE", "DIGITS"), ""),
    ],
)
def test_each_example_runs(
    file: Path, tmp_path: Path, name: str, arguments: tuple[str, ...], said: str
) -> None:
    digits = ROOT / "live_digits" / "capture" / "demo_digits.npz"
    with np.load(digits) as data:
        np.savez(tmp_path / "digits.npz", crops=data["digits"], labels=data["labels"])
    names = {
        "PAGE": str(file),
        "TABLE": str(tmp_path / "table.csv"),
        "DIGITS": str(tmp_path / "digits.npz"),
    }
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *(names.get(a, a) for a in arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
        env=environment(PYTHONIOENCODING="utf-8"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    if "TABLE" in arguments:
        assert len((tmp_path / "table.csv").read_text().splitlines()) == 5


def test_an_example_with_a_wrong_file_ends_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "read_picture.py"), str(tmp_path / "none.png")],
        capture_output=True, text=True, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
