"""The live loop, driven without a model, a camera or a screen."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from fakes import (
    FIST,
    PALM,
    PATIENCE,
    POINTING,
    THUMB_UP,
    TWO,
    FakeClassifier,
    FakeDevice,
    FakeDisplay,
    FakeHands,
    FakeSource,
    hand,
    held_disk,
    wait_until,
)

import av

from live_digits import app, cli, overlay, recorder
from live_digits.app import App, Options, Outcome
from live_digits.auto import Searcher, search, worth
from live_digits.config import (
    HandsSettings,
    PipelineSettings,
    RecordingSettings,
    Settings,
    load,
    profile_defaults,
)
from live_digits.demo import DemoScene
from live_digits.errors import LiveDigitsError, ModelError, RecordingError, SourceError
from live_digits.hands import Hand, HandsWorker
from live_digits.link import Limits
from live_digits.pipeline import find
from live_digits.reader import read_picture
from live_digits.sources import Source, blocked_readers
from live_digits.types import VIEWS, Frame, Image, Reading, Status
from live_digits.window import Command

WIDTH, HEIGHT = 320, 240
BAR = 40
"""Rows of the picture that the status bar covers, with room to spare."""
INSIDE = slice(BAR, None), slice(None, WIDTH - 24)
"""The part of a picture without status bar and number."""
RATE = 25.0
LIMIT = 60.0
"""Seconds after which a run that does not come to its end has failed."""
BLIND = PipelineSettings(
    canny_low=255, canny_ratio=7, blur=71, dilate_iterations=0, threshold=1, profile="classic"
)
"""Sliders with which nothing is found."""

Script = Callable[[float], tuple[Hand, ...]]
"""The hands at a frame's time."""

Story = Iterator[Command | None]
"""What a user does: resumed after each picture, it yields the key to press, None for no key. Its
end presses q."""


def page(seconds: float = 0.0) -> Image:
    return DemoScene(WIDTH, HEIGHT, seed=3, digits=6).render(seconds)


PAGE = page()
DIGITS = 6


def numbered(count: int | None = None) -> Iterator[Image]:
    """A still page whose frames differ by a number in the lower right corner, 0…255 and again."""
    for n in itertools.count() if count is None else range(count):
        yield page_of(n % 256)


def page_of(n: int) -> Image:
    image: Image = np.array(PAGE)
    image[-1, -1] = n
    return image


def number(picture: Image) -> int:
    """The number of the frame that a picture shows."""
    return int(picture[-1, -1, 0])


def moving() -> Iterator[Image]:
    scene = DemoScene(WIDTH, HEIGHT, seed=3, digits=DIGITS)
    for n in itertools.count():
        yield scene.render(n / 30)


class Screen(FakeDisplay):
    """A window before which a story is played."""

    def __init__(self) -> None:
        super().__init__()
        self._story: Story | None = None
        self._told = 0
        self.over = False

    def play(self, story: Story) -> None:
        self._story = story

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        if self._story is None or self.shown == self._told:
            return ()
        self._told = self.shown
        try:
            key = next(self._story)
        except StopIteration:
            self.over = True
            return (Command.QUIT,)
        return () if key is None else (key,)


def pictures(count: int) -> Story:
    """So many more pictures are shown."""
    for _ in range(count):
        yield None


