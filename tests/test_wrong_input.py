"""Input that is wrong: a clear error or a right answer, whatever the file or the slider says."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from fakes import FakeClassifier, wait_until
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import av

from live_digits import classifier, cli, media
from live_digits.batch import Batch, Saver
from live_digits.classifier import ApartClassifier, LiteRTClassifier
from live_digits.config import (
    PROFILES,
    TRACKBARS,
    PipelineSettings,
    Settings,
    from_slider,
    load,
    option_of,
    parse,
    slider_max,
)
from live_digits.errors import ConfigError, LiveDigitsError, ModelError, SourceError
from live_digits.inference import InferenceWorker
from live_digits.media import load_picture, video_frames
from live_digits.pipeline import MOST_BOXES, find
from live_digits.reader import read_picture
from live_digits.types import Frame, Image

few = settings(
    deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None
)
FUZZ_SECONDS = float(os.environ.get("LIVE_DIGITS_FUZZ_SECONDS", "300"))
"""How long each of the long tests runs."""


def one_line(error: LiveDigitsError, name: str = "") -> None:
    assert name in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


# --- config files ---

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.dates() | st.binary(max_size=5)
)  # fmt: skip
KNOWN = st.sampled_from([*(f"{n}" for n in ("source", "pipeline", "model", "hands")), *TRACKBARS])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KNOWN | st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=25,
)


@few
@given(st.dictionaries(KNOWN, TREES, max_size=3) | TREES, st.booleans())
def test_any_tree_is_settings_or_one_line(tree: Any, flow: bool) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    try:
        parse(text, "c.yaml")
    except ConfigError as e:
        one_line(e, "c.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 190_000,
        "{" * 190_000,
        "? " * 90_000,
        "source:\n  fps: 1:" + ":".join(["59"] * 400) + ".5",
        "source:\n  fps: 1:" + ":".join(["59"] * 60_000),
        "pipeline:\n  blur: 0b" + "1" * 190_000,
        'model:\n  name: "\\UFFFFFFFF"',
        'model:\n  name: "\\uD800"',
        "model:\n  name: 2001-12-14t21:59:43.10-99:99",
        "a: &a [x]\n" + "".join(f"k{i}: &k{i} [*a, *a]\n" for i in range(9)),
        "pipeline: !!python/object/apply:os.system ['touch gotcha']",
    ],
    ids=lambda t: t[:24],
)
def test_texts_that_cost_time_or_run_code_are_refused(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    one_line(caught.value, "c.yaml")
    assert time.monotonic() - begun < 20
    assert not Path("gotcha").exists()


def odd_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that are no config and no picture, by what they are."""
    (folder / "folder").mkdir()
    yield "folder", folder / "folder"
    for name, content in {
        "nothing but zeros": bytes(5000),
        "utf-16": "pipeline: {blur: 5}".encode("utf-16"),
        "latin-1": "# über\npipeline: {}".encode("latin-1"),
        "noise": random.Random(0).randbytes(5000),
    }.items():
        (folder / name).write_bytes(content)
        yield name, folder / name
    with open(folder / "vast", "wb") as file:
        file.truncate(2**40)  # a hole: it takes no disk
    yield "vast", folder / "vast"
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        yield "pipe", folder / "pipe"
        yield "device", Path("/dev/zero")


def test_odd_files_are_no_config_no_picture_and_no_card(tmp_path: Path) -> None:
    for what, path in odd_files(tmp_path):
        with pytest.raises(ConfigError, match="config") as caught:
            load(path)
        one_line(caught.value, str(path))
        with pytest.raises(SourceError) as refused:
            load_picture(path)
        one_line(refused.value, str(path))
        model = tmp_path / f"model of {what}"
        model.mkdir()
        (model / "card.yaml").symlink_to(path)
        with pytest.raises(ModelError) as unread:
            classifier.load(str(model))
        one_line(unread.value, str(model))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfpipeline:\r\n  blur: 9\r\n")
    assert load(tmp_path / "c.yaml").pipeline.blur == 9


# --- pictures ---


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(image: Any, suffix: str) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return bytes(np.asarray(data).tobytes())


