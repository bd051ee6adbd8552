"""Trains a network, calibrates it, exports it for LiteRT and writes its card (`card`).

A run is reproducible from its seed: every batch draws from a generator of its own, TensorFlow's
operations are deterministic, and the data are named by their checksums in the card.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from live_digits.errors import ModelError
from live_digits.safe_files import replacing
from live_digits.training import data, models, plots
from live_digits.training.augment import augment
from live_digits.training.batches import Batches
from live_digits.training.card import card_of
from live_digits.training.fonts import Fonts
from live_digits.training.fonts import load as load_fonts
from live_digits.training.optimizer import muon
from live_digits.types import CLASSES, Floats, Image

HOLD_OUT = 0.08
"""Share of each training set kept from training, for calibration and the curve."""
FONT_HELD = 12
"""Of so many fonts one is held out."""
_SETTLING = 120
"""Batches from which batch normalisation's means are taken at the end."""
_JUDGE_WIDTH = 0.5
"""Width of the network that judges made crops, next to the one that is trained on them."""
ADAMW_RATE, SMOOTHING = 3e-3, 0.02
"""The cnn's rate and smoothing without Muon. The judge learns so: it is not to be as sure as the
other, what it doubts is left out."""
_TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(3.0), 93))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how hard a network trains. Counts are crops; `pages` are drawn; `changed`: crops
    are changed at random each time they are seen; `reject`: "not a digit" has crops of its own;
    `width` multiplies the cnn's filters; `judged`: epochs of the network that first says which made
    crops are not believable, 0 for none; `fonts`: digits drawn in fonts, where a folder of them is
    given; `muon`: the kernels of convolutions are updated by Muon, not AdamW."""

    epochs: int
    rate: float
    not_digits: int
    drawn: int
    smoothing: float
    decay: float
    pages: int = 0
    changed: bool = True
    reject: bool = True
    width: float = 1.0
    judged: int = 0
    fonts: int = 0
    muon: bool = False


RECIPES: Mapping[str, Recipe] = {
    "dense": Recipe(
        epochs=20, rate=2e-3, not_digits=25_000, drawn=5_000, smoothing=0.0, decay=1e-4,
        fonts=5_000,
    ),
    "cnn": Recipe(
        epochs=13, rate=1e-2, not_digits=16_000, drawn=16_000, smoothing=0.0, decay=5e-3,
        pages=3_000, judged=2, fonts=16_000, muon=True,
    ),
}  # fmt: skip
_QUICK = 2_000
"""Digits, of each set at most, of a quick run."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: shown by the command line."""

    stage: str
    done: int
    total: int
    accuracy: float = float("nan")
    loss: float = float("nan")


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run: the model's folder, its card, and the curve a row an epoch."""

    path: Path
    card: Mapping[str, Any]
    curve: tuple[Mapping[str, float], ...] = field(default=())


def _silent(_: Progress) -> None:
    """The progress of a run that nobody watches."""


def _temperature(logits: Floats, labels: Image) -> float:
    """The temperature of the least negative log likelihood."""
    rows = np.arange(len(labels))

    def loss(t: float) -> float:
        z = logits.astype(np.float64) / t
        z -= z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[rows, labels]))

    return float(min(_TEMPERATURES, key=loss))


def _watch(keras: Any, steps: int, epochs: int, progress: Callable[[Progress], None]) -> Any:
    """Hands Keras's numbers to `progress`."""

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.past = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.past = epoch * steps

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logs = logs or {}
            progress(
                Progress(
                    "training",
                    self.past + batch + 1,
                    steps * epochs,
                    float(logs.get("accuracy", float("nan"))),
                    float(logs.get("loss", float("nan"))),
                )
            )

    return Watch()


