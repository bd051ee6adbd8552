"""The threads' common base: three tries, a watchdog, an end that waits for nobody."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fakes import PATIENCE, FakeClassifier, FakeDisplay, FakeSource, asking, wait_until

from live_digits.app.live import App, RunOptions
from live_digits.app.outcome import RunResult
from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import PipelineSettings, Settings
from live_digits.core import worker
from live_digits.core.errors import WorkerError
from live_digits.core.types import Floats, Image, Reading
from live_digits.core.worker import MOST_REPLACED
from live_digits.display.keymap import Command
from live_digits.display.status import HudStatus
from live_digits.hands.landmarks import Hand
from live_digits.hands.mediapipe_landmarker import Landmarker
from live_digits.hands.worker import HandsWorker
from live_digits.reading import parameter_search
from live_digits.reading.parameter_search import SearchResult
from live_digits.reading.worker import InferenceWorker
from live_digits.vision.detection import detect_candidates
from live_digits.vision.stages import Detections
from live_digits.vision.worker import VisionWorker

CROPS = np.zeros((1, 28, 28), np.uint8)
PAGE = DemoScene(320, 240, seed=7, digits=6).render(0.0)
SHORT = 0.2
"""Patience with a call, seconds, where a test wants it to end soon."""


class Hanging(FakeClassifier):
    """Its first `hangs` calls wait for the gate, which the test opens at its end."""

    def __init__(self, hangs: int = 10**6) -> None:
        super().__init__(7)
        self.open = threading.Event()
        self.hangs = hangs

    def classify(self, crops: Image) -> Floats:
        if len(self.batches) < self.hangs:
            self.batches.append(len(crops))
            assert self.open.wait(PATIENCE)
            return np.full((len(crops), 11), 0.5, np.float32)  # an answer that must not count
        return super().classify(crops)


@pytest.fixture
def hanging() -> Iterator[Callable[[int], Hanging]]:
    """Makes networks that hang, and lets them go at the end; no thread stays."""
    before = set(threading.enumerate())
    made: list[Hanging] = []

    def make(hangs: int = 10**6) -> Hanging:
        made.append(Hanging(hangs))
        return made[-1]

    yield make
    for net in made:
        net.open.set()
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads to end")


def watch_until(it: InferenceWorker | HandsWorker, condition: Callable[[], bool]) -> None:
    def both() -> bool:
        it.watch()
        return condition()

    wait_until(both, "the watchdog")


# --- the watchdog ---


def test_a_call_that_hangs_is_left_behind_and_the_next_one_answers(
    hanging: Callable[[int], Hanging],
) -> None:
    net = hanging(1)
    it = InferenceWorker(lambda: net, SHORT)
    it.start()
    it.submit(asking([1], CROPS))
    watch_until(it, lambda: it.hangs == 1)
    assert isinstance(it.error, WorkerError)
    assert "no answer for 0.2 s" in str(it.error)
    assert not it.failed
    assert it.pending == frozenset()
    it.submit(asking([2], CROPS))
    watch_until(it, lambda: it.stats.batches == 1)
    (answer,) = it.results()
    assert answer.probabilities is not None
    assert (answer.track, int(answer.probabilities.argmax())) == (2, 7)
    assert it.error is None
    net.open.set()
    wait_until(lambda: len([t for t in threading.enumerate() if t.name == "inference"]) == 1)
    assert it.results() == (), "what comes too late counts no more"
    assert it.stats.batches == 1
    assert it.close()


def test_it_is_replaced_three_times_and_then_given_up(hanging: Callable[[int], Hanging]) -> None:
    net = hanging(10**6)
    it = InferenceWorker(lambda: net, SHORT)
    it.start()
    for count in range(1, MOST_REPLACED + 2):
        assert not it.failed
        it.submit(asking([count], CROPS))
        watch_until(it, lambda n=count: it.hangs == n)  # type: ignore[misc]
    assert it.failed
    assert len(net.batches) == MOST_REPLACED + 1
    it.submit(asking([9], CROPS))
    assert not it.busy
    begun = time.monotonic()
    assert not it.close(0.1), "the last thread still hangs, and is left behind"
    assert time.monotonic() - begun < 5


def test_what_is_loaded_may_hang_as_well(
    hanging: Callable[[int], Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LOADING", SHORT)
    gate = hanging(0)
    loads: list[int] = []

    def load() -> FakeClassifier:
        loads.append(1)
        if len(loads) == 1:
            assert gate.open.wait(PATIENCE)
        return FakeClassifier(4)

    it = InferenceWorker(load)
    it.start()
    it.submit(asking([3], CROPS))
    watch_until(it, lambda: it.hangs == 1)
    watch_until(it, lambda: it.stats.batches == 1)
    assert [a.track for a in it.results()] == [3], "what was asked meanwhile is not lost"
    assert it.close()


def test_hands_that_hang_hide_nothing(hanging: Callable[[int], Hanging]) -> None:
    gate = hanging(0)
    hand = Hand(np.zeros((21, 2), np.float32), "Left", 0.9)
    looks: list[int] = []

    class Eyes:
        def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
            looks.append(time_ms)
            if len(looks) == 2:
                assert gate.open.wait(PATIENCE)
            return (hand,)

        def close(self) -> None: ...

    it = HandsWorker(Eyes, SHORT)
    it.eager = True  # the page and the hand are at rest
    it.start()
    it.offer(PAGE, 0.0)
    watch_until(it, lambda: len(it.current(0.0)) == 1)
    it.offer(PAGE, 0.1)
    watch_until(it, lambda: it.hangs == 1)
    assert it.current(0.1) == ()
    it.offer(PAGE, 0.2)
    watch_until(it, lambda: len(it.current(0.2)) == 1)
    assert it.close()


def test_a_loop_that_was_held_up_blames_nobody(hanging: Callable[[int], Hanging]) -> None:
    """As after a suspension: much time between two looks is no time of the worker's."""
    net = hanging(1)
    it = InferenceWorker(lambda: net, 5.0)
    it.start()
    it.submit(asking([1], CROPS))
    wait_until(lambda: len(net.batches) == 1)
    it.watch()
    it._watched -= 3600
    it.watch()
    assert it.hangs == 0
    net.open.set()
    assert it.close()


