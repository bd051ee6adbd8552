"""Crops side by side, each with its reading: what the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from live_digits.core.types import Image
from live_digits.display.drawing import (
    PLATE,
    draw_text,
)

_CELL = 84
_COLUMNS = 10


def contact_sheet(crops: Image, labels: Sequence[str]) -> Image:
    """Crops (uint8 N×28×28) side by side, each with its reading under it: uint8 BGR."""
    columns = max(4, min(_COLUMNS, len(crops)))
    rows = max(1, -(-len(crops) // columns))
    step_x, step_y = _CELL + 12, _CELL + 34
    page = np.full((rows * step_y + 12, columns * step_x + 12, 3), PLATE, np.uint8)
    if len(crops) == 0:
        draw_text(page, "nothing found", 16, page.shape[0] // 2, 0.6)
    for i, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        row, column = divmod(i, columns)
        x, y = 12 + column * step_x, 12 + row * step_y
        large = cv2.resize(crop, (_CELL, _CELL), interpolation=cv2.INTER_NEAREST)
        page[y : y + _CELL, x : x + _CELL] = np.asarray(large)[..., None]
        draw_text(page, label, x, y + _CELL + 20, 0.5)
    return page
