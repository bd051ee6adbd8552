"""What people draw around and between marks: circles, boxes, underlines, strokes, arrows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from live_digits.reading.classes import MARK, SIGN
from live_digits.training.synthetic import strokes
from live_digits.training.synthetic.pens import Pen
from live_digits.training.synthetic.scenes import uniform
from live_digits.training.synthetic.symbols import (
    NOTHING,
    Sheet,
    stroke,
    write_shape,
)

Extent = tuple[float, float, float, float]
"""Where something stands: left, top, right, bottom, pixels of the sheet."""


def draw_around(
    sheet: Sheet, place: Extent, pen: Pen, height: float, shape: str | None = None
) -> None:
    """A ring or a box around something, drawn freely."""
    rng = sheet.rng
    x0, y0, x1, y1 = place
    room = height * rng.uniform(0.15, 0.5, 4)
    x0, y0, x1, y1 = x0 - room[0], y0 - room[1], x1 + room[2], y1 + room[3]
    thick = pen.width * height * uniform(rng, 0.7, 1.1)
    if (shape or rng.choice(["circle", "box"])) == "box":
        name = "rectangle"
        if rng.random() < 0.2 and write_shape(sheet, name, x0, y0, (x1 - x0, y1 - y0), pen, thick):
            return
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], np.float64)
        corners += rng.normal(0, 0.06, corners.shape) * height
        stroke(sheet, corners, thick, pen, sheet.mark(MARK))
        return
    start = uniform(rng, 0, 2 * np.pi)
    turns = np.linspace(start, start + 2 * np.pi * uniform(rng, 0.93, 1.12), 28)
    wide, high = (x1 - x0) * 0.62, (y1 - y0) * 0.62
    drift = np.linspace(1, uniform(rng, 0.92, 1.1), 28)
    ring = np.stack([np.cos(turns) * wide * drift, np.sin(turns) * high * drift], 1)
    ring += np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + rng.normal(0, 0.012, ring.shape) * height
    stroke(sheet, strokes.smoothed(ring, 2), thick, pen, sheet.mark(MARK))


def underline(sheet: Sheet, x0: float, x1: float, y: float, pen: Pen, height: float) -> None:
    """One line under something, or two."""
    rng = sheet.rng
    for i in range(1 if rng.random() < 0.75 else 2):
        xs = np.linspace(x0 - uniform(rng, 0, 0.3) * height, x1 + uniform(rng, 0, 0.3) * height, 5)
        ys = y + i * 0.22 * height + rng.normal(0, 0.025, 5) * height
        stroke(sheet, np.stack([xs, ys], 1), pen.width * height, pen, sheet.mark(MARK))


def strike_through(sheet: Sheet, place: Extent, pen: Pen, height: float) -> None:
    """One line through something."""
    x0, _, x1, y1 = place
    rng = sheet.rng
    ends = np.array([[x0 - 0.15 * height, y1 - uniform(rng, 0.2, 0.7) * height],
                     [x1 + 0.15 * height, y1 - uniform(rng, 0.3, 0.8) * height]])  # fmt: skip
    stroke(sheet, ends, pen.width * height, pen, sheet.mark(MARK))


def cross_out(sheet: Sheet, place: Extent, pen: Pen, height: float) -> None:
    """A scribble that hides something."""
    x0, y0, x1, y1 = place
    rng = sheet.rng
    count = int(rng.integers(10, 24))
    xs = np.linspace(x0 - 0.1 * height, x1 + 0.1 * height, count)
    ys = np.where(np.arange(count) % 2, y0, y1) + rng.normal(0, 0.12, count) * height
    thick = max(pen.width, 0.09) * height
    stroke(sheet, strokes.smoothed(np.stack([xs, ys], 1), 1), thick, pen, sheet.mark(MARK))


def arrow(
    sheet: Sheet, a: tuple[float, float], b: tuple[float, float], pen: Pen, height: float
) -> None:
    """An arrow from a to b."""
    rng = sheet.rng
    start, end = np.array(a, np.float64), np.array(b, np.float64)
    along = end - start
    side = np.array([-along[1], along[0]])
    middle = (start + end) / 2 + side * float(rng.normal(0, 0.12))
    shaft = strokes.smoothed(np.stack([start, middle, end]), 3)
    back = -along / max(1.0, float(np.linalg.norm(along))) * height * uniform(rng, 0.25, 0.45)
    c, s = np.cos(0.5), np.sin(0.5)
    head = np.stack([end + np.array([[c, -s], [s, c]]) @ back, end,
                     end + np.array([[c, s], [-s, c]]) @ back])  # fmt: skip
    mark, thick = sheet.mark(SIGN), pen.width * height
    stroke(sheet, shaft, thick, pen, mark)
    stroke(sheet, head, thick, pen, mark)


def overlap(a: Extent, b: Extent) -> bool:
    room = 14
    return (a[0] < b[2] + room and b[0] < a[2] + room
            and a[1] < b[3] + room and b[1] < a[3] + room)  # fmt: skip


def connect(sheet: Sheet, a: Extent, b: Extent, pen: Pen, height: float) -> None:
    """An arrow from one block of text to another."""
    ends = [((p[0] + p[2]) / 2, (p[1] + p[3]) / 2) for p in (a, b)]
    start, end = (np.array(p) for p in ends)
    along = end - start
    reach = [_reach(p, along) for p in (a, b)]
    if sum(reach) > 0.85:
        return
    first, last = start + along * (reach[0] + 0.05), end - along * (reach[1] + 0.05)
    arrow(sheet, (first[0], first[1]), (last[0], last[1]), pen, height)


def _reach(place: Extent, along: npt.NDArray[np.float64]) -> float:
    """How far out of the middle of a place its edge is, in lengths of a step `along`."""
    half = (place[2] - place[0]) / 2, (place[3] - place[1]) / 2
    return (
        min(abs(h / step) for h, step in zip(half, along, strict=True) if step)
        if any(along)
        else 1.0
    )


def scribbles(sheet: Sheet, height: float, pen: Pen) -> None:
    """Pen strokes that mean nothing, arcs and waves."""
    rng = sheet.rng
    for _ in range(int(rng.integers(1, 6))):
        count = int(rng.integers(2, 14))
        start = rng.uniform(0, 1, 2) * sheet.size
        steps = rng.normal(0, height * uniform(rng, 0.3, 1.5), (count, 2))
        if rng.random() < 0.3:
            steps[:, 1] *= 0.04
        upright = count < 4 and abs(steps[:, 1]).sum() > 1.2 * abs(steps[:, 0]).sum()
        points = strokes.smoothed(start + np.cumsum(steps, axis=0), 2)
        mark = sheet.mark(NOTHING if upright else MARK)
        stroke(sheet, points, max(1.0, pen.width * height), pen, mark)
