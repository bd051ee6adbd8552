"""Fonts as training data: more hands than the scanned sets have, and real letters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.core.errors import LiveDigitsError, MissingExtraError
from live_digits.core.types import Image
from live_digits.training.synthetic.glyphs import Alphabet, square_of

SUFFIXES = (".ttf", ".otf", ".woff")
DIGITS = "0123456789"
ALONE = "CEFHKMNRTVWXadefhkmnrtwx+×÷=#&%@*€$[]<>"
"""Characters that nobody takes for a digit: o, l, I, z, s, b, q, g, y, round brackets and their kin
are left out."""
OTHERS = ALONE + "ABDGIJLOPQSUYZbcgijlopqsuvyz-().,:;?!/'\"äöüéñ"
"""All characters that are written with."""

_POINTS = 160
"""Size at which a font is drawn, pixels."""
_FLATTEST = 0.62
"""A glyph flatter than this is drawn by its width, as `glyphs.redrawn` does."""
_LEAST = 4
"""Pixels; a smaller glyph is empty."""
_NOWHERE = "\U000f1234"
"""A character of private use, for which a font draws what it draws for those that it lacks."""


class FontError(LiveDigitsError):
    """A folder of fonts that holds none that can be used."""


@dataclass(frozen=True, slots=True)
class Face:
    """One font: its file's name, ten digits uint8 10×84×84 (255 on 0), the `others` uint8 M×84×84,
    how high each of these stands against the digits, how far below the line, and its character."""

    name: str
    digits: Image
    others: tuple[Image, ...]
    heights: tuple[float, ...]
    drops: tuple[float, ...]
    names: str


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
        np.array([d for f in faces for d in f.drops], np.float32),
        np.array([i for i, f in enumerate(faces) for _ in f.others], np.int64),
        tuple(name for f in faces for name in f.names),
        np.array([name in ALONE for f in faces for name in f.names], bool),
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

    def ink_of(character: str) -> tuple[Image, float] | None:
        found = _ink(font, character)
        if found and missing and np.array_equal(found[0], missing[0]):
            return None
        return found

    ten = [found[0] for found in map(ink_of, DIGITS) if found]
    if len({ink.tobytes() for ink in ten}) < len(DIGITS):
        raise FontError("it lacks digits")
    tall = float(np.median([ink.shape[0] for ink in ten]))
    others = [(c, *found) for c in OTHERS if (found := ink_of(c))]
    if not any(character.isalpha() for character, _, _ in others):
        raise FontError("it lacks letters")
    return Face(
        name,
        np.stack([square_of(ink) for ink in ten]),
        tuple(square_of(ink) for _, ink, _ in others),
        tuple(max(ink.shape[0], _FLATTEST * ink.shape[1]) / tall for _, ink, _ in others),
        tuple(drop / tall for _, _, drop in others),
        "".join(character for character, _, _ in others),
    )


def _ink(font: Any, character: str) -> tuple[Image, float] | None:
    """A glyph's tight ink, uint8 255 on 0, and how far it reaches below the line, pixels; None
    where there is no ink to speak of."""
    mask, offset = font.getmask2(character, mode="L", anchor="ls")
    width, height = mask.size
    if width < _LEAST or height < _LEAST:
        return None
    ink = np.frombuffer(bytes(mask), np.uint8).reshape(height, width)
    x, y, w, h = cv2.boundingRect((ink > 40).astype(np.uint8))
    if w < _LEAST or h < _LEAST:
        return None
    return np.array(ink[y : y + h, x : x + w]), float(offset[1] + y + h)
