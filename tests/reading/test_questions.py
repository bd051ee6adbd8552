"""What the networks are asked about a look, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeClassifier, FakeJudge, asking, judged
from hypothesis import given, settings
from hypothesis import strategies as st
from label_kit import candidate

from live_digits.core.types import CLASSES, Candidate, Floats, Image
from live_digits.reading.classes import JUDGED, LETTER, MARK, from_crops, reason_of
from live_digits.reading.questions import (
    VOTES,
    Judge,
    Page,
    PlainJudge,
    Prediction,
    Question,
    answer_question,
    as_judge,
    stack_rows,
    update_mean,
)


def crops(*marks: int) -> Image:
    """A crop each that carries its mark in every pixel."""
    return np.array([np.full((28, 28), m) for m in marks], np.uint8).reshape(-1, 28, 28)


def marked(crop: Image) -> int:
    return int(crop[0, 0])


def page(*known: tuple[int, Floats | None, int]) -> Page:
    """A page of tracks, what is known of each and from how many answers."""
    return Page(
        tuple(candidate(40 * i, {i}) for i in range(len(known))),
        tuple(track for track, _, _ in known),
        stack_rows([np.zeros(JUDGED, np.float32) if m is None else m for _, m, _ in known], JUDGED),
        tuple(count for _, _, count in known),
    )


def by_track(answers: Sequence[Prediction]) -> dict[int, Prediction]:
    assert len({a.track for a in answers}) == len(answers)
    return {a.track: a for a in answers}


def test_an_empty_question_has_no_answer_and_asks_nobody() -> None:
    judge = FakeJudge()
    assert answer_question(judge, Question()) == ()
    assert not Question()
    assert (judge.cutouts, judge.pages, judge.written) == ([], [], [])


def test_without_a_page_each_is_answered_alone() -> None:
    judge = FakeJudge(marked)
    found = by_track(answer_question(judge, asking([7, 3], crops(4, LETTER))))
    assert [f.probabilities.argmax() for f in (found[7], found[3]) if f.probabilities is not None] \
        == [4, LETTER]  # fmt: skip
    assert found[7].verdict is found[3].verdict is None
    assert judge.pages == []


def test_each_of_the_page_gets_a_verdict_and_only_those_asked_about_evidence() -> None:
    judge = FakeJudge(marked)
    known = judged(5, 0.9)
    question = replace(asking([3], crops(4)), page=page((1, known, 2), (3, None, 0), (8, None, 0)))
    found = by_track(answer_question(judge, question))
    assert set(found) == {1, 3}, "of what nobody has looked at nothing is said"
    assert judge.pages == [(question.page.candidates[0], question.page.candidates[1])]
    assert found[1].probabilities is None
    assert found[3].probabilities is not None
    assert [int(f.verdict.argmax()) for f in (found[1], found[3]) if f.verdict is not None] == [
        5,
        4,
    ]


def test_the_judge_is_told_the_means_with_the_new_answers_in_them() -> None:
    judge = FakeJudge(marked, confidence=0.8)
    question = replace(
        asking([1, 2, 3], crops(4, 4, 4)),
        page=page((1, judged(4, 0.4), 1), (2, judged(4, 0.4), 50), (3, None, 0)),
    )
    answer_question(judge, question)
    (told,) = judge.told
    np.testing.assert_allclose(
        told[:, 4], [0.6, 0.4 + 0.4 / VOTES, 0.8], atol=1e-6, err_msg="half, a share, all of it"
    )


def test_neighbours_matter() -> None:
    """A judge that believes nothing that stands alone."""

    def company(candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        return evidence if len(candidates) > 1 else stack_rows([judged(LETTER)], JUDGED)

    judge = FakeJudge(marked, company)
    alone = by_track(
        answer_question(judge, replace(asking([1], crops(7)), page=page((1, None, 0))))
    )
    both = replace(asking([1], crops(7)), page=page((1, None, 0), (2, judged(3), 4)))
    together = by_track(answer_question(judge, both))
    assert alone[1].verdict is not None
    assert together[1].verdict is not None
    assert (int(alone[1].verdict.argmax()), int(together[1].verdict.argmax())) == (LETTER, 7)
    assert alone[1].probabilities is not None
    assert int(alone[1].probabilities.argmax()) == 7


@pytest.mark.parametrize("learned", [False, True])
def test_what_is_written_in_the_air_is_read_without_any_page(learned: bool) -> None:
    net = FakeJudge(marked) if learned else FakeClassifier(marked)
    question = replace(
        asking([5], crops(2)), page=page((5, None, 0)), written=(-1, -2), drawn=crops(6, 8)
    )
    assert question.asked == (5, -1, -2)
    assert len(question) == 3
    found = by_track(answer_question(as_judge(net), question))
    assert set(found) == {5, -1, -2}
    for track, digit in ((-1, 6), (-2, 8)):
        read = found[track].probabilities
        assert read is not None
        assert read.shape == (CLASSES,)
        assert int(read.argmax()) == digit
        assert found[track].verdict is None
    only = by_track(answer_question(as_judge(net), Question(written=(-3,), drawn=crops(1))))
    assert set(only) == {-3}


def test_a_plain_question_asks_crops_alone() -> None:
    judge = FakeJudge(marked, lambda _, evidence: np.zeros_like(evidence))
    question = replace(asking([1], crops(7)), page=page((1, None, 0)), plain=True)
    (answer,) = answer_question(judge, question)
    assert answer.verdict is not None
    assert int(answer.verdict.argmax()) == 7
    assert (judge.cutouts, judge.pages, judge.written) == ([], [], [1])


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_another_number_of_answers_than_was_asked_for_is_an_error(rows: int) -> None:
    class Wrong(FakeClassifier):
        def classify(self, crops: Image) -> Floats:
            return super().classify(crops[:1].repeat(rows, axis=0))

    with pytest.raises(ValueError, match=f"got {rows} answers, expected 2"):
        answer_question(as_judge(Wrong(3)), asking([1, 2], crops(1, 2)))
    with pytest.raises(ValueError, match="zip"):
        answer_question(as_judge(Wrong(3)), Question(written=(-1, -2), drawn=crops(1, 2)))


def test_a_judge_stays_itself_and_a_network_becomes_one() -> None:
    judge, net = FakeJudge(), FakeClassifier(name="of crops")
    assert as_judge(judge) is judge
    plain = as_judge(net)
    assert isinstance(plain, PlainJudge)
    assert isinstance(plain, Judge)
    assert (plain.name, plain.surroundings) == ("of crops", False)
    plain.close()  # nothing to end


def test_closing_a_plain_judge_ends_its_network() -> None:
    ended: list[int] = []

    class Apart(FakeClassifier):
        def close(self) -> None:
            ended.append(1)

    PlainJudge(Apart()).close()
    assert ended == [1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40))
def test_a_running_mean_is_the_mean_until_it_forgets(values: list[float]) -> None:
    mean, count = np.zeros(1, np.float32), 0
    for value in values:
        mean = update_mean(mean, count, np.array([value], np.float32))
        count = min(count + 1, VOTES)
        assert min(values) - 1e-6 <= mean[0] <= max(values) + 1e-6
    if len(values) <= VOTES:
        assert mean[0] == pytest.approx(np.mean(values), abs=1e-5)
    assert mean.dtype == np.float32


def test_not_a_digit_of_crops_is_a_mark() -> None:
    eleven = np.full((2, CLASSES), 0.05, np.float32)
    eleven[:, 10] = 0.5
    out = from_crops(eleven)
    assert out.shape == (2, JUDGED)
    np.testing.assert_allclose(out.sum(axis=1), 1)
    assert reason_of(out[0]) == "mark"
    assert out[0, MARK] == 0.5
    assert from_crops(eleven[:0]).shape == (0, JUDGED)
    with pytest.raises(ValueError, match="got 14 classes, expected 11"):
        from_crops(out)
