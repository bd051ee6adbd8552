"""Handwriting drawn from strokes: digits in several styles, letters, operators, marks.

A glyph is a list of strokes; a stroke is a list of points in a box of 1 × 1, y down. Drawing shakes
the points, rounds the corners, slants and stretches the whole and draws it with a pen of some
width. No font file is needed, so a training run is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.types import Image

Points = npt.NDArray[np.float64]
Glyph = tuple[tuple[tuple[float, float], ...], ...]

_SHIFT = 4
"""Fractional bits of the coordinates that OpenCV draws at."""

DIGITS: dict[int, tuple[Glyph, ...]] = {
    0: (
        (((0.5, 0), (0.1, 0.15), (0, 0.5), (0.1, 0.85), (0.5, 1), (0.9, 0.85), (1, 0.5),
          (0.9, 0.15), (0.5, 0)),),
        (((0.6, 0.02), (0.15, 0.2), (0, 0.6), (0.2, 0.95), (0.6, 1), (0.95, 0.7), (0.95, 0.3),
          (0.65, 0.03), (0.35, 0.1)),),
    ),
    1: (
        (((0.2, 0), (0.2, 1)),),
        (((0, 0.3), (0.35, 0), (0.35, 1)),),
        (((0, 0.45), (0.5, 0), (0.5, 1)),),
        (((0, 0.2), (0.3, 0), (0.3, 1)), ((0, 1), (0.6, 1))),
        (((0.35, 0), (0.1, 1)),),
    ),
    2: (
        (((0, 0.25), (0.15, 0.05), (0.5, 0), (0.85, 0.1), (0.9, 0.35), (0.6, 0.65), (0, 1),
          (1, 1)),),
        (((0, 0.2), (0.4, 0), (0.85, 0.15), (0.8, 0.45), (0.4, 0.8), (0.1, 0.98), (0.15, 0.78),
          (0.4, 0.85), (0.7, 1), (1, 0.92)),),
        (((0, 0.15), (0.35, 0), (0.8, 0.05), (0.95, 0.3), (0.5, 0.7), (0.02, 0.98), (0.5, 0.95),
          (0.98, 1)),),
    ),
    3: (
        (((0, 0.12), (0.4, 0), (0.85, 0.1), (0.85, 0.35), (0.35, 0.47), (0.9, 0.6), (0.95, 0.85),
          (0.5, 1), (0, 0.9)),),
        (((0.05, 0), (0.9, 0), (0.4, 0.42), (0.85, 0.5), (0.95, 0.8), (0.55, 1), (0, 0.92)),),
    ),
    4: (
        (((0.3, 0), (0, 0.6), (1, 0.6)), ((0.75, 0.25), (0.7, 1))),
        (((0.1, 0), (0.05, 0.5), (0.95, 0.5)), ((0.9, 0), (0.85, 1))),
        (((0.7, 1), (0.7, 0), (0, 0.65), (1, 0.65)),),
        (((0.05, 0.05), (0, 0.45), (0.35, 0.58), (0.8, 0.45)), ((0.85, 0), (0.8, 1))),
    ),
    5: (
        (((0.9, 0), (0.15, 0), (0.1, 0.42), (0.55, 0.37), (0.95, 0.55), (0.9, 0.88), (0.45, 1),
          (0, 0.92)),),
        (((0.2, 0.02), (0.12, 0.42), (0.6, 0.4), (0.92, 0.65), (0.7, 0.95), (0, 0.97)),
         ((0.18, 0.02), (1, 0.0))),
        (((0.85, 0.02), (0.3, 0.05), (0.15, 0.38), (0.6, 0.5), (0.75, 0.78), (0.45, 1),
          (0, 0.9)),),
    ),
    6: (
        (((0.8, 0), (0.3, 0.25), (0.02, 0.65), (0.2, 0.97), (0.65, 1), (0.92, 0.75), (0.65, 0.52),
          (0.25, 0.6), (0.05, 0.8)),),
        (((0.35, 0), (0.05, 0.45), (0.05, 0.85), (0.4, 1), (0.85, 0.9), (0.85, 0.65), (0.45, 0.55),
          (0.08, 0.72)),),
    ),
    7: (
        (((0, 0.02), (0.95, 0), (0.55, 0.5), (0.35, 1)),),
        (((0, 0.02), (0.95, 0), (0.35, 1)), ((0.25, 0.5), (0.9, 0.48))),
        (((0, 0.18), (0.03, 0), (0.9, 0.05), (0.5, 0.5), (0.4, 1)),),
        (((0, 0.05), (0.45, 0.12), (0.98, 0), (0.6, 0.45), (0.5, 1)), ((0.3, 0.52), (0.85, 0.5))),
    ),
    8: (
        (((0.85, 0.12), (0.45, 0), (0.1, 0.2), (0.4, 0.45), (0.85, 0.65), (0.85, 0.9), (0.45, 1),
          (0.08, 0.85), (0.2, 0.6), (0.7, 0.38), (0.85, 0.15)),),
        (((0.5, 0), (0.15, 0.1), (0.15, 0.35), (0.5, 0.47), (0.85, 0.35), (0.85, 0.1), (0.5, 0)),
         ((0.5, 0.47), (0.05, 0.6), (0.05, 0.9), (0.5, 1), (0.95, 0.9), (0.95, 0.6), (0.5, 0.47))),
    ),
    9: (
        (((0.85, 0.15), (0.5, 0), (0.1, 0.15), (0.1, 0.42), (0.5, 0.52), (0.85, 0.3), (0.85, 0.1),
          (0.85, 0.6), (0.75, 1)),),
        (((0.85, 0.25), (0.55, 0), (0.1, 0.12), (0.08, 0.4), (0.5, 0.5), (0.85, 0.2), (0.8, 0.75),
          (0.5, 1), (0.1, 0.92)),),
        (((0.8, 0.3), (0.45, 0), (0.05, 0.2), (0.3, 0.5), (0.8, 0.25), (0.6, 0.7), (0.3, 1)),),
    ),
}  # fmt: skip
"""The ways to write each digit, among them the crossed 7, the flagged 1 and the open 4."""

LETTERS: dict[str, Glyph] = {
    "A": (((0, 1), (0.5, 0), (1, 1)), ((0.2, 0.62), (0.8, 0.62))),
    "C": (((0.95, 0.2), (0.6, 0), (0.15, 0.2), (0, 0.55), (0.2, 0.9), (0.6, 1), (1, 0.8)),),
    "E": (((0.9, 0), (0, 0), (0, 1), (0.95, 1)), ((0, 0.5), (0.7, 0.5))),
    "F": (((0.95, 0), (0, 0), (0, 1)), ((0, 0.48), (0.7, 0.48))),
    "H": (((0, 0), (0, 1)), ((1, 0), (1, 1)), ((0, 0.5), (1, 0.5))),
    "K": (((0, 0), (0, 1)), ((0.9, 0), (0.05, 0.55), (0.95, 1))),
    "M": (((0, 1), (0.1, 0), (0.5, 0.6), (0.9, 0), (1, 1)),),
    "N": (((0, 1), (0, 0), (1, 1), (1, 0)),),
    "P": (((0, 1), (0, 0), (0.7, 0.02), (0.9, 0.25), (0.65, 0.5), (0, 0.52)),),
    "R": (((0, 1), (0, 0), (0.7, 0.02), (0.85, 0.25), (0.6, 0.48), (0, 0.5), (0.95, 1)),),
    "T": (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1))),
    "V": (((0, 0), (0.5, 1), (1, 0)),),
    "W": (((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0)),),
    "X": (((0, 0), (1, 1)), ((1, 0), (0, 1))),
    "a": (((0.8, 0.15), (0.4, 0), (0, 0.4), (0.1, 0.9), (0.5, 0.95), (0.8, 0.5), (0.8, 0.1),
           (0.82, 0.85), (1.05, 1)),),
    "d": (((0.75, 0.5), (0.4, 0.42), (0, 0.65), (0.2, 1), (0.6, 0.95), (0.78, 0.6), (0.8, 0),
           (0.82, 0.9), (1, 1)),),
    "e": (((0.05, 0.55), (0.9, 0.45), (0.75, 0.1), (0.35, 0.02), (0, 0.5), (0.25, 0.95),
           (0.95, 0.85)),),
    "f": (((0.9, 0.1), (0.6, 0), (0.4, 0.2), (0.4, 1)), ((0, 0.45), (0.85, 0.42))),
    "h": (((0.05, 0), (0, 1)), ((0, 0.7), (0.4, 0.42), (0.75, 0.55), (0.8, 1))),
    "k": (((0.05, 0), (0, 1)), ((0.75, 0.35), (0.05, 0.65), (0.85, 1))),
    "m": (((0, 0), (0, 1)), ((0, 0.4), (0.25, 0), (0.48, 0.3), (0.48, 1)),
          ((0.48, 0.4), (0.75, 0), (1, 0.3), (1, 1))),
    "n": (((0, 0), (0, 1)), ((0, 0.45), (0.45, 0.02), (0.9, 0.25), (0.9, 1))),
    "p": (((0.05, 0), (0, 1)), ((0.03, 0.2), (0.5, 0), (0.9, 0.25), (0.55, 0.55), (0.03, 0.45))),
    "r": (((0.05, 0), (0.05, 1)), ((0.05, 0.45), (0.4, 0.08), (0.9, 0.05))),
    "t": (((0.45, 0), (0.42, 0.85), (0.65, 1), (0.9, 0.88)), ((0, 0.33), (0.9, 0.3))),
    "w": (((0, 0), (0.1, 0.9), (0.35, 1), (0.5, 0.3), (0.65, 1), (0.9, 0.9), (1, 0)),),
    "x": (((0, 0), (1, 1)), ((0.95, 0), (0.05, 1))),
    "phi": (((0.5, 0), (0.5, 1)), ((0.5, 0.25), (0, 0.5), (0.5, 0.75), (1, 0.5), (0.5, 0.25))),
}  # fmt: skip
"""Letters that nobody takes for a digit; o, l, z, s, b, q, g, y and their kin are left out."""

SIGNS: dict[str, Glyph] = {
    "plus": (((0, 0.5), (1, 0.5)), ((0.5, 0), (0.5, 1))),
    "times": (((0, 0), (1, 1)), ((1, 0), (0, 1))),
    "equals": (((0, 0.3), (1, 0.3)), ((0, 0.75), (1, 0.75))),
    "minus": (((0, 0.5), (1, 0.5)),),
    "divide": (((0, 0.5), (1, 0.5)), ((0.5, 0.05), (0.5, 0.1)), ((0.5, 0.9), (0.5, 0.95))),
    "bracket": (((0.6, 0), (0, 0), (0, 1), (0.6, 1)),),
    "bracket close": (((0, 0), (0.6, 0), (0.6, 1), (0, 1)),),
    "paren": (((0.5, 0), (0.05, 0.3), (0.05, 0.7), (0.5, 1)),),
    "paren close": (((0, 0), (0.45, 0.3), (0.45, 0.7), (0, 1)),),
    "corner": (((0, 0), (0, 1), (1, 1)),),
    "corner top left": (((0, 1), (0, 0), (1, 0)),),
    "corner bottom right": (((1, 0), (1, 1), (0, 1)),),
    "tee up": (((0, 1), (1, 1)), ((0.5, 0), (0.5, 1))),
    "tee right": (((0, 0), (0, 1)), ((0, 0.5), (1, 0.5))),
    "tee left": (((1, 0), (1, 1)), ((0, 0.5), (1, 0.5))),
    "hash": (((0.3, 0), (0.25, 1)), ((0.75, 0), (0.7, 1)), ((0, 0.33), (1, 0.3)),
             ((0, 0.7), (1, 0.67))),
    "root": (((0, 0.6), (0.15, 0.5), (0.35, 1), (0.55, 0), (1.3, 0)),),
    "check": (((0, 0.55), (0.35, 1), (1, 0)),),
    "tilde": (((0, 0.6), (0.25, 0.35), (0.6, 0.65), (1, 0.4)),),
    "arrow": (((0, 0.5), (1, 0.5)), ((0.7, 0.2), (1, 0.5), (0.7, 0.8))),
    "less": (((1, 0), (0, 0.5), (1, 1)),),
    "greater": (((0, 0), (1, 0.5), (0, 1)),),
    "star": (((0, 0.5), (1, 0.5)), ((0.25, 0), (0.75, 1)), ((0.75, 0), (0.25, 1))),
    "frame": (((0, 0), (1, 0), (1, 1), (0, 1), (0, 0)),),
    "two rails": (((0.1, 0), (0.1, 1)), ((0.9, 0), (0.9, 1))),
    "pi": (((0, 0.05), (1, 0)), ((0.25, 0.05), (0.2, 1)), ((0.75, 0.03), (0.75, 0.9), (0.95, 1))),
}  # fmt: skip
"""Operators, brackets, corners of grids, marks: none of them a digit. No lone vertical stroke: a
1 is one."""

_WIDE = frozenset(("minus", "equals", "tilde", "arrow", "frame"))
"""Signs that are never narrow: a narrow frame would be an angular 0."""


@dataclass(frozen=True, slots=True)
class Hand:
    """How somebody writes: `shake` of the points, `slant` in radians, `round_` corner cuttings,
    `aspect` width over height, `width` of the pen, all against a glyph's height of 1."""

    shake: float
    slant: float
    round_: int
    aspect: float
    width: float

    @staticmethod
    def random(rng: np.random.Generator) -> Hand:
        """One writer's habits."""
        return Hand(
            shake=float(rng.uniform(0.005, 0.045)),
            slant=float(np.clip(rng.normal(0.08, 0.16), -0.35, 0.5)),
            round_=int(rng.integers(0, 4)),
            aspect=float(rng.uniform(0.42, 0.9)),
            width=float(np.exp(rng.uniform(np.log(0.035), np.log(0.2)))),
        )