def until(condition: Callable[[], bool], what: str) -> Story:
    """Pictures are shown until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        yield None


class Timed(FakeSource):
    """A source that remembers the time of each frame that it handed out."""

    def __init__(self, images: Iterable[Image], fps: float | None = None) -> None:
        super().__init__(images, fps=fps)
        self.times: list[float] = []

    def read(self, timeout: float) -> Frame | None:
        frame = super().read(timeout)
        if frame is not None:
            self.times.append(frame.time)
        return frame


@dataclass
class Run:
    """A run over fakes and all that can be seen of it."""

    app: App
    source: Any
    screen: Screen
    net: FakeClassifier
    folder: Path
    statuses: list[Status]
    readings: list[Reading] = field(default_factory=list)

    @property
    def status(self) -> Status:
        """What stands on the picture that is shown."""
        return self.statuses[-1]

    @property
    def reading(self) -> Reading:
        return self.readings[-1]

    def play(self, story: Story) -> Outcome:
        """The whole story; it must come to its end."""
        self.screen.play(story)
        outcome = self.app.run()
        assert self.screen.over, "the run ended before the story did"
        return outcome

    def read_all(self) -> bool:
        """True once every box carries a digit."""
        return len(self.reading.digits) >= DIGITS and not self.reading.pending


Maker = Callable[..., Run]


def _hands_settings(mode: str, on: tuple[str, ...]) -> HandsSettings:
    return HandsSettings(
        mode,
        open_palm="open_palm" in on,
        fist="fist" in on,
        thumb_up="thumb_up" in on,
        two_fingers="two_fingers" in on,
    )


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes an app over fakes whose recordings go to tmp_path/recordings."""
    statuses: list[Status] = []

    def draw(image: Image, reading: Reading, status: Status, confidence: bool = True) -> Image:
        statuses.append(status)
        return overlay.draw(image, reading, status, confidence)

    monkeypatch.setattr(app, "draw", draw)

    def made(
        source: Source | None = None,
        net: FakeClassifier | None = None,
        load: Callable[[], FakeClassifier] | None = None,
        pipeline: PipelineSettings | None = None,
        folder: Path = tmp_path / "recordings",
        raw: str = "off",
        hands: HandsWorker | None = None,
        on: tuple[str, ...] = (),
        mode: str = "auto",
        **options: Any,
    ) -> Run:
        settings = Settings(
            pipeline=pipeline or PipelineSettings(),
            recording=RecordingSettings(folder=str(folder), min_free_mb=0, raw=raw),
            hands=_hands_settings(mode, on),
        )
        source = source or FakeSource(numbered(), fps=RATE)
        network = net or FakeClassifier()
        screen = Screen()
        screen.set_parameters(settings.pipeline)
        screen.given.clear()
        readings: list[Reading] = []
        chosen: dict[str, Any] = {"duration": LIMIT, "each": readings.append} | options
        live = App(settings, source, load or (lambda: network), screen, Options(**chosen), hands)
        return Run(live, source, screen, network, folder, statuses, readings)

    return made


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t.name for t in threading.enumerate() if t not in before]
    assert not left, f"threads left running: {left}"


def recorded(folder: Path) -> list[Path]:
    """The recordings, oldest first."""
    return sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def lines_of(recording: Path) -> list[dict[str, Any]]:
    text = (recording / recorder.READINGS).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def film_of(recording: Path) -> tuple[int, float]:
    """Frames and seconds of the recorded video, decoded."""
    with av.open(str(recording / recorder.VIDEO)) as file:
        assert file.duration is not None
        return sum(1 for _ in file.decode(video=0)), file.duration / av.time_base


