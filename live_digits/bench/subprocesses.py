"""Parts of the benchmark that run in a process of their own, so that none disturbs another.

`ask` starts this module with the arguments PART and JOB; the part's answer is the last line of its
standard output. These processes find what is installed, and this very program (see
`isolated_process`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from live_digits.bench.display import Place
from live_digits.core.errors import LiveDigitsError
from live_digits.core.isolated_process import isolated_environment, isolated_module

_LONGEST = 300
"""Characters of a failure's last line that are told."""


class PartError(LiveDigitsError):
    """A part of the benchmark failed in its process."""


def environment(place: Place | None) -> dict[str, str]:
    """The environment of a child, with the display of `place`."""
    env = isolated_environment()
    if place is not None and place.display:
        env["DISPLAY"] = place.display
    return env


def call(
    command: list[str], what: str, place: Place | None, folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Runs a command in `folder`. Raises PartError, which names `what`, where it fails or does not
    end within `seconds`."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment(place), text=True,
            capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as e:
        raise PartError(f"{what}: no end within {seconds:g} s") from e
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PartError(f"{what}: {last[:_LONGEST]}")
    return done


def ask(
    part: str, job: Mapping[str, Any], place: Place | None, folder: Path, seconds: float
) -> dict[str, Any]:
    """A part's answer to a job. Raises PartError."""
    command = [*isolated_module("live_digits.bench.subprocesses"), part, json.dumps(job)]
    lines = call(command, part, place, folder, seconds).stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError) as e:
        raise PartError(f"{part}: no answer") from e
    if not isinstance(answer, dict):
        raise PartError(f"{part}: {answer!r} is no answer")
    return answer


def _parts() -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    from live_digits.bench import end_to_end, networks

    return {
        "networks": networks.measured,
        "app": end_to_end.run_app,
        "empty": end_to_end.run_empty,
        "window": end_to_end.run_window,
    }


def main(arguments: list[str]) -> int:
    """The child's side."""
    part, job = arguments
    answer = _parts()[part](json.loads(job))
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
