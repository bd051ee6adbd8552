"""Candidates and answers as tests make them up."""

from __future__ import annotations

import numpy as np
from fakes import judged
from hypothesis import strategies as st

from live_digits.config.settings import ReadingSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Floats
from live_digits.reading.classes import JUDGED, MARK

SETTINGS = ReadingSettings(confidence=0.6)


def candidate(x: int, pieces: set[int], *, w: int = 20, is_whole: bool = True) -> Candidate:
    """40 px high, its ink in proportion to its width."""
    return Candidate(Box(x, 50, w, 40), frozenset(pieces), is_whole, 10 * w, 120)


def rows(*answers: tuple[int, float]) -> Floats:
    """A class 0…13 and its probability each; the rest is MARK's."""
    return np.array([judged(label, p) for label, p in answers], np.float32).reshape(-1, JUDGED)


def split(label: int, p: float, other: int, q: float, rest: int = MARK) -> Floats:
    """Two classes of these probabilities; what is left is that of `rest`."""
    out = np.zeros(JUDGED, np.float32)
    out[label], out[other] = p, q
    out[rest] += 1 - p - q
    return out


WHOLE, LEFT, RIGHT = (
    candidate(0, {1, 2}, w=40),
    candidate(0, {1}, is_whole=False),
    candidate(20, {2}, is_whole=False),
)
"""Two halves that touch, and both as one."""


@st.composite
def pages(draw: st.DrawFn, most: int = 24) -> tuple[list[Candidate], Floats]:
    """Candidates that share components at random, and answers of any sureness."""
    count = draw(st.integers(0, most))
    components = draw(st.integers(1, 20))
    candidates = []
    for i in range(count):
        pieces = draw(st.sets(st.integers(1, components), min_size=1, max_size=4))
        box = Box(7 * i, draw(st.integers(0, 300)), draw(st.integers(1, 90)), 9 + i)
        ink, dark = draw(st.integers(1, 500)), draw(st.integers(0, 255))
        candidates.append(Candidate(box, frozenset(pieces), draw(st.booleans()), ink, dark))
    seed, sharpness = draw(st.integers(0, 2**32)), draw(st.sampled_from((0.5, 3.0, 9.0)))
    weights = np.exp(sharpness * np.random.default_rng(seed).normal(size=(count, JUDGED)))
    return candidates, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
