"""Boxes → tracks with stable ids.

Each frame's boxes are paired with the tracks where those are expected to be (their own velocity and
the common drift of the page), nearest first; the paper moves as one, so the median shift of sure
pairs serves the rest. In the spirit of SORT (A. Bewley et al., "Simple online and realtime
tracking", 2016), with greedy pairs, since boxes on paper do not cross.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from live_digits.config.settings import TrackerSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Track

_REACH = 0.6
"""A box may lie this far from where its track is expected, as a share of the box's size."""
_SIZE_RATIO = 1.6
"""Width or height may change by this factor at most, beyond some pixels of slack."""
_SLACK = 4
_SMOOTH = 0.5
"""Weight of the newest shift in a track's velocity."""
_MOVING = 0.5
"""Faster than this, in box heights a second, a track is moving."""
_AHEAD = 0.2
"""Seconds for which a track that was missed is expected to go on as it did."""
_STEADY = 0.25
"""Seconds that a track was seen before it is kept under a hand: a knuckle is soon hidden itself."""
CLOCK_ROUNDING = 0.001
"""Seconds by which a file's clock may differ from its camera's: replays follow the same."""
_PRIMARY_COST = 0.25
"""A whole blob and a half or union are not easily taken for one another."""

_Array = npt.NDArray[np.float64]


@dataclass(slots=True)
class _TrackState:
    """A track's memory. `shift` is its velocity, pixels a second. Under a hand it is `held` (when
    last, seconds) and lies where the page has `carried` it since it was seen, pixels."""

    id: int
    box: Box
    is_whole: bool
    component_ids: int
    seen: float
    age: int
    velocity: _Array
    first_seen: float
    held: float
    offset: _Array

    @property
    def hidden(self) -> bool:
        """Whether a hand came over it after it was seen last."""
        return self.held > self.seen

    def extrapolate(self, time: float, longest: float = math.inf) -> _Array:
        """How far the track should have come from its box; for `longest` seconds at most by its own
        velocity."""
        return self.offset if self.hidden else self.velocity * min(time - self.seen, longest)

    def box_at(self, time: float) -> Box:
        """Where the track should be."""
        return self.box.moved(*_whole(self.extrapolate(time)))


