"""The optimiser: Muon for the kernels of convolutions, AdamW for the rest.

Muon makes the step of a matrix orthogonal, so that it is as long in every direction: K. Jordan et
al., "Muon: An optimizer for hidden layers in neural networks", 2024; the length of a step after J.
Liu et al., "Muon is Scalable for LLM Training", 2025. Keras's own Muon leaves kernels to AdamW, and
its inner methods change from version to version.
"""

from __future__ import annotations

from typing import Any

from live_digits.training.networks import keras_module

_KERNEL = 4
"""Dimensions of a convolution's kernel: height, width, channels in, channels out."""
_OTHERS_RATE = 0.3
"""Rate of AdamW, which updates all but the kernels, next to Muon's."""
_MOMENTUM = 0.95
_ITERATIONS = 5
_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
"""Jordan's coefficients of the iteration that draws all singular values towards 1."""
_LENGTH = 0.2
"""Root mean square of a step next to the rate: Adam's, by Liu."""
_TINY = 1e-7


def muon(rate: Any, decay: float, ema_momentum: float) -> Any:
    """Muon for the kernels of convolutions, each as the matrix (what goes in) × (channels out), and
    AdamW for the rest; weights averaged. `rate` is a number or a schedule."""
    keras = keras_module()
    ops = keras.ops

    class Muon(keras.optimizers.AdamW):  # type: ignore[misc, name-defined]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if len(variable.shape) != _KERNEL:
                super().update_step(gradient, variable, learning_rate * _OTHERS_RATE)
                return
            rate = ops.cast(learning_rate, variable.dtype)
            mean = self._momentums[self._get_variable_index(variable)]
            self.assign_add(mean, (gradient - mean) * (1 - _MOMENTUM))
            ahead = gradient * (1 - _MOMENTUM) + mean * _MOMENTUM
            matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
            length = ops.sqrt(ops.cast(max(matrix.shape), variable.dtype))
            step = rate * orthogonal(matrix) * length * _LENGTH
            self.assign_sub(variable, ops.reshape(step, variable.shape))

    return Muon(rate, weight_decay=decay, use_ema=True, ema_momentum=ema_momentum)


def orthogonal(matrix: Any) -> Any:
    """A matrix of the same singular vectors whose singular values are 0.7 to 1.2: five
    Newton-Schulz iterations."""
    ops = keras_module().ops
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x, axis=(-2, -1), keepdims=True) + _TINY)
    for _ in range(_ITERATIONS):
        square = x @ ops.transpose(x)
        x = _LINEAR * x + (_CUBIC * square + _QUINTIC * square @ square) @ x
    return ops.transpose(x) if tall else x
