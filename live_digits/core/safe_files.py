"""Files in a folder that anybody may have filled: regular ones only, and never through a link.

What is opened in such a folder is judged twice: by its name, so that no device or pipe is touched,
and by its descriptor, so that nothing put there in between is used.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder",
}  # fmt: skip
_SURROGATE = 0x2000_0000
"""The bit of a Windows reparse tag that stands for another place: links and junctions have it."""
_CAREFUL = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # fmt: skip


def odd_kind(there: os.stat_result) -> str:
    """Returns what an entry is, such as "a link"; nothing for a regular file."""
    if getattr(there, "st_reparse_tag", 0) & _SURROGATE:
        return "a link"
    if stat.S_ISREG(there.st_mode):
        return ""
    return _KINDS.get(stat.S_IFMT(there.st_mode), "no file")


def is_regular(path: Path) -> bool:
    """Returns whether a name stands for a regular file itself, not for a link to one."""
    try:
        return not odd_kind(os.lstat(path))
    except OSError:  # nothing there, or nothing that this user may see
        return False


def open_regular(path: Path, flags: int = os.O_RDONLY, *, alone: bool = False) -> int:
    """Opens a regular file that is there, by its own name, and does not wait.

    Args:
        path: The file; links in the names of its folders count, one as its last name does not.
        flags: As for `os.open`.
        alone: Whether a file with a second name (hard link) is refused too: what is written into it
            would change a file elsewhere.

    Returns:
        The descriptor.

    Raises:
        OSError: What is there is missing, a link, a pipe, a device, a folder, or not alone.
    """
    _judge(os.lstat(path), path, alone)
    return _opened(path, flags | _CAREFUL, alone)


def _opened(path: Path, flags: int, alone: bool = False) -> int:
    """The descriptor of a file, judged once more: another may lie there by now."""
    descriptor = os.open(path, flags, 0o666)
    try:
        _judge(os.fstat(descriptor), path, alone)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _judge(there: os.stat_result, path: Path, alone: bool) -> None:
    kind = odd_kind(there)
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind}; expected a file", str(path))
    if alone and there.st_nlink > 1:
        raise OSError(errno.EMLINK, "it has a second name elsewhere (a hard link)", str(path))


def open_target(path: Path) -> int:
    """Opens the file that a user has named to write to, made where there is none; does not wait.

    A link there counts: whoever names it means what it leads to. Nothing is cut off yet.

    Raises:
        OSError: It cannot be written, or is a pipe, a device or a folder.
    """
    flags = os.O_WRONLY | os.O_CREAT | (_CAREFUL & ~getattr(os, "O_NOFOLLOW", 0))
    with contextlib.suppress(FileNotFoundError):
        _judge(os.stat(path), path, False)
    return _opened(path, flags)


def regular_file(path: Path) -> BinaryIO:
    """Opens a regular file to read, as `open_regular` does. Raises OSError."""
    return os.fdopen(open_regular(path), "rb")


def read_regular(path: Path, most: int) -> bytes:
    """Returns all of a regular file of at most `most` bytes. Raises OSError."""
    with regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if max(size, len(content)) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes", str(path))
    return content


def new_file(folder: Path, stem: str, suffix: str) -> tuple[Path, BinaryIO]:
    """Opens a new file to write: STEM.SUFFIX, or STEM_2.SUFFIX, … where the name is taken by
    whatever it may be. Raises OSError."""
    for path in free_names(folder, stem, suffix):
        with contextlib.suppress(FileExistsError):
            return path, open(path, "xb")
    raise AssertionError  # the names do not end


def free_names(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    """Yields names that nothing has: STEM.SUFFIX, STEM_2.SUFFIX, …"""
    for number in itertools.count(1):
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}_{number}{suffix}")
        if not os.path.lexists(path):
            yield path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a new empty file beside `path`, which takes its place at the end; with its mode.

    A link at `path` is replaced, not followed. After an exception `path` is as it was.

    Raises:
        OSError: The folder cannot be written.
    """
    old: os.stat_result | None = None
    with contextlib.suppress(FileNotFoundError):
        old = os.lstat(path)
    keep = old is not None and not odd_kind(old)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFUL
    scratch = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    os.close(os.open(scratch, flags, 0o600 if keep else 0o666))
    try:
        yield scratch
        if old is not None and keep:
            if hasattr(os, "chown"):
                with contextlib.suppress(PermissionError):  # only root gives files away
                    os.chown(scratch, old.st_uid, old.st_gid)
            os.chmod(scratch, stat.S_IMODE(old.st_mode))
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def probe(folder: Path) -> None:
    """Makes a folder and sees whether a file can be made there; nothing stays but the folder.
    Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{secrets.token_hex(8)}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CAREFUL, 0o600))
    path.unlink()
