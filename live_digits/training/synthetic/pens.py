"""What marks are drawn with: pens, chalk and pencils on paper, boards and screens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAPER, BOARD, CHALK, LIGHT = "paper", "board", "chalk", "light"
"""What is written on: paper, a whiteboard, a blackboard, a dark screen; the last two in light."""
_LYING = 0.06
"""Share of the hands that slant so much that a 2 or a 5 lies."""


@dataclass(frozen=True, slots=True)
class Pen:
    """`colour` is what it takes from white light (adds to a dark ground), BGR 0…1; `width` is in
    shares of a digit's height; `grain` how unevenly it covers, `gaps` how much of it streaks leave
    bare, 0…1."""

    colour: tuple[float, float, float]
    width: float
    strength: float
    grain: float
    slant: float
    gaps: float = 0.0


_INKS = {
    "blue": (0.15, 0.62, 0.75), "black": (0.85, 0.86, 0.88), "red": (0.75, 0.8, 0.15),
    "green": (0.7, 0.3, 0.75), "grey": (0.6, 0.6, 0.6), "purple": (0.25, 0.75, 0.5),
    "orange": (0.85, 0.5, 0.06), "brown": (0.8, 0.7, 0.5),
}  # fmt: skip
_LIGHTS = {
    "white": (0.95, 0.95, 0.95), "yellow": (0.45, 0.9, 0.95), "pink": (0.75, 0.6, 0.95),
    "sky": (0.95, 0.8, 0.5), "lime": (0.5, 0.95, 0.6),
}  # fmt: skip


def random_pen(rng: np.random.Generator, medium: str = PAPER) -> Pen:
    """A pen of some colour that suits what is written on."""
    if medium in (CHALK, LIGHT):
        return _light_pen(rng, medium)
    kinds = ["ball", "pencil", "felt", "marker"]
    shares = [0.36, 0.28, 0.2, 0.16] if medium == PAPER else [0, 0, 0.25, 0.75]
    kind = str(rng.choice(kinds, p=shares))
    names = ["grey"] if kind == "pencil" else list(_INKS)
    weights = [1.0] if kind == "pencil" else [0.37, 0.35, 0.12, 0.05, 0.04, 0.03, 0.02, 0.02]
    base = np.array(_INKS[str(rng.choice(names, p=weights))]) + rng.normal(0, 0.05, 3)
    low, high = {"ball": (0.03, 0.09), "pencil": (0.03, 0.1), "felt": (0.07, 0.15),
                 "marker": (0.1, 0.26)}[kind]  # fmt: skip
    strength = rng.uniform(0.2, 0.75) if kind == "pencil" else rng.uniform(0.6, 1.0)
    glossy = medium == BOARD
    b, g, r = np.clip(base, 0.05, 0.97)
    return Pen(
        (float(b), float(g), float(r)),
        float(rng.uniform(low, high)) * (0.75 if glossy else 1.0),
        float(strength),
        float(rng.uniform(0.1, 0.6) if kind == "pencil" else rng.uniform(0, 0.25)),
        _slant(rng),
        float(rng.uniform(0, 0.35)) if glossy and rng.random() < 0.5 else 0.0,
    )


def _light_pen(rng: np.random.Generator, medium: str) -> Pen:
    names = list(_LIGHTS)
    b, g, r = _LIGHTS[str(rng.choice(names, p=[0.72, 0.12, 0.06, 0.06, 0.04]))]
    chalk = medium == CHALK
    return Pen(
        (b, g, r),
        float(rng.uniform(0.06, 0.16) if chalk else rng.uniform(0.04, 0.2)),
        float(rng.uniform(0.45, 1.0)),
        float(rng.uniform(0.3, 0.8)) if chalk else 0.0,
        _slant(rng),
        float(rng.uniform(0, 0.3)) if chalk else 0.0,
    )


def _slant(rng: np.random.Generator) -> float:
    if rng.random() < _LYING:
        return float(rng.uniform(0.4, 0.9))
    return float(np.clip(rng.normal(0.04, 0.14), -0.32, 0.42))
