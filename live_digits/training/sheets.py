"""What stands on a drawn page: rulings, digits, letters, tables and scribbles, each with some pen.

The ink of each mark is kept with its id, so that whoever finds it can be told what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_DIGITS_OF_FONTS, _OTHERS_OF_FONTS = 0.25, 0.5
"""Shares of what is written that come from fonts, where there are some."""
_TALLEST, _FLAT = 1.3, 0.4
"""Height of the tallest letter against a digit; what is lower than `_FLAT` stands in the middle of
the line."""
_WORD_ENDS = 0.18
OTHER = 255
"""From this id on, ink is no digit."""
_PRINT = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwx&%#@?!"
"""Printed characters that are no digit and look like none."""
_PRINT_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)  # fmt: skip


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
class _Pen:
    """`colour` is what it takes from white light, BGR 0…1; `width` is in shares of a digit's
    height; `grain` how unevenly it covers, 0…1."""

    colour: tuple[float, float, float]
    width: float
    strength: float
    grain: float
    slant: float


def _pen(rng: np.random.Generator) -> _Pen:
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
    return _Pen(
        (float(b), float(g), float(r)),
        float(rng.uniform(low, high)),
        float(strength),
        float(rng.uniform(0.1, 0.6) if kind == "pencil" else rng.uniform(0, 0.25)),
        float(np.clip(rng.normal(0.03, 0.13), -0.3, 0.4)),
    )


def _scanned(sheet: Sheet, height: float, pen: _Pen) -> tuple[Floats, int]:
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


def _drawn(image: Image) -> Floats:
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def _hand(rng: np.random.Generator, pen: _Pen) -> strokes.Hand:
    h = strokes.Hand.random(rng)
    return strokes.Hand(h.shake, pen.slant + 0.05, h.round_, h.aspect, pen.width)


def _of_font(sheet: Sheet, squares: Image, pick: int, height: float, pen: _Pen) -> Floats:
    """A glyph of a font, drawn with the pen as a scanned one is."""
    width = pen.width if sheet.rng.random() < _WITH_PEN else None
    return _slanted(redrawn(squares[pick], height, width, sheet.rng), pen.slant, sheet.rng)


def _digit(sheet: Sheet, height: float, pen: _Pen) -> tuple[Floats, int]:
    alphabet = sheet.glyphs.alphabet
    if alphabet and sheet.rng.random() < _DIGITS_OF_FONTS:
        pick = int(sheet.rng.integers(len(alphabet.labels)))
        return _of_font(sheet, alphabet.digits, pick, height, pen), int(alphabet.labels[pick])
    if sheet.rng.random() < 0.72:
        return _scanned(sheet, height, pen)
    value = int(sheet.rng.integers(10))
    ink = strokes.digit(value, _hand(sheet.rng, pen), sheet.rng, max(10, round(height)))
    return _drawn(ink), value


def _tight(alpha: Floats) -> Floats:
    """Without its empty margin."""
    x, y, w, h = cv2.boundingRect((alpha > _INKED).astype(np.uint8))
    return alpha[y : y + h, x : x + w] if w and h else alpha[:1, :1]


def _put(sheet: Sheet, alpha: Floats, x: float, y: float, pen: _Pen, mark: int) -> None:
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


def _write_digit(sheet: Sheet, x: float, base: float, height: float, pen: _Pen) -> float:
    """A digit that stands on `base`; the x where the next may begin."""
    alpha, label = _digit(sheet, height, pen)
    alpha = _tight(alpha)
    if alpha.shape[0] < 6 or len(sheet.digits) >= OTHER - 2:
        return x
    sheet.digits.append(label)
    top = base - alpha.shape[0] + float(sheet.rng.normal(0, 0.05)) * height
    _put(sheet, alpha, x, top, pen, len(sheet.digits))
    return float(x + alpha.shape[1])


def _write_other(sheet: Sheet, x: float, base: float, height: float, pen: _Pen) -> float:
    """A letter, an operator, a bracket: the x where the next may begin."""
    alphabet = sheet.glyphs.alphabet
    if alphabet and sheet.rng.random() < _OTHERS_OF_FONTS:
        pick = int(sheet.rng.integers(len(alphabet.others)))
        return _write_letter(sheet, alphabet, pick, x, base, height, pen)
    name, ink = strokes.other(_hand(sheet.rng, pen), sheet.rng, max(10, round(height)))
    alpha = _tight(_drawn(ink))
    low = name in ("minus", "equals", "tilde", "arrow")
    if low:
        scale = float(sheet.rng.uniform(0.5, 1.0))
        size = max(3, round(alpha.shape[1] * scale)), max(2, round(alpha.shape[0] * scale))
        alpha = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    return _set_down(sheet, alpha, x, base, height if low else None, pen)


def _set_down(
    sheet: Sheet, alpha: Floats, x: float, base: float, middle_of: float | None, pen: _Pen
) -> float:
    """Draws a mark that stands on `base`, or in the middle of digits of some height; the x where
    the next may begin."""
    room = 0.0 if middle_of is None else (middle_of - alpha.shape[0]) / 2
    _put(sheet, alpha, x, base - room - alpha.shape[0], pen, OTHER)
    return float(x + alpha.shape[1])


def _write_letter(
    sheet: Sheet, alphabet: Alphabet, pick: int, x: float, base: float, height: float, pen: _Pen
) -> float:
    """A letter or sign of a font, as high as it stands beside digits of that `height`."""
    share = float(alphabet.heights[pick])
    tall = max(6.0, height * min(share, _TALLEST))
    alpha = _tight(_of_font(sheet, alphabet.others, pick, tall, pen))
    return _set_down(sheet, alpha, x, base, height if share < _FLAT else None, pen)


def _lines(sheet: Sheet, height: float, other: float, pens: Sequence[_Pen]) -> None:
    """Numbers in lines, `other` of the glyphs no digits."""
    width, tall = sheet.size
    rng = sheet.rng
    lead = height * float(rng.uniform(1.25, 2.4))
    gap = float(rng.choice([rng.uniform(-0.06, 0.04), rng.uniform(0.05, 0.45)], p=[0.18, 0.82]))
    base = float(rng.uniform(0.02, 0.3)) * tall + height
    tilt = float(rng.normal(0, 0.02))
    while base < tall - 2:
        pen = pens[int(rng.integers(len(pens)))]
        x = float(rng.uniform(0.01, 0.3)) * width
        left = int(rng.integers(1, 14))
        while x < width - height * 0.6 and left:
            size = height * float(rng.uniform(0.85, 1.12))
            write = _write_other if rng.random() < other else _write_digit
            x = write(sheet, x, base + tilt * x, size, pen)
            x += (gap + float(rng.uniform(0, 0.12))) * height
            if rng.random() < 0.25:
                x += float(rng.uniform(0.4, 1.6)) * height
            left -= 1
        base += lead
        if rng.random() < 0.25:
            base += lead * float(rng.uniform(0.2, 1))


def _scattered(sheet: Sheet, height: float, other: float, pens: Sequence[_Pen]) -> None:
    """A few glyphs anywhere, apart from each other."""
    width, tall = sheet.size
    taken: list[tuple[float, float]] = []
    for _ in range(int(sheet.rng.integers(1, 9))):
        x = float(sheet.rng.uniform(0, max(1, width - height * 0.8)))
        base = float(sheet.rng.uniform(min(height, tall - 1), tall))
        if any(abs(x - a) < 1.2 * height and abs(base - b) < 1.25 * height for a, b in taken):
            continue
        taken.append((x, base))
        pen = pens[int(sheet.rng.integers(len(pens)))]
        write = _write_other if sheet.rng.random() < other else _write_digit
        write(sheet, x, base, height * float(sheet.rng.uniform(0.8, 1.1)), pen)


def _table(sheet: Sheet, height: float, pens: Sequence[_Pen]) -> None:
    """Cells with frames, printed or drawn, one to three digits each."""
    width, tall = sheet.size
    rng = sheet.rng
    w, h = height * float(rng.uniform(1.8, 4)), height * float(rng.uniform(1.4, 2.3))
    x0, y0 = float(rng.uniform(0.02, 0.15)) * width, float(rng.uniform(0.02, 0.15)) * tall
    columns, rows = max(1, int((width - x0) / w)), max(1, int((tall - y0) / h))
    columns, rows = min(columns, 9), min(rows, 9)
    grey = float(rng.uniform(0.3, 0.9))
    frame = _Pen((grey, grey, grey), 0.05, 1.0, 0.0, 0.0)
    thick = max(1, round(height * float(rng.uniform(0.02, 0.06))))
    for i in range(columns + 1):
        _rule(sheet, (x0 + i * w, y0), (x0 + i * w, y0 + rows * h), thick, frame)
    for j in range(rows + 1):
        _rule(sheet, (x0, y0 + j * h), (x0 + columns * w, y0 + j * h), thick, frame)
    for j in range(rows):
        for i in range(columns):
            x = x0 + i * w + float(rng.uniform(0.1, 0.3)) * w
            for _ in range(int(rng.integers(0, 4))):
                if x + 0.6 * height > x0 + (i + 1) * w:
                    break
                pen = pens[int(rng.integers(len(pens)))]
                base = y0 + (j + 0.5) * h + height * 0.5
                write = _write_digit if rng.random() < 0.93 else _write_other
                x = write(sheet, x, base, height, pen) + height * float(rng.uniform(0.05, 0.25))


def _rule(
    sheet: Sheet, a: tuple[float, float], b: tuple[float, float], width: int, pen: _Pen
) -> None:
    """A straight line of no id: rulings are paper."""
    line = np.zeros(sheet.ids.shape, np.uint8)
    ends = [(round(p[0]), round(p[1])) for p in (a, b)]
    cv2.line(line, ends[0], ends[1], 255, width, cv2.LINE_AA)
    where = line > 0
    cover = (line[where].astype(np.float32) / 255)[:, None] * np.array(pen.colour, np.float32)
    sheet.ink[where] = np.maximum(sheet.ink[where], cover * pen.strength)


def _print(sheet: Sheet, height: float, pen: _Pen) -> None:
    """Lines of printed text without digits."""
    width, tall = sheet.size
    rng = sheet.rng
    alphabet = sheet.glyphs.alphabet
    if alphabet and rng.random() < _OTHERS_OF_FONTS:
        _text(sheet, alphabet, height, pen)
        return
    font = _PRINT_FONTS[int(rng.integers(len(_PRINT_FONTS)))]
    size = height / 22
    thick = max(1, round(size * float(rng.uniform(1.0, 2.6))))
    base = height * 1.6
    while base < tall:
        text = "".join(
            " " if rng.random() < 0.16 else _PRINT[int(rng.integers(len(_PRINT)))]
            for _ in range(int(rng.integers(3, max(4, int(width / height)))))
        )
        line = np.zeros(sheet.ids.shape, np.uint8)
        cv2.putText(line, text, (round(height), round(base)), font, size, 255, thick, cv2.LINE_AA)
        _put(sheet, _drawn(line), 0, 0, pen, OTHER)
        base += height * float(rng.uniform(1.5, 3))


def _text(sheet: Sheet, alphabet: Alphabet, height: float, pen: _Pen) -> None:
    """Lines of words in the letters of one font."""
    width, tall = sheet.size
    rng = sheet.rng
    letters = np.flatnonzero(alphabet.font == rng.choice(alphabet.font))
    gap, space = float(rng.uniform(0.02, 0.18)), float(rng.uniform(0.3, 0.7))
    margin, lead = float(rng.uniform(0.02, 0.15)) * width, height * float(rng.uniform(1.4, 2.4))
    base = margin + height
    while base < tall:
        x = margin
        while x < width - margin:
            pick = int(rng.choice(letters))
            x = _write_letter(sheet, alphabet, pick, x, base, height, pen) + gap * height
            if rng.random() < _WORD_ENDS:
                x += space * height
        base += lead


def _scribbles(sheet: Sheet, height: float, pen: _Pen) -> None:
    """Pen strokes that mean nothing, underlines, frames, arcs."""
    width, tall = sheet.size
    rng = sheet.rng
    for _ in range(int(rng.integers(1, 6))):
        count = int(rng.integers(2, 14))
        start = rng.uniform(0, 1, 2) * (width, tall)
        steps = rng.normal(0, height * float(rng.uniform(0.3, 1.5)), (count, 2))
        if rng.random() < 0.3:
            steps[:, 1] *= 0.04
        points = strokes._chaikin(start + np.cumsum(steps, axis=0), 2)
        line = np.zeros(sheet.ids.shape, np.uint8)
        thick = max(1, round(pen.width * height))
        cv2.polylines(line, [np.round(points).astype(np.int32)], False, 255, thick, cv2.LINE_AA)
        _put(sheet, _drawn(line), 0, 0, pen, OTHER)


def write(sheet: Sheet, height: float) -> None:
    """Fills a sheet in one of the ways in which people do."""
    rng = sheet.rng
    pens = [_pen(rng) for _ in range(1 if rng.random() < 0.7 else 2)]
    kind = rng.choice(
        ["lines", "sums", "scattered", "table", "letters", "print", "mess"],
        p=[0.34, 0.16, 0.22, 0.12, 0.07, 0.05, 0.04],
    )
    if kind == "lines":
        _lines(sheet, height, 0.04, pens)
    elif kind == "sums":
        _lines(sheet, height, 0.35, pens)
    elif kind == "scattered":
        _scattered(sheet, height, 0.15, pens)
    elif kind == "table":
        _table(sheet, min(height, 90.0), pens)
    elif kind == "letters":
        _lines(sheet, height, 0.97, pens)
    elif kind == "print":
        _print(sheet, min(height, 60.0), pens[0])
    else:
        _scribbles(sheet, height, pens[0])
    if kind in ("lines", "scattered") and rng.random() < 0.12:
        _scribbles(sheet, height, pens[0])


def rule_paper(sheet: Sheet, height: float) -> None:
    """What the paper came with: lines, squares, a margin, or nothing."""
    rng = sheet.rng
    kind = rng.choice(["plain", "lines", "squares"], p=[0.56, 0.24, 0.2])
    if kind == "plain":
        return
    width, tall = sheet.size
    strength = float(rng.uniform(0.12, 0.6))
    tint = np.clip(np.array([0.35, 0.6, 0.8]) if rng.random() < 0.6 else np.full(3, 0.7), 0, 1)
    b, g, r = (float(v) for v in tint)
    pen = _Pen((b, g, r), 0.05, strength, 0.0, 0.0)
    share = rng.uniform(0.5, 1.7) if kind == "lines" else rng.uniform(0.3, 1.2)
    step = max(9.0, height * float(share))
    thick = max(1, min(5, round(step * float(rng.uniform(0.015, 0.06)))))
    lean = float(rng.normal(0, 0.012))
    at = float(rng.uniform(0, step))
    while at < tall:
        _rule(sheet, (0, at), (width, at + lean * width), thick, pen)
        at += step
    if kind == "squares":
        at = float(rng.uniform(0, step))
        while at < width:
            _rule(sheet, (at, 0), (at - lean * tall, tall), thick, pen)
            at += step
    elif rng.random() < 0.3:
        red = _Pen((0.7, 0.7, 0.2), 0.05, strength, 0.0, 0.0)
        x = float(rng.uniform(0.03, 0.25)) * width
        _rule(sheet, (x, 0), (x, tall), thick, red)
