"""Figures with their spread, and variants that take turns. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """A measured quantity: the median of its repeats, and between what they lay."""

    median: float
    least: float
    most: float
    repeats: int

    def __str__(self) -> str:
        if self.repeats == 1:
            return short(self.median)
        return f"{short(self.median)} ({short(self.least)} … {short(self.most)})"

    def as_json(self) -> dict[str, float]:
        return {
            "median": _rounded(self.median),
            "min": _rounded(self.least),
            "max": _rounded(self.most),
            "repeats": self.repeats,
        }


_DIGITS = 6
"""Significant digits of a figure in the JSON."""


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def short(value: float) -> str:
    """A figure to about three digits."""
    size = abs(value)
    if size >= 100 or not size:
        return f"{value:.0f}"
    places = 1 if size >= 10 else 2 if size >= 0.1 else 3 if size >= 0.01 else 5
    return f"{value:.{places}f}"


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle. Raises ValueError of nothing."""
    if not values:
        raise ValueError("the median of no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    # Halves first: the sum of two large numbers may not be one.
    return ordered[half - 1] / 2 + ordered[half] / 2


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError of nothing."""
    return Spread(median(values), min(values), max(values), len(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """How many times `above` is `below`: the median of the quotients of each round, in which both
    met the same machine. Raises ValueError where nothing, or not the same number, was measured, or
    `below` holds what is not above 0."""
    if len(above) != len(below):
        raise ValueError(f"{len(above)} rounds of the one and {len(below)} of the other")
    if any(b <= 0 for b in below):
        raise ValueError("a ratio to nothing")
    return spread([a / b for a, b in zip(above, below, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value of nearest rank, `share` 0…1. Raises ValueError of nothing."""
    if not values:
        raise ValueError("a percentile of no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def take_turns(
    variants: Mapping[str, Callable[[int], T]],
    seconds: float,
    least: int,
    most: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[T]]:
    """Calls each variant once a round, in their order, with the round's number from 0; as many
    rounds as begin within `seconds`, at least `least` and at most `most`. What each returned."""
    found: dict[str, list[T]] = {name: [] for name in variants}
    begun = clock()
    for number in range(most):
        if number >= least and clock() - begun >= seconds:
            break
        for name, variant in variants.items():
            found[name].append(variant(number))
    return found


class Stopwatch:
    """Adds up milliseconds by the name of the stage that has just ended."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._at = clock()
        self.ms: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What passed since the last lap belongs to `stage`."""
        now = self._clock()
        self.ms[stage] = self.ms.get(stage, 0.0) + 1000 * (now - self._at)
        self._at = now

    def skip(self) -> None:
        """What passed since the last lap belongs to nothing."""
        self._at = self._clock()


def by_stage(rounds: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """The spread of each stage over rounds; a stage that a round left out took none of its time."""
    names = list(dict.fromkeys(name for one in rounds for name in one))
    return {name: spread([one.get(name, 0.0) for one in rounds]) for name in names}


def as_json(values: Any) -> Any:
    """Dataclasses' own `as_json`, mappings and sequences as JSON takes them."""
    if hasattr(values, "as_json"):
        return values.as_json()
    if isinstance(values, Mapping):
        return {str(key): as_json(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [as_json(value) for value in values]
    return values
