"""Pages of words and numbers, written in a font from a seed: letters that look like digits, where
only the word tells. They train no network; the reader is measured on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image
from live_digits.training.synthetic import fonts

KINDS = ("prose", "list", "bill", "form", "sums", "words")
"""Text with a few numbers; a word and a number a line; words and a column of prices; names and
values; sums; and text without any number."""

_WIDTH, _HEIGHT = 1100, 780
_MARGIN, _COLUMN = 40, 0.7
"""Where a line begins, pixels, and its second half, in widths of the page."""
_POINTS = (26, 58)
_LEADING = (1.25, 1.9)
_NUMBER = 0.03
"""Share of numbers among the words of prose."""
_PAPER, _CONTRAST, _DARKEST = (150, 245), 70, 10
_SHADE, _LENS, _GRAIN = (0.75, 1.1), (0.4, 1.3), (0.5, 4.0)
"""Light across the page, the blur's standard deviation and the noise's."""
_INK = 100
"""What is drawn counts as ink from this level on, of 255."""

_WORDS = (
    "about above after again all along also always and animals another answer around asked away "
    "back because before began best better big both boy boys bring build but by called came change "
    "children city come could country cup day did does dog done door down each earth eggs eyes far "
    "father few find first follow food for found from get give glass go good got great group half "
    "hand has head hear help high him his home house how idea it its just kind large last learn "
    "left less life light line list little live lock long look lost lots made many may men might "
    "miles more most mother must my name near never next night no not off often oil old on once "
    "one only open or other our out over own page paper part people picture place play point put "
    "question read right river road room rose said same saw say school sea second see seem set "
    "several ship shoes short should show side since sister six small so some soon sound spell "
    "still stop story study such sun take talk tell than that the their them then there these they "
    "thing think this those time to together too tree try turn two under until up us use very "
    "walk want was watch water way we well were what when which while white who why will with "
    "without wood word work world would year you young your"
)
_NAMES = (
    "Milk Bread Eggs Butter Sugar Oil Soap Coffee Tea Rice Beans Apples Onions Cheese Salt Bottle "
    "Total Tax Discount Cash Change Table Order Date Time Room Name Phone Score Points Grade Class "
    "Group Rosa Olga Bob Boris Gus Sasha Lois Oslo Sofia"
)


@dataclass(frozen=True, slots=True)
class TextPage:
    """A page, uint8 H×W, one of `KINDS`, and its digits with the boxes of their ink."""

    image: Image
    kind: str
    digits: tuple[tuple[Box, int], ...]


def page(seed: Sequence[int], kind: str, font: Path | None = None) -> TextPage:
    """One page of `KINDS` in a font (Pillow's own by default). Raises MissingExtraError without
    Pillow, OSError where the font cannot be read."""
    rng = np.random.default_rng(tuple(seed))
    size = int(rng.integers(*_POINTS))
    ink, digits = _write(kind, fonts.font(font, size), size, rng)
    return TextPage(_photograph(ink, rng), kind, digits)


def _write(
    kind: str, font: Any, size: int, rng: np.random.Generator
) -> tuple[Image, tuple[tuple[Box, int], ...]]:
    """The ink of a page, uint8 H×W, 255 where it is, and its digits."""
    from PIL import Image as Canvas
    from PIL import ImageDraw

    canvas = Canvas.new("L", (_WIDTH, _HEIGHT), 0)
    pen = ImageDraw.Draw(canvas)
    places: list[tuple[tuple[float, ...], int]] = []
    y = float(rng.integers(_MARGIN // 2, 2 * _MARGIN))
    while y < _HEIGHT - 1.6 * size:
        for x, text in _line(kind, _WIDTH / size * rng.uniform(0.8, 1.6), rng):
            at = _MARGIN + x * _WIDTH
            for character in text:
                place = pen.textbbox((at, y), character, font=font)
                if place[2] >= _WIDTH - _MARGIN / 4:
                    break
                pen.text((at, y), character, fill=255, font=font)
                if character.isdigit():
                    places.append((place, int(character)))
                at += font.getlength(character) + size / 50
        y += size * rng.uniform(*_LEADING)
    ink = np.asarray(canvas, np.uint8)
    boxes = ((_tight(ink, place), digit) for place, digit in places)
    return ink, tuple((box, digit) for box, digit in boxes if box.area)


def _tight(ink: Image, place: tuple[float, ...]) -> Box:
    """The box of the ink in a rectangle; of no area where there is none."""
    x0, y0, x1, y1 = (round(v) for v in place)
    x0, y0 = max(0, x0 - 1), max(0, y0 - 1)
    x, y, w, h = cv2.boundingRect((ink[y0 : y1 + 1, x0 : x1 + 1] > _INK).astype(np.uint8))
    return Box(x0 + x, y0 + y, w, h)


def _line(kind: str, length: float, rng: np.random.Generator) -> list[tuple[float, str]]:
    """A line's texts and where each begins, in widths of the page; about so many characters."""

    def some(words: str, count: int) -> str:
        return " ".join(rng.choice(np.array(words.split()), count))

    def price() -> str:
        return f"{rng.integers(100)}.{rng.integers(100):02d}"

    name = some(_NAMES, 1)
    if kind == "list":
        return [(0, f"{name} {_number(rng)}")]
    if kind == "bill":
        count = f"{rng.integers(1, 9)} " if rng.random() < 0.5 else ""
        return [(0, count + some(_WORDS, int(rng.integers(1, 4)))), (_COLUMN, price())]
    if kind == "form":
        value = _number(rng) if rng.random() < 0.5 else some(_WORDS, 2).title()
        return [(0, f"{name}: {value}"), (_COLUMN * 0.8, f"{some(_NAMES, 1)}: {_number(rng)}")]
    if kind == "sums":
        a, b = (int(v) for v in rng.integers(1, 100, 2))
        return [(0, f"{a} + {b} = {a + b}" if rng.random() < 0.5 else f"{a} - {b} = {a - b}")]
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        number = kind == "prose" and rng.random() < _NUMBER
        words.append(_number(rng) if number else some(_WORDS, 1))
    return [(0, " ".join([words[0].capitalize(), *words[1:]]))]


def _number(rng: np.random.Generator) -> str:
    """A figure as people write them: small, a price, a date, a year, a telephone's."""
    forms = (
        f"{rng.integers(1, 10)}",
        f"{rng.integers(10, 100)}",
        f"{rng.integers(60)}.{rng.integers(100):02d}",
        f"{rng.integers(1, 29)}.{rng.integers(1, 13)}.{rng.integers(1950, 2030)}",
        f"{rng.integers(100, 9999)}",
        f"{rng.integers(10000, 99999)}-{rng.integers(1000, 9999)}",
    )
    return str(rng.choice(np.array(forms), p=(0.25, 0.25, 0.2, 0.1, 0.1, 0.1)))


def _photograph(ink: Image, rng: np.random.Generator) -> Image:
    """The page in some light, through some lens, with some noise."""
    paper = float(rng.integers(*_PAPER))
    dark = rng.uniform(_DARKEST, paper - _CONTRAST)
    blurred = cv2.GaussianBlur(ink.astype(np.float32) / 255, (0, 0), rng.uniform(*_LENS))
    size = ink.shape[1], ink.shape[0]
    light: Floats = rng.uniform(*_SHADE, (3, 4)).astype(np.float32)
    seen = (paper + (dark - paper) * blurred) * cv2.resize(
        light, size, interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, rng.uniform(*_GRAIN), ink.shape)
    return np.clip(seen + grain, 0, 255).astype(np.uint8)
