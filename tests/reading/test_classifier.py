"""Models: loaded whole or refused in one line; batches equal singles; LiteRT equals Keras."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import live_digits
from live_digits.config.settings import ReadingSettings
from live_digits.core import quiet_stderr
from live_digits.core.errors import ModelError
from live_digits.core.types import CLASSES, NOT_A_DIGIT, Image
from live_digits.reading.classifier import LiteRTClassifier, load
from live_digits.reading.keras_classifier import load_keras
from live_digits.reading.model_store import (
    CARD,
    KERAS,
    LITERT,
    find_model,
    list_models,
    models_folder,
    read_card,
)

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow is not installed (extra 'train')",
)


def digits(count: int, start: int = 0) -> tuple[Image, Image]:
    """MNIST test digits that ship with the demo, and their labels."""
    with np.load(Path(live_digits.__file__).parent / "capture" / "demo_digits.npz") as z:
        chosen = slice(start, start + count)
        return np.asarray(z["digits"][chosen], np.uint8), np.asarray(z["labels"][chosen])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A model folder that may be damaged."""
    folder = tmp_path / "mine"
    shutil.copytree(models_folder() / "dense", folder)
    return folder


def refused(name: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
    change(card)
    (folder / CARD).write_text(yaml.safe_dump(card), encoding="utf-8")


# --- what comes with the program ---


def test_dense_is_there() -> None:
    assert "dense" in list_models()
    assert find_model("dense") == models_folder() / "dense"


@pytest.mark.parametrize("name", list_models())
def test_each_model_reads_digits_with_probabilities(name: str) -> None:
    net = load(name)
    assert net.name == name
    crops, labels = digits(400)
    p = net.classify(crops)
    assert p.shape == (400, CLASSES)
    assert p.dtype == np.float32
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)
    assert (p.argmax(axis=1) == labels).mean() > 0.95


@pytest.mark.parametrize("name", list_models())
def test_each_model_knows_what_is_no_digit(name: str) -> None:
    nothing = np.zeros((3, 28, 28), np.uint8)
    nothing[1, 12:16, 1:27] = 255
    nothing[2, 4:24, 4:24] = 255
    digits = load(name).classify(nothing)[:, :NOT_A_DIGIT]
    assert digits.max() < ReadingSettings().confidence, "none of these carries a digit"


@pytest.mark.parametrize("name", list_models())
def test_each_card_describes_its_files(name: str) -> None:
    folder = models_folder() / name
    card = read_card(folder)
    for file in (LITERT, KERAS):
        assert card["sha256"][file] == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert {"architecture", "data", "seed", "metrics", "date", "licence"} <= set(card)


# --- what is refused ---


@pytest.mark.parametrize(
    "name", ["dens", "nowhere/at/all", "../dense", "dense/card.yaml", "~x", "x" * 300]
)
def test_an_unknown_name_is_answered_with_the_known_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused(name)
    assert name in message
    assert ", ".join(list_models()) in message


def test_an_own_model_wins_over_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dense").mkdir()
    assert find_model("dense") == models_folder() / "dense"
    assert find_model("./dense") == Path("dense")


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    assert "no model folder" in refused(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "5", "[a]", "name: x", "sha256: abc", "sha256: [", "\tx", "sha256:\n  model.keras: a"],
)
def test_a_card_that_says_nothing_of_the_file_is_refused(copy: Path, text: str) -> None:
    (copy / CARD).write_text(text, encoding="utf-8")
    message = refused(copy)
    assert CARD in message
    assert str(copy) in message


def test_a_card_that_is_no_text_is_refused(copy: Path) -> None:
    (copy / CARD).write_bytes(b"\xff\xfe\x00")
    assert str(copy / CARD) in refused(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / LITERT).unlink()
    assert str(copy / LITERT) in refused(copy)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "longer"])
def test_a_damaged_file_is_refused_before_it_is_opened(copy: Path, damage: str) -> None:
    content = (copy / LITERT).read_bytes()
    (copy / LITERT).write_bytes(
        {
            "flipped": content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
            "cut": content[:-1],
            "empty": b"",
            "longer": content + b"\0",
        }[damage]
    )
    message = refused(copy)
    assert "damaged" in message
    assert str(copy / LITERT) in message


def test_a_checksum_in_capitals_is_the_same(copy: Path) -> None:
    change_card(copy, lambda c: c["sha256"].update({LITERT: c["sha256"][LITERT].upper()}))
    assert load(str(copy)).classify(digits(1)[0]).shape == (1, 11)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x1c\0\0\0TFL3" + b"\0" * 64])
def test_what_is_no_network_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        LiteRTClassifier(content, name="broken")


@needs_tensorflow
@pytest.mark.parametrize(
    ("shape", "outputs", "part"),
    [((28, 28), 10, "output"), ((28, 28, 1), 11, "input"), ((32, 32), 11, "input")],
)
def test_a_network_of_another_shape_is_refused(
    copy: Path, shape: tuple[int, ...], outputs: int, part: str
) -> None:
    tf: Any = pytest.importorskip("tensorflow")

    class Network(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, *shape], tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            flat = tf.reshape(x, [-1, int(np.prod(shape))])
            return tf.nn.softmax(flat[:, :outputs])

    network = Network()
    concrete = network.__call__.get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network).convert()
    (copy / LITERT).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_card(copy, lambda c: c["sha256"].update({LITERT: digest}))
    message = refused(copy)
    assert part in message
    assert "expected" in message


