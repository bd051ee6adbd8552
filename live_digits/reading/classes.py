"""The classes that the judge tells apart: ten digits, and four kinds of what is no digit."""

from __future__ import annotations

import numpy as np

from live_digits.core.types import CLASSES, NOT_A_DIGIT, Floats

LETTER, SIGN, PART, MARK = 10, 11, 12, 13
"""What is no digit: a letter; an operator, bracket or comma; a part of a digit or several digits;
a ruling, edge, shade, drawing or texture."""
JUDGED = 14
"""How many classes the judge tells apart."""
REASONS = ("letter", "sign", "part", "mark")
"""The names of the classes from LETTER on: why a box carries no digit."""


def reason_of(probabilities: Floats) -> str:
    """Returns the name of the likeliest class that is no digit.

    Args:
        probabilities: float32 of `JUDGED` values, of one candidate.
    """
    return REASONS[int(np.argmax(probabilities[NOT_A_DIGIT:]))]


def from_crops(probabilities: Floats) -> Floats:
    """Returns the answers of a network of eleven classes in the judge's classes.

    Args:
        probabilities: float32 N×11; the last class, "not a digit", becomes MARK.
    """
    if probabilities.shape[1] != CLASSES:
        raise ValueError(f"got {probabilities.shape[1]} classes, expected {CLASSES}")
    out = np.zeros((len(probabilities), JUDGED), np.float32)
    out[:, :NOT_A_DIGIT] = probabilities[:, :NOT_A_DIGIT]
    out[:, MARK] = probabilities[:, NOT_A_DIGIT]
    return out
