"""What lies on the page for a while: hands, forearms, sleeves, pens, with or without landmarks.

    Occluder    frame after frame (and its hands, where they are known) → a Cover
    Cover       which boxes it hides, and which it touches

Two rules. With landmarks: the hand's hull grown by the palm's width, all that has the hand's own
skin colour, and the sleeve behind the wrist. Without: a large region that was not there before, is
unlike paper or shadow, and reaches in from the frame's edge or is skin. Both count at once:
landmarks come late and miss hands seen from above, the simple rule misses a white sleeve on white
paper.

All of it happens on a picture of 112 × 63 cells, three planes (brightness, Cr, Cb): well under a
millisecond a frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image
from live_digits.hands.landmarks import MIDDLE_KNUCKLE, WRIST, Hand, covered, hidden_share

_SAMPLES, CELLS = 2, 112
"""Frames are averaged into so many cells across, each by so many samples each way."""
_THIN = 3
"""Side of the median filter, cells: strokes of ink vanish, fingers stay."""
_DARKER = 0.72
"""A cell has changed when it is darker than before by this factor, brighter by its inverse, ..."""
_COLOURED = 9.0
"""... or when its colour (Cr, Cb) has moved so far."""
_DARK = 0.4
"""What hides is darker than this share of the page's brightness, as no shadow is, ..."""
_NEUTRAL, _TINT = 128.0, 9.0
"""... or its colour differs so far from the page's and from grey: a page held in the shade is grey.
"""
_PAPER_RANK = 75
"""The page's brightness is this percentile of all cells."""
_LEAST, _MOST = 0.012, 0.6
"""The share of the frame that a region needs to be a hand, and from which it is a new scene."""
_SKIN_CR, _SKIN_CB = (137.0, 175.0), (90.0, 124.0)
"""Colours of skin in common light: a region of them need not reach the edge, where a white sleeve
cuts it off."""
_REACH = 1
"""Cells from the frame's edge within which a region enters from there."""
_SCENE, _SETTLING, _RESTING = 0.7, 4.0, 5.0
"""Seconds in which the remembered scene follows what did not change, what did, and what was laid
down and lies still; what moves never becomes part of it."""
_RECENT, _STIR, _STIRRED = 0.4, 6.0, 0.01
"""Seconds that a cell is compared over, levels by which it then moves, and the share of a region
that must do so."""
_SHARE, _HULL_SHARE = 0.02, 0.2
"""A box is hidden from this share of its area on under the cells of a region, and under a hand's
grown hull."""
_SKIN_HUE, _SKIN_PALE, _SKIN_DEEP = 0.94, 0.5, 1.7
"""Skin has the hand's own hue (cosine), and its saturation within these factors, ..."""
_SKIN_DARK = 0.35
"""... and at least this share of its brightness: some lies in the shadow."""
_SKIN_APART = 7.0
"""Skin is told by its colour where that lies so far from the paper's."""
_SKIN_SHARE = 0.35
"""More than this share of the frame is no skin but a table of its colour."""
_SLEEVE_NEAR, _SLEEVE_FAR = 0.5, 1.5
"""Palm lengths behind the wrist between which an arm certainly is, ..."""
_SLEEVE_LIKE = 26.0
"""... and how far from its colour and brightness the rest of the sleeve may be."""
_ARM_CORE, _ARM_WIDEST = 0.45, 1.3
"""The arm is at least and at most so many palm widths to each side of its middle."""
_LINGER = 0.2
"""Seconds for which a hand stays where it was last seen: the landmarks miss frames."""

_Mask = npt.NDArray[np.uint8]
_Page = tuple[float, float, float]
"""Brightness, Cr and Cb."""
_Point = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class OcclusionMask:
    """What is hidden in a frame of `width` × `height` pixels: `polygons` (hulls, pixels) and
    `mask`, uint8 cells of 0 or 1 over the whole frame."""

    width: int
    height: int
    polygons: tuple[Floats, ...]
    mask: _Mask

    def hides(self, box: Box) -> bool:
        """True where `box` is not to be read."""
        return self._share(box) >= _SHARE or hidden_share(box, self.polygons) >= _HULL_SHARE

    def touches(self, box: Box) -> bool:
        """True where any of `box` may be covered: what stood there may still be there."""
        return self._share(box) > 0 or hidden_share(box, self.polygons) > 0

    def _share(self, box: Box) -> float:
        """The covered share of the cells that `box` lies in."""
        rows, columns = self.mask.shape
        x0, x1 = box.x * columns // self.width, -(-box.right * columns // self.width)
        y0, y1 = box.y * rows // self.height, -(-box.bottom * rows // self.height)
        part = self.mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
        return float(part.mean()) if part.size else 0.0


