"""Where the benchmark's windows open: the display at hand, or a private virtual one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from live_digits.core.errors import DisplayError

_SCREEN = "1920x1080x24"
_PATIENCE = 20.0
"""Seconds that a virtual display may take to end."""


@dataclass(frozen=True, slots=True)
class Place:
    """`windows`: whether windows can be opened. `display`: DISPLAY for the processes that open
    them, empty where the system has no such thing. `note`: what it is, in words."""

    windows: bool
    display: str
    note: str


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """The display at hand; else, on Linux with Xvfb, a virtual one that ends with the block; else
    none."""
    try:
        from live_digits.display.desktop import check_display

        check_display()
    except DisplayError:
        pass
    else:
        shown = os.environ.get("DISPLAY", "")
        yield Place(True, shown, f"the display at hand {shown}".rstrip())
        return
    if not sys.platform.startswith("linux") or shutil.which("Xvfb") is None:
        yield Place(False, "", "no display and no Xvfb: measured without a window")
        return
    with virtual(_SCREEN) as display:
        if display:
            yield Place(True, display, f"a virtual display of {_SCREEN} (Xvfb)")
        else:
            yield Place(False, "", "Xvfb did not start: measured without a window")


@contextlib.contextmanager
def virtual(screen: str) -> Iterator[str]:
    """Starts Xvfb with a screen such as 1920x1080x24; its display (:N), or nothing where it does
    not start."""
    reading, writing = os.pipe()
    options = ["-screen", "0", screen, "-ac", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), *options],
        pass_fds=(writing,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        yield f":{number}" if number.isdigit() else ""
    finally:
        server.terminate()
        try:
            server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
