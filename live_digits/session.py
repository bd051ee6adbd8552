"""The folder of a recording: what its files are called, what session.yaml says, who writes it.

A session is DATE_TIME/ with `annotated.mp4` (further parts `annotated_2.mp4`, …), `raw.mp4` beside
it where the camera's own frames are kept, `readings.jsonl` (a line a frame, over all parts) and
`session.yaml`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import yaml

from live_digits.errors import RecordingError, reason

VIDEO = "annotated.mp4"
RAW = "raw.mp4"
READINGS = "readings.jsonl"
SESSION = "session.yaml"
SCRATCH = SESSION + ".new"
"""What session.yaml is written to before it takes its place."""
TORN = ".torn"
"""Ends the name of a file that holds what a repair has cut away."""
FRESH = 20.0
"""Seconds after its last change that an unfinished session without a lock counts as being
recorded, where the system has no locks."""
MB = 1_000_000
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_NO_LOCK = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a session gives as a source: its files in order with the second at which each begins
    (None where it is not known), and a line for the user where it is not the camera's frames."""

    files: tuple[tuple[Path, float | None], ...]
    note: str = ""


def part_name(name: str, part: int) -> str:
    """The file name of a part, counted from 1: annotated.mp4, annotated_2.mp4, …"""
    stem, dot, kind = name.rpartition(".")
    return name if part == 1 else f"{stem}_{part}{dot}{kind}"


def raw_beside(video: str) -> str:
    """The name of the raw part that belongs to an annotated one."""
    return video.replace(VIDEO.partition(".")[0], RAW.partition(".")[0], 1)


def parts(folder: Path, name: str) -> list[Path]:
    """The parts of `annotated.mp4` or `raw.mp4` that there are, in order."""
    stem, _, kind = name.rpartition(".")
    pattern = re.compile(rf"{re.escape(stem)}(?:_([1-9][0-9]*))?\.{re.escape(kind)}")
    found = []
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match and path.is_file():
            found.append((int(match[1] or 1), path))
    return [path for _, path in sorted(found)]


def is_session(folder: Path) -> bool:
    """Whether a folder is a recording: it holds one of a recording's own files."""
    return any((folder / name).is_file() for name in (VIDEO, RAW, READINGS, SESSION))


def replay(folder: Path) -> Replay:
    """The videos to run a session again from: the camera's own frames, else the annotated ones.
    No file where the session has none. Raises OSError."""
    own = [path for path in parts(folder, RAW) if path.stat().st_size]
    note = ""
    if not own:
        own = parts(folder, VIDEO)
        note = (
            f"{folder.name} was recorded without --raw: its annotated video is replayed, with what "
            "was drawn on it"
        )
    starts = {}
    content = load(folder / SESSION) or {}
    listed = content.get("parts")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("start"), (int, float)):
            for key in ("video", "raw"):
                starts[entry.get(key)] = float(entry["start"])
    return Replay(tuple((path, starts.get(path.name)) for path in own), note)


def load(path: Path) -> dict[str, Any] | None:
    """A session.yaml; None where it is missing, cut off or no session."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        # Whatever ails the file, it is none: `recordings` says so and makes it anew.
        return None
    return content if isinstance(content, dict) and "started" in content else None


def save(folder: Path, content: Mapping[str, Any]) -> None:
    """Replaces session.yaml in one step that a power cut cannot halve. Raises OSError."""
    scratch = folder / SCRATCH
    text = yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
    try:
        with open(scratch, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            sync(file.fileno())
        os.replace(scratch, folder / SESSION)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def sync(descriptor: int) -> None:
    """Has the disk keep what was written so far. Does nothing where a file system cannot."""
    try:
        os.fsync(descriptor)
    except OSError as e:
        if e.errno not in _NO_SYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Has the disk keep a folder's names. Raises OSError."""
    if sys.platform == "win32":  # it keeps them by itself and opens no folder
        return
    sync_path(folder, os.O_RDONLY)


def sync_path(path: Path, flags: int = os.O_RDWR) -> None:
    """Has the disk keep a file as it is by now, by a descriptor of its own: the file's owners may
    close theirs at any time. Raises OSError."""
    descriptor = os.open(path, flags)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def lock(file: BinaryIO) -> bool:
    """Marks readings.jsonl as being written by this process, until it is closed. False: another
    process has marked it. True as well where the system has no such marks."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as e:
        if e.errno not in _NO_LOCK:
            raise
    return True


@contextlib.contextmanager
def reserved(folder: Path) -> Iterator[bool]:
    """Keeps other programs off a session while it is repaired; gives False where one records it or
    repairs it. Raises OSError."""
    path = folder / READINGS
    # A recording that begins right now has no readings yet.
    if sys.platform == "win32" or not path.is_file():
        ended = (load(folder / SESSION) or {}).get("ended")
        yield ended is not None or time.time() - _changed(folder) > FRESH
        return
    # What may only be read cannot be recorded into either.
    with open(path, "r+b" if os.access(path, os.W_OK) else "rb") as file:
        yield lock(file)


def _changed(folder: Path) -> float:
    """When a session was last written to, seconds since the epoch. Raises OSError."""
    return max(p.stat().st_mtime for p in (folder, *folder.iterdir()))


def number(value: Any) -> float:
    """A figure of session.yaml; 0 for what is none."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if good and math.isfinite(value) else 0.0


class Lines:
    """The readings file: whole lines only, each in the file when `add` returns."""

    def __init__(self, path: Path) -> None:
        """Locks the file for this process as long as it is open. Raises OSError."""
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115
        self._size = 0
        lock(self._file)

    def add(self, line: str) -> None:
        """Writes a line, all of it or nothing. Raises OSError."""
        data = line.encode("utf-8")
        try:
            written = self._file.write(data) or 0
            if written < len(data):
                # The disk is full when a rest remains; the second write says so.
                written += self._file.write(data[written:]) or 0
            if written < len(data):
                raise OSError("the disk took only a part of a line")
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        self._file.close()


def new_folder(base: Path, started: datetime, min_free_mb: int) -> Path:
    """A new folder DATE_TIME under `base`, which is made as well. Raises RecordingError."""
    try:
        base = base.expanduser().resolve()
        base.mkdir(parents=True, exist_ok=True)
        free = free_mb(base)
        if free < min_free_mb:
            raise RecordingError(
                f"{base} has {free} MB free and a recording needs {min_free_mb}; free some space, "
                "choose another folder with recording.folder or lower recording.min_free_mb"
            )
        name = started.strftime("%Y-%m-%d_%H-%M-%S")
        number = 1
        while True:
            path = base / (name if number == 1 else f"{name}_{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except (OSError, RuntimeError) as e:
        raise RecordingError(
            f"no recording can be made in {base}: {reason(e)}; choose a folder that can be "
            "written with recording.folder"
        ) from e


def free_mb(path: Path) -> int:
    """MB that the disk of `path` has free for this user. Raises OSError."""
    return shutil.disk_usage(path).free // MB


def plain(value: Any) -> Any:
    """`value` as YAML's own types: the session may hold paths, tuples, NumPy numbers, settings."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)
