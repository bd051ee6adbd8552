"""The built-in scene: real handwritten digits on a sheet that drifts, tilts and is lit unevenly.

Rendered as it plays, at any size and rate, the same for the same seed; the truth of each moment is
known, for tests and benchmarks. The digits are MNIST test digits (see demo_digits.LICENCE.txt).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image

_DIGITS = Path(__file__).with_name("demo_digits.npz")
_SHEET = 0.92
"""The sheet's share of the frame, each way."""
_PAPER = (226, 234, 238)
_DESK = (58, 74, 92)
_INKS = ((110, 62, 44), (60, 58, 62), (92, 84, 84))
"""BGR: a blue pen, a black pen, a soft pencil."""
_DRIFT = 0.018
"""The sheet's way to either side, as a share of the frame."""
_TILT = 2.6
"""Degrees to either side."""
_PERIODS = (11.0, 7.0, 13.0)
"""Seconds of one drift across, one up and down, one tilt."""
_TIGHT = 0.5
"""Ink darker than this share belongs to a digit's box."""


@cache
def digit_pictures() -> tuple[Image, Image]:
    """All digits that ship: uint8 N×28×28 and labels N."""
    with np.load(_DIGITS, allow_pickle=False) as z:
        return z["digits"], z["labels"]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A digit on the sheet: its outline's points, sheet coordinates, float64 N×2."""

    digit: int
    line: int
    space: bool
    outline: npt.NDArray[np.float64]


class DemoScene:
    """One scene. `render` may be called for any time in any order, from one thread at a time."""

    def __init__(self, width: int, height: int, seed: int = 0, digits: int = 16) -> None:
        """A scene of width × height pixels (at least 16 each) with `digits` digits (1…640)."""
        if width < 16 or height < 16:
            raise ValueError(f"a demo of {width}×{height} pixels: at least 16×16 is needed")
        if not 1 <= digits <= 640:
            raise ValueError(f"a demo of {digits} digits: 1 to 640 are possible")
        self.width, self.height = width, height
        rng = np.random.default_rng(seed)
        self._phase = rng.uniform(0, 2 * math.pi, 3)
        self._sheet, self._placed = _draw_sheet(width, height, digits, rng)
        self._light = _light(width, height, rng)

    def render(self, t: float) -> Image:
        """The frame at `t` seconds: a new uint8 BGR H×W×3."""
        frame = cv2.warpAffine(
            self._sheet, self._motion(t), (self.width, self.height),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_DESK,
        )  # fmt: skip
        return np.asarray(cv2.multiply(frame, self._light, dst=frame, scale=1 / 255), np.uint8)

    def truth(self, t: float) -> tuple[tuple[Box, int], ...]:
        """Each digit's tight box in the frame at `t`, and which digit it is, in reading order."""
        m = self._motion(t)
        found = []
        for placed in self._placed:
            points = placed.outline @ m[:, :2].T + m[:, 2]
            x0, y0 = np.floor(points.min(axis=0)).astype(int)
            x1, y1 = np.ceil(points.max(axis=0)).astype(int) + 1
            found.append((Box(int(x0), int(y0), int(x1 - x0), int(y1 - y0)), placed.digit))
        return tuple(found)

    def lines(self) -> tuple[str, ...]:
        """The text lines, numbers in a line parted by spaces."""
        text: dict[int, str] = {}
        for p in self._placed:
            text[p.line] = text.get(p.line, "") + (" " if p.space else "") + str(p.digit)
        return tuple(text[i] for i in sorted(text))

    def _motion(self, t: float) -> npt.NDArray[np.float64]:
        """Sheet to frame, 2×3."""
        x, y, turn = (
            math.sin(2 * math.pi * t / period + phase)
            for period, phase in zip(_PERIODS, self._phase, strict=True)
        )
        centre = self.width / 2, self.height / 2
        m: npt.NDArray[np.float64] = np.asarray(
            cv2.getRotationMatrix2D(centre, _TILT * turn, 1.0), np.float64
        )
        m[0, 2] += _DRIFT * self.width * x
        m[1, 2] += _DRIFT * self.height * y
        return m


