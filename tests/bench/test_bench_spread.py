"""The arithmetic of the benchmark: medians, spreads, ratios taken round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_digits.bench.samples import (
    Spread,
    Stopwatch,
    by_stage,
    median,
    percentile,
    ratio,
    short,
    spread,
    take_turns,
)

times = st.floats(0.001, 1e6)
figures = st.lists(times, min_size=1, max_size=40)


@given(figures)
def test_the_spread_holds_the_median_between_least_and_most(values: list[float]) -> None:
    found = spread(values)
    assert found.least == min(values)
    assert found.most == max(values)
    assert found.least <= found.median <= found.most
    assert found.median == pytest.approx(statistics.median(values))
    assert found.repeats == len(values)


@given(figures, st.randoms())
def test_the_median_does_not_depend_on_the_order(values: list[float], random: Any) -> None:
    mixed = list(values)
    random.shuffle(mixed)
    assert median(mixed) == median(values)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=20), st.floats(0.01, 100))
def test_a_ratio_is_taken_round_by_round(pairs: list[tuple[float, float]], by: float) -> None:
    above, below = [a for a, _ in pairs], [b for _, b in pairs]
    assert ratio(below, below) == Spread(1.0, 1.0, 1.0, len(below))
    plain, times_more = ratio(above, below), ratio([by * a for a in above], below)
    assert times_more.median == pytest.approx(by * plain.median)
    # A machine that is slow in some rounds slows both: nothing changes.
    busy = [1 + i % 3 for i in range(len(pairs))]
    both = ratio(
        [a * k for a, k in zip(above, busy, strict=True)],
        [b * k for b, k in zip(below, busy, strict=True)],
    )
    assert both.median == pytest.approx(plain.median)


@given(figures, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_are_measured_values_and_grow(values: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert percentile(values, low) <= percentile(values, high)
    assert percentile(values, a) in values
    assert percentile(values, 1.0) == max(values)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: median([]),
        lambda: spread([]),
        lambda: percentile([], 0.5),
        lambda: ratio([], []),
        lambda: ratio([1.0], [1.0, 2.0]),
        lambda: ratio([1.0], [0.0]),
    ],
)
def test_figures_of_nothing_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wrong()


@given(st.floats(-1e9, 1e9))
def test_short_figures_are_near_the_figure(value: float) -> None:
    assert float(short(value)) == pytest.approx(value, rel=0.06, abs=0.0006)


class Clock:
    """Seconds that pass as the test has them pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0, 20), st.integers(1, 5), st.integers(5, 12))
def test_variants_take_turns_within_their_time(seconds: float, least: int, most: int) -> None:
    clock, order = Clock(), []

    def variant(name: str, takes: float) -> Callable[[int], int]:
        def run(number: int) -> int:
            order.append(name)
            clock.now += takes
            return number

        return run

    found = take_turns(
        {"a": variant("a", 0.5), "b": variant("b", 1.5)}, seconds, least, most, clock
    )
    rounds = len(found["a"])
    assert "".join(order) == "ab" * rounds
    assert found["a"] == found["b"] == list(range(rounds))
    assert least <= rounds <= most
    if least < rounds < most:
        assert (rounds - 1) * 2.0 < seconds <= rounds * 2.0


def test_a_stopwatch_gives_each_stage_its_time() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    for stage, seconds in (("a", 1.0), ("b", 2.0), ("", 8.0), ("a", 4.0)):
        clock.now += seconds
        if stage:
            watch.lap(stage)
        else:
            watch.skip()
    assert watch.ms == {"a": 5000.0, "b": 2000.0}


def test_a_stage_left_out_of_a_round_took_no_time_there() -> None:
    found = by_stage([{"a": 3.0}, {"a": 1.0, "b": 4.0}, {"b": 6.0}])
    assert found == {"a": Spread(1.0, 0.0, 3.0, 3), "b": Spread(4.0, 0.0, 6.0, 3)}
