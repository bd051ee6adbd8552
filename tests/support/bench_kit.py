"""The benchmark made small enough for a test."""

from __future__ import annotations

import pytest

from live_digits.bench import stages
from live_digits.bench.end_to_end import Case

SMALL = Case("small", 320, 240, 15, 1.5, window=False)
"""A run of the program that takes no time."""


def made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time."""
    for name in stages.SIZES:
        monkeypatch.setitem(stages.SIZES, name, (256, 192))
