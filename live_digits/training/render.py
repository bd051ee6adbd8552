"""Pages as a camera sees them, drawn: digits on paper, in some light, through some lens.

Each page is drawn from a seed of its own, so a set of pages is the same on any number of cores. The
live pipeline then finds and crops what is on it, and `crops_of` says of each crop what it really
is: the network trains on what it will meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.config import PipelineSettings
from live_digits.crops import normalise
from live_digits.pipeline import Vision, crops, find
from live_digits.training import strokes
from live_digits.training.glyphs import SIDE, Alphabet, Glyphs, redrawn
from live_digits.types import NOT_A_DIGIT, Box, Floats, Image

Ids = npt.NDArray[np.uint16]

SIZES = ((640, 480), (800, 600), (1024, 768), (1280, 720), (960, 720), (720, 960), (720, 1280))
_INKED = 0.4
"""Ink darker than this share belongs to the glyph."""
_PURE, _WHOLE = 0.86, 0.86
"""A candidate is a digit when this share of its ink is that digit's, and it has this share of the
digit's ink."""
_FOREIGN, _PARTIAL = 0.62, 0.5
"""... and is none below either of these; what lies between teaches nothing."""
_STREAK, _STEEP, _SOLID = 2.2, 50.0, 0.5
"""A streak, the rest of a ruling or a part of something that is so much longer than wide and within
so many degrees of upright looks like a 1: it teaches nothing, and the page around it decides. A
sign does if it also fills so much of its own rectangle: brackets do not."""
_LEGIBLE = 0.75
"""Correlation of a digit's crop with one of the very ink that was written: below it, light, lens
and threshold have left nothing to be read."""
_WITH_PEN = 0.66
"""Share of the glyphs that are thinned and drawn at the pen's width; the rest keep their own."""
_DIGITS_OF_FONTS, _OTHERS_OF_FONTS = 0.25, 0.5
"""Shares of what is written that come from fonts, where there are some."""
_TALLEST, _FLAT = 1.3, 0.4
"""Height of the tallest letter against a digit; what is lower than `_FLAT` stands in the middle of
the line."""
_WORD_ENDS = 0.18
_OTHER = 255
"""From this id on, ink is no digit."""


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn page: uint8 BGR H×W×3, each digit's tight box, and the ids of the ink, uint16 H×W:
    0 paper, 1… the digits in order, from `_OTHER` on other marks."""

    image: Image
    digits: tuple[tuple[Box, int], ...]
    ids: Ids


@dataclass(slots=True)
class _Sheet:
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
                 "marker": (0.12, 0.23)}[str(kind)]  # fmt: skip
    strength = rng.uniform(0.22, 0.75) if kind == "pencil" else rng.uniform(0.6, 1.0)
    b, g, r = np.clip(base, 0.05, 0.97)
    return _Pen(
        (float(b), float(g), float(r)),
        float(rng.uniform(low, high)),
        float(strength),
        float(rng.uniform(0.1, 0.6) if kind == "pencil" else rng.uniform(0, 0.25)),
        float(np.clip(rng.normal(0.03, 0.13), -0.3, 0.4)),
    )


def _scanned(sheet: _Sheet, height: float, pen: _Pen) -> tuple[Floats, int]:
    """A scanned digit drawn anew with the pen: alpha float32, about `height` high, and its label.
    Two of three are drawn at the pen's width, the rest keep their own."""
    rng = sheet.rng
    pick = int(rng.integers(len(sheet.glyphs.labels)))
    label = int(sheet.glyphs.labels[pick])
    crop = sheet.glyphs.crops[pick]
    square = np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
    width = pen.width if rng.random() < _WITH_PEN else None
    alpha = redrawn(square, height, width, rng)
    return _leaned(alpha, pen.slant, rng), label


def _leaned(alpha: Floats, slant: float, rng: np.random.Generator) -> Floats:
    """Slants and turns a glyph a little."""
    h, w = alpha.shape
    turn = float(np.deg2rad(rng.normal(0, 4)))
    lean = slant + float(rng.normal(0, 0.04))
    m = np.array([[np.cos(turn), -np.sin(turn) - lean], [np.sin(turn), np.cos(turn)]])
    out_w = round(w + abs(lean) * h) + 2
    centre = np.array([w / 2, h / 2])
    shift = np.array([out_w / 2, h / 2]) - m @ centre
    return np.asarray(cv2.warpAffine(alpha, np.column_stack([m, shift]), (out_w, h)), np.float32)


