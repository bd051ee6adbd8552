"""The folder of a recording: what its files are called, what session.yaml says, who writes it.

A session is DATE_TIME/ with `annotated.mp4` (further parts `annotated_2.mp4`, …), `raw.mp4` beside
it where the camera's own frames are kept, `readings.jsonl` (a line a frame, over all parts) and
`session.yaml`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from live_digits.core.errors import RecordingError, one_line
from live_digits.core.safe_files import is_regular, odd_kind, open_regular, read_regular
from live_digits.core.safe_yaml import YAML_FAULTS, UnsafeYamlError, check_yaml
from live_digits.recording.durable_files import lock, sync

VIDEO = "annotated.mp4"
RAW = "raw.mp4"
READINGS = "readings.jsonl"
SESSION = "session.yaml"
SCRATCH = SESSION + ".new"
"""What session.yaml is written to before it takes its place."""
TORN = ".torn"
"""Ends the name of a file that holds what a repair has cut away."""
MB = 1_000_000
MOST_BYTES = 500_000
"""Bytes of a session.yaml at most; one of 4,000 parts has as many."""
MOST_BITS = 10_000
"""Bits of a whole number at most: Python writes 4,300 digits and no more."""
MOST_FIGURE = 1e12
"""What a figure of a recording is at most: seconds, frames, pixels."""
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}")


class SessionError(ValueError):
    """A session.yaml that cannot be used; the text says why, on one line, without the file."""


@dataclass(frozen=True, slots=True)
class ReplayFiles:
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
    """The parts of `annotated.mp4` or `raw.mp4` that there are, in order; regular files only.
    Raises OSError."""
    return [path for path in _named(folder, name) if is_regular(path)]


def _named(folder: Path, name: str) -> list[Path]:
    """Every entry that is called like a part of a video, in order. Raises OSError."""
    stem, _, kind = name.rpartition(".")
    pattern = re.compile(rf"{re.escape(stem)}(?:_([1-9][0-9]{{0,8}}))?\.{re.escape(kind)}")
    found = []
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match:
            found.append((int(match[1] or 1), path))
    return [path for _, path in sorted(found)]


def odd_entries(folder: Path) -> list[str]:
    """Returns what is not the regular file that its name says, such as "raw.mp4 is a link".
    Raises OSError."""
    own = [*_named(folder, VIDEO), *_named(folder, RAW)]
    own += [folder / name for name in (READINGS, SESSION, SCRATCH)]
    found = []
    for path in own:
        with contextlib.suppress(FileNotFoundError):
            kind = odd_kind(os.lstat(path))
            found += [f"{path.name} is {kind}"] if kind else []
    return found


def is_session(folder: Path) -> bool:
    """Whether a folder is a recording: it holds one of a recording's names, whatever stands for
    it. One that this user may not look into is judged by its own name."""
    for name in (VIDEO, RAW, READINGS, SESSION):
        try:
            os.lstat(folder / name)
            return True
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return bool(_DATE_TIME.match(folder.name))
    return False


def replay_files(folder: Path) -> ReplayFiles:
    """The videos to run a session again from: the camera's own frames, else the annotated ones.

    Returns:
        The files; none where the session has none.

    Raises:
        OSError: The folder cannot be read.
        SessionError: One of its files is no regular one, or session.yaml is unusable.
    """
    odd = odd_entries(folder)
    if odd:
        raise SessionError(f"{odd[0]}; put the file itself there")
    own = [path for path in parts(folder, RAW) if path.stat().st_size]
    note = ""
    if not own:
        own = parts(folder, VIDEO)
        note = (
            f"{folder.name} was recorded without --raw: its annotated video is replayed, with what "
            "was drawn on it"
        )
    starts: dict[str, float] = {}
    try:
        content = read_session(folder / SESSION)
    except FileNotFoundError:  # killed before it was written: the parts follow one another
        content = {}
    except SessionError as e:
        raise SessionError(
            f"{SESSION}: {e}; `live-digits recordings {folder}` makes it anew"
        ) from e
    for entry in content.get("parts", ()):
        for key in ("video", "raw"):
            if entry.get(key) is not None and "start" in entry:
                starts[entry[key]] = float(entry["start"])
    return ReplayFiles(tuple((path, starts.get(path.name)) for path in own), note)


def load_session(path: Path) -> dict[str, Any] | None:
    """A session.yaml; None where it is missing, cut off or no session."""
    try:
        return read_session(path)
    except (OSError, SessionError):
        # Whatever ails the file, it is none: `recordings` says so and makes it anew.
        return None


def read_session(path: Path) -> dict[str, Any]:
    """Reads a session.yaml: plain data of bounded size, the types of what is used checked.

    Raises:
        OSError: It is missing, no regular file or larger than `MOST_BYTES`.
        SessionError: It is no YAML, more than plain data, or one of its entries is of a wrong type.
    """
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8")
        check_yaml(text)
        content = yaml.safe_load(text)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        what = " ".join(str(getattr(e, "problem", None) or e).split())
        raise SessionError(f"{where}no valid YAML: {what}") from e
    except UnsafeYamlError as e:
        raise SessionError(str(e)) from e
    except YAML_FAULTS as e:  # UnicodeDecodeError among them
        raise SessionError(f"no session: {one_line(e)}") from e
    if not isinstance(content, dict) or "started" not in content:
        raise SessionError("no session: expected a mapping with `started`")
    if not _writable(content):
        raise SessionError("a number of thousands of digits stands in it")
    _check(content, _KEYS, "")
    for i, entry in enumerate(content.get("parts", ())):
        if not isinstance(entry, dict):
            raise SessionError(f"parts[{i}] is {type(entry).__name__}, expected a mapping")
        _check(entry, _PART_KEYS, f"parts[{i}].")
    return content


def _writable(value: Any) -> bool:
    """Whether no whole number in it is too long to be written again."""
    if isinstance(value, dict):
        return all(_writable(k) and _writable(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_writable, value))
    return not isinstance(value, int) or value.bit_length() <= MOST_BITS


def _figure(value: Any) -> bool:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    return good and -MOST_FIGURE <= value <= MOST_FIGURE


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _moment(value: Any) -> bool:
    return isinstance(value, (str, date))  # YAML takes an unquoted one for a date


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_FIGURE, _TEXT = (_figure, "a number of a recording"), (_text, "a text")
_MAYBE_TEXT = (lambda value: value is None or _text(value), "a text or nothing")
_KEYS = {
    "started": (_moment, "a moment"),
    "ended": (lambda value: value is None or _moment(value), "a moment or nothing"),
    **dict.fromkeys(("frames", "dropped", "seconds", "width", "height", "digits"), _FIGURE),
    "lines": (_texts, "a list of texts"),
    "parts": (lambda value: isinstance(value, list), "a list"),
    "repaired": (_texts, "a list of texts"),
    "error": _MAYBE_TEXT,
}
"""What the program itself uses of session.yaml: each entry's check, and what it is in words."""
_PART_KEYS = {
    "video": _TEXT,
    "raw": _MAYBE_TEXT,
    **dict.fromkeys(("start", "seconds", "frames", "width", "height", "fps"), _FIGURE),
}


