"""A finger writes in the air: its tip's path → strokes → crops for the same network → a number.

`AirWriter` is a small state machine: the pen is down while the index finger is raised alone or
pinches with the thumb, and 0.6 s without it end a digit. The tip is smoothed by a One-Euro filter
(G. Casiez, N. Roussel, D. Vogel: 1€ Filter, CHI 2012): still fingers do not tremble, fast ones do
not lag.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import AIR, CROP_SIZE, NOT_A_DIGIT, Digit, Floats, Image
from live_digits.display.status import AirDrawing
from live_digits.hands.gestures import INDEX_TIP, POINT, classify_pose, is_pinching
from live_digits.hands.landmarks import Hand
from live_digits.vision.mnist_crop import normalise

PAUSE = 0.6
"""Seconds with the pen up that end a digit."""
_FLICKER = 0.15
"""Seconds for which the pen may seem up within one stroke: single looks go wrong."""
_PINCH_DOWN, _PINCH_UP = 0.32, 0.5
"""Palm widths between thumb and index tip at which a pinch begins and ends."""
_CUTOFF, _BETA, _SPEED_CUTOFF = 1.6, 14.0, 1.5
"""The One-Euro filter's: Hz at rest, Hz more for each picture height a second, and Hz of the
speed's own filter."""
_SHORTEST = 0.3
"""Palm widths that a digit is high or wide at least; less is a twitch."""
_SIDE, _PEN = 160, 17
"""Longest side of a drawn digit and width of its pen, pixels: MNIST's proportions."""
_MARGIN = 16
_SMOOTH = 4
"""Points that a stroke gets between two that were seen."""
_SUBPIXEL = 4
_MOST_POINTS = 2000
"""Points of one digit; more is no digit, but a hand that was left there."""
MOST_DIGITS = 24
"""Digits of a number; the first ones go."""

_Point = npt.NDArray[np.float64]


class OneEuro:
    """The One-Euro filter for points; times grow, seconds."""

    def __init__(
        self, cutoff: float = _CUTOFF, beta: float = _BETA, speed_cutoff: float = _SPEED_CUTOFF
    ) -> None:
        self._cutoff, self._beta, self._speed_cutoff = cutoff, beta, speed_cutoff
        self._last: _Point | None = None
        self._raw: _Point | None = None
        self._speed: _Point = np.zeros(2)
        self._time = 0.0

    def __call__(self, point: _Point, time: float) -> _Point:
        """The smoothed point, in the same units."""
        passed = time - self._time
        self._time = time
        if self._last is None or self._raw is None or passed <= 0:
            self._last, self._raw, self._speed = point, point, np.zeros(2)
            return point
        speed = (point - self._raw) / passed
        self._raw = point
        self._speed = self._speed + _weight(self._speed_cutoff, passed) * (speed - self._speed)
        cutoff = self._cutoff + self._beta * float(np.hypot(*self._speed))
        self._last = self._last + _weight(cutoff, passed) * (point - self._last)
        return self._last


def _weight(cutoff: float, passed: float) -> float:
    """The newest value's weight in a first-order low-pass filter."""
    r = 2 * math.pi * cutoff * passed
    return r / (r + 1)


def crop_of(strokes: Sequence[Floats], mirror: bool = False) -> Image:
    """Strokes (float32 N×2, any units) as a crop: uint8 28×28, white ink on black."""
    points = np.concatenate(strokes).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = _SIDE / max(1e-9, float((high - low).max()))
    size = np.ceil((high - low) * scale).astype(int) + 2 * _MARGIN
    canvas = np.zeros((int(size[1]), int(size[0])), np.uint8)
    for stroke in strokes:
        at = (_smoothed(stroke.astype(np.float64)) - low) * scale + _MARGIN
        if mirror:
            at[:, 0] = size[0] - 1 - at[:, 0]
        whole = np.rint(at * (1 << _SUBPIXEL)).astype(np.int32)
        cv2.polylines(canvas, [whole[:, None]], False, 255, _PEN, cv2.LINE_AA, _SUBPIXEL)
        if len(whole) == 1:
            centre = int(whole[0, 0]), int(whole[0, 1])
            radius = (_PEN << _SUBPIXEL) // 2
            cv2.circle(canvas, centre, radius, 255, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)
    return normalise(canvas)


def _smoothed(points: _Point) -> _Point:
    """A curve through the points (Catmull-Rom): fast fingers are seen at few of them."""
    if len(points) < 3:
        return points
    before = np.concatenate([points[:1], points[:-2]])
    after = np.concatenate([points[2:], points[-1:]])
    t = (np.arange(_SMOOTH) / _SMOOTH)[None, :, None]
    a, b = points[:-1, None], points[1:, None]
    out_of, into = (b - before[:, None]) / 2, (after[:, None] - a) / 2
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * a + (t**3 - 2 * t**2 + t) * out_of
        + (3 * t**2 - 2 * t**3) * b + (t**3 - t**2) * into
    )  # fmt: skip
    return np.concatenate([curve.reshape(-1, 2), points[-1:]])


@dataclass(frozen=True, slots=True, eq=False)
class _AirDigit:
    """A finished digit: its crop, where it was drawn, and what was read (None: not yet)."""

    id: int
    crop: Image
    box: Box
    read: Digit | None = None


