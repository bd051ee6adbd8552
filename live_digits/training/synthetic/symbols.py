"""Marks on a drawn page: digits, letters, signs and strokes, drawn with some pen by some hand.

The ink of each mark is kept with its id, so that whoever finds it can be told what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import Floats, Image
from live_digits.reading.classes import LETTER, MARK, SIGN
from live_digits.training.synthetic import strokes
from live_digits.training.synthetic.glyphs import SIDE, Glyphs, bones, leaned, redrawn, square_of
from live_digits.training.synthetic.pens import PAPER, Pen, random_pen

Ids = npt.NDArray[np.uint16]
OTHER = 4096
"""From this id on, ink is no digit."""
NOTHING = -1
"""What teaches nothing: it looks like a digit and is none."""
LOOK_ALIKES = frozenset("OoQDIilZzSsqgBbPpAJjyGβδεζθιξορσ")
"""Letters that look like a digit when they stand alone."""
ALIKE = LOOK_ALIKES | frozenset("/|!")
"""Characters that only their surroundings tell from a digit."""
_INKED = 0.4
"""Ink darker than this share belongs to the glyph."""
_HALF = "-+=×÷·*~→←<>"
"""Signs that stand in the middle of the line."""
_SIGNS = {
    "+": "plus", "-": "minus", "=": "equals", "×": "times", "÷": "divide", "(": "paren",
    ")": "paren close", "[": "bracket", "]": "bracket close", "#": "hash", "√": "root",
    "~": "tilde", "→": "arrow", "<": "less", ">": "greater", "*": "star", ".": "dot", "·": "dot",
    ",": "comma", ":": "colon", "'": "quote", "?": "question", "!": "exclamation", "%": "percent",
    "€": "euro", "$": "dollar", "/": "slash", "|": "bar", "π": "pi", "φ": "phi", "✓": "check",
}  # fmt: skip
_SIZES = {
    "+": (0.55, 0), "-": (0.3, 0), "=": (0.36, 0), "×": (0.45, 0), "÷": (0.5, 0), "(": (1.25, 0.15),
    ")": (1.25, 0.15), "[": (1.2, 0.12), "]": (1.2, 0.12), "√": (1.2, 0.05), "~": (0.35, 0),
    "→": (0.4, 0), "<": (0.6, 0), ">": (0.6, 0), "*": (0.4, 0), ".": (0.07, 0), "·": (0.07, 0),
    ",": (0.25, 0.16), ":": (0.5, -0.08), "'": (0.3, -0.75), "/": (1.15, 0.08), "|": (1.25, 0.15),
    "g": (0.95, 0.32), "j": (1.2, 0.3), "p": (0.95, 0.32), "q": (0.95, 0.32), "y": (0.95, 0.32),
    "t": (0.88, 0), "i": (0.9, 0),
}  # fmt: skip
"""How high a character stands and how far it reaches below the line, against a digit."""
_LOW = "acemnorsuvwxzπ"
_LOW_HEIGHT = 0.64
"""Letters without an ascender, and their height against a digit."""
_SOURCES = ("scans", "font", "strokes", "photographed", "mixed")
_SHARES = (0.42, 0.22, 0.12, 0.1, 0.14)
"""Where a hand's glyphs come from, and how often."""
_WITH_PEN = 0.66
"""Share of the hands whose glyphs are thinned and drawn at the pen's width."""
_SMALL_ZEROS, _LONG_TAILS, _NARROW = 0.15, 0.15, 0.2
"""Shares of the hands that write 0s smaller than other digits, 7s and 9s that reach below the line,
and narrow 7s."""


@dataclass(slots=True)
class Ledger:
    """What has been written on all the sheets of a page: the digits with the pixels of each, the
    kinds of the other marks, those of them that are digits in shape, and the digits that nobody can
    read."""

    digits: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    alike: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    bones: dict[int, Floats] = field(default_factory=dict)

    def digit(self, value: int) -> int:
        """The id of a new digit."""
        self.digits.append(value)
        self.pixels.append(0)
        return len(self.digits)

    def other(self, kind: int) -> int:
        """The id of a new mark that is no digit."""
        self.kinds.append(kind)
        return OTHER + len(self.kinds) - 1