def test_slow_but_sure_is_no_hang() -> None:
    it = InferenceWorker(lambda: FakeClassifier(seconds=0.15), 2.0)
    it.start()
    for n in range(8):
        it.submit(asking([n], CROPS))
        watch_until(it, lambda n=n: it.stats.batches == n + 1)  # type: ignore[misc]
    assert it.hangs == 0
    assert it.close()


# --- in the program ---


def run(
    load: Callable[[], FakeClassifier],
    until: Callable[[App], bool],
    watch: HandsWorker | None = None,
    patience: float = SHORT,
) -> tuple[RunResult, list[HudStatus]]:
    """A run that ends when `until` holds, and what stood on its pictures."""
    seen: list[HudStatus] = []
    keys = {2: [Command.AUTO]} if until is gave_up_search else {}
    live: App

    def each(_: Reading) -> None:
        if until(live):
            live.stop()

    class Screen(FakeDisplay):
        def show(self, picture: Image) -> None:
            seen.append(live._status())
            super().show(picture)

    source = FakeSource(itertools.repeat(PAGE), fps=50)
    live = App(
        Settings(), source, load, Screen(keys, keep=2), RunOptions(duration=60, each=each), watch
    )
    live._worker._patience = patience
    return live.run(), seen


def gave_up_search(live: App) -> bool:
    return live._search.hangs == 1


