"""What all tests share: two processes run them, long ones run when they are asked for, a small
disk, the kits' fixtures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_kit import make as make
from app_kit import no_thread_stays as no_thread_stays
from cli_kit import shell as shell
from hands_kit import running as running
from overlay_kit import texts as texts
from recordings_kit import copy as copy
from recordings_kit import whole as whole
from source_kit import camera as camera
from source_kit import no_proxy as no_proxy
from window_kit import desk as desk
from window_kit import shared as shared
from window_kit import x_server as x_server

PROCESSES = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The files are shared out to some processes: many tests wait more than they work. A single
    file needs none, and what takes long has the machine to itself."""
    files = config.args
    single = len(files) == 1 and files[0].split("::")[0].endswith(".py")
    return 0 if single or "soak" in config.getoption("markexpr") else PROCESSES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what takes long, unless -m speaks of it."""
    if "soak" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 4 MB, gone at the end."""
    if sys.platform != "linux":
        pytest.skip("needs tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
