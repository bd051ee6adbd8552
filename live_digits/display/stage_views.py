"""Stages of vision as pictures, alone or in a grid, and sheets of crops. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

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

_CELL = 84
_COLUMNS = 10


def stage_view(stages: StageImages, view: str, result: Image) -> Image:
    """One stage as a picture of the size of `result` (uint8 BGR H×W×3), or all in a grid."""
    if view == "result":
        return result
    if view != "grid":
        return _as_colour(getattr(stages, view), result.shape[1], result.shape[0])
    names = [v for v in VIEWS if v != "grid"]
    columns = max(1, round((len(names) * 1.5) ** 0.5))  # about 3 by 2, whatever their number
    rows = -(-len(names) // columns)
    h, w = result.shape[:2]
    out = np.zeros_like(result)
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        x0, x1 = column * w // columns, (column + 1) * w // columns
        y0, y1 = row * h // rows, (row + 1) * h // rows
        cell = _fitted(result if name == "result" else getattr(stages, name), x1 - x0, y1 - y0)
        unit = max(SMALLEST, unit_of(out) * 0.75)
        text_w, text_h = text_size(name, TEXT * unit)
        pad = round(PAD * unit)
        top = cell.shape[0] - text_h - 2 * pad
        fill_panel(cell, 0, top, text_w + 2 * pad, text_h + 2 * pad)
        draw_text(cell, name, pad, top + pad + text_h, TEXT * unit)
        out[y0:y1, x0:x1] = cell
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), PLATE, 1)
    return out


def _as_colour(picture: Image, width: int, height: int) -> Image:
    shrink = width < picture.shape[1]
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=method)
    if resized.ndim == 2:
        resized = cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR)
    return np.asarray(resized, np.uint8)


def _fitted(picture: Image, width: int, height: int) -> Image:
    """The whole picture inside width × height, its shape kept, on black."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    w, h = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    cell = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    cell[y : y + h, x : x + w] = _as_colour(picture, w, h)
    return cell


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