def _chaikin(points: Points, times: int) -> Points:
    """Cuts each corner `times` times; the ends stay."""
    for _ in range(times):
        if len(points) < 3:
            return points
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut[1:-1], points[-1:]])
    return points


def draw(glyph: Glyph, hand: Hand, rng: np.random.Generator, height: int = 64) -> Image:
    """The glyph as uint8 ink (255 on 0), `height` pixels high and as wide as it needs, with a
    margin for the pen and the shake. Deterministic for a generator's state."""
    turn = rng.normal(0, 0.05)
    bend = hand.slant + rng.normal(0, 0.03)
    aspect = hand.aspect * float(rng.uniform(0.85, 1.18))
    strokes: list[Points] = []
    for stroke in glyph:
        points: Points = np.array(stroke, np.float64)
        points = points + rng.normal(0, hand.shake, points.shape)
        points = _chaikin(points, hand.round_) - (0.5, 0.5)
        points[:, 0] *= aspect
        points[:, 0] -= np.tan(bend) * points[:, 1]
        c, s = np.cos(turn), np.sin(turn)
        strokes.append(points @ np.array([[c, s], [-s, c]]))
    pen = max(1, round(hand.width * height * float(rng.uniform(0.9, 1.1))))
    every = np.concatenate(strokes) * height
    low = every.min(axis=0) - pen - 2
    size = np.ceil(every.max(axis=0) + pen + 2 - low).astype(int)
    canvas = np.zeros((max(3, size[1]), max(3, size[0])), np.uint8)
    lines = [
        np.round((s * height - low) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        for s in strokes
    ]
    for line in lines:
        cv2.polylines(canvas, [line], False, 255, pen, cv2.LINE_AA, _SHIFT)
    return canvas


def digit(value: int, hand: Hand, rng: np.random.Generator, height: int = 64) -> Image:
    """A digit in one of its styles, as `draw` gives it."""
    styles = DIGITS[value]
    return draw(styles[int(rng.integers(len(styles)))], hand, rng, height)


def other(hand: Hand, rng: np.random.Generator, height: int = 64) -> tuple[str, Image]:
    """A letter or sign: its name and its ink."""
    pool = LETTERS if rng.random() < 0.5 else SIGNS
    name = sorted(pool)[int(rng.integers(len(pool)))]
    wide = pool is SIGNS and (name in _WIDE or rng.random() < 0.5)
    stretched = Hand(
        shake=hand.shake,
        slant=hand.slant * (0.4 if pool is SIGNS else 1.0),
        round_=0 if pool is SIGNS and rng.random() < 0.6 else hand.round_,
        aspect=float(rng.uniform(0.8, 1.5)) if wide else hand.aspect,
        width=hand.width,
    )
    return name, draw(pool[name], stretched, rng, height)
