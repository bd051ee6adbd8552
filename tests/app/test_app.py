"""The live loop: frames, readings, a network that fails, the end, the search, the figures."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from app_kit import (
    BAR,
    BLIND,
    DIGITS,
    HEIGHT,
    LIMIT,
    PAGE,
    RATE,
    WIDTH,
    Maker,
    Story,
    film_of,
    lines_of,
    moving,
    number,
    numbered,
    pictures,
    recorded,
    session_of,
    until,
)
from fakes import (
    PATIENCE,
    FakeClassifier,
    FakeSource,
)

from live_digits import cli
from live_digits.app.live import App, RunOptions
from live_digits.capture.demo_scene import DemoScene
from live_digits.config.settings import (
    PipelineSettings,
    RecordingSettings,
    Settings,
    profile_defaults,
)
from live_digits.core.errors import LiveDigitsError, ModelError, SourceError
from live_digits.core.types import Frame, Reading
from live_digits.display.keymap import Command
from live_digits.reading.image_reader import read_picture
from live_digits.reading.parameter_search import SearchThread, score, search

pytestmark = pytest.mark.usefixtures("no_thread_stays")


# --- frames and readings ---


def test_every_frame_of_a_lossless_source_is_shown_once_and_in_order(make: Maker) -> None:
    run = make(FakeSource(numbered(40)))
    outcome = run.app.run()
    assert [number(p) for p in run.screen.pictures] == list(range(40))
    assert [r.frame for r in run.readings] == list(range(40))
    assert outcome.stats["frames_shown"] == outcome.stats["frames_captured"] == 40
    assert outcome.stats["dropped"] == 0
    assert outcome.errors == ()


def test_a_moving_page_is_read_and_its_lines_are_the_outcome(make: Maker) -> None:
    run = make(FakeSource(moving(), fps=RATE))
    outcome = run.play(until(run.read_all, "all digits"))
    truth = DemoScene(WIDTH, HEIGHT, seed=7, digits=DIGITS).lines()
    assert [len(line) for line in outcome.lines] == [len(line) for line in truth]
    assert set("".join(outcome.lines)) <= {"7", " "}
    assert outcome.stats["labels"] >= DIGITS
    assert outcome.stats["time_to_first_label_s"] >= outcome.stats["time_to_first_frame_s"] > 0


def test_a_slow_source_gives_each_frame_to_the_caller_once(make: Maker) -> None:
    run = make(FakeSource(numbered(6), fps=3))
    run.app.run()
    assert run.screen.shown > 10, "the picture is renewed between the frames"
    assert [r.frame for r in run.readings] == list(range(6))


def test_a_classifier_that_hangs_does_not_slow_the_picture(make: Maker) -> None:
    gate = threading.Event()
    run = make(net=FakeClassifier(gate=gate))
    during: list[Reading] = []

    def story() -> Story:
        yield from until(run.net.begun.is_set, "the first call")
        yield from pictures(40)
        assert len(run.net.batches) == 1, "the one call still runs"
        during.extend(run.readings)
        gate.set()
        yield from until(run.read_all, "readings after the call has come back")

    run.play(story())
    assert len({r.frame for r in during}) >= 40
    boxes = DIGITS - 1  # a digit of two pieces has no box of its own yet
    assert all(len(r.pending) >= boxes and not r.digits for r in during)


def test_a_classifier_of_two_seconds_leaves_the_rate_as_it_is(make: Maker) -> None:
    shown = []
    for seconds in (0.0, 2.0):
        run = make(FakeSource(numbered(50), fps=RATE), FakeClassifier(seconds=seconds))
        outcome = run.app.run()
        assert run.net.batches
        assert outcome.errors == ()
        shown.append(outcome.stats["frames_shown"])
    assert shown[1] >= 0.5 * shown[0]


# --- a network that fails ---


def test_a_classifier_that_raises_is_told_on_the_picture_which_goes_on(make: Maker) -> None:
    run = make(net=FakeClassifier(failures=1_000_000))
    before: list[int] = []

    def story() -> Story:
        yield from until(lambda: "goes on" in run.status.error, "the error on the picture")
        before.append(len({r.frame for r in run.readings}))
        yield from pictures(10)
        yield Command.PREDICT
        yield from pictures(2)

    outcome = run.play(story())
    assert len({r.frame for r in run.readings}) >= before[0] + 5
    assert "the network is out of order" in run.status.error
    picture = run.screen.pictures[-1].astype(int)
    red = (picture[..., 2] > 130) & (picture[..., 1] < 110) & (picture[..., 0] < 110)
    assert red[BAR:].sum() > 1000, "an alarming plate is on the picture"
    assert outcome.lines == ()
    (error,) = outcome.errors
    assert "the network is out of order" in str(error)


def test_a_classifier_that_recovers_is_forgiven(make: Maker) -> None:
    run = make(net=FakeClassifier(failures=1))
    outcome = run.play(until(run.read_all, "readings"))
    assert run.net.failures == 0
    assert len(run.net.batches) >= 2
    assert run.status.error == ""
    assert outcome.errors == ()


def test_a_model_that_does_not_load_is_the_outcome(make: Maker) -> None:
    def load() -> FakeClassifier:
        raise ModelError("the model is torn")

    run = make(load=load)

    def story() -> Story:
        yield from until(lambda: "the model is torn" in run.status.error, "the error")
        yield from pictures(5)

    outcome = run.play(story())
    (error,) = outcome.errors
    assert isinstance(error, ModelError)
    assert str(error) == "the model is torn"


def test_a_failed_network_is_exit_code_1_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    net = FakeClassifier(failures=1_000_000)
    monkeypatch.setattr("live_digits.reading.judge.load", lambda *args, **kwargs: net)
    line = (
        "run --source demo --width 320 --height 240 --no-window --duration 1 --set hands.mode=off"
    )
    assert cli.invoke(line.split()) == 1
    told = [x for x in capfd.readouterr().err.splitlines() if "out of order" in x]
    assert len(told) == 1


# --- the end ---


def test_quit_closes_everything_and_finishes_the_recording(make: Maker) -> None:
    before = threading.active_count()
    run = make(record=True)
    during: list[int] = []

    def story() -> Story:
        yield from pictures(5)
        during.append(threading.active_count())

    run.play(story())
    assert during[0] >= before + 2, "inference and recorder ran"
    assert threading.active_count() == before
    assert run.source.closed
    assert run.screen.closed
    (folder,) = recorded(run.folder)
    assert session_of(folder)["ended"] is not None


def test_a_window_that_breaks_closes_everything_and_loses_no_recording(make: Maker) -> None:
    run = make(record=True)

    def story() -> Story:
        yield from pictures(8)
        raise OSError("the screen is gone")

    run.screen.play(story())
    with pytest.raises(OSError, match="the screen is gone"):
        run.app.run()
    assert run.source.closed
    assert run.screen.closed
    (folder,) = recorded(run.folder)
    frames, _ = film_of(folder)
    assert frames == len(lines_of(folder)) == session_of(folder)["frames"]
    assert frames + session_of(folder)["dropped"] >= 8
    assert session_of(folder)["ended"] is not None


def test_a_duration_ends_the_run(make: Maker) -> None:
    run = make(FakeSource(numbered(1000), fps=RATE), duration=0.6)
    outcome = run.app.run()
    assert outcome.stats["seconds"] > 0.1
    assert outcome.stats["frames_captured"] < 500


def test_stop_from_another_thread_ends_the_run(make: Maker) -> None:
    run = make()
    timer = threading.Timer(0.3, run.app.stop)
    timer.start()
    outcome = run.app.run()
    timer.join()
    assert outcome.stats["frames_shown"] > 0
    assert outcome.stats["seconds"] < LIMIT / 2


def test_a_source_whose_first_frame_never_comes_is_an_error(make: Maker) -> None:
    run = make(FakeSource([], error=SourceError("camera 0 gave no frame within 10 s")))
    with pytest.raises(SourceError, match="gave no frame"):
        run.app.run()
    assert run.screen.closed


def test_a_source_that_breaks_later_is_in_the_outcome(make: Maker) -> None:
    run = make(FakeSource(numbered(5), error=SourceError("the disk is gone")), record=True)
    outcome = run.app.run()
    assert [str(e) for e in outcome.errors] == ["the disk is gone"]
    assert outcome.recordings[0].frames == 5


def test_without_a_display_it_runs_reads_and_records(tmp_path: Path) -> None:
    settings = Settings(recording=RecordingSettings(folder=str(tmp_path), min_free_mb=0))
    source = FakeSource(numbered(40), fps=RATE)
    live = App(settings, source, FakeClassifier, None, RunOptions(record=True, duration=LIMIT))
    outcome = live.run()
    assert "".join(outcome.lines).replace(" ", "") == "7" * DIGITS
    (folder,) = recorded(tmp_path)
    assert film_of(folder)[0] == outcome.recordings[0].frames >= 10


# --- automatic parameters ---


def settings_with(pipeline: PipelineSettings) -> Settings:
    return Settings(pipeline=pipeline)


def worth_of(pipeline: PipelineSettings) -> float:
    return score(read_picture(Frame(PAGE, 0, 0.0), settings_with(pipeline), FakeClassifier()))


def test_the_search_betters_sliders_that_find_nothing() -> None:
    found = search(PAGE, settings_with(BLIND), FakeClassifier())
    assert worth_of(BLIND) == 0
    assert worth_of(found.settings) >= max(worth_of(profile_defaults("classic")), 1)
    assert found.better or found.settings == profile_defaults("classic")
    assert found.settings.profile == "classic"


def test_the_search_keeps_sliders_that_nothing_betters() -> None:
    blank = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    found = search(blank, settings_with(PipelineSettings(blur=7)), FakeClassifier())
    assert found.settings == PipelineSettings(blur=7)
    assert not found.better
    assert found.digits == 0


def test_a_search_that_is_stopped_ends_at_once() -> None:
    found = search(PAGE, settings_with(PipelineSettings()), FakeClassifier(), lambda: True)
    assert found.tried == 1


@pytest.mark.parametrize("pressed", [True, False])
def test_automatic_parameters_are_at_least_as_good_as_the_defaults(
    make: Maker, pressed: bool
) -> None:
    run = make(pipeline=BLIND, auto=not pressed)

    def story() -> Story:
        yield from pictures(3)
        if pressed:
            yield Command.AUTO
        yield from until(lambda: "settings tried" in run.status.message, "the end of the search")
        yield from until(lambda: bool(run.reading.digits), "readings with them")

    run.play(story())
    (chosen,) = run.screen.given
    assert run.screen.parameters() == chosen
    assert worth_of(chosen) >= max(worth_of(profile_defaults("classic")), 1)


def test_a_search_that_fails_is_told_and_changes_nothing(make: Maker) -> None:
    loads = itertools.count()
    net = FakeClassifier()

    def load() -> FakeClassifier:
        return net if next(loads) == 0 else FakeClassifier(failures=1)

    run = make(load=load)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.AUTO
        yield from until(lambda: "search for parameters failed" in run.status.message, "the end")
        assert "out of order" in run.status.message
        yield from pictures(3)

    outcome = run.play(story())
    assert run.screen.given == []
    assert outcome.errors == ()


def test_quit_ends_a_search(make: Maker) -> None:
    gate = threading.Event()
    loads = itertools.count()

    def load() -> FakeClassifier:
        return FakeClassifier() if next(loads) == 0 else FakeClassifier(gate=gate)

    run = make(load=load)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.AUTO
        yield from until(lambda: next(iter(searchers()), None) is not None, "the search")
        gate.set()

    run.play(story())
    for searcher in searchers():
        searcher.join(PATIENCE)
    assert run.screen.given == []


def searchers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if isinstance(t, SearchThread)]


# --- statistics ---


def test_the_statistics_hold_every_figure(make: Maker) -> None:
    run = make(record=True)
    outcome = run.play(until(run.read_all, "all digits"))
    stats = json.loads(json.dumps(outcome.stats))
    assert {
        "frames_captured", "frames_shown", "dropped", "seconds", "fps", "latency_ms", "vision_ms",
        "inference_ms", "batches", "labels", "time_to_first_frame_s", "time_to_first_label_s",
        "rss_mb_peak", "source", "reconnects", "recording",
    } <= set(stats)  # fmt: skip
    for key in ("latency_ms", "vision_ms", "inference_ms"):
        assert set(stats[key]) == {"p50", "p95", "p99"}
        assert 0 <= stats[key]["p50"] <= stats[key]["p95"] <= stats[key]["p99"]
    assert 0 < stats["frames_shown"] <= stats["frames_captured"]
    assert stats["frames_shown"] + stats["dropped"] == stats["frames_captured"]
    assert stats["batches"] == len(run.net.batches)
    assert {"requested", "reported", "measured"} <= set(stats["source"])
    assert set(stats["recording"]) == {"path", "frames", "seconds", "dropped"}
    assert stats["rss_mb_peak"] > 10


def test_the_statistics_of_a_run_that_saw_nothing_are_whole(make: Maker) -> None:
    run = make(FakeSource([]))
    stats = run.app.run().stats
    assert stats["frames_shown"] == stats["frames_captured"] == 0
    assert stats["latency_ms"] is stats["time_to_first_frame_s"] is stats["recording"] is None
    assert (stats["seconds"], stats["fps"]) == (0.0, 0.0)


def test_errors_are_of_the_programs_own_kind(make: Maker) -> None:
    run = make(net=FakeClassifier(failures=3, error=ValueError("odd\nshape")))
    outcome = run.play(until(lambda: "goes on" in run.status.error, "the error"))
    assert "\n" not in run.status.error
    assert all(isinstance(e, LiveDigitsError) for e in outcome.errors)
