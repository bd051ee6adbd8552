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
"""Window of the closing on the reduced picture; strokes up to about _REDUCE × _WINDOW px survive."""
_DARKEST = 24
"""Grounds darker than this are taken as this: noise there must not become ink."""
_NOISES = 4.5
"""Darkness is ink from this many standard deviations of the paper's grain."""
_LEAST = 7.0
"""Ink is at least this much darker than paper, of 255."""
_LEVEL = 82
"""The percentile of what may be ink that counts as the picture's ink."""
_GAIN = 9.0
"""Paler ink is stretched by this at most."""
_SAMPLE = 3
"""Statistics look at every third pixel of every third row."""

LINE_SPAN = 0.3
"""A ruling is at least this long, as a share of the picture's width or height."""
_LINE_PIECE = 31
"""Straight runs from this length, pixels, may be part of a ruling."""
_LINE_SLACK = 3
"""Rulings wander by this many pixels and are still one line."""


def light_on_dark(grey: Image) -> bool:
    """True for chalk, or white on a black canvas: thin things are lighter than a dark ground."""
    small = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    if float(np.median(small)) > 110:
        return False
    kernel = np.ones((15, 15), np.uint8)
    dark = cv2.morphologyEx(small, cv2.MORPH_BLACKHAT, kernel).astype(np.float32)
    light = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, kernel).astype(np.float32)
    return float((light**2).mean()) > 2.0 * float((dark**2).mean())


def ground(grey: Image) -> Image:
    """The paper without its ink, uint8, the size of `grey`."""
    h, w = grey.shape
    size = max(1, w // _REDUCE), max(1, h // _REDUCE)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    kernel = np.ones((_WINDOW, _WINDOW), np.uint8)
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    calm = cv2.medianBlur(closed, 5)
    full = cv2.resize(calm, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.max(full, float(_DARKEST)), np.uint8)  # type: ignore[call-overload]


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
    start = min(255, int(np.ceil(floor)))
    inked = np.cumsum(counts[start:])
    level = floor
    if inked.size and inked[-1] > 0:
        level = start + float(np.searchsorted(inked, inked[-1] * _LEVEL / 100))
    gain = min(_GAIN, INK / max(1.0, level - middle), 0.30 * INK / (_NOISES * 0.6 * grain))
    table = np.clip((np.arange(256) - middle) * max(gain, 0.5), 0, 255)
    return np.asarray(cv2.LUT(dark, np.rint(table).astype(np.uint8)), np.uint8)


def rulings(mask: Image) -> Image:
    """The ruled lines in a binary picture of ink: uint8 0 or 255, empty where there are none.

    Straight runs are found by opening with a line after letting strokes touch across a few pixels;
    runs that together span less than `LINE_SPAN` of the picture are strokes, not rulings.
    """
    found = np.zeros_like(mask)
    h, w = mask.shape
    for across in (True, False):
        wander = np.ones((_LINE_SLACK, 1) if across else (1, _LINE_SLACK), np.uint8)
        run = np.ones((1, _LINE_PIECE) if across else (_LINE_PIECE, 1), np.uint8)
        thick = cv2.dilate(mask, wander)
        lines = cv2.morphologyEx(thick, cv2.MORPH_OPEN, run)
        lines = cv2.morphologyEx(lines, cv2.MORPH_CLOSE, run)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
        side = cv2.CC_STAT_WIDTH if across else cv2.CC_STAT_HEIGHT
        long = stats[:, side] >= LINE_SPAN * (w if across else h)
        long[0] = False
        if count > 1 and long.any():
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
