"""What is ink and what is paper: a picture in any light → darkness of ink on an even ground.

The ground is estimated by a grey closing (ink is thinner than the closing's window) and divided
out, which takes shadow, vignetting and coloured paper with it; the rest is stretched so that the
picture's own ink, pencil or marker, is about equally dark everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from live_digits.core.types import Floats, Image

INK = 200
"""Darkness that the picture's typical ink is stretched to (0 paper … 255)."""
_REDUCE = 8
"""The ground is estimated on a picture this much smaller."""
_WINDOW = 15
"""Window of the closing on the reduced picture; strokes to about _REDUCE × _WINDOW px survive."""
_EDGE = 0.5
"""Neighbouring grounds that differ by more than this factor are two things: sheet and desk."""
_DARKEST = 24
"""Grounds darker than this are taken as this: noise there must not become ink."""
_PAPER = 90
"""The percentile of the ground that counts as the picture's paper."""
_DESK = 0.42
"""Ground darker than this share of the paper is desk: its grain is not enlarged."""
_TILE = 32
"""Grain and ink are measured in tiles of this side, pixels."""
_PEAK_RANK = 2
"""A tile's darkness is that of its pixel of this rank, of every fourth pixel: fewer are grain."""
_NOISES = 4.5
"""Darkness is ink from this many standard deviations of the paper's grain."""
_LEAST = 7.0
"""Ink is at least this much darker than paper, of 255."""
_AROUND = 3
"""The ink's level is taken from the tiles this far around."""
_LEVEL = 0.2
"""... as this quantile of those that hold ink: pale strokes beside a thick dark edge count."""
_NOISE_TOP = 0.25
"""Grain reaches at most this share of INK, however pale the ink is."""
_GAIN = (0.8, 9.0)
"""Ink is stretched by factors in this range."""


def estimate_background(grey: Image) -> Image:
    """The paper without its ink, uint8, the size of `grey`. Along the sheet's own edge it is what
    lies beside it: the edge is no ink."""
    h, w = grey.shape
    size = max(1, w // _REDUCE), max(1, h // _REDUCE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    calm = cv2.medianBlur(closed, 5)
    around = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(calm, around), cv2.dilate(calm, around)
    edge = cv2.compare(low, cv2.multiply(high, _EDGE), cv2.CMP_LT)
    calm = np.where(edge > 0, low, calm).astype(np.uint8)
    return np.asarray(cv2.resize(calm, (w, h), interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True, slots=True)
class InkContrast:
    """`raw`: how much darker than the ground, 0 paper … 255 black. `even`: the same stretched so
    that ink, wherever in the picture, is about `INK`. Both uint8 H×W."""

    raw: Image
    even: Image


def ink_contrast(grey: Image) -> InkContrast:
    """uint8 grey → its darkness against the ground.

    Grain and ink are measured tile by tile: what is ink in one corner may be noise in another.
    Ground far darker than the picture's paper is desk and measured as if it were lighter.
    """
    paper = estimate_background(grey)
    lightest = int(np.percentile(paper[::_REDUCE, ::_REDUCE], _PAPER))
    desk = max(_DARKEST, round(_DESK * lightest))
    missing = cv2.subtract(paper, grey)
    raw = np.asarray(cv2.divide(missing, cv2.max(paper, float(desk)), scale=255.0), np.uint8)
    return InkContrast(raw, _equalise(raw, raw))


def mask_lines(dark: InkContrast, lines: Image, crossings: Image) -> InkContrast:
    """The same with the pixels of `lines` (uint8, 0 or 255) as paper: a pale pencil inside a black
    frame is stretched by its own darkness then. What lies where they cross may be ink, but does not
    tell how dark it is. `raw` stays."""
    bare = np.asarray(cv2.subtract(dark.raw, lines), np.uint8)
    return InkContrast(
        dark.raw, _equalise(bare, np.asarray(cv2.subtract(bare, crossings), np.uint8))
    )


def _equalise(raw: Image, told: Image) -> Image:
    """Darkness stretched so that ink, as dark as that in `told`, is about `INK` everywhere."""
    zero, gain = _stretch(told)
    h, w = raw.shape
    size = (w, h)
    offset = cv2.resize(zero, size, interpolation=cv2.INTER_LINEAR)
    factor = cv2.resize(gain, size, interpolation=cv2.INTER_LINEAR)
    lifted = cv2.subtract(raw, offset, dtype=cv2.CV_32F)
    return np.asarray(cv2.multiply(lifted, factor, dtype=cv2.CV_8U), np.uint8)


def _stretch(raw: Image) -> tuple[Floats, Floats]:
    """Tile by tile, float32 rows × columns: the paper's own darkness, and the factor beyond it."""
    h, w = raw.shape
    rows, columns = max(1, h // _TILE), max(1, w // _TILE)
    side_y, side_x = h // rows, w // columns
    tiles = raw[: rows * side_y, : columns * side_x].reshape(rows, side_y, columns, side_x)
    pixels = tiles.transpose(0, 2, 1, 3)[..., ::2, ::2].reshape(rows * columns, -1)
    count = pixels.shape[1]
    ordered = np.sort(pixels, axis=1, kind="stable")  # counts bytes: faster than any selection
    low, middle, peak = (
        ordered[:, r].astype(np.float32).reshape(rows, columns)
        for r in (count // 6, count // 2, max(0, count - _PEAK_RANK))
    )
    zero, grain = _robust_background(middle), _robust_background(np.maximum(middle - low, 0.5))
    floor = np.maximum(_LEAST, _NOISES * grain)
    level = _ink_level(peak - zero, floor)
    most = INK * _NOISE_TOP / (0.6 * floor)
    gain = np.clip(np.minimum(INK / level, most), *_GAIN)
    return zero, np.asarray(cv2.blur(gain.astype(np.float32), (3, 3)), np.float32)


def _robust_background(tiles: Floats) -> Floats:
    """The lower middle of each tile's surroundings: tiles full of ink tell nothing of paper."""
    around = _surroundings(tiles, 1, np.inf)
    around.sort(axis=2)
    return np.asarray(cv2.blur(around[:, :, 3], (3, 3)), np.float32)


def _surroundings(tiles: Floats, reach: int, outside: float) -> Floats:
    """rows × columns × (2 reach + 1)²: the tiles around each, `outside` beyond the picture."""
    padded = np.pad(tiles, reach, constant_values=outside)
    side = 2 * reach + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return np.array(windows.reshape(*tiles.shape, side * side), np.float32)


def _ink_level(peak: Floats, floor: Floats) -> Floats:
    """How dark the ink is around each tile; where there is none, as in the rest of the picture."""
    inked = np.where(peak > floor, peak, np.inf).astype(np.float32)
    everywhere = np.sort(inked[np.isfinite(inked)])
    usual = float(everywhere[int(_LEVEL * len(everywhere))]) if len(everywhere) else INK
    around = _surroundings(inked, _AROUND, np.inf)
    around.sort(axis=2)
    count = np.isfinite(around).sum(axis=2)
    at = np.minimum((_LEVEL * count).astype(int), np.maximum(count - 1, 0))
    level = np.take_along_axis(around, at[..., None], axis=2)[..., 0]
    return np.where(count > 0, level, usual).astype(np.float32)
