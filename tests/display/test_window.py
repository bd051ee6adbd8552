"""The real window, worked with mouse and keys on an X server of its own."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from window_kit import (
    BAR,
    HEIGHT,
    SCREEN,
    WIDTH,
    Desk,
    finished,
    gui,
    same,
)

from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    from_slider,
    option_of,
    profile_defaults,
    slider_max,
)
from live_digits.display import desktop, window
from live_digits.display.keymap import KEYMAP, VIEWS, Command, command_of
from live_digits.display.window import PARAMETERS, SHEET, TITLE, slider_text
from live_digits.recording.session import READINGS, SESSION

# --- no display needed ---


def test_every_key_of_the_help_has_its_command() -> None:
    for command in Command:
        key = KEYMAP[command].codes[0]
        assert command_of(key) is command
        assert command_of(ord(chr(key).upper())) is command
        assert command_of(key | 0x100000) is command, "num lock and the like"
    assert command_of(27) is Command.QUIT
    assert command_of(0xFFBE) is Command.HELP
    for key in (-1, ord("x"), ord("1"), 13, 0xFF51):
        assert command_of(key) is None


def test_a_slider_in_words() -> None:
    settings = PipelineSettings(blur=1, canny_low=50, canny_ratio=3, threshold=0)
    assert slider_text("blur", settings) == "off"
    assert slider_text("canny_ratio", settings) == "3  (upper threshold 150)"
    assert slider_text("threshold", settings) == "automatic"
    assert slider_text("blur", profile_defaults("classic")) == "21 x 21"


# --- the real window ---


@gui
def test_the_windows_appear_and_the_picture_moves(desk: Desk) -> None:
    assert desk.place(TITLE) == (0, 0, WIDTH, HEIGHT)
    x, y, w, h = desk.place(PARAMETERS)
    assert x >= WIDTH, "beside the picture, not over it"
    assert x + w <= SCREEN[0]
    assert y + h <= SCREEN[1]
    before = desk.below()
    desk.wait(lambda: not same(before, desk.below()), "another frame")


@gui
def test_the_systems_own_x11_library_hands_out_the_events(desk: Desk) -> None:
    """With the wheel's own, one start in ten shows a black window."""
    try:
        ctypes.CDLL("libX11-xcb.so.1")
    except OSError:
        pytest.skip("no libX11-xcb.so.1: apt-get install libx11-xcb1")
    assert desk.process is not None
    lines = Path(f"/proc/{desk.process.pid}/maps").read_text().splitlines()
    loaded = {line.split()[-1] for line in lines if "libX11-xcb" in line}
    assert any("opencv" not in path for path in loaded), loaded


@gui
def test_a_setting_without_a_slider_survives_a_sliders_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window, "check_display", lambda: None)
    monkeypatch.setattr(window, "TRACKBARS", tuple(n for n in TRACKBARS if n != "threshold"))
    settings = PipelineSettings(threshold=77, profile="classic")
    shown = window.Window(settings)
    shown._moved("canny_low", 90)
    assert shown.parameters() == replace(settings, canny_low=90)


def test_the_sliders_have_labels_that_can_be_read(desk: Desk) -> None:
    assert desktop.find_fonts() is not None, "apt-get install fonts-dejavu-core"
    sliders = desk.sliders()
    x, _, _, _ = desk.place(PARAMETERS)
    screen = desk.screen()
    for slider in sliders:
        label = screen[slider.y - 4 : slider.y + 12, x : x + 110]
        dark = (label < 90).all(axis=2)
        assert label.mean() > 180, "dark text on a light ground"
        assert dark.sum() > 60, "the pixels of letters"
        assert dark.any(axis=0).sum() > 40, "spread over a word's width"


@gui
@pytest.mark.parametrize("key", ["h", "F1"])
def test_help_covers_the_middle_and_goes(desk: Desk, key: str) -> None:
    before = desk.middle().mean()
    desk.press(key)
    desk.wait(lambda: desk.middle().mean() < before - 60, "the help")
    desk.press(key)
    desk.wait(lambda: desk.middle().mean() > before - 30, "the picture again")


@gui
def test_space_freezes_the_picture_but_not_the_bar(desk: Desk) -> None:
    desk.press("space")
    time.sleep(0.7)  # the frame at hand gets the boxes of its own vision
    first = desk.picture()
    time.sleep(0.7)
    second = desk.picture()
    try:
        assert same(first[BAR:], second[BAR:])
    finally:
        desk.press("space")
    desk.wait(lambda: not same(second[BAR:], desk.below()), "frames again")


@gui
def test_v_turns_through_every_view_and_returns(desk: Desk) -> None:
    desk.press("space")
    time.sleep(0.7)
    try:
        seen = [desk.below()]
        for view in VIEWS[1:]:
            desk.press("v")
            last = seen[-1]
            desk.wait(lambda last=last: not same(last, desk.below()), view)  # type: ignore[misc]
            time.sleep(0.15)
            seen.append(desk.below())
        for i, a in enumerate(seen):
            assert not any(same(a, b) for b in seen[i + 1 :])
        for view, picture in zip(VIEWS[1:-1], seen[1:-1], strict=True):
            grey = np.ptp(picture.astype(int), axis=2).max()
            assert grey < 4, f"the view {view} has no colour"
        desk.press("v")
        desk.wait(lambda: same(seen[0], desk.below()), "the result again")
    finally:
        desk.press("space")


