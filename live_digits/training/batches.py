"""What a network sees of its pool, batch after batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from live_digits.core.types import CLASSES, CROP_SIZE, Floats
from live_digits.training import datasets
from live_digits.training.augmentation import Strength, augment

Indices = npt.NDArray[np.int64]

BATCH = 256
"""Crops of a batch."""
_AHEAD = 8
"""Batches that are made before they are asked for."""
GENTLE = Strength(
    rotation=5.0, shear=0.08, scale=0.06, shift=0.8, elastic=0.5, thickness=0.15, blur=0.1,
    contrast=0.25, faint=0.05, hole=0.03, salt=0.03, ruling=0.02, untouched=0.3,
)  # fmt: skip
"""For crops of drawn pages."""


class Batches:
    """The pool in batches, epoch after epoch: shuffled, changed at random, the same for the same
    seed. Crops of drawn pages have been through much already and are changed less."""

    def __init__(
        self, pool: datasets.Pool, seed: int, changed: bool = True, smoothing: float = 0.0
    ) -> None:
        """`changed`: crops are changed at random each time they are seen. `smoothing`: share of a
        label that is spread over all classes."""
        self._pool, self._seed = pool, seed
        self._changed, self._smoothing = changed, smoothing
        pages = [
            i
            for i, name in enumerate(pool.sources)
            if name in (datasets.PAGE_DIGITS, datasets.PAGE_OTHERS)
        ]
        self._gentle = np.isin(pool.source, pages)
        self._order = (-1, np.zeros(0, np.int64))
        self.steps = max(1, len(pool) // BATCH)
        """Batches of an epoch."""

    def __getitem__(self, number: int) -> tuple[Floats, Floats]:
        """Crops float32 N×28×28 in 0…1 and labels float32 N×11 of the batch of this number, counted
        from the first epoch on."""
        epoch, index = divmod(number, self.steps)
        rows = self._shuffled(epoch)[index * BATCH : (index + 1) * BATCH]
        rng = np.random.default_rng((self._seed, epoch, index))
        crops, gentle = self._pool.crops[rows], self._gentle[rows]
        x: Floats = np.empty(crops.shape, np.float32)
        if self._changed:
            for part, strength in ((~gentle, Strength()), (gentle, GENTLE)):
                x[part] = augment(crops[part], rng, strength)
        else:
            np.divide(crops, np.float32(255), out=x)
        y: Floats = np.full((len(rows), CLASSES), self._smoothing / CLASSES, np.float32)
        y[np.arange(len(rows)), self._pool.labels[rows]] += 1 - self._smoothing
        return x, y

    def _shuffled(self, epoch: int) -> Indices:
        at, order = self._order  # TensorFlow may make two batches at a time
        if at != epoch:
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._pool))
            self._order = epoch, order
        return order

    def dataset(self, epochs: int) -> Any:
        """All batches of so many epochs, made ahead of their use.

        Not through Keras's PyDataset: TensorFlow's generator below it has the process give its
        memory back at every step (M_TRIM_THRESHOLD), which can take half of the time."""
        import tensorflow as tf

        def batch(number: Any) -> tuple[Any, Any]:
            x, y = tf.numpy_function(
                lambda n: self[int(n)], [number], (tf.float32, tf.float32), stateful=False
            )
            return tf.ensure_shape(x, (None, CROP_SIZE, CROP_SIZE)), tf.ensure_shape(
                y, (None, CLASSES)
            )

        numbers = tf.data.Dataset.range(epochs * self.steps)
        return numbers.map(batch).prefetch(_AHEAD)
