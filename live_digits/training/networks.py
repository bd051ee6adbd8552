"""The networks. Each takes float32 N×28×28 in 0…1 and gives N×11 logits; `finished` adds the
temperature and the softmax that turn logits into calibrated probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from live_digits.core.errors import MissingExtraError, ModelError
from live_digits.core.types import CLASSES, CROP_SIZE

_HIDDEN = 128
_CNN_FIRST = 16
"""Filters of the first 3×3 convolution, the only one at full width: it takes the longest."""
_CNN_BLOCKS = ((48, 2), (48, 1), (96, 2), (96, 1), (128, 2))
"""Filters and stride of each further one: 12, 12, 6, 6, 3 pixels wide."""
_QUARTER = 2
"""Pixels across of a quarter of the last of these; they overlap."""
_DROPOUT = 0.3
REJECT_PRIOR = 0.64
"""Training shows far more of what is no digit than a page holds: its odds are multiplied by this
(M. Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities", 2002)."""


def keras_module() -> Any:
    """Keras, or MissingExtraError where TensorFlow is not installed."""
    try:
        import keras
        import tensorflow  # noqa: F401  (Keras's backend; its absence is what users meet)
    except ImportError as e:
        raise MissingExtraError("training and the Keras reference", "train") from e
    return keras


def dense(width: float = 1.0) -> Any:
    """The published study's network: flatten, 128 relu, softmax of 11 (here as logits)."""
    keras = keras_module()
    inputs = keras.Input((CROP_SIZE, CROP_SIZE), name="crops")
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(round(_HIDDEN * width), activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(x), name="dense")


def cnn(width: float = 1.0) -> Any:
    """Six 3×3 convolutions, three of them halving and all but the first with batch normalisation,
    then the means over the picture and over its quarters: about 270,000 parameters. The first two
    add no rim to the picture, which has one of its own: a quarter less to compute."""
    keras = keras_module()
    layers = keras.layers
    inputs = keras.Input((CROP_SIZE, CROP_SIZE), name="crops")
    x = layers.Reshape((CROP_SIZE, CROP_SIZE, 1))(inputs)
    x = layers.Conv2D(round(_CNN_FIRST * width), 3, activation="relu")(x)
    for block, (filters, stride) in enumerate(_CNN_BLOCKS):
        rim = "same" if block else "valid"
        x = layers.Conv2D(round(filters * width), 3, stride, padding=rim, use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.ReLU()(x)
    whole = layers.GlobalAveragePooling2D()(x)
    quarters = layers.Flatten()(layers.AveragePooling2D(_QUARTER, strides=1)(x))
    x = layers.Dropout(_DROPOUT)(layers.Concatenate()([whole, quarters]))
    return keras.Model(inputs, layers.Dense(CLASSES, name="logits")(x), name="cnn")


ARCHITECTURES: dict[str, Callable[[float], Any]] = {"dense": dense, "cnn": cnn}
DESCRIPTIONS = {
    "dense": "flatten, 128 relu, softmax 11",
    "cnn": f"conv 3x3 + relu: {_CNN_FIRST}; conv 3x3 + batch norm + relu: "
    + ", ".join(f"{f}{'/2' if s == 2 else ''}" for f, s in _CNN_BLOCKS)
    + f"; means of the whole and of its quarters, dropout {_DROPOUT}, softmax 11",
}


def build(name: str, width: float = 1.0) -> Any:
    """A fresh network that gives logits, `width` times as wide. Raises ModelError for an unknown
    name."""
    if name not in ARCHITECTURES:
        raise ModelError(f"no architecture {name!r}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name](width)


def finished(network: Any, temperature: float) -> Any:
    """The network with probabilities: softmax(logits / temperature), the last class weighed by
    `REJECT_PRIOR`. It has the weights alone: what the optimiser keeps is three times as large."""
    keras = keras_module()
    bare = type(network).from_config(network.get_config())
    bare.set_weights(network.get_weights())
    inputs = keras.Input((CROP_SIZE, CROP_SIZE), name="crops")
    prior = [0.0] * (CLASSES - 1) + [math.log(REJECT_PRIOR)]
    x = keras.layers.Rescaling(1.0 / temperature, prior, name="temperature")(bare(inputs))
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x), name=network.name)
