"""Verdicts → the digits of a picture, and why each other box carries none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from live_digits.config.settings import ReadingSettings
from live_digits.core.geometry import Box
from live_digits.core.types import NOT_A_DIGIT, Candidate, Digit, Floats, Rejected
from live_digits.reading.candidate_selection import select
from live_digits.reading.classes import REASONS, reason_of

UNSURE = "unsure"
"""The reason of what is rather a digit than not, but not surely enough to be shown as one."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A frame's boxes by what became of them. `digits` are in no order yet."""

    digits: tuple[Digit, ...]
    pending: tuple[Box, ...] = ()
    rejected: tuple[Rejected, ...] = ()


def resolve_once(
    candidates: Sequence[Candidate], verdicts: Floats, settings: ReadingSettings
) -> Resolved:
    """Reads each component of ink of a single picture at most once.

    Args:
        candidates: N of the picture.
        verdicts: float32 N×14.
        settings: the confidence that a digit needs.

    Returns:
        The digits, their track numbers counting from 1, and the whole boxes that carry none.
    """
    chosen = select(candidates, verdicts)
    digits: list[Digit] = []
    unread: list[int] = []
    for i in sorted(chosen):
        label = int(verdicts[i, :NOT_A_DIGIT].argmax())
        confidence = float(verdicts[i, label])
        if confidence >= settings.confidence:
            digits.append(Digit(candidates[i].box, label, confidence, len(digits) + 1))
        else:
            unread.append(i)
    unread += disjoint_from(candidates, chosen)
    rejected = tuple(rejection(candidates[i].box, verdicts[i]) for i in sorted(unread))
    return Resolved(tuple(digits), (), rejected)


def disjoint_from(candidates: Sequence[Candidate], chosen: Iterable[int]) -> list[int]:
    """Returns the whole candidates that share no component with a chosen candidate."""
    taken = {piece for i in chosen for piece in candidates[i].component_ids}
    return [i for i, c in enumerate(candidates) if c.is_whole and not c.component_ids & taken]


def rejection(box: Box, verdict: Floats) -> Rejected:
    """Returns why a box carries no digit, and how sure that is.

    Args:
        box: of the candidate.
        verdict: float32 14.
    """
    no_digit = float(verdict[NOT_A_DIGIT:].sum())
    if float(verdict[:NOT_A_DIGIT].max()) > no_digit:
        return Rejected(box, UNSURE, float(verdict[:NOT_A_DIGIT].max()))
    name = reason_of(verdict)
    return Rejected(box, name, float(verdict[NOT_A_DIGIT + REASONS.index(name)]))


def numbered(digits: Iterable[Digit]) -> tuple[Digit, ...]:
    """Returns the digits with tracks counted from 1 in their order, for single pictures."""
    return tuple(replace(d, track=i) for i, d in enumerate(digits, 1))