@cache
def seeds() -> dict[str, bytes]:
    """Small good pictures of every kind that cv2 writes, by a name."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    found = {
        s: encoded(noise, s) for s in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".gif")
    }
    found["grey.png"] = encoded(noise[..., 0], ".png")
    found["deep.png"] = encoded(noise.astype(np.uint16) * 257, ".png")
    found["deep.tif"] = encoded(noise.astype(np.uint16) * 257, ".tif")
    found["alpha.png"] = encoded(np.dstack([noise, noise[..., 0]]), ".png")
    found["grey.jpg"] = encoded(noise[..., 0], ".jpg")
    found["float.tif"] = encoded(noise.astype(np.float32), ".tif")
    return found


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The file cut anywhere, or with bytes changed, taken out or put in, mostly at its head."""
    out = bytearray(data)
    if rng.random() < 0.2:
        return bytes(out[: rng.randrange(len(out))])
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.randrange(min(len(out), 120) if rng.random() < 0.6 else len(out))
        what = rng.random()
        if what < 0.6:
            out[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif what < 0.8:
            out[at : at + 4] = rng.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\x40\0"))
        elif what < 0.9:
            del out[at : at + rng.randrange(1, 9)]
        else:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(out)


def picture_or_line(path: Path) -> None:
    try:
        image, turn = load_picture(path)
    except SourceError as e:
        one_line(e, str(path))
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= media.MOST_PIXELS
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
    monkeypatch.setattr(media, "_STRIP", 7)
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
    monkeypatch.setattr(media, "MOST_PIXELS", 64 * 48 - 1)
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


# --- files are written where they belong ---


def test_a_batch_writes_inside_its_folder_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "pictures", tmp_path / "saved"
    (inside / "deep").mkdir(parents=True)
    names = [
        "..png",
        "....png",
        "-rf.png",
        "a\nb.png",
        "deep/../x.png",
        "%s%n.png",
        "x" * 200 + ".png",
    ]
    for name in names:
        (inside / name).write_bytes(seeds()[".png"])
    (inside / "bad.png").write_bytes(b"bad")
    before = set(tmp_path.rglob("*"))
    batch = Batch([inside / n for n in [*names, "bad.png"]], Settings(), FakeClassifier())
    saver = Saver(outside, Settings())
    for item in batch:
        saver.add(item)
    saver.close()
    new = set(tmp_path.rglob("*")) - before - {outside}
    assert len(new) == len(names)
    assert all(p.parent == outside for p in new)
    assert len(batch.skipped) == 1
    assert "bad.png" in batch.skipped[0]


# --- models ---


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the study's network, which is not trusted where it lies."""
    return Path(shutil.copytree(classifier.models_folder() / "dense", tmp_path / "copy"))


def signed(folder: Path, content: bytes) -> None:
    """Makes `content` the network of a model folder, its card in order."""
    (folder / "model.tflite").write_bytes(content)
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    card["sha256"]["model.tflite"] = hashlib.sha256(content).hexdigest()
    (folder / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")


@settings(few, max_examples=25)
@given(st.integers(0, 2**32), st.booleans())
def test_a_network_changed_by_one_byte_or_cut_is_refused(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cut: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "torn"
    if not folder.exists():
        shutil.copytree(classifier.models_folder() / "dense", folder)
    good = (classifier.models_folder() / "dense" / "model.tflite").read_bytes()
    at = random.Random(seed).randrange(len(good))
    bad = good[:at] if cut else good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    (folder / "model.tflite").write_bytes(bad)
    with pytest.raises(ModelError, match="damaged or not the file its card describes") as caught:
        classifier.load(str(folder))
    one_line(caught.value)


def answers_or_line(folder: Path, content: bytes) -> None:
    """A network that its card vouches for, whatever it holds."""
    signed(folder, content)
    try:
        net = classifier.load(str(folder))
        assert isinstance(net, ApartClassifier)
        out = net.classify(np.zeros((3, 28, 28), np.uint8))
        net.close()
    except ModelError as e:
        one_line(e)
        return
    assert out.shape == (3, 11)
    assert np.isfinite(out).all()


def broken(rng: random.Random, data: bytes) -> bytes:
    """The file changed where its structure lies: at both ends."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 5))):
        at = rng.randrange(2000)
        out[at if rng.random() < 0.5 else -1 - at] = rng.choice((0, 1, 128, 255))
    return bytes(out)


def test_networks_that_are_wrong_inside_take_nothing_with_them(model: Path) -> None:
    good = (model / "model.tflite").read_bytes()
    for seed in range(6):
        answers_or_line(model, broken(random.Random(seed), good))
    for content in (b"", b"TFL3", good[: len(good) // 2], bytes(5000)):
        answers_or_line(model, content)


@pytest.mark.soak
def test_networks_that_are_wrong_inside_for_long(model: Path) -> None:
    rng, end = random.Random(), time.monotonic() + FUZZ_SECONDS
    good = (model / "model.tflite").read_bytes()
    while time.monotonic() < end:
        answers_or_line(model, broken(rng, good))


def test_a_copy_of_a_model_says_what_the_model_says(model: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (70, 28, 28), dtype=np.uint8)
    own, copy = classifier.load("dense"), classifier.load(str(model))
    assert isinstance(own, LiteRTClassifier)
    assert isinstance(copy, ApartClassifier)
    assert (own.classify(crops) == copy.classify(crops)).all()
    assert copy.classify(crops[:0]).shape == (0, 11)
    with pytest.raises(ValueError, match="expected uint8"):
        copy.classify(crops.astype(np.float32))
    copy.close()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_a_network_whose_process_dies_is_started_again(model: Path) -> None:
    nets: list[ApartClassifier] = []

    def make() -> ApartClassifier:
        net = classifier.load(str(model))
        assert isinstance(net, ApartClassifier)
        nets.append(net)
        return net

    worker = InferenceWorker(make)
    worker.start()
    crops = np.zeros((1, 28, 28), np.uint8)
    worker.submit([1], crops)
    wait_until(lambda: worker.stats.batches == 1)
    os.kill(nets[0]._network._process.pid, signal.SIGSEGV)
    worker.submit([2], crops)
    wait_until(lambda: worker.failures == 1)
    assert isinstance(worker.trouble, ModelError)
    assert "broke down" in str(worker.trouble)
    worker.submit([3], crops)
    wait_until(lambda: worker.stats.batches == 2)
    assert [a.track for a in worker.results()] == [1, 3]
    assert worker.close()
    assert len(nets) == 2


@pytest.mark.parametrize(
    "card",
    [
     "", "[]", "sha256:", "sha256: [1]", "sha256: {model.tflite: 5}", "[" * 5000, "a: &a [*a]",
     "x: 1:59:" + "59:" * 500 + "1.5", "x: 2001-99-99", "x: !!python/name:os.system", "\x00",
     "a: '",
    ],
    ids=lambda c: c[:12],
)  # fmt: skip
def test_a_card_that_is_mangled_is_one_line(model: Path, card: str) -> None:
    (model / "card.yaml").write_text(card, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        classifier.load(str(model))
    one_line(caught.value, "card.yaml")


# --- sliders ---

BARS = [option_of(PipelineSettings, name) for name in TRACKBARS]
POSITIONS = st.tuples(
    *(st.sampled_from([0, slider_max(b)]) | st.integers(-1, slider_max(b) + 1) for b in BARS)
)
SIZES = st.sampled_from(
    [(1, 1), (1, 2), (2, 1), (1, 90), (90, 1), (3, 3), (7, 5), (64, 48), (80, 120)]
)


def picture_of(kind: int, size: tuple[int, int], seed: int) -> Image:
    """Noise, one shade, a ramp, black and white, or blocks."""
    w, h = size
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 2, (h // 8 + 1, w // 8 + 1)) * 255
    kinds: list[Callable[[], Any]] = [
        lambda: rng.integers(0, 256, (h, w)),
        lambda: np.full((h, w), seed % 256),
        lambda: np.tile(np.arange(w) * 3 % 256, (h, 1)),
        lambda: rng.integers(0, 2, (h, w)) * 255,
        lambda: blocks.repeat(8, axis=0).repeat(8, axis=1)[:h, :w],
    ]
    grey = np.asarray(kinds[kind](), np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def sliders(positions: tuple[int, ...], profile: str) -> PipelineSettings:
    values: dict[str, Any] = {
        name: from_slider(bar, p) for name, bar, p in zip(TRACKBARS, BARS, positions, strict=True)
    }
    return PipelineSettings(profile=profile, **values)


def read_within(image: Image, pipeline: PipelineSettings, label: int) -> None:
    """Any reading is whole, and every box inside the picture."""
    frame = Frame(image, 0, 0.0, "a")
    reading = read_picture(frame, Settings(pipeline=pipeline), FakeClassifier(label))
    h, w = image.shape[:2]
    for box in [d.box for d in reading.digits] + list(reading.rejected):
        assert 0 <= box.x < box.right <= w
        assert 0 <= box.y < box.bottom <= h
    assert sum(len("".join(x.split())) for x in reading.lines) == len(reading.digits)


@settings(few, max_examples=300)
@given(
    POSITIONS, st.sampled_from(PROFILES), st.integers(0, 4), SIZES, st.integers(0, 999),
    st.sampled_from([7, 10]),
)  # fmt: skip
@example((0,) * 7, "classic", 0, (1, 1), 0, 7)
@example(tuple(slider_max(b) for b in BARS), "paper", 0, (1, 1), 0, 7)
def test_every_slider_anywhere_on_any_picture(
    positions: tuple[int, ...],
    profile: str,
    kind: int,
    size: tuple[int, int],
    seed: int,
    label: int,
) -> None:
    read_within(picture_of(kind, size, seed), sliders(positions, profile), label)


@pytest.mark.soak
def test_every_slider_anywhere_on_any_picture_for_long() -> None:
    rng, end = random.Random(), time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < end:
        positions = tuple(
            rng.choice((0, slider_max(b), rng.randint(0, slider_max(b)))) for b in BARS
        )
        size = rng.choice(((1, 1), (1, 3000), (2000, 2), (64, 48), (640, 480), (1280, 720)))
        image = picture_of(rng.randrange(5), size, rng.randrange(10**6))
        begun = time.monotonic()
        read_within(image, sliders(positions, rng.choice(PROFILES)), rng.choice((7, 10)))
        assert time.monotonic() - begun < 30, (positions, size)


@pytest.mark.parametrize("profile", PROFILES)
def test_grain_taken_for_edges_neither_holds_the_program_nor_fills_its_memory(profile: str) -> None:
    """Classic found 8,000 boxes here and took minutes over them, and gigabytes when live."""
    image = picture_of(0, (640, 480), 1)
    open_wide = PipelineSettings(
        profile=profile, blur=1, canny_low=0, canny_ratio=1, dilate_kernel=1, dilate_iterations=0
    )
    begun = time.monotonic()
    assert len(find(image, open_wide).candidates) <= 4 * MOST_BOXES
    read_within(image, open_wide, 7)
    assert time.monotonic() - begun < 30


# --- the command line ---


def test_wrong_files_are_one_line_and_exit_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.png").write_bytes(seeds()[".png"])
    (tmp_path / "bad.png").write_bytes(b"x")
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    (tmp_path / "folder").mkdir()
    for line in (
        "read bad.png", "read good.png --config deep.yaml", "read good.png --config folder",
        "read good.png --model folder", "read good.png --set model.name=[[[[[[[[",
        "run --source bad.png --no-window --duration 1", "run --source folder --no-window",
    ):  # fmt: skip
        assert cli.invoke(line.split()) == 2, line
        told = capfd.readouterr()
        assert "Traceback" not in told.err
        assert len(told.err.strip().splitlines()) == 1, told.err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_a_name_that_is_no_text_is_printed_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xe9.png")
    (tmp_path / name).write_bytes(seeds()[".png"])
    done = subprocess.run(
        [sys.executable, "-m", "live_digits", "read", "--json", str(tmp_path)],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["source"] == str(tmp_path / name)


# --- who imports whom first ---


@pytest.mark.parametrize(
    "module",
    ["app", "batch", "feed", "film", "media", "recorder", "recordings", "sources", "stream"],
)
def test_cv2_comes_before_av(module: str) -> None:
    """With av first, the first window hangs the process for ever: both bring a libxcb."""
    script = (
        f"import sys, live_digits.{module}; names = list(sys.modules)\n"
        "sys.exit(names.index('cv2') > names.index('av'))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_wrong_order_is_refused_before_a_window_hangs() -> None:
    script = (
        "import av, live_digits.window as w\n"
        "try: w.check_display()\n"
        "except w.DisplayError as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        env={**os.environ, "DISPLAY": ":1"},
    )  # fmt: skip
    assert "import cv2" in done.stdout or sys.platform != "linux"