@gui
def test_r_records_until_it_is_pressed_again(desk: Desk) -> None:
    folder = desk.folder / "recordings"
    before = set(folder.glob("*/"))
    desk.press("r")
    desk.wait(lambda: len(set(folder.glob("*/")) - before) == 1, "a recording")
    (recording,) = set(folder.glob("*/")) - before
    desk.wait(lambda: (recording / READINGS).read_text().count("\n") > 20, "readings")
    red = desk.picture()[:BAR, WIDTH - 120 :].astype(int)
    assert ((red[..., 2] - red[..., 1]) > 80).sum() > 10, "the recording's dot"
    desk.press("r")
    desk.wait(lambda: "ended: null" not in (recording / SESSION).read_text(), "its end")
    session = finished(recording)
    assert session["source"]["name"] == "demo"
    line = json.loads((recording / READINGS).read_text().splitlines()[-1])
    assert line["digits"]
    assert line["lines"]


@gui
def test_s_saves_the_picture_and_e_the_crops(desk: Desk) -> None:
    folder = desk.folder / "recordings"
    desk.press("space")
    time.sleep(0.7)
    try:
        shown = desk.below()
        desk.press("s")
        desk.wait(lambda: bool(list(folder.glob("*_picture.png"))), "the picture")
        time.sleep(0.3)
        saved = cv2.imread(str(next(folder.glob("*_picture.png"))))
        assert saved is not None
        assert saved.shape == (HEIGHT, WIDTH, 3)
        free = slice(None, HEIGHT - 100)
        assert same(np.asarray(saved, np.uint8)[BAR:][free], shown[free])
        desk.press("e")
        desk.wait(lambda: bool(list(folder.glob("*_crops.png"))), "the sheet")
        desk.wait(lambda: desk.window(SHEET) is not None, "the sheet's window")
        sheet = cv2.imread(str(next(folder.glob("*_crops.png"))))
        assert sheet is not None
        assert (np.asarray(sheet).min(axis=2) > 200).sum() > 1000, "white ink"
    finally:
        number = desk.window(SHEET)
        if number is not None:
            desk.do("windowmove", number, 0, HEIGHT + 20)
        desk.press("space")


@gui
def test_sliders_take_every_value_that_is_possible_and_no_other(desk: Desk) -> None:
    x, _, w, _ = desk.place(PARAMETERS)
    options = {name: option_of(PipelineSettings, name) for name in TRACKBARS}
    for end, to in ((x + w + 200, "last"), (x - 200, "first")):
        for number in range(len(TRACKBARS)):
            desk.drag(number, end)
        found = desk.written()
        for name, option in options.items():
            position = slider_max(option) if to == "last" else 0
            assert getattr(found, name) == from_slider(option, position), (name, to)
        before = desk.below()
        desk.wait(lambda before=before: not same(before, desk.below()), "frames")  # type: ignore[misc]
    number = TRACKBARS.index("blur")
    left = desk.sliders()[number].x
    desk.drag(number, (left + x + w) // 2)
    middle = desk.written().blur
    assert 20 < middle < 52
    assert middle % 2 == 1
    text = (desk.folder / "mine.yaml").read_text()
    assert "# my desk" in text
    assert re.search(f"blur: {middle} +# soft", text)


@gui
def test_d_puts_the_sliders_back(desk: Desk) -> None:
    desk.press("d")
    time.sleep(0.5)
    usual = [s.x for s in desk.sliders()]
    for number in (0, 1, 6):
        desk.drag(number, desk.sliders()[number].x + 90)
    moved = [s.x for s in desk.sliders()]
    assert all(abs(moved[n] - usual[n]) > 60 for n in (0, 1, 6))
    assert desk.written() != PipelineSettings()
    desk.press("d")
    desk.wait(lambda: [s.x for s in desk.sliders()] == usual, "the handles at their places")
    assert desk.written() == PipelineSettings()


@gui
def test_a_finds_parameters_that_read_again(desk: Desk) -> None:
    x, _, w, _ = desk.place(PARAMETERS)
    for name in ("blur", "canny_low", "canny_ratio"):
        desk.drag(TRACKBARS.index(name), x + w + 200)
    blind = desk.written()
    desk.wait(lambda: desk.boxes() < 50, "a picture without boxes")
    desk.press("a")
    desk.wait(lambda: desk.boxes() > 500, "digits again")
    assert desk.written() != blind
    desk.press("d")


@gui
def test_closing_the_sliders_ends_nothing_and_d_brings_them_back(desk: Desk) -> None:
    desk.close_button(PARAMETERS)
    desk.wait(lambda: desk.sliders() == [], "their end")
    before = desk.below()
    desk.wait(lambda: not same(before, desk.below()), "frames")
    desk.press("d")
    desk.wait(lambda: len(desk.sliders()) == len(TRACKBARS), "the sliders again")


@gui
def test_q_quits(desk: Desk) -> None:
    desk.press("q")
    code, err = desk.ended()
    assert code == 0
    assert "Traceback" not in err
    assert "QFont" not in err
    assert desk.window(TITLE) is None


@gui
@pytest.mark.parametrize("way", ["Escape", "the close button"])
def test_other_ways_to_quit_finish_the_recording_too(shared: Desk, way: str) -> None:
    shared.kill()
    folder = shared.folder / "recordings"
    before = set(folder.glob("*/"))
    shared.start("--record")
    (recording,) = set(folder.glob("*/")) - before
    shared.wait(lambda: (recording / READINGS).read_text().count("\n") > 5, "readings")
    if way == "Escape":
        shared.press("Escape")
    else:
        shared.close_button(TITLE)
    code, err = shared.ended()
    assert code == 0, err
    assert str(recording) in err
    finished(recording)
