"""Trains the judge: first what sees a candidate and its surroundings, then its neighbours.

Both train on drawn pages only, each on pages of its own: what the first says of pages that it
trained on would be surer than what it says of others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from live_digits.core.types import NOT_A_DIGIT, Floats, Image
from live_digits.reading.candidate_selection import select
from live_digits.reading.classes import JUDGED
from live_digits.reading.cutouts import Cutouts
from live_digits.reading.neighbours import page_features
from live_digits.training import judge_networks as networks
from live_digits.training.labelling import read_as
from live_digits.training.networks import keras_module
from live_digits.training.page_set import Sample, Told

BATCH = 256
"""Candidates of a batch."""
_AHEAD = 8
"""Batches that are made before they are asked for."""
_TEMPERATURES = tuple(float(t) for t in np.exp(np.linspace(np.log(0.5), np.log(2.5), 41)))


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """How long and how hard the judge trains: epochs and rates of both networks, and the pages of
    the second; `blink` is the share of neighbours that are hidden from it at random."""

    epochs: int = 5
    rate: float = 1.5e-3
    judge_pages: int = 2_000
    judge_epochs: int = 20
    judge_rate: float = 2e-3
    decay: float = 1e-3
    blink: float = 0.4


Watch = Callable[[int, int, float, float], None]
"""Is told steps done, steps in all, loss and accuracy."""


def _keras_watch(watch: Watch | None, total: int) -> list[Any]:
    if watch is None:
        return []
    done = 0

    def after(batch: int, logs: Any = None) -> None:
        nonlocal done
        del batch
        done += 1
        now = logs or {}
        watch(done, total, float(now.get("loss", 0)), float(now.get("accuracy", 0)))

    return [keras_module().callbacks.LambdaCallback(on_train_batch_end=after)]


Batch = tuple[npt.NDArray[Any], ...]
"""Inputs of a network, then labels and weights, a row a candidate."""


class _Lots:
    """Which rows make a batch, epoch after epoch, and a generator for each batch."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._steps = max(1, count // BATCH)
        self._last = (-1, np.zeros(0, np.int64))

    def __call__(self, number: int) -> tuple[npt.NDArray[np.int64], np.random.Generator]:
        """Returns the rows of the batch of this number, counted from the first epoch on."""
        epoch, index = divmod(number, self._steps)
        at, order = self._last  # TensorFlow may make two batches at a time
        if at != epoch:
            order = np.random.default_rng((self._seed, epoch)).permutation(self._count)
            self._last = epoch, order
        rows = np.sort(order[index * BATCH : (index + 1) * BATCH])
        return rows, np.random.default_rng((self._seed, epoch, index))


def _batches(make: Callable[[int], Batch], total: int) -> Any:
    """So many batches, each of inputs, labels and weights, made ahead of their use."""
    import tensorflow as tf

    first = make(0)
    kinds = [part.dtype for part in first]
    shapes = [(None, *part.shape[1:]) for part in first]

    def made(number: Any) -> tuple[Any, Any, Any]:
        parts = tf.numpy_function(lambda n: make(int(n)), [number], kinds, stateful=False)
        parts = [tf.ensure_shape(x, shape) for x, shape in zip(parts, shapes, strict=True)]
        return tuple(parts[:-2]), parts[-2], parts[-1]

    return tf.data.Dataset.range(total).map(made).prefetch(_AHEAD)


def _optimizer(rate: float, total: int, decay: float) -> Any:
    keras = keras_module()
    warm = max(1, total // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 20, max(1, total - warm), alpha=0.01, warmup_target=rate, warmup_steps=warm
    )
    momentum = min(0.998, max(0.0, 1 - 10 / total))
    return keras.optimizers.AdamW(schedule, weight_decay=decay, use_ema=True, ema_momentum=momentum)