def test_a_network_that_hangs_for_ever_is_told_and_counted_and_ends_in_time(
    hanging: Callable[[int], Hanging],
) -> None:
    net = hanging(10**6)
    ended: list[float] = []

    def given_up(live: App) -> bool:
        if live._worker.failed:
            ended.append(time.monotonic())
        return len(ended) > 5

    outcome, seen = run(lambda: net, given_up)
    took = time.monotonic() - ended[-1]
    assert any("inference: no answer for 0.2 s (1 so far)" in s.message for s in seen)
    assert "reading failed: no answer" in seen[-1].error
    assert "goes on without" in seen[-1].error
    assert outcome.stats["worker_hangs"]["inference"] == MOST_REPLACED + 1
    assert outcome.stats["worker_errors"]["inference"] == 0
    assert [str(e) for e in outcome.errors] == ["reading failed: no answer for 0.2 s"]
    assert took < 5, "quitting waits a second at most (and this machine may be busy)"


def test_an_exception_that_is_over_at_once_is_still_said_and_counted() -> None:
    net = FakeClassifier(failures=1)
    outcome, seen = run(lambda: net, lambda live: live._worker.stats.batches > 0, patience=30)
    assert any(s.message == "inference: the network is out of order (1 so far)" for s in seen)
    assert outcome.stats["worker_errors"] == {
        "inference": 1, "vision": 0, "source": 0, "recorder": 0, "search": 0
    }  # fmt: skip
    assert outcome.errors == ()


def test_hands_that_fail_are_told_and_in_the_outcome() -> None:
    def load() -> Landmarker:
        raise RuntimeError("no eyes")

    watch = HandsWorker(load)
    frames: list[int] = []

    def told(live: App) -> bool:
        frames.extend([1] if watch.failed else [])
        return len(frames) > 3

    outcome, seen = run(FakeClassifier, told, watch)
    assert outcome.stats["worker_errors"]["hands"] == 1
    assert [str(e) for e in outcome.errors] == ["hands: no eyes"]
    assert "hands: no eyes; the picture goes on without them" in seen[-1].error


def test_a_search_that_hangs_is_given_up(
    hanging: Callable[[int], Hanging], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = hanging(0)

    def search(*_: object) -> SearchResult:
        assert gate.open.wait(PATIENCE)
        return SearchResult(PipelineSettings(), False, 0, 0)

    monkeypatch.setattr("live_digits.reading.parameter_search.search", search)
    monkeypatch.setattr(parameter_search, "LONGEST_STEP", SHORT)
    outcome, seen = run(FakeClassifier, gave_up_search)
    assert outcome.stats["worker_hangs"]["search"] == 1
    assert any("search for parameters hangs" in s.message for s in seen)


def test_an_exception_that_nobody_caught_is_counted_by_its_thread() -> None:
    def die() -> None:
        raise ZeroDivisionError("on a thread")

    hook = threading.excepthook
    ended: list[App] = []

    def told(live: App) -> bool:
        if not ended:
            thread = threading.Thread(target=die, name="forgotten")
            thread.start()
            thread.join()
        ended.append(live)
        return len(ended) > 3

    outcome, seen = run(FakeClassifier, told)
    assert outcome.stats["worker_errors"]["forgotten"] == 1
    assert any("forgotten" in str(e) for e in outcome.errors)
    assert any("forgotten" in s.message for s in seen)
    assert threading.excepthook is hook


@pytest.mark.parametrize("live", [True, False], ids=["live", "every frame"])
def test_vision_that_hangs_on_a_frame_loses_that_frame_alone(
    hanging: Callable[[int], Hanging], live: bool
) -> None:
    gate = hanging(0)
    looks: list[int] = []

    def look(image: Image, settings: PipelineSettings) -> Detections:
        looks.append(1)
        if len(looks) == 3:
            assert gate.open.wait(PATIENCE)
        return detect_candidates(image, settings)

    frames: list[Reading] = []
    options = RunOptions(duration=60, each=frames.append, live=live)
    it = App(
        Settings(), FakeSource(itertools.repeat(PAGE, 120), fps=25 if live else None),
        FakeClassifier, FakeDisplay(keep=1), options,
    )  # fmt: skip
    it._vision_worker = VisionWorker(reuse=False, look=look, patience=2.0)
    it._workers[1] = it._vision_worker
    outcome = it.run()
    assert outcome.stats["worker_hangs"]["vision"] == 1
    assert outcome.errors == ()
    assert len(looks) > 5
    assert frames[-1].digits
