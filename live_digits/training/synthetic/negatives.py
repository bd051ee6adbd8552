"""Crops that are not a digit, made from digits and from drawn strokes.

Each goes through the same normalisation as the live crops. What somebody could take for a digit is
left out by construction: a lone upright stroke is a 1, half an 8 is a 0 or a 3, half a 9 is a 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from live_digits.core.types import CROP_SIZE, Image
from live_digits.training.synthetic import strokes
from live_digits.training.synthetic.glyphs import Alphabet, Glyphs, any_digit, any_other
from live_digits.vision.mnist_crop import normalise

_CUTS: dict[int, str] = {
    0: "tb", 2: "bl", 3: "tbl", 4: "l", 5: "tl", 6: "r", 7: "l", 8: "l", 9: "l",
}  # fmt: skip
"""The halves (top, bottom, left, right) of a digit that are no other digit."""

_HEIGHT = 64
_OF_FONTS = 0.6
"""Share of the letters and signs that come from fonts, where there are some."""
_LEAST = 0.05
"""Mean ink of the 10×10 pixels that a crop must at least fill; below it the crop is empty."""

Maker = Callable[[np.random.Generator, Glyphs], Image]


def _tight(ink: Image) -> Image:
    """The smallest rectangle that holds the ink (at least 1×1)."""
    ys, xs = np.nonzero(ink > 40)
    if len(ys) == 0:
        return ink[:1, :1]
    box = ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    return np.array(box, np.uint8)


def _half(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A part of one digit, 35 to 55 % of its height or width."""
    while True:
        i = int(rng.integers(len(glyphs.crops)))
        sides = _CUTS.get(int(glyphs.labels[i]))
        if sides:
            break
    ink = cv2.resize(_tight(glyphs.crops[i]), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    h, w = ink.shape
    share = float(rng.uniform(0.35, 0.55))
    side = sides[int(rng.integers(len(sides)))]
    rows, columns = max(2, round(h * share)), max(2, round(w * share))
    parts = {
        "t": ink[:rows],
        "b": ink[h - rows :],
        "l": ink[:, :columns],
        "r": ink[:, w - columns :],
    }
    return np.array(parts[side], np.uint8)


def _drawn_or_real(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A tight digit, 64 pixels high."""
    if rng.random() < 0.25:
        hand = strokes.Hand.random(rng)
        ink = _tight(strokes.digit(int(rng.integers(10)), hand, rng, _HEIGHT))
    else:
        ink = _tight(glyphs.crops[int(rng.integers(len(glyphs.crops)))])
    scale = _HEIGHT / ink.shape[0]
    return np.asarray(
        cv2.resize(
            ink, (max(2, round(ink.shape[1] * scale)), _HEIGHT), interpolation=cv2.INTER_CUBIC
        )
    )


def _several(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """Two or three digits, or one and the half of its neighbour, touching or nearly, in a row."""
    count = 2 if rng.random() < 0.8 else 3
    parts = []
    for _ in range(count):
        ink = _drawn_or_real(rng, glyphs)
        scale = float(rng.uniform(0.75, 1.0))
        parts.append(cv2.resize(ink, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    if rng.random() < 0.3:
        keep = max(3, round(parts[0].shape[1] * float(rng.uniform(0.45, 0.7))))
        parts[0] = parts[0][:, -keep:] if rng.random() < 0.5 else parts[0][:, :keep]
    gap = int(rng.integers(-8, 14))
    canvas = np.zeros((_HEIGHT + 16, sum(p.shape[1] for p in parts) + 60), np.uint8)
    x = 20
    for p in parts:
        y = int(rng.integers(0, canvas.shape[0] - p.shape[0] + 1))
        spot = canvas[y : y + p.shape[0], x : x + p.shape[1]]
        np.maximum(spot, p[:, : spot.shape[1]], out=spot)
        x = max(0, x + p.shape[1] + gap)
    return _tight(canvas)


def _stacked(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A digit with part of the line above or below, or two digits one over the other."""
    a, b = _drawn_or_real(rng, glyphs), _drawn_or_real(rng, glyphs)
    if rng.random() < 0.5:
        keep = round(b.shape[0] * float(rng.uniform(0.35, 0.8)))
        b = b[:keep] if rng.random() < 0.5 else b[-keep:]
    gap = int(rng.integers(0, 16))
    wide = max(a.shape[1], b.shape[1]) + 20
    canvas = np.zeros((a.shape[0] + b.shape[0] + gap, wide), np.uint8)
    y = 0
    for p in (a, b) if rng.random() < 0.5 else (b, a):
        x = int(rng.integers(0, wide - p.shape[1] + 1))
        canvas[y : y + p.shape[0], x : x + p.shape[1]] = p
        y += p.shape[0] + gap
    return _tight(canvas)


def _sign(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A letter, operator, bracket or corner."""
    if glyphs.alphabet and rng.random() < _OF_FONTS:
        return any_other(glyphs.alphabet, rng, _HEIGHT)
    return strokes.other(strokes.Hand.random(rng), rng, _HEIGHT)[1]


def _bar(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A lying line or frame edge, up to 35 degrees off level, at times with a bit hanging on."""
    del glyphs
    length, width = int(rng.integers(30, 140)), int(rng.integers(2, 12))
    angle = np.deg2rad(float(rng.uniform(-35, 35)) * rng.random())
    canvas = np.zeros((180, 180), np.uint8)
    step = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    a, b = np.round(90 - step).astype(int), np.round(90 + step).astype(int)
    cv2.line(canvas, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 255, width, cv2.LINE_AA)
    if rng.random() < 0.3:
        x = int(rng.integers(min(a[0], b[0]), max(a[0], b[0]) + 1))
        cv2.line(canvas, (x, 90), (x, 90 + int(rng.integers(-12, 13))), 255, width, cv2.LINE_AA)
    return _tight(canvas)


def _blot(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A dot, a blot or specks: an uneven filled shape, about as wide as high."""
    del glyphs
    canvas = np.zeros((96, 96), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 12))))
        radius = float(rng.uniform(8, 22)) * rng.uniform(0.7, 1.3, len(turns))
        at = rng.uniform(36, 60, 2)
        shape = (
            at
            + np.stack([np.cos(turns), np.sin(turns) * rng.uniform(0.6, 1.1)], 1)
            * (radius[:, None])
        )
        cv2.fillPoly(canvas, [np.round(shape).astype(np.int32)], 255, cv2.LINE_AA)
    return _tight(canvas)


def _scribble(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """A pen wandering about, crossing itself."""
    del glyphs
    points = np.cumsum(rng.normal(0, 1, (int(rng.integers(8, 24)), 2)), axis=0)
    span = np.ptp(points, axis=0) + 1e-3
    points = (points - points.min(axis=0)) / span
    glyph = (tuple((float(x), float(y)) for x, y in points),)
    return strokes.draw(glyph, strokes.Hand.random(rng), rng, _HEIGHT)


def _noise(rng: np.random.Generator, glyphs: Glyphs) -> Image:
    """Grain of paper or sensor that a threshold has torn into patches."""
    del glyphs
    grain = rng.normal(0, 1, (64, 64)).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.8, 5))))
    cut = float(np.quantile(soft, rng.uniform(0.5, 0.9)))
    return np.where(soft > cut, 255, 0).astype(np.uint8)


_MAKERS: tuple[tuple[float, Maker], ...] = (
    (0.08, _half),
    (0.26, _several),
    (0.06, _stacked),
    (0.34, _sign),
    (0.06, _bar),
    (0.03, _blot),
    (0.06, _scribble),
    (0.03, _noise),
)


def negatives(count: int, glyphs: Glyphs, rng: np.random.Generator) -> Image:
    """`count` crops that are not a digit, uint8 count×28×28, made from digits, from drawn strokes
    and, where there are fonts, from their letters. Deterministic for a generator."""
    shares = np.array([share for share, _ in _MAKERS])
    picks = rng.choice(len(_MAKERS), size=count, p=shares / shares.sum())
    out = np.zeros((count, CROP_SIZE, CROP_SIZE), np.uint8)
    for i, pick in enumerate(picks):
        while True:
            crop = normalise(_MAKERS[pick][1](rng, glyphs))
            if crop.sum() > _LEAST * 255 * 100:
                break
        out[i] = crop
    return out


def drawn_digits(count: int, rng: np.random.Generator) -> tuple[Image, Image]:
    """`count` digits drawn from strokes and normalised: crops uint8 count×28×28 and labels."""
    values = [int(v) for v in rng.integers(0, 10, count)]
    return _normalised(
        (strokes.digit(v, strokes.Hand.random(rng), rng, _HEIGHT), v) for v in values
    )


def font_digits(count: int, alphabet: Alphabet, rng: np.random.Generator) -> tuple[Image, Image]:
    """`count` digits of fonts, as `drawn_digits`."""
    return _normalised(any_digit(alphabet, rng, _HEIGHT) for _ in range(count))


def _normalised(digits: Iterable[tuple[Image, int]]) -> tuple[Image, Image]:
    """Inks and their labels as crops uint8 N×28×28 and labels uint8 N."""
    pairs = [(normalise(ink), label) for ink, label in digits]
    crops = np.array([crop for crop, _ in pairs], np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE)
    return crops, np.array([label for _, label in pairs], np.uint8)
