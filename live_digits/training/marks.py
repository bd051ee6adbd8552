"""One mark on a drawn page: a digit, a letter or a sign, drawn with some pen.

The ink of each mark is kept with its id, so that whoever finds it can be told what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.training import strokes
from live_digits.training.glyphs import SIDE, Alphabet, Glyphs, leaned, redrawn
from live_digits.types import Floats, Image

Ids = npt.NDArray[np.uint16]

_INKED = 0.4
"""Ink darker than this share belongs to the glyph."""
_WITH_PEN = 0.66
"""Share of the glyphs that are thinned and drawn at the pen's width; the rest keep their own."""
_DIGITS_OF_FONTS, OTHERS_OF_FONTS = 0.25, 0.5
"""Shares of what is written that come from fonts, where there are some."""
_TALLEST, _FLAT = 1.3, 0.4
"""Height of the tallest letter against a digit; what is lower than `_FLAT` stands in the middle of
the line."""
OTHER = 255
"""From this id on, ink is no digit."""


@dataclass(slots=True)
class Sheet:
    """A page at work: `ink` is how much of the paper each mark takes away, float32 H×W×3, 0…1."""

    ink: Floats
    ids: Ids
    digits: list[int]
    rng: np.random.Generator
    glyphs: Glyphs

    @property
    def size(self) -> tuple[int, int]:
        return self.ink.shape[1], self.ink.shape[0]


@dataclass(frozen=True, slots=True)
class Pen:
    """`colour` is what it takes from white light, BGR 0…1; `width` is in shares of a digit's
    height; `grain` how unevenly it covers, 0…1."""

    colour: tuple[float, float, float]
    width: float
    strength: float
    grain: float
    slant: float


def random_pen(rng: np.random.Generator) -> Pen:
    """A ball pen, a pencil, a felt pen or a marker of some colour."""
    kind = rng.choice(["ball", "pencil", "felt", "marker"], p=[0.36, 0.28, 0.2, 0.16])
    inks = {
        "blue": (0.15, 0.62, 0.75),
        "black": (0.85, 0.86, 0.88),
        "red": (0.75, 0.8, 0.15),
        "green": (0.7, 0.3, 0.75),
        "grey": (0.6, 0.6, 0.6),
    }
    names = ["grey"] if kind == "pencil" else list(inks)
    weights = [1.0] if kind == "pencil" else [0.4, 0.38, 0.12, 0.05, 0.05]
    base = np.array(inks[str(rng.choice(names, p=weights))]) + rng.normal(0, 0.05, 3)
    low, high = {"ball": (0.035, 0.09), "pencil": (0.03, 0.1), "felt": (0.07, 0.15),
                 "marker": (0.12, 0.26)}[str(kind)]  # fmt: skip
    strength = rng.uniform(0.22, 0.75) if kind == "pencil" else rng.uniform(0.6, 1.0)
    b, g, r = np.clip(base, 0.05, 0.97)
    return Pen(
        (float(b), float(g), float(r)),
        float(rng.uniform(low, high)),
        float(strength),
        float(rng.uniform(0.1, 0.6) if kind == "pencil" else rng.uniform(0, 0.25)),
        float(np.clip(rng.normal(0.03, 0.13), -0.3, 0.4)),
    )


def _scanned(sheet: Sheet, height: float, pen: Pen) -> tuple[Floats, int]:
    """A scanned digit drawn anew with the pen: alpha float32, about `height` high, and its label.
    Two of three are drawn at the pen's width, the rest keep their own."""
    rng = sheet.rng
    pick = int(rng.integers(len(sheet.glyphs.labels)))
    label = int(sheet.glyphs.labels[pick])
    crop = sheet.glyphs.crops[pick]
    square = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
    width = pen.width if rng.random() < _WITH_PEN else None
    alpha = redrawn(square, height, width, rng)
    return _slanted(alpha, pen.slant, rng), label


def _slanted(alpha: Floats, slant: float, rng: np.random.Generator) -> Floats:
    """Slants and turns a glyph a little."""
    turn = float(rng.normal(0, 4))
    return leaned(alpha, slant + float(rng.normal(0, 0.04)), turn)


def drawn(image: Image) -> Floats:
    """How much of a pen covers each pixel, 0…1, of a glyph in uint8."""
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def _hand(rng: np.random.Generator, pen: Pen) -> strokes.Hand:
    h = strokes.Hand.random(rng)
    return strokes.Hand(h.shake, pen.slant + 0.05, h.round_, h.aspect, pen.width)


def _of_font(sheet: Sheet, squares: Image, pick: int, height: float, pen: Pen) -> Floats:
    """A glyph of a font, drawn with the pen as a scanned one is."""
    width = pen.width if sheet.rng.random() < _WITH_PEN else None
    return _slanted(redrawn(squares[pick], height, width, sheet.rng), pen.slant, sheet.rng)