def _drawn(image: Image) -> Floats:
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def _hand(rng: np.random.Generator, pen: _Pen) -> strokes.Hand:
    h = strokes.Hand.random(rng)
    return strokes.Hand(h.shake, pen.slant + 0.05, h.round_, h.aspect, pen.width)


def _of_font(sheet: _Sheet, squares: Image, pick: int, height: float, pen: _Pen) -> Floats:
    """A glyph of a font, drawn with the pen as a scanned one is."""
    width = pen.width if sheet.rng.random() < _WITH_PEN else None
    return _leaned(redrawn(squares[pick], height, width, sheet.rng), pen.slant, sheet.rng)


def _digit(sheet: _Sheet, height: float, pen: _Pen) -> tuple[Floats, int]:
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


def _put(sheet: _Sheet, alpha: Floats, x: float, y: float, pen: _Pen, mark: int) -> None:
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


def _write_digit(sheet: _Sheet, x: float, base: float, height: float, pen: _Pen) -> float:
    """A digit that stands on `base`; the x where the next may begin."""
    alpha, label = _digit(sheet, height, pen)
    alpha = _tight(alpha)
    if alpha.shape[0] < 6 or len(sheet.digits) >= _OTHER - 2:
        return x
    sheet.digits.append(label)
    top = base - alpha.shape[0] + float(sheet.rng.normal(0, 0.05)) * height
    _put(sheet, alpha, x, top, pen, len(sheet.digits))
    return float(x + alpha.shape[1])


def _write_other(sheet: _Sheet, x: float, base: float, height: float, pen: _Pen) -> float:
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
    top = base - (height + alpha.shape[0]) / 2 if low else base - alpha.shape[0]
    _put(sheet, alpha, x, top, pen, _OTHER)
    return float(x + alpha.shape[1])


def _write_letter(
    sheet: _Sheet, alphabet: Alphabet, pick: int, x: float, base: float, height: float, pen: _Pen
) -> float:
    """A letter or sign of a font, as high as it stands beside digits of that `height`."""
    share = float(alphabet.heights[pick])
    tall = max(6.0, height * min(share, _TALLEST))
    alpha = _tight(_of_font(sheet, alphabet.others, pick, tall, pen))
    middle = height * 0.5 if share < _FLAT else alpha.shape[0] / 2
    _put(sheet, alpha, x, base - middle - alpha.shape[0] / 2, pen, _OTHER)
    return float(x + alpha.shape[1])


def _lines(sheet: _Sheet, height: float, other: float, pens: Sequence[_Pen]) -> None:
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


def _scattered(sheet: _Sheet, height: float, other: float, pens: Sequence[_Pen]) -> None:
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


def _table(sheet: _Sheet, height: float, pens: Sequence[_Pen]) -> None:
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
    sheet: _Sheet, a: tuple[float, float], b: tuple[float, float], width: int, pen: _Pen
) -> None:
    """A straight line of no id: rulings are paper."""
    line = np.zeros(sheet.ids.shape, np.uint8)
    ends = [(round(p[0]), round(p[1])) for p in (a, b)]
    cv2.line(line, ends[0], ends[1], 255, width, cv2.LINE_AA)
    where = line > 0
    cover = (line[where].astype(np.float32) / 255)[:, None] * np.array(pen.colour, np.float32)
    sheet.ink[where] = np.maximum(sheet.ink[where], cover * pen.strength)


_PRINT = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwx&%#@?!"
"""Printed characters that are no digit and look like none."""
_PRINT_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)  # fmt: skip


def _print(sheet: _Sheet, height: float, pen: _Pen) -> None:
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
        _put(sheet, _drawn(line), 0, 0, pen, _OTHER)
        base += height * float(rng.uniform(1.5, 3))


def _text(sheet: _Sheet, alphabet: Alphabet, height: float, pen: _Pen) -> None:
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


def _scribbles(sheet: _Sheet, height: float, pen: _Pen) -> None:
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
        _put(sheet, _drawn(line), 0, 0, pen, _OTHER)