def fit_context(
    crop_network: Any, train: Sample, held: Sample, recipe: JudgeRecipe, seed: int,
    watch: Watch | None = None,
) -> tuple[Any, list[dict[str, float]]]:  # fmt: skip
    """Trains the first network on top of the crop network, which stays as it is.

    Returns:
        The Keras model (`judge_networks.context_network`) with calibrated probabilities, and its
        curve, a row an epoch.
    """
    keras = keras_module()
    taught, of = _taught(train), _taught(held)
    features = networks.features_of(crop_network)
    seen, inputs = (_seen(features, sample.cutouts) for sample in (taught, of))
    head = networks.context_head(seen[0].shape[1])
    steps = max(1, len(taught.labels) // BATCH)
    total = steps * recipe.epochs
    head.compile(
        _optimizer(recipe.rate, total, recipe.decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    weights = taught.weights / taught.weights.mean()
    lots = _Lots(len(taught.labels), seed)

    def batch(number: int) -> Batch:
        rows, rng = lots(number)
        pooled, said, near, wide, shapes = (part[rows] for part in seen)
        relit(near, wide, rng)
        labels = taught.labels[rows].astype(np.int32)
        return pooled.astype(np.float32), said, near, wide, shapes, labels, weights[rows]

    labels = of.labels.astype(np.int32)
    history = head.fit(
        _batches(batch, total),
        epochs=recipe.epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        validation_data=(list(inputs), labels, of.weights / of.weights.mean()),
        validation_batch_size=1024, callbacks=_keras_watch(watch, total),
    )  # fmt: skip
    out = np.asarray(head.predict(list(inputs), batch_size=1024, verbose=0), np.float64)
    temperature = best_temperature(out, of.labels, of.weights)
    network = networks.context_network(features, head)
    return networks.finished(network, temperature), _curve(history)


def _seen(features: Any, cuts: Cutouts) -> tuple[npt.NDArray[Any], ...]:
    """What the head is shown, in its order; pooled features are kept in half precision."""
    parts = [
        features.predict_on_batch(cuts.crops[at : at + 2048].astype(np.float32) / 255)
        for at in range(0, len(cuts), 2048)
    ]
    pooled = np.concatenate([part[0].astype(np.float16) for part in parts])
    said = np.concatenate([part[1] for part in parts])
    return pooled, said, cuts.near, cuts.wide, cuts.shapes


def relit(near: Image, wide: Image, rng: np.random.Generator) -> None:
    """Changes the light of N candidates' windows at random, in place, as a camera does."""
    gain = rng.uniform(0.85, 1.15, (len(near), 1, 1)).astype(np.float32)
    lift = rng.uniform(-12, 12, (len(near), 1, 1)).astype(np.float32)
    for window in (near, wide):
        grey = window[..., 1]
        changed = np.clip(grey * gain + lift, 1, 255).astype(np.uint8)
        window[..., 1] = np.where(grey > 0, changed, 0)


def _taught(sample: Sample) -> Sample:
    rows = np.flatnonzero(sample.labels >= 0)
    return Sample(
        sample.cutouts.rows(rows), sample.labels[rows], sample.alike[rows], sample.weights[rows]
    )


def _curve(history: Any) -> list[dict[str, float]]:
    rows = len(history.history["loss"])
    return [
        {key: round(float(values[i]), 5) for key, values in history.history.items()}
        for i in range(rows)
    ]


def best_temperature(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.integer[Any]], weights: Floats
) -> float:
    """Returns the temperature of the least negative log likelihood of N×14 weighted logits."""
    rows = np.arange(len(labels))

    def loss(t: float) -> float:
        z = logits / t
        z = z - z.max(axis=1, keepdims=True)
        lost = np.log(np.exp(z).sum(axis=1)) - z[rows, labels]
        return float(np.average(lost, weights=weights))

    return min(_TEMPERATURES, key=loss)


def fit_judge(
    pages: Sequence[Told], held: Sequence[Told], recipe: JudgeRecipe, seed: int,
    watch: Watch | None = None,
) -> tuple[Any, dict[str, float], list[dict[str, float]]]:  # fmt: skip
    """Trains the second network on what the first says of pages that it has not seen.

    Returns:
        The Keras model with calibrated probabilities, figures of the held pages, and the curve.
    """
    keras = keras_module()
    own, pairs, there, labels, weights = _rows(pages)
    network = networks.judge_network()
    steps = max(1, len(labels) // BATCH)
    total = steps * recipe.judge_epochs
    network.compile(
        _optimizer(recipe.judge_rate, total, recipe.decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    lots = _Lots(len(labels), seed)

    def batch(number: int) -> Batch:
        rows, rng = lots(number)
        here = blinking(there[rows], recipe.blink, rng)
        return own[rows], pairs[rows] * here[..., None], here, labels[rows], weights[rows]

    *inputs, held_labels, held_weights = _rows(held)
    history = network.fit(
        _batches(batch, total),
        epochs=recipe.judge_epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        validation_data=(inputs, held_labels, held_weights), validation_batch_size=4096,
        callbacks=_keras_watch(watch, total),
    )  # fmt: skip
    logits = np.asarray(network.predict(inputs, batch_size=4096, verbose=0), np.float64)
    temperature = best_temperature(logits, held_labels, held_weights)
    finished = networks.finished(network, temperature)
    told = page_figures(finished, held) | {"temperature": round(temperature, 3)}
    return finished, told, _curve(history)


def blinking(there: Floats, share: float, rng: np.random.Generator) -> Floats:
    """Returns which neighbours are there when some are lost, as from look to look."""
    kept = rng.random(there.shape) >= share
    return np.asarray(there * kept, np.float32)


def _rows(
    pages: Sequence[Told],
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int32], Floats]:
    """What trains the second network, a row a candidate; each counts less on a full page."""
    parts = []
    for page in pages:
        asked, own, pairs, there = page_features(page.candidates, page.evidence)
        keep = page.labels[asked] >= 0
        count = int(keep.sum())
        weights = np.full(count, max(1, count) ** -0.5, np.float32)
        labels = page.labels[asked][keep].astype(np.int32)
        parts.append((own[keep], pairs[keep], there[keep], labels, weights))
    own, pairs, there, labels, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return own, pairs, there, labels, weights / weights.mean()


def page_figures(network: Any, pages: Sequence[Told], confidence: float = 0.6) -> dict[str, float]:
    """Returns recall, precision and F1 of whole pages, by candidates that are digits."""
    right = read = true = 0
    for page in pages:
        asked, own, pairs, there = page_features(page.candidates, page.evidence)
        true += int(((page.labels >= 0) & (page.labels < NOT_A_DIGIT)).sum())
        labels = read_as(page.labels)
        if not len(asked):
            continue
        p = np.zeros((len(page.labels), JUDGED), np.float32)
        p[asked] = network.predict_on_batch([own, pairs, there])
        for i in select(page.candidates, p):
            digit = int(p[i, :NOT_A_DIGIT].argmax())
            if p[i, digit] < confidence or labels[i] < 0:
                continue
            read += 1
            right += int(labels[i] == digit)
    recall, precision = right / max(1, true), right / max(1, read)
    f1 = 2 * recall * precision / max(1e-9, recall + precision)
    return {"recall": round(recall, 4), "precision": round(precision, 4), "f1": round(f1, 4)}
