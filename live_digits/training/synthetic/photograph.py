"""How a camera sees a page: from where, in which light, through which lens and sensor, and which of
its digits somebody could still read.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image
from live_digits.training.synthetic.scenes import smooth, uniform
from live_digits.training.synthetic.symbols import OTHER, Ids

Quad = npt.NDArray[np.float64]
"""Four corners, 4×2: top left, top right, bottom right, bottom left."""

_TILTED = 0.15
"""Share of the pages that are seen from the side."""
_SMALLEST = 9.0
"""Pixels of the working picture; a lower digit can be read by nobody."""
_WORKING_SIDE = 1024
_FAINTEST, _ABOVE_GRAIN = 7.0, 1.4
"""Levels of 255 by which ink must differ from its ground, and against the ground's grain."""
_MOST_GAIN = 1.9
"""A camera makes a dark scene so many times brighter at most."""
_PARTS_LOST = 0.3
"""A digit with more than this share of its ink unseen cannot be read."""


def corners(w: int, h: int) -> Quad:
    """The corners of a w×h picture."""
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)


def view(rng: np.random.Generator, w: int, h: int) -> Quad:
    """Where in the picture the corners of the sheet are: turned, from the side, near or far."""
    scale = float(rng.choice([1.0, rng.uniform(0.6, 1.0), rng.uniform(1.0, 1.15)]))
    wide = 12.0 if rng.random() < 0.08 else 3.5
    angle = float(np.deg2rad(rng.normal(0, wide)))
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    turned = (corners(w, h) - (w / 2, h / 2)) @ np.array([[c, s], [-s, c]])
    if rng.random() < _TILTED:
        turned = _tilted(rng, turned, w)
    turned = turned + rng.normal(0, 0.02, (4, 2)) * (w, h)
    return np.asarray(turned + (w / 2, h / 2) + rng.normal(0, 0.03, 2) * (w, h), np.float64)


def _tilted(rng: np.random.Generator, flat: Quad, w: int) -> Quad:
    """The corners of a plane that leans away, seen from about its own width."""
    x, y = np.deg2rad(rng.uniform(15, 48, 2) * rng.choice([-1, 1], 2) * rng.permutation([1, 0.35]))
    far = w * uniform(rng, 1.1, 2.2)
    depth = flat[:, 0] * np.sin(y) + flat[:, 1] * np.sin(x)
    seen = np.stack([flat[:, 0] * np.cos(y), flat[:, 1] * np.cos(x)], 1)
    return np.asarray(seen * (far / (far + depth))[:, None] * uniform(rng, 1.0, 1.25), np.float64)


