"""Pages as a camera sees them, drawn: a written sheet (`sheets`) on a desk, in some light, through
some lens.

Each page is drawn from a seed of its own, so a set of pages is the same on any number of cores.
What the live pipeline finds on it, and what that really is, `truths` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.training.glyphs import Glyphs
from live_digits.training.marks import Ids, Sheet
from live_digits.training.sheets import rule_paper, write
from live_digits.types import Box, Floats, Image

SIZES = ((640, 480), (800, 600), (1024, 768), (1280, 720), (960, 720), (720, 960), (720, 1280))


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn page: uint8 BGR H×W×3, each digit's tight box, and the ids of the ink, uint16 H×W:
    0 paper, 1… the digits in order, from `OTHER` on other marks."""

    image: Image
    digits: tuple[tuple[Box, int], ...]
    ids: Ids


def _smooth(rng: np.random.Generator, w: int, h: int, cells: int) -> Floats:
    """Slow random change, float32 h×w in 0…1."""
    small = rng.random((max(2, cells), max(2, cells)), np.float32)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)


def _light(rng: np.random.Generator, w: int, h: int) -> Floats:
    """How much light falls where, float32 h×w: fall-off, soft or sharp shadows, glare."""
    light = 1 - float(rng.uniform(0, 0.45)) * _smooth(rng, w, h, 2)
    if rng.random() < 0.35:
        x, y = np.meshgrid(np.linspace(-1, 1, w, dtype=np.float32),
                           np.linspace(-1, 1, h, dtype=np.float32))  # fmt: skip
        angle = float(rng.uniform(0, 2 * np.pi))
        far = np.cos(angle) * x + np.sin(angle) * y - float(rng.uniform(-0.7, 0.7))
        far += float(rng.uniform(0, 0.3)) * (_smooth(rng, w, h, 4) - 0.5)
        soft = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5))))
        light = light * (1 - float(rng.uniform(0.1, 0.55)) / (1 + np.exp(-far / soft)))
    if rng.random() < 0.1:
        centre, radius = rng.uniform(0, 1, 2) * (w, h), float(rng.uniform(0.1, 0.4)) * w
        spot = np.zeros((h, w), np.float32)
        cv2.circle(spot, (int(centre[0]), int(centre[1])), int(radius), 1.0, cv2.FILLED)
        spot = np.asarray(cv2.blur(spot, (int(radius) | 1, int(radius) | 1)))
        light = light + spot * float(rng.uniform(0.1, 0.5))
    return np.asarray(light, np.float32)


def _desk(rng: np.random.Generator, w: int, h: int) -> Floats:
    """What lies around the paper, float32 h×w×3, 0…1: a plain or grained surface."""
    base = rng.uniform(0.05, 0.75) + rng.normal(0, 0.06, 3)
    stretched = rng.random((int(rng.integers(4, 60)), int(rng.integers(4, 400))), np.float32)
    grain = cv2.resize(stretched, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        grain = cv2.resize(stretched.T.copy(), (w, h), interpolation=cv2.INTER_LINEAR)
    deep = float(rng.uniform(0, 0.35))
    surface = base.astype(np.float32) * (1 - deep * np.asarray(grain))[..., None]
    return np.asarray(np.clip(surface, 0.01, 1), np.float32)


def _sheet_to_frame(rng: np.random.Generator, w: int, h: int) -> npt.NDArray[np.float64]:
    """How the camera sees the sheet: turned, from the side, near or far; 3×3."""
    scale = float(rng.choice([1.0, rng.uniform(0.7, 1.0), rng.uniform(1.0, 1.15)]))
    angle = float(np.deg2rad(rng.normal(0, 3.5)))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64) - (w / 2, h / 2)
    turned = corners @ np.array([[c, s], [-s, c]])
    turned += rng.normal(0, 0.025, (4, 2)) * (w, h)
    turned += (w / 2, h / 2) + rng.normal(0, 0.03, 2) * (w, h)
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(source, turned.astype(np.float32)), np.float64)


