"""What machine the figures are of."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from live_digits import __version__

_PACKAGES = ("opencv-contrib-python", "numpy", "ai-edge-litert", "av", "tensorflow")
_LONGEST = 32
"""Characters of a machine's name in a file's name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """`cores`: those this process may use. `load`: of the last minute, before and after; a busy
    machine's figures are of little use."""

    cpu: str
    cores: int
    memory_mb: int
    system: str
    python: str
    packages: dict[str, str]
    opencv_threads: int
    load: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        load = " → ".join(f"{one:.1f}" for one in self.load) or "unknown"
        return (
            f"{self.cpu}, {self.cores} cores, {self.system}, Python {self.python}, {packages}; "
            f"load {load}"
        )

    @property
    def slug(self) -> str:
        """The machine in a file's name."""
        name = re.sub(r"\(R\)|\(TM\)|CPU|Processor|@.*", " ", self.cpu, flags=re.IGNORECASE)
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-")
        return f"{plain or 'machine'}_{self.cores}-cores"


def this_machine(load: tuple[float, ...] = ()) -> Machine:
    """The machine at hand; `load`: what was measured of it before."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return Machine(
        _cpu(), _cores(), _memory() // 1_000_000, platform.platform(),
        platform.python_version(), {"live-digits": __version__, **versions},
        int(cv2.getNumThreads()), (*load, *load_now()),
    )  # fmt: skip


def load_now() -> tuple[float, ...]:
    """The machine's load of the last minute; nothing where the system does not say."""
    try:
        return (round(os.getloadavg()[0], 2),)
    except (AttributeError, OSError):
        return ()


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return " ".join(value.split())
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> int:
    """Bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
