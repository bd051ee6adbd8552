"""What is ink and what is paper: a picture in any light → darkness of ink on an even ground.

The ground is estimated by a grey closing (ink is thinner than the closing's window) and divided
out, which takes shadow, vignetting and coloured paper with it; the rest is stretched so that the
picture's own ink, pencil or marker, is about equally dark everywhere.
"""

from __future__ import annotations

import cv2
import numpy as np

from live_digits.types import Image

INK = 200
"""Darkness that the picture's typical ink is stretched to (0 paper … 255)."""
_REDUCE = 8
"""The ground is estimated on a picture this much smaller."""
_WINDOW = 15
"""Window of the closing on the reduced picture; strokes to about _REDUCE × _WINDOW px survive."""
_DARKEST = 24
"""Grounds darker than this are taken as this: noise there must not become ink."""
_NOISES = 4.5
"""Darkness is ink from this many standard deviations of the paper's grain."""
_LEAST = 7.0
"""Ink is at least this much darker than paper, of 255."""
_TILE = 32
_TILE_PEAK = 8
"""A tile's darkness is that of its pixel of this rank: fewer are grain."""
_LEVEL = 50
"""The percentile of the inked tiles' darkness that counts as the picture's ink."""
_GAIN = 9.0
"""Paler ink is stretched by this at most."""
_SAMPLE = 3
"""Statistics look at every third pixel of every third row."""

_POLARITY_SIDE = 160
_DARK_GROUND = 110
_LIGHT_SHARE = 0.3
_LIGHT_STEP = 40
_THIN_SHARE = 7
"""Light strokes are thinner than the picture's longest side divided by this."""

LINE_SPAN = 0.45
"""A lone ruling is at least this long, as a share of the picture's longest side."""
_LINES_SPAN = 0.25
"""... and one of three or more parallel ones this long."""
_LYING_SPAN = 0.2
"""A lone level line this long is a ruling too: no digit is a long level line."""
_LINE_WIDTH = 6
"""Rulings are at most this wide, pixels."""
_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
_LINES = 3
_STRAIGHT = 8
"""A ruling is this many times longer than the band that it wanders in."""
_LINE_SLACK = 3
"""Rulings wander by this many pixels and are still one line."""


def light_on_dark(grey: Image) -> bool:
    """True for chalk, or white on a black canvas: what is light is thin and lies on a dark ground.

    A light sheet on a dark desk is not thin: it outlives an opening by the window.
    """
    h, w = grey.shape
    scale = min(1.0, _POLARITY_SIDE / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    if float(np.median(small)) > _DARK_GROUND:
        return False
    _, light = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    area = cv2.countNonZero(light)
    if area == 0 or area > _LIGHT_SHARE * small.size:
        return False
    if float(small[light > 0].mean()) - float(small[light == 0].mean()) < _LIGHT_STEP:
        return False
    closed = cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    window = np.ones((round(max(size) / _THIN_SHARE),) * 2, np.uint8)
    broad = cv2.morphologyEx(closed, cv2.MORPH_OPEN, window)
    return cv2.countNonZero(broad) < 0.15 * area


def ground(grey: Image) -> Image:
    """The paper without its ink, uint8, the size of `grey`."""
    h, w = grey.shape
    size = max(1, w // _REDUCE), max(1, h // _REDUCE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    calm = cv2.medianBlur(closed, 5)
    full = cv2.resize(calm, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.max(full, float(_DARKEST)), np.uint8)


def darkness(grey: Image) -> Image:
    """uint8 grey → uint8 darkness against the ground: 0 is paper, the picture's ink is ~`INK`."""
    flat = cv2.divide(grey, ground(grey), scale=255.0)
    dark = np.asarray(cv2.bitwise_not(flat), np.uint8)
    sample = dark[::_SAMPLE, ::_SAMPLE].ravel()
    counts = np.bincount(sample, minlength=256)
    below = np.cumsum(counts) / sample.size
    q1, middle, q3 = (int(np.searchsorted(below, q)) for q in (0.25, 0.5, 0.75))
    grain = max((q3 - q1) / 1.35, 0.7)
    floor = middle + max(_LEAST, _NOISES * grain)
    level = _ink_level(dark, floor)
    gain = min(_GAIN, INK / max(1.0, level - middle), 0.30 * INK / (_NOISES * 0.6 * grain))
    table = np.clip((np.arange(256) - middle) * max(gain, 0.5), 0, 255)
    return np.asarray(cv2.LUT(dark, np.rint(table).astype(np.uint8)), np.uint8)


def _ink_level(dark: Image, floor: float) -> float:
    """The ink's darkness: the middle of the tiles' darkest, of tiles that hold ink at all. Tiles
    count alike, so that a thick dark edge does not outvote a page of thin digits."""
    h, w = dark.shape
    rows, columns = max(1, h // _TILE), max(1, w // _TILE)
    side_y, side_x = h // rows, w // columns
    tiles = dark[: rows * side_y, : columns * side_x].reshape(rows, side_y, columns, side_x)
    peaks = (
        np.partition(
            tiles.transpose(0, 2, 1, 3).reshape(rows * columns, -1)[:, ::2], -_TILE_PEAK, axis=1
        )[:, -_TILE_PEAK]
        if side_y * side_x > 4 * _TILE_PEAK
        else tiles.max(axis=(1, 3)).ravel()
    )
    inked = peaks[peaks > floor]
    return float(np.percentile(inked, _LEVEL)) if inked.size else floor


def rulings(mask: Image) -> Image:
    """The ruled lines in a binary picture of ink: uint8 0 or 255, empty where there are none.

    Straight runs are found by opening with a line after letting strokes touch across a few pixels;
    runs that together span less than `LINE_SPAN` of the picture are strokes, not rulings.
    """
    found = np.zeros_like(mask)
    longest = max(mask.shape)
    for across in (True, False):
        slack = np.ones((_LINE_SLACK, 1) if across else (1, _LINE_SLACK), np.uint8)
        run = np.ones((1, _LINE_PIECE) if across else (_LINE_PIECE, 1), np.uint8)
        broad = np.ones((_LINE_WIDTH + 1, 1) if across else (1, _LINE_WIDTH + 1), np.uint8)
        thin = cv2.subtract(mask, cv2.morphologyEx(mask, cv2.MORPH_OPEN, broad))
        pieces = cv2.morphologyEx(cv2.dilate(thin, slack), cv2.MORPH_OPEN, run)
        lines = cv2.morphologyEx(pieces, cv2.MORPH_CLOSE, run)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
        length = stats[:, cv2.CC_STAT_WIDTH if across else cv2.CC_STAT_HEIGHT]
        wide = stats[:, cv2.CC_STAT_HEIGHT if across else cv2.CC_STAT_WIDTH]
        straight = length > _STRAIGHT * wide
        straight[0] = False
        long = straight & (length >= _LINES_SPAN * longest)
        if np.count_nonzero(long) < _LINES:
            alone = _LYING_SPAN if across else LINE_SPAN
            long = straight & (length >= alone * longest)
        if long.any():
            found |= np.where(long[labels], 255, 0).astype(np.uint8)
    return found & mask


def without_rulings(mask: Image, lines: Image) -> Image:
    """The ink without its rulings; a stroke that crosses a ruling stays whole."""
    rest = mask & ~lines
    healed = np.asarray(rest)
    for shape in ((7, 1), (1, 7)):
        bridge = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
        healed = healed | (np.asarray(bridge, np.uint8) & lines)
    return np.asarray(healed, np.uint8)
