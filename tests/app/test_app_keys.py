"""What each key does to the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from app_kit import (
    DIGITS,
    HEIGHT,
    INSIDE,
    Maker,
    Story,
    number,
    numbered,
    page_of,
    pictures,
    until,
)
from fakes import FakeSource

from live_digits.config.file import load
from live_digits.config.settings import PipelineSettings, profile_defaults
from live_digits.core.types import Image
from live_digits.display.keymap import VIEWS, Command
from live_digits.vision.detection import detect_candidates

pytestmark = pytest.mark.usefixtures("no_thread_stays")


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
    stages = detect_candidates(page_of(number(run.screen.pictures[-1])), PipelineSettings()).stages
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
        expected = detect_candidates(page_of(n), settings).stages.dilated[INSIDE]
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
    expected = detect_candidates(frozen, PipelineSettings(canny_low=200)).stages.edges[INSIDE]
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