def to_coarse_ycrcb(image: Image) -> Floats:
    """The small picture that is looked at: float32 3×H×W, brightness, Cr and Cb."""
    height, width = image.shape[:2]
    scale = min(1.0, CELLS / max(width, height))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    size = min(width, small[0] * _SAMPLES), min(height, small[1] * _SAMPLES)
    few = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    mean = cv2.resize(few, small, interpolation=cv2.INTER_AREA)
    colour = mean if mean.ndim == 3 else cv2.cvtColor(mean, cv2.COLOR_GRAY2BGR)
    calm = cv2.medianBlur(cv2.cvtColor(colour, cv2.COLOR_BGR2YCrCb), _THIN)
    return np.ascontiguousarray(np.moveaxis(calm, 2, 0), np.float32)


class OcclusionDetector:
    """Watches a moving picture. Belongs to one thread."""

    def __init__(self) -> None:
        self._scene: Floats | None = None
        self._recent: Floats | None = None
        self._time = 0.0
        self._hands: tuple[Hand, ...] = ()
        self._hands_at = float("-inf")

    def update(self, image: Image, time: float, hands: Sequence[Hand] = ()) -> OcclusionMask | None:
        """What is hidden in a frame (uint8 BGR H×W×3; `time` its own, seconds), or None where
        nothing is. `hands`: those known of it, in its pixels."""
        height, width = image.shape[:2]
        now = to_coarse_ycrcb(image)
        if hands:
            self._hands, self._hands_at = tuple(hands), time
        elif abs(time - self._hands_at) <= _LINGER:
            hands = self._hands
        page = _paper_of(now)
        mask = self._entered(now, page, time)
        polygons: tuple[Floats, ...] = ()
        if hands:
            polygons = covered(hands, width, height)
            grid = now.shape[2] / width, now.shape[1] / height
            for hand in hands:
                mask |= arm_mask(now, page, hand.scaled(*grid))
        if not polygons and not mask.any():
            return None
        return OcclusionMask(
            width, height, polygons, np.asarray(cv2.dilate(mask, _AROUND), np.uint8)
        )

    def _entered(self, now: Floats, page: _Page, time: float) -> _Mask:
        """The regions that came into the scene, uint8 0 or 1; keeps the scene."""
        scene, recent = self._scene, self._recent
        fresh = scene is None or recent is None or scene.shape != now.shape or time < self._time
        if scene is None or recent is None or fresh:
            return self._restart(now, time)
        passed, self._time = time - self._time, time
        changed = changed_cells(scene, now)
        if changed.mean() > _MOST:  # another scene, or the camera was turned
            return self._restart(now, time)
        stirring = np.abs(now - recent).max(axis=0) > _STIR
        found, still = intruding_regions(
            np.asarray(changed & is_foreign(now, page), np.uint8), now, stirring
        )
        speed = np.full(now.shape[1:], _follows(passed, _SCENE), np.float32)
        speed[changed] = _follows(passed, _SETTLING)
        speed[found > 0] = 0
        speed[still > 0] = _follows(passed, _RESTING)
        self._scene = scene + speed * (now - scene)
        self._recent = recent + np.float32(_follows(passed, _RECENT)) * (now - recent)
        return found

    def _restart(self, now: Floats, time: float) -> _Mask:
        self._scene, self._recent, self._time = now, now, time
        return np.zeros(now.shape[1:], np.uint8)


def _follows(passed: float, seconds: float) -> float:
    """How far a mean over so many seconds goes towards the newest value."""
    return 1 - math.exp(-passed / seconds)


_AROUND = np.ones((3, 3), np.uint8)
_GAPS = np.ones((5, 5), np.uint8)

_Bools = npt.NDArray[np.bool_]


def changed_cells(before: Floats, now: Floats) -> _Bools:
    """The cells that are not as they were; a change of the light all over is none."""
    ratio = (now[0] + 1) / (before[0] + 1)
    ratio /= np.median(ratio)
    red, blue = now[1] - before[1], now[2] - before[2]
    shift = np.maximum(np.abs(red - np.median(red)), np.abs(blue - np.median(blue)))
    found: _Bools = (ratio < _DARKER) | (ratio > 1 / _DARKER) | (shift > _COLOURED)
    return found


def is_foreign(now: Floats, page: _Page) -> _Bools:
    """The cells that are neither page nor shadow."""
    apart, tint = _apart(now, page[1:]), _apart(now, (_NEUTRAL, _NEUTRAL))
    found: _Bools = (now[0] < _DARK * page[0]) | ((apart > _TINT) & (tint > _TINT))
    return found


def _apart(now: Floats, colour: Sequence[float]) -> Floats:
    """How far each cell is from a colour (Cr, Cb), brightness aside."""
    red, blue = np.abs(now[1] - colour[0]), np.abs(now[2] - colour[1])
    return np.asarray(np.maximum(red, blue), np.float32)


def _paper_of(now: Floats) -> _Page:
    """Brightness, Cr and Cb of the page."""
    level = float(np.percentile(now[0], _PAPER_RANK))
    bright = now[0] >= level
    return level, float(np.median(now[1][bright])), float(np.median(now[2][bright]))


