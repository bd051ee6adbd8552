"""Files that outlast a crash: synced, locked, appended line by line."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import BinaryIO

from live_digits.core.safe_files import open_regular

_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_NO_LOCK = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


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
    sync_and_close(os.open(folder, os.O_RDONLY))


def sync_path(path: Path) -> None:
    """Has the disk keep a file as it is by now, by a descriptor of its own: the file's owners may
    close theirs at any time. Raises OSError."""
    sync_and_close(open_regular(path, os.O_RDWR))


def sync_and_close(descriptor: int) -> None:
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


class JsonLinesFile:
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
