"""Candidates and answers as tests make them up."""

from __future__ import annotations

import numpy as np
from fakes import probabilities

from live_digits.config import ReadingSettings
from live_digits.types import CLASSES, NOT_A_DIGIT, Box, Candidate, Floats

SETTINGS = ReadingSettings(confidence=0.6)


def candidate(x: int, pieces: set[int], *, w: int = 20, primary: bool = True) -> Candidate:
    """40 px high, its ink in proportion to its width."""
    return Candidate(Box(x, 50, w, 40), frozenset(pieces), primary, 10 * w)


def rows(*answers: tuple[int, float]) -> Floats:
    return np.array([probabilities(label, p) for label, p in answers], np.float32)


def split(label: int, p: float, other: int, q: float) -> Floats:
    """Two labels of these probabilities; the rest is for 'not a digit'."""
    out = np.zeros(CLASSES, np.float32)
    out[label], out[other] = p, q
    out[NOT_A_DIGIT] = 1 - p - q
    return out


WHOLE, LEFT, RIGHT = (
    candidate(0, {1, 2}, w=40),
    candidate(0, {1}, primary=False),
    candidate(20, {2}, primary=False),
)
"""Two halves that touch, and both as one."""
