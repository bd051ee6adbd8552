"""The optimiser: Keras's Muon, which makes each step of a matrix orthogonal, for convolutions, too.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; J. Liu et al.,
"Muon is Scalable for LLM Training", 2025 (the size of a step). Keras's own leaves kernels of more
than two dimensions to AdamW.
"""

from __future__ import annotations

from typing import Any

from live_digits.training.models import keras_module

_KERNEL = 4
"""Dimensions of a convolution's kernel: height, width, channels in, channels out."""
_OTHERS_RATE = 0.3
"""Rate of AdamW, which updates all but the kernels, next to Muon's."""


def muon(rate: Any, decay: float, ema_momentum: float) -> Any:
    """Muon for the kernels of convolutions, each as the matrix (what goes in) × (channels out), and
    AdamW for the rest; weights averaged. `rate` is a number or a schedule."""
    keras = keras_module()
    ops = keras.ops

    class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[misc, name-defined]
        def _should_use_adamw(self, variable: Any) -> bool:
            return len(variable.shape) != _KERNEL

        def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
            self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.momentum))
            ahead = ops.add(gradient, ops.multiply(m, self.momentum))
            matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
            step = self.lr_adjust(lr * self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
            self.assign_sub(variable, ops.reshape(step, variable.shape))

    return ConvolutionMuon(
        rate,
        weight_decay=decay,
        adam_weight_decay=decay,
        adam_lr_ratio=_OTHERS_RATE,
        use_ema=True,
        ema_momentum=ema_momentum,
    )
