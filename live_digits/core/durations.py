"""How long things take: seconds gathered, summed up as percentiles in milliseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

KEPT = 65_536
"""Durations kept of each kind, the newest: percentiles are theirs."""
COPIED = 4096
"""The same where all are copied to another thread at each asking."""


class Durations:
    """Seconds, gathered one by one; summed up in milliseconds."""

    def __init__(self, kept: int = KEPT) -> None:
        self._values: deque[float] = deque(maxlen=kept)

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def add(self, seconds: float) -> None:
        self._values.append(seconds)

    def recent(self, count: int) -> float:
        """Mean of the newest `count`, seconds; 0 before the first."""
        newest = [self._values[-1 - i] for i in range(min(count, len(self._values)))]
        return sum(newest) / len(newest) if newest else 0.0

    def percentiles(self) -> dict[str, float] | None:
        """p50, p95 and p99 in milliseconds; None where nothing was measured."""
        return percentiles(self._values)


_PERCENTILES = (50, 95, 99)


def percentiles(seconds: Collection[float]) -> dict[str, float] | None:
    """p50, p95 and p99 (nearest rank) in milliseconds; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {
        f"p{p}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 3)
        for p in _PERCENTILES
    }
