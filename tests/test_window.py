"""The real window, worked with mouse and keys on an X server of its own."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import av

import live_digits
from live_digits import window
from live_digits.bench.display import virtual
from live_digits.config import (
    TRACKBARS,
    PipelineSettings,
    from_slider,
    option_of,
    profile_defaults,
    slider_max,
)
from live_digits.config_file import load
from live_digits.recorder import READINGS, SESSION, VIDEO
from live_digits.types import VIEWS, Image
from live_digits.window import PARAMETERS, SHEET, TITLE, Command, command_of, describe

PATIENCE = 30.0
"""Seconds after which something that should be seen has failed to come."""
WIDTH, HEIGHT = 640, 480
SCREEN = (1280, 800)
BAR = 28
"""Rows of the picture that the status bar covers, with room to spare."""
TOOLS = ("Xvfb", "xdotool", "import")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
CONFIG = "# my desk\npipeline:\n  blur: 5  # soft\n"

gui = pytest.mark.gui


# --- no display needed ---


def test_every_key_of_the_help_has_its_command() -> None:
    for command in Command:
        key = ord(" ") if command is Command.FREEZE else ord(command.value)
        assert command_of(key) is command
        assert command_of(ord(chr(key).upper())) is command
        assert command_of(key | 0x100000) is command, "num lock and the like"
    assert command_of(27) is Command.QUIT
    assert command_of(0xFFBE) is Command.HELP
    for key in (-1, ord("x"), ord("1"), 13, 0xFF51):
        assert command_of(key) is None


def test_a_slider_in_words() -> None:
    settings = PipelineSettings(blur=1, canny_low=50, canny_ratio=3, threshold=0)
    assert describe("blur", settings) == "off"
    assert describe("canny_ratio", settings) == "3  (upper threshold 150)"
    assert describe("threshold", settings) == "automatic"
    assert describe("blur", profile_defaults("classic")) == "21 x 21"


# --- the real window ---


@dataclass
class Slider:
    """A slider's handle on the screen."""

    x: int
    y: int


