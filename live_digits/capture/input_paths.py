"""Which pictures and videos a name, a folder or a glob stands for."""

from __future__ import annotations

import difflib
import glob
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from live_digits.core.errors import SourceError, without_address

PICTURES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif"}
    | {".pbm", ".pgm", ".ppm", ".pnm"}
)
VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".mjpeg"}
)


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends as a picture's does."""
    return Path(path).suffix.lower() in PICTURES


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the name ends as a video's does."""
    return Path(path).suffix.lower() in VIDEOS


def expand_inputs(paths: Sequence[str]) -> list[Path]:
    """The pictures and videos that files, folders (not those within) and globs stand for, each
    folder and glob in natural order. Raises SourceError for one that gives nothing."""
    found: list[Path] = []
    for text in paths:
        text = os.path.expanduser(text)
        kind = file_kind(text)
        if kind in ("device", "pipe"):
            raise SourceError(f"{text} is a {kind}; expected a file, a folder or a glob")
        if kind == "file":
            if not (is_picture(text) or is_video(text)):
                raise SourceError(
                    f"{text} is no picture or video by its name; expected one that ends in "
                    f"{' '.join(sorted(PICTURES))} or {' '.join(sorted(VIDEOS))}"
                )
            found.append(Path(text))
            continue
        try:
            names = [Path(text, n) for n in os.listdir(text)] if kind == "folder" else None
        except OSError as e:
            raise SourceError(f"folder {text} cannot be read: {without_address(e)}") from e
        every = names if names is not None else [Path(p) for p in glob.glob(text, recursive=True)]
        known = [p for p in every if is_picture(p) or is_video(p)]
        usable = [p for p in known if not p.name.startswith(".") and p.is_file()]
        if not usable:
            what = f"folder {text} holds" if kind == "folder" else f"{text} matches"
            raise SourceError(f"{what} no picture or video (entries of other kinds: {len(every)})")
        found += sorted(usable, key=_natural)
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts a2 before a10."""
    parts = re.split(r"([0-9]+)", str(path).lower())
    return [(int(p), "") if i % 2 else (0, p) for i, p in enumerate(parts)]


def file_kind(text: str) -> str:
    """file, folder, glob, device or pipe. Raises SourceError for what is missing or of no kind
    that is read."""
    if glob.has_magic(text) and not os.path.lexists(text):
        return "glob"
    try:
        mode = os.stat(text).st_mode
    except (OSError, ValueError) as e:
        if isinstance(e, (FileNotFoundError, NotADirectoryError)):
            raise SourceError(
                _missing(text)
            ) from None  # what was meant as a URL may hold a password
        raise SourceError(f"{text!r} cannot be read: {without_address(e)}") from None
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFCHR: "device", stat.S_IFIFO: "pipe",
    }  # fmt: skip
    kind = kinds.get(stat.S_IFMT(mode))
    if kind is None:
        raise SourceError(
            f"{text} is a socket or a disk; expected a camera, a file, a pipe, a folder or a URL"
        )
    return kind


def _missing(text: str) -> str:
    """The message for a file that is not there."""
    path = Path(text)
    if not text:
        return "the source is empty; expected auto, a camera's number, a file, a URL or demo"
    if not path.parent.is_dir():
        return f"there is no {text}: the folder {path.parent} does not exist"
    try:
        names = os.listdir(path.parent)
    except OSError as e:
        return f"there is no {text}, and {path.parent} cannot be listed: {without_address(e)}"
    if path.parent == Path():
        names += ["auto", "demo"]
    near = difflib.get_close_matches(path.name, names, n=3)
    if near:
        meant = " or ".join(str(path.parent / n) for n in near)
        return f"there is no {text}; did you mean {meant}?"
    return (
        f"there is no {text}; expected auto, a camera's number, a picture, a video, a folder, "
        "a glob, a URL or demo"
    )
