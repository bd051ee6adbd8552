"""What the judge is told of a candidate's neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from label_kit import LEFT, RIGHT, WHOLE, candidate, pages, rows

from live_digits.core.geometry import Box
from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.reading.classes import JUDGED, LETTER, MARK
from live_digits.reading.neighbours import ASKED, NEIGHBOURS, OWN, PAIR, page_features

HEIGHT = JUDGED
"""The column of a candidate's own size."""


def grid(count: int, size: float = 1.0, x: int = 0, y: int = 0) -> list[Candidate]:
    """Marks in lines of ten, no two of them equally far from a third."""
    rng = np.random.default_rng(3)
    marks = []
    for i in range(count):
        dx, dy, w, h = (int(v) for v in rng.integers((0, 0, 12, 26), (9, 9, 24, 40)))
        box = Box(*(round(v * size) for v in (40 * (i % 10) + dx, 60 * (i // 10) + dy, w, h)))
        ink = round(0.3 * box.area)
        marks.append(Candidate(box.moved(x, y), frozenset((i,)), True, ink, 90 + i % 50))
    return marks


def told(count: int, seed: int = 1) -> Floats:
    """Answers of which about half are read as a digit."""
    weights = np.random.default_rng(seed).dirichlet(np.full(JUDGED, 0.2), count)
    return weights.astype(np.float32).reshape(-1, JUDGED)


@pytest.mark.parametrize("count", [0, 1, 2, NEIGHBOURS, NEIGHBOURS + 1, 200])
def test_numbers_are_there_for_any_count(count: int) -> None:
    answers = told(count)
    asked, own, pairs, there = page_features(grid(count), answers)
    wanted = np.flatnonzero(answers[:, :NOT_A_DIGIT].sum(axis=1) > ASKED)
    np.testing.assert_array_equal(asked, wanted)
    m = len(asked)
    assert (own.shape, pairs.shape, there.shape) == (
        (m, OWN), (m, NEIGHBOURS, PAIR), (m, NEIGHBOURS)
    )  # fmt: skip
    for numbers in (own, pairs, there):
        assert numbers.dtype == np.float32
        assert np.isfinite(numbers).all()
    assert (there.sum(axis=1) == min(NEIGHBOURS, max(0, count - 1))).all() or not m
    assert not pairs[there == 0].any()


@settings(deadline=None, max_examples=60)
@given(pages(most=40))
def test_any_page_gives_finite_numbers(page: tuple[list[Candidate], Floats]) -> None:
    _, own, pairs, there = page_features(*page)
    assert np.isfinite(own).all()
    assert np.isfinite(pairs).all()
    assert set(np.unique(there)) <= {0.0, 1.0}
    assert not pairs[there == 0].any()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_candidates_does_not_matter(seed: int) -> None:
    marks, answers = grid(60), told(60)
    order = np.random.default_rng(seed).permutation(60)
    asked, *numbers = page_features(marks, answers)
    again, *turned = page_features([marks[i] for i in order], answers[order])
    rows_of = {int(order[i]): row for row, i in enumerate(again)}
    at = [rows_of[int(i)] for i in asked]
    (own, pairs, there), (own_, pairs_, there_) = numbers, turned
    np.testing.assert_allclose(own, own_[at], atol=1e-5)
    np.testing.assert_array_equal(there, there_[at])
    for one, other in zip(pairs, pairs_[at], strict=True):  # equally far ones in any order
        a, b = (x[np.lexsort(x.round(4).T)] for x in (one, other))
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_shares_ink_is_no_neighbour_but_a_rival() -> None:
    beside = candidate(60, {9})
    page = [WHOLE, LEFT, RIGHT, beside]
    asked, own, pairs, there = page_features(page, rows((8, 0.9), (7, 0.8), (3, 0.7), (5, 0.99)))
    assert list(asked) == [0, 1, 2, 3]
    assert list(there.sum(axis=1)) == [1, 2, 1 + 1, 3]
    whole_sees = pairs[0, there[0] > 0]
    assert [int(n) for n in whole_sees[:, :JUDGED].argmax(axis=1)] == [5]
    rival = JUDGED + 6
    np.testing.assert_allclose(own[:, rival], [0.8, 0.9, 0.9, 0.0], atol=1e-6)


def test_halves_that_are_no_digit_are_nobodys_neighbour() -> None:
    page = [WHOLE, LEFT, RIGHT, candidate(60, {9})]
    _, _, _, there = page_features(page, rows((8, 0.9), (MARK, 0.8), (MARK, 0.8), (5, 0.99)))
    assert list(there.sum(axis=1))[-1] == 1


def test_the_nearest_are_looked_at_and_those_on_the_line_first() -> None:
    marks = [Candidate(Box(30 * i, 0, 20, 30), frozenset((i,)), True, 100, 90) for i in range(40)]
    above = Candidate(Box(30 * 20, -40, 20, 30), frozenset((99,)), True, 100, 90)
    labels = [(i % 10, 0.9) for i in range(40)]
    _, _, pairs, there = page_features([*marks, above], rows(*labels, (LETTER, 0.9)))
    assert there[20].all()
    sides = pairs[20, :, JUDGED]
    assert sides[0] == pytest.approx(-sides[1], abs=1e-5)
    assert {int(n) for n in pairs[20, :2, :JUDGED].argmax(axis=1)} == {9, 1}
    places = np.flatnonzero(pairs[20, :, :JUDGED].argmax(axis=1) == LETTER)
    assert 2 <= places[0] <= 8, "what stands above is farther away, not out of sight"


@pytest.mark.parametrize(("x", "y"), [(1000, 0), (0, 700), (333, 77)])
def test_a_page_that_lies_elsewhere_has_the_same_numbers(x: int, y: int) -> None:
    answers = told(50)
    here, there = (page_features(marks, answers) for marks in (grid(50), grid(50, x=x, y=y)))
    for a, b in ((here[i], there[i]) for i in range(4)):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_page_twice_as_large_has_the_same_numbers_but_for_the_size() -> None:
    answers = told(50)
    marks = grid(50)
    double = [
        replace(c, box=Box(2 * c.box.x, 2 * c.box.y, 2 * c.box.w, 2 * c.box.h), ink=4 * c.ink)
        for c in marks
    ]
    asked, own, pairs, there = page_features(marks, answers)
    again, large, large_pairs, large_there = page_features(double, answers)
    np.testing.assert_array_equal(asked, again)
    np.testing.assert_allclose(large[:, HEIGHT] - own[:, HEIGHT], np.log(2), atol=1e-4)
    np.testing.assert_allclose(
        np.delete(large, HEIGHT, axis=1), np.delete(own, HEIGHT, axis=1), atol=1e-4
    )
    np.testing.assert_allclose(large_pairs, pairs, atol=1e-4)
    np.testing.assert_array_equal(large_there, there)


def test_what_is_hardly_a_digit_is_not_asked_about_but_seen() -> None:
    page = [candidate(0, {1}), candidate(30, {2})]
    asked, _, pairs, there = page_features(page, rows((5, 0.9), (LETTER, 0.999)))
    assert list(asked) == [0]
    assert there[0, 0] == 1
    assert pairs[0, 0, :JUDGED].argmax() == LETTER
