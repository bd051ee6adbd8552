"""What training writes with: scanned digits and the digits and letters of fonts, drawn anew with a
pen of another width, along the glyph's skeleton or along its own edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.types import Floats, Image

SIDE = 84
"""Side of the squares in which glyphs of fonts are kept, and thinned, pixels; the glyph has 20/28
of it, as MNIST's digits have."""
_THINNEST = 0.55
"""Half of the thinnest pen, pixels."""
_PENS = (0.035, 0.24)
"""Widths of pens in shares of a glyph's height."""
_OWN = 0.5
"""Share of the glyphs of fonts that keep their own strokes."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The glyphs of some fonts: `digits` uint8 N×84×84 (255 on 0) with their `labels` 0…9, and
    `others` uint8 M×84×84, which are no digits. `heights` tells how high each of these stands
    against a digit of its font, `font` the number of its font."""

    digits: Image
    labels: Image
    others: Image
    heights: Floats
    font: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Scanned digits, uint8 N×28×28, their labels 0…9, and an alphabet where there are fonts."""

    crops: Image
    labels: Image
    alphabet: Alphabet | None = None


def redrawn(square: Image, height: float, pen: float | None, rng: np.random.Generator) -> Floats:
    """The glyph of a uint8 84×84 square about `height` pixels high: alpha float32 0…1. `pen`: its
    width in shares of the height; None keeps the glyph's own strokes."""
    ys, xs = np.nonzero(square > 60)
    if not len(ys):
        return np.zeros((2, 2), np.float32)
    tall = max(int(np.ptp(ys)) + 1, round(0.62 * (int(np.ptp(xs)) + 1)))
    side = max(12, round(height * SIDE / tall))
    if pen is not None:
        binary = cv2.threshold(square, 110, 255, cv2.THRESH_BINARY)[1]
        bones = cv2.ximgproc.thinning(binary)
        away = cv2.distanceTransform(cv2.bitwise_not(bones), cv2.DIST_L2, 5)
        scaled = cv2.resize(away, (side, side), interpolation=cv2.INTER_LINEAR) * (side / SIDE)
        half = max(_THINNEST, pen * height / 2)
        return np.asarray(np.clip(half - scaled + 0.5, 0, 1), np.float32)
    smooth = cv2.resize(square, (side, side), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(smooth.astype(np.float32) / 255, (0, 0), max(0.5, side / 56))
    level = float(rng.uniform(0.3, 0.5))
    alpha = np.clip((np.asarray(soft) - level) * max(2.2, side / 16) + 0.5, 0, 1)
    return np.asarray(alpha, np.float32)


def _pen(rng: np.random.Generator) -> float | None:
    if rng.random() < _OWN:
        return None
    low, high = np.log(_PENS)
    return float(np.exp(rng.uniform(low, high)))


def any_digit(alphabet: Alphabet, rng: np.random.Generator, height: float) -> tuple[Image, int]:
    """A digit of one of the fonts, about `height` high, with some pen, leaned and stretched a
    little: uint8 ink (255 on 0), and its label."""
    pick = int(rng.integers(len(alphabet.labels)))
    return _varied(alphabet.digits[pick], rng, height), int(alphabet.labels[pick])


def any_other(alphabet: Alphabet, rng: np.random.Generator, height: float) -> Image:
    """A letter or sign of one of the fonts, as `any_digit`."""
    return _varied(alphabet.others[int(rng.integers(len(alphabet.others)))], rng, height)


def _varied(square: Image, rng: np.random.Generator, height: float) -> Image:
    ink = redrawn(square, height, _pen(rng), rng)
    lean, turn = float(rng.normal(0, 0.15)), float(rng.normal(0, 5))
    moved = leaned(ink, lean, turn, float(np.exp(rng.normal(0, 0.12))))
    return np.asarray(np.rint(moved * 255), np.uint8)


def leaned(alpha: Floats, lean: float, turn: float, wide: float = 1.0) -> Floats:
    """The glyph leaning by `lean` (dx per dy), turned by `turn` degrees and `wide` times as wide,
    with the room that it needs."""
    h, w = alpha.shape
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    m = np.array([[c * wide, -s - lean], [s * wide, c]])
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]]) @ m.T
    low, high = corners.min(axis=0) - 2, corners.max(axis=0) + 2
    width, tall = (int(v) for v in np.ceil(high - low))
    return np.asarray(cv2.warpAffine(alpha, np.column_stack([m, -low]), (width, tall)), np.float32)
