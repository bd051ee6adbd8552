"""Which of the competing candidates of a page are read: each component of ink at most once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats


def select(candidates: Sequence[Candidate], verdicts: Floats) -> tuple[int, ...]:
    """Chooses digits greedily by confidence; candidates that share a component exclude each other.

    Args:
        candidates: N of one page.
        verdicts: float32 N×11 or N×14, probabilities; the first ten are the digits.

    Returns:
        The indices of the candidates chosen, those most likely digits only, surest first, and of
        equals whole components first.
    """
    if not len(candidates):
        return ()
    best = verdicts[:, :NOT_A_DIGIT].max(axis=1)
    likely = best >= verdicts[:, NOT_A_DIGIT:].sum(axis=1)
    chosen: list[int] = []
    taken: set[int] = set()
    for i in np.lexsort(([not c.is_whole for c in candidates], -best)):
        if likely[i] and best[i] > 0 and not candidates[i].component_ids & taken:
            chosen.append(int(i))
            taken |= candidates[i].component_ids
    return tuple(chosen)
