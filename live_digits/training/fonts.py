"""Fonts as training data: more hands than the scanned sets have, and real letters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.errors import LiveDigitsError, MissingExtraError
from live_digits.training.glyphs import SIDE, Alphabet
from live_digits.types import Image

SUFFIXES = (".ttf", ".otf", ".woff")
DIGITS = "0123456789"
OTHERS = "ACEFHKMNPRTVWXadefhkmnprtwx+×÷=#&%@*€$[]<>"
"""Characters that nobody takes for a digit: o, l, I, z, s, b, q, g, y, round brackets and their kin
are left out."""

_POINTS = 160
"""Size at which a font is drawn, pixels."""
_INNER = SIDE * 20 // 28
_LEAST = 4
"""Pixels; a smaller glyph is empty."""
_NOWHERE = "\U000f1234"
"""A character of private use, for which a font draws what it draws for those that it lacks."""


class FontError(LiveDigitsError):
    """A folder of fonts that holds none that can be used."""


@dataclass(frozen=True, slots=True)
class Face:
    """One font: its file's name, ten digits uint8 10×84×84 (255 on 0), the `others` uint8 M×84×84,
    and how high each of these stands against the digits."""

    name: str
    digits: Image
    others: tuple[Image, ...]
    heights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Fonts:
    """The fonts of a folder in the order of their names, and the SHA-256 of all their files."""

    faces: tuple[Face, ...]
    sha256: str

    def split(self, every: int) -> tuple[Alphabet, Alphabet]:
        """All but each `every`-th font, and those."""
        kept = [f for i, f in enumerate(self.faces) if i % every != every - 1]
        held = [f for i, f in enumerate(self.faces) if i % every == every - 1]
        return alphabet(kept or held), alphabet(held or kept)


def alphabet(faces: Sequence[Face]) -> Alphabet:
    """The glyphs of some fonts together."""
    return Alphabet(
        np.concatenate([f.digits for f in faces]),
        np.tile(np.arange(len(DIGITS), dtype=np.uint8), len(faces)),
        np.stack([other for f in faces for other in f.others]),
        np.array([h for f in faces for h in f.heights], np.float32),
        np.array([i for i, f in enumerate(faces) for _ in f.others], np.int64),
    )


def load(folder: Path, say: Callable[[str], None] | None = None) -> Fonts:
    """Draws every font of a folder that has all ten digits. One that cannot be read or lacks one is
    named by `say` and left out. Raises FontError where none is left, MissingExtraError without
    Pillow."""
    faces: list[Face] = []
    total = hashlib.sha256()
    for file in files_of(folder):
        try:
            faces.append(_face(file.name, font(file, _POINTS)))
        except (OSError, FontError) as e:
            if say:
                say(f"{file.name}: left out, {e}")
            continue
        total.update(file.read_bytes())
    if not faces:
        kinds = ", ".join(SUFFIXES)
        raise FontError(f"{folder} holds no font with digits and letters ({kinds}): name another")
    return Fonts(tuple(faces), total.hexdigest())


def files_of(folder: Path) -> list[Path]:
    """The font files in a folder and below, in the order of their names."""
    fonts = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    return sorted(fonts, key=lambda p: p.name)


def font(file: Path | None, points: int) -> Any:
    """Pillow's font of a file, or its own one. Raises OSError for a file that is none,
    MissingExtraError without Pillow."""
    try:
        from PIL import ImageFont
    except ImportError as e:
        raise MissingExtraError("drawing fonts", "train") from e
    return ImageFont.truetype(str(file), points) if file else ImageFont.load_default(points)


def _face(name: str, font: Any) -> Face:
    """A font's glyphs. Raises FontError that says what it lacks."""
    missing = _ink(font, _NOWHERE)

    def ink_of(character: str) -> Image | None:
        ink = _ink(font, character)
        same = ink is not None and missing is not None and np.array_equal(ink, missing)
        return None if same else ink

    ten = [ink for ink in map(ink_of, DIGITS) if ink is not None]
    if len({ink.tobytes() for ink in ten}) < len(DIGITS):
        raise FontError("it lacks digits")
    tall = float(np.median([ink.shape[0] for ink in ten]))
    others = [ink for ink in map(ink_of, OTHERS) if ink is not None]
    if not others:
        raise FontError("it lacks letters")
    return Face(
        name,
        np.stack([_square(ink) for ink in ten]),
        tuple(_square(ink) for ink in others),
        tuple(ink.shape[0] / tall for ink in others),
    )


def _ink(font: Any, character: str) -> Image | None:
    """A glyph's tight ink, uint8 255 on 0, or None where there is none to speak of."""
    mask = font.getmask(character, mode="L")
    width, height = mask.size
    if width < _LEAST or height < _LEAST:
        return None
    ink = np.frombuffer(bytes(mask), np.uint8).reshape(height, width)
    x, y, w, h = cv2.boundingRect((ink > 40).astype(np.uint8))
    return np.array(ink[y : y + h, x : x + w]) if w >= _LEAST and h >= _LEAST else None


def _square(ink: Image) -> Image:
    """The ink in the middle of a square, in 20/28 of its side."""
    h, w = ink.shape
    scale = _INNER / max(h, w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    out = np.zeros((SIDE, SIDE), np.uint8)
    y, x = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    small = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
    out[y : y + size[1], x : x + size[0]] = small
    return out
