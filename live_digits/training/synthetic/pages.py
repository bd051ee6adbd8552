"""What stands on a drawn page: the ways in which people fill a sheet, from a single digit to a
table, a note or a board, and the rulings that the paper came with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.reading.classes import LETTER, MARK, SIGN
from live_digits.training.synthetic import strokes, vocabulary
from live_digits.training.synthetic.annotations import (
    Extent,
    arrow,
    connect,
    cross_out,
    draw_around,
    overlap,
    scribbles,
    strike_through,
    underline,
)
from live_digits.training.synthetic.pens import Pen, random_pen
from live_digits.training.synthetic.scenes import uniform
from live_digits.training.synthetic.symbols import (
    NOTHING,
    Scribe,
    Sheet,
    drawn,
    put,
    stroke,
    write_digit,
    write_shape,
    write_text,
    write_word,
)

_PRINT = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwx&%#@?"
"""Printed characters that are no digit and look like none."""
_PRINT_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)  # fmt: skip
_MOST_GLYPHS = 200
"""Glyphs that a page of words holds at most: its time is drawn from them."""


def _scribes(sheet: Sheet) -> list[Scribe]:
    """The hands of a page: mostly one, at times with two pens, a pale one beside a dark one."""
    rng = sheet.rng
    first = Scribe.random(sheet)
    if rng.random() < 0.72:
        return [first]
    other = replace(first, pen=replace(random_pen(rng, sheet.medium), slant=first.pen.slant))
    if rng.random() < 0.35:
        other = replace(other, pen=replace(other.pen, strength=other.pen.strength * 0.45))
    return [first, other if rng.random() < 0.7 else Scribe.random(sheet)]


def _one(scribes: Sequence[Scribe], rng: np.random.Generator) -> Scribe:
    return scribes[int(rng.integers(len(scribes)))]


def _enough(sheet: Sheet) -> bool:
    """Whether a page is full: its time is drawn from its glyphs."""
    return len(sheet.ledger.digits) + len(sheet.ledger.kinds) > _MOST_GLYPHS


def extent(x: float, base: float, end: float, height: float) -> Extent:
    return x, base - height, end, base


def lines(sheet: Sheet, height: float) -> None:
    """Numbers in lines."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    lead = height * uniform(rng, 1.25, 2.6)
    base = uniform(rng, 0.02, 0.3) * tall + height
    tilt = float(rng.normal(0, 0.02))
    left_edge = uniform(rng, 0.01, 0.25) * width
    column = rng.random() < 0.35
    while base < tall - 2 and not _enough(sheet):
        scribe = _one(scribes, rng)
        x = left_edge if column else uniform(rng, 0.01, 0.3) * width
        count = 1 if column else int(rng.integers(1, 5))
        for _ in range(count):
            if x > width - height * 0.6:
                break
            text = vocabulary.figure(rng) if rng.random() < 0.2 else vocabulary.number(rng)
            x = write_text(sheet, scribe, text, x, base + tilt * x, height, tilt)
            x += uniform(rng, 0.4, 1.8) * height
        base += lead
        if rng.random() < 0.25:
            base += lead * uniform(rng, 0.2, 1)
    if rng.random() < 0.1:
        scribbles(sheet, height, scribes[0].pen)


