"""A real window on an X server of its own, worked with mouse and keys."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
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
from program_kit import environment, program

import av

from live_digits.bench.display import virtual
from live_digits.config.file import load
from live_digits.config.settings import TRACKBARS, PipelineSettings
from live_digits.core.types import Image
from live_digits.display.window import PARAMETERS
from live_digits.recording.session import READINGS, SESSION, VIDEO

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
        self.environment = environment(
            "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "QT_QPA_FONTDIR",
            DISPLAY=self.display, HOME=str(self.folder),
            XDG_CONFIG_HOME=str(self.folder / "config"),
        )  # fmt: skip
        (self.folder / "mine.yaml").write_text(CONFIG)
        line = f"--source demo --width {WIDTH} --height {HEIGHT} --model dense --config mine.yaml"
        self.process = program(self.folder, self.environment, *line.split(), *args)
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