@pytest.mark.parametrize(("threads", "batch"), [(0, 64), (1, 0), (-1, -1)])
def test_no_threads_or_no_batch_is_refused(threads: int, batch: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        load("dense", threads=threads, batch=batch)


# --- batches ---


@pytest.mark.parametrize("batch", [1, 3, 7, 64, 100])
def test_a_batch_equals_its_crops_one_by_one(batch: int) -> None:
    crops, _ = digits(130, 40)
    single = load("dense")
    expected = np.concatenate([single.classify(crops[i : i + 1]) for i in range(len(crops))])
    net = load("dense", batch=batch)
    for count in (130, 1, 2, 3, 64, 65, 5, 129):
        np.testing.assert_allclose(net.classify(crops[:count]), expected[:count], atol=1e-5)


def test_more_threads_say_the_same() -> None:
    crops, _ = digits(50)
    np.testing.assert_allclose(
        load("dense", threads=4).classify(crops), load("dense").classify(crops), atol=1e-5
    )


def test_no_crops_no_rows() -> None:
    net = load("dense")
    empty = np.zeros((0, 28, 28), np.uint8)
    for _ in range(2):
        p = net.classify(empty)
        assert (p.shape, p.dtype) == ((0, CLASSES), np.dtype(np.float32))
        net.classify(digits(2)[0])


def test_crops_are_not_changed_and_answers_stay() -> None:
    net = load("dense")
    crops, _ = digits(5)
    crops.flags.writeable = False
    first = net.classify(crops)
    before = first.copy()
    net.classify(digits(5, 200)[0])
    np.testing.assert_array_equal(first, before)


def test_views_of_crops_are_read_as_well() -> None:
    net = load("dense")
    crops, _ = digits(40)
    np.testing.assert_array_equal(net.classify(crops[::-4]), net.classify(crops[::-4].copy()))


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((2, 28, 28), np.float32),
        np.zeros((2, 28, 28), np.int64),
        np.zeros((2, 28, 28), bool),
        np.zeros((28, 28), np.uint8),
        np.zeros((2, 28, 28, 1), np.uint8),
        np.zeros((2, 27, 28), np.uint8),
        np.zeros((0,), np.uint8),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_other_shapes_and_types_are_refused(crops: Any) -> None:
    net = load("dense")
    with pytest.raises(ValueError, match="expected uint8"):
        net.classify(crops)
    assert net.classify(digits(1)[0]).shape == (1, 11)


# --- threads ---


def in_thread(work: Callable[[], object]) -> BaseException | None:
    """Runs `work` on a thread of its own; what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as e:
            raised.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def test_a_network_belongs_to_the_thread_that_first_used_it() -> None:
    crops, _ = digits(2)
    net = load("dense")
    assert in_thread(lambda: net.classify(crops)) is None
    with pytest.raises(RuntimeError, match="belongs to the thread"):
        net.classify(crops)
    mine = load("dense")
    mine.classify(crops)
    assert isinstance(in_thread(lambda: mine.classify(crops)), RuntimeError)
    assert mine.classify(crops).shape == (2, 11)


def test_loading_and_reading_say_nothing() -> None:
    code = (
        "import numpy as np; from live_digits.reading.classifier import load;"
        "print(load('dense').classify(np.zeros((3, 28, 28), np.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(3, 11)\n"
    assert done.stderr == ""


def test_what_the_runtime_says_in_earnest_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with quiet_stderr.quiet_stderr():
        os.write(2, b"INFO: nothing\nERROR: it burns\n")
    assert capfd.readouterr().err == "ERROR: it burns\n"


# --- Keras ---


@needs_tensorflow
@pytest.mark.parametrize("name", list_models())
def test_litert_equals_keras(name: str) -> None:
    crops, labels = digits(200)
    crops = np.concatenate([crops, np.zeros((1, 28, 28), np.uint8)])
    reference = load_keras(name, batch=64)
    p = reference.classify(crops)
    live = load(name).classify(crops)  # 8-bit: near the reference, not equal to it
    assert np.abs(live - p).mean() < 2e-3
    assert (live.argmax(axis=1) == p.argmax(axis=1)).mean() >= 0.99
    assert (p.argmax(axis=1)[:-1] == labels).mean() > 0.95
    assert reference.classify(crops[:0]).shape == (0, CLASSES)
    assert reference.name == name


@needs_tensorflow
def test_a_keras_file_is_checked_as_well(copy: Path) -> None:
    (copy / KERAS).write_bytes(b"no model")
    with pytest.raises(ModelError, match="damaged"):
        load_keras(str(copy))
    digest = hashlib.sha256(b"no model").hexdigest()
    change_card(copy, lambda c: c["sha256"].update({KERAS: digest}))
    with pytest.raises(ModelError, match="no Keras model"):
        load_keras(str(copy))
