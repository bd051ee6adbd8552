"""What a hand says: its pose by the landmarks, and poses that are held become gestures. Pure, but
for the small memory of `GestureRecognizer`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from live_digits.display.status import GestureProgress
from live_digits.hands.landmarks import INDEX_KNUCKLE, LITTLE_KNUCKLE, WRIST, Hand

GESTURES = ("open_palm", "fist", "thumb_up", "two_fingers")
"""The poses that may work the program; settings of the same names turn them on."""
POINT = "point"
"""The index finger alone: no gesture, but a pen in the air."""
GRIP = "grip"
"""Thumb and index together, as around a pen: no gesture counts, now or shortly after."""
HOLD = 0.5
"""Seconds that a pose is held before it counts."""
_GAP = 0.15
"""Seconds for which the pose may be lost in between: single looks go wrong."""
_RELEASE = 0.3
"""Seconds without the pose before it may count again."""
_WRITING = 0.5
"""Seconds after a grip in which the hand still counts as writing."""
_TRAVEL = 1.0
"""Palm widths that the hand may move while it holds a pose."""
_OUT, _IN = 1.12, 1.02
"""A finger is stretched when its tip is farther from the wrist than its middle joint by the first
factor, and bent when it is not even by the second."""
_FISTED = 0.88
"""A bent index whose tip is nearer than that is part of a fist and holds no pen."""
_PINCH = 0.42
"""Palm widths between the tips of thumb and index from which they are together."""
_THUMB_AWAY = 0.75
"""Palm widths between the thumb's tip and the index's knuckle from which it is stretched."""
_ACROSS = 0.6
"""Palm widths from the thumb's tip to the little finger's knuckle below which it lies across the
palm: that is a four."""
_UPRIGHT = 0.75
"""How upright a thumb is that is up: the cosine of its angle to the vertical."""
_THUMB_TIP, _THUMB_ROOT, INDEX_TIP = 4, 2, 8
_MIDDLES, _TIPS = (6, 10, 14, 18), (8, 12, 16, 20)
"""Rows of the middle joints and tips of the four fingers."""


def is_pinching(hand: Hand, limit: float = _PINCH) -> bool:
    """Whether thumb and index tip are within so many palm widths, the index not in a fist."""
    p = hand.landmarks
    apart = float(np.hypot(*(p[_THUMB_TIP] - p[INDEX_TIP])))
    return apart < limit * hand.palm_width and bool(_stretches(hand)[0] > _FISTED)


def _stretches(hand: Hand) -> npt.NDArray[np.float32]:
    """Of each of the four fingers, how far its tip is from the wrist against its middle joint."""
    p = hand.landmarks
    away = np.hypot(*(p - p[WRIST]).T)
    return np.asarray(away[list(_TIPS)] / np.maximum(away[list(_MIDDLES)], 1e-6), np.float32)


def classify_pose(hand: Hand) -> str:
    """One of GESTURES, POINT, GRIP, or "" for what is none of them."""
    p, width = hand.landmarks, hand.palm_width
    if width < 1:
        return ""
    ratio = _stretches(hand)
    out, bent = ratio >= _OUT, ratio <= _IN
    thumb = p[_THUMB_TIP] - p[_THUMB_ROOT]
    thumb_out = float(np.hypot(*(p[_THUMB_TIP] - p[INDEX_KNUCKLE]))) > _THUMB_AWAY * width
    if is_pinching(hand):
        return GRIP
    if out.all():
        across = np.hypot(*(p[_THUMB_TIP] - p[LITTLE_KNUCKLE])) < _ACROSS * width
        return "" if across else "open_palm"
    if bent.all():
        up = -thumb[1] / max(1e-6, float(np.hypot(*thumb)))
        highest = p[_THUMB_TIP, 1] <= p[:, 1].min()
        if thumb_out and up >= _UPRIGHT and highest:
            return "thumb_up"
        return "" if thumb_out else "fist"
    if out[0] and bent[2:].all():
        if out[1]:
            return "two_fingers"
        return POINT if bent[1] else ""
    return ""


@dataclass(slots=True)
class _HeldPose:
    """A pose that is being held, since when, and where its wrist was."""

    name: str
    since: float
    at: tuple[float, float]
    last: float
    fired: bool = False


class GestureRecognizer:
    """Turns poses into gestures. Belongs to one thread; times are the frames' own, seconds."""

    def __init__(self, enabled: Iterable[str]) -> None:
        self.enabled = frozenset(enabled)
        self._held: _HeldPose | None = None
        self._wrote = float("-inf")

    def update(self, hands: Iterable[Hand], time: float) -> str | None:
        """A new look at the hands → the gesture that now counts, once for each time it is made."""
        poses = [(classify_pose(h), h) for h in hands]
        if any(name == GRIP for name, _ in poses):
            self._wrote, self._held = time, None
        held = self._held
        if held and time < held.last:  # a video that began again
            held = self._held = None
        if abs(time - self._wrote) < _WRITING:
            return None
        same = next((h for name, h in poses if held and name == held.name), None)
        if held and same is None:
            if time - held.last > (_RELEASE if held.fired else _GAP):
                held = self._held = None
            else:
                return None
        if held is None:
            found = next(((name, h) for name, h in poses if name in self.enabled), None)
            if found:
                self._held = _HeldPose(found[0], time, _wrist(found[1]), time)
            return None
        assert same is not None
        held.last = time
        away = np.hypot(*np.subtract(_wrist(same), held.at))
        if not held.fired and away > _TRAVEL * same.palm_width:
            held.since, held.at = time, _wrist(same)
        if held.fired or time - held.since < HOLD:
            return None
        held.fired = True
        return held.name

    @property
    def since(self) -> float | None:
        """Since when a pose is held, whether it has counted or not; seconds."""
        return self._held.since if self._held else None

    def ring(self, time: float, width: int, height: int) -> GestureProgress | None:
        """What shows how far the pose at hand has come, for a frame of that size."""
        held = self._held
        if held is None or held.fired or time - held.last > _GAP:
            return None
        share = min(1.0, max(0.0, (time - held.since) / HOLD))
        return GestureProgress(held.name, share, held.at[0] / width, held.at[1] / height)


def _wrist(hand: Hand) -> tuple[float, float]:
    x, y = hand.landmarks[WRIST]
    return float(x), float(y)
