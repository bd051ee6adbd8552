"""Votes of many looks: labels that do not flicker."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from fakes import judged, probabilities
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import LEFT, RIGHT, SETTINGS, WHOLE, candidate, split

from live_digits.config.settings import ReadingSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Floats, Track
from live_digits.reading.classes import JUDGED, LETTER, MARK
from live_digits.reading.questions import VOTES, Prediction
from live_digits.reading.resolution import Resolved
from live_digits.tracking.label_voting import HYSTERESIS, LabelVoting


def track(number: int, at: int = 0) -> Track:
    return Track(number, Box(0, 50, 20, 40), at, 0)


ONE = [candidate(0, {1})]


def say(labels: LabelVoting, number: int, alone: Floats, verdict: Floats | None = None) -> None:
    labels.add_predictions(Prediction(number, alone, verdict))


def shown(labels: LabelVoting, candidates: list[Candidate] = ONE) -> list[int]:
    tracks = [track(i + 1, i) for i in range(len(candidates))]
    return [d.digit for d in labels.resolve(candidates, tracks).digits]


# --- what is shown ---


def test_the_first_answer_is_shown_at_once() -> None:
    labels = LabelVoting(SETTINGS)
    assert labels.resolve(ONE, [track(1)]) == Resolved((), (ONE[0].box,), ())
    say(labels, 1, judged(7, 0.9))
    (digit,) = labels.resolve(ONE, [track(1)]).digits
    assert (digit.digit, digit.track, digit.box) == (7, 1, ONE[0].box)
    assert digit.confidence == pytest.approx(0.9)


def test_the_verdict_among_neighbours_decides_and_not_the_ink_alone() -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, judged(0, 0.99), judged(LETTER, 0.8))
    (told,) = labels.resolve(ONE, [track(1)]).rejected
    assert (told.box, told.reason) == (ONE[0].box, "letter")
    assert told.confidence == pytest.approx(0.8)
    say(labels, 2, judged(LETTER, 0.9), judged(0, 0.7))
    assert shown(labels, [*ONE, candidate(40, {2})]) == [0]


def test_an_answer_of_crops_alone_will_do() -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, probabilities(7, 0.9))
    assert shown(labels) == [7]
    for _ in range(VOTES):
        say(labels, 1, probabilities(10, 0.9))
    (told,) = labels.resolve(ONE, [track(1)]).rejected
    assert told.reason == "mark"


@pytest.mark.parametrize("judge", [False, True], ids=["alone", "among neighbours"])
@pytest.mark.parametrize("first", [1, 7])
def test_two_near_answers_do_not_flicker(first: int, judge: bool) -> None:
    labels = LabelVoting(ReadingSettings(confidence=0.4))
    seen = []
    for frame in range(60):
        leader = first if frame % 2 == 0 else 8 - first
        answer = split(leader, 0.52, 8 - leader, 0.46)
        say(labels, 1, answer, answer if judge else None)
        seen.append(shown(labels))
    assert seen == [[first]] * 60


@pytest.mark.parametrize("judge", [False, True], ids=["alone", "among neighbours"])
def test_confidence_around_the_floor_does_not_flicker(judge: bool) -> None:
    labels = LabelVoting(SETTINGS)
    seen = []
    for frame in range(60):
        answer = judged(4, 0.7 if frame % 3 == 0 else 0.56)
        say(labels, 1, answer, answer if judge else None)
        seen.append(shown(labels))
    assert seen == [[4]] * 60


def test_what_never_reached_the_floor_is_not_shown_for_being_near() -> None:
    labels = LabelVoting(SETTINGS)
    for _ in range(20):
        say(labels, 1, judged(4, SETTINGS.confidence - HYSTERESIS.confidence / 2))
        assert shown(labels) == []


def test_rivals_of_nearly_equal_worth_do_not_take_turns() -> None:
    candidates = [WHOLE, LEFT, RIGHT]
    labels = LabelVoting(SETTINGS)
    seen = set()
    for frame in range(60):
        tilt = 0.03 if frame % 2 else -0.03
        say(labels, 1, judged(8, 0.85 - tilt))
        say(labels, 2, judged(7, 0.85 + tilt))
        say(labels, 3, judged(3, 0.85 + tilt))
        seen.add(tuple(shown(labels, candidates)))
    assert len(seen) == 1


@pytest.mark.parametrize("judge", [False, True], ids=["alone", "among neighbours"])
def test_a_clear_change_of_mind_is_shown_once_and_for_good(judge: bool) -> None:
    labels = LabelVoting(SETTINGS)

    def look(digit: int) -> list[int]:
        answer = judged(digit, 0.95)
        say(labels, 1, answer, answer if judge else None)
        return shown(labels)

    for _ in range(20):
        assert look(3) == [3]
    seen = [digit for _ in range(30) for digit in look(8)]
    assert seen[-1] == 8
    assert sum(a != b for a, b in pairwise(seen)) == 1
    # Between, the box may lose its digit, for less than the votes that are remembered.
    assert len(seen) >= 30 - VOTES


def test_what_turns_out_to_be_no_digit_loses_its_label() -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, judged(1, 0.7))
    assert shown(labels) == [1]
    for _ in range(10):
        say(labels, 1, judged(LETTER, 0.95))
    found = labels.resolve(ONE, [track(1)])
    assert (found.digits, found.pending) == ((), ())
    assert [r.reason for r in found.rejected] == ["letter"]


ANSWERS = st.lists(st.floats(0.5, 0.7), min_size=1, max_size=60)


@settings(deadline=None, max_examples=100)
@given(ANSWERS, st.booleans())
def test_a_shown_digit_stays_while_its_answers_stay_within_the_hysteresis(
    sureness: list[float], judge: bool
) -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, judged(5, 0.8), judged(5, 0.8) if judge else None)
    assert shown(labels) == [5]
    for p in sureness:
        say(labels, 1, judged(5, p), judged(5, p) if judge else None)
        assert shown(labels) == [5]


# --- asking and averaging ---


def test_evidence_and_verdicts_are_each_averaged() -> None:
    labels = LabelVoting(ReadingSettings(confidence=0.0))
    say(labels, 1, judged(3, 0.9), judged(3, 0.8))
    say(labels, 1, judged(3, 0.5), judged(3, 0.6))
    page = labels.page(ONE, [track(1)])
    np.testing.assert_allclose(page.means[0], judged(3, 0.7), atol=1e-6)
    assert page.counts == (2,)
    (digit,) = labels.resolve(ONE, [track(1)]).digits
    assert digit.confidence == pytest.approx(0.7)
    labels.add_predictions(Prediction(1, None, judged(3, 0.1)))
    np.testing.assert_allclose(labels.page(ONE, [track(1)]).means[0], judged(3, 0.7), atol=1e-6)
    (digit,) = labels.resolve(ONE, [track(1)]).digits
    assert digit.confidence == pytest.approx(0.4), "a verdict alone says nothing of the ink"


def test_a_mean_remembers_so_many_answers() -> None:
    labels = LabelVoting(SETTINGS)
    for _ in range(50):
        say(labels, 1, judged(3, 1.0))
    for _ in range(6 * VOTES):
        say(labels, 1, judged(8, 1.0))
    mean = labels.page(ONE, [track(1)]).means[0]
    assert mean[8] > 0.99
    assert mean.sum() == pytest.approx(1.0)


def test_a_verdict_of_what_was_never_answered_counts_nothing() -> None:
    labels = LabelVoting(SETTINGS)
    labels.add_predictions(Prediction(1, None, judged(7, 0.9)))
    assert labels.count(1) == 0
    assert labels.resolve(ONE, [track(1)]).pending == (ONE[0].box,)


def test_an_answer_is_settled_when_sure_or_heard_often() -> None:
    labels = LabelVoting(SETTINGS)
    assert not labels.is_settled(1)
    say(labels, 1, judged(7, 0.995))
    assert not labels.is_settled(1)
    say(labels, 1, judged(7, 0.995))
    assert labels.is_settled(1)
    for count in range(1, 10):
        say(labels, 2, judged(7, 0.8))
        assert labels.count(2) == min(count, VOTES)
        assert labels.is_settled(2) == (count >= VOTES)


def test_answers_that_agree_are_sure_also_that_it_is_no_digit_of_whatever_kind() -> None:
    labels = LabelVoting(SETTINGS)
    assert not labels.is_confident(1)
    for _ in range(10):
        say(labels, 1, judged(7, 0.995))
        say(labels, 2, judged(7, 0.8))
        say(labels, 3, split(LETTER, 0.5, MARK, 0.49, 7))
        say(labels, 4, judged(7, 0.995), judged(7, 0.8))
    assert [labels.is_confident(n) for n in (1, 2, 3, 4)] == [True, False, True, False]


@pytest.mark.parametrize("judge", [False, True], ids=["alone", "among neighbours"])
def test_doubt_lets_new_ink_be_read_after_a_few_answers(judge: bool) -> None:
    stubborn, open_minded = LabelVoting(SETTINGS), LabelVoting(SETTINGS)

    def hear(labels: LabelVoting, digit: int) -> list[int]:
        """As from a network that goes by the mean: verdicts follow what is known."""
        alone = judged(digit, 0.97)
        mean, count = labels.page(ONE, [track(1)]).means[0], labels.count(1)
        verdict = mean + (alone - mean) / min(count + 1, VOTES)
        say(labels, 1, alone, verdict if judge else None)
        return shown(labels)

    for labels in (stubborn, open_minded):
        for _ in range(VOTES):
            hear(labels, 3)
        assert shown(labels) == [3]
    open_minded.discount(1)
    open_minded.discount(99)
    assert open_minded.count(1) == 1
    assert not open_minded.is_settled(1)
    assert shown(open_minded) == [3], "nothing vanishes before there is an answer"
    late = [hear(open_minded, 8) for _ in range(3)]
    early = [hear(stubborn, 8) for _ in range(3)]
    assert late[-1] == [8]
    assert early[-1] != [8]


# --- bookkeeping ---


def test_tracks_that_are_not_kept_are_forgotten() -> None:
    labels = LabelVoting(SETTINGS)
    for number in (1, 2, 3):
        say(labels, number, judged(number))
    labels.retain([2, 3, 4])
    assert [labels.count(n) for n in (1, 2, 3, 4)] == [0, 1, 1, 0]
    candidates = [candidate(40 * i, {i + 1}) for i in range(3)]
    found = labels.resolve(candidates, [track(i + 1, i) for i in range(3)])
    assert found.pending == (ONE[0].box,)
    assert [d.digit for d in found.digits] == [2, 3]
    labels.reset()
    assert [labels.count(n) for n in (1, 2, 3)] == [0, 0, 0]


def test_pending_is_only_what_nothing_else_explains() -> None:
    labels = LabelVoting(SETTINGS)
    candidates = [WHOLE, LEFT, RIGHT]
    boxes = [Track(i + 1, c.box, i, 0) for i, c in enumerate(candidates)]
    assert labels.resolve(candidates, boxes).pending == (WHOLE.box,)
    say(labels, 2, judged(7))
    found = labels.resolve(candidates, boxes)
    assert [d.box for d in found.digits] == [LEFT.box]
    assert found.pending == ()


def test_a_page_holds_all_candidates_with_what_is_known_of_each() -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 7, judged(4, 0.9))
    candidates = [candidate(0, {1}), candidate(40, {2}), candidate(80, {3})]
    page = labels.page(candidates, [track(7, 2), track(8, 0)])
    assert page.candidates == (candidates[2], candidates[0])
    assert (page.tracks, page.counts) == ((7, 8), (1, 0))
    assert page.means.shape == (2, JUDGED)
    np.testing.assert_allclose(page.means[0], judged(4, 0.9))
    assert not page.means[1].any()
    assert labels.page([], []).means.shape == (0, JUDGED)


@pytest.mark.parametrize("judge", [False, True], ids=["alone", "among neighbours"])
def test_answers_handed_in_are_not_kept_by_reference(judge: bool) -> None:
    labels = LabelVoting(SETTINGS)
    answer = judged(7)
    say(labels, 1, answer, answer if judge else None)
    answer[:] = judged(2)
    assert shown(labels) == [7]
    again = judged(7)
    say(labels, 1, again, again if judge else None)
    np.testing.assert_array_equal(again, judged(7))


def test_the_floor_may_change_while_it_runs() -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, judged(7, 0.8))
    labels.configure(ReadingSettings(confidence=0.95))
    assert shown(labels) == []
    labels.configure(ReadingSettings(confidence=0.5))
    assert shown(labels) == [7]


def test_whatever_may_change_what_is_shown_is_another_version() -> None:
    labels = LabelVoting(SETTINGS)
    seen = {labels.version}
    changes: tuple[Callable[[], None], ...] = (
        lambda: say(labels, 1, judged(7)),
        lambda: labels.add_predictions(Prediction(1, None, judged(8))),
        lambda: labels.discount(1),
        lambda: labels.retain([]),
        labels.reset,
    )
    for change in changes:
        change()
        assert labels.version not in seen
        seen.add(labels.version)
    labels.retain([])
    labels.discount(5)
    assert labels.version in seen


# --- ids ---


def test_a_digit_whose_box_is_found_a_little_larger_keeps_its_id() -> None:
    labels = LabelVoting(SETTINGS)
    usual, larger = candidate(0, {1}), candidate(0, {1, 2}, w=24)
    for number in (1, 2):
        say(labels, number, judged(7, 0.9))
    first = Track(1, usual.box, 0, 0)
    second = Track(2, larger.box, 0, 0)
    looks = ((usual, first), (larger, second), (usual, first), (larger, second))
    ids = [labels.resolve([c], [t]).digits[0].track for c, t in looks]
    assert ids == [1, 1, 1, 1]
    assert labels.id_of(2) == 1


@pytest.mark.parametrize(("x", "digit"), [(60, 7), (0, 3)])
def test_another_digit_or_place_has_an_id_of_its_own(x: int, digit: int) -> None:
    labels = LabelVoting(SETTINGS)
    say(labels, 1, judged(7, 0.9))
    say(labels, 2, judged(digit, 0.9))
    one, other = candidate(0, {1}), candidate(x, {1, 2})
    assert labels.resolve([one], [Track(1, one.box, 0, 0)]).digits[0].track == 1
    assert labels.resolve([other], [Track(2, other.box, 0, 0)]).digits[0].track == 2


def test_two_digits_never_share_an_id() -> None:
    """A digit goes over to another track; its first track then follows another digit beside it."""
    labels = LabelVoting(SETTINGS)
    for number in (1, 2):
        say(labels, number, judged(7, 0.9))
    near = candidate(0, {1})
    labels.resolve([near], [Track(1, near.box, 0, 0)])
    labels.resolve([near], [Track(2, near.box, 0, 0)])
    pair = [near, candidate(60, {2})]
    read = labels.resolve(pair, [Track(2, pair[0].box, 0, 0), Track(1, pair[1].box, 1, 0)]).digits
    assert sorted(d.track for d in read) == [1, 2]
