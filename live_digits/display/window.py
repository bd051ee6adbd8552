"""The only caller of highgui: the picture, the sliders, and keys turned into commands.

highgui belongs to the main thread. Call `check_display` before the first window: without a display
Qt ends the whole process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from live_digits.config.settings import (
    TRACKBARS,
    PipelineSettings,
    from_slider,
    option_of,
    slider_max,
    to_slider,
)
from live_digits.core.errors import DisplayError, one_line
from live_digits.core.types import Image
from live_digits.display.desktop import check_display, keep_events, prepare_fonts, screen_size
from live_digits.display.drawing import PLATE, SOFT, WHITE
from live_digits.display.keymap import Command, command_of

TITLE = "live_digits"
PARAMETERS = "live_digits: parameters"
SHEET = "live_digits: crops"
_SHARE_OF_SCREEN = 0.9
_SLIDERS, _LEAST_SHARE = 544, 0.6
"""Pixels that the sliders' window needs beside the picture, which takes this share at least."""


class Window:
    """The picture's window, the sliders' window, and the sheet of crops on demand."""

    def __init__(self, settings: PipelineSettings, width: int = 0) -> None:
        """Opens nothing yet; `width` is the widest the picture is shown (0: what the screen
        allows). Raises DisplayError without a display."""
        check_display()
        prepare_fonts()
        keep_events()
        self._limit = width
        self._settings = settings
        self._opened = False
        self._was_visible = False
        self._size: tuple[int, int] = (0, 0)
        self._screen = screen_size()
        self._closed = False

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """The size at which a picture of width × height is shown: drawn at that size its lines are
        crisp, and no pixel is drawn, converted and scaled that nobody sees."""
        scale = self._scale(width, height)
        if scale < 1:
            return max(1, round(width * scale)), max(1, round(height * scale))
        return width, height

    def show(self, picture: Image) -> None:
        """Shows uint8 BGR H×W×3, scaled down to fit the screen (INTER_AREA) where it is larger."""
        h, w = picture.shape[:2]
        if not self._opened:
            self._open(w, h)
        size = self.fit(w, h)
        if size != (w, h):
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if (w, h) != self._size:
            self._size = (w, h)
            cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
        cv2.imshow(TITLE, picture)

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        """Lets the window work for `wait_ms` (at least 1) and returns what was asked for; a closed
        window asks to quit."""
        commands: list[Command] = []
        key = cv2.waitKeyEx(max(1, wait_ms))
        while key != -1:
            command = command_of(key)
            if command:
                commands.append(command)
            key = cv2.pollKey()
        if self._opened and not self._is_open():
            commands.append(Command.QUIT)
        return tuple(commands)

    def parameters(self) -> PipelineSettings:
        """What the sliders say now."""
        return self._settings

    def set_parameters(self, settings: PipelineSettings) -> None:
        """Moves the sliders."""
        self._settings = settings
        if self._opened:
            for name in TRACKBARS:
                position = to_slider(option_of(PipelineSettings, name), getattr(settings, name))
                cv2.setTrackbarPos(_label(name), PARAMETERS, position)
            self._settings = settings
            self._show_values()

    def show_sheet(self, sheet: Image) -> None:
        """Opens, or renews, the window with the crops."""
        cv2.namedWindow(SHEET, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
        cv2.imshow(SHEET, sheet)

    def close(self) -> None:
        """Closes all; may be called twice."""
        if self._opened and not self._closed:
            self._closed = True
            cv2.destroyAllWindows()
            cv2.waitKey(1)

    def _scale(self, w: int, h: int) -> float:
        beside = max(self._screen[0] - _SLIDERS, self._screen[0] * _LEAST_SHARE)
        wide = self._limit or beside
        return float(min(1.0, wide / w, self._screen[1] * _SHARE_OF_SCREEN / h))

    def _open(self, w: int, h: int) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        try:
            cv2.namedWindow(PARAMETERS, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            for name in TRACKBARS:
                option = option_of(PipelineSettings, name)
                position = to_slider(option, getattr(self._settings, name))
                cv2.createTrackbar(
                    _label(name), PARAMETERS, position, slider_max(option),
                    partial(self._moved, name),
                )  # fmt: skip
            self._show_values()
            cv2.namedWindow(TITLE, flags)
            scale = self._scale(w, h)
            cv2.resizeWindow(TITLE, round(w * scale), round(h * scale))
            cv2.moveWindow(TITLE, 0, 0)
            shown = round(w * scale)
            cv2.moveWindow(PARAMETERS, max(0, min(shown + 12, self._screen[0] - _SLIDERS)), 40)
        except cv2.error as e:
            raise DisplayError(
                f"the window cannot be opened ({one_line(e)}); run with --no-window"
            ) from e
        self._opened = True

    def _moved(self, name: str, position: int) -> None:
        option = option_of(PipelineSettings, name)
        changed: dict[str, Any] = {name: from_slider(option, position)}
        self._settings = replace(self._settings, **changed)
        if self._opened:
            self._show_values()

    def _show_values(self) -> None:
        cv2.imshow(PARAMETERS, _panel([(n, slider_text(n, self._settings)) for n in TRACKBARS]))

    def _is_open(self) -> bool:
        """False once the window was seen and is gone; GTK, which cannot tell, counts as open."""
        try:
            visible = cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE)
        except cv2.error:
            visible = 0.0 if self._was_visible else -1.0
        if visible >= 1:
            self._was_visible = True
        return not (self._was_visible and visible < 1)


def _label(name: str) -> str:
    return option_of(PipelineSettings, name).trackbar


def slider_text(name: str, settings: PipelineSettings) -> str:
    """A slider's value in words."""
    value = getattr(settings, name)
    if name == "blur":
        return f"{value} x {value}" if value > 1 else "off"
    if name == "dilate_kernel":
        return f"{value} x {value}"
    if name == "canny_ratio":
        return f"{value}  (upper threshold {settings.canny_low * value})"
    if name == "threshold" and value == 0:
        return "automatic"
    return str(value)


def _panel(values: Sequence[tuple[str, str]]) -> Image:
    """The sliders' values in words: a slider's position is not always its value."""
    page = np.full((26 * len(values) + 18, 520, 3), PLATE, np.uint8)
    for i, (name, value) in enumerate(values):
        at = 26 * i + 28
        cv2.putText(
            page, _label(name), (14, at), cv2.FONT_HERSHEY_SIMPLEX, 0.5, SOFT, 1, cv2.LINE_AA
        )
        cv2.putText(page, value, (250, at), cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1, cv2.LINE_AA)
    return page