def lay(
    picture: Floats, ids: Ids, paper: Floats, marks: Ids, quad: Quad, shadow: float = 0.0
) -> None:
    """Lays a sheet into a picture with its corners at `quad`; its ids cover those below.
    `shadow`: how dark a shadow it throws, 0…1."""
    h, w = ids.shape
    room = 14 if shadow else 1
    low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - room, 0)
    high = np.minimum(np.ceil(quad.max(axis=0)).astype(int) + room, (w, h))
    if (high <= low).any():
        return
    size = int(high[0] - low[0]), int(high[1] - low[1])
    tall, wide = marks.shape
    m = cv2.getPerspectiveTransform(
        corners(wide, tall).astype(np.float32), (quad - low).astype(np.float32)
    )
    part = np.s_[low[1] : high[1], low[0] : high[0]]
    there = cv2.warpPerspective(np.ones((tall, wide), np.float32), m, size)[..., None]
    seen = cv2.warpPerspective(
        paper, m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if shadow:
        dark = cv2.GaussianBlur(there, (0, 0), 4)
        dark = np.roll(dark, (3, 3), (0, 1))[..., None]
        picture[part] *= 1 - shadow * dark
    picture[part] += there * (seen - picture[part])
    under = cv2.warpPerspective(marks, m, size, flags=cv2.INTER_NEAREST)
    np.copyto(ids[part], under, where=there[..., 0] > 0.5)


def light(rng: np.random.Generator, w: int, h: int, calm: bool = False) -> Floats:
    """How much light falls where, float32 h×w: fall-off, soft or sharp shadows, a lamp's spot."""
    lit = 1 - uniform(rng, 0, 0.15 if calm else 0.45) * smooth(rng, w, h, 2)
    if rng.random() < (0.1 if calm else 0.35):
        x, y = np.meshgrid(np.linspace(-1, 1, w, dtype=np.float32),
                           np.linspace(-1, 1, h, dtype=np.float32))  # fmt: skip
        angle = uniform(rng, 0, 2 * np.pi)
        far = np.cos(angle) * x + np.sin(angle) * y - uniform(rng, -0.7, 0.7)
        far += uniform(rng, 0, 0.3) * (smooth(rng, w, h, 4) - 0.5)
        soft = float(np.exp(rng.uniform(np.log(0.02), np.log(0.5))))
        lit = lit * (1 - uniform(rng, 0.1, 0.55) / (1 + np.exp(-far / soft)))
    if rng.random() < 0.1:
        lit = lit + _spot(rng, w, h, uniform(rng, 0.1, 0.4)) * uniform(rng, 0.1, 0.5)
    return np.asarray(lit, np.float32)


def _spot(rng: np.random.Generator, w: int, h: int, size: float) -> Floats:
    """A round or long bright spot, h×w, 0…1."""
    few = 4
    spot = np.zeros((h // few + 1, w // few + 1), np.float32)
    centre, radius = rng.uniform(0, 1, 2) * (w, h) / few, max(2.0, size * w / few)
    axes = (int(radius), max(1, int(radius * uniform(rng, 0.2, 1.0))))
    at, turn = (int(centre[0]), int(centre[1])), uniform(rng, 0, 180)
    cv2.ellipse(spot, at, axes, turn, 0, 360, 1.0, cv2.FILLED)
    soft = cv2.GaussianBlur(spot, (0, 0), max(0.8, radius * uniform(rng, 0.15, 0.6)))
    return np.asarray(cv2.resize(np.asarray(soft), (w, h)), np.float32)


def glare(rng: np.random.Generator, w: int, h: int) -> Floats:
    """What a glossy ground mirrors, added to what it shows, float32 h×w: lamps and windows."""
    total = np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        total += _spot(rng, w, h, uniform(rng, 0.02, 0.16)) * uniform(rng, 0.15, 1.3)
    return total


def camera(picture: Floats, rng: np.random.Generator, mild: bool = False) -> Image:
    """Exposure, white balance, lens, motion, grain, sharpening and JPEG: float32 H×W×3, 0…1 →
    uint8. `mild`: as of a picture that has been through a camera already."""
    h, w = picture.shape[:2]
    if not mild:
        exposure = _exposure(rng, picture)
        warm = float(rng.normal(0, 0.05 if rng.random() < 0.75 else 0.13))
        balance = np.exp(np.array([-warm, float(rng.normal(0, 0.02)), warm]))
        picture = picture * (exposure * balance).astype(np.float32)
        if rng.random() < 0.3:
            picture = picture * _vignette(rng, w, h)[..., None]
    picture = _lens(picture, rng)
    amount = float(np.exp(rng.uniform(np.log(0.002), np.log(0.03))))
    if rng.random() < 0.08 and not mild:
        picture, amount = picture * uniform(rng, 0.35, 0.7), uniform(rng, 0.012, 0.035)
    picture = _grainy(picture, rng, amount)
    if rng.random() < 0.3:
        radius = uniform(rng, 0.8, 2.5)
        soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), radius))
        picture = picture + uniform(rng, 0.3, 1.5) * (picture - soft)
    picture = np.clip(picture, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.18)))
    image = np.asarray(np.rint(picture * 255), np.uint8)
    if rng.random() < 0.8:
        worst = 12 if rng.random() < 0.15 else 40
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(worst, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], 1), np.uint8)
    return image


def _exposure(rng: np.random.Generator, picture: Floats) -> float:
    """How much light the camera takes in: mostly so that what is bright is bright and no more."""
    lot = rng.random()
    if lot < 0.72:
        bright = float(np.percentile(picture[::8, ::8, 1], rng.uniform(70, 98)))
        return min(_MOST_GAIN, uniform(rng, 0.55, 0.95) / max(0.1, bright))
    if lot < 0.92:
        return uniform(rng, 0.6, 1.08)
    return uniform(rng, 0.4, 0.65) if lot < 0.97 else uniform(rng, 1.1, 1.6)


def _vignette(rng: np.random.Generator, w: int, h: int) -> Floats:
    x = np.linspace(-1, 1, w, dtype=np.float32) ** 2
    y = np.linspace(-1, 1, h, dtype=np.float32) ** 2
    return np.asarray(1 - uniform(rng, 0.05, 0.45) * (x[None, :] + y[:, None]) / 2, np.float32)


