"""The network as it was trained, by Keras: the reference that LiteRT is measured against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from live_digits.core.errors import MissingExtraError, ModelError, one_line
from live_digits.core.types import CLASSES, CROP_SIZE, Floats, Image
from live_digits.reading.model_store import KERAS, find_model, read_verified


class KerasClassifier:
    """The same network in Keras, for comparison; importing TensorFlow takes seconds."""

    def __init__(self, model: Path, *, name: str = "", batch: int = 64) -> None:
        """`model`: a .keras file. Raises MissingExtraError without TensorFlow, ModelError for a
        file that is no such network."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import keras
            import tensorflow  # noqa: F401  (Keras's backend; its absence is what users meet)
        except ImportError as e:
            raise MissingExtraError("the Keras reference model", "train") from e
        self.name = name
        self.batch = batch
        try:
            self._model: Any = keras.models.load_model(model, compile=False, safe_mode=True)
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelError(f"{model} is no Keras model: {one_line(e)[:200]}") from e
        shapes = tuple(self._model.input_shape), tuple(self._model.output_shape)
        if shapes != ((None, CROP_SIZE, CROP_SIZE), (None, CLASSES)):
            raise ModelError(
                f"{model}: shapes are {shapes[0]} → {shapes[1]}, expected "
                f"(None, {CROP_SIZE}, {CROP_SIZE}) → (None, {CLASSES})"
            )

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11 probabilities."""
        if not len(crops):
            return np.zeros((0, CLASSES), np.float32)
        pieces = [
            self._model(crops[start : start + self.batch].astype(np.float32) / 255, training=False)
            for start in range(0, len(crops), self.batch)
        ]
        return np.concatenate([np.asarray(p, np.float32) for p in pieces])


def load_keras(name_or_path: str, *, batch: int = 64) -> KerasClassifier:
    """The same for the Keras file. Raises ModelError, MissingExtraError."""
    folder = find_model(name_or_path)
    read_verified(folder, KERAS)
    return KerasClassifier(folder / KERAS, name=folder.name, batch=batch)
