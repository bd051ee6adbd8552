"""Which of the candidates that share ink are read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import LEFT, RIGHT, WHOLE, candidate, pages, rows, split

from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.reading.candidate_selection import select
from live_digits.reading.classes import JUDGED, LETTER, MARK, PART, SIGN


@pytest.mark.parametrize(
    ("whole", "left", "right", "read"),
    [
        ((5, 0.7), (7, 0.97), (3, 0.9), [1, 2]),
        ((8, 0.97), (7, 0.7), (3, 0.7), [0]),
        ((PART, 0.95), (7, 0.95), (3, 0.9), [1, 2]),
        ((8, 0.95), (PART, 0.99), (PART, 0.99), [0]),
        ((PART, 0.95), (7, 0.9), (SIGN, 0.9), [1]),
        ((MARK, 0.9), (PART, 0.9), (LETTER, 0.9), []),
    ],
)
def test_the_surest_of_those_that_share_ink_is_read(
    whole: tuple[int, float], left: tuple[int, float], right: tuple[int, float], read: list[int]
) -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        candidates = [(WHOLE, LEFT, RIGHT)[i] for i in order]
        chosen = select(candidates, rows(*((whole, left, right)[i] for i in order)))
        assert [order[i] for i in chosen] == read, "surest first, in whatever order they come"


def test_what_is_likelier_no_digit_is_not_read_though_no_class_alone_is_likelier() -> None:
    doubtful = np.zeros((1, JUDGED), np.float32)
    doubtful[0, [4, LETTER, SIGN, PART]] = 0.4, 0.2, 0.2, 0.2
    assert select([WHOLE], doubtful) == ()
    doubtful[0, [4, 9, LETTER, SIGN, PART]] = 0.5, 0.1, 0.2, 0.1, 0.1
    assert select([WHOLE], doubtful) == (0,)


def test_nothing_found_nothing_read() -> None:
    assert select([], np.zeros((0, JUDGED), np.float32)) == ()


def test_answers_of_eleven_classes_will_do() -> None:
    assert select([WHOLE, LEFT], rows((8, 0.7), (7, 0.9))[:, :11]) == (1,)


def test_a_chain_of_rivals_is_read_as_the_sure_ones() -> None:
    singles = [candidate(20 * i, {i}, is_whole=False) for i in range(10)]
    pairs = [candidate(20 * i, {i, i + 1}, w=40, is_whole=False) for i in range(9)]
    together = candidate(0, set(range(10)), w=200, is_whole=False)
    answers = rows(*[(i, 0.95) for i in range(10)], *[(0, 0.65)] * 9, (8, 0.9))
    assert sorted(select([*singles, *pairs, together], answers)) == list(range(10))


@settings(deadline=None, max_examples=200)
@given(pages())
def test_no_ink_is_read_twice_and_nothing_is_left_that_could_be_read(
    page: tuple[list[Candidate], Floats],
) -> None:
    candidates, answers = page
    chosen = select(candidates, answers)
    pieces = [p for i in chosen for p in candidates[i].component_ids]
    assert len(pieces) == len(set(pieces))
    worth = answers[:, :NOT_A_DIGIT].max(axis=1)
    assert all(worth[a] >= worth[b] for a, b in pairwise(chosen))
    for i, c in enumerate(candidates):
        no_digit = worth[i] < answers[i, NOT_A_DIGIT:].sum()
        surer = any(
            c.component_ids & candidates[k].component_ids and worth[k] >= worth[i] for k in chosen
        )
        assert (i in chosen) or no_digit or surer


@settings(deadline=None, max_examples=100)
@given(pages(), st.integers(0, 2**32))
def test_the_order_of_the_candidates_does_not_matter(
    page: tuple[list[Candidate], Floats], seed: int
) -> None:
    candidates, answers = page
    if len(set(answers[:, :NOT_A_DIGIT].max(axis=1, initial=0))) < len(candidates):
        return  # equals are read as they come, whole ones first
    order = np.random.default_rng(seed).permutation(len(candidates))
    turned = select([candidates[i] for i in order], answers[order])
    assert [int(order[i]) for i in turned] == list(select(candidates, answers))


def test_of_equals_the_whole_is_read() -> None:
    same = split(3, 0.9, 8, 0.05)
    assert select([LEFT, WHOLE, RIGHT], np.stack([same, same, same])) == (1,)
