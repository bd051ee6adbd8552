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

from live_digits.reading.candidate_selection import select
from live_digits.reading.classes import JUDGED
from live_digits.reading.cutouts import Cutouts
from live_digits.reading.neighbours import page_features
from live_digits.training import judge_networks as networks
from live_digits.training.augment import augment
from live_digits.training.batches import GENTLE
from live_digits.training.labelling import read_as
from live_digits.training.models import keras_module
from live_digits.training.page_set import Sample, Told
from live_digits.types import NOT_A_DIGIT, Floats

BATCH = 256
"""Candidates of a batch."""
_BIASES = (-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5)
"""Numbers added to the logits of what is no digit that are tried."""
_TEMPERATURES = tuple(float(t) for t in np.exp(np.linspace(np.log(0.5), np.log(2.5), 41)))


@dataclass(frozen=True, slots=True)
class JudgeRecipe:
    """How long and how hard the judge trains: epochs and rates of both networks, and the pages of
    the second."""

    epochs: int = 4
    rate: float = 1.5e-3
    judge_pages: int = 1_200
    judge_epochs: int = 20
    judge_rate: float = 2e-3
    decay: float = 1e-3


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
    """Trains the first network, which begins with a copy of the crop network.

    Returns:
        The Keras model (`judge_networks.context_network`) with calibrated probabilities, and its
        curve, a row an epoch.
    """
    import tensorflow as tf

    keras = keras_module()
    taught, of = _taught(train), _taught(held)
    network = networks.context_network(crop_network)
    steps = max(1, len(taught.labels) // BATCH)
    total = steps * recipe.epochs
    network.compile(
        _optimizer(recipe.rate, total, recipe.decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def batch(number: Any) -> tuple[Any, ...]:
        epoch, index = divmod(int(number), steps)
        order = np.random.default_rng((seed, epoch)).permutation(len(taught.labels))
        rows = np.sort(order[index * BATCH : (index + 1) * BATCH])
        rng = np.random.default_rng((seed, epoch, index))
        cuts = varied(taught.cutouts.rows(rows), rng)
        return (*_parts(cuts), taught.labels[rows].astype(np.int32))

    kinds = (tf.uint8, tf.uint8, tf.uint8, tf.float32, tf.int32)
    shapes = [(None, *part.shape[1:]) for part in _parts(taught.cutouts)]

    def made(number: Any) -> tuple[Any, Any]:
        *inputs, labels = tf.numpy_function(batch, [number], kinds, stateful=False)
        inputs = [tf.ensure_shape(x, s) for x, s in zip(inputs, shapes, strict=True)]
        return tuple(inputs), tf.ensure_shape(labels, (None,))

    inputs, labels = list(_parts(of.cutouts)), of.labels.astype(np.int32)
    history = network.fit(
        tf.data.Dataset.range(total).map(made).prefetch(4),
        epochs=recipe.epochs, steps_per_epoch=steps, shuffle=False, verbose=0,
        validation_data=(inputs, labels), validation_batch_size=1024,
        callbacks=_keras_watch(watch, total),
    )  # fmt: skip
    out = np.asarray(network.predict(inputs, batch_size=1024, verbose=0), np.float64)
    temperature = best_temperature(out, of.labels)
    return networks.finished(network, np.zeros(JUDGED), temperature), _curve(history)


def _parts(cuts: Cutouts) -> tuple[npt.NDArray[Any], ...]:
    """What the first network is shown, in its order."""
    return cuts.crops, cuts.near, cuts.wide, cuts.shapes


def varied(cuts: Cutouts, rng: np.random.Generator) -> Cutouts:
    """Changes crops, and the light of windows, at random: what a camera does between frames."""
    n = len(cuts)
    crops = np.rint(augment(cuts.crops, rng, GENTLE) * 255).astype(np.uint8)
    gain = rng.uniform(0.85, 1.15, (n, 1, 1)).astype(np.float32)
    lift = rng.uniform(-12, 12, (n, 1, 1)).astype(np.float32)
    near, wide = cuts.near.copy(), cuts.wide.copy()
    for window in (near, wide):
        grey = window[..., 1]
        inside = grey > 0
        changed = np.clip(grey * gain + lift, 1, 255).astype(np.uint8)
        window[..., 1] = np.where(inside, changed, 0)
    return Cutouts(crops, near, wide, cuts.shapes)


def _taught(sample: Sample) -> Sample:
    rows = np.flatnonzero(sample.labels >= 0)
    return Sample(sample.cutouts.rows(rows), sample.labels[rows])


def _curve(history: Any) -> list[dict[str, float]]:
    rows = len(history.history["loss"])
    return [
        {key: round(float(values[i]), 5) for key, values in history.history.items()}
        for i in range(rows)
    ]


def best_temperature(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> float:
    """Returns the temperature of the least negative log likelihood of N×14 logits."""
    rows = np.arange(len(labels))

    def loss(t: float) -> float:
        z = logits / t
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[rows, labels]))

    return min(_TEMPERATURES, key=loss)


def fit_judge(
    pages: Sequence[Told], held: Sequence[Told], recipe: JudgeRecipe, seed: int,
    watch: Watch | None = None,
) -> tuple[Any, dict[str, float], list[dict[str, float]]]:  # fmt: skip
    """Trains the second network on what the first says of pages that it has not seen.

    The number that is added to the logits of what is no digit is the one with which most digits of
    the held pages are read right (F1).

    Returns:
        The Keras model with calibrated probabilities, figures of the held pages, and the curve.
    """
    keras = keras_module()
    own, pairs, there, labels = _rows(pages)
    network = networks.judge_network()
    steps = max(1, len(labels) // BATCH)
    total = steps * recipe.judge_epochs
    network.compile(
        _optimizer(recipe.judge_rate, total, recipe.decay),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    inputs = _rows(held)
    history = network.fit(
        [own, pairs, there], labels, batch_size=BATCH, epochs=recipe.judge_epochs, verbose=0,
        validation_data=(list(inputs[:3]), inputs[3]), validation_batch_size=4096,
        callbacks=_keras_watch(watch, total),
    )  # fmt: skip
    logits = np.asarray(network.predict(list(inputs[:3]), batch_size=4096, verbose=0), np.float64)
    temperature = best_temperature(logits, inputs[3])
    figures: dict[float, dict[str, float]] = {}
    for extra in _BIASES:
        bias = np.zeros(JUDGED)
        bias[NOT_A_DIGIT:] = extra
        figures[extra] = page_figures(network, held, bias, temperature)
    best = max(figures, key=lambda b: figures[b]["f1"])
    bias = np.zeros(JUDGED)
    bias[NOT_A_DIGIT:] = best
    told = figures[best] | {"bias": best, "temperature": round(temperature, 3)}
    return networks.finished(network, bias, temperature), told, _curve(history)


def _rows(pages: Sequence[Told]) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int8]]:
    parts = []
    for page in pages:
        asked, own, pairs, there = page_features(page.candidates, page.evidence)
        keep = page.labels[asked] >= 0
        parts.append((own[keep], pairs[keep], there[keep], page.labels[asked][keep]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def page_figures(
    network: Any, pages: Sequence[Told], bias: npt.NDArray[np.float64], temperature: float,
    confidence: float = 0.6,
) -> dict[str, float]:  # fmt: skip
    """Returns recall, precision and F1 of whole pages, by candidates that are digits."""
    right = read = true = 0
    for page in pages:
        asked, own, pairs, there = page_features(page.candidates, page.evidence)
        true += int(((page.labels >= 0) & (page.labels < NOT_A_DIGIT)).sum())
        labels = read_as(page.labels)
        if not len(asked):
            continue
        z = np.asarray(network.predict_on_batch([own, pairs, there]), np.float64) / temperature
        z += bias
        p = np.zeros((len(page.labels), JUDGED), np.float32)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p[asked] = e / e.sum(axis=1, keepdims=True)
        for i in select(page.candidates, p):
            digit = int(p[i, :NOT_A_DIGIT].argmax())
            if p[i, digit] < confidence or labels[i] < 0:
                continue
            read += 1
            right += int(labels[i] == digit)
    recall, precision = right / max(1, true), right / max(1, read)
    f1 = 2 * recall * precision / max(1e-9, recall + precision)
    return {"recall": round(recall, 4), "precision": round(precision, 4), "f1": round(f1, 4)}
