"""What has changed between two small pictures, beside the light."""

from __future__ import annotations

import numpy as np

from live_digits.core.types import Floats


def frame_difference(before: Floats, now: Floats) -> tuple[Floats, float]:
    """How far each cell is from what it was, a common change of the light left out; and the median
    of that, which is what noise does. Both float32, of one shape, in grey levels."""
    change = now - before
    size = np.asarray(np.abs(change - np.median(change)), np.float32)
    return size, float(np.median(size))
