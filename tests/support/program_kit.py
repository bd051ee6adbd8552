"""The program as a process of its own, of this checkout wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import live_digits

ROOT = Path(live_digits.__file__).resolve().parents[1]


def environment(*dropped: str, **added: str) -> dict[str, str]:
    """This process's own, without some variables and with others, and with this checkout."""
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return kept | {"PYTHONPATH": str(ROOT)} | added


def program(
    folder: Path, env: Mapping[str, str], *args: str | Path, script: Path | None = None
) -> subprocess.Popen[str]:
    """Begins the program in `folder`, by `script` if there is one; nobody types, what it says is
    kept."""
    begin = ["-m", "live_digits"] if script is None else [str(script)]
    return subprocess.Popen(
        [sys.executable, *begin, *map(str, args)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def starter_of(script: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """Stands for `start_isolated`: whatever is asked, the process runs a script of the test's."""

    def start(_: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    return start