@dataclass
class Desk:
    """A screen, and the program on it."""

    display: str
    folder: Path
    process: subprocess.Popen[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *args: str) -> None:
        """Starts the program and waits for its picture."""
        root = str(Path(live_digits.__file__).resolve().parents[1])
        dropped = ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "QT_QPA_FONTDIR")
        self.environment = {k: v for k, v in os.environ.items() if k not in dropped} | {
            "DISPLAY": self.display,
            "PYTHONPATH": root,
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }
        (self.folder / "mine.yaml").write_text(CONFIG)
        line = f"--source demo --width {WIDTH} --height {HEIGHT} --model dense --config mine.yaml"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "live_digits", *line.split(), *args],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.wait(lambda: bool(self.boxes()), "a picture with boxes")
        self.wait(lambda: len(self.sliders()) == len(TRACKBARS), "the sliders")

    def ended(self) -> tuple[int, str]:
        """Waits for the program's end: exit code and standard error."""
        assert self.process is not None
        _, err = self.process.communicate(timeout=PATIENCE)
        code, self.process = self.process.returncode, None
        return code, err

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def do(self, *args: object) -> str:
        """A command of xdotool."""
        env = os.environ | {"DISPLAY": self.display}
        line = ["xdotool", *map(str, args)]
        return subprocess.run(line, env=env, capture_output=True, text=True, timeout=30).stdout

    def press(self, *keys: str) -> None:
        """Presses keys, the mouse over the picture."""
        for key in keys:
            self.do("mousemove", WIDTH // 2, HEIGHT - 8, "key", key)
            time.sleep(0.1)

    def window(self, title: str) -> int | None:
        """The id of the window of that title."""
        found = self.do("search", "--onlyvisible", "--name", f"^{title}$").split()
        return int(found[0]) if found else None

    def screen(self) -> Image:
        """What is on the screen, uint8 BGR."""
        line = ["import", "-display", self.display, "-window", "root", "-depth", "8", "ppm:-"]
        data = subprocess.run(line, capture_output=True, check=True, timeout=30).stdout
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.asarray(image, np.uint8)

    def picture(self) -> Image:
        """The program's picture."""
        return self.screen()[:HEIGHT, :WIDTH]

    def below(self) -> Image:
        """The program's picture without its status bar."""
        return self.picture()[BAR:]

    def middle(self) -> Image:
        return self.picture()[
            HEIGHT // 2 - 60 : HEIGHT // 2 + 60, WIDTH // 2 - 60 : WIDTH // 2 + 60
        ]

    def boxes(self) -> int:
        """Pixels of the frames around digits: teal or amber."""
        p = self.below().astype(int)
        teal = (np.abs(p - (150, 168, 24)) < 12).all(axis=2)
        amber = (np.abs(p - (64, 158, 228)) < 12).all(axis=2)
        return int(teal.sum() + amber.sum())

    def place(self, title: str) -> tuple[int, int, int, int]:
        """x, y, width and height of a window on the screen; nothing where it is not shown."""
        text = self.do("getwindowgeometry", "--shell", self.window(title))
        values = {"X": 0, "Y": 0, "WIDTH": 0, "HEIGHT": 0}
        values |= {k: int(v) for k, _, v in (line.partition("=") for line in text.splitlines())}
        return values["X"], values["Y"], values["WIDTH"], values["HEIGHT"]

    def sliders(self) -> list[Slider]:
        """The handles in the window of the sliders, top to bottom: white on a light grey ground."""
        x, y, w, h = self.place(PARAMETERS)
        if not w:
            return []
        panel = self.screen()[y : y + h, x : x + w]
        white = np.where((panel > 250).all(axis=2), 255, 0).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(white)
        found = [
            Slider(x + int(s[0] + s[2] // 2), y + int(s[1] + s[3] // 2))
            for s in stats[1:count]
            if 5 <= s[2] <= 24 and 5 <= s[3] <= 24 and s[4] > 0.6 * s[2] * s[3]
        ]
        return sorted(found, key=lambda s: s.y)

    def drag(self, number: int, x: int) -> None:
        """Drags the handle of a slider to a column of the screen."""
        handle = self.sliders()[number]
        self.do("mousemove", handle.x, handle.y, "mousedown", 1)
        for share in (0.3, 0.7, 1.0, 1.0):
            self.do("mousemove", round(handle.x + share * (x - handle.x)), handle.y)
            time.sleep(0.03)
        self.do("mouseup", 1)

    def written(self) -> PipelineSettings:
        """The sliders as the key w writes them."""
        file = self.folder / "mine.yaml"
        before = file.stat().st_mtime_ns, file.stat().st_ino
        self.press("w")
        self.wait(lambda: (file.stat().st_mtime_ns, file.stat().st_ino) != before, "the file")
        return load(file).pipeline

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            code = self.process.poll() if self.process else None
            assert code is None, f"the program ended with {code} before {what}"
            if time.monotonic() > end:
                cv2.imwrite(str(self.folder / "failed.png"), self.screen())
                raise AssertionError(f"waited {PATIENCE:g} s for {what}: {self.folder}/failed.png")
            time.sleep(0.1)

    def close_button(self, title: str) -> None:
        """What a window manager sends when the window's close button is pressed."""
        number = self.window(title)
        assert number is not None
        send_delete(self.display, number)


class _Message(ctypes.Structure):
    """XClientMessageEvent, padded to the size of XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 24),
    )


def send_delete(display: str, number: int) -> None:
    """Sends WM_DELETE_WINDOW: xdotool learned that (windowquit) in 2021 only."""
    x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    atoms = [x11.XInternAtom(connection, n, 0) for n in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
    message = _Message(type=33, window=number, message_type=atoms[0], format=32)
    message.data[0] = atoms[1]
    x11.XSendEvent(connection, ctypes.c_ulong(number), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(connection)


@pytest.fixture(scope="session")
def x_server() -> Iterator[str]:
    """The name of a fresh display."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the windows of other systems are tried by hand")
    if MISSING:
        pytest.skip(
            f"not installed: {', '.join(MISSING)} (apt-get install xvfb xdotool imagemagick)"
        )
    with virtual(f"{SCREEN[0]}x{SCREEN[1]}x24") as display:
        assert display, "Xvfb did not start"
        yield display


@pytest.fixture(scope="module")
def shared(x_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(x_server, tmp_path_factory.mktemp("desk"))
    yield made
    made.kill()


@pytest.fixture
def desk(shared: Desk, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """The program, running: one run serves all tests, a new one begins after a failure."""
    if shared.process is None:
        shared.start()
    failed = request.session.testsfailed
    yield shared
    if request.session.testsfailed > failed:
        shared.kill()


def decoded(path: Path) -> list[Image]:
    with av.open(str(path)) as file:
        return [np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in file.decode(video=0)]


def finished(recording: Path) -> dict[str, Any]:
    """The session of a recording that must be whole: it plays, a line a frame."""
    session = yaml.safe_load((recording / SESSION).read_text(encoding="utf-8"))
    assert session["ended"] is not None
    lines = (recording / READINGS).read_text(encoding="utf-8").splitlines()
    pictures = decoded(recording / VIDEO)
    assert len(pictures) == len(lines) == session["frames"] > 0
    assert pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert json.loads(lines[-1])["width"] == WIDTH
    assert isinstance(session, dict)
    return session


def same(a: Image, b: Image) -> bool:
    return bool((np.abs(a.astype(int) - b).max(axis=2) > 3).mean() < 0.001)


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
def test_the_sliders_have_labels_that_can_be_read(desk: Desk) -> None:
    assert window.find_fonts() is not None, "apt-get install fonts-dejavu-core"
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
