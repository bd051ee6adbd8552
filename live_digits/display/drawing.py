"""What all drawing shares: sizes that follow the picture, text, dark plates under it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from live_digits.core.sanitize import sanitize
from live_digits.core.types import Image

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE = 720
"""Height in pixels at which the sizes below hold."""
SMALLEST = 0.62
TEXT = 0.52
TINY = 0.1
"""No text is made smaller than this to fit."""
PAD = 8
PLATE = (38, 34, 30)
_PLATE_SHARE = 0.72
WHITE = (245, 245, 245)
SOFT = (196, 190, 184)


def unit_of(image: Image) -> float:
    """How large to draw: 1 at 720 lines."""
    return float(max(SMALLEST, image.shape[0] / _REFERENCE))


def text_size(text: str, size: float) -> tuple[int, int]:
    """Width and height of a text in pixels."""
    (w, h), _ = cv2.getTextSize(sanitize(text), _FONT, size, line_thickness(size))
    return int(w), int(h)


def line_thickness(size: float) -> int:
    """How thick the strokes of a text are, pixels."""
    return max(1, round(size * 1.4))


def draw_text(image: Image, text: str, x: int, y: int, size: float, colour: Any = WHITE) -> None:
    """Writes a text whose lower left corner is at x, y."""
    cv2.putText(
        image, sanitize(text), (x, y), _FONT, size, colour, line_thickness(size), cv2.LINE_AA
    )


def fill_panel(image: Image, x: int, y: int, w: int, h: int, colour: Any = PLATE) -> None:
    """Darkens a rectangle, what lies under it shines through."""
    part = image[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if part.size:
        ground = np.full_like(part, colour)
        cv2.addWeighted(ground, _PLATE_SHARE, part, 1 - _PLATE_SHARE, 0, dst=part)


def font_scale_to_fit(text: str, width: float, height: float) -> float:
    """The size at which a text fills a width or a height, pixels, whichever comes first."""
    w, h = text_size(text, 1.0)
    return float(max(TINY, min(width / w, height / h)))


def limit_lines(lines: Sequence[str], most: int) -> list[str]:
    """All lines, or the first `most` and an ellipsis."""
    return list(lines) if len(lines) <= most else [*lines[: max(0, most)], "..."]


def truncate(text: str, size: float, width: int) -> str:
    """The text, or its beginning and an ellipsis where it is wider than `width`."""
    if text_size(text, size)[0] <= width:
        return text
    while text and text_size(f"{text}...", size)[0] > width:
        text = text[:-1]
    return f"{text}..."


def _parts_of(word: str, size: float, width: int) -> Iterator[str]:
    """The word, or parts of it (a long path) no wider than `width`."""
    while len(word) > 1 and text_size(word, size)[0] > width:
        end = len(word) - 1
        while end > 1 and text_size(word[:end], size)[0] > width:
            end -= 1
        yield word[:end]
        word = word[end:]
    yield word


def wrap_text(text: str, size: float, width: int) -> list[str]:
    """The text in lines no wider than `width`."""
    lines: list[str] = []
    for word in (part for w in text.split() for part in _parts_of(w, size, width)):
        if lines and text_size(f"{lines[-1]} {word}", size)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]
