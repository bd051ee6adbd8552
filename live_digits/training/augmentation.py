"""Random changes of 28×28 crops: what pens, hands, cameras and thresholds do to a digit.

Everything is drawn from the generator that is handed in, so a batch is the same for the same seed
whatever thread makes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from live_digits.core.types import CROP_SIZE, Floats, Image

_CENTRE = (CROP_SIZE - 1) / 2
_AXIS = np.arange(CROP_SIZE) - _CENTRE
_SQUARE = np.ones((2, 2), np.uint8)
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True, slots=True)
class Strength:
    """How far the changes go. Angles in degrees, lengths in crop pixels, the rest are shares."""

    rotation: float = 12.0
    shear: float = 0.22
    scale: float = 0.13
    shift: float = 2.0
    elastic: float = 0.9
    thickness: float = 0.3
    blur: float = 0.25
    contrast: float = 0.5
    faint: float = 0.15
    hole: float = 0.06
    salt: float = 0.06
    ruling: float = 0.08
    untouched: float = 0.1


def _map(rng: np.random.Generator, s: Strength) -> tuple[Floats, Floats]:
    """Where each pixel of the new crop comes from: a random affine map plus a smooth wobble."""
    a = np.deg2rad(rng.uniform(-s.rotation, s.rotation))
    shear = rng.uniform(-s.shear, s.shear)
    both = rng.uniform(1 - s.scale, 1 + s.scale)
    sx, sy = both * rng.uniform(1 - s.scale, 1 + s.scale), both
    m = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.array([[1, shear], [0, 1]])
    m = m / np.array([[sx, sy]])
    dx, dy = rng.uniform(-s.shift, s.shift, 2) * rng.random()
    x, y = _AXIS - dx, (_AXIS - dy)[:, np.newaxis]
    mx = m[0, 0] * x + m[0, 1] * y + _CENTRE
    my = m[1, 0] * x + m[1, 1] * y + _CENTRE
    wobble = rng.normal(0, s.elastic * rng.random(), (6, 6, 2)).astype(np.float32)
    field = cv2.resize(wobble, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_CUBIC)
    return (mx + field[..., 0]).astype(np.float32), (my + field[..., 1]).astype(np.float32)


def _pen(image: Floats, rng: np.random.Generator, s: Strength) -> Floats:
    """Thinner or thicker strokes; a change that would leave next to nothing is not made."""
    if rng.random() >= s.thickness:
        return image
    kernel = _SQUARE if rng.random() < 0.5 else _CROSS
    thick = rng.random() < 0.5
    changed = cv2.dilate(image, kernel) if thick else cv2.erode(image, kernel)
    if not thick and changed.sum() < 0.35 * image.sum():
        return image
    share = float(rng.uniform(0.3, 1.0))
    return np.asarray((1 - share) * image + share * changed, np.float32)


def _light(image: Floats, rng: np.random.Generator, s: Strength) -> Floats:
    """Blur, contrast, gamma, and a threshold that eats what is faint."""
    if rng.random() < s.blur:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.1)))  # type: ignore[assignment]
    if rng.random() < s.faint:
        floor = float(rng.uniform(0.1, 0.45))
        image = np.clip((image - floor) / (1 - floor), 0, 1)
    if rng.random() < s.contrast:
        image = np.clip(image, 0, 1) ** float(np.exp(rng.uniform(-0.7, 0.5)))
        image = np.clip(image * float(rng.uniform(0.75, 1.5)), 0, 1)
    return np.asarray(image, np.float32)


def _dirt(image: Floats, rng: np.random.Generator, s: Strength) -> Floats:
    """A hole in a stroke, specks, what is left of a ruled line."""
    if rng.random() < s.hole:
        x, y = rng.integers(5, CROP_SIZE - 6, 2)
        w, h = rng.integers(2, 5, 2)
        image[y : y + h, x : x + w] *= rng.uniform(0, 0.5)
    if rng.random() < s.salt:
        spots = rng.integers(0, CROP_SIZE, (int(rng.integers(1, 9)), 2))
        image[spots[:, 0], spots[:, 1]] = rng.uniform(0.2, 1)
    if rng.random() < s.ruling:
        at = int(rng.integers(3, CROP_SIZE - 3))
        start, end = np.sort(rng.integers(0, CROP_SIZE + 1, 2))
        grey = float(rng.uniform(0.15, 0.6))
        line = image[at, start:end] if rng.random() < 0.7 else image[start:end, at]
        np.maximum(line, grey, out=line)
    return image


def augment(crops: Image, rng: np.random.Generator, strength: Strength | None = None) -> Floats:
    """uint8 N×28×28 → float32 N×28×28 in 0…1, each changed at random in its own way."""
    s = strength or Strength()
    out = crops.astype(np.float32) / 255
    for i in range(len(out)):
        if rng.random() < s.untouched:
            continue
        mx, my = _map(rng, s)
        moved = np.asarray(cv2.remap(out[i], mx, my, cv2.INTER_LINEAR), np.float32)
        out[i] = _dirt(_light(_pen(moved, rng, s), rng, s), rng, s)
    return np.asarray(out, np.float32)