def intruding_regions(mask: _Mask, now: Floats, stirring: _Bools) -> tuple[_Mask, _Mask]:
    """The large regions of a mask (0 or 1) that reach the frame's edge or are skin, holes filled;
    and those of them in which nothing moves."""
    whole = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _AROUND)
    whole = np.asarray(cv2.morphologyEx(whole, cv2.MORPH_CLOSE, _GAPS), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    rows, columns = mask.shape
    found, still = np.zeros_like(mask), np.zeros_like(mask)
    for i in range(1, count):
        x, y, w, h, area = (int(v) for v in stats[i])
        if area < _LEAST * mask.size:
            continue
        edge = x <= _REACH or y <= _REACH or x + w >= columns - _REACH or y + h >= rows - _REACH
        own = labels == i
        if not edge and not _is_skin(now[:, own]):
            continue
        contours, _ = cv2.findContours(
            own.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        cv2.drawContours(found, contours, -1, 1, cv2.FILLED)
        if stirring[own].mean() < _STIRRED:
            cv2.drawContours(still, contours, -1, 1, cv2.FILLED)
    return found, still


def _is_skin(colours: Floats) -> bool:
    """Whether cells (3×N) have, on the whole, the colour of skin."""
    red, blue = float(np.median(colours[1])), float(np.median(colours[2]))
    return _SKIN_CR[0] <= red <= _SKIN_CR[1] and _SKIN_CB[0] <= blue <= _SKIN_CB[1]


def arm_mask(now: Floats, page: _Page, hand: Hand) -> _Mask:
    """What belongs to a hand beside its hull, uint8 0 or 1: skin of its colour wherever it is, and
    what follows behind the wrist. `hand` is in cells."""
    points = hand.landmarks.astype(np.float64)
    palm = np.zeros(now.shape[1:], np.uint8)
    hull = cv2.convexHull(hand.landmarks.astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(palm, hull, 1)
    found = _skin(now, page, palm)
    back = points[WRIST] - points[MIDDLE_KNUCKLE]
    length = float(np.hypot(*back))
    if length < 1:
        return found
    width = hand.palm_width
    near = points[WRIST] + _SLEEVE_NEAR * back
    far = points[WRIST] + _SLEEVE_FAR * back
    core = _strip(now.shape[1:], points[WRIST], far, _ARM_CORE * width)
    sure = _strip(now.shape[1:], near, far, _ARM_CORE * width / 2)
    inside = now[:, sure > 0]
    if inside.size:
        reach = points[WRIST] + back * (2 * sum(now.shape[1:]) / length)
        bounds = _strip(now.shape[1:], points[WRIST], reach, _ARM_WIDEST * width)
        middle = np.median(inside, axis=1)[:, None, None]
        apart = np.abs(now - middle).max(axis=0)
        like = np.where((apart <= _SLEEVE_LIKE) & (bounds > 0), 1, 0).astype(np.uint8)
        core |= _connected(np.asarray(like | core, np.uint8), core)
    return np.asarray(found | core, np.uint8)


def _skin(now: Floats, page: _Page, palm: _Mask) -> _Mask:
    """All that has the colour of the cells under `palm`."""
    nothing = np.zeros_like(palm)
    own = now[:, palm > 0]
    if own.shape[1] < 4:
        return nothing
    light, red, blue = (float(v) for v in np.median(own, axis=1))
    if max(abs(red - page[1]), abs(blue - page[2])) < _SKIN_APART:
        return nothing
    u, v = red - _NEUTRAL, blue - _NEUTRAL
    depth = math.hypot(u, v)
    across, down = now[1] - np.float32(_NEUTRAL), now[2] - np.float32(_NEUTRAL)
    tint = np.hypot(across, down)
    # Chroma falls with the light, so it is compared for its brightness.
    saturation = tint * light / (np.maximum(now[0], 1) * depth)
    like = across * u + down * v >= _SKIN_HUE * depth * tint
    like &= (saturation >= _SKIN_PALE) & (saturation <= _SKIN_DEEP)
    like &= (_apart(now, page[1:]) > _SKIN_APART / 2) & (now[0] >= _SKIN_DARK * light)
    if like.mean() > _SKIN_SHARE:
        return nothing
    skin = cv2.morphologyEx(like.astype(np.uint8), cv2.MORPH_CLOSE, _GAPS)
    return np.asarray(skin, np.uint8)


def _strip(shape: tuple[int, ...], start: _Point, end: _Point, half: float) -> _Mask:
    """A thick line from one point to the other, `half` cells to each side."""
    out = np.zeros(shape, np.uint8)
    a, b = (tuple(int(v) for v in np.rint(p)) for p in (start, end))
    cv2.line(out, a, b, 1, max(1, round(2 * half)))
    return out


def _connected(mask: _Mask, seed: _Mask) -> _Mask:
    """The regions of `mask` that share a cell with `seed`."""
    _, labels = cv2.connectedComponents(mask, connectivity=8)
    wanted = np.unique(labels[(seed > 0) & (mask > 0)])
    return np.where(np.isin(labels, wanted[wanted > 0]), 1, 0).astype(np.uint8)
