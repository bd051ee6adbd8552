"""The judge's two networks: one sees a candidate and its surroundings, one its neighbours' answers.

The first (`context`) begins with the crop network, which stays as it is. The second (`judge`) is
told what the first said of a candidate and of its nearest neighbours, and where these stand; it
pools them with attention (after J. Lee et al., "Set Transformer", 2019), so their number and order
do not matter.
"""

from __future__ import annotations

from typing import Any

from live_digits.core.types import CLASSES, CROP_SIZE
from live_digits.reading.classes import JUDGED
from live_digits.reading.cutouts import NEAR_CHANNELS, SHAPES, SIDE, WIDE_CHANNELS
from live_digits.reading.neighbours import NEIGHBOURS, OWN, PAIR
from live_digits.training.networks import keras_module

_NEAR, _WIDE = (16, 32, 48, 64), (16, 32, 48, 48)
"""Filters of each window's convolutions, each of which halves it."""
_NEAR_SEEN, _WIDE_SEEN, _SHAPE_SEEN, _HEAD = 96, 64, 16, 128
"""Widths of what is kept of each input, and of the layer that joins them."""
_DROPOUT = 0.3
_PAIRED, _HEADS, _TOLD = 48, 4, 64
"""Widths of a neighbour's features, heads of the attention, and the layer that joins them."""


def features_of(crop_network: Any) -> Any:
    """Returns a copy of the crop network up to its pooled features and its log probabilities."""
    keras = keras_module()
    copy = type(crop_network).from_config(crop_network.get_config())
    copy.set_weights(crop_network.get_weights())
    pooled = next(
        layer.output for layer in copy.layers if isinstance(layer, keras.layers.Concatenate)
    )
    said = keras.ops.log_softmax(copy.outputs[0])
    return keras.Model(copy.inputs, [pooled, said], name="features")


def context_head(width: int) -> Any:
    """Returns a fresh network: what the crop network says, windows and shapes → 14 logits.

    Args:
        width: of the crop network's pooled features.
    """
    keras = keras_module()
    layers = keras.layers
    pooled = keras.Input((width,), name="pooled")
    said = keras.Input((CLASSES,), name="said")
    near = keras.Input((SIDE, SIDE, NEAR_CHANNELS), dtype="uint8", name="near")
    wide = keras.Input((SIDE, SIDE, WIDE_CHANNELS), dtype="uint8", name="wide")
    shapes = keras.Input((SHAPES,), name="shapes")
    seen = layers.Concatenate()([
        layers.Dropout(_DROPOUT)(pooled), said,
        _tower(near, _NEAR, _NEAR_SEEN), _tower(wide, _WIDE, _WIDE_SEEN),
        layers.Dense(_SHAPE_SEEN, activation="relu")(shapes),
    ])  # fmt: skip
    x = layers.Dropout(_DROPOUT)(layers.Dense(_HEAD, activation="relu")(seen))
    out = layers.Dense(JUDGED, name="logits")(x)
    return keras.Model([pooled, said, near, wide, shapes], out, name="head")


def context_network(features: Any, head: Any) -> Any:
    """Returns one network of both: uint8 crops and windows, float32 shapes → 14 logits.

    Args:
        features: gives pooled features and log probabilities of float32 crops in 0…1.
        head: as `context_head` makes it.
    """
    keras = keras_module()
    crops = keras.Input((CROP_SIZE, CROP_SIZE), dtype="uint8", name="crops")
    near, wide, shapes = (
        keras.Input(head.get_layer(name).output.shape[1:], dtype=kind, name=name)
        for name, kind in (("near", "uint8"), ("wide", "uint8"), ("shapes", "float32"))
    )
    pooled, said = features(keras.ops.cast(crops, "float32") * (1 / 255), training=False)
    out = head([pooled, said, near, wide, shapes], training=False)
    return keras.Model([crops, near, wide, shapes], out, name="context")


def _tower(x: Any, filters: tuple[int, ...], width: int) -> Any:
    keras = keras_module()
    layers = keras.layers
    x = keras.ops.cast(x, "float32") * (1 / 255)
    for count in filters:
        x = layers.Conv2D(count, 3, 2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95)(x)
        x = layers.ReLU()(x)
    x = layers.Dropout(_DROPOUT)(layers.Flatten()(x))
    return layers.Dense(width, activation="relu")(x)


def judge_network() -> Any:
    """Returns a fresh second network: own numbers, neighbours' numbers and which exist → logits."""
    keras = keras_module()
    layers, ops = keras.layers, keras.ops
    own = keras.Input((OWN,), name="own")
    pairs = keras.Input((NEIGHBOURS, PAIR), name="pairs")
    there = keras.Input((NEIGHBOURS,), name="there")
    me = layers.Dense(_PAIRED, activation="relu")(own)
    mine = ops.repeat(layers.Reshape((1, _PAIRED))(me), NEIGHBOURS, axis=1)
    x = layers.Dense(_PAIRED, activation="relu")(ops.concatenate([pairs, mine], axis=-1))
    x = layers.Dense(_PAIRED, activation="relu")(x)
    exists = layers.Reshape((NEIGHBOURS, 1))(there)
    scores = layers.Dense(_HEADS)(x) - 30.0 * (1.0 - exists)
    weights = ops.softmax(scores, axis=1) * exists
    pooled = ops.matmul(ops.transpose(weights, (0, 2, 1)), x)
    pooled = layers.Reshape((_HEADS * _PAIRED,))(pooled)
    most = ops.max(x * exists, axis=1)
    y = layers.Dense(_TOLD, activation="relu")(ops.concatenate([me, pooled, most], axis=-1))
    y = layers.Dropout(0.1)(y)
    change = layers.Dense(JUDGED, kernel_initializer="zeros", name="change")(y)
    return keras.Model([own, pairs, there], own[:, :JUDGED] + change, name="judge")


def finished(network: Any, temperature: float) -> Any:
    """Returns a network with calibrated probabilities instead of logits.

    Args:
        network: gives 14 logits.
        temperature: the logits are divided by it.
    """
    keras = keras_module()
    out = keras.layers.Rescaling(1 / temperature)(network.outputs[0])
    out = keras.layers.Softmax(name="probabilities")(out)
    return keras.Model(network.inputs, out, name=network.name)