def _digit(sheet: Sheet, height: float, pen: Pen) -> tuple[Floats, int]:
    alphabet = sheet.glyphs.alphabet
    if alphabet and sheet.rng.random() < _DIGITS_OF_FONTS:
        pick = int(sheet.rng.integers(len(alphabet.labels)))
        return _of_font(sheet, alphabet.digits, pick, height, pen), int(alphabet.labels[pick])
    if sheet.rng.random() < 0.72:
        return _scanned(sheet, height, pen)
    value = int(sheet.rng.integers(10))
    ink = strokes.digit(value, _hand(sheet.rng, pen), sheet.rng, max(10, round(height)))
    return drawn(ink), value


def _tight(alpha: Floats) -> Floats:
    """Without its empty margin."""
    x, y, w, h = cv2.boundingRect((alpha > _INKED).astype(np.uint8))
    return alpha[y : y + h, x : x + w] if w and h else alpha[:1, :1]


def put(sheet: Sheet, alpha: Floats, x: float, y: float, pen: Pen, mark: int) -> None:
    """Draws a glyph with its top left corner at x, y; what leaves the sheet is cut off."""
    width, height = sheet.size
    left, top = round(x), round(y)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + alpha.shape[1]), min(height, top + alpha.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = alpha[y0 - top : y1 - top, x0 - left : x1 - left]
    cover = part * pen.strength
    if pen.grain:
        cover = cover * _texture(cover.shape, pen.grain, sheet.rng)
    region = sheet.ink[y0:y1, x0:x1]
    np.maximum(region, cover[..., None] * np.array(pen.colour, np.float32), out=region)
    ids = sheet.ids[y0:y1, x0:x1]
    ids[part > _INKED] = mark


def _texture(shape: tuple[int, ...], grain: float, rng: np.random.Generator) -> Floats:
    """How the pen covers the paper: fine grain and a slow change of pressure, around 1."""
    h, w = shape
    fine = rng.random((h, w), np.float32)
    slow = cv2.resize(rng.random((3, 3), np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - grain * (0.6 * fine + 0.5 * np.asarray(slow)), np.float32)


def write_digit(sheet: Sheet, x: float, base: float, height: float, pen: Pen) -> float:
    """A digit that stands on `base`; the x where the next may begin."""
    alpha, label = _digit(sheet, height, pen)
    alpha = _tight(alpha)
    if alpha.shape[0] < 6 or len(sheet.digits) >= OTHER - 2:
        return x
    sheet.digits.append(label)
    top = base - alpha.shape[0] + float(sheet.rng.normal(0, 0.05)) * height
    put(sheet, alpha, x, top, pen, len(sheet.digits))
    return float(x + alpha.shape[1])


def write_other(sheet: Sheet, x: float, base: float, height: float, pen: Pen) -> float:
    """A letter, an operator, a bracket: the x where the next may begin."""
    alphabet = sheet.glyphs.alphabet
    if alphabet and sheet.rng.random() < OTHERS_OF_FONTS:
        pick = int(sheet.rng.integers(len(alphabet.others)))
        return write_letter(sheet, alphabet, pick, x, base, height, pen)
    name, ink = strokes.other(_hand(sheet.rng, pen), sheet.rng, max(10, round(height)))
    alpha = _tight(drawn(ink))
    low = name in ("minus", "equals", "tilde", "arrow")
    if low:
        scale = float(sheet.rng.uniform(0.5, 1.0))
        size = max(3, round(alpha.shape[1] * scale)), max(2, round(alpha.shape[0] * scale))
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    return _set_down(sheet, alpha, x, base, height if low else None, pen)


def _set_down(
    sheet: Sheet, alpha: Floats, x: float, base: float, middle_of: float | None, pen: Pen
) -> float:
    """Draws a mark that stands on `base`, or in the middle of digits of some height; the x where
    the next may begin."""
    room = 0.0 if middle_of is None else (middle_of - alpha.shape[0]) / 2
    put(sheet, alpha, x, base - room - alpha.shape[0], pen, OTHER)
    return float(x + alpha.shape[1])


def write_letter(
    sheet: Sheet, alphabet: Alphabet, pick: int, x: float, base: float, height: float, pen: Pen
) -> float:
    """A letter or sign of a font, as high as it stands beside digits of that `height`."""
    share = float(alphabet.heights[pick])
    tall = max(6.0, height * min(share, _TALLEST))
    alpha = _tight(_of_font(sheet, alphabet.others, pick, tall, pen))
    return _set_down(sheet, alpha, x, base, height if share < _FLAT else None, pen)
