"""How long a user waits: process start → `import cv2`, → first picture, → first label."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from live_digits.bench.display import Place
from live_digits.bench.samples import Spread, spread
from live_digits.bench.subprocesses import call
from live_digits.core.isolated_process import isolated_module

PYTHON, CV2, PICTURE, LABEL = "Python alone", "import cv2", "first picture", "first label"
_PATIENCE = 60.0
"""Seconds beyond its duration after which a start has failed."""
_ENDS = "; import time; print(time.monotonic())"


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from the process's start, by what has come. What never came is not in it."""

    seconds: dict[str, Spread]
    beyond_cv2: dict[str, Spread]
    """How much later than `import cv2` the picture and the label came in the same round."""

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": {k: s.as_json() for k, s in self.seconds.items()},
            "beyond_import_cv2": {k: s.as_json() for k, s in self.beyond_cv2.items()},
        }


def measure(repeats: int, duration: float, place: Place, folder: Path) -> Starts:
    """Starts real processes, in turns. Raises PartError."""
    found: dict[str, list[float]] = {}
    beyond: dict[str, list[float]] = {}
    for _ in range(repeats):
        found.setdefault(PYTHON, []).append(_until("pass", place, folder))
        cv2 = _until("import cv2", place, folder)
        found.setdefault(CV2, []).append(cv2)
        stats = _run(duration, place, folder)
        for name, key in ((PICTURE, "first_frame"), (LABEL, "first_label")):
            seconds = stats[f"time_to_{key}_s"]
            if seconds is not None:
                found.setdefault(name, []).append(float(seconds))
                beyond.setdefault(name, []).append(float(seconds) - cv2)
    return Starts(
        {k: spread(v) for k, v in found.items()}, {k: spread(v) for k, v in beyond.items()}
    )


def _until(statement: str, place: Place, folder: Path) -> float:
    """Seconds until a new Python has run a statement. The monotonic clock is the machine's."""
    start = time.monotonic()
    command = [sys.executable, "-I", "-c", statement + _ENDS]
    done = call(command, statement, place, folder, _PATIENCE)
    return float(done.stdout.split()[-1]) - start


def _run(duration: float, place: Place, folder: Path) -> dict[str, Any]:
    """The figures of a short run of the program as a user starts it."""
    stats = folder / "start.json"
    command = isolated_module("live_digits")
    command += ["run", "--source", "demo", "--duration", f"{duration:g}"]
    command += ["--stats", str(stats), *([] if place.windows else ["--no-window"])]
    call(command, "live-digits run", place, folder, duration + _PATIENCE)
    found: dict[str, Any] = json.loads(stats.read_text(encoding="utf-8"))
    return found
