"""Networks and cards that are damaged: refused in one line, and nothing dies with them."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from fakes import asking, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from wrong_kit import FUZZ_SECONDS, few, one_line

from live_digits.core.errors import ModelError
from live_digits.reading import classifier, model_store
from live_digits.reading.classifier import IsolatedClassifier, LiteRTClassifier
from live_digits.reading.worker import InferenceWorker


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the study's network, which is not trusted where it lies."""
    return Path(shutil.copytree(model_store.models_folder() / "dense", tmp_path / "copy"))


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
        shutil.copytree(model_store.models_folder() / "dense", folder)
    good = (model_store.models_folder() / "dense" / "model.tflite").read_bytes()
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
        assert isinstance(net, IsolatedClassifier)
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
    assert isinstance(copy, IsolatedClassifier)
    assert (own.classify(crops) == copy.classify(crops)).all()
    assert copy.classify(crops[:0]).shape == (0, 11)
    with pytest.raises(ValueError, match="expected uint8"):
        copy.classify(crops.astype(np.float32))
    copy.close()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_a_network_whose_process_dies_is_started_again(model: Path) -> None:
    nets: list[IsolatedClassifier] = []

    def make() -> IsolatedClassifier:
        net = classifier.load(str(model))
        assert isinstance(net, IsolatedClassifier)
        nets.append(net)
        return net

    worker = InferenceWorker(make)
    worker.start()
    crops = np.zeros((1, 28, 28), np.uint8)
    worker.submit(asking([1], crops))
    wait_until(lambda: worker.stats.batches == 1)
    os.kill(nets[0]._network._process.pid, signal.SIGSEGV)
    worker.submit(asking([2], crops))
    wait_until(lambda: worker.failures == 1)
    assert isinstance(worker.trouble, ModelError)
    assert "broke down" in str(worker.trouble)
    worker.submit(asking([3], crops))
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
