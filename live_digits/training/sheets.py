"""What stands on a drawn page: digits and letters (`marks`) in lines, tables and sums, print,
scribbles, and the rulings that the paper came with.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from live_digits.training import strokes
from live_digits.training.glyphs import Alphabet
from live_digits.training.marks import (
    OTHER,
    OTHERS_OF_FONTS,
    Pen,
    Sheet,
    drawn,
    put,
    random_pen,
    write_digit,
    write_letter,
    write_other,
)

_WORD_ENDS = 0.18
"""How often a word ends after a letter."""
_PRINT = "ACDEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwx&%#@?!"
"""Printed characters that are no digit and look like none."""
_PRINT_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX,
                cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)  # fmt: skip


def _lines(sheet: Sheet, height: float, other: float, pens: Sequence[Pen]) -> None:
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
            write = write_other if rng.random() < other else write_digit
            x = write(sheet, x, base + tilt * x, size, pen)
            x += (gap + float(rng.uniform(0, 0.12))) * height
            if rng.random() < 0.25:
                x += float(rng.uniform(0.4, 1.6)) * height
            left -= 1
        base += lead
        if rng.random() < 0.25:
            base += lead * float(rng.uniform(0.2, 1))


def _scattered(sheet: Sheet, height: float, other: float, pens: Sequence[Pen]) -> None:
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
        write = write_other if sheet.rng.random() < other else write_digit
        write(sheet, x, base, height * float(sheet.rng.uniform(0.8, 1.1)), pen)


def _table(sheet: Sheet, height: float, pens: Sequence[Pen]) -> None:
    """Cells with frames, printed or drawn, one to three digits each."""
    width, tall = sheet.size
    rng = sheet.rng
    w, h = height * float(rng.uniform(1.8, 4)), height * float(rng.uniform(1.4, 2.3))
    x0, y0 = float(rng.uniform(0.02, 0.15)) * width, float(rng.uniform(0.02, 0.15)) * tall
    columns, rows = max(1, int((width - x0) / w)), max(1, int((tall - y0) / h))
    columns, rows = min(columns, 9), min(rows, 9)
    grey = float(rng.uniform(0.3, 0.9))
    frame = Pen((grey, grey, grey), 0.05, 1.0, 0.0, 0.0)
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
                write = write_digit if rng.random() < 0.93 else write_other
                x = write(sheet, x, base, height, pen) + height * float(rng.uniform(0.05, 0.25))


def _rule(
    sheet: Sheet, a: tuple[float, float], b: tuple[float, float], width: int, pen: Pen
) -> None:
    """A straight line of no id: rulings are paper."""
    line = np.zeros(sheet.ids.shape, np.uint8)
    ends = [(round(p[0]), round(p[1])) for p in (a, b)]
    cv2.line(line, ends[0], ends[1], 255, width, cv2.LINE_AA)
    (x0, x1), (y0, y1) = (sorted(side) for side in zip(*ends, strict=True))
    rows, columns = (
        slice(max(0, low - width - 1), max(0, high + width + 2))
        for low, high in ((y0, y1), (x0, x1))
    )
    line, ink = line[rows, columns], sheet.ink[rows, columns]
    where = line > 0
    cover = (line[where].astype(np.float32) / 255)[:, None] * np.array(pen.colour, np.float32)
    ink[where] = np.maximum(ink[where], cover * pen.strength)


def _print(sheet: Sheet, height: float, pen: Pen) -> None:
    """Lines of printed text without digits."""
    width, tall = sheet.size
    rng = sheet.rng
    alphabet = sheet.glyphs.alphabet
    if alphabet and rng.random() < OTHERS_OF_FONTS:
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
        put(sheet, drawn(line), 0, 0, pen, OTHER)
        base += height * float(rng.uniform(1.5, 3))


def _text(sheet: Sheet, alphabet: Alphabet, height: float, pen: Pen) -> None:
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
            x = write_letter(sheet, alphabet, pick, x, base, height, pen) + gap * height
            if rng.random() < _WORD_ENDS:
                x += space * height
        base += lead


def _scribbles(sheet: Sheet, height: float, pen: Pen) -> None:
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
        put(sheet, drawn(line), 0, 0, pen, OTHER)


def write(sheet: Sheet, height: float) -> None:
    """Fills a sheet in one of the ways in which people do."""
    rng = sheet.rng
    pens = [random_pen(rng) for _ in range(1 if rng.random() < 0.7 else 2)]
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
    pen = Pen((b, g, r), 0.05, strength, 0.0, 0.0)
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
        red = Pen((0.7, 0.7, 0.2), 0.05, strength, 0.0, 0.0)
        x = float(rng.uniform(0.03, 0.25)) * width
        _rule(sheet, (x, 0), (x, tall), thick, red)
