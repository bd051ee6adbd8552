"""What comes from outside and may be anything: files, YAML, and what only a native library can
judge, which lives in a process of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import stat
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import yaml

from live_digits.errors import reason

MOST_DEPTH = 16
"""Levels that a YAML text may nest; PyYAML takes minutes for thousands."""
APART_SECONDS = 30.0
"""Seconds that one call into another process may take."""
_APART_BYTES = 8 * 2**30
"""Address space of such a process (where the system can bound it), bytes."""
_OPEN = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSE = yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken
_NO_USE = yaml.AnchorToken, yaml.AliasToken, yaml.TagToken
YAML_FAULTS = (RecursionError, ValueError, ArithmeticError)
"""What PyYAML raises besides its own errors for dates and numbers that are impossible."""


class NotPlainError(ValueError):
    """A YAML text is more than data: `line` (from 1) and what is there."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


class ApartError(Exception):
    """What lives in a process of its own raised, broke down or gave no answer; the text says it on
    one line."""


def read_bytes(path: Path, most: int) -> bytes:
    """The whole file, of at most `most` bytes. Raises OSError, for what is no plain file as well: a
    pipe or a device could hold the program or fill its memory."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=opener) as file:
        there = os.fstat(file.fileno())
        if not stat.S_ISREG(there.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device; expected a file")
        content = file.read(most + 1) if there.st_size <= most else b""
    if max(there.st_size, len(content)) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most} bytes")
    return content


def check_yaml(text: str) -> None:
    """Raises NotPlainError for anchors, aliases, tags and deep nesting, before anything is built:
    these can run code, grow without end or hold the program. Raises yaml.YAMLError as well."""
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPEN) - isinstance(token, _CLOSE)
        line = token.start_mark.line + 1
        if isinstance(token, _NO_USE):
            raise NotPlainError(line, "anchors, aliases and tags have no use here")
        if depth > MOST_DEPTH:
            raise NotPlainError(line, f"nested deeper than {MOST_DEPTH} levels")


class Apart:
    """An object in a process of its own, which a damaged file may crash or hang without harm to
    this one. Belongs to one thread at a time, but for `close`."""

    def __init__(self, module: str, factory: str, *args: Any) -> None:
        """Makes the object there, `module.factory(*args)`; the arguments are pickled. Raises
        ApartError with what the factory raised, or how the process ended."""
        here = str(Path(__file__).resolve().parents[1])
        code = (
            f"import sys; sys.path.insert(0, {here!r}); from live_digits import outside; "
            "outside._serve()"
        )
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C in a terminal is for the program alone
            )
        except OSError as e:
            raise ApartError(f"no process can be started for it: {e.strerror or e}") from e
        self._process = process
        self.close = weakref.finalize(self, _end, process)
        """Ends the process. May be called twice."""
        self(module, factory, args)

    def __call__(self, *args: Any) -> Any:
        """Calls the object. Raises ApartError; the process is gone then if it did not answer."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(APART_SECONDS, process.kill)
        late.daemon = True
        late.start()
        try:
            pickle.dump(args, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            good, answer = pickle.load(process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as e:
            hung = not late.is_alive()
            self.close()
            raise ApartError(
                f"it gave no answer within {APART_SECONDS:g} s"
                if hung
                else f"what reads it broke down (exit status {process.returncode}): it is damaged"
            ) from e
        finally:
            late.cancel()
        if not good:
            raise ApartError(answer)
        return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    try:
        process.wait(0.1)  # at its end of input it ends by itself
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve() -> None:
    """The other side of `Apart`: a module, a factory and its arguments, then the calls."""
    import importlib

    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (_APART_BYTES, _APART_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    made: Any = None
    while True:
        try:
            args = pickle.load(requests)
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            if made is None:
                module, factory, rest = args
                made = getattr(importlib.import_module(module), factory)(*rest)
                answer = True, None
            else:
                answer = True, made(*args)
        except Exception as e:
            answer = False, reason(e)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