def _lens(picture: Floats, rng: np.random.Generator) -> Floats:
    """Focus, motion and the sensor's own coarseness."""
    h, w = picture.shape[:2]
    lot = rng.random()
    if lot < 0.42:
        sigma = float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)
    elif lot < 0.5:
        side = int(rng.choice([3, 5, 7]))
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.float32)
        picture = np.asarray(cv2.filter2D(picture, -1, disk / disk.sum()), np.float32)
    if rng.random() < 0.12:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        end = rng.integers(0, length, 2)
        cv2.line(kernel, (length // 2, length // 2), (int(end[0]), int(end[1])), 1.0, 1)
        picture = np.asarray(cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1)), np.float32)
    if rng.random() < 0.15:
        share = uniform(rng, 0.5, 0.9)
        few = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(few, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    return picture


def _grainy(picture: Floats, rng: np.random.Generator, amount: float) -> Floats:
    """With the sensor's grain, of one or of all colours."""
    h, w = picture.shape[:2]
    coarse = int(rng.choice([1, 1, 2]))
    noise = rng.standard_normal((h // coarse + 1, w // coarse + 1), np.float32) * amount
    grain = np.asarray(cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR))[..., None]
    if rng.random() < 0.3:
        tints = rng.standard_normal((h // 3 + 1, w // 3 + 1, 3), np.float32) * amount
        grain = grain + np.asarray(cv2.resize(tints, (w, h), interpolation=cv2.INTER_LINEAR))
    return np.asarray(picture + grain, np.float32)


def unreadable(image: Image, ids: Ids, boxes: dict[int, Box]) -> set[int]:
    """The digits (id → box) that nobody could read in the picture: too small, or too much of their
    ink hardly differs from its ground."""
    scale = min(1.0, _WORKING_SIDE / max(image.shape[:2]))
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)
    lost = set()
    for number, box in boxes.items():
        if box.h * scale < _SMALLEST or _hidden(grey, ids, box, number):
            lost.add(number)
    return lost


def _hidden(grey: Floats, ids: Ids, box: Box, number: int) -> bool:
    """Whether too much of a digit cannot be told from what is around it, part by part."""
    room = max(2, box.h // 6)
    y0, x0 = max(0, box.y - room), max(0, box.x - room)
    part = np.s_[y0 : box.bottom + room, x0 : box.right + room]
    levels, marks = grey[part], ids[part]
    side = max(5, round(box.h / 2.5)) | 1
    inked = cv2.dilate((marks > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    bare = np.asarray(inked == 0, np.float32)
    ground, rough = _ground(levels, bare, side)
    usual = bare * (np.abs(levels - ground) <= rough + _FAINTEST / 2)
    ground, _ = _ground(levels, np.asarray(usual, np.float32), side)
    fine = np.abs(levels - np.asarray(cv2.blur(levels, (3, 3))))
    grain = float(fine[bare > 0].mean()) if bare.any() else 0.0
    ink = (marks == number) & (np.asarray(cv2.boxFilter(bare, -1, (side, side))) > 0.02)
    if not ink.any():
        return True
    apart = np.asarray(cv2.blur(levels - ground, (3, 3)))[ink]
    sign = 1.0 if np.median(apart) > 0 else -1.0
    lost = sign * apart < max(_FAINTEST, _ABOVE_GRAIN * grain)
    return bool(lost.mean() > _PARTS_LOST)


def _ground(levels: Floats, weight: Floats, side: int) -> tuple[Floats, Floats]:
    """The weighted mean and deviation of the levels around each pixel."""
    total = np.maximum(cv2.boxFilter(weight, -1, (side, side)), 1e-4)
    mean = cv2.boxFilter(levels * weight, -1, (side, side)) / total
    square = cv2.boxFilter(levels * levels * weight, -1, (side, side)) / total
    rough = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.asarray(mean, np.float32), np.asarray(rough, np.float32)


def covered(before: Ids, after: Ids, most: float) -> set[int]:
    """The digits of which more than the share `most` is no longer seen."""
    old, new = (np.bincount(i[(i > 0) & (i < OTHER)].ravel(), minlength=OTHER)
                for i in (before, after))  # fmt: skip
    return {int(i) for i in np.flatnonzero((old > 0) & (new < (1 - most) * old))}