def session_of(recording: Path) -> dict[str, Any]:
    content = yaml.safe_load((recording / recorder.SESSION).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


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
    truth = DemoScene(WIDTH, HEIGHT, seed=3, digits=DIGITS).lines()
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
    assert all(len(r.pending) >= DIGITS and not r.digits for r in during)


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
    monkeypatch.setattr("live_digits.classifier.load", lambda *args, **kwargs: net)
    line = (
        "run --source demo --width 320 --height 240 --no-window --duration 1 --set hands.mode=off"
    )
    assert cli.invoke(line.split()) == 1
    told = [x for x in capfd.readouterr().err.splitlines() if "out of order" in x]
    assert len(told) == 1


# --- keys ---


def test_frozen_the_picture_stays_while_the_source_goes_on(make: Maker) -> None:
    run = make()
    marks: list[tuple[int, int]] = []

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield from pictures(3)
        marks.append((run.screen.shown, run.source.captured))
        yield Command.FREEZE
        yield from pictures(8)
        assert run.status.frozen
        marks.append((run.screen.shown, run.source.captured))
        yield Command.FREEZE
        yield from pictures(5)
        assert not run.status.frozen

    run.play(story())
    shown = list(run.screen.pictures)
    (begin, captured), (end, later) = marks
    assert {number(p) for p in shown[begin - 1 : end]} == {number(shown[begin - 1])}
    assert later - captured >= 8
    assert (number(shown[end]) - number(shown[begin - 1])) % 256 >= 8
    assert len({number(p) for p in shown[end : end + 5]}) >= 4


def test_predict_while_frozen_asks_anew_about_every_box(make: Maker) -> None:
    run = make()

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        yield from pictures(8)
        calls = len(run.net.batches)
        yield from pictures(5)
        assert len(run.net.batches) == calls, "a page that stands still is asked about no more"
        yield Command.PREDICT
        yield from until(lambda: len(run.net.batches) > calls, "a new call")
        assert run.net.batches[-1] >= DIGITS

    run.play(story())


def test_extract_while_frozen_shows_and_saves_a_sheet(make: Maker) -> None:
    run = make()

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        yield from pictures(2)
        yield Command.EXTRACT
        yield Command.EXTRACT
        yield from pictures(1)
        assert "saved" in run.status.message

    outcome = run.play(story())
    assert len(run.screen.sheets) == 2
    files = sorted(run.folder.glob("*_crops*.png"), key=lambda p: (len(p.name), p.name))
    assert len(files) == 2, "the second sheet does not overwrite the first"
    for file, sheet in zip(files, run.screen.sheets, strict=True):
        np.testing.assert_array_equal(cv2.imread(str(file)), sheet)
    crops = [c for c in run.net.crops if c.any()]
    assert crops
    assert outcome.errors == ()
    bright = (run.screen.sheets[0].min(axis=2) > 200).sum()
    assert bright > 500, "white ink of the crops, and text"


def test_a_file_that_ends_while_frozen_keeps_its_picture_until_the_user_goes_on(
    make: Maker,
) -> None:
    run = make(FakeSource(numbered(12)))

    def story() -> Story:
        yield from pictures(5)
        yield Command.FREEZE
        yield from pictures(6)
        assert run.status.frozen
        yield Command.EXTRACT
        yield from pictures(2)
        yield Command.FREEZE
        raise AssertionError("resumed, the run ends with its source")

    run.screen.play(story())
    outcome = run.app.run()
    assert outcome.errors == ()
    assert len(run.screen.sheets) == 1
    assert number(run.screen.pictures[-1]) == 5


def test_the_views_turn_through_all_stages_and_back(make: Maker) -> None:
    run = make()
    seen: list[tuple[str, Image]] = []

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        yield from pictures(2)
        for _ in range(len(VIEWS) + 1):
            seen.append((run.status.view, run.screen.pictures[-1][INSIDE]))
            yield Command.VIEW

    run.play(story())
    assert tuple(view for view, _ in seen) == (*VIEWS, VIEWS[0])
    stages = find(page_of(number(run.screen.pictures[-1])), PipelineSettings()).stages
    for view, picture in seen[1:-2]:
        stage = getattr(stages, view)[INSIDE]
        np.testing.assert_array_equal(picture, np.stack([stage] * 3, axis=2))
    np.testing.assert_array_equal(seen[0][1], seen[-1][1])
    assert not np.array_equal(seen[0][1], seen[-2][1])


def test_a_slider_acts_on_the_next_frame(make: Maker) -> None:
    run = make()
    before, after = PipelineSettings(), PipelineSettings(canny_low=200, dilate_iterations=4)

    def story() -> Story:
        for _ in range(VIEWS.index("dilated")):
            yield Command.VIEW
        yield from pictures(2)
        run.screen.set_parameters(after)
        yield None

    run.play(story())
    numbers = [r.frame for r in run.readings[-2:]]
    shown = list(run.screen.pictures)[-2:]
    for picture, n, settings in zip(shown, numbers, (before, after), strict=True):
        expected = find(page_of(n), settings).stages.dilated[INSIDE]
        np.testing.assert_array_equal(picture[INSIDE][..., 0], expected)


def test_a_slider_acts_on_a_frozen_frame(make: Maker) -> None:
    run = make()

    def story() -> Story:
        for _ in range(VIEWS.index("edges")):
            yield Command.VIEW
        yield Command.FREEZE
        yield from pictures(2)
        run.screen.set_parameters(PipelineSettings(canny_low=200))
        yield from pictures(1)

    run.play(story())
    frozen = page_of(run.reading.frame)
    expected = find(frozen, PipelineSettings(canny_low=200)).stages.edges[INSIDE]
    np.testing.assert_array_equal(run.screen.pictures[-1][INSIDE][..., 0], expected)


@pytest.mark.parametrize("profile", ["paper", "classic"])
def test_defaults_are_the_profiles_own(make: Maker, profile: str) -> None:
    run = make(pipeline=replace(profile_defaults(profile), blur=1, canny_low=99, threshold=50))

    def story() -> Story:
        yield from pictures(2)
        yield Command.DEFAULTS
        yield from pictures(2)

    run.play(story())
    assert run.screen.given == [profile_defaults(profile)]
    assert run.status.profile == profile


def test_the_sliders_are_written_into_the_config_file_comments_kept(
    make: Maker, tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "# my desk\npipeline:\n  blur: 7  # soft\n  threshold: 0\nreading:\n  confidence: 0.7\n"
    )
    run = make(config=config)

    def story() -> Story:
        yield from pictures(2)
        run.screen.set_parameters(PipelineSettings(blur=9, canny_low=33, threshold=120))
        yield Command.WRITE
        yield from pictures(1)
        assert str(config) in run.status.message

    outcome = run.play(story())
    text = config.read_text()
    assert "# my desk" in text
    assert "blur: 9  # soft" in text
    found = load(config)
    assert found.pipeline == PipelineSettings(blur=9, canny_low=33, threshold=120)
    assert found.reading.confidence == 0.7
    assert outcome.errors == ()


def test_a_config_file_that_cannot_be_written_is_told(make: Maker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    run = make(config=tmp_path / "file" / "config.yaml")

    def story() -> Story:
        yield from pictures(2)
        yield Command.WRITE
        yield from pictures(2)
        assert "config.yaml" in run.status.error

    outcome = run.play(story())
    assert len(outcome.errors) == 1


def test_save_writes_the_picture_that_is_shown(make: Maker) -> None:
    run = make()
    wanted: list[Image] = []

    def story() -> Story:
        yield from pictures(3)
        wanted.append(run.screen.pictures[-1])
        yield Command.SAVE
        yield Command.VIEW
        yield from pictures(1)
        wanted.append(run.screen.pictures[-1])
        yield Command.SAVE

    run.play(story())
    files = sorted(run.folder.glob("*_picture*.png"), key=lambda p: (len(p.name), p.name))
    assert len(files) == 2
    for file, picture in zip(files, wanted, strict=True):
        np.testing.assert_array_equal(cv2.imread(str(file)), picture)


def test_help_covers_the_middle_until_it_is_pressed_again(make: Maker) -> None:
    run = make()
    seen: list[Image] = []

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        for _ in range(3):
            yield from pictures(1)
            seen.append(run.screen.pictures[-1][HEIGHT // 2 - 20 : HEIGHT // 2 + 20])
            yield Command.HELP

    run.play(story())
    plain, covered, again = (p.astype(int) for p in seen)
    assert covered.mean() < plain.mean() - 40
    np.testing.assert_array_equal(plain, again)


# --- recording ---


def test_recordings_begin_and_end_with_the_key(make: Maker) -> None:
    run = make(FakeSource(moving(), fps=RATE))

    def story() -> Story:
        yield from pictures(3)
        for _ in range(2):
            yield Command.RECORD
            yield from until(lambda: run.status.recording_s is not None, "the recording")
            yield from pictures(12)
            yield Command.RECORD
            yield from until(lambda: "recorded" in run.status.message, "the message")
            assert run.status.recording_s is None

    outcome = run.play(story())
    assert outcome.errors == ()
    folders = recorded(run.folder)
    assert [Path(r.path).name for r in outcome.recordings] == [f.name for f in folders]
    assert len(folders) == 2
    for folder, summary in zip(folders, outcome.recordings, strict=True):
        frames, seconds = film_of(folder)
        assert frames == summary.frames == len(lines_of(folder))
        assert frames + summary.dropped >= 12
        assert seconds == pytest.approx(summary.seconds, abs=0.01)
    assert outcome.stats["recording"] == dict(outcome.recordings[-1].as_json())


def test_a_recording_asked_for_at_the_start_holds_the_whole_run(make: Maker) -> None:
    source = Timed(moving(), fps=RATE)
    run = make(source, record=True)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield from pictures(10)

    outcome = run.play(story())
    (folder,) = recorded(run.folder)
    assert {p.name for p in folder.iterdir()} == {
        recorder.VIDEO,
        recorder.READINGS,
        recorder.SESSION,
    }
    frames, seconds = film_of(folder)
    lines = lines_of(folder)
    assert frames == len(lines)
    assert frames + outcome.recordings[0].dropped == len(source.times)
    assert seconds == pytest.approx(source.times[-1] - source.times[0], abs=0.2)
    assert lines[0]["frame"] == 0
    assert lines[-1]["lines"] == list(outcome.lines)
    session = session_of(folder)
    assert session["ended"] is not None
    assert session["frames"] == frames
    assert session["model"] == "cnn"
    assert session["source"]["kind"] == "camera"
    assert session["settings"]["pipeline"]["blur"] == PipelineSettings().blur
    assert (session["width"], session["height"]) == (WIDTH, HEIGHT)
    assert {"started", "dropped", "seconds", "versions"} <= set(session)


def test_a_source_that_drops_frames_and_a_freeze_keep_the_films_true_time(make: Maker) -> None:
    source = Timed(numbered(), fps=60)
    run = make(source, record=True)
    slow = run.screen.show

    def show(picture: Image) -> None:
        slow(picture)
        time.sleep(0.05)

    run.screen.show = show  # type: ignore[method-assign]
    frozen: list[float] = []

    def story() -> Story:
        yield from pictures(15)
        yield Command.FREEZE
        frozen.append(source.times[-1])
        yield from pictures(10)
        frozen.append(source.times[-1])
        yield Command.FREEZE
        yield from pictures(10)

    outcome = run.play(story())
    assert outcome.stats["dropped"] > 10
    assert frozen[1] - frozen[0] > 0.5
    (folder,) = recorded(run.folder)
    frames, seconds = film_of(folder)
    assert seconds == pytest.approx(source.times[-1] - source.times[0], abs=0.25)
    numbers = [line["frame"] for line in lines_of(folder)]
    assert frames == len(numbers)
    assert max(numbers.count(n) for n in numbers) >= 6, "the freeze is in the film"


def test_a_recording_that_fails_is_told_and_the_picture_goes_on(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SYNC_EVERY", 0.05)
    run = make(record=True)

    def story() -> Story:
        yield from pictures(5)
        shutil.rmtree(run.folder)
        yield from until(lambda: "removed" in run.status.error, "the error on the picture")
        assert run.status.recording_s is None
        yield from pictures(10)

    outcome = run.play(story())
    numbers = [number(p) for p in list(run.screen.pictures)[-10:]]
    assert len(set(numbers)) >= 5
    (error,) = outcome.errors
    assert isinstance(error, RecordingError)
    assert "removed" in str(error)


def grain() -> Iterator[Image]:
    """Pages that cost the disk much, numbered."""
    for n in itertools.count():
        image = np.random.default_rng(n).integers(0, 256, PAGE.shape, np.uint8)
        image[-1, -1] = n % 256
        yield image


def test_a_full_disk_ends_the_recording_with_one_message_and_the_picture_goes_on(
    make: Maker, disk: Path
) -> None:
    run = make(FakeSource(grain(), fps=RATE), folder=disk, raw="lossless", record=True)
    told: list[str] = []

    def story() -> Story:
        yield from until(lambda: "No space left" in run.status.error, "the error on the picture")
        for _ in range(20):
            told.append(run.status.error)
            assert run.status.recording_s is None
            yield None

    outcome = run.play(story())
    assert len(set(told) - {""}) == 1
    numbers = [number(p) for p in list(run.screen.pictures)[-10:]]
    assert len(set(numbers)) >= 5
    assert [str(e) for e in outcome.errors] == [told[0]]
    (folder,) = recorded(disk)
    frames, _ = film_of(folder)
    assert 0 < frames <= len(lines_of(folder))
    with av.open(str(folder / recorder.RAW)) as file:
        assert sum(1 for _ in file.decode(video=0)) > 0


def test_a_slow_disk_drops_recorded_frames_and_no_pictures(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = held_disk(monkeypatch)
    run = make(FakeSource(numbered(), fps=RATE), record=True)

    def story() -> Story:
        yield from until(lambda: run.status.recording_dropped >= 5, "dropped frames")
        yield Command.RECORD
        seen = [number(run.screen.pictures[-1])]
        for _ in range(15):  # the recording cannot end yet, and nobody waits for it
            yield None
            seen.append(number(run.screen.pictures[-1]))
        assert len(set(seen)) >= 8
        assert "recorded" not in run.status.message
        gate.set()
        yield from until(lambda: "recorded" in run.status.message, "its end")
        assert "frames dropped" in run.status.message

    outcome = run.play(story())
    assert outcome.errors == ()
    (summary,) = outcome.recordings
    assert summary.dropped >= 5
    assert summary.frames == film_of(recorded(run.folder)[0])[0]


def test_a_disk_that_must_wake_up_first_keeps_no_picture(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    new_folder = recorder._new_folder

    def asleep(*given: Any) -> Path:
        assert gate.wait(PATIENCE)
        return new_folder(*given)

    monkeypatch.setattr(recorder, "_new_folder", asleep)
    run = make(FakeSource(numbered(), fps=RATE))

    def story() -> Story:
        yield from pictures(2)
        yield Command.RECORD
        yield from pictures(10)
        assert run.status.recording_s is None
        yield Command.RECORD
        yield from until(lambda: "being opened" in run.status.message, "the message")
        gate.set()
        yield from until(lambda: bool(run.status.recording_s), "the recording")
        yield from pictures(3)

    outcome = run.play(story())
    (summary,) = outcome.recordings
    assert summary.frames > 0
    assert session_of(recorded(run.folder)[0])["ended"] is not None


def test_a_camera_that_changes_its_size_goes_on_in_another_part(make: Maker) -> None:
    small = np.ascontiguousarray(PAGE[:160, :200])
    images = [np.array(PAGE) for _ in range(20)] + [small.copy() for _ in range(20)]
    run = make(FakeSource(images), record=True, raw="lossless", lockstep=True)
    outcome = run.app.run()
    assert outcome.errors == ()
    (folder,) = recorded(run.folder)
    entries = session_of(folder)["parts"]
    assert [(e["width"], e["height"]) for e in entries] == [(WIDTH, HEIGHT), (200, 160)]
    assert [e["frames"] for e in entries] == [20, 20]
    assert outcome.recordings[0].frames == len(lines_of(folder)) == 40
    for entry, image in zip(entries, (images[0], small), strict=True):
        with av.open(str(folder / entry["raw"])) as file:
            for frame in file.decode(video=0):
                np.testing.assert_array_equal(frame.to_ndarray(format="bgr24"), image)


def test_a_folder_that_cannot_be_written_ends_a_run_that_shall_record(
    make: Maker, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("in the way")
    run = make(record=True)
    with pytest.raises(RecordingError, match=r"recording\.folder"):
        run.app.run()
    assert run.source.closed
    assert run.screen.closed


def test_a_folder_that_cannot_be_written_is_only_told_after_the_key(
    make: Maker, tmp_path: Path
) -> None:
    (tmp_path / "recordings").write_text("in the way")
    run = make()

    def story() -> Story:
        yield from pictures(2)
        yield Command.RECORD
        yield from until(lambda: "recording.folder" in run.status.error, "the message")
        assert run.status.recording_s is None
        yield Command.SAVE
        yield from pictures(2)
        assert "_picture.png" in run.status.error
        yield from pictures(5)

    outcome = run.play(story())
    assert [type(e) for e in outcome.errors] == [RecordingError, RecordingError]
    assert outcome.recordings == ()


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
    live = App(settings, source, FakeClassifier, None, Options(record=True, duration=LIMIT))
    outcome = live.run()
    assert "".join(outcome.lines).replace(" ", "") == "7" * DIGITS
    (folder,) = recorded(tmp_path)
    assert film_of(folder)[0] == outcome.recordings[0].frames >= 10


# --- automatic parameters ---


def settings_with(pipeline: PipelineSettings) -> Settings:
    return Settings(pipeline=pipeline)


def worth_of(pipeline: PipelineSettings) -> float:
    return worth(read_picture(Frame(PAGE, 0, 0.0), settings_with(pipeline), FakeClassifier()))


# --- a source that loses its signal ---

QUICK = Limits(first=30.0, stale=0.3, lost=0.8, attempt=5.0, pauses=(0.02, 0.1))


def failing() -> FakeDevice:
    device = FakeDevice(QUICK)
    device.images_given = partial(next, numbered())
    return device


def colourless(picture: Image) -> bool:
    """Whether the right edge, where nothing is written, is grey."""
    edge = picture[HEIGHT // 4 : HEIGHT * 3 // 4, -8:].astype(int)
    return int(np.ptp(edge, axis=2).max()) == 0


@pytest.mark.parametrize("fault", ["silent", "blocks", "breaks", "away", "ends"])
def test_no_signal_is_said_over_the_grey_last_frame_and_nothing_is_read_of_it(
    make: Maker, fault: str
) -> None:
    source = failing()
    run = make(source, record=True)
    times: list[float] = []

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        assert run.status.silent_s is None
        assert not colourless(run.screen.pictures[-1])
        source.fault = fault
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")
        last = run.readings[-1].frame
        shown = run.screen.shown
        yield from until(lambda: (run.status.silent_s or 0) > 1.2, "a second of it")
        times.append(run.status.silent_s or 0.0)
        assert run.screen.shown - shown >= 3, "the window lives"
        assert colourless(run.screen.pictures[-1])
        assert run.app._reading is not None
        assert run.app._reading.digits == ()
        assert run.app._reading.frame == last == run.readings[-1].frame
        assert run.status.fps == 0.0
        yield Command.EXTRACT
        yield Command.PREDICT
        yield Command.VIEW
        yield Command.VIEW
        source.fault = ""
        source.gate.set()
        yield from until(lambda: run.readings[-1].frame > last, "its return")
        for _ in range(5):
            yield Command.VIEW
        yield from until(lambda: run.status.silent_s is None and run.read_all(), "all digits")
        assert not colourless(run.screen.pictures[-1])

    outcome = run.play(story())
    source.gate.set()
    assert outcome.errors == ()
    assert outcome.stats["outages"] == 1
    assert outcome.stats["reconnects"] == (0 if source.opened == 1 else 1)
    assert outcome.stats["time_lost_s"] >= 1.2
    (folder,) = recorded(run.folder)
    lines = lines_of(folder)
    gap = max(b["time"] - a["time"] for a, b in itertools.pairwise(lines))
    assert gap == pytest.approx(outcome.stats["time_lost_s"], abs=0.1), "the gap, in its true time"
    with av.open(str(folder / recorder.VIDEO)) as film:
        stamps = [float(f.time or 0.0) for f in film.decode(video=0)]
    filmed = max(b - a for a, b in itertools.pairwise(stamps))
    assert filmed == pytest.approx(gap, abs=0.05)
    assert len(stamps) == len(lines)


@pytest.mark.parametrize("fault", ["silent", "blocks", "breaks", "away"])
def test_quit_works_without_a_signal(make: Maker, fault: str) -> None:
    source = failing()
    run = make(source)

    def story() -> Story:
        yield from pictures(5)
        source.fault = fault
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")

    run.play(story())
    assert source.finished
    source.gate.set()
    wait_until(lambda: source.given_back == source.opened, "the device's return")
    wait_until(lambda: not blocked_readers(), "the reader's end")


def test_a_frozen_picture_stays_while_the_signal_is_gone(make: Maker) -> None:
    source = failing()
    run = make(source)

    def story() -> Story:
        yield from until(run.read_all, "all digits")
        yield Command.FREEZE
        source.fault = "silent"
        yield from until(lambda: "no signal for" in run.status.message, "the message")
        assert run.status.silent_s is None
        assert run.app._reading is not None
        assert len(run.app._reading.digits) == DIGITS
        yield Command.FREEZE
        yield from until(lambda: run.status.silent_s is not None, "NO SIGNAL")

    run.play(story())


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
    return [t for t in threading.enumerate() if isinstance(t, Searcher)]


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


# --- hands ---


def shown_hand(points: list[tuple[float, float]], seconds: tuple[float, float]) -> Script:
    """A hand between two moments of the source's own time, else none."""
    there = hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60)
    return lambda time: (there,) if seconds[0] <= time < seconds[1] else ()


def test_an_open_palm_freezes_and_a_fist_lets_go(make: Maker) -> None:
    def script(time: float) -> tuple[Hand, ...]:
        points = PALM if time < 2 else FIST
        return (hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60),) if 1 < time % 2 < 1.9 else ()

    worker = FakeHands(script)
    run = make(FakeSource(numbered(130)), hands=worker, on=("open_palm", "fist"))
    outcome = run.app.run()
    times = [r.time for r in run.readings]
    assert [t for t in times if 1.6 < t < 3.4] == [], "a frozen picture takes no new frames"
    assert len([t for t in times if t < 1.5]) > 40
    assert len([t for t in times if t > 3.6]) > 15
    assert not run.status.frozen
    assert outcome.stats["hands"]["gestures"] == {"open_palm": 1, "fist": 1}
    assert worker.offered == 130, "a frozen picture is looked at too"
    rings = [s.ring for s in run.statuses if s.ring]
    assert rings[0].name == "open_palm"
    shares = [r.share for r in rings if r.name == "open_palm"]
    assert shares == sorted(shares)
    assert shares[-1] > 0.8


def test_gestures_are_off_unless_they_are_asked_for(make: Maker) -> None:
    run = make(FakeSource(numbered(60)), hands=FakeHands(shown_hand(PALM, (0.2, 2))))
    outcome = run.app.run()
    assert not any(s.frozen or s.ring for s in run.statuses)
    assert outcome.stats["hands"]["gestures"] == {}


def test_a_thumb_records_and_two_fingers_extract(make: Maker) -> None:
    def script(time: float) -> tuple[Hand, ...]:
        points = THUMB_UP if time < 2 else TWO
        return (hand(points, WIDTH * 0.8, HEIGHT * 0.9, 60),) if time % 2 < 1 else ()

    run = make(FakeSource(numbered(110)), hands=FakeHands(script), on=("thumb_up", "two_fingers"))
    outcome = run.app.run()
    assert len(outcome.recordings) == 1
    assert len(run.screen.sheets) == 1
    assert outcome.stats["hands"]["gestures"] == {"thumb_up": 1, "two_fingers": 1}


def finger(path: list[tuple[float, float]], start: float, seconds: float = 0.8) -> Script:
    """A raised index that follows a path, in shares of the picture."""

    def script(time: float) -> tuple[Hand, ...]:
        if not start <= time < start + seconds:
            return ()
        along = (time - start) / seconds * (len(path) - 1)
        x, y = (float(np.interp(along, range(len(path)), [p[k] for p in path])) for k in (0, 1))
        tip = np.array(POINTING[8]) * 50
        return (hand(POINTING, x * WIDTH - tip[0], y * HEIGHT - tip[1], 50),)

    return script


def test_a_finger_writes_a_number_that_is_shown_read_and_recorded(make: Maker) -> None:
    seven = [(0.3, 0.3), (0.6, 0.3), (0.45, 0.8)]
    first, second = finger(seven, 0.5), finger(seven, 2.5)
    run = make(
        FakeSource(numbered(140)),
        hands=FakeHands(lambda t: (*first(t), *second(t))),
        air=True, lockstep=True, record=True,
    )  # fmt: skip
    outcome = run.app.run()
    written = [d for d in run.readings[-1].digits if d.origin]
    assert len(written) == 2
    assert all(d.track < 0 for d in written)
    number = "".join(str(d.digit) for d in written)
    assert outcome.lines[-1] == number
    air = run.statuses[-1].air
    assert air is not None
    assert air.number == number
    assert any(s.air and s.air.strokes for s in run.statuses)
    (folder,) = recorded(run.folder)
    lines = lines_of(folder)
    assert [d["origin"] for d in lines[-1]["digits"] if "origin" in d] == ["air", "air"]
    assert lines[-1]["lines"][-1] == number
    assert not any("origin" in d for d in lines[5]["digits"])
    assert any(d["track"] > 0 for d in lines[-1]["digits"]), "the page is read as ever"


def test_an_open_palm_takes_back_what_was_written_and_holding_it_clears(make: Maker) -> None:
    seven = [(0.3, 0.3), (0.6, 0.3), (0.45, 0.8)]
    digits = [finger(seven, start) for start in (0.5, 2.5, 4.5)]
    palms = [shown_hand(PALM, (7, 7.9)), shown_hand(PALM, (9, 11.2))]
    run = make(
        FakeSource(numbered(340)),
        hands=FakeHands(lambda t: tuple(h for s in (*digits, *palms) for h in s(t))),
        air=True, lockstep=True, on=("open_palm",),
    )  # fmt: skip
    run.app.run()

    def count(time: float) -> int:
        return sum(bool(d.origin) for r in run.readings if abs(r.time - time) < 1e-6
                   for d in r.digits)  # fmt: skip

    assert [count(t) for t in (2.0, 4.0, 6.5, 8.5)] == [1, 2, 3, 2]
    assert count(10.0) == 1
    assert count(11.0) == 0
    assert not any(s.frozen for s in run.statuses), "an open palm takes back and does not freeze"


def test_the_key_f_begins_and_ends_writing(make: Maker) -> None:
    def story() -> Story:
        yield from pictures(3)
        assert run.status.air is None
        yield Command.AIR
        yield from until(lambda: run.status.air is not None, "air writing")
        assert "index finger" in run.status.message
        yield Command.AIR
        yield from until(lambda: run.status.air is None, "its end")

    run = make(hands=FakeHands(lambda t: ()))
    run.play(story())


def test_the_key_f_without_hands_says_what_is_missing(make: Maker) -> None:
    def story() -> Story:
        yield from pictures(2)
        yield Command.AIR
        yield from until(lambda: "hands.mode=on" in run.status.message, "the message")
        assert run.status.air is None

    run = make()
    run.play(story())


def test_looking_for_hands_begins_after_the_first_picture(make: Maker) -> None:
    worker = FakeHands(lambda t: ())
    run = make(FakeSource(numbered(1)), hands=worker)
    run.app.run()
    assert worker.started == 0, "one picture: the window came first"
    worker = FakeHands(lambda t: ())
    make(FakeSource(numbered(5)), hands=worker).app.run()
    assert worker.started == 1


def test_a_hand_over_the_page_hides_boxes_and_is_counted(make: Maker) -> None:
    there = shown_hand(PALM, (2.0, 3.0))
    run = make(FakeSource(numbered(120)), hands=FakeHands(there), lockstep=True)
    outcome = run.app.run()
    assert outcome.stats["hands"]["masked"] > 0
    seen = {d.track: d.digit for d in run.readings[50].digits}
    for reading in run.readings[50:]:
        assert {d.track: d.digit for d in reading.digits} == seen


def test_hands_off_are_not_counted(make: Maker) -> None:
    outcome = make(FakeSource(numbered(5)), mode="off").app.run()
    assert outcome.stats["hands"] is None
    counted = make(FakeSource(numbered(5))).app.run().stats["hands"]
    assert counted == {"frames": 0, "seen": 0, "ms": None, "masked": 0, "gestures": {}}