def _fit(
    name: str, train: data.Pool, held: data.Pool, recipe: Recipe, seed: int,
    progress: Callable[[Progress], None],
) -> tuple[Any, list[dict[str, float]]]:  # fmt: skip
    """Trains a fresh network that gives logits; its weights are the averaged ones at the end."""
    keras = models.keras_module()
    batches = Batches(train, seed, recipe.changed, recipe.smoothing)
    steps = batches.steps
    network = models.build(name, recipe.width)
    total = steps * recipe.epochs
    warm = min(total // 10, 2 * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.rate / 20, max(1, total - warm), alpha=0.01,
        warmup_target=recipe.rate, warmup_steps=max(1, warm),
    )  # fmt: skip
    momentum = min(0.998, max(0.0, 1 - 5 / total))
    network.compile(
        muon(rate, recipe.decay, momentum)
        if recipe.muon
        else keras.optimizers.AdamW(
            rate, weight_decay=recipe.decay, use_ema=True, ema_momentum=momentum
        ),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    one_hot = np.eye(CLASSES, dtype=np.float32)[held.labels]
    history = network.fit(
        batches.dataset(recipe.epochs),
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        shuffle=False,
        validation_data=(held.crops.astype(np.float32) / 255, one_hot),
        validation_batch_size=1024,
        verbose=0,
        callbacks=[_watch(keras, steps, recipe.epochs, progress)],
    )
    _settle(network, batches)
    curve = [
        {key: round(float(values[i]), 5) for key, values in history.history.items()}
        for i in range(recipe.epochs)
    ]
    return network, curve


def _settle(network: Any, batches: Batches) -> None:
    """Batch normalisation's means belong to the weights before averaging: measure them anew."""
    if any("batch_normalization" in layer.name for layer in network.layers):
        for i in range(min(batches.steps, _SETTLING)):
            network(batches[i][0], training=True)


def _logits(network: Any, crops: Image) -> Floats:
    out = network.predict(crops.astype(np.float32) / 255, batch_size=1024, verbose=0)
    return np.asarray(out, np.float32)


def export(network: Any, path: Path) -> None:
    """Writes the Keras model as LiteRT: float32 [N, 28, 28] → [N, 11], N free.

    Weights are 8-bit, and each crop's activations are quantised as they come: a quarter of the size
    and of the time, and the same answer for a crop whatever batch it is in.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        network.export(scratch, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content = converter.convert()
    path.write_bytes(content)


def _few(sets: list[data.DigitSet], most: int) -> list[data.DigitSet]:
    return [
        data.DigitSet(s.name, s.crops[:most], s.labels[:most], s.licence, s.sha256) for s in sets
    ]


def _prepare(seed: int) -> None:
    keras = models.keras_module()
    import tensorflow as tf

    cv2.setNumThreads(1)  # crops are too small to share out: a second thread only waits, busily
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(
    name: str,
    out: Path,
    mnist: Path | None = None,
    data_folder: Path | None = None,
    seed: int = 1,
    epochs: int | None = None,
    quick: bool = False,
    progress: Callable[[Progress], None] = _silent,
    say: data.Say | None = None,
    pages: int | None = None,
    recipe: Recipe | None = None,
    fonts: Path | None = None,
) -> Trained:
    """Trains `name` ("dense" or "cnn") and writes `out`/`name`/{model.tflite, model.keras,
    card.yaml, curve.png}.

    `mnist`: a local mnist.npz, or None for Keras's own copy. `data_folder`: a folder with the extra
    sets; each that is absent is said in one line and left out. `fonts`: a folder of font files that
    digits and letters are drawn from as well. `recipe`: another than the network's
    own; `pages` and `epochs` replace its. `quick`: some thousand crops and, unless `epochs` is
    given, one epoch. Raises DataError, ModelError, MissingExtraError; OSError if `out` cannot be
    written.
    """
    if name not in RECIPES:
        raise ModelError(f"no architecture {name!r}; there are {', '.join(RECIPES)}")
    if (out / name).is_symlink():
        raise ModelError(f"{out / name} is a link; name the folder to write to with --out")
    recipe = _recipe(recipe or RECIPES[name], epochs, quick, pages)
    faces = load_fonts(fonts, say) if fonts and recipe.fonts else None
    _prepare(seed)
    progress(Progress("loading", 0, 1))
    sets = [data.mnist(mnist), *data.extras(data_folder, "train", say)]
    tests = [data.mnist(mnist, "test"), *data.extras(data_folder, "test")]
    if quick:
        sets, tests = _few(sets, _QUICK), _few(tests, _QUICK)
    train_sets, held_sets = data.split(sets, HOLD_OUT, seed)
    pool, held = _pools(train_sets, held_sets, recipe, seed, progress, faces)
    if recipe.judged:
        pool, held = _judged(name, pool, held, recipe, seed, progress)
    network, curve = _fit(name, pool, held, recipe, seed, progress)
    progress(Progress("writing", 0, 1))
    temperature = _calibrate(network, held, seed)
    folder = out / name
    _write(folder, models.finished(network, temperature))
    card = card_of(
        folder, name, network, asdict(recipe), seed, temperature, sets, pool, held, tests, faces
    )
    with replacing(folder / "card.yaml") as scratch:
        scratch.write_text(
            yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8"
        )
    with replacing(folder / "curve.png") as scratch:
        plots.draw_curve(curve, scratch)
    return Trained(folder, card, tuple(curve))


def _pools(
    train_sets: list[data.DigitSet], held_sets: list[data.DigitSet], recipe: Recipe, seed: int,
    progress: Callable[[Progress], None], faces: Fonts | None,
) -> tuple[data.Pool, data.Pool]:  # fmt: skip
    """What trains, and what is held out; the latter is drawn with digits of its own."""

    def drawing(done: int, total: int) -> None:
        progress(Progress("drawing", done, total))

    drawing(0, 1)
    r, few = recipe, max(50, recipe.not_digits // 10)
    ours, theirs = faces.split(FONT_HELD) if faces else (None, None)
    pool = data.assemble(
        train_sets, r.not_digits, r.drawn, r.pages, (seed, 1), drawing, ours, r.fonts
    )
    if not r.reject:
        pool = data.only_digits(pool)
    held = data.assemble(
        held_sets, few, few // 2, r.pages // 12, (seed, 2), drawing, theirs, few // 2
    )
    return pool, held


def _judged(
    name: str, pool: data.Pool, held: data.Pool, recipe: Recipe, seed: int,
    progress: Callable[[Progress], None],
) -> tuple[data.Pool, data.Pool]:  # fmt: skip
    """Both pools without the made crops that a shortly trained network does not believe."""

    def judging(p: Progress) -> None:
        progress(replace(p, stage="judging"))

    short = replace(
        recipe, epochs=recipe.judged, width=recipe.width * _JUDGE_WIDTH, rate=ADAMW_RATE,
        smoothing=SMOOTHING, muon=False,
    )  # fmt: skip
    judge, _ = _fit(name, pool, held, short, seed, judging)
    believed, kept = (data.believable(p, _softmax(_logits(judge, p.crops))) for p in (pool, held))
    return believed, kept


def _softmax(logits: Floats) -> Floats:
    z = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True), np.float32)


def _recipe(r: Recipe, epochs: int | None, quick: bool, pages: int | None) -> Recipe:
    """A recipe with what the caller asks for."""
    if quick:
        few = _QUICK // 4
        r = replace(r, epochs=1, not_digits=few, drawn=few, pages=0, judged=0, fonts=few)
    return replace(r, epochs=epochs or r.epochs, pages=r.pages if pages is None else pages)


def _calibrate(network: Any, held: data.Pool, seed: int) -> float:
    """The temperature on the held-out crops, half of them as they are, half changed at random:
    live crops are harder than MNIST's."""
    changed = augment(held.crops, np.random.default_rng((seed, 3)))
    half = np.concatenate([held.crops, (changed * 255).astype(np.uint8)])
    return _temperature(_logits(network, half), np.concatenate([held.labels, held.labels]))


def _write(folder: Path, network: Any) -> None:
    """Both files, each complete or not there at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        network.save(Path(scratch) / "model.keras")
        export(network, Path(scratch) / "model.tflite")
        for file in ("model.keras", "model.tflite"):
            os.replace(Path(scratch) / file, folder / file)