def scattered(sheet: Sheet, height: float) -> None:
    """A few numbers and letters anywhere, apart from each other, of several heights."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    taken: list[tuple[float, float]] = []
    for _ in range(int(rng.integers(1, 12))):
        x = uniform(rng, 0, max(1, width - height * 0.8))
        base = uniform(rng, min(height, tall - 1), tall)
        if any(abs(x - a) < 2.2 * height and abs(base - b) < 1.3 * height for a, b in taken):
            continue
        taken.append((x, base))
        text = vocabulary.word(rng) if rng.random() < 0.12 else vocabulary.number(rng, 3)
        size = height * uniform(rng, 0.75, 1.1)
        end = write_text(sheet, _one(scribes, rng), text, x, base, size)
        if rng.random() < 0.08:
            draw_around(sheet, extent(x, base, end, size), scribes[0].pen, height)


def crowd(sheet: Sheet, height: float) -> None:
    """Forty to a hundred and sixty digits in rows and columns."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    count = int(rng.integers(40, 161))
    columns = int(np.clip(round(np.sqrt(count * width / tall)), 4, 22))
    rows = max(3, round(count / columns))
    w, h = width / (columns + 0.6), tall / (rows + 0.6)
    size = min(w * uniform(rng, 0.75, 1.1), h * uniform(rng, 0.5, 0.8))
    ordered = rng.random() < 0.3
    for j in range(rows):
        for i in range(columns):
            value = j % 10 if ordered else int(rng.integers(10))
            x = (i + 0.4 + float(rng.normal(0, 0.06))) * w
            base = (j + 0.5) * h + size * 0.5 + float(rng.normal(0, 0.03)) * h
            write_digit(sheet, _one(scribes, rng), value, x, base, size * uniform(rng, 0.85, 1.1))


def lone(sheet: Sheet, height: float) -> None:
    """One digit or a single number on an empty sheet."""
    width, tall = sheet.size
    rng = sheet.rng
    size = float(np.clip(height * uniform(rng, 0.8, 2.5), 14, 0.7 * tall))
    text = vocabulary.number(rng, 1 if rng.random() < 0.6 else 4)
    x = uniform(rng, 0.05, 0.75) * width
    base = uniform(rng, 0.25, 0.9) * tall
    write_text(sheet, Scribe.random(sheet), text, x, max(base, size * 1.05), size)


def large(sheet: Sheet, height: float) -> None:
    """A few large digits across the sheet."""
    width, tall = sheet.size
    rng = sheet.rng
    size = tall * uniform(rng, 0.2, 0.62)
    scribe = Scribe.random(sheet)
    rows = max(1, int(tall / (size * 1.3)))
    for row in range(rows):
        base = (row + 0.5) * tall / rows + size / 2 + float(rng.normal(0, 0.02)) * tall
        x = uniform(rng, 0.02, 0.25) * width
        while x < width - size * 0.5:
            x = write_digit(sheet, scribe, int(rng.integers(10)), x, base, size)
            x += uniform(rng, 0.05, 0.5) * size


def uneven(sheet: Sheet, height: float) -> None:
    """Digits of very different heights in a line."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    high = min(height * uniform(rng, 1.2, 3), tall * 0.5)
    base = high * uniform(rng, 1.05, 1.3)
    while base < tall and not _enough(sheet):
        x = uniform(rng, 0.02, 0.2) * width
        for _ in range(int(rng.integers(2, 10))):
            size = high * float(np.exp(rng.uniform(np.log(0.3), 0)))
            raised = (high - size) * uniform(rng, 0, 1) if rng.random() < 0.4 else 0.0
            if x > width - size * 0.6:
                break
            text = vocabulary.digits(rng, int(rng.choice([1, 1, 2])))
            x = write_text(sheet, _one(scribes, rng), text, x, base - raised, size)
            x += uniform(rng, 0.02, 0.5) * high
        base += high * uniform(rng, 1.15, 1.8)


def ones(sheet: Sheet, height: float) -> None:
    """Pages with many 1s: alone, far from each other, long, leaning, among 7s and 4s."""
    width, tall = sheet.size
    rng = sheet.rng
    scribe = Scribe.random(sheet, source="strokes" if rng.random() < 0.4 else None)
    lean = float(rng.normal(0.1, 0.28))
    slant = float(np.clip(lean, -0.5, 0.8))
    pen = replace(scribe.pen, slant=slant)
    scribe = replace(scribe, pen=pen, hand=replace(scribe.hand, slant=slant))
    base = height * uniform(rng, 1.2, 2.5)
    wide = uniform(rng, 0.3, 5)
    while base < tall and not _enough(sheet):
        x = uniform(rng, 0.02, 0.3) * width
        for _ in range(int(rng.integers(1, 9))):
            if x > width - height * 0.5:
                break
            value = 1 if rng.random() < 0.62 else int(rng.choice([7, 4, 9, 0, 2]))
            size = height * (
                uniform(rng, 1.1, 1.8) if rng.random() < 0.2 else uniform(rng, 0.9, 1.1)
            )
            x = write_digit(sheet, scribe, value, x, base, size)
            x += height * wide * uniform(rng, 0.5, 1.3)
        base += height * uniform(rng, 1.4, 3)


_TOUCHING = ("00", "44", "400", "90", "70", "79", "97", "100", "10", "11", "77", "55", "20", "4490",
             "700", "990", "80", "7700", "30", "57")  # fmt: skip


def touching(sheet: Sheet, height: float) -> None:
    """Numbers whose digits touch: run together, joined by a stroke, a long-tailed 7 or 9 beside a
    small 0."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    base = height * uniform(rng, 1.2, 2.2)
    lead = height * uniform(rng, 1.5, 2.8)
    while base < tall and not _enough(sheet):
        x = uniform(rng, 0.02, 0.25) * width
        while x < width - height * 1.2:
            scribe = _one(scribes, rng)
            number = _TOUCHING[int(rng.integers(len(_TOUCHING)))]
            text = number if rng.random() < 0.5 else vocabulary.digits(rng, int(rng.integers(2, 5)))
            x = _run(sheet, scribe, text, x, base, height) + height * uniform(rng, 0.4, 1.6)
        base += lead


