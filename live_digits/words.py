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
_LOOK, _SURE, _START = 1.1, 0.45, -3.2
"""Evidence of a mark that is read: by its look and by the network's log odds, from this."""
_LONE = 0.1
"""Its look and the odds say no less for itself than this: without letters around, what is read is
read. Below 0 they say nothing against others."""
_REFUSED = -2.5
"""Evidence for its word of a mark that is none of the digits and no dot, bar or bracket."""
_DOUBTED, _DENIED, _DENIED_MOST = -0.3, -0.28, 6.0
"""... and for all around: this and, for each of the network's log odds for it to be no digit, up to
the third, this. What is nearly one is a digit that is hard to read."""
_TINY = 1e-6
"""Probabilities are this far from 0 and 1 at least where log odds are taken."""
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
_WORD, _AROUND = 0.5, 2.8
"""Weights of a word and of all around."""


def digit_odds(
    marks: Sequence[Candidate], read: npt.NDArray[np.bool_], probabilities: Floats
) -> Floats:
    """The log odds of the M marks that are `read` (bool N) to be digits and no letters, float32 M,
    in their order. `probabilities`: float32 N×11."""
    box = np.array([(c.box.x, c.box.y, c.box.right, c.box.bottom) for c in marks], np.float32)
    box = box.reshape(-1, 4)
    dark = np.array([c.dark for c in marks], np.float32)
    own, word, around = _evidence(box, read, probabilities)
    asked, gaps = np.flatnonzero(read), _gaps(box, dark)
    of_word = (_along(gaps, word) + _along(gaps.T, word))[asked]
    nearby = _nearby(box, dark, around, asked)
    return np.asarray(own[asked] + _WORD * of_word + _AROUND * nearby, np.float32)


def _evidence(
    box: Floats, read: npt.NDArray[np.bool_], probabilities: Floats
) -> tuple[Floats, Floats, Floats]:
    """What each mark says of itself, of its word, and of all around, NaN where it says nothing."""
    digits, no_digit = probabilities[:, :NOT_A_DIGIT], probabilities[:, NOT_A_DIGIT]
    best = np.clip(digits.max(axis=1), _READ, _SUREST)
    taken = read & (digits.max(axis=1) >= _READ)
    unsure = read & ~taken & (probabilities.argmax(axis=1) != NOT_A_DIGIT)
    shape = (box[:, 2] - box[:, 0]) / (box[:, 3] - box[:, 1])
    letter = (shape > _LETTER_WIDE[0]) & (shape < _LETTER_WIDE[1]) & ~unsure
    alone = _LOOK * _LOOKS[digits.argmax(axis=1)] + _SURE * _odds(best) + _START
    digit = np.maximum(alone, 0)
    word = np.where(taken, digit, np.where(letter, _REFUSED, 0)).astype(np.float32)
    denied = _DOUBTED + _DENIED * np.clip(_odds(no_digit), 0, _DENIED_MOST)
    around = np.where(taken, digit, np.where(letter, denied, np.nan)).astype(np.float32)
    return np.maximum(alone, _LONE), word, around


def _odds(probability: Floats) -> Floats:
    """Log odds."""
    p = np.clip(probability, _TINY, 1 - _TINY)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def _gaps(box: Floats, dark: Floats) -> Floats:
    """How far, in heights, from each mark to those to the right that may stand in a word with it,
    N×N; infinite for all others."""
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
    return gaps


def _along(gaps: Floats, says: Floats) -> Floats:
    """The evidence that follows each mark, from neighbour to neighbour, halved again and again by
    the gaps on the way; `gaps` N×N: from a mark to those that may follow it."""
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


def _nearby(box: Floats, dark: Floats, says: Floats, asked: npt.NDArray[np.intp]) -> Floats:
    """The mean evidence of the comparable marks around each that is asked for."""
    counts = (~np.isnan(says)).astype(np.float32)
    says = np.nan_to_num(says)
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
