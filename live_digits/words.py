"""Letters that look like digits: an o is a 0, an s a 5, an l a 1 once they are cropped, and only
the word they stand in and the page around tell.

Each mark is evidence for digits or for letters, by how often letters look like it and how sure the
network is of it (naive Bayes, in log odds). A mark's own evidence, that of its word, which fades
with the gaps between, and the mean of what is around are added with weights of a logistic
regression on drawn pages of words and numbers (`benchmarks/words.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from live_digits.types import NOT_A_DIGIT, Candidate, Floats

_LETTERS = (0.076, 0.137, 0.017, 0.004, 0.012, 0.038, 0.016, 0.012, 0.014, 0.015)
"""The share of all letters that is read as 0 … 9; the rest is refused."""
_DIGITS = 0.096
"""The share of all digits that is read as one of them."""
_LOOKS = np.log(_DIGITS / np.array(_LETTERS, np.float32))
"""Log odds of a digit and no letter, by what is read."""
_LOOK, _SURE, _START = 1.1, 0.45, -3.1
"""Evidence of a mark that is read: by its look and by the network's log odds, from this."""
_REFUSED = -2.0
"""Evidence of a mark that is none of the digits and no dot, bar or bracket."""
_DOUBT = -0.5
"""A mark's look says no more against it than this: without letters around, what is read is read. It
says nothing against others."""
_READ, _SUREST = 0.6, 0.9995
"""Confidence from which a mark is read, and at which the network is taken to be at most."""
_LETTER_WIDE = (0.2, 4.0)
"""Width over height of what may be a letter, or a few that touch."""
_LEVEL, _LIKE, _AS_DARK = 0.4, 2.2, 2.0
"""Marks are neighbours in a word that share so much of the lower one's height, and differ by less
than these factors in height and darkness."""
_STEPS = 8
"""So many neighbours to each side tell what a word is."""
_GAP = 0.45
"""A neighbour counts half from gaps, summed up to it, of so many heights on."""
_NEARER = np.float32(1e-4)
"""Of two neighbours that overlap the mark, the nearer one is the next."""
_ALIKE, _ALIKE_DARK = 2.5, 0.5
"""Marks around are comparable up to this factor in height, from this share of the darkness."""
_FAR, _PRIOR = 8.0, 4.0
"""A mark around counts half at so many heights from it; nothing around weighs so many marks."""
_WORD, _AROUND, _LEAN = 0.67, 2.8, 0.6
"""Weights of a word and of all around, and the log odds of a digit where nothing speaks."""


def digit_odds(
    marks: Sequence[Candidate], read: npt.NDArray[np.bool_], probabilities: Floats
) -> Floats:
    """The log odds of the M marks that are `read` (bool N) to be digits and no letters, float32 M,
    in their order. `probabilities`: float32 N×11."""
    box = np.array([(c.box.x, c.box.y, c.box.right, c.box.bottom) for c in marks], np.float32)
    box = box.reshape(-1, 4)
    dark = np.array([c.dark for c in marks], np.float32)
    own, says, counts = _evidence(box, read, probabilities)
    asked = np.flatnonzero(read)
    word = _in_word(box, dark, says)[asked]
    around = _nearby(box, dark, says, counts, asked)
    return np.asarray(own[asked] + _WORD * word + _AROUND * around + _LEAN, np.float32)


def _evidence(
    box: Floats, read: npt.NDArray[np.bool_], probabilities: Floats
) -> tuple[Floats, Floats, Floats]:
    """What each mark says of itself, what it says of others, and whether it says anything, 0 or
    1."""
    digits = probabilities[:, :NOT_A_DIGIT]
    best = np.clip(digits.max(axis=1), _READ, _SUREST)
    look = _LOOKS[digits.argmax(axis=1)]
    taken = read & (digits.max(axis=1) >= _READ)
    unsure = read & ~taken & (probabilities.argmax(axis=1) != NOT_A_DIGIT)
    shape = (box[:, 2] - box[:, 0]) / (box[:, 3] - box[:, 1])
    letter = (shape > _LETTER_WIDE[0]) & (shape < _LETTER_WIDE[1]) & ~unsure
    own = _LOOK * look + _SURE * np.log(best / (1 - best)) + _START
    says = np.where(taken, np.maximum(own, 0), np.where(letter, _REFUSED, 0)).astype(np.float32)
    return np.maximum(own, _DOUBT), says, (taken | letter).astype(np.float32)


def _in_word(box: Floats, dark: Floats, says: Floats) -> Floats:
    """The evidence of the marks to the left and right, from neighbour to neighbour, halved again
    and again by the gaps on the way."""
    x0, y0, x1, y1 = box.T
    high, centre = y1 - y0, (x0 + x1) / 2
    shared = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    beside = (shared > _LEVEL * np.minimum(high[:, None], high)) & (centre > centre[:, None])
    beside &= (high < _LIKE * high[:, None]) & (high * _LIKE > high[:, None])
    beside &= (dark <= _AS_DARK * dark[:, None]) & (dark * _AS_DARK >= dark[:, None])
    gaps = np.full(beside.shape, np.inf, np.float32)
    left, right = np.nonzero(beside)
    apart = np.maximum(0, x0[right] - x1[left]) + _NEARER * (centre[right] - centre[left])
    gaps[left, right] = 2 * apart / (high[left] + high[right])
    return _along(gaps, says) + _along(gaps.T, says)


def _along(gaps: Floats, says: Floats) -> Floats:
    """The evidence that follows each mark; `gaps` N×N: from a mark to those that may follow it."""
    if not len(gaps):
        return says
    following = gaps.argmin(axis=1)
    gap = gaps[np.arange(len(gaps)), following]
    total, way = np.zeros(len(gaps), np.float32), np.zeros(len(gaps), np.float32)
    at = np.arange(len(gaps))
    for _ in range(_STEPS):
        way += gap[at]
        at = following[at]
        total += np.exp2(way / -_GAP) * says[at]
    return total


def _nearby(
    box: Floats, dark: Floats, says: Floats, counts: Floats, asked: npt.NDArray[np.intp]
) -> Floats:
    """The mean evidence of the comparable marks around each that is asked for."""
    x0, y0, x1, y1 = box.T
    left, top, right, bottom = (side[:, None] for side in box[asked].T)
    high, mine = y1 - y0, bottom - top
    across = np.maximum(0, np.maximum(x0 - right, left - x1))
    down = np.maximum(0, np.maximum(y0 - bottom, top - y1))
    alike = (high * _ALIKE > mine) & (high < _ALIKE * mine)
    alike &= dark >= _ALIKE_DARK * dark[asked][:, None]
    alike[np.arange(len(asked)), asked] = False
    away = np.sqrt(across * across + down * down) / mine
    weight = np.exp(away * np.float32(-np.log(2) / _FAR)) * alike
    return np.asarray((weight @ says) / (weight @ counts + _PRIOR), np.float32)