def _run(sheet: Sheet, scribe: Scribe, text: str, x: float, base: float, height: float) -> float:
    """Digits that run into each other; the x where they end."""
    rng = sheet.rng
    closeness = uniform(rng, -0.12, 0.05)
    joined = rng.random() < 0.2
    for at, character in enumerate(text):
        value = int(character)
        size, low = height, 0.0
        if value in (7, 9) and rng.random() < 0.4:
            size, low = height * uniform(rng, 1.15, 1.6), height * uniform(rng, 0.1, 0.35)
        elif value == 0 and at and rng.random() < 0.5:
            size = height * uniform(rng, 0.45, 0.8)
        begun = x
        x = write_digit(sheet, scribe, value, x, base + low, size)
        if joined and at + 1 < len(text) and rng.random() < 0.6:
            y = base - height * uniform(rng, 0.05, 0.95)
            thick = scribe.pen.width * height
            across = np.array([[x - 0.1 * height, y], [x + 0.12 * height, y - 0.06 * height]])
            stroke(sheet, across, thick, scribe.pen, sheet.mark(NOTHING))
            x += 0.06 * height
        tail = 0.15 * (x - begun) if low and character in "79" else 0.0
        x += closeness * height * uniform(rng, 0.5, 1.3) - tail
    return x


