"""Votes of many looks: labels that do not flicker."""

from __future__ import annotations

from itertools import pairwise

import pytest
from fakes import probabilities
from label_kit import LEFT, RIGHT, SETTINGS, WHOLE, candidate, split

from live_digits.config import ReadingSettings
from live_digits.labels import Labels, Resolution
from live_digits.types import NOT_A_DIGIT, Box, Candidate, Track


def track(number: int, at: int = 0) -> Track:
    return Track(number, Box(0, 50, 20, 40), at, 0)


ONE = [candidate(0, {1})]


def shown(labels: Labels, candidates: list[Candidate] = ONE) -> list[int]:
    tracks = [track(i + 1, i) for i in range(len(candidates))]
    return [d.digit for d in labels.resolve(candidates, tracks).digits]


def test_the_first_answer_is_shown_at_once() -> None:
    labels = Labels(SETTINGS)
    assert labels.resolve(ONE, [track(1)]) == Resolution((), (ONE[0].box,), ())
    labels.add(1, probabilities(7, 0.9))
    (digit,) = labels.resolve(ONE, [track(1)]).digits
    assert (digit.digit, digit.track, digit.box) == (7, 1, ONE[0].box)
    assert digit.confidence == pytest.approx(0.9)


@pytest.mark.parametrize("first", [1, 7])
def test_two_near_answers_do_not_flicker(first: int) -> None:
    labels = Labels(ReadingSettings(confidence=0.4))
    seen = []
    for frame in range(60):
        leader = first if frame % 2 == 0 else 8 - first
        labels.add(1, split(leader, 0.52, 8 - leader, 0.46))
        seen.append(shown(labels))
    assert seen == [[first]] * 60


def test_confidence_around_the_floor_does_not_flicker() -> None:
    labels = Labels(SETTINGS)
    seen = []
    for frame in range(60):
        labels.add(1, probabilities(4, 0.7 if frame % 3 == 0 else 0.56))
        seen.append(shown(labels))
    assert seen == [[4]] * 60


def test_rivals_of_nearly_equal_worth_do_not_take_turns() -> None:
    candidates = [WHOLE, LEFT, RIGHT]
    labels = Labels(SETTINGS)
    seen = set()
    for frame in range(60):
        tilt = 0.03 if frame % 2 else -0.03
        labels.add(1, probabilities(8, 0.8 - tilt))
        labels.add(2, probabilities(7, 0.85 + tilt))
        labels.add(3, probabilities(3, 0.85 + tilt))
        seen.add(tuple(shown(labels, candidates)))
    assert len(seen) == 1


def test_a_clear_change_of_mind_is_shown_once_and_for_good() -> None:
    labels = Labels(SETTINGS)
    for _ in range(20):
        labels.add(1, probabilities(3, 0.95))
        assert shown(labels) == [3]
    seen = []
    for _ in range(20):
        labels.add(1, probabilities(8, 0.95))
        seen += shown(labels)
    changes = [a != b for a, b in pairwise(seen)]
    assert seen[-1] == 8
    assert sum(changes) == 1
    # Between, the box may lose its digit, for less than the votes that are remembered.
    assert len(seen) >= 14


def test_what_turns_out_to_be_no_digit_loses_its_label() -> None:
    labels = Labels(SETTINGS)
    labels.add(1, probabilities(1, 0.7))
    assert shown(labels) == [1]
    for _ in range(10):
        labels.add(1, probabilities(NOT_A_DIGIT, 0.95))
    assert labels.resolve(ONE, [track(1)]) == Resolution((), (), (ONE[0].box,))


def test_an_answer_is_settled_when_sure_or_heard_often() -> None:
    labels = Labels(SETTINGS)
    assert not labels.settled(1)
    labels.add(1, probabilities(7, 0.995))
    assert not labels.settled(1)
    labels.add(1, probabilities(7, 0.995))
    assert labels.settled(1)
    for count in range(1, 10):
        labels.add(2, probabilities(7, 0.8))
        assert labels.count(2) == min(count, 6)
        assert labels.settled(2) == (count >= 6)


def test_answers_that_agree_are_sure() -> None:
    labels = Labels(SETTINGS)
    assert not labels.sure(1)
    for track, confidence in ((1, 0.995), (2, 0.8)):
        for _ in range(10):
            labels.add(track, probabilities(7, confidence))
    assert labels.sure(1)
    assert not labels.sure(2)


def test_doubt_lets_a_new_answer_count_half() -> None:
    stubborn, open_minded = Labels(SETTINGS), Labels(SETTINGS)
    for labels in (stubborn, open_minded):
        for _ in range(6):
            labels.add(1, probabilities(3, 0.95))
        assert shown(labels) == [3]
    open_minded.doubt(1)
    open_minded.doubt(99)
    assert open_minded.count(1) == 1
    assert not open_minded.settled(1)
    assert shown(open_minded) == [3]
    for labels in (stubborn, open_minded):
        for _ in range(3):
            labels.add(1, probabilities(8, 0.99))
    assert shown(open_minded) == [8]
    assert shown(stubborn) != [8]


def test_tracks_that_are_not_kept_are_forgotten() -> None:
    labels = Labels(SETTINGS)
    for number in (1, 2, 3):
        labels.add(number, probabilities(number))
    labels.keep([2, 3, 4])
    assert [labels.count(n) for n in (1, 2, 3, 4)] == [0, 1, 1, 0]
    candidates = [candidate(40 * i, {i + 1}) for i in range(3)]
    found = labels.resolve(candidates, [track(i + 1, i) for i in range(3)])
    assert found.pending == (ONE[0].box,)
    assert [d.digit for d in found.digits] == [2, 3]
    labels.reset()
    assert [labels.count(n) for n in (1, 2, 3)] == [0, 0, 0]


def test_pending_is_only_what_nothing_else_explains() -> None:
    labels = Labels(SETTINGS)
    candidates = [WHOLE, LEFT, RIGHT]
    boxes = [Track(i + 1, c.box, i, 0) for i, c in enumerate(candidates)]
    assert labels.resolve(candidates, boxes).pending == (WHOLE.box,)
    labels.add(2, probabilities(7))
    found = labels.resolve(candidates, boxes)
    assert [d.box for d in found.digits] == [LEFT.box]
    assert found.pending == ()


def test_answers_handed_in_are_not_kept_by_reference() -> None:
    labels = Labels(SETTINGS)
    answer = probabilities(7)
    labels.add(1, answer)
    answer[:] = probabilities(2)
    assert shown(labels) == [7]
    labels.add(1, probabilities(7))
    assert answer.argmax() == 2


def test_the_floor_may_change_while_it_runs() -> None:
    labels = Labels(SETTINGS)
    labels.add(1, probabilities(7, 0.8))
    labels.settings = ReadingSettings(confidence=0.95)
    assert shown(labels) == []
    labels.settings = ReadingSettings(confidence=0.5)
    assert shown(labels) == [7]