class AirWriter:
    """Follows one finger and keeps the number that it writes. Belongs to one thread; times are the
    frames' own, seconds; ids are negative and never used twice."""

    def __init__(self, confidence: float, mirror: bool = False) -> None:
        """`confidence`: a stroke that is read with less is no digit. `mirror`: the camera faces the
        writer, and the picture is no mirror."""
        self._confidence, self._mirror = confidence, mirror
        self._filter = OneEuro()
        self._strokes: list[list[_Point]] = []
        self._down = False
        self._down_at = float("-inf")
        self._tip: _Point | None = None
        self._width = 0.0
        self._written: list[_AirDigit] = []
        self._next = -1
        self.note = ""
        """What became of the last stroke, where it is no digit; empty again with the next."""

    def update(self, hands: Sequence[Hand], time: float, height: int) -> None:
        """A new look at the hands, in pixels of a frame that is `height` pixels high."""
        if time < self._down_at - PAUSE:  # a video that began again
            self._down_at, self._down = float("-inf"), False
        hand = self._writing(hands)
        if hand is None:
            self._down, self._tip = False, None
            return
        tip = hand.landmarks[INDEX_TIP].astype(np.float64)
        if not self._drawing(hand):
            self._down, self._tip = False, tip
            return
        if not self._down and time - self._down_at > _FLICKER:
            self._filter = OneEuro()
            self._strokes.append([])
        self._tip = self._filter(tip / height, time) * height
        if sum(map(len, self._strokes)) < _MOST_POINTS:
            self._strokes[-1].append(self._tip)
        self._down, self._down_at, self._width = True, time, hand.palm_width
        self.note = ""

    def tick(self, time: float) -> None:
        """Time passes: what the pen has left for long enough is a digit."""
        if self._strokes and not self._down and time - self._down_at >= PAUSE:
            self._finish()

    def lost(self) -> None:
        """No look at the hands has come for a while."""
        self._down, self._tip = False, None

    def _writing(self, hands: Sequence[Hand]) -> Hand | None:
        """The hand that writes: the one whose finger is nearest to where it was."""
        tip = self._tip
        if tip is None or len(hands) < 2:
            drawing = [h for h in hands if self._drawing(h)]
            return drawing[0] if drawing else next(iter(hands), None)
        return min(hands, key=lambda h: float(np.hypot(*(h.landmarks[INDEX_TIP] - tip))))

    def _drawing(self, hand: Hand) -> bool:
        limit = _PINCH_UP if self._down else _PINCH_DOWN
        return classify_pose(hand) == POINT or is_pinching(hand, limit)

    def _finish(self) -> None:
        strokes = [np.array(s, np.float32) for s in self._strokes if s]
        self._strokes = []
        points = np.concatenate(strokes)
        low, high = points.min(axis=0), points.max(axis=0)
        if float((high - low).max()) < _SHORTEST * self._width or len(points) >= _MOST_POINTS:
            return
        x, y = (int(v) for v in np.floor(low))
        right, bottom = (int(v) for v in np.ceil(high))
        box = Box(x, y, max(1, right - x), max(1, bottom - y))
        self._written.append(_AirDigit(self._next, crop_of(strokes, self._mirror), box))
        self._written = self._written[-MOST_DIGITS:]
        self._next -= 1

    def pending_crops(self) -> tuple[tuple[int, ...], Image]:
        """The digits that are not read yet, and their crops (uint8 N×28×28)."""
        new = [w for w in self._written if w.read is None]
        crops = np.array([w.crop for w in new], np.uint8).reshape(-1, CROP_SIZE, CROP_SIZE)
        return tuple(w.id for w in new), crops

    def add_predictions(self, answers: Iterable[tuple[int, Floats]]) -> None:
        """What the network says (float32 11) of digits by their id; others are left alone."""
        known = dict(answers)
        kept = []
        for w in self._written:
            if w.read is None and w.id in known:
                read = self._read(w, known[w.id])
                if read is None:
                    self.note = "that was no digit: write it again"
                    continue
                w = replace(w, read=read)
            kept.append(w)
        self._written = kept

    def _read(self, written: _AirDigit, probabilities: Floats) -> Digit | None:
        """A finger writes nothing but digits, so those share what the network gives to others."""
        among = probabilities[:NOT_A_DIGIT]
        best = int(among.argmax())
        sure = float(among[best]) / max(1e-6, float(among.sum()))
        if sure < self._confidence or float(among.sum()) < _DIGIT_LIKE:
            return None
        return Digit(written.box, best, sure, written.id, AIR)

    def undo(self) -> None:
        """Takes back the stroke at hand, else the last digit."""
        if self._strokes:
            self._strokes = []
        elif self._written:
            self._written.pop()

    def clear(self) -> None:
        """Takes back everything."""
        self._strokes, self._written = [], []

    @property
    def digits(self) -> tuple[Digit, ...]:
        """The number's digits that are read, in order."""
        return tuple(w.read for w in self._written if w.read)

    @property
    def number(self) -> str:
        """The number so far; a point stands for a digit that is being read."""
        return "".join(str(w.read.digit) if w.read else "." for w in self._written)

    def view(self, width: int, height: int) -> AirDrawing:
        """What is shown of it on a frame of that size."""
        size = np.array([width, height], np.float32)
        strokes = tuple(np.array(s, np.float32) / size for s in self._strokes if s)
        tip = None if self._tip is None else (self._tip[0] / width, self._tip[1] / height)
        return AirDrawing(self.number, strokes, tip, self._down)


_DIGIT_LIKE = 0.01
"""What the network must give to all digits together for a stroke to be one."""