def sums(sheet: Sheet, height: float) -> None:
    """Sums, equations, terms in brackets, fractions with a bar, exponents, columns to add up."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    base = uniform(rng, 0.02, 0.2) * tall + height * 1.3
    lead = height * uniform(rng, 1.5, 2.8)
    edge = uniform(rng, 0.02, 0.2) * width
    while base < tall and not _enough(sheet):
        scribe = _one(scribes, rng)
        x = edge + uniform(rng, 0, 0.06) * width
        while x < width * 0.75:
            lot = rng.random()
            if lot < 0.16:
                x = _fraction(sheet, scribe, x, base - 0.35 * height, height)
            elif lot < 0.26:
                x = _power(sheet, scribe, x, base, height)
            elif lot < 0.34 and base + 3.4 * height < tall:
                x = _column(sheet, scribe, x, base, height)
            else:
                x = write_text(sheet, scribe, vocabulary.calculation(rng), x, base, height)
            x += uniform(rng, 0.8, 3) * height
            if rng.random() < 0.5:
                break
        base += lead * (1.5 if rng.random() < 0.3 else 1)


def _fraction(sheet: Sheet, scribe: Scribe, x: float, middle: float, height: float) -> float:
    """A number over another, a bar between."""
    rng = sheet.rng
    size = height * uniform(rng, 0.65, 1.0)
    gap = size * uniform(rng, 0.15, 0.35)
    begun = x
    if rng.random() < 0.4:
        x = write_text(
            sheet, scribe, f"{vocabulary.number(rng, 2)} ", x, middle + height / 2, height
        )
    above = write_text(sheet, scribe, vocabulary.number(rng, 3), x, middle - gap, size)
    below = write_text(sheet, scribe, vocabulary.number(rng, 3), x, middle + gap + size, size)
    end = max(above, below, begun + 0.5 * height)
    at = np.array(
        [[x - 0.1 * size, middle], [end + 0.1 * size, middle + rng.normal(0, 0.06) * size]]
    )
    stroke(sheet, at, scribe.pen.width * height, scribe.pen, sheet.mark(SIGN))
    if rng.random() < 0.5:
        text = f" = {vocabulary.number(rng, 3)}"
        end = write_text(sheet, scribe, text, end + 0.2 * size, middle + height / 2, height)
    return end


def _power(sheet: Sheet, scribe: Scribe, x: float, base: float, height: float) -> float:
    """A number or a letter with a small exponent or index."""
    rng = sheet.rng
    what = vocabulary.number(rng, 3) if rng.random() < 0.6 else "x"
    x = write_text(sheet, scribe, what, x, base, height)
    up = base - 0.62 * height if rng.random() < 0.8 else base + 0.2 * height
    size = height * uniform(rng, 0.4, 0.6)
    x = write_text(sheet, scribe, vocabulary.number(rng, 2), x, up, size)
    return write_text(sheet, scribe, f" = {vocabulary.number(rng, 4)}", x, base, height)


def _column(sheet: Sheet, scribe: Scribe, x: float, base: float, height: float) -> float:
    """Numbers under each other, a line below them, and what they come to."""
    rng = sheet.rng
    count = int(rng.integers(2, 5))
    end = x
    step = height * uniform(rng, 1.15, 1.5)
    right = x + 4.2 * height
    for i in range(count):
        text = vocabulary.number(rng, 4)
        at = right - len(text) * height * 0.8
        lead = str(rng.choice(np.array(["+", "-", "×"]))) if i == count - 1 else ""
        if lead:
            write_text(sheet, scribe, lead, at - height, base + i * step, height)
        end = max(end, write_text(sheet, scribe, text, at, base + i * step, height))
    below = base + (count - 1) * step + 0.3 * height
    bar = np.array([[x, below], [end + 0.2 * height, below + float(rng.normal(0, 0.05)) * height]])
    stroke(sheet, bar, scribe.pen.width * height, scribe.pen, sheet.mark(SIGN))
    text = vocabulary.number(rng, 4)
    write_text(sheet, scribe, text, right - len(text) * height * 0.8, base + count * step, height)
    return end


def table(sheet: Sheet, height: float) -> None:
    """Cells with frames, printed or drawn by hand, with words and numbers."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    height = min(height, 90.0)
    w, h = height * uniform(rng, 1.8, 4.5), height * uniform(rng, 1.4, 2.3)
    x0, y0 = uniform(rng, 0.02, 0.15) * width, uniform(rng, 0.02, 0.15) * tall
    columns = int(np.clip((width - x0) / w, 1, 9))
    rows = int(np.clip((tall - y0) / h, 1, 9))
    by_hand = rng.random() < 0.45
    pen = scribes[0].pen if by_hand and rng.random() < 0.7 else random_pen(rng, sheet.medium)
    thick = max(1.0, height * (pen.width if by_hand else uniform(rng, 0.02, 0.06)))
    for i in range(columns + 1):
        a, b = (x0 + i * w, y0), (x0 + i * w, y0 + rows * h)
        _frame_line(sheet, a, b, thick, pen, by_hand, height)
    for j in range(rows + 1):
        a, b = (x0, y0 + j * h), (x0 + columns * w, y0 + j * h)
        _frame_line(sheet, a, b, thick, pen, by_hand, height)
    headed = rng.random() < 0.4
    for j in range(rows):
        for i in range(columns):
            words = headed and (j == 0 or (i == 0 and rng.random() < 0.6))
            if rng.random() < 0.15:
                continue
            size = height * (uniform(rng, 0.5, 0.7) if words else uniform(rng, 0.85, 1.0))
            text = vocabulary.word(rng)[:5] if words else vocabulary.number(rng, 3)
            room = int((w * 0.85) / (0.75 * size))
            base = y0 + (j + 0.5) * h + size * 0.5 + float(rng.normal(0, 0.06)) * h
            text = text[: max(1, room)]
            if words and len(text) < 2:
                continue
            at = x0 + i * w + uniform(rng, 0.08, 0.25) * w
            write_text(sheet, _one(scribes, rng), text, at, base, size)