def _light(width: int, height: int, rng: np.random.Generator) -> Image:
    """Uneven light, uint8 H×W×3: a lamp to one side, a soft shadow across a corner."""
    x, y = np.meshgrid(np.linspace(0, 1, 96), np.linspace(0, 1, 54))
    lamp_x, lamp_y = rng.uniform(0.15, 0.85), rng.uniform(0.0, 0.4)
    fall = 1.0 - 0.34 * np.hypot(x - lamp_x, (y - lamp_y) * height / width)
    edge = 1 / (1 + np.exp(-(x + 0.8 * y - rng.uniform(1.1, 1.4)) * 14))
    small = np.clip(255 * fall * (1 - 0.3 * edge), 0, 255).astype(np.uint8)
    full = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.merge([full, full, full]), np.uint8)


def _layout(digits: int, rng: np.random.Generator) -> list[list[int]]:
    """How many digits each number has, a list a line."""
    columns = max(1, min(digits, math.ceil(math.sqrt(digits * 2.2))))
    rows: list[list[int]] = []
    left = digits
    while left:
        row = min(columns, left)
        left -= row
        numbers: list[int] = []
        while row:
            n = min(row, int(rng.integers(2, 5)))
            if row - n == 1:
                n += 1
            numbers.append(n)
            row -= n
        rows.append(numbers)
    return rows


def _draw_sheet(
    width: int, height: int, digits: int, rng: np.random.Generator
) -> tuple[Image, tuple[_Placed, ...]]:
    """The sheet as it lies unmoved in the frame, uint8 BGR H×W×3, and what stands on it."""
    sheet = np.full((height, width, 3), _DESK, np.uint8)
    mx, my = round(width * (1 - _SHEET) / 2), round(height * (1 - _SHEET) / 2)
    sheet[my : height - my, mx : width - mx] = _PAPER
    grain = rng.normal(0, 1.6, (height // 2 + 1, width // 2 + 1)).astype(np.float32)
    fine = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR)
    sheet = np.clip(sheet + np.asarray(fine)[..., None], 0, 255).astype(np.uint8)
    rows = _layout(digits, rng)
    widest = max(sum(row) + 0.9 * (len(row) - 1) for row in rows)
    inner_w, inner_h = width * (_SHEET - 0.12), height * (_SHEET - 0.16)
    cell = min(inner_w / widest, inner_h / (len(rows) * 1.45) / 1.1)
    placed: list[_Placed] = []
    top = (height - len(rows) * cell * 1.5) / 2
    for line, row in enumerate(rows):
        ink = _INKS[int(rng.integers(len(_INKS)))]
        x = (width - widest * cell) / 2
        y = top + (line + 0.5) * cell * 1.5
        for number, count in enumerate(row):
            for i in range(count):
                at = x + cell / 2, y + float(rng.uniform(-0.05, 0.05)) * cell
                space = i == 0 and number > 0
                placed.append(_place(sheet, at, cell, ink, line, space, rng))
                x += cell
            x += 0.9 * cell
    return sheet, tuple(placed)


def _place(
    sheet: Image, at: tuple[float, float], cell: float, ink: tuple[int, int, int],
    line: int, space: bool, rng: np.random.Generator,
) -> _Placed:  # fmt: skip
    """Draws one digit, chosen at random, centred at `at`, about `cell` pixels high."""
    images, labels = digit_pictures()
    pick = int(rng.integers(len(labels)))
    side = max(12, round(cell * 1.25))
    alpha = _smooth(images[pick], side)
    x0, y0 = round(at[0] - side / 2), round(at[1] - side / 2)
    h, w = sheet.shape[:2]
    left, top = max(0, -x0), max(0, -y0)
    right, bottom = min(side, w - x0), min(side, h - y0)
    part = sheet[y0 + top : y0 + bottom, x0 + left : x0 + right]
    a = alpha[top:bottom, left:right, None]
    part[:] = np.rint(part * (1 - a) + np.array(ink, np.float32) * a).astype(np.uint8)
    # At a few pixels a thin stroke is nowhere that dark.
    mask = np.where(alpha >= min(_TIGHT, float(alpha.max()) / 2), 255, 0).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = np.concatenate([c.reshape(-1, 2) for c in contours]).astype(np.float64)
    return _Placed(int(labels[pick]), line, space, outline + np.array((x0, y0)))


def _smooth(picture: Image, side: int) -> Floats:
    """A 28×28 digit enlarged to side×side with smooth strokes: float32 0…1."""
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(large / 255, (0, 0), max(0.5, side / 56)), np.float32)
    steep = np.clip((soft - 0.34) * max(2.2, side / 20) + 0.5, 0, 1)
    return np.asarray(steep * 0.92, np.float32)
