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

from live_digits.core.errors import ModelError
from live_digits.core.safe_files import replacing
from live_digits.core.types import CLASSES, NOT_A_DIGIT, Floats, Image
from live_digits.reading.judge import CONTEXT, JUDGE
from live_digits.training import datasets, networks, page_set, plots
from live_digits.training import judge as judging
from live_digits.training.augmentation import augment
from live_digits.training.batches import Batches
from live_digits.training.judge import JudgeRecipe
from live_digits.training.model_card import card_of
from live_digits.training.optimizer import muon
from live_digits.training.page_set import Sample
from live_digits.training.sources import Source, scenery, writing
from live_digits.training.synthetic.drawn_page import Page, page
from live_digits.training.synthetic.fonts import Fonts
from live_digits.training.synthetic.fonts import load as load_fonts
from live_digits.training.synthetic.glyphs import Glyphs

_PAGE_CROPS = 50_000
"""Most digits of drawn pages, and most others, that train the crop network: more of them crowd out
the scanned ones and cost time."""
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
    given; `muon`: the kernels of convolutions are updated by Muon, not AdamW; `judge`: how what
    sees surroundings and neighbours trains; None: the crops decide alone."""

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
    judge: JudgeRecipe | None = None


RECIPES: Mapping[str, Recipe] = {
    "dense": Recipe(
        epochs=20, rate=2e-3, not_digits=25_000, drawn=5_000, smoothing=0.0, decay=1e-4,
        fonts=5_000,
    ),
    "cnn": Recipe(
        epochs=13, rate=1e-2, not_digits=16_000, drawn=16_000, smoothing=0.0, decay=5e-3,
        pages=4_000, judged=2, fonts=16_000, muon=True, judge=JudgeRecipe(),
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
    name: str, train: datasets.Pool, held: datasets.Pool, recipe: Recipe, seed: int,
    progress: Callable[[Progress], None],
) -> tuple[Any, list[dict[str, float]]]:  # fmt: skip
    """Trains a fresh network that gives logits; its weights are the averaged ones at the end."""
    keras = networks.keras_module()
    batches = Batches(train, seed, recipe.changed, recipe.smoothing)
    steps = batches.steps
    network = networks.build(name, recipe.width)
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
    """Writes the Keras model as LiteRT."""
    path.write_bytes(exported(network))


def exported(network: Any) -> bytes:
    """Returns the Keras model as LiteRT, with as many rows a call as one likes.

    Weights are 8-bit, and each crop's activations are quantised as they come: a quarter of the size
    and of the time, and the same answer for a crop whatever batch it is in.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        network.export(scratch, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


def _few(sets: list[datasets.DigitSet], most: int) -> list[datasets.DigitSet]:
    return [
        datasets.DigitSet(s.name, s.crops[:most], s.labels[:most], s.licence, s.sha256)
        for s in sets
    ]


def _prepare(seed: int) -> None:
    keras = networks.keras_module()
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
    say: datasets.Say | None = None,
    pages: int | None = None,
    recipe: Recipe | None = None,
    fonts: Path | None = None,
    backgrounds: Path | None = None,
    rooms: Path | None = None,
    cache: Path | None = None,
) -> Trained:
    """Trains `name` ("dense" or "cnn") and writes `out`/`name`/{model.tflite, model.keras,
    card.yaml, curve.png}.

    `mnist`: a local mnist.npz, or None for Keras's own copy. `data_folder`: a folder with the extra
    sets; each that is absent is said in one line and left out. `fonts`: a folder of font files that
    digits and letters are drawn from as well. `recipe`: another than the network's
    own; `pages` and `epochs` replace its. `backgrounds`, `rooms`: folders of real pictures
    without digits, to write on and to see around pages. `cache`: a folder that keeps drawn pages.
    `quick`: some thousand crops and, unless `epochs` is given, one epoch. Raises DataError,
    ModelError, MissingExtraError; OSError if `out` cannot be written.
    """
    if name not in RECIPES:
        raise ModelError(f"no architecture {name!r}; there are {', '.join(RECIPES)}")
    if (out / name).is_symlink():
        raise ModelError(f"{out / name} is a link; name the folder to write to with --out")
    recipe = _recipe(recipe or RECIPES[name], epochs, quick, pages)
    faces = load_fonts(fonts, say) if fonts and recipe.fonts else None
    _prepare(seed)
    progress(Progress("loading", 0, 1))
    sets = [datasets.mnist(mnist), *datasets.extras(data_folder, "train", say)]
    tests = [datasets.mnist(mnist, "test"), *datasets.extras(data_folder, "test")]
    if quick:
        sets, tests = _few(sets, _QUICK), _few(tests, _QUICK)
    train_sets, held_sets = datasets.split(sets, HOLD_OUT, seed)
    material = _materials(train_sets, held_sets, data_folder, backgrounds, rooms, faces, say)
    drawn = tuple(
        _draw(count, glyphs, (seed, part), progress, cache)
        for part, (count, glyphs) in enumerate(
            zip((recipe.pages, recipe.pages // 12), material.glyphs, strict=True), 1
        )
    )
    progress(Progress("drawing", 0, 1))
    pool, held = _pools(train_sets, held_sets, recipe, seed, drawn, faces)
    if recipe.judged:
        pool, held = _judged(name, pool, held, recipe, seed, progress)
    network, curve = _fit(name, pool, held, recipe, seed, progress)
    temperature = _calibrate(network, held, seed)
    finished = networks.finished(network, temperature)
    judged = None
    if recipe.judge:
        judged = _train_judge(network, drawn, material, recipe.judge, seed, progress, cache)
    progress(Progress("writing", 0, 1))
    folder = out / name
    _write(folder, finished, judged)
    card = card_of(
        folder, name, network, asdict(recipe), seed, temperature, sets, pool, held, tests, faces,
        material.sources, judged.figures if judged else None,
    )  # fmt: skip
    with replacing(folder / "card.yaml") as scratch:
        scratch.write_text(
            yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8"
        )
    with replacing(folder / "curve.png") as scratch:
        plots.draw_curve(curve, scratch)
    return Trained(folder, card, tuple(curve))


@dataclass(frozen=True, slots=True)
class _Material:
    """What pages are drawn with to train and to hold out, and where it comes from."""

    glyphs: tuple[Glyphs, Glyphs]
    sources: tuple[Source, ...]


def _materials(
    train_sets: list[datasets.DigitSet], held_sets: list[datasets.DigitSet], sets: Path | None,
    backgrounds: Path | None, rooms: Path | None, faces: Fonts | None, say: datasets.Say | None,
) -> _Material:  # fmt: skip
    """Glyphs, writing and pictures; what is held out has digits and fonts of its own."""
    ours, theirs = faces.split(FONT_HELD) if faces else (None, None)
    written, from_files = writing(sets, say)
    scenes, from_pictures = scenery(backgrounds, rooms)
    glyphs = tuple(
        Glyphs(base.crops, base.labels, alphabet, written, scenes)
        for base, alphabet in (
            (datasets.pool({s.name: (s.crops, s.labels) for s in part}), alphabet)
            for part, alphabet in ((train_sets, ours), (held_sets, theirs))
        )
    )
    return _Material((glyphs[0], glyphs[1]), (*from_files, *from_pictures))


@dataclass(frozen=True, slots=True)
class PageDraw:
    """Draws the page of a seed with some glyphs."""

    glyphs: Glyphs

    def __call__(self, seed: tuple[int, ...]) -> Page:
        return page(seed, self.glyphs)


def _draw(
    count: int, glyphs: Glyphs, seed: tuple[int, ...], progress: Callable[[Progress], None],
    cache: Path | None,
) -> Sample | None:  # fmt: skip
    if not count:
        return None

    def drawing(done: int, total: int) -> None:
        progress(Progress("drawing", done, total))

    return page_set.sample(count, PageDraw(glyphs), seed, drawing, cache)


@dataclass(frozen=True, slots=True)
class _Judge:
    """The finished networks that judge, Keras models, their LiteRT bytes, and figures."""

    context: Any
    judge: Any
    context_bytes: bytes
    judge_bytes: bytes
    figures: Mapping[str, Any]


def _train_judge(
    network: Any, drawn: tuple[Sample | None, ...], material: _Material, recipe: JudgeRecipe,
    seed: int, progress: Callable[[Progress], None], cache: Path | None,
) -> _Judge:  # fmt: skip
    """Trains what sees surroundings, draws new pages for what sees neighbours, and trains that."""
    train, held = drawn
    if train is None or held is None:
        raise ModelError("a judge trains on drawn pages, and the recipe has none")

    def watch(stage: str) -> judging.Watch:
        return lambda done, total, loss, accuracy: progress(
            Progress(stage, done, total, accuracy, loss)
        )

    context, context_curve = judging.fit_context(
        network, train, held, recipe, seed, watch("surroundings")
    )
    content = exported(context)
    told = [
        page_set.told(
            count, PageDraw(glyphs), (seed, part), content,
            lambda done, total: progress(Progress("reading pages", done, total)), cache,
        )
        for part, (count, glyphs) in enumerate(
            zip((recipe.judge_pages, recipe.judge_pages // 5), material.glyphs, strict=True), 3
        )
    ]  # fmt: skip
    judge, figures, curve = judging.fit_judge(told[0], told[1], recipe, seed, watch("neighbours"))
    accuracies = {
        "context_accuracy": context_curve[-1]["val_accuracy"],
        "judge_accuracy": curve[-1]["val_accuracy"],
    }
    return _Judge(context, judge, content, exported(judge), {**figures, **accuracies})


def _pools(
    train_sets: list[datasets.DigitSet], held_sets: list[datasets.DigitSet], recipe: Recipe,
    seed: int, drawn: tuple[Sample | None, ...], faces: Fonts | None,
) -> tuple[datasets.Pool, datasets.Pool]:  # fmt: skip
    """What trains, and what is held out; the latter is drawn with digits of its own."""
    r, few = recipe, max(50, recipe.not_digits // 10)
    ours, theirs = faces.split(FONT_HELD) if faces else (None, None)
    train, held = (_crops_of(sample, seed) for sample in drawn)
    pool = datasets.assemble(train_sets, r.not_digits, r.drawn, train, (seed, 1), ours, r.fonts)
    if not r.reject:
        pool = datasets.only_digits(pool)
    return pool, datasets.assemble(held_sets, few, few // 2, held, (seed, 2), theirs, few // 2)


def _crops_of(sample: Sample | None, seed: int) -> tuple[Image, Image] | None:
    """The crops of a sample's digits and of as many others, and their labels for a network that
    knows no kinds of what is no digit. What is a digit in shape is left out: it sees no more."""
    if sample is None:
        return None
    rng = np.random.default_rng((seed, len(sample.labels)))
    digits = np.flatnonzero((sample.labels >= 0) & (sample.labels < NOT_A_DIGIT))
    digits = rng.permutation(digits)[:_PAGE_CROPS]
    others = np.flatnonzero((sample.labels >= NOT_A_DIGIT) & ~sample.alike)
    rows = np.sort(np.concatenate([digits, rng.permutation(others)[: len(digits)]]))
    labels = np.minimum(sample.labels[rows], NOT_A_DIGIT).astype(np.uint8)
    return sample.cutouts.crops[rows], labels


def _judged(
    name: str, pool: datasets.Pool, held: datasets.Pool, recipe: Recipe, seed: int,
    progress: Callable[[Progress], None],
) -> tuple[datasets.Pool, datasets.Pool]:  # fmt: skip
    """Both pools without the made crops that a shortly trained network does not believe."""

    def judging(p: Progress) -> None:
        progress(replace(p, stage="judging"))

    short = replace(
        recipe, epochs=recipe.judged, width=recipe.width * _JUDGE_WIDTH, rate=ADAMW_RATE,
        smoothing=SMOOTHING, muon=False,
    )  # fmt: skip
    judge, _ = _fit(name, pool, held, short, seed, judging)
    believed, kept = (
        datasets.believable(p, _softmax(_logits(judge, p.crops))) for p in (pool, held)
    )
    return believed, kept


def _softmax(logits: Floats) -> Floats:
    z = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True), np.float32)


def _recipe(r: Recipe, epochs: int | None, quick: bool, pages: int | None) -> Recipe:
    """A recipe with what the caller asks for."""
    if quick:
        few = _QUICK // 4
        r = replace(
            r, epochs=1, not_digits=few, drawn=few, pages=0, judged=0, fonts=few, judge=None
        )
    return replace(r, epochs=epochs or r.epochs, pages=r.pages if pages is None else pages)


def _calibrate(network: Any, held: datasets.Pool, seed: int) -> float:
    """The temperature on the held-out crops, half of them as they are, half changed at random:
    live crops are harder than MNIST's."""
    changed = augment(held.crops, np.random.default_rng((seed, 3)))
    half = np.concatenate([held.crops, (changed * 255).astype(np.uint8)])
    return _temperature(_logits(network, half), np.concatenate([held.labels, held.labels]))


def _write(folder: Path, network: Any, judged: _Judge | None) -> None:
    """All files, each complete or not there at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch)
        network.save(made / "model.keras")
        export(network, made / "model.tflite")
        if judged:
            (made / CONTEXT).write_bytes(judged.context_bytes)
            (made / JUDGE).write_bytes(judged.judge_bytes)
        for file in sorted(made.iterdir()):
            os.replace(file, folder / file.name)