def _write(sheet: _Sheet, height: float) -> None:
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


def _rulings(sheet: _Sheet, height: float) -> None:
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


def _smooth(rng: np.random.Generator, w: int, h: int, cells: int) -> Floats:
    """Slow random change, float32 h×w in 0…1."""
    small = rng.random((max(2, cells), max(2, cells)), np.float32)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)


def _light(rng: np.random.Generator, w: int, h: int) -> Floats:
    """How much light falls where, float32 h×w: fall-off, soft or sharp shadows, glare."""
    light = 1 - float(rng.uniform(0, 0.45)) * _smooth(rng, w, h, 2)
    if rng.random() < 0.35:
        x, y = np.meshgrid(np.linspace(-1, 1, w, dtype=np.float32),
                           np.linspace(-1, 1, h, dtype=np.float32))  # fmt: skip
        angle = float(rng.uniform(0, 2 * np.pi))
        far = np.cos(angle) * x + np.sin(angle) * y - float(rng.uniform(-0.7, 0.7))
        far += float(rng.uniform(0, 0.3)) * (_smooth(rng, w, h, 4) - 0.5)
        soft = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5))))
        light = light * (1 - float(rng.uniform(0.1, 0.55)) / (1 + np.exp(-far / soft)))
    if rng.random() < 0.1:
        centre, radius = rng.uniform(0, 1, 2) * (w, h), float(rng.uniform(0.1, 0.4)) * w
        spot = np.zeros((h, w), np.float32)
        cv2.circle(spot, (int(centre[0]), int(centre[1])), int(radius), 1.0, cv2.FILLED)
        spot = np.asarray(cv2.blur(spot, (int(radius) | 1, int(radius) | 1)))
        light = light + spot * float(rng.uniform(0.1, 0.5))
    return np.asarray(light, np.float32)


def _desk(rng: np.random.Generator, w: int, h: int) -> Floats:
    """What lies around the paper, float32 h×w×3, 0…1: a plain or grained surface."""
    base = rng.uniform(0.05, 0.75) + rng.normal(0, 0.06, 3)
    stretched = rng.random((int(rng.integers(4, 60)), int(rng.integers(4, 400))), np.float32)
    grain = cv2.resize(stretched, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        grain = cv2.resize(stretched.T.copy(), (w, h), interpolation=cv2.INTER_LINEAR)
    deep = float(rng.uniform(0, 0.35))
    surface = base.astype(np.float32) * (1 - deep * np.asarray(grain))[..., None]
    return np.asarray(np.clip(surface, 0.01, 1), np.float32)


def _sheet_to_frame(rng: np.random.Generator, w: int, h: int) -> npt.NDArray[np.float64]:
    """How the camera sees the sheet: turned, from the side, near or far; 3×3."""
    scale = float(rng.choice([1.0, rng.uniform(0.7, 1.0), rng.uniform(1.0, 1.15)]))
    angle = float(np.deg2rad(rng.normal(0, 3.5)))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64) - (w / 2, h / 2)
    turned = corners @ np.array([[c, s], [-s, c]])
    turned += rng.normal(0, 0.025, (4, 2)) * (w, h)
    turned += (w / 2, h / 2) + rng.normal(0, 0.03, 2) * (w, h)
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, turned.astype(np.float32)), np.float64)