@dataclass(slots=True)
class Sheet:
    """A page at work: `ink` is how much of the paper's light each mark takes away, or on a dark
    ground how much it adds, float32 H×W×3, 0…1. What is written while it is `faded` teaches
    nothing."""

    ink: Floats
    ids: Ids
    ledger: Ledger
    rng: np.random.Generator
    glyphs: Glyphs
    medium: str = PAPER
    faded: bool = False

    @staticmethod
    def blank(
        size: tuple[int, int],
        rng: np.random.Generator,
        glyphs: Glyphs,
        medium: str = PAPER,
        ledger: Ledger | None = None,
    ) -> Sheet:
        """An empty sheet, width and height in pixels; `ledger`: of the page that it is part of."""
        w, h = size
        ink, ids = np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.uint16)
        return Sheet(ink, ids, ledger or Ledger(), rng, glyphs, medium)

    @property
    def size(self) -> tuple[int, int]:
        return self.ink.shape[1], self.ink.shape[0]

    def mark(self, kind: int) -> int:
        """The id of a new mark of some kind."""
        return self.ledger.other(NOTHING if self.faded else kind)

    def full(self) -> bool:
        """Whether no more digits can be written."""
        return len(self.ledger.digits) >= OTHER - 2


@dataclass(frozen=True, slots=True)
class Scribe:
    """Somebody who writes: a pen, where the glyphs come from (one of `_SOURCES`, a font's number
    and the styles of strokes), room between glyphs and words and how unevenly the line runs, all in
    shares of a digit's height. `pressed`: glyphs are drawn at the pen's width. `zero`: height of a
    0, `tail`: how far 7s and 9s reach below the line, both of a digit's height; `seven`: width of a
    7 and `sign`: height of a sign, of the usual one."""

    pen: Pen
    source: str
    font: int
    styles: int
    hand: strokes.Hand
    gap: float
    space: float
    wobble: float
    pressed: bool
    zero: float = 1.0
    tail: float = 0.0
    seven: float = 1.0
    sign: float = 1.0

    @staticmethod
    def random(sheet: Sheet, pen: Pen | None = None, source: str | None = None) -> Scribe:
        """Some hand with some pen, from what the sheet's glyphs offer."""
        rng, glyphs = sheet.rng, sheet.glyphs
        pen = pen or random_pen(rng, sheet.medium)
        there = [True, glyphs.alphabet is not None, True,
                 glyphs.writing is not None and len(glyphs.writing.photographed) > 0,
                 True]  # fmt: skip
        shares = np.array(_SHARES) * there
        if source is None or not there[_SOURCES.index(source)]:
            source = str(rng.choice(_SOURCES, p=shares / shares.sum()))
        h = strokes.Hand.random(rng)
        return Scribe(
            pen,
            source,
            _some_font(glyphs, rng),
            int(rng.integers(1 << 30)),
            replace(h, slant=pen.slant + 0.04, width=pen.width),
            float(rng.uniform(0.03, 0.3)),
            float(rng.uniform(0.35, 0.9)),
            float(rng.uniform(0.005, 0.07)),
            bool(rng.random() < _WITH_PEN),
            float(rng.uniform(0.45, 0.85)) if rng.random() < _SMALL_ZEROS else 1.0,
            float(rng.uniform(0.1, 0.35)) if rng.random() < _LONG_TAILS else 0.0,
            float(rng.uniform(0.5, 0.85)) if rng.random() < _NARROW else 1.0,
            float(np.clip(np.exp(rng.normal(0, 0.22)), 0.65, 1.6)),
        )