def _check(content: Mapping[Any, Any], keys: Mapping[str, Any], where: str) -> None:
    """Raises SessionError for a known entry of a wrong type."""
    for key, (good, what) in keys.items():
        if key in content and not good(content[key]):
            got = type(content[key]).__name__
            raise SessionError(f"{where}{key} is no {what.removeprefix('a ')} (it is {got})")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True  # an alias would make it more than plain data


def save_session(folder: Path, content: Mapping[str, Any]) -> None:
    """Replaces session.yaml in one step that a power cut cannot halve. Raises OSError."""
    text = yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    scratch = folder / SCRATCH
    if os.path.lexists(scratch):  # left behind, or somebody's link
        scratch = folder / f"{SCRATCH}.{secrets.token_hex(8)}"
    file = open(scratch, "xb")  # noqa: SIM115 (closed before it is removed)
    try:
        with file:
            file.write(text.encode("utf-8"))
            file.flush()
            sync(file.fileno())
        os.replace(scratch, folder / SESSION)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def finite_number(value: Any) -> float:
    """A figure of session.yaml or readings.jsonl; 0 for what is none."""
    return float(value) if _figure(value) else 0.0


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
            f"no recording can be made in {base}: {one_line(e)}; choose a folder that can be "
            "written with recording.folder"
        ) from e


def free_mb(path: Path) -> int:
    """MB that the disk of `path` has free for this user. Raises OSError."""
    return shutil.disk_usage(path).free // MB


def to_plain_yaml(value: Any) -> Any:
    """`value` as YAML's own types: the session may hold paths, tuples, NumPy numbers, settings."""
    if isinstance(value, Mapping):
        return {str(k): to_plain_yaml(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain_yaml(dataclasses.asdict(value))
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain_yaml(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return to_plain_yaml(value.tolist())
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """What a closed (or running) recording holds."""

    path: str
    frames: int
    seconds: float
    dropped: int

    def as_json(self) -> Mapping[str, Any]:
        return {
            "path": self.path,
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "dropped": self.dropped,
        }


FRESH = 20.0
"""Seconds after its last change that an unfinished session without a lock counts as being
recorded, where the system has no locks."""


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[bool]:
    """Keeps other programs off a session while it is repaired; gives False where one records it or
    repairs it. Raises OSError."""
    path = folder / READINGS
    # A recording that begins right now has no readings yet.
    if sys.platform == "win32" or not is_regular(path):
        done = (
            bool(odd_entries(folder))
            or (load_session(folder / SESSION) or {}).get("ended") is not None
        )
        yield done or time.time() - last_change(folder) > FRESH
        return
    # What may only be read cannot be recorded into either.
    able = os.access(path, os.W_OK)
    descriptor = open_regular(path, os.O_RDWR if able else os.O_RDONLY)
    with os.fdopen(descriptor, "r+b" if able else "rb") as file:
        yield lock(file)


def last_change(folder: Path) -> float:
    """When a session was last written to, seconds since the epoch. Raises OSError."""
    return max(os.lstat(p).st_mtime for p in (folder, *folder.iterdir()))
