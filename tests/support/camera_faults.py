"""Faults of a real camera, run inside the machine that has one and `camctl`; see test_camera_vm.

    python camera_faults.py FAULT TIMES SEED

Prints one JSON object a time: what happened, in seconds.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

from live_digits.capture.base import Source
from live_digits.capture.camera import describe_cameras
from live_digits.capture.open_source import open_source
from live_digits.config.settings import SourceSettings
from live_digits.core.errors import SourceError
from live_digits.core.types import Frame

SETTINGS = SourceSettings(width=640, height=480, fps=30.0, timeout=30.0)
LONG = 60.0
"""Seconds after which something that should happen has not."""
HOLDER = """
import sys, time, cv2
while True:
    camera = cv2.VideoCapture(int(sys.argv[1]), cv2.CAP_V4L2)
    if camera.isOpened() and camera.read()[0]:
        break
    camera.release()
print("held", flush=True)
while camera.isOpened() and sys.stdin.read(1):
    pass
camera.release()
print("free", flush=True)
sys.stdin.read()
"""
"""Another program that takes a camera until its standard input says something."""


def camctl(command: str) -> None:
    subprocess.run(["camctl", command], check=True)


class Watch:
    """A source that is read as the live loop reads it."""

    def __init__(self, spec: str = "0") -> None:
        self.source: Source = open_source(spec, SETTINGS)
        self.frame: Frame | None = None
        self.until(lambda: self.frame is not None, "the first frame")

    def until(self, condition: Callable[[], bool], what: str, limit: float = LONG) -> float:
        """Seconds until it is so."""
        start = time.monotonic()
        while not condition():
            frame = self.source.read(0.02)
            self.frame = frame or self.frame
            if time.monotonic() - start > limit:
                raise SystemExit(f"waited {limit:g} s for {what}: {self.source.note}")
        return time.monotonic() - start

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "the time")

    def gone(self) -> float:
        return self.until(lambda: self.source.signal.silent is not None, "NO SIGNAL")

    def back(self) -> float:
        return self.until(lambda: self.source.signal.silent is None, "the picture's return")

    def state(self) -> str:
        return str(self.source.state.value)  # type: ignore[attr-defined]

    def close(self) -> float:
        start = time.monotonic()
        self.source.close()
        return time.monotonic() - start


@contextmanager
def watched() -> Iterator[Watch]:
    watch = Watch()
    try:
        yield watch
    finally:
        watch.close()


def outage(watch: Watch, off: str, on: str, away: float) -> dict[str, Any]:
    camctl(off)
    gone = watch.gone()
    watch.run(away)
    state, note = watch.state(), watch.source.note
    camctl(on)
    back = watch.back()
    info = watch.source.info
    return {
        "gone": gone, "back": back, "away": away, "state": state, "note": note,
        "size": [info.reported.width, info.reported.height], "fps": info.reported.fps,
    }  # fmt: skip


def unplug(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """The cable, out and in at random moments."""
    with watched() as watch:
        for _ in range(times):
            watch.run(chance.uniform(0.0, 2.0))
            yield outage(watch, "unplug", "plug", chance.uniform(0.0, 4.0))


def freeze(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Plugged, but without a frame: short ones are stale, long ones lost."""
    with watched() as watch:
        for _ in range(times):
            watch.run(chance.uniform(0.0, 2.0))
            yield outage(watch, "freeze", "thaw", chance.uniform(0.0, 12.0))


def moved(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Back under another number, because another program has the old one open still."""
    for _ in range(times):
        with watched() as watch:
            old = os.open("/dev/video0", os.O_RDWR)
            try:
                watch.run(chance.uniform(0.0, 1.0))
                found = outage(watch, "unplug", "plug", chance.uniform(0.0, 3.0))
                index = watch.source._index  # type: ignore[attr-defined]
            finally:
                os.close(old)
        camctl("unplug")
        time.sleep(0.5)
        camctl("plug")
        time.sleep(1.0)
        yield found | {"index": index}


def taken(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Another program has the camera when it is wanted again."""
    with watched() as watch:
        for _ in range(times):
            camctl("unplug")
            gone = watch.gone()
            with subprocess.Popen(
                [sys.executable, "-c", HOLDER, "0"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            ) as other:  # fmt: skip
                assert other.stdin is not None
                assert other.stdout is not None
                time.sleep(2.0)  # its import of cv2
                camctl("plug")
                os.set_blocking(other.stdout.fileno(), False)
                watch.until(partial(decided, watch, other.stdout), "the other program")
                if watch.source.signal.silent is None:
                    other.kill()
                    yield {"won": True}
                    continue
                watch.run(chance.uniform(1.0, 4.0))
                note, users = watch.source.note, describe_cameras()[0].users
                other.stdin.close()
                back = watch.back()
                other.kill()
            yield {"gone": gone, "back": back, "note": note, "users": list(users)}


def decided(watch: Watch, told: IO[str]) -> bool:
    """Whether the other program has the camera, or we do."""
    return bool(told.read(1)) or watch.source.signal.silent is None


def refused(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Started while another program has the camera: one line, and that program is left in peace."""
    del chance
    for _ in range(times):
        with watched() as watch:
            before = watch.source.signal
            program = [sys.executable, "-m", "live_digits"]
            listed = subprocess.run([*program, "cameras"], capture_output=True, text=True)
            second = subprocess.run(
                [*program, "run", "--source", "0", "--no-window", "--duration", "1"],
                capture_output=True, text=True,
            )  # fmt: skip
            watch.run(0.5)
            yield {
                "listed": listed.stdout, "code": second.returncode, "error": second.stderr,
                "outages": watch.source.signal.outages - before.outages,
            }  # fmt: skip


def quit(times: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """Closed in every state, and the camera is free for the next."""
    for i in range(times):
        watch = Watch()
        off, on = (("", ""), ("freeze", "thaw"), ("unplug", "plug"))[i % 3]
        if off:
            camctl(off)
            watch.run(chance.uniform(0.0, 6.0))
        state, took = watch.state(), watch.close()
        if on:
            camctl(on)
        start = time.monotonic()
        while True:
            try:
                Watch().close()
                break
            except SourceError:
                time.sleep(0.05)
                if time.monotonic() - start > LONG:
                    raise
        yield {"state": state, "close": took, "free": time.monotonic() - start}


def main() -> None:
    faults = {f.__name__: f for f in (unplug, freeze, moved, taken, refused, quit)}
    for result in faults[sys.argv[1]](int(sys.argv[2]), random.Random(int(sys.argv[3]))):
        print(json.dumps(result), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
