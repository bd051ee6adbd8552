"""What training writes with: scanned digits and the digits and letters of fonts, drawn anew with a
pen of another width, along the glyph's skeleton or along its own edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import Floats, Image

SIDE = 84
"""Side of the squares in which glyphs of fonts are kept, and thinned, pixels; the glyph has 20/28
of it, as MNIST's digits have."""
INKED = 60
"""Level of 255 from which a glyph's pixel is ink."""
_THINNEST = 0.55
"""Half of the thinnest pen, pixels."""
_PENS = (0.035, 0.24)
"""Widths of pens in shares of a glyph's height."""
_OWN = 0.5
"""Share of the glyphs of fonts that keep their own strokes."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The glyphs of some fonts: `digits` uint8 N×84×84 (255 on 0) with their `labels` 0…9, ten a
    font in order, and `others` uint8 M×84×84, which are no digits.

    `heights` tells how high each of these stands against a digit of its font, `drops` how far it
    reaches below the line, `font` the number of its font, `names` its character; `alone` holds for
    those that nobody takes for a digit."""

    digits: Image
    labels: Image
    others: Image
    heights: Floats
    drops: Floats
    font: npt.NDArray[np.int64]
    names: tuple[str, ...]
    alone: npt.NDArray[np.bool_]

    def of_font(self, number: int) -> dict[str, int]:
        """The rows of `others` by their characters, of one font."""
        return {self.names[i]: int(i) for i in np.flatnonzero(self.font == number)}


@dataclass(frozen=True, slots=True)
class Writing:
    """What real hands wrote beside the digits: letters and signs by their character and shapes by
    their name, each uint8 N×28×28 (255 on 0); words uint8 H×W; and digits of photographs at their
    own size, enlarged smoothly, uint8 N×84×84, with their labels."""

    letters: Mapping[str, Image]
    signs: Mapping[str, Image]
    shapes: Mapping[str, Image]
    words: tuple[Image, ...]
    photographed: Image
    photographed_labels: Image


@dataclass(frozen=True, slots=True)
class Scenery:
    """Files of real pictures without digits: empty sheets, things to lie under them, boards, pages
    of writing, reliefs of crumpled paper, tiles of paper, and rooms."""

    sheets: tuple[Path, ...] = ()
    surfaces: tuple[Path, ...] = ()
    boards: tuple[Path, ...] = ()
    texts: tuple[Path, ...] = ()
    reliefs: tuple[Path, ...] = ()
    tiles: tuple[Path, ...] = ()
    rooms: tuple[Path, ...] = ()

    @property
    def whole(self) -> tuple[Path, ...]:
        """The files of pictures that can stand for themselves."""
        return (*self.texts, *self.surfaces, *self.boards, *self.sheets)


NO_SCENERY = Scenery()


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What pages are written with and shown on: scanned digits, uint8 N×28×28, their labels 0…9,
    and an alphabet, real writing and real pictures where there are some."""

    crops: Image
    labels: Image
    alphabet: Alphabet | None = None
    writing: Writing | None = None
    scenery: Scenery = NO_SCENERY


def bones(square: Image) -> Floats:
    """How far each pixel of a uint8 84×84 square is from the glyph's skeleton, pixels."""
    binary = cv2.threshold(square, 110, 255, cv2.THRESH_BINARY)[1]
    thin = cv2.ximgproc.thinning(binary)
    return np.asarray(cv2.distanceTransform(cv2.bitwise_not(thin), cv2.DIST_L2, 5), np.float32)


def square_of(ink: Image) -> Image:
    """Any ink, uint8 255 on 0, tight or not, in the middle of a square of `SIDE`, in 20/28 of
    it."""
    x, y, w, h = cv2.boundingRect((ink > INKED).astype(np.uint8))
    out = np.zeros((SIDE, SIDE), np.uint8)
    if not w or not h:
        return out
    scale = SIDE * 20 / 28 / max(w, h)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(np.ascontiguousarray(ink[y : y + h, x : x + w]), size, interpolation=how)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def redrawn(
    square: Image,
    height: float,
    pen: float | None,
    rng: np.random.Generator,
    away: Floats | None = None,
) -> Floats:
    """The glyph of a uint8 84×84 square about `height` pixels high: alpha float32 0…1.

    Args:
        pen: Its width in shares of the height; None keeps the glyph's own strokes.
        away: The square's `bones`, where they are known.
    """
    ys, xs = np.nonzero(square > INKED)
    if not len(ys):
        return np.zeros((2, 2), np.float32)
    tall = max(int(np.ptp(ys)) + 1, round(0.62 * (int(np.ptp(xs)) + 1)))
    side = max(12, round(height * SIDE / tall))
    if pen is not None:
        away = bones(square) if away is None else away
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
    return _varied(alphabet.others[int(rng.choice(np.flatnonzero(alphabet.alone)))], rng, height)


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
