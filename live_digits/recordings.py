"""Recordings on disk: what there is, and what a crash left behind, put right.

A repair takes nothing away: what is cut off a file is kept beside it under its name and `.torn`.
A session that another program records at this moment is left alone.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from live_digits.errors import RecordingError
from live_digits.film import whole_ends
from live_digits.salvage import Held, cut, decodable, free_name
from live_digits.session import (
    RAW,
    READINGS,
    SCRATCH,
    SESSION,
    VIDEO,
    is_session,
    load,
    number,
    parts,
    raw_beside,
    reserved,
    save,
)

log = logging.getLogger("live_digits.recordings")

MOST_TORN = 256_000_000
"""Bytes at most that a repair cuts off a video: more is no torn end but a damaged file."""
EXPECTED = 2.0
"""Seconds of readings from which a video must hold something."""

State = Literal["whole", "recording", "repaired", "torn", "damaged"]


@dataclass(frozen=True, slots=True)
class Session:
    """One recording. `torn`: it can be repaired; `damaged`: a part of it is lost for good.

    `seconds` of video over `parts` files; `bytes` of all its files; `digits` is the most that were
    read in one frame; `lines` are the last text lines.
    """

    path: Path
    state: State
    started: str = ""
    seconds: float = 0.0
    bytes: int = 0
    frames: int = 0
    dropped: int = 0
    digits: int = 0
    lines: tuple[str, ...] = ()
    parts: int = 0
    raw: bool = False
    found: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "state": self.state,
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            "frames": self.frames,
            "dropped": self.dropped,
            "digits": self.digits,
            "lines": list(self.lines),
            "parts": self.parts,
            "raw": self.raw,
            "found": list(self.found),
        }


def sessions(folder: Path, *, repair: bool = True) -> Iterator[Session]:
    """The recordings in a folder, oldest first, or the one that the folder is; torn ones are
    repaired unless `repair` is False. Raises RecordingError where there is no such folder."""
    folder = folder.expanduser()
    try:
        there = (
            [folder] if is_session(folder) else sorted(p for p in folder.iterdir() if p.is_dir())
        )
        own = [path for path in there if is_session(path)]
    except OSError as e:
        raise RecordingError(
            f"no recordings in {folder}: {e.strerror or e}; name the folder that holds them"
        ) from e
    for path in own:
        yield look(path, repair=repair)


def look(path: Path, *, repair: bool = True) -> Session:
    """One recording as it stands, repaired first if `repair` and need be. Raises nothing for what
    ails it: its state and `found` say so."""
    try:
        seen = _Look(path)
        with reserved(path) as free:
            if not free:
                return _told(path, seen.so_far(), "recording")
            seen.examine()
            if seen.torn and repair:
                seen.repair()
                return _told(path, seen, "damaged" if seen.lost else "repaired")
            state: State = "damaged" if seen.lost else "torn" if seen.torn else "whole"
            return _told(path, seen, state)
    except OSError as e:
        log.debug("%s", path, exc_info=True)
        reason = f"{Path(e.filename).name}: {e.strerror}" if e.filename else str(e)
        return Session(path, "damaged", found=(f"cannot be read or repaired: {reason}",))


@dataclass(slots=True)
class _Look:
    """What is found of one session. `torn`: what a repair will do, in words; `lost`: what none can
    do."""

    path: Path
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    cuts: dict[Path, int] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    films: dict[Path, Held] = field(default_factory=dict)
    """Each video of a session that was not closed."""
    written: float = 0.0
    """When the session was last written to, seconds since the epoch."""
    frames: int | None = None
    """Whole lines of readings; None where they were not counted."""
    digits: int = 0
    lines: tuple[str, ...] = ()
    first: float | None = None
    last: float = 0.0
    """The times of the first and the last reading, seconds."""

    def examine(self) -> None:
        """Raises OSError."""
        self.written = max(p.stat().st_mtime for p in (self.path, *self.path.iterdir()))
        self.content = load(self.path / SESSION)
        closed = self.content is not None and self.content.get("ended") is not None
        if not closed:
            exists = (self.path / SESSION).is_file()
            why = "is unreadable" if exists else "is missing"
            self.torn.append(f"{SESSION} " + ("has no end" if self.content else why))
        if (self.path / SCRATCH).is_file():
            self.torn.append(f"{SCRATCH} was left behind")
        for name in (VIDEO, RAW):
            for video in parts(self.path, name):
                self._examine_video(video, closed)
        self._examine_readings(closed)
        videos = parts(self.path, VIDEO)
        if not videos:
            self.lost.append(f"{VIDEO} is missing")
        elif not closed and self.first is not None and self.last - self.first > EXPECTED:
            empty = [v.name for v in videos[:1] if not self.films[v].seconds]
            self.lost += [f"{name} holds no film" for name in empty]

    def so_far(self) -> _Look:
        """Takes in what is there of a session that goes on. Raises OSError."""
        if (self.path / READINGS).is_file():
            self._count(self.path / READINGS)
        return self

    def _examine_video(self, video: Path, closed: bool) -> None:
        size = video.stat().st_size
        ends = whole_ends(video)
        end = ends[-1]
        if not closed:
            end, self.films[video] = decodable(video, ends)
        if size - end > MOST_TORN:
            self.lost.append(f"{video.name} is damaged after {end} of its {size} bytes")
        elif end < size:
            self.cuts[video] = end
            self.torn.append(f"{video.name} ends in {size - end} torn bytes")

    def _examine_readings(self, closed: bool) -> None:
        path = self.path / READINGS
        if not path.is_file():
            self.lost.append(f"{READINGS} is missing")
            return
        size = path.stat().st_size
        if closed and _ends_whole(path, size):
            return
        end = self._count(path)
        if end < size:
            self.cuts[path] = end
            self.torn.append(f"{READINGS} ends in {size - end} torn bytes")

    def _count(self, path: Path) -> int:
        """Takes in the whole lines from the start; where they end. Raises OSError."""
        end = self.frames = 0
        with open(path, "rb") as file:
            for line in file:
                entry = _entry(line)
                if entry is None:
                    break
                end += len(line)
                self.frames += 1
                self.last = number(entry["time"])
                self.first = self.last if self.first is None else self.first
                self.digits = max(self.digits, len(entry["digits"]))
                self.lines = tuple(entry["lines"]) or self.lines
        return end

    def repair(self) -> None:
        """Puts right what is torn. Raises OSError."""
        scratch = self.path / SCRATCH
        if scratch.is_file():
            if self.content is None:
                self.content = load(scratch)
            os.replace(scratch, free_name(scratch))
        for path, end in self.cuts.items():
            cut(path, end)
        old = self.path / SESSION
        if self.content is None and old.is_file():
            os.replace(old, free_name(old))
        content = dict(self.content or {})
        if content.get("ended") is None:
            content = self._completed(content)
        content["repaired"] = [*_texts(content.get("repaired")), *self.torn]
        save(self.path, content)
        self.content = content

    def _completed(self, content: dict[str, Any]) -> dict[str, Any]:
        """What session.yaml would have said, had the recording been closed."""
        ended = datetime.fromtimestamp(self.written)
        known = content.get("parts")
        entries = [dict(e) for e in known if isinstance(e, dict)] if isinstance(known, list) else []
        listed = {e.get("video"): e for e in entries}
        start, every = 0.0, []
        for video in parts(self.path, VIDEO):
            film = self.films.get(video, Held())
            raw = video.with_name(raw_beside(video.name))
            entry = {
                "video": video.name,
                "raw": raw.name if raw.is_file() else None,
                "start": round(start, 4),
                "seconds": round(film.seconds, 3),
                "width": film.width,
                "height": film.height,
            }
            before = listed.get(video.name, {})
            every.append(entry | before | {"seconds": entry["seconds"], "raw": entry["raw"]})
            start = number(every[-1]["start"]) + film.seconds
        if every:
            counted = sum(int(number(entry.get("frames"))) for entry in every[:-1])
            every[-1]["frames"] = max(0, (self.frames or 0) - counted)
        first = every[0] if every else {}
        return {"started": _started(self.path)} | content | {
            "ended": ended.astimezone().isoformat(timespec="milliseconds"),
            "frames": self.frames or 0,
            "seconds": round(sum(number(e["seconds"]) for e in every), 3),
            "width": first.get("width", 0),
            "height": first.get("height", 0),
            "digits": self.digits,
            "lines": list(self.lines),
            "parts": every,
        }  # fmt: skip


def _told(path: Path, seen: _Look, state: State) -> Session:
    """The session for the list. Raises OSError."""
    content = seen.content or load(path / SESSION) or {}
    videos = parts(path, VIDEO)
    seconds = number(content.get("seconds"))
    if content.get("ended") is None:
        films = seen.films or {v: decodable(v, whole_ends(v))[1] for v in videos}
        seconds = sum(films[v].seconds for v in videos if v in films)
    frames = seen.frames if seen.frames is not None else int(number(content.get("frames")))
    return Session(
        path=path,
        state=state,
        started=str(content.get("started") or _started(path)),
        seconds=seconds,
        bytes=sum(p.stat().st_size for p in path.iterdir() if p.is_file()),
        frames=frames,
        dropped=int(number(content.get("dropped"))),
        digits=seen.digits or int(number(content.get("digits"))),
        lines=seen.lines or tuple(_texts(content.get("lines"))),
        parts=len(videos),
        raw=bool(parts(path, RAW)),
        found=(*seen.torn, *seen.lost),
    )


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []


def _started(path: Path) -> str:
    """When a session began, by its folder's name."""
    try:
        return datetime.strptime(path.name[:19], "%Y-%m-%d_%H-%M-%S").astimezone().isoformat()
    except ValueError:
        return datetime.fromtimestamp(path.stat().st_mtime).astimezone().isoformat()


def _entry(line: bytes) -> dict[str, Any] | None:
    """A reading, or None for a line that is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
        good = isinstance(entry["digits"], list) and isinstance(entry["time"], (int, float))
        good = good and all(isinstance(text, str) for text in entry["lines"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if good and isinstance(entry, dict) else None


def _ends_whole(path: Path, size: int) -> bool:
    """Whether a file is empty or ends a line."""
    with open(path, "rb") as file:
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")
