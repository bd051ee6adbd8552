"""What a network is shown: every crop once an epoch, the same for the same seed, each time anew."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from live_digits.capture import demo_scene
from live_digits.core.types import CLASSES, CROP_SIZE, NOT_A_DIGIT
from live_digits.training import datasets
from live_digits.training.batches import BATCH, Batches


def numbered(count: int) -> datasets.Pool:
    """Crops whose first two pixels are their number."""
    crops = np.zeros((count, CROP_SIZE, CROP_SIZE), np.uint8)
    crops[:, 0, 0], crops[:, 0, 1] = np.divmod(np.arange(count), 256)
    labels = (np.arange(count) % CLASSES).astype(np.uint8)
    return datasets.pool({"numbered": (crops, labels)})


def numbers(crops: np.ndarray) -> list[int]:
    high, low = (np.rint(crops[:, 0, k] * 255).astype(int) for k in (0, 1))
    return list(256 * high + low)


def written(source: str) -> datasets.Pool:
    """A batch of the demo's digits, under the name of a source."""
    crops, labels = demo_scene.digit_pictures()
    return datasets.pool({source: (np.resize(crops, (BATCH, *crops.shape[1:])),
                               np.resize(labels, BATCH))})  # fmt: skip


def test_an_epoch_shows_every_crop_once_and_the_next_in_another_order() -> None:
    pool = numbered(3 * BATCH)
    batches = Batches(pool, seed=1, changed=False)
    assert batches.steps == 3
    epochs = [
        [n for step in range(3) for n in numbers(batches[3 * epoch + step][0])]
        for epoch in range(2)
    ]
    assert [sorted(shown) for shown in epochs] == [list(range(len(pool)))] * 2
    assert epochs[0] != epochs[1]


def test_labels_go_with_their_crops_and_are_smoothed() -> None:
    x, y = Batches(numbered(2 * BATCH), seed=2, changed=False, smoothing=0.11)[1]
    assert list(y.argmax(axis=1)) == [n % CLASSES for n in numbers(x)]
    assert y.sum(axis=1) == pytest.approx(np.ones(BATCH))
    assert sorted({round(float(v), 4) for v in y.ravel()}) == [0.01, 0.9]


def test_a_batch_is_the_same_for_the_same_seed_in_whatever_order_it_is_asked_for() -> None:
    pool = numbered(2 * BATCH)
    forwards, backwards, other = (Batches(pool, seed) for seed in (3, 3, 4))
    ours = [forwards[n] for n in range(6)]
    theirs = [backwards[n] for n in reversed(range(6))][::-1]
    for (a, b), (c, d) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert (ours[0][1] != other[0][1]).any()


def test_crops_are_changed_each_time_anew_and_those_of_drawn_pages_less() -> None:
    changes = {}
    for source in ("scans", datasets.PAGE_DIGITS):
        pool = written(source)
        changed = [Batches(pool, seed=5)[n][0] for n in range(2)]
        plain = [Batches(pool, seed=5, changed=False)[n][0] for n in range(2)]
        assert all(x.min() >= 0 and x.max() <= 1 for x in changed)
        # The second epoch has another order: its own crops unchanged are what to compare with.
        changes[source] = [float(np.abs(a - b).mean()) for a, b in zip(changed, plain, strict=True)]
        assert len(set(changes[source])) == 2
    assert 0 < max(changes[datasets.PAGE_DIGITS]) < 0.8 * min(changes["scans"])


def test_a_pool_without_digits_is_shown_as_well() -> None:
    crops = np.full((BATCH, CROP_SIZE, CROP_SIZE), 9, np.uint8)
    pool = datasets.pool({"not a digit": (crops, np.full(BATCH, NOT_A_DIGIT, np.uint8))})
    assert set(Batches(pool, seed=0)[0][1].argmax(axis=1)) == {NOT_A_DIGIT}


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs extra train")
def test_tensorflow_is_given_every_batch_in_order() -> None:
    batches = Batches(numbered(3 * BATCH), seed=6, smoothing=0.02)
    given = list(batches.dataset(epochs=2).as_numpy_iterator())
    assert len(given) == 6
    for n, (x, y) in enumerate(given):
        np.testing.assert_array_equal(x, batches[n][0])
        np.testing.assert_array_equal(y, batches[n][1])
