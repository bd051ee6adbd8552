"""What a sheet came with before anybody wrote on it: lines, squares, dots."""

from __future__ import annotations

import numpy as np

from live_digits.training.synthetic.pens import Pen
from live_digits.training.synthetic.scenes import uniform
from live_digits.training.synthetic.symbols import (
    Sheet,
    put,
    stroke,
)


def rule_paper(sheet: Sheet, height: float) -> None:
    """What the paper came with: lines, squares, a margin."""
    rng = sheet.rng
    width, tall = sheet.size
    kind = str(rng.choice(["lines", "squares", "dots"], p=[0.5, 0.45, 0.05]))
    strength = uniform(rng, 0.1, 0.6)
    tint = np.array([0.35, 0.6, 0.8]) if rng.random() < 0.6 else np.full(3, 0.7)
    b, g, r = (float(v) for v in np.clip(tint + rng.normal(0, 0.06, 3), 0.05, 0.95))
    pen = Pen((b, g, r), 0.05, strength, 0.0, 0.0)
    step = max(9.0, height * uniform(rng, 0.5 if kind == "lines" else 0.3, 1.7))
    thick = max(1, min(5, round(step * uniform(rng, 0.015, 0.06))))
    lean = float(rng.normal(0, 0.01))
    if kind == "dots":
        _dots(sheet, step, pen)
        return
    for at in np.arange(uniform(rng, 0, step), tall, step):
        _ruling(sheet, (0, at), (width, at + lean * width), thick, pen)
    if kind == "squares":
        for at in np.arange(uniform(rng, 0, step), width, step):
            _ruling(sheet, (at, 0), (at - lean * tall, tall), thick, pen)
    elif rng.random() < 0.3:
        red = Pen((0.7, 0.7, 0.2), 0.05, strength, 0.0, 0.0)
        x = uniform(rng, 0.03, 0.25) * width
        _ruling(sheet, (x, 0), (x, tall), thick, red)


def _ruling(
    sheet: Sheet, a: tuple[float, float], b: tuple[float, float], thick: int, pen: Pen
) -> None:
    """A straight line of no id: rulings are paper."""
    stroke(sheet, np.array([a, b], np.float64), thick, pen, 0)


def _dots(sheet: Sheet, step: float, pen: Pen) -> None:
    width, tall = sheet.size
    dot = np.zeros((5, 5), np.float32)
    dot[1:4, 1:4] = 1
    for y in np.arange(step / 2, tall, step):
        for x in np.arange(step / 2, width, step):
            put(sheet, dot, float(x), float(y), pen, 0)
