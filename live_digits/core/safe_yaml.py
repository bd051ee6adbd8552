"""What comes from outside and may be anything: files and YAML. What only a native library can judge
lives in a process of its own (`isolated_process`).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import yaml

MOST_DEPTH = 16
"""Levels that a YAML text may nest; PyYAML takes minutes for thousands."""
_OPEN = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSE = yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken
_NO_USE = yaml.AnchorToken, yaml.AliasToken, yaml.TagToken
YAML_FAULTS = (RecursionError, ValueError, ArithmeticError)
"""What PyYAML raises besides its own errors for dates and numbers that are impossible."""


class UnsafeYamlError(ValueError):
    """A YAML text is more than data: `line` (from 1) and what is there."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


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
            raise UnsafeYamlError(line, "anchors, aliases and tags have no use here")
        if depth > MOST_DEPTH:
            raise UnsafeYamlError(line, f"nested deeper than {MOST_DEPTH} levels")
