"""A trained model's card: what a user must know of it, measured on the exported model."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.core.safe_files import replacing
from live_digits.core.types import CROP_SIZE, NOT_A_DIGIT, Floats, Image
from live_digits.reading.judge import CONTEXT, CONTEXT_INPUTS, JUDGE, JUDGE_INPUTS, Row
from live_digits.training import datasets, networks, plots
from live_digits.training.sources import Source
from live_digits.training.synthetic.fonts import Fonts

Probabilities = Callable[[Image], Floats]

_ACCEPT = 0.6
"""Confidence at which the live path accepts a digit by default; for the false-accept rate."""
_KERAS_RUNS = 8
QUANTISATION = "8-bit weights, activations quantised crop by crop; input and output float32"


def _fonts(fonts: Fonts) -> dict[str, Any]:
    return {
        "sha256": fonts.sha256,
        "licence": "glyphs drawn to train with; no font is part of the model",
        "files": [face.name for face in fonts.faces],
    }


def card_of(
    folder: Path, name: str, network: Any, recipe: Mapping[str, Any], seed: int, temperature: float,
    sets: list[datasets.DigitSet], pool: datasets.Pool, held: datasets.Pool,
    tests: list[datasets.DigitSet], faces: Fonts | None, sources: Sequence[Source] = (),
    judged: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What a user must know of the model, and what the loader checks."""
    from live_digits.reading.classifier import LiteRTClassifier

    classifier = LiteRTClassifier(folder / "model.tflite", name=name)
    counts = {n: int(np.sum(pool.source == i)) for i, n in enumerate(pool.sources)}
    return {
        "name": name,
        "architecture": networks.DESCRIPTIONS[name],
        "parameters": int(network.count_params()),
        "input": "float32 [N, 28, 28], 0 to 1, white ink on black, normalised as MNIST",
        "output": "float32 [N, 11], probabilities of 0 to 9 and 'not a digit'",
        "networks": networks_of(folder),
        "temperature": round(temperature, 4),
        "reject_prior": networks.REJECT_PRIOR,
        "licence": "the project's own; trained on the data below, whose licences stand beside them",
        "data": {s.name: {"sha256": s.sha256, "licence": s.licence} for s in sources}
        | {s.name: {"sha256": s.sha256, "licence": s.licence} for s in sets},
        **({"fonts": _fonts(faces)} if faces else {}),
        "crops": counts,
        "seed": seed,
        "recipe": dict(recipe),
        "metrics": _metrics(classifier.classify, held, tests, folder / "reliability.png"),
        "quantisation": QUANTISATION,
        "ms_per_crop": speed(classifier.classify, held.crops),
        "ms_per_crop_keras_predict": keras_speed(network, held.crops),
        **({"judge": dict(judged)} if judged else {}),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "versions": _versions(),
        "sha256": {
            f: datasets.sha256(folder / f)
            for f in ("model.tflite", "model.keras", CONTEXT, JUDGE)
            if (folder / f).is_file()
        },
    }


def networks_of(folder: Path) -> dict[str, dict[str, str]]:
    """Returns the inputs of each LiteRT network of a model's folder: its name, type and shape."""
    inputs: dict[str, Mapping[str, Row]] = {
        "model.tflite": {"crops": ((CROP_SIZE, CROP_SIZE), "float32")},
        CONTEXT: CONTEXT_INPUTS,
        JUDGE: JUDGE_INPUTS,
    }
    return {
        file: {
            name: f"{kind} {['N', *shape]}".replace("'", "") for name, (shape, kind) in of.items()
        }
        for file, of in inputs.items()
        if (folder / file).is_file()
    }


def _metrics(
    classify: Probabilities, held: datasets.Pool, tests: list[datasets.DigitSet], picture: Path
) -> dict[str, Any]:
    """Figures of the exported model: test sets, held-out crops by source, false accepts; draws the
    reliability diagram."""
    result: dict[str, Any] = {"test_accuracy": {}, "held_out_accuracy": {}}
    among = result["test_accuracy_among_digits"] = {}
    for s in tests:
        p = classify(s.crops)
        result["test_accuracy"][s.name] = _share(p.argmax(axis=1) == s.labels)
        among[s.name] = _share(p[:, :NOT_A_DIGIT].argmax(axis=1) == s.labels)
    for name in held.sources:
        crops, labels = held.of(name)
        p = classify(crops)
        if name.startswith("not a digit"):
            accepted = (p.argmax(axis=1) != NOT_A_DIGIT) & (p.max(axis=1) >= _ACCEPT)
            result.setdefault("false_accepts", {})[name] = _share(accepted)
        else:
            result["held_out_accuracy"][name] = _share(p.argmax(axis=1) == labels)
    p = classify(held.crops)
    result["held_out_calibration_error"] = round(calibration_error(p, held.labels), 5)
    with replacing(picture) as scratch:
        plots.draw_reliability(p, held.labels, "Reliability", scratch)
    return result


def _share(mask: Any) -> float:
    return round(float(np.mean(mask)), 5)


def calibration_error(probabilities: Floats, labels: Image) -> float:
    """Expected calibration error: mean |confidence − accuracy| over bins of confidence, 0…1."""
    total = max(1, len(labels))
    return sum(abs(c - a) * n / total for c, a, n in plots.bins_of(probabilities, labels))


def speed(
    classify: Probabilities, crops: Image, sizes: tuple[int, ...] = (1, 8, 64), runs: int = 30
) -> dict[str, float]:
    """Milliseconds a crop in batches of some sizes, the best of some runs."""
    found = {}
    for size in sizes:
        batch = np.resize(crops, (size, CROP_SIZE, CROP_SIZE))
        classify(batch)
        took = []
        for _ in range(runs):
            start = time.perf_counter()
            classify(batch)
            took.append(time.perf_counter() - start)
        found[f"batch_{size}"] = round(1000 * min(took) / size, 4)
    return found


def keras_speed(network: Any, crops: Image) -> dict[str, float]:
    """Milliseconds a crop of a plain Keras `predict`, in batches of 1 and 64, the best of some."""

    def predict(batch: Image) -> Floats:
        return np.asarray(network.predict(batch.astype(np.float32) / 255, verbose=0), np.float32)

    found = speed(predict, crops, sizes=(1, 64), runs=_KERAS_RUNS)
    return {size: round(ms, 2) for size, ms in found.items()}


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