def _camera(picture: Floats, rng: np.random.Generator) -> Image:
    """Exposure, focus, motion, grain, sharpening and JPEG: float32 H×W×3 0…1 → uint8."""
    exposure = float(rng.uniform(0.45, 1.08))
    picture = picture * exposure
    if rng.random() < 0.5:
        sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    if rng.random() < 0.12:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        end = rng.integers(0, length, 2)
        cv2.line(kernel, (length // 2, length // 2), (int(end[0]), int(end[1])), 1.0, 1)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1)), np.float32)
    h, w = picture.shape[:2]
    amount = float(np.exp(rng.uniform(np.log(0.002), np.log(0.035))))
    coarse = int(rng.choice([1, 1, 2]))
    noise = rng.standard_normal((h // coarse + 1, w // coarse + 1), np.float32) * amount
    grain = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR)
    picture = picture + np.asarray(grain)[..., None]
    if rng.random() < 0.3:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.5)
        picture = picture + float(rng.uniform(0.3, 1.2)) * (picture - np.asarray(soft))
    picture = np.clip(picture, 0, 1) ** float(np.exp(rng.normal(0, 0.18)))
    image = np.asarray(np.rint(picture * 255), np.uint8)
    if rng.random() < 0.75:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return image


def page(seed: Sequence[int], glyphs: Glyphs) -> Page:
    """The page of a seed, written with `glyphs`."""
    rng = np.random.default_rng(list(seed))
    w, h = SIZES[int(rng.integers(len(SIZES)))]
    highest = 0.8 * h if rng.random() < 0.1 else 0.33 * h
    height = float(np.exp(rng.uniform(np.log(15 * max(w, h) / 1024), np.log(highest))))
    sheet = Sheet(np.zeros((h, w, 3), np.float32), np.zeros((h, w), np.uint16), [], rng, glyphs)
    canvas = rng.random() < 0.06
    inverted = canvas and rng.random() < 0.5
    if not canvas:
        rule_paper(sheet, height)
    write(sheet, height)
    tint = np.array([1, 1, 1]) if canvas else _paper_tint(rng)
    paper = tint.astype(np.float32) * (1 - sheet.ink)
    if canvas:
        flat = np.repeat(sheet.ink.max(axis=2, keepdims=True), 3, 2) if inverted else paper
        return _finished(np.asarray(np.rint(flat * 255), np.uint8), sheet.ids, sheet.digits)
    fibre = rng.standard_normal((h // 2 + 1, w // 2 + 1), np.float32) * float(rng.uniform(0, 0.012))
    paper = paper + np.asarray(cv2.resize(fibre, (w, h)))[..., None]
    board = rng.random() < 0.05
    if board:
        chalk = sheet.ink.max(axis=2, keepdims=True)
        paper = (
            0.1 + 0.8 * chalk + 0.04 * _smooth(rng, w, h, 5)[..., None] + np.zeros(3, np.float32)
        )
    m = _sheet_to_frame(rng, w, h)
    seen = cv2.warpPerspective(paper.astype(np.float32), m, (w, h), flags=cv2.INTER_LINEAR)
    ids = cv2.warpPerspective(sheet.ids, m, (w, h), flags=cv2.INTER_NEAREST)
    there = cv2.warpPerspective(np.ones((h, w), np.float32), m, (w, h))
    picture = np.asarray(seen) * np.asarray(there)[..., None]
    picture += _desk(rng, w, h) * (1 - np.asarray(there)[..., None])
    picture *= _light(rng, w, h)[..., None]
    return _finished(_camera(np.asarray(picture, np.float32), rng), np.asarray(ids), sheet.digits)


def _paper_tint(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """White mostly, at times coloured; BGR 0…1."""
    if rng.random() < 0.85:
        return np.clip(rng.uniform(0.78, 1.0) + rng.normal(0, 0.03, 3), 0.5, 1)
    return np.clip(rng.uniform(0.45, 1.0, 3), 0.4, 1)


def _finished(image: Image, ids: Ids, digits: Sequence[int]) -> Page:
    """The boxes of the digits that are still whole in the picture."""
    found = []
    for i, digit in enumerate(digits, 1):
        x, y, w, h = cv2.boundingRect((ids == i).astype(np.uint8))
        if w and h and x > 0 and y > 0 and x + w < ids.shape[1] and y + h < ids.shape[0]:
            found.append((Box(x, y, w, h), digit))
    return Page(image, tuple(found), ids)
