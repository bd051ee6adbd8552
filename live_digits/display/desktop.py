"""What the desktop offers: a display, fonts for the sliders, the screen's size."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from live_digits.core.errors import DisplayError

_FALLBACK_SCREEN = (1280, 800)
_FONT_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
)  # fmt: skip
_BEST_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf")


def check_display() -> None:
    """Raises DisplayError where no window can be opened."""
    if not sys.platform.startswith("linux"):
        return
    display = os.environ.get("DISPLAY", "")
    if not display:
        raise DisplayError(
            "no display: DISPLAY is not set. Start from a desktop, or run with --no-window"
        )
    loaded = list(sys.modules)
    if "av" in loaded and loaded.index("av") < loaded.index("cv2"):
        raise DisplayError(
            "PyAV was imported before OpenCV, whose windows hang then (each brings a libxcb of its "
            "own): import cv2, or live_digits.app.live, first"
        )
    library = ctypes.util.find_library("xcb")
    if library is None:
        return
    xcb = ctypes.CDLL(library)
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    if failed:
        raise DisplayError(
            f"no display: nothing answers at DISPLAY={display}. Start from a desktop, or run with "
            "--no-window"
        )


def _font_files() -> Iterator[Path]:
    for folder in _FONT_FOLDERS:
        root = Path(folder).expanduser()
        if root.is_dir():
            yield from sorted(root.rglob("*.ttf"))


def find_fonts() -> Path | None:
    """A folder with fonts for the sliders' labels: OpenCV's Linux wheel brings none."""
    files = list(_font_files())
    for name in _BEST_FONTS:
        for file in files:
            if file.name == name:
                return file.parent
    return files[0].parent if files else None


def prepare_fonts() -> None:
    """Must come after `import cv2`, which sets the variable to a folder that does not exist."""
    if sys.platform.startswith("linux"):
        folder = find_fonts()
        if folder:
            os.environ["QT_QPA_FONTDIR"] = str(folder)
        os.environ.setdefault("QT_LOGGING_RULES", "*.debug=false;qt.qpa.*=false;*.warning=false")


def keep_events() -> None:
    """Must come before the first window.

    OpenCV's wheel brings a libX11-xcb that does not fit a newer libX11: that takes X events away
    from Qt, and a window whose first ones are lost stays black (one start in ten). The system's
    own libX11-xcb, loaded first and for all, is the one that Qt then uses.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):  # not installed: then so it must be
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def screen_size() -> tuple[int, int]:
    """Width and height of the screen in pixels; a small laptop's where the system does not say."""
    if sys.platform == "win32":
        user = ctypes.windll.user32
        return int(user.GetSystemMetrics(0)), int(user.GetSystemMetrics(1))
    if sys.platform.startswith("linux"):
        library = ctypes.util.find_library("X11")
        if library:
            x11 = ctypes.CDLL(library)
            x11.XOpenDisplay.restype = ctypes.c_void_p
            x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
            display = x11.XOpenDisplay(None)
            if display:
                for name in ("XDefaultScreen", "XCloseDisplay"):
                    getattr(x11, name).argtypes = [ctypes.c_void_p]
                for name in ("XDisplayWidth", "XDisplayHeight"):
                    getattr(x11, name).argtypes = [ctypes.c_void_p, ctypes.c_int]
                screen = x11.XDefaultScreen(display)
                size = x11.XDisplayWidth(display, screen), x11.XDisplayHeight(display, screen)
                x11.XCloseDisplay(display)
                return int(size[0]), int(size[1])
    return _FALLBACK_SCREEN
