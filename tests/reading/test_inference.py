"""The inference worker: one batch at a time, the newest request wins, nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from fakes import PATIENCE, FakeClassifier, FakeJudge, asking, probabilities, wait_until
from label_kit import candidate

from live_digits.core.types import Classifier, Floats, Image
from live_digits.reading.classes import JUDGED, from_crops
from live_digits.reading.questions import Judge, Page
from live_digits.reading.worker import InferenceWorker

Maker = Callable[..., InferenceWorker]


def crops(*marks: int) -> Image:
    """A crop each that carries its mark in every pixel."""
    return np.array([np.full((28, 28), m) for m in marks], np.uint8).reshape(-1, 28, 28)


def marked(crop: Image) -> int:
    return int(crop[0, 0]) % 10


@pytest.fixture
def begin() -> Iterator[Maker]:
    """Starts workers and sees to it that all of them end."""
    workers: list[InferenceWorker] = []

    def start(load: Classifier | Judge | Callable[[], Classifier | Judge]) -> InferenceWorker:
        worker = InferenceWorker(load if callable(load) else lambda: load)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        assert worker.close(PATIENCE)


def answered(worker: InferenceWorker, count: int = 1) -> dict[int, Floats]:
    """Waits for answers; track → probabilities."""
    found: dict[int, Floats] = {}
    end = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < end
        for answer in worker.results():
            assert answer.track not in found
            assert answer.probabilities is not None
            found[answer.track] = answer.probabilities
        time.sleep(0.002)
    return found


def test_a_request_runs_as_one_batch_and_answers_come_by_track(begin: Maker) -> None:
    net = FakeClassifier(marked)
    worker = begin(net)
    worker.submit(asking([30, 10, 20], crops(3, 1, 2)))
    found = answered(worker, 3)
    assert {track: int(p.argmax()) for track, p in found.items()} == {30: 3, 10: 1, 20: 2}
    np.testing.assert_allclose(found[30], from_crops(probabilities(3)[None])[0])
    wait_until(lambda: not worker.busy)
    assert net.batches == [3]
    assert worker.results() == ()
    stats = worker.stats
    assert (stats.batches, stats.crops, stats.last_batch, len(stats.times)) == (1, 3, 3, 1)
    worker.submit(asking([5], crops(9)))
    answered(worker)
    wait_until(lambda: worker.stats.batches == 2)
    assert (worker.stats.crops, worker.stats.last_batch) == (4, 1)
    assert net.batches == [3, 1]


def test_the_network_is_made_and_used_on_one_thread_of_its_own(begin: Maker) -> None:
    net = FakeClassifier()
    makers: list[int] = []

    def load() -> Classifier:
        makers.append(threading.get_ident())
        return net

    worker = begin(load)
    for number in range(3):
        worker.submit(asking([number], crops(1)))
        answered(worker)
    assert set(makers) == net.threads
    assert len(makers) == 1
    assert threading.get_ident() not in net.threads


def test_the_mailbox_keeps_the_newest_request_only(begin: Maker) -> None:
    net = FakeClassifier(marked, gate=threading.Event())
    worker = begin(net)
    worker.submit(asking([1], crops(1)))
    assert net.begun.wait(PATIENCE)
    for number in range(2, 9):
        worker.submit(asking([number], crops(number)))
    assert worker.pending == {1, 8}
    assert worker.busy
    assert net.gate is not None
    net.gate.set()
    found = answered(worker, 2)
    assert {track: int(p.argmax()) for track, p in found.items()} == {1: 1, 8: 8}
    wait_until(lambda: not worker.busy)
    assert net.batches == [1, 1]
    assert worker.pending == frozenset()


def test_nothing_waits_for_a_network_that_does_not_answer(begin: Maker) -> None:
    net = FakeClassifier(gate=threading.Event())
    worker = begin(net)
    worker.submit(asking([1], crops(1)))
    assert net.begun.wait(PATIENCE)
    # Each of these returns, or the gate below is never opened and this test hangs for good.
    for number in range(200):
        worker.submit(asking([number], crops(1)))
        assert worker.results() == ()
        assert worker.busy
        assert worker.error is None
        assert worker.stats.batches == 0
        assert number in worker.pending
    assert net.batches == [1]
    assert net.gate is not None
    net.gate.set()
    assert set(answered(worker, 2)) == {1, 199}


def test_nothing_waits_for_a_network_that_loads(begin: Maker) -> None:
    gate = threading.Event()
    net = FakeClassifier(4)

    def load() -> Classifier:
        assert gate.wait(PATIENCE)
        return net

    worker = begin(load)
    worker.submit(asking([1], crops(1)))
    worker.submit(asking([2], crops(2)))
    assert worker.results() == ()
    assert worker.pending == {2}
    assert not worker.failed
    gate.set()
    assert set(answered(worker)) == {2}


def test_submitting_is_a_matter_of_no_time_beside_a_slow_network(begin: Maker) -> None:
    net = FakeClassifier(seconds=0.5)
    worker = begin(net)
    slowest = 0.0
    for number in range(30):
        begun = time.perf_counter()
        worker.submit(asking([number], crops(1)))
        worker.results()
        slowest = max(slowest, time.perf_counter() - begun)
        time.sleep(0.02)
    assert slowest < net.seconds
    assert 1 <= len(net.batches) < 10


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_crops_than_tracks_says_nothing(begin: Maker, count: int) -> None:
    worker = begin(FakeClassifier())
    worker.submit(asking(range(count), crops(1, 2)))
    wait_until(lambda: worker.failures == 1)
    assert isinstance(worker.error, ValueError)
    assert str(worker.error) == f"got 2 answers, expected {count}"
    assert worker.results() == ()


def test_a_judge_reads_the_page_and_what_is_written_at_once(begin: Maker) -> None:
    judge = FakeJudge(marked)
    worker = begin(judge)
    page = Page(
        (candidate(0, {1}), candidate(30, {2})), (4, 5), np.zeros((2, JUDGED), np.float32), (0, 0)
    )
    asked = asking([4, 5], crops(3, 1))
    worker.submit(replace(asked, page=page, written=(-1,), drawn=crops(9)))
    assert worker.pending <= {4, 5, -1}
    found = answered(worker, 3)
    assert {track: int(p.argmax()) for track, p in found.items()} == {4: 3, 5: 1, -1: 9}
    assert (len(judge.cutouts), judge.pages, judge.written) == (1, [page.candidates], [1])
    assert judge.threads
    assert threading.get_ident() not in judge.threads
    wait_until(lambda: worker.stats.batches == 1)
    assert (worker.stats.crops, worker.stats.last_batch) == (3, 3)


def test_nothing_asked_is_no_request(begin: Maker) -> None:
    net = FakeClassifier(gate=threading.Event())
    worker = begin(net)
    worker.submit(asking([1], crops(1)))
    assert net.begun.wait(PATIENCE)
    worker.submit(asking([2], crops(2)))
    worker.submit(asking([], crops()))
    assert worker.pending == {1, 2}
    assert net.gate is not None
    net.gate.set()
    assert set(answered(worker, 2)) == {1, 2}
    assert 0 not in net.batches


@pytest.mark.parametrize("failures", [1, 2])
def test_a_failure_is_shown_and_gone_after_a_batch_that_works(begin: Maker, failures: int) -> None:
    net = FakeClassifier(6, failures=failures)
    loads = []

    def load() -> Classifier:
        loads.append(1)
        return net

    worker = begin(load)
    for number in range(1, failures + 1):
        worker.submit(asking([number], crops(1)))
        wait_until(lambda n=number: worker.failures == n)  # type: ignore[misc]
        assert worker.error is net.error
        assert not worker.failed
        wait_until(lambda: not worker.busy)
        assert worker.results() == ()
    worker.submit(asking([9], crops(1)))
    assert set(answered(worker)) == {9}
    wait_until(lambda: worker.error is None)
    assert not worker.failed
    assert worker.failures == failures
    assert len(loads) == failures + 1
    assert worker.stats.batches == 1


def test_failures_that_are_not_in_a_row_do_not_end_it(begin: Maker) -> None:
    net = FakeClassifier(6)
    worker = begin(net)
    for round_ in range(1, 5):
        net.failures = 2
        for attempt in (1, 2):
            worker.submit(asking([1], crops(1)))
            wait_until(lambda n=2 * round_ - 2 + attempt: worker.failures == n)  # type: ignore[misc]
        wait_until(lambda: not worker.busy)
        worker.submit(asking([round_], crops(1)))
        assert set(answered(worker)) == {round_}
    assert not worker.failed
    assert worker.failures == 8


def test_three_failures_in_a_row_end_it(begin: Maker) -> None:
    net = FakeClassifier(failures=99, error=OSError("gone"))
    worker = begin(net)
    for number in range(1, 4):
        worker.submit(asking([number], crops(1)))
        wait_until(lambda n=number: worker.failures == n)  # type: ignore[misc]
    wait_until(lambda: worker.failed)
    assert str(worker.error) == "gone"
    wait_until(lambda: not worker.busy)
    worker.submit(asking([4], crops(1)))
    assert not worker.busy
    assert worker.pending == frozenset()
    assert worker.results() == ()
    assert len(net.batches) == 3


def test_a_network_that_cannot_be_loaded_ends_it_at_once(begin: Maker) -> None:
    def load() -> Classifier:
        raise RuntimeError("no such model")

    worker = begin(load)
    worker.submit(asking([1], crops(1)))
    wait_until(lambda: worker.failed)
    assert str(worker.error) == "no such model"
    wait_until(lambda: not worker.busy)
    assert worker.failures == 1


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_network_that_returns_another_number_of_rows_says_nothing(
    begin: Maker, rows: int
) -> None:
    class Wrong(FakeClassifier):
        def classify(self, crops: Image) -> Floats:
            return super().classify(crops[:1].repeat(rows, axis=0))

    worker = begin(Wrong(3))
    worker.submit(asking([1, 2], crops(1, 2)))
    wait_until(lambda: worker.failures == 1)
    assert isinstance(worker.error, ValueError)
    assert worker.results() == ()
    assert worker.stats.batches == 0


# --- the end, from every state ---


def inference_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name == "inference"}


@pytest.fixture
def alone() -> Iterator[None]:
    """No inference thread is left behind."""
    before = inference_threads()
    yield
    wait_until(lambda: inference_threads() <= before, "the thread to end")


@pytest.mark.usefixtures("alone")
def test_closing_one_that_never_started() -> None:
    worker = InferenceWorker(FakeClassifier)
    assert worker.close(0.1)
    assert worker.close(0.1)


@pytest.mark.usefixtures("alone")
def test_closing_while_idle() -> None:
    worker = InferenceWorker(FakeClassifier)
    worker.start()
    worker.submit(asking([1], crops(1)))
    answered(worker)
    assert worker.close(PATIENCE)
    assert worker.close(PATIENCE)
    worker.submit(asking([2], crops(1)))
    assert worker.results() == ()


@pytest.mark.usefixtures("alone")
def test_closing_right_after_the_start() -> None:
    for _ in range(20):
        worker = InferenceWorker(FakeClassifier)
        worker.start()
        assert worker.close(PATIENCE)


@pytest.mark.usefixtures("alone")
def test_closing_while_it_loads() -> None:
    gate = threading.Event()

    def load() -> Classifier:
        assert gate.wait(PATIENCE)
        return FakeClassifier()

    worker = InferenceWorker(load)
    worker.start()
    worker.submit(asking([1], crops(1)))
    assert not worker.close(0.05)
    gate.set()
    assert worker.close(PATIENCE)


@pytest.mark.usefixtures("alone")
def test_closing_in_the_middle_of_a_batch_with_another_waiting() -> None:
    net = FakeClassifier(gate=threading.Event())
    worker = InferenceWorker(lambda: net)
    worker.start()
    worker.submit(asking([1], crops(1)))
    assert net.begun.wait(PATIENCE)
    worker.submit(asking([2], crops(2)))
    assert not worker.close(0.05)
    assert net.gate is not None
    net.gate.set()
    assert worker.close(PATIENCE)
    assert net.batches == [1]


@pytest.mark.usefixtures("alone")
def test_closing_between_failures_and_after_the_last() -> None:
    for failures in (1, 3):
        net = FakeClassifier(failures=failures)
        worker = InferenceWorker(lambda net=net: net)  # type: ignore[misc]
        worker.start()
        for number in range(1, failures + 1):
            worker.submit(asking([number], crops(1)))
            wait_until(lambda n=number, w=worker: w.failures == n)  # type: ignore[misc]
        assert worker.close(PATIENCE)
