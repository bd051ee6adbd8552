"""Crops a second: LiteRT in batches, and Keras as tutorials call it, taking turns."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from live_digits.bench.samples import Spread, ratio, spread, take_turns
from live_digits.bench.scenes import SCENES
from live_digits.config.settings import PipelineSettings
from live_digits.core.errors import LiveDigitsError, ModelError, one_line
from live_digits.core.types import Image
from live_digits.reading import classifier, model_store
from live_digits.vision.detection import detect_candidates, extract_crops

BATCHES = (1, 8, 64)
_MOST = 64
"""Crops at most, the largest batch."""
_SINGLE = 4
"""Calls of Keras' `predict` for one crop each, a round: each takes as long as a batch."""
_CALLS = 5
"""Calls of LiteRT a round."""
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 30
_ONCE, _TOGETHER = "Keras, predict once per crop", "Keras, predict of 64"


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a network reads: `ms` a crop, in calls of so many crops."""

    model: str
    runtime: str
    batch: int
    ms: Spread

    @property
    def per_second(self) -> float:
        return 1000 / self.ms.median

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "runtime": self.runtime,
            "batch": self.batch,
            "ms_a_crop": self.ms.as_json(),
            "crops_a_second": round(self.per_second, 1),
        }


@dataclass(frozen=True, slots=True)
class Networks:
    """`gain`: by model, how many times a crop costs less in a LiteRT batch of 64 than in `predict`
    called once per crop. `floor`: ms a crop of a copy of 64 crops as float32. `notes`: what was
    left out, and why."""

    speeds: tuple[Speed, ...]
    gain: Mapping[str, Spread]
    floor: Spread
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "speeds": [s.as_json() for s in self.speeds],
            "predict_once_by_batch_of_64": {k: g.as_json() for k, g in self.gain.items()},
            "floor_copy_ms_a_crop": self.floor.as_json(),
            "notes": list(self.notes),
        }

    @staticmethod
    def of(answer: Mapping[str, Any]) -> Networks:
        """What `measured` said in another process."""
        return Networks(
            tuple(
                Speed(s["model"], s["runtime"], s["batch"], _spread_of(s["ms_a_crop"]))
                for s in answer["speeds"]
            ),
            {k: _spread_of(g) for k, g in answer["predict_once_by_batch_of_64"].items()},
            _spread_of(answer["floor_copy_ms_a_crop"]),
            tuple(answer["notes"]),
        )


def _spread_of(found: Mapping[str, float]) -> Spread:
    return Spread(found["median"], found["min"], found["max"], int(found["repeats"]))


def measured(job: Mapping[str, Any]) -> dict[str, Any]:
    """`models`: names; `keras`: whether to try Keras; `seconds`: for all together."""
    models: Sequence[str] = job["models"]
    seconds = float(job["seconds"]) / len(models)
    speeds: list[Speed] = []
    gain: dict[str, Spread] = {}
    notes: list[str] = []
    floor: list[float] = []
    page = SCENES["moving"](1280, 720, 2 * _MOST)(0)
    cut = extract_crops(detect_candidates(page, PipelineSettings()))[:_MOST]
    if len(cut) < _MOST:
        raise LiveDigitsError(f"the demo's page gave {len(cut)} crops of {_MOST}")
    keras = bool(job["keras"]) and importlib.util.find_spec("tensorflow") is not None
    if not job["keras"]:
        notes.append("Keras was left out: --quick")
    elif not keras:
        notes.append("Keras was left out: TensorFlow is not installed (extra train)")
    for model in models:
        ways = _litert(model, cut, notes)
        own = next((key[1] for key in ways), "")
        if keras:
            ways |= _keras(model, cut, own)
        elif own == _EIGHT:
            notes.append(f"{model} as float32 was left out: only Keras can make it")
        ways["", "", 0] = _timed(_copy(cut), _MOST, _CALLS)
        for way in ways.values():
            way(0)
        named = {str(i): way for i, way in enumerate(ways.values())}
        found = list(take_turns(named, seconds, _LEAST_ROUNDS, _MOST_ROUNDS).values())
        by = dict(zip(ways, found, strict=True))
        floor += by.pop(("", "", 0))
        speeds += [Speed(*key, spread(values)) for key, values in by.items()]
        once, batch = by.get((model, _ONCE, 1)), by.get((model, own, _MOST))
        if once and batch:
            gain[model] = ratio(once, batch)
    return Networks(tuple(speeds), gain, spread(floor), tuple(notes)).as_json()


_Key = tuple[str, str, int]
_Way = Callable[[int], float]
"""A round's number → milliseconds a crop."""


_PLAIN, _EIGHT = "LiteRT, float32", "LiteRT, 8-bit weights"


def _runtime(content: bytes) -> str:
    """Which of the two a network is. Raises ModelError for what is none."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        tensors = Interpreter(model_content=content).get_tensor_details()
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"no LiteRT network: {one_line(e)}") from e
    return _EIGHT if any(t["dtype"] is np.int8 for t in tensors) else _PLAIN


def _timed(work: Callable[[], object], crops_a_call: int, calls: int) -> _Way:
    def way(number: int) -> float:
        del number
        start = time.perf_counter()
        for _ in range(calls):
            work()
        return 1000 * (time.perf_counter() - start) / (calls * crops_a_call)

    return way


def _litert(model: str, cut: Image, notes: list[str]) -> dict[_Key, _Way]:
    """The model's network, and every other .tflite in its folder."""
    folder = model_store.find_model(model)
    ways: dict[_Key, _Way] = {}
    for file in sorted(folder.glob("*.tflite"), key=lambda f: (f.name != model_store.LITERT, f)):
        try:
            content = model_store.read_verified(folder, file.name)
            runtime = _runtime(content)
            if file.name != model_store.LITERT:
                runtime += f" ({file.name})"
            ways |= _in_batches(model, runtime, content, cut)
        except LiveDigitsError as e:
            notes.append(f"{model}/{file.name} was left out: {e}")
    return ways


def _in_batches(model: str, runtime: str, content: bytes, cut: Image) -> dict[_Key, _Way]:
    ways: dict[_Key, _Way] = {}
    for batch in BATCHES:
        # A network each: a change of the batch's size makes the runtime plan anew.
        net = classifier.LiteRTClassifier(content, name=model)
        ways[model, runtime, batch] = _timed(_call(net, cut[:batch]), batch, _CALLS)
    return ways


def _call(net: classifier.LiteRTClassifier, some: Image) -> Callable[[], object]:
    return lambda: net.classify(some)


def _keras(model: str, cut: Image, own: str) -> dict[_Key, _Way]:
    """Keras, and the network as float32 where its `own` is of 8 bits."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    path: Path = model_store.find_model(model) / model_store.KERAS
    net = keras.models.load_model(path, compile=False)
    real = cut.astype(np.float32) / 255

    def once() -> None:
        for crop in real[:_SINGLE]:
            net.predict(crop[None], verbose=0)

    ways = _in_batches(model, _PLAIN, _converted(net), cut) if own == _EIGHT else {}
    return ways | {
        (model, _ONCE, 1): _timed(once, _SINGLE, 1),
        (model, _TOGETHER, _MOST): _timed(lambda: net.predict(real, verbose=0), _MOST, 1),
    }


def _converted(net: Any) -> bytes:
    """A Keras network in LiteRT, nothing quantised."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as scratch:
        net.export(scratch, verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(scratch).convert())


def _copy(cut: Image) -> Callable[[], object]:
    return lambda: cut.astype(np.float32)
