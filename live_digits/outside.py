"""What comes from outside and may be anything: files, YAML, and what only a native library can
judge, which is tried in a process of its own first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

MOST_DEPTH = 16
"""Levels that a YAML text may nest; PyYAML takes minutes for thousands."""
TRIAL_SECONDS = 60.0
"""Seconds that a trial may take."""
_TRIAL_BYTES = 8 * 2**30
"""Address space of a trial (where the system can bound it), bytes."""
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


def read_bytes(path: Path, most: int) -> bytes:
    """The whole file, of at most `most` bytes. Raises OSError, for what is no plain file as well: a
    pipe or a device could hold the program or fill its memory."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=opener) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device; expected a file")
        content = file.read(most + 1)
    if len(content) > most:
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


def trial(module: str, function: str, content: bytes, *args: Any) -> str:
    """Calls `module.function(content, *args)` in a process of its own, which a damaged file may
    crash or hang; plain numbers and texts as `args`. "" where it returned, else one line of why
    not: what the call raised, or how the process ended."""
    here = str(Path(__file__).resolve().parents[1])
    code = (
        f"import sys; sys.path.insert(0, {here!r}); from live_digits import outside; "
        f"outside._attempt({module!r}, {function!r}, {args!r})"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it gave no answer within {TRIAL_SECONDS:g} s"
    except OSError as e:
        return f"it cannot be tried out: {e.strerror or e}"
    said = " ".join(done.stdout.decode("utf-8", "replace").split())
    if done.returncode == 0:
        return ""
    return said or f"the library that reads it breaks down (exit status {done.returncode})"


def _attempt(module: str, function: str, args: tuple[Any, ...]) -> None:
    """The other side of `trial`: its process ends with 1 and the reason on standard output."""
    import importlib

    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (_TRIAL_BYTES, _TRIAL_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    content = sys.stdin.buffer.read()
    out = os.dup(1)
    os.dup2(2, 1)  # what the library prints is no reason
    try:
        getattr(importlib.import_module(module), function)(content, *args)
    except Exception as e:
        os.write(out, (str(e) or type(e).__name__).encode("utf-8", "replace"))
        os._exit(1)
    os._exit(0)
