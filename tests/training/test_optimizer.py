"""The optimiser that trains the default network: Muon for the kernels, AdamW for the rest."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from live_digits.training.networks import keras_module
from live_digits.training.optimizer import muon

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="TensorFlow is not installed (extra 'train')",
)

RATE = 0.01


def moved(shape: tuple[int, ...], decay: float = 0.0) -> Any:
    """How far one step takes a variable of ones that some gradient, always the same, pulls."""
    keras = keras_module()
    variable = keras.Variable(np.ones(shape, np.float32))
    pull = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    optimiser = muon(RATE, decay, 0.9)
    optimiser.build([variable])
    optimiser.apply([keras.ops.convert_to_tensor(pull)], [variable])
    return np.asarray(variable) - 1


@pytest.mark.parametrize("shape", [(3, 3, 1, 16), (3, 3, 16, 24), (3, 3, 4, 60)])
def test_a_kernel_moves_as_far_in_every_direction(shape: tuple[int, int, int, int]) -> None:
    """As one matrix: what goes in × channels out. Five iterations leave 0.7 to 1.2 of a step."""
    step = np.linalg.svd(moved(shape).reshape(-1, shape[-1]), compute_uv=False)
    full = RATE * 0.2 * np.sqrt(max(np.prod(shape[:-1]), shape[-1]))
    assert step.min() > 0.5 * full
    assert step.max() < 1.3 * full


@pytest.mark.parametrize("shape", [(24,), (40, 11)])
def test_the_rest_moves_as_adamw_does_at_a_lower_rate(shape: tuple[int, ...]) -> None:
    np.testing.assert_allclose(np.abs(moved(shape)), 0.3 * RATE, rtol=1e-3)


@pytest.mark.parametrize("shape", [(24,), (3, 3, 8, 8)])
def test_weights_decay(shape: tuple[int, ...]) -> None:
    np.testing.assert_allclose(moved(shape, decay=2.0), moved(shape) - 2.0 * RATE, atol=1e-6)


def test_the_average_of_the_weights_is_what_remains() -> None:
    keras = keras_module()
    variable = keras.Variable(np.zeros((3, 3, 4, 4), np.float32))
    optimiser = muon(RATE, 0.0, 0.5)
    optimiser.build([variable])
    gradient = keras.ops.ones((3, 3, 4, 4))
    for _ in range(2):
        optimiser.apply([gradient], [variable])
    last = np.asarray(variable).copy()
    optimiser.finalize_variable_values([variable])
    kept = np.asarray(variable)
    assert not np.allclose(kept, last)
    assert np.all(np.abs(kept) < np.abs(last))