def _frame_line(
    sheet: Sheet, a: tuple[float, float], b: tuple[float, float], thick: float, pen: Pen,
    by_hand: bool, height: float,
) -> None:  # fmt: skip
    """A line of a table: printed ones are paper, drawn ones marks, uneven, a little too long."""
    rng = sheet.rng
    ends = np.array([a, b], np.float64)
    if by_hand:
        along = (ends[1] - ends[0]) / max(1.0, float(np.linalg.norm(ends[1] - ends[0])))
        ends += np.array([-along, along]) * height * rng.uniform(-0.1, 0.3, (2, 1))
        steps = np.linspace(0, 1, 7)[:, None]
        points = ends[0] + steps * (ends[1] - ends[0]) + rng.normal(0, 0.03, (7, 2)) * height
        stroke(sheet, strokes.smoothed(points, 2), thick, pen, sheet.mark(MARK))
    else:
        stroke(sheet, ends, thick, replace(pen, grain=0.0), 0)


def notes(sheet: Sheet, height: float) -> None:
    """Notes and lists: a head line, numbered points, words with a number, a number alone under or
    beside words, dates, prices, telephones."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    height = min(height, tall / 6, width / 10)
    lead = height * uniform(rng, 1.5, 2.4)
    edge = uniform(rng, 0.02, 0.2) * width
    base = uniform(rng, 0.03, 0.2) * tall + height * 1.2
    style = str(rng.choice(["numbered", "pairs", "mixed", "under"], p=[0.28, 0.25, 0.27, 0.2]))
    point = str(rng.choice(np.array([".", ")", ":", " -"])))
    budget = _MOST_GLYPHS // 2
    if rng.random() < 0.5:
        end = write_text(sheet, scribes[0], vocabulary.words(rng, 1, 2), edge, base, height * 1.2)
        if rng.random() < 0.4:
            underline(sheet, edge, end, base + 0.2 * height, scribes[0].pen, height)
        base += lead * 1.3
    row = 0
    while base < tall and budget > 0:
        row += 1
        scribe = _one(scribes, rng)
        text = _note(rng, style, row, point)
        budget -= len(text)
        right = style == "pairs" and rng.random() < 0.6
        if right:
            words, figures = vocabulary.words(rng, 1, 2), vocabulary.figure(rng)
            end = _words(sheet, scribe, words, edge, base, height)
            x = max(end + height * 0.6, width * 0.6)
            write_text(sheet, scribe, figures, x, base, height)
        else:
            end = _words(sheet, scribe, text, edge, base, height)
        if rng.random() < 0.06:
            draw_around(sheet, extent(edge, base, end, height), scribe.pen, height)
        base += lead


def _note(rng: np.random.Generator, style: str, row: int, point: str) -> str:
    """A line of a note."""
    if style == "numbered":
        extra = f" {vocabulary.figure(rng)}" if rng.random() < 0.3 else ""
        return f"{row}{point} {vocabulary.words(rng, 1, 3)}{extra}"
    if style == "under":
        if row % 2:
            return vocabulary.words(rng, 1, 2)
        return vocabulary.calculation(rng) if rng.random() < 0.25 else vocabulary.figure(rng)
    if style == "pairs":
        between = str(rng.choice(np.array([": ", " ", " - ", " = "])))
        return f"{vocabulary.words(rng, 1, 2)}{between}{vocabulary.figure(rng)}"
    lot = rng.random()
    if lot < 0.25:
        return vocabulary.figure(rng)
    if lot < 0.4:
        return f"{vocabulary.number(rng, 2)} {vocabulary.word(rng)}"
    if lot < 0.55:
        return f"- {vocabulary.words(rng, 1, 2)}"
    return f"{vocabulary.words(rng, 1, 2)} {vocabulary.figure(rng)}"


def _words(sheet: Sheet, scribe: Scribe, text: str, x: float, base: float, height: float) -> float:
    """A text, at times with its words in real cursive writing; the x where it ends."""
    writing = sheet.glyphs.writing
    if not (writing and writing.words and scribe.styles % 5 == 0):
        return write_text(sheet, scribe, text, x, base, height)
    for word in text.split():
        if word.isalpha() and len(word) > 1:
            ink = writing.words[int(sheet.rng.integers(len(writing.words)))]
            x = write_word(sheet, ink, x, base, height, scribe)
        else:
            x = write_text(sheet, scribe, word, x, base, height)
        x += scribe.space * height
        if x > sheet.size[0]:
            break
    return x


def prose(sheet: Sheet, height: float) -> None:
    """Lines of words with few numbers among them."""
    _text(sheet, height, 0.05 if sheet.rng.random() < 0.75 else 0.2)


def letters(sheet: Sheet, height: float) -> None:
    """Lines of words without any number."""
    _text(sheet, height, 0.0)


def _text(sheet: Sheet, height: float, numbers: float) -> None:
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    height = min(height, tall / 5, width / 9)
    margin, lead = uniform(rng, 0.02, 0.15) * width, height * uniform(rng, 1.4, 2.4)
    base = uniform(rng, 0.02, 0.2) * tall + height
    scribe = scribes[0]
    budget = _MOST_GLYPHS
    while base < tall and budget > 0:
        length = max(3, int((width - 2 * margin) / (0.75 * height)))
        text = vocabulary.sentence(rng, length, numbers)
        budget -= len(text)
        _words(sheet, scribe, text, margin, base, height)
        base += lead * (1.6 if rng.random() < 0.08 else 1)


def framed(sheet: Sheet, height: float) -> None:
    """Numbers in drawn circles and boxes, underlined, struck through, with arrows between."""
    width, tall = sheet.size
    rng, scribes = sheet.rng, _scribes(sheet)
    height = min(height, tall / 4)
    base = height * uniform(rng, 1.5, 2.5)
    lead = height * uniform(rng, 2.2, 3.6)
    always = str(rng.choice(["mixed", "circle", "box"]))
    while base < tall and not _enough(sheet):
        x = uniform(rng, 0.05, 0.25) * width
        while x < width - height * 1.5:
            scribe = _one(scribes, rng)
            text = vocabulary.word(rng) if rng.random() < 0.1 else vocabulary.number(rng, 3)
            before = len(sheet.ledger.digits)
            end = write_text(sheet, scribe, text, x, base, height)
            place = extent(x, base, end, height)
            pen = scribe.pen if rng.random() < 0.7 else random_pen(rng, sheet.medium)
            lot = rng.random()
            if always != "mixed" or lot < 0.5:
                draw_around(sheet, place, pen, height, None if always == "mixed" else always)
            elif lot < 0.68:
                underline(sheet, x, end, base + 0.2 * height, pen, height)
            elif lot < 0.78:
                strike_through(sheet, place, pen, height)
                sheet.ledger.unreadable.update(range(before + 1, len(sheet.ledger.digits) + 1))
            elif lot < 0.86:
                cross_out(sheet, place, pen, height)
            x = end + height * uniform(rng, 1.0, 2.2)
            if rng.random() < 0.15 and x < width - 2 * height:
                arrow(sheet, (x - 0.6 * height, base - 0.5 * height),
                       (x + height, base - 0.5 * height), pen, height)  # fmt: skip
                x += 1.5 * height
        base += lead


def board(sheet: Sheet, height: float) -> None:
    """What a board holds after a lesson: words, sums and numbers in several colours here and there,
    boxes, arrows, lines between."""
    width, tall = sheet.size
    rng = sheet.rng
    height = float(np.clip(height, 14, min(tall / 6, width / 11)))
    scribe = Scribe.random(sheet)
    pens = [scribe.pen, *(random_pen(rng, sheet.medium) for _ in range(int(rng.integers(0, 3))))]
    blocks: list[Extent] = []
    budget = _MOST_GLYPHS // 2
    for _ in range(int(rng.integers(5, 40))):
        size = height * float(np.exp(rng.uniform(np.log(0.55), np.log(1.4))))
        x, base = uniform(rng, 0.05, 0.8) * width, uniform(rng, 0.1, 0.93) * tall
        pen = replace(pens[int(rng.integers(len(pens)))], slant=scribe.pen.slant)
        hand = replace(scribe, pen=pen)
        rows = int(rng.choice([1, 1, 1, 2, 3]))
        text = [_board_text(rng) for _ in range(rows)]
        end = x + max(map(len, text)) * size * 0.75
        place = (x, base - size, min(end, width), base + (rows - 1) * 1.5 * size)
        if end > width * 0.98 or place[3] > tall * 0.97 or any(overlap(place, b) for b in blocks):
            continue
        blocks.append(place)
        for row, line in enumerate(text):
            budget -= len(line)
            end = _words(sheet, hand, line, x, base + row * 1.5 * size, size)
        lot = rng.random()
        if lot < 0.16:
            draw_around(sheet, place, pen, size)
        elif lot < 0.26:
            underline(sheet, x, place[2], place[3] + 0.25 * size, pen, size)
        if budget < 0:
            break
    for _ in range(int(rng.integers(0, 3)) if len(blocks) > 1 else 0):
        i, j = rng.choice(len(blocks), 2, replace=False)
        connect(sheet, blocks[i], blocks[j], pens[-1], height)
    if rng.random() < 0.2:
        x = uniform(rng, 0.3, 0.7) * width
        ends = np.array([[x, 0.05 * tall], [x + float(rng.normal(0, 8)), 0.95 * tall]])
        stroke(sheet, ends, pens[-1].width * height, pens[-1], sheet.mark(MARK))


def _board_text(rng: np.random.Generator) -> str:
    lot = rng.random()
    if lot < 0.35:
        return vocabulary.words(rng, 1, 2)
    if lot < 0.6:
        return vocabulary.calculation(rng)
    if lot < 0.85:
        return vocabulary.figure(rng)
    return f"{vocabulary.words(rng, 1, 1)} {vocabulary.figure(rng)}"


def note(sheet: Sheet, height: float) -> None:
    """A small sheet with one to three numbers or words."""
    width, tall = sheet.size
    rng, scribe = sheet.rng, Scribe.random(sheet)
    rows = int(rng.integers(1, 4))
    size = min(tall / (rows * 1.5 + 0.3), height) * uniform(rng, 0.7, 1.0)
    base = (tall - rows * 1.5 * size) / 2 + 1.2 * size
    for _ in range(rows):
        lot = rng.random()
        text = vocabulary.word(rng) if lot < 0.3 else vocabulary.figure(rng)
        text = vocabulary.number(rng, 3) if lot > 0.75 else text
        small = min(size, 0.9 * width / (0.75 * max(2, len(text))))
        x = max(2.0, (width - len(text) * small * 0.72) * uniform(rng, 0.2, 0.6))
        write_text(sheet, scribe, text, x, base, small)
        base += 1.5 * size


def numerals(sheet: Sheet, height: float) -> None:
    """Roman numerals in a row or a column, or strokes that count in fives; at times digits too."""
    width, tall = sheet.size
    rng, scribe = sheet.rng, Scribe.random(sheet)
    height = min(height, tall / 5, width / 8)
    lead = height * uniform(rng, 1.4, 2.4)
    base, edge = (
        uniform(rng, 0.02, 0.2) * tall + height * 1.1,
        uniform(rng, 0.02, 0.2) * width,
    )
    counted, down, beside = rng.random() < 0.25, rng.random() < 0.4, rng.random() < 0.4
    while base < tall and not _enough(sheet):
        x = edge
        for text in vocabulary.roman(rng):
            if counted:
                x = _tally(sheet, scribe, x, base, height)
            else:
                x = write_text(sheet, scribe, text, x, base, height, kind=LETTER)
            if beside and (down or rng.random() < 0.3):
                x += height * uniform(rng, 0.8, 2)
                x = write_text(sheet, scribe, vocabulary.number(rng, 3), x, base, height)
            x += height * uniform(rng, 0.7, 2.0)
            if down or x > width - height:
                break
        base += lead


def _tally(sheet: Sheet, scribe: Scribe, x: float, base: float, height: float) -> float:
    """Four upright strokes and one across; the x where they end."""
    rng, pen = sheet.rng, scribe.pen
    thick, step = pen.width * height, height * uniform(rng, 0.18, 0.35)
    mark = sheet.mark(MARK)
    for i in range(4):
        at = x + i * step
        ends = np.array([[at, base], [at + pen.slant * height, base - height]])
        stroke(sheet, ends + rng.normal(0, 0.03, (2, 2)) * height, thick, pen, mark)
    across = np.array([[x - step, base - 0.2 * height], [x + 4 * step, base - 0.8 * height]])
    stroke(sheet, across + rng.normal(0, 0.04, (2, 2)) * height, thick, pen, mark)
    return x + 4 * step


def printed(sheet: Sheet, height: float) -> None:
    """Lines of printed text without digits."""
    width, tall = sheet.size
    rng = sheet.rng
    pen = random_pen(rng, sheet.medium)
    height = min(height, 60.0)
    if sheet.glyphs.alphabet and rng.random() < 0.5:
        letters(sheet, height)
        return
    font = _PRINT_FONTS[int(rng.integers(len(_PRINT_FONTS)))]
    size = height / 22
    thick = max(1, round(size * uniform(rng, 1.0, 2.6)))
    base = height * 1.6
    while base < tall and not _enough(sheet):
        x = height
        while x < width - 2 * height:
            if rng.random() < 0.16:
                x += 0.6 * height
                continue
            character = _PRINT[int(rng.integers(len(_PRINT)))]
            (w, h), below = cv2.getTextSize(character, font, size, thick)
            line = np.zeros((h + below + 2 * thick, w + 2 * thick), np.uint8)
            cv2.putText(line, character, (thick, h + thick), font, size, 255, thick, cv2.LINE_AA)
            kind = LETTER if character.isalpha() else SIGN
            put(sheet, drawn(line), x, base - h, pen, sheet.mark(kind))
            x += w + 0.05 * height
        base += height * uniform(rng, 1.5, 3)


def mess(sheet: Sheet, height: float) -> None:
    """Scribbles, drawn shapes and little pictures, at times a number between."""
    width, tall = sheet.size
    rng = sheet.rng
    pen = random_pen(rng, sheet.medium)
    scribbles(sheet, height, pen)
    for _ in range(int(rng.integers(1, 9))):
        name = str(rng.choice(["other", "triangle", "rectangle"], p=[0.6, 0.2, 0.2]))
        side = height * uniform(rng, 0.6, 3)
        x, y = uniform(rng, 0, 0.9) * width, uniform(rng, 0, 0.9) * tall
        size = side, side * uniform(rng, 0.6, 1.4)
        kind = NOTHING if name == "other" and max(size) < 1.4 * height else MARK
        write_shape(sheet, name, x, y, size, pen, pen.width * height, kind)
    if rng.random() < 0.5:
        scribe = Scribe.random(sheet, pen)
        x, base = uniform(rng, 0.05, 0.7) * width, uniform(rng, 0.3, 0.9) * tall
        write_text(sheet, scribe, vocabulary.number(rng, 4), x, base, height)


def empty(sheet: Sheet, height: float) -> None:
    """Nothing."""


def ghosts(sheet: Sheet, height: float) -> npt.NDArray[np.float32]:
    """The rest of something that was wiped off the sheet: how much ink is left, H×W×3. It teaches
    nothing."""
    rng = sheet.rng
    w, h = sheet.size
    old = Sheet.blank((w, h), rng, sheet.glyphs, sheet.medium, sheet.ledger)
    old.faded = True
    board(old, height)
    smeared = cv2.blur(old.ink, (int(rng.integers(5, 40)), int(rng.integers(1, 6))))
    left = uniform(rng, 0.04, 0.16) * old.ink + uniform(rng, 0.05, 0.25) * np.asarray(smeared)
    sheet.ids[old.ids > 0] = old.ids[old.ids > 0]
    return np.asarray(left, np.float32)
