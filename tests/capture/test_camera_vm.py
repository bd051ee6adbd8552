"""A real V4L2 camera that is unplugged, frozen, moved and taken, in a virtual machine.

`LIVE_DIGITS_CAMERA_VM` names the folder of a machine with such a camera: its `run.sh` runs a
command there, `camctl` inside it does the faults. Without it these tests are skipped.
`LIVE_DIGITS_CAMERA_TIMES` repeats each fault more often.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MACHINE = os.environ.get("LIVE_DIGITS_CAMERA_VM", "")
TIMES = os.environ.get("LIVE_DIGITS_CAMERA_TIMES", "2")
SEED = "1"
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 6.0
"""Seconds within which a loaded machine says what a free one says in two."""
CLOSES = 3.0

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not MACHINE, reason="LIVE_DIGITS_CAMERA_VM names no machine with a camera"),
]


def results(fault: str) -> list[dict[str, Any]]:
    """What came of a fault, each time that it was made."""
    mounts = {str(ROOT), sys.prefix, sys.base_prefix}
    command = [str(Path(MACHINE) / "run.sh"), "--no-x", "--timeout", "900", "--share", str(ROOT)]
    for folder in sorted(mounts):
        command += ["--mount", folder]
    command += [
        "--env",
        f"PYTHONPATH={ROOT}",
        "--",
        sys.executable,
        "tests/support/camera_faults.py",
    ]
    done = subprocess.run([*command, fault, TIMES, SEED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    print(done.stdout)
    assert len(found) == int(TIMES)
    return found


@pytest.mark.parametrize("fault", ["unplug", "freeze"])
def test_no_signal_is_said_and_the_picture_returns_as_it_was(fault: str) -> None:
    for result in results(fault):
        assert result["gone"] < LIMIT
        assert result["back"] < LIMIT
        assert result["size"] == [640, 480]


def test_a_camera_is_found_under_another_number() -> None:
    for result in results("moved"):
        assert result["index"] > 0
        assert result["back"] < LIMIT


def test_a_camera_that_another_program_takes_is_waited_for() -> None:
    waited = [result for result in results("taken") if "won" not in result]
    assert waited, "the other program never got it"
    for result in waited:
        assert "close the other program that uses it" in result["note"]
        assert result["users"]
        assert result["back"] < LIMIT


def test_a_second_program_is_refused_and_disturbs_nothing() -> None:
    for result in results("refused"):
        assert result["code"] == 2
        assert len(result["error"].splitlines()) == 1
        assert "close the other program that uses it" in result["error"]
        assert "640×480 at 30/s" in result["listed"]
        assert "in use by" in result["listed"]
        assert result["outages"] == 0


def test_it_closes_in_every_state_and_the_camera_is_free() -> None:
    for result in results("quit"):
        assert result["close"] < CLOSES
        assert result["free"] < LIMIT