class Tracker:
    """Follows the candidates of a moving picture. Belongs to one thread."""

    def __init__(self, settings: TrackerSettings) -> None:
        self.settings = settings
        self._known: list[_TrackState] = []
        self._next = 1
        self._drift = np.zeros(2)
        self._time = 0.0
        """The latest frame's time."""

    def update(
        self,
        candidates: Sequence[Candidate],
        time: float,
        covered: Callable[[Box], bool] | None = None,
    ) -> tuple[Track, ...]:
        """This frame's tracks, one a candidate and in their order. `time`: seconds, growing.
        `covered` tells which boxes may lie under a hand.

        Tracks that were neither seen nor covered for `settings.expiry` seconds are forgotten; their
        ids never return. Where frames are further apart than that, those of the last frame are
        looked for in this one all the same: nobody has missed them yet.
        """
        if covered is not None:
            self._hold(covered, time)
        known = [k for k in self._known if k.seen == self._time or self._lasts(k, time)]
        pairs = self._pair(known, candidates, time)
        self._learn_drift(candidates, pairs, time)
        self._carry(known, pairs, time)
        tracks: list[Track] = []
        fresh: list[_TrackState] = []
        for i, c in enumerate(candidates):
            k = pairs.get(i)
            if k is None:
                k = _TrackState(
                    self._next, c.box, c.is_whole, len(c.component_ids), time, 0,
                    self._drift.copy(),
                    first_seen=time, held=-math.inf, offset=np.zeros(2),
                )  # fmt: skip
                self._next += 1
                fresh.append(k)
            else:
                self._move(k, c, time)
            speed = float(np.hypot(*k.velocity)) / max(1, c.box.h)
            tracks.append(Track(k.id, c.box, i, k.age, speed > _MOVING))
        self._known = [k for k in known if self._lasts(k, time)] + fresh
        return tuple(tracks)

    def _lasts(self, k: _TrackState, time: float) -> bool:
        """Whether the track's time has not run out."""
        return time - max(k.seen, k.held) <= self.settings.expiry + CLOCK_ROUNDING

    def missing(self, time: float) -> tuple[Track, ...]:
        """Tracks that the latest frame did not show but that may return, where they should be by
        now. Their `candidate` is −1."""
        return tuple(Track(k.id, k.box_at(time), -1, k.age) for k in self._known if k.seen < time)

    @property
    def drift(self) -> _Array:
        """The page's own velocity at the latest frame, pixels a second, across and down."""
        return self._drift

    def alive(self) -> frozenset[int]:
        """Ids that may still return, this frame's included."""
        return frozenset(k.id for k in self._known)

    def reset(self) -> None:
        """Forgets all tracks; ids go on counting."""
        self._known = []
        self._drift = np.zeros(2)

    def _pair(
        self, known: Sequence[_TrackState], candidates: Sequence[Candidate], time: float
    ) -> dict[int, _TrackState]:
        """Candidate index → track."""
        if not known or not candidates:
            return {}
        x, y, w, h = np.array([c.box.as_list() for c in candidates], np.float64).T[..., None]
        x0, y0, w0, h0 = np.array([k.box.as_list() for k in known], np.float64).T[:, None]
        dx, dy = np.array([k.extrapolate(time, _AHEAD) for k in known]).T[:, None]
        # Whole matrices a side, candidates × tracks: a reduction over pairs of numbers is slow.
        wide, high = np.maximum(w, w0), np.maximum(h, h0)
        slim, low = np.minimum(w, w0), np.minimum(h, h0)
        scale = np.maximum(wide, high)
        across = np.abs((x + w / 2) - (x0 + w0 / 2 + dx))
        down = np.abs((y + h / 2) - (y0 + h0 / 2 + dy))
        away = np.maximum(across, down) / scale
        stretch = np.maximum(wide - slim, high - low) / scale
        fits = (wide <= _SIZE_RATIO * slim + _SLACK) & (high <= _SIZE_RATIO * low + _SLACK)
        fits &= away <= _REACH
        main_c = np.array([c.is_whole for c in candidates])
        main_k = np.array([k.is_whole for k in known])
        cost = away + stretch + _PRIMARY_COST * (main_c[:, None] != main_k[None])
        rows, columns = np.nonzero(fits)
        pairs: dict[int, _TrackState] = {}
        taken: set[int] = set()
        for at in np.argsort(cost[rows, columns], kind="stable"):
            i, j = int(rows[at]), int(columns[at])
            if i not in pairs and j not in taken:
                pairs[i] = known[j]
                taken.add(j)
        return pairs

    def _hold(self, covered: Callable[[Box], bool], time: float) -> None:
        """Keeps what has come to lie under a hand, but not what moves with it."""
        for k in self._known:
            speed = float(np.hypot(*(k.velocity - self._drift))) / max(1, k.box.h)
            steady = k.hidden or (k.seen - k.first_seen >= _STEADY and speed <= _MOVING)
            if steady and covered(k.box_at(time)):
                k.held = time

    def _carry(
        self, alive: Sequence[_TrackState], pairs: dict[int, _TrackState], time: float
    ) -> None:
        """Has the page take along what lies on it unseen."""
        seen = {k.id for k in pairs.values()}
        step = self._drift * (time - self._time)
        for k in alive:
            if k.hidden and k.id not in seen:
                k.offset = k.offset + step
        self._time = time

    def _learn_drift(
        self, candidates: Sequence[Candidate], pairs: dict[int, _TrackState], time: float
    ) -> None:
        """The page's own velocity: the median over pairs."""
        shifts = [
            (np.array(candidates[i].box.centre) - np.array(k.box.centre)) / (time - k.seen)
            for i, k in pairs.items()
            if time > k.seen and not k.hidden
        ]
        self._drift = np.median(shifts, axis=0) if shifts else np.zeros(2)

    def _move(self, k: _TrackState, c: Candidate, time: float) -> None:
        passed = time - k.seen
        if passed > 0:
            step = (np.array(c.box.centre) - np.array(k.box.centre)) / passed
            k.velocity = k.velocity + _SMOOTH * (step - k.velocity)
        k.offset = np.zeros(2)
        k.box, k.is_whole, k.component_ids, k.seen = c.box, c.is_whole, len(c.component_ids), time
        k.age += 1


def _whole(by: _Array) -> tuple[int, int]:
    return round(float(by[0])), round(float(by[1]))
