"""Stages of vision as pictures, alone or in a grid. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.core.picture_fit import letterbox, resize
from live_digits.core.types import Image
from live_digits.display.drawing import (
    PAD,
    PLATE,
    SMALLEST,
    TEXT,
    draw_text,
    fill_panel,
    text_size,
    unit_of,
)
from live_digits.display.keymap import VIEWS
from live_digits.vision.stages import StageImages


def stage_view(stages: StageImages, view: str, result: Image) -> Image:
    """One stage as a picture of the size of `result` (uint8 BGR H×W×3), or all in a grid."""
    if view == "result":
        return result
    if view != "grid":
        return _as_colour(resize(getattr(stages, view), result.shape[1], result.shape[0]))
    names = [v for v in VIEWS if v != "grid"]
    columns = max(1, round((len(names) * 1.5) ** 0.5))  # about 3 by 2, whatever their number
    rows = -(-len(names) // columns)
    h, w = result.shape[:2]
    out = np.zeros_like(result)
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        x0, x1 = column * w // columns, (column + 1) * w // columns
        y0, y1 = row * h // rows, (row + 1) * h // rows
        cell = _as_colour(
            letterbox(result if name == "result" else getattr(stages, name), x1 - x0, y1 - y0)
        )
        unit = max(SMALLEST, unit_of(out) * 0.75)
        text_w, text_h = text_size(name, TEXT * unit)
        pad = round(PAD * unit)
        top = cell.shape[0] - text_h - 2 * pad
        fill_panel(cell, 0, top, text_w + 2 * pad, text_h + 2 * pad)
        draw_text(cell, name, pad, top + pad + text_h, TEXT * unit)
        out[y0:y1, x0:x1] = cell
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), PLATE, 1)
    return out


def _as_colour(picture: Image) -> Image:
    if picture.ndim == 3:
        return picture
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
