"""Recordings on disk: what there is, and what a crash left behind, put right.

A repair takes nothing away: what is cut off a file is kept beside it under its name and `.torn`.
A session that another program records at this moment is left alone, and so is one in which a link,
a pipe or a device stands for a file, or which is a link itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from live_digits.core.errors import RecordingError
from live_digits.core.safe_files import is_regular, odd_kind, regular_file
from live_digits.recording.repair import VideoExtent, decodable, free_name, move_tail_aside
from live_digits.recording.session import (
    RAW,
    READINGS,
    SCRATCH,
    SESSION,
    VIDEO,
    SessionError,
    exclusive,
    finite_number,
    is_session,
    last_change,
    odd_entries,
    parts,
    raw_beside,
    read_session,
    save_session,
)
from live_digits.recording.video_writer import fragment_ends

log = logging.getLogger("live_digits.recording.catalog")

MOST_TORN = 256_000_000
"""Bytes at most that a repair cuts off a file: more is no torn end but a damaged file."""
MOST_LINE = 4_000_000
"""Bytes of a line of readings.jsonl at most; one of 30,000 digits has as many."""
EXPECTED = 2.0
"""Seconds of readings from which a video must hold something."""

State = Literal["whole", "recording", "repaired", "torn", "damaged"]


@dataclass(frozen=True, slots=True)
class RecordingReport:
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


def list_recordings(folder: Path, *, repair: bool = True) -> Iterator[RecordingReport]:
    """The recordings in a folder, oldest first, or the one that the folder is; torn ones are
    repaired unless `repair` is False. Raises RecordingError where there is no such folder."""
    folder = folder.expanduser()
    try:
        own = os.path.isdir(folder) and is_session(folder)
        there = [] if own else sorted(folder.iterdir())
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or e
        raise RecordingError(
            f"no recordings in {folder}: {reason}; name the folder that holds them"
        ) from e
    if own:
        yield inspect(folder, repair=repair)
    for path in there:
        if not os.path.isdir(path) or not is_session(path):
            continue
        # The folder that the user names may be a link; what lies in it may lead anywhere.
        if odd_kind(os.lstat(path)) == "a link":
            yield RecordingReport(
                path, "damaged", found=(f"{_LEFT}it is a link; name its own folder",)
            )
        else:
            yield inspect(path, repair=repair)


_LEFT = "left alone: "
"""Begins what is said of a recording that leads out of its folder."""


def inspect(path: Path, *, repair: bool = True) -> RecordingReport:
    """One recording as it stands, repaired first if `repair` and need be. Raises nothing for what
    ails it: its state and `found` say so."""
    try:
        seen = _Inspection(path)
        with exclusive(path) as free:
            if not free:
                return _told(path, seen.so_far(), "recording")
            seen.examine()
            if seen.torn and repair and not seen.odd:
                seen.repair()
                return _told(path, seen, "damaged" if seen.lost else "repaired")
            bad = seen.lost or seen.odd
            state: State = "damaged" if bad else "torn" if seen.torn else "whole"
            return _told(path, seen, state)
    except (OSError, ValueError, ArithmeticError) as e:
        log.debug("%s", path, exc_info=True)
        name = getattr(e, "filename", None)
        reason = f"{Path(name).name}: {getattr(e, 'strerror', e)}" if name else str(e)
        return RecordingReport(path, "damaged", found=(f"cannot be read or repaired: {reason}",))


@dataclass(slots=True)
class _Inspection:
    """What is found of one session. `torn`: what a repair will do, in words; `lost`: what none can
    do; `odd`: what is no regular file, so that none is done."""

    path: Path
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    cuts: dict[Path, int] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    films: dict[Path, VideoExtent] = field(default_factory=dict)
    """Each video of a session that was not closed."""
    bare: bool = False
    """A session that was not closed has no readings.jsonl."""
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
        self.written = last_change(self.path)
        self.odd = [f"{_LEFT}{text}" for text in odd_entries(self.path)]
        self._read_session()
        closed = self.content is not None and self.content.get("ended") is not None
        if is_regular(self.path / SCRATCH):
            self.torn.append(f"{SCRATCH} was left behind")
        for name in (VIDEO, RAW):
            for video in parts(self.path, name):
                self._examine_video(video, closed)
        self._examine_readings(closed)
        videos = parts(self.path, VIDEO)
        if not videos:
            if not os.path.lexists(self.path / VIDEO):
                self.lost.append(f"{VIDEO} is missing")
        elif not closed and self.first is not None and self.last - self.first > EXPECTED:
            empty = [v.name for v in videos[:1] if not self.films[v].seconds]
            self.lost += [f"{name} holds no film" for name in empty]

    def _read_session(self) -> None:
        """Takes in session.yaml, or says what ails it."""
        try:
            self.content = read_session(self.path / SESSION)
            if self.content.get("ended") is None:
                self.torn.append(f"{SESSION} has no end")
        except FileNotFoundError:
            self.torn.append(f"{SESSION} is missing")
        except SessionError as e:
            self.torn.append(f"{SESSION} is unreadable: {e}")
        except OSError as e:
            if e.errno == errno.EFBIG:
                self.torn.append(f"{SESSION} is unreadable: {e.strerror}")
            elif is_regular(self.path / SESSION):  # else it is named among what is odd
                raise

    def so_far(self) -> _Inspection:
        """Takes in what is there of a session that goes on. Raises OSError."""
        if is_regular(self.path / READINGS):
            self._count(self.path / READINGS)
        with contextlib.suppress(OSError, SessionError):  # it is written at this moment
            self.content = read_session(self.path / SESSION)
        return self

    def _examine_video(self, video: Path, closed: bool) -> None:
        size = video.stat().st_size
        ends = fragment_ends(video)
        end = ends[-1]
        if not closed:
            end, self.films[video] = decodable(video, ends)
        if size - end > MOST_TORN:
            self.lost.append(f"{video.name} is damaged after {end} of its {size} bytes")
        elif end < size:
            self._cut(video, end, size)

    def _cut(self, path: Path, end: int, size: int) -> None:
        """Notes what is to be cut off a file, unless that would change a file elsewhere."""
        if os.lstat(path).st_nlink > 1:
            self.odd.append(f"{_LEFT}{path.name} has a second name elsewhere (a hard link)")
        self.cuts[path] = end
        self.torn.append(f"{path.name} ends in {size - end} torn bytes")

    def _examine_readings(self, closed: bool) -> None:
        path = self.path / READINGS
        if not os.path.lexists(path):
            if closed:
                self.lost.append(f"{READINGS} is missing")
            else:
                self._without_readings()
            return
        if not is_regular(path):
            return
        size = path.stat().st_size
        if closed and _ends_whole(path, size):
            return
        end = self._count(path)
        if size - end > MOST_TORN:
            self.lost.append(f"{READINGS} is damaged after {end} of its {size} bytes")
        elif end < size:
            self._cut(path, end, size)

    def _without_readings(self) -> None:
        """A recording that was killed before it had its readings.jsonl: an empty one is made. What
        is lost with one that had frames is told once, and kept in session.yaml."""
        self.bare = True
        filmed = sum(self.films.get(v, VideoExtent()).seconds for v in parts(self.path, VIDEO))
        if filmed:
            self.lost.append(f"{READINGS} is missing: nothing is known of {filmed:.1f} s of film")
        self.torn.append(f"{READINGS} is missing")

    def _count(self, path: Path) -> int:
        """Takes in the whole lines from the start; where they end. Raises OSError."""
        end = self.frames = 0
        with regular_file(path) as file:
            while line := file.readline(MOST_LINE + 1):
                entry = _entry(line)
                if entry is None:
                    break
                end += len(line)
                self.frames += 1
                self.last = finite_number(entry["time"])
                self.first = self.last if self.first is None else self.first
                self.digits = max(self.digits, len(entry["digits"]))
                self.lines = tuple(entry["lines"]) or self.lines
        return end

    def repair(self) -> None:
        """Puts right what is torn. Raises OSError."""
        scratch = self.path / SCRATCH
        if is_regular(scratch):
            if self.content is None:
                with contextlib.suppress(OSError, SessionError):  # it is kept all the same
                    self.content = read_session(scratch)
            os.replace(scratch, free_name(scratch))
        for path, end in self.cuts.items():
            move_tail_aside(path, end)
        if self.bare:
            with open(self.path / READINGS, "xb"):
                pass
        old = self.path / SESSION
        if self.content is None and is_regular(old):
            os.replace(old, free_name(old))
        content = dict(self.content or {})
        if content.get("ended") is None:
            content = self._completed(content)
        content["repaired"] = [*content.get("repaired", ()), *self.torn, *self.lost]
        save_session(self.path, content)
        self.content = content

    def _completed(self, content: dict[str, Any]) -> dict[str, Any]:
        """What session.yaml would have said, had the recording been closed."""
        listed = {entry.get("video"): entry for entry in content.get("parts", ())}
        start, every = 0.0, []
        for video in parts(self.path, VIDEO):
            film = self.films.get(video, VideoExtent())
            raw = video.with_name(raw_beside(video.name))
            entry = {
                "video": video.name,
                "raw": raw.name if is_regular(raw) else None,
                "start": round(start, 4),
                "seconds": round(film.seconds, 3),
                "width": film.width,
                "height": film.height,
            }
            before = listed.get(video.name, {})
            every.append(entry | before | {"seconds": entry["seconds"], "raw": entry["raw"]})
            start = finite_number(every[-1]["start"]) + film.seconds
        if every:
            counted = sum(int(finite_number(entry.get("frames"))) for entry in every[:-1])
            every[-1]["frames"] = max(0, (self.frames or 0) - counted)
        first = every[0] if every else {}
        return {"started": _started(self.path)} | content | {
            "ended": _moment(self.written).isoformat(timespec="milliseconds"),
            "frames": self.frames or 0,
            "seconds": round(sum(finite_number(e["seconds"]) for e in every), 3),
            "width": first.get("width", 0),
            "height": first.get("height", 0),
            "digits": self.digits,
            "lines": list(self.lines),
            "parts": every,
        }  # fmt: skip


def _told(path: Path, seen: _Inspection, state: State) -> RecordingReport:
    """The session for the list. Raises OSError."""
    content = seen.content or {}
    videos = parts(path, VIDEO)
    seconds = finite_number(content.get("seconds"))
    if content.get("ended") is None:
        films = seen.films or {v: decodable(v, fragment_ends(v))[1] for v in videos}
        seconds = sum(films[v].seconds for v in videos if v in films)
    frames = seen.frames if seen.frames is not None else int(finite_number(content.get("frames")))
    return RecordingReport(
        path=path,
        state=state,
        started=str(content.get("started") or _started(path)),
        seconds=seconds,
        bytes=sum(os.lstat(p).st_size for p in path.iterdir() if is_regular(p)),
        frames=frames,
        dropped=int(finite_number(content.get("dropped"))),
        digits=seen.digits or int(finite_number(content.get("digits"))),
        lines=seen.lines or tuple(content.get("lines", ())),
        parts=len(videos),
        raw=bool(parts(path, RAW)),
        found=(*seen.odd, *seen.torn, *seen.lost),
    )


def _started(path: Path) -> str:
    """When a session began, by its folder's name."""
    try:
        return datetime.strptime(path.name[:19], "%Y-%m-%d_%H-%M-%S").astimezone().isoformat()
    except ValueError:
        return _moment(path.stat().st_mtime).isoformat()


def _moment(seconds: float) -> datetime:
    """A file's time; of one that no calendar has, the epoch."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, timezone.utc)


def _entry(line: bytes) -> dict[str, Any] | None:
    """A reading, or None for a line that is torn."""
    if not line.endswith(b"\n") or len(line) > MOST_LINE:
        return None
    try:
        entry = json.loads(line)
        good = isinstance(entry["digits"], list) and isinstance(entry["time"], (int, float))
        good = good and isinstance(entry["lines"], list)
        good = good and all(isinstance(text, str) for text in entry["lines"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if good and isinstance(entry, dict) else None


def _ends_whole(path: Path, size: int) -> bool:
    """Whether a file is empty or ends a line."""
    with regular_file(path) as file:
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")