def _some_font(glyphs: Glyphs, rng: np.random.Generator) -> int:
    return int(rng.integers(len(glyphs.alphabet.labels) // 10)) if glyphs.alphabet else 0


def _slanted(alpha: Floats, slant: float, rng: np.random.Generator) -> Floats:
    """Slants and turns a glyph a little."""
    turn = float(rng.normal(0, 4))
    return leaned(alpha, slant + float(rng.normal(0, 0.04)), turn)


def drawn(image: Image) -> Floats:
    """How much of a pen covers each pixel, 0…1, of a glyph in uint8."""
    return np.asarray(image.astype(np.float32) / 255, np.float32)


def tight(alpha: Floats) -> Floats:
    """Without its empty margin."""
    x, y, w, h = cv2.boundingRect((alpha > _INKED).astype(np.uint8))
    return alpha[y : y + h, x : x + w] if w and h else alpha[:1, :1]


def _redrawn(sheet: Sheet, scribe: Scribe, square: Image, height: float, key: int = -1) -> Floats:
    """A glyph of a square, drawn as the hand does; `key`: under which its skeleton is kept."""
    if not scribe.pressed:
        return _slanted(redrawn(square, height, None, sheet.rng), scribe.pen.slant, sheet.rng)
    kept = sheet.ledger.bones
    away = kept.get(key)
    if away is None:
        away = bones(square)
        if key >= 0:
            kept[key] = away
    alpha = redrawn(square, height, scribe.pen.width, sheet.rng, away)
    return _slanted(alpha, scribe.pen.slant, sheet.rng)


def _large(crop: Image) -> Image:
    """A uint8 28×28 crop as an 84×84 square."""
    return np.asarray(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def _source(sheet: Sheet, scribe: Scribe) -> str:
    if scribe.source != "mixed":
        return scribe.source
    there = ["scans", "strokes", *(["font"] if sheet.glyphs.alphabet else [])]
    return there[int(sheet.rng.integers(len(there)))]


def digit_of(sheet: Sheet, scribe: Scribe, value: int, height: float) -> Floats:
    """A digit about `height` pixels high, tight: alpha float32 0…1."""
    rng, glyphs = sheet.rng, sheet.glyphs
    source = _source(sheet, scribe)
    if source == "font" and glyphs.alphabet:
        font = scribe.font if scribe.source == "font" else _some_font(glyphs, rng)
        row = font * 10 + value
        return tight(_redrawn(sheet, scribe, glyphs.alphabet.digits[row], height, row))
    if source == "photographed" and glyphs.writing:
        rows = np.flatnonzero(glyphs.writing.photographed_labels == value)
        if len(rows):
            square = glyphs.writing.photographed[int(rng.choice(rows))]
            return tight(_redrawn(sheet, scribe, square, height))
    rows = np.flatnonzero(glyphs.labels == value)
    if source == "strokes" or not len(rows):
        style = None if scribe.source == "mixed" else (scribe.styles >> value) + value
        ink = strokes.digit(value, scribe.hand, rng, max(10, round(height)), style)
        return tight(drawn(ink))
    return tight(_redrawn(sheet, scribe, _large(glyphs.crops[int(rng.choice(rows))]), height))


def glyph_of(
    sheet: Sheet, scribe: Scribe, character: str, height: float
) -> tuple[Floats, float] | None:
    """A letter or sign beside digits of a height: alpha, tight, and how far it reaches below the
    line, pixels. None where nothing offers it."""
    rng, glyphs = sheet.rng, sheet.glyphs
    source = _source(sheet, scribe)
    if source == "font" and glyphs.alphabet:
        font = scribe.font if scribe.source == "font" else _some_font(glyphs, rng)
        row = glyphs.alphabet.of_font(font).get(character)
        if row is not None:
            tall = max(3.0, height * min(float(glyphs.alphabet.heights[row]), 1.6))
            square = glyphs.alphabet.others[row]
            alpha = tight(_redrawn(sheet, scribe, square, tall, len(glyphs.alphabet.labels) + row))
            return alpha, height * float(glyphs.alphabet.drops[row])
    share, drop = _SIZES.get(character, (_LOW_HEIGHT if character in _LOW else 1.0, 0.0))
    tall = height * share * float(rng.uniform(0.92, 1.08))
    found = _real(sheet, scribe, character, tall) if source != "strokes" else None
    if found is None:
        found = _stroked(sheet, scribe, character, tall)
    if found is None:
        return None
    if character in _HALF:
        drop = -(height * 0.5 - found.shape[0] / 2) / height
    return found, drop * height


def _real(sheet: Sheet, scribe: Scribe, character: str, tall: float) -> Floats | None:
    """A letter or sign of real writing, tight; None where there is none."""
    writing = sheet.glyphs.writing
    if writing is None:
        return None
    crops = writing.letters.get(character, writing.signs.get(character))
    if crops is None:
        return None
    crop = crops[int(sheet.rng.integers(len(crops)))]
    return tight(_redrawn(sheet, scribe, _large(crop), max(3.0, tall)))


def _stroked(sheet: Sheet, scribe: Scribe, character: str, tall: float) -> Floats | None:
    """A letter or sign made of strokes, tight; None where there is none."""
    name = _SIGNS.get(character)
    glyph = strokes.SIGNS.get(name) if name else None
    glyph = glyph or strokes.LETTERS.get(character) or strokes.LOOK_ALIKES.get(character)
    if glyph is None:
        return None
    size = max(3.0, tall)
    h = scribe.hand
    width = h.width * max(1.0, 0.8 / max(0.05, tall / size))
    sign = name is not None
    hand = replace(h, width=min(width, 0.5), slant=h.slant * (0.4 if sign else 1.0),
                   aspect=0.9 if sign else h.aspect)  # fmt: skip
    if name in ("minus", "equals", "tilde", "arrow"):
        hand = replace(hand, aspect=1.6)
    if name in ("dot", "colon"):
        hand = replace(hand, width=0.5 if name == "dot" else 0.3, shake=0.02)
    elif name is not None or character.islower():
        hand = replace(hand, width=min(0.5, h.width / max(0.25, _share(character))))
    return tight(drawn(strokes.draw(glyph, hand, sheet.rng, max(3, round(size)))))


def _share(character: str) -> float:
    return _SIZES.get(character, (_LOW_HEIGHT if character in _LOW else 1.0, 0.0))[0]


def put(sheet: Sheet, alpha: Floats, x: float, y: float, pen: Pen, mark: int) -> None:
    """Draws a glyph with its top left corner at x, y; what leaves the sheet is cut off."""
    width, height = sheet.size
    left, top = round(x), round(y)
    if 0 < mark < OTHER:
        sheet.ledger.pixels[mark - 1] += int(np.count_nonzero(alpha > _INKED))
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(width, left + alpha.shape[1]), min(height, top + alpha.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    part = alpha[y0 - top : y1 - top, x0 - left : x1 - left]
    cover = part * pen.strength
    if pen.grain or pen.gaps:
        cover = cover * _texture(cover.shape, pen, sheet.rng)
    region = sheet.ink[y0:y1, x0:x1]
    np.maximum(region, cover[..., None] * np.array(pen.colour, np.float32), out=region)
    if mark:
        sheet.ids[y0:y1, x0:x1][part > _INKED] = mark


def _texture(shape: tuple[int, ...], pen: Pen, rng: np.random.Generator) -> Floats:
    """How the pen covers the paper: fine grain, a slow change of pressure and streaks."""
    h, w = shape
    fine = rng.random((h, w), np.float32)
    slow = cv2.resize(rng.random((3, 3), np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    cover = 1 - pen.grain * (0.6 * fine + 0.5 * np.asarray(slow))
    if pen.gaps:
        few = rng.random((max(2, h // 6), max(2, w // 2)), np.float32)
        streaks = np.asarray(cv2.resize(few, (w, h), interpolation=cv2.INTER_LINEAR))
        cover = cover * np.clip((streaks - pen.gaps) * 4 + 0.7, 0.25, 1)
    return np.asarray(cover, np.float32)


def stroke(
    sheet: Sheet, points: npt.NDArray[np.float64], thick: float, pen: Pen, mark: int
) -> None:
    """Draws a line through points, N×2; `mark` 0: paper, as rulings are."""
    width = max(1, round(thick))
    low = np.floor(points.min(axis=0)).astype(int) - width - 2
    high = np.ceil(points.max(axis=0)).astype(int) + width + 3
    low = np.maximum(low, -8 - width)
    high = np.minimum(high, np.array(sheet.size) + 8 + width)
    if (high <= low).any():
        return
    line = np.zeros((int(high[1] - low[1]), int(high[0] - low[0])), np.uint8)
    at = np.round((points - low) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(line, [at], False, 255, width, cv2.LINE_AA, 4)
    put(sheet, drawn(line), float(low[0]), float(low[1]), pen, mark)


def write_digit(
    sheet: Sheet, scribe: Scribe, value: int, x: float, base: float, height: float
) -> float:
    """A digit that stands on `base`; the x where it ends."""
    drop = height * scribe.tail if value in (7, 9) else 0.0
    size = height * scribe.zero if value == 0 else height + drop
    alpha = digit_of(sheet, scribe, value, size)
    if value == 7 and scribe.seven < 1:
        wide = max(2, round(alpha.shape[1] * scribe.seven)), alpha.shape[0]
        alpha = np.asarray(cv2.resize(alpha, wide, interpolation=cv2.INTER_AREA), np.float32)
    if min(alpha.shape[0], 2 * alpha.shape[1]) < 5 or sheet.full():
        return x
    top = base + drop - alpha.shape[0] + float(sheet.rng.normal(0, scribe.wobble)) * height
    mark = sheet.mark(NOTHING) if sheet.faded else sheet.ledger.digit(value)
    put(sheet, alpha, x, top, scribe.pen, mark)
    return float(x + alpha.shape[1])


def kind_of(text: str, at: int) -> int:
    """What the character at a place of a text teaches: look-alikes only in a word of two or more
    letters."""
    character = text[at]
    if not character.isalpha():
        return SIGN
    beside = text[max(0, at - 1) : at] + text[at + 1 : at + 2]
    alone = not any(c.isalpha() for c in beside)
    return NOTHING if alone and character in LOOK_ALIKES else LETTER


def write_text(
    sheet: Sheet, scribe: Scribe, text: str, x: float, base: float, height: float,
    lean: float = 0.0, kind: int | None = None,
) -> float:  # fmt: skip
    """Writes a text from `x` on a line at `base` that falls by `lean` a pixel; the x where it
    ends. It stops at the edge of the sheet; `^` raises the character after it. `kind`: what its
    letters are, by default what `kind_of` says."""
    rng = sheet.rng
    start = x
    for at, character in enumerate(text):
        if character == "^":
            continue
        if character == " ":
            x += scribe.space * height * float(rng.uniform(0.8, 1.25))
            continue
        if x > sheet.size[0]:
            break
        line = base + lean * (x - start)
        size = height * float(rng.normal(1, 0.03))
        if at and text[at - 1] == "^":
            size, line = size * float(rng.uniform(0.4, 0.6)), line - 0.6 * height
        if character.isdigit():
            end = write_digit(sheet, scribe, int(character), x, line, size)
        else:
            grown = scribe.sign if character in _HALF else 1.0
            found = glyph_of(sheet, scribe, character, size * grown)
            if found is None:
                continue
            alpha, drop = found
            drop += (grown - 1) * size / 2  # it stays in the middle of the line
            end = x + alpha.shape[1]
            top = line + drop - alpha.shape[0] + float(rng.normal(0, scribe.wobble)) * height
            mark = sheet.mark(kind_of(text, at) if kind is None else kind)
            if character in ALIKE:
                sheet.ledger.alike.add(mark)
            put(sheet, alpha, x, top, scribe.pen, mark)
        x = end + (scribe.gap + float(rng.normal(0, 0.025))) * height
    return x


def write_word(
    sheet: Sheet, ink: Image, x: float, base: float, height: float, scribe: Scribe
) -> float:
    """A real word, uint8 255 on 0, scaled to letters of about a `height`; the x where it ends."""
    scale = max(0.2, height / 34)
    size = max(3, round(ink.shape[1] * scale)), max(3, round(ink.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    soft = cv2.GaussianBlur(cv2.resize(ink, size, interpolation=how), (0, 0), 0.4 + 0.3 * scale)
    alpha = tight(np.clip((drawn(np.asarray(soft, np.uint8)) - 0.2) * 2.6, 0, 1))
    narrow = alpha.shape[1] < alpha.shape[0]
    mark = sheet.mark(NOTHING if narrow else LETTER)
    sheet.ledger.alike.add(mark)  # its pieces may be any letter
    put(sheet, alpha, x, base - alpha.shape[0] * 0.8, scribe.pen, mark)
    return float(x + alpha.shape[1])


def write_shape(
    sheet: Sheet,
    name: str,
    x: float,
    y: float,
    size: tuple[float, float],
    pen: Pen,
    thick: float,
    kind: int = MARK,
) -> bool:
    """A drawn shape of real hands, stretched into a rectangle; whether there is one of that
    name."""
    writing = sheet.glyphs.writing
    crops = writing.shapes.get(name) if writing else None
    if crops is None:
        return False
    square = square_of(crops[int(sheet.rng.integers(len(crops)))])
    away = bones(square)
    ys, xs = np.nonzero(away < 0.5)
    if not len(xs):
        return False
    inner = away[max(0, ys.min() - 3) : ys.max() + 4, max(0, xs.min() - 3) : xs.max() + 4]
    w, h = max(8, round(size[0])), max(8, round(size[1]))
    near = np.asarray(cv2.resize(inner, (w, h), interpolation=cv2.INTER_LINEAR))
    scale = (w / inner.shape[1] + h / inner.shape[0]) / 2
    alpha = np.asarray(np.clip(max(0.6, thick / 2) - near * scale + 0.5, 0, 1), np.float32)
    put(sheet, alpha, x, y, pen, sheet.mark(kind))
    return True
