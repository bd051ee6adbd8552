"""What is ink and what is paper: a picture in any light → darkness of ink on an even ground.

The ground is estimated by a grey closing (ink is thinner than the closing's window) and divided
out, which takes shadow, vignetting and coloured paper with it; the rest is stretched so that the
picture's own ink, pencil or marker, is about equally dark everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

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

_GRAIN_ROWS, _GRAIN_SHARE = 24, 0.75
"""Grain is measured once in so many rows, and by the least share of all differences: ink and edges
are few."""
_OF_ONE = 6 * 0.5149
"""What noise of standard deviation 1 gives: the differences' norm, and the mean size of the smaller
three quarters of a normal variable."""
_GRAINY, _SOFTEN = 0.9, 1.0
"""Noise from this standard deviation is softened by a blur of this one, pixels."""

_POLARITY_SIDE = 320
_EXPOSED, _BRIGHTEST, _MOST_LIGHT = 200, 99.9, 4.0
"""A dim picture is looked at as if in so much light that this percentile of it were as light as
this, but at most in so many times the light there was."""
_DARK_GROUND = 110
"""Light ink needs a ground this dark."""
_SPARSE, _LIGHT_GROUND = 4, 125
"""No closer look where half of every so many pixels each way are lighter than this."""
_STROKES = (3, 5, 9, 17, 33)
"""Windows of the search for strokes, pixels of the reduced picture, narrow first."""
_STROKE_STEP = 20
"""A stroke differs from its ground by more than this."""
_STROKE_SUM = 0.02
"""Mean over the picture of what strokes differ by beyond that, from which they are there."""
_SHEET, _FINE = 0.003, 5
"""What the corners of a sheet on a dark desk bring grows with the square of how much a window is
wider than `_FINE`: the first strokes seen must bring more."""
_GROUND_SIDE = 33
"""Dark strokes are darker than the median of so many pixels each way: what is dark between the
lines of a squared board is not."""
_WINDOWS = 2
"""The narrowest windows that show any strokes decide."""
_CORNERS = 8.0
"""What the next window multiplies by this were corners of wider strokes, not strokes."""
_LIGHT_LEAD = 3.2
"""Light by dark strokes, multiplied over these windows."""


def noise_sigma(grey: Image) -> float:
    """The standard deviation of the picture's noise, of 255: second differences down and across
    leave it and take out light and paper (J. Immerkær, "Fast Noise Variance Estimation", 1996); the
    smaller three quarters of them count, some rows tell enough."""
    h, w = grey.shape
    bands = h // _GRAIN_ROWS
    if not bands or w < 3:
        return 0.0
    rows = grey[: bands * _GRAIN_ROWS].reshape(bands, _GRAIN_ROWS, w)[:, :3].astype(np.int16)
    left = np.abs(np.diff(np.diff(rows, 2, axis=1)[:, 0], 2, axis=1)).ravel()
    most = int(_GRAIN_SHARE * len(left))
    smaller = np.partition(left, most)[:most] if most else left
    return float(smaller.mean()) / _OF_ONE


def denoise(grey: Image) -> Image:
    """The picture, softened where a poor light has made it grainy."""
    if noise_sigma(grey) < _GRAINY:
        return grey
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _SOFTEN), np.uint8)


def is_light_on_dark(grey: Image) -> bool:
    """True for chalk, or white on a black canvas: of the narrowest strokes in the picture, the
    light ones outweigh the dark ones by far.

    Top-hat and black-hat (light or dark and narrower than a window) of growing windows; a light
    sheet on a dark desk is no stroke, the pen on it is.
    """
    if np.count_nonzero(grey[::_SPARSE, ::_SPARSE] > _LIGHT_GROUND) * 2 * _SPARSE**2 > grey.size:
        return False
    h, w = grey.shape
    scale = min(1.0, _POLARITY_SIDE / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
    small = _exposed(small)
    if float(np.median(small)) > _DARK_GROUND:
        return False
    small = np.asarray(cv2.GaussianBlur(small, (3, 3), 0), np.uint8)
    below = np.asarray(cv2.subtract(cv2.medianBlur(small, _GROUND_SIDE), small), np.uint8)
    seen: list[tuple[float, float]] = []
    for side in _STROKES:
        window = np.ones((side, side), np.uint8)
        light = _mean_excess(cv2.morphologyEx(small, cv2.MORPH_TOPHAT, window))
        dark = _mean_excess(cv2.min(cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, window), below))
        if seen and light + dark > _CORNERS * sum(seen[0]):
            seen.clear()
        corners = 0.0 if seen else _SHEET * max(0, side - _FINE) ** 2
        if light + dark > max(_STROKE_SUM, corners):
            seen.append((light, dark))
        if len(seen) == _WINDOWS:
            break
    lead = float(np.prod([light / max(dark, 1e-6) for light, dark in seen]))
    return bool(seen) and lead ** (_WINDOWS / len(seen)) > _LIGHT_LEAD


def _exposed(grey: npt.NDArray[Any]) -> Image:
    """The picture as it would be in enough light."""
    top = max(1.0, float(np.percentile(grey, _BRIGHTEST)))
    return np.asarray(cv2.convertScaleAbs(grey, alpha=min(_MOST_LIGHT, max(1.0, _EXPOSED / top))))


def _mean_excess(hat: npt.NDArray[Any]) -> float:
    """Mean of what a hat stands out by beyond `_STROKE_STEP`."""
    return float(np.maximum(hat.astype(np.int16) - _STROKE_STEP, 0).mean())


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