def _camera(picture: Floats, rng: np.random.Generator) -> Image:
    """Exposure, focus, motion, grain, sharpening and JPEG: float32 H×W×3 0…1 → uint8."""
    exposure = float(rng.uniform(0.45, 1.08))
    picture = picture * exposure
    if rng.random() < 0.5:
        sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    if rng.random() < 0.12:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        end = rng.integers(0, length, 2)
        cv2.line(kernel, (length // 2, length // 2), (int(end[0]), int(end[1])), 1.0, 1)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1)), np.float32)
    h, w = picture.shape[:2]
    amount = float(np.exp(rng.uniform(np.log(0.002), np.log(0.035))))
    coarse = int(rng.choice([1, 1, 2]))
    noise = rng.standard_normal((h // coarse + 1, w // coarse + 1), np.float32) * amount
    grain = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR)
    picture = picture + np.asarray(grain)[..., None]
    if rng.random() < 0.3:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.5)
        picture = picture + float(rng.uniform(0.3, 1.2)) * (picture - np.asarray(soft))
    picture = np.clip(picture, 0, 1) ** float(np.exp(rng.normal(0, 0.18)))
    image = np.asarray(np.rint(picture * 255), np.uint8)
    if rng.random() < 0.75:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return image


def page(seed: Sequence[int], glyphs: Glyphs) -> Page:
    """The page of a seed, written with `glyphs`."""
    rng = np.random.default_rng(list(seed))
    w, h = SIZES[int(rng.integers(len(SIZES)))]
    highest = 0.8 * h if rng.random() < 0.1 else 0.33 * h
    height = float(np.exp(rng.uniform(np.log(15 * max(w, h) / 1024), np.log(highest))))
    sheet = _Sheet(np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.uint16), [], rng, glyphs)
    canvas = rng.random() < 0.06
    inverted = canvas and rng.random() < 0.5
    if not canvas:
        _rulings(sheet, height)
    _write(sheet, height)
    tint = np.array([1, 1, 1]) if canvas else _paper_tint(rng)
    paper = tint.astype(np.float32) * (1 - sheet.ink)
    if canvas:
        flat = np.repeat(sheet.ink.max(axis=2, keepdims=True), 3, 2) if inverted else paper
        return _finished(np.asarray(np.rint(flat * 255), np.uint8), sheet.ids, sheet.digits)
    fibre = rng.standard_normal((h // 2 + 1, w // 2 + 1), np.float32) * float(rng.uniform(0, 0.012))
    paper = paper + np.asarray(cv2.resize(fibre, (w, h)))[..., None]
    board = rng.random() < 0.05
    if board:
        chalk = sheet.ink.max(axis=2, keepdims=True)
        paper = (
            0.1 + 0.8 * chalk + 0.04 * _smooth(rng, w, h, 5)[..., None] + np.zeros(3, np.float32)
        )
    m = _sheet_to_frame(rng, w, h)
    seen = cv2.warpPerspective(paper.astype(np.float32), m, (w, h), flags=cv2.INTER_LINEAR)
    ids = cv2.warpPerspective(sheet.ids, m, (w, h), flags=cv2.INTER_NEAREST)
    there = cv2.warpPerspective(np.ones((h, w), np.float32), m, (w, h))
    picture = np.asarray(seen) * np.asarray(there)[..., None]
    picture += _desk(rng, w, h) * (1 - np.asarray(there)[..., None])
    picture *= _light(rng, w, h)[..., None]
    return _finished(_camera(np.asarray(picture, np.float32), rng), np.asarray(ids), sheet.digits)


def _paper_tint(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """White mostly, at times coloured; BGR 0…1."""
    if rng.random() < 0.85:
        return np.clip(rng.uniform(0.78, 1.0) + rng.normal(0, 0.03, 3), 0.5, 1)
    return np.clip(rng.uniform(0.45, 1.0, 3), 0.4, 1)


def _finished(image: Image, ids: Ids, digits: Sequence[int]) -> Page:
    """The boxes of the digits that are still whole in the picture."""
    found = []
    for i, digit in enumerate(digits, 1):
        x, y, w, h = cv2.boundingRect((ids == i).astype(np.uint8))
        if w and h and x > 0 and y > 0 and x + w < ids.shape[1] and y + h < ids.shape[0]:
            found.append((Box(x, y, w, h), digit))
    return Page(image, tuple(found), ids)


@dataclass(frozen=True, slots=True)
class PageCrops:
    """The crops of a page, uint8 N×28×28, what each is (0…9, or NOT_A_DIGIT), and how many of the
    page's whole digits have one."""

    crops: Image
    labels: Image
    found: int
    digits: int


def crops_of(drawn: Page, settings: PipelineSettings | None = None) -> PageCrops:
    """What the live pipeline finds on a page and what it really is, by the ink it is made of."""
    vision = find(drawn.image, settings or PipelineSettings())
    h, w = vision.labels.shape
    ids = np.asarray(cv2.resize(drawn.ids, (w, h), interpolation=cv2.INTER_NEAREST), np.uint16)
    labels, marks = _truths(vision, drawn, ids)
    rows = np.flatnonzero(labels >= 0)
    wanted = crops(vision, [int(i) for i in rows])
    seen = {int(marks[i]) for i in rows if labels[i] != NOT_A_DIGIT}
    kept = np.array(
        [
            labels[i] == NOT_A_DIGIT or _legible(crop, vision.boxes[i], ids == marks[i])
            for i, crop in zip(rows, wanted, strict=True)
        ],
        bool,
    )
    return PageCrops(
        wanted[kept], labels[rows][kept].astype(np.uint8), len(seen), len(drawn.digits)
    )


def _legible(crop: Image, box: Box, written: npt.NDArray[np.bool_]) -> bool:
    """Whether a crop still shows the ink that was `written` (working pixels) about its box."""
    y0, x0 = max(0, box.y - 2), max(0, box.x - 2)
    part = written[y0 : box.bottom + 2, x0 : box.right + 2]
    clean = normalise(np.where(part, 255, 0).astype(np.uint8))
    a, b = crop.astype(np.float64).ravel(), clean.astype(np.float64).ravel()
    if not a.any() or not b.any():
        return False
    return float(np.corrcoef(a, b)[0, 1]) >= _LEGIBLE


def _truths(
    vision: Vision, drawn: Page, ids: Ids
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each candidate's class, −1 where it is neither one thing nor the other, and the id of the
    mark that has most of its ink. `ids`: the page's at the working resolution."""
    near = np.asarray(cv2.dilate(ids, np.ones((3, 3), np.uint8)))
    ids = np.where(ids > 0, ids, near)
    pieces = int(vision.labels.max(initial=0)) + 1
    marks = int(ids.max(initial=0)) + 1
    joint = np.bincount((vision.labels.ravel().astype(np.int64) * marks + ids.ravel()),
                        minlength=pieces * marks).reshape(pieces, marks)  # fmt: skip
    inked = joint[1:].sum(axis=0)
    digit_of = _digits_by_id(drawn)
    out = np.full(len(vision.candidates), -1, np.int64)
    whose = np.zeros(len(vision.candidates), np.int64)
    for i, c in enumerate(vision.candidates):
        mine = joint[list(c.pieces)].sum(axis=0)
        total = max(1, int(mine.sum()))
        best = int(mine[1:].argmax()) + 1 if mine[1:].any() else 0
        whose[i] = best
        pure = mine[best] / total if best else 0.0
        whole = mine[best] / max(1, int(inked[best])) if best else 0.0
        if best in digit_of and pure >= _PURE and whole >= _WHOLE:
            out[i] = digit_of[best]
            continue
        foreign = best not in digit_of and not 0 < best < _OTHER
        if not (foreign or pure < _FOREIGN or whole < _PARTIAL):
            continue
        if not _streak(vision, i, _SOLID if best >= _OTHER else 0.0):
            out[i] = NOT_A_DIGIT
    return out, whose


def _streak(vision: Vision, index: int, solid: float) -> bool:
    """Whether a candidate is a more or less upright bar that fills the share `solid` of its own
    rectangle."""
    box = vision.boxes[index]
    labels = vision.labels[box.y : box.bottom, box.x : box.right]
    ys, xs = np.nonzero(np.isin(labels, list(vision.candidates[index].pieces)))
    if len(xs) < 2:
        return True
    points = np.stack([xs, ys], 1).astype(np.float64)
    spread, axes = np.linalg.eigh(np.cov(points.T) + np.eye(2) / 12)
    lean = np.degrees(np.arctan2(abs(axes[0, 1]), abs(axes[1, 1])))
    if spread[1] < _STREAK**2 * spread[0] or lean > _STEEP:
        return False
    across, along = np.ptp(points @ axes, axis=0) + 1
    return bool(len(xs) >= solid * across * along)


def _digits_by_id(drawn: Page) -> dict[int, int]:
    """The id of each whole digit → the digit."""
    found = {}
    for box, digit in drawn.digits:
        part = drawn.ids[box.y : box.bottom, box.x : box.right]
        marks = np.bincount(part[(part > 0) & (part < _OTHER)], minlength=_OTHER)
        found[int(marks.argmax())] = digit
    return found
