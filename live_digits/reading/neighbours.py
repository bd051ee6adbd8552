"""What stands around each candidate: the neighbours' answers and places, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.reading.classes import JUDGED

NEIGHBOURS = 16
"""Neighbours that are looked at: more cost time and bring little."""
OWN = JUDGED + 10
"""Numbers of a candidate itself."""
PAIR = JUDGED + 10
"""Numbers of a candidate and one of its neighbours."""
ASKED = 0.02
"""Probability of a digit from which a candidate is judged among its neighbours; 0 asks for all."""
_READ = 0.5
"""Probability of a digit from which a part or union counts as a mark of its own."""
_BESIDE = 2.5
"""What stands above or below is farther away by this factor than what stands on the same line."""
_TINY = 1e-4
"""Probabilities are at least this where logarithms are taken."""


def page_features(
    candidates: Sequence[Candidate], evidence: Floats
) -> tuple[npt.NDArray[np.intp], Floats, Floats, Floats]:
    """Returns what the judge is told of each candidate that may be a digit.

    Args:
        candidates: N of one page.
        evidence: float32 N×14, what the network says of each alone.

    Returns:
        The indices asked for (M), their own numbers (float32 M×24), those of their nearest
        neighbours (float32 M×16×24), and which of these exist (float32 M×16, 0 or 1).
    """
    digit = evidence[:, :NOT_A_DIGIT]
    best = np.asarray(digit.max(axis=1) if len(evidence) else np.zeros(0), np.float32)
    asked = np.asarray(np.flatnonzero(digit.sum(axis=1) > ASKED), np.intp)
    if not len(asked):
        return asked, *_nothing(0)
    box = np.array([c.box.as_list() for c in candidates], np.float32)
    x, y, w, h = box.T
    dark: Floats = np.array([c.contrast for c in candidates], np.float32) / np.float32(255)
    whole = np.array([c.is_whole for c in candidates], bool)
    logs = np.log(np.maximum(evidence, _TINY)).astype(np.float32)
    shares = _sharing(candidates)
    marks = np.flatnonzero(whole | (best > _READ))
    rivals = np.where(shares[asked], best[None], 0)
    rivals[np.arange(len(asked)), asked] = 0
    read = best[marks] > _READ
    few = [candidates[int(i)] for i in asked]
    usual = _usual_height(h, best)
    own = np.column_stack([
        logs[asked],
        np.log(h[asked] / 32), np.log(w[asked] / h[asked]), dark[asked],
        np.array([c.ink for c in few], np.float32) / (w[asked] * h[asked]),
        np.log([len(c.component_ids) for c in few]), whole[asked], rivals.max(axis=1),
        np.full(len(asked), np.log1p(len(marks)) / 4),
        np.full(len(asked), read.mean() if len(marks) else 0.0),
        np.log(h[asked] / usual) if usual else np.zeros(len(asked)),
    ]).astype(np.float32)  # fmt: skip
    pairs, there = _pairs(asked, np.asarray(marks, np.intp), (x, y, w, h), dark, logs, shares)
    return asked, np.asarray(own, np.float32), pairs, there


def _nothing(count: int) -> tuple[Floats, Floats, Floats]:
    return (
        np.zeros((count, OWN), np.float32),
        np.zeros((count, NEIGHBOURS, PAIR), np.float32),
        np.zeros((count, NEIGHBOURS), np.float32),
    )


def _usual_height(h: Floats, best: Floats) -> float:
    """The median height of what is read for itself; 0 where nothing is."""
    read = best > _READ
    return float(np.median(h[read])) if read.any() else 0.0


def _sharing(candidates: Sequence[Candidate]) -> npt.NDArray[np.bool_]:
    """Which candidates share a component, N×N; each with itself."""
    ids = sorted({p for c in candidates for p in c.component_ids})
    column = {p: k for k, p in enumerate(ids)}
    has = np.zeros((len(candidates), len(ids)), np.float32)
    for i, c in enumerate(candidates):
        has[i, [column[p] for p in c.component_ids]] = 1
    return np.asarray(has @ has.T > 0)


def _pairs(
    asked: npt.NDArray[np.intp],
    marks: npt.NDArray[np.intp],
    sides: tuple[Floats, ...],
    dark: Floats,
    logs: Floats,
    shares: npt.NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """The numbers of each one's nearest neighbours, and which exist."""
    x, y, w, h = sides
    cx, cy = x + w / 2, y + h / 2
    scale = np.maximum(h, 0.5 * w)[asked][:, None]
    dx = (cx[marks][None] - cx[asked][:, None]) / scale
    dy = (cy[marks][None] - cy[asked][:, None]) / scale
    away = np.hypot(dx, _BESIDE * dy)
    away[shares[np.ix_(asked, marks)]] = np.inf
    count = min(NEIGHBOURS, len(marks))
    _, pairs, there = _nothing(len(asked))
    if not count:
        return pairs, there
    nearest = np.argsort(away, axis=1, kind="stable")[:, :count]
    rows = np.arange(len(asked))[:, None]
    j, i = marks[nearest], asked[:, None]
    there[:, :count] = np.isfinite(away[rows, nearest])
    gap_x = (np.maximum(x[i], x[j]) - np.minimum(x[i] + w[i], x[j] + w[j])) / scale
    gap_y = (np.maximum(y[i], y[j]) - np.minimum(y[i] + h[i], y[j] + h[j])) / scale
    numbers = np.stack([
        _squashed(dx[rows, nearest]), _squashed(dy[rows, nearest]),
        _squashed((y[j] + h[j] - y[i] - h[i]) / scale), _squashed((y[j] - y[i]) / scale),
        _squashed(gap_x), _squashed(gap_y),
        np.log(h[j] / h[i]), np.log(w[j] / h[j]),
        np.log((dark[j] + 0.02) / (dark[i] + 0.02)), dark[j],
    ], axis=-1)  # fmt: skip
    pairs[:, :count, :JUDGED] = logs[j]
    pairs[:, :count, JUDGED:] = numbers
    pairs *= there[..., None]
    return pairs, there


def _squashed(distance: Floats) -> Floats:
    """Distances in heights: near ones as they are, far ones by their logarithm."""
    return np.asarray(np.sign(distance) * np.log1p(np.abs(distance)), np.float32)
