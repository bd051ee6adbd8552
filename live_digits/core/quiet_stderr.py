"""Holds back what native libraries write to standard error."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

INFO_LINE = re.compile(rb"INFO: ")
"""What LiteRT says where nothing is wrong ("Created TensorFlow Lite XNNPACK delegate")."""
_STDERR = 2
_quieting = threading.RLock()


@contextlib.contextmanager
def quiet_stderr(noise: re.Pattern[bytes] = INFO_LINE) -> Iterator[None]:
    """Holds back what native code writes to standard error, and drops the lines that are noise.

    Args:
        noise: how a line begins that is dropped; the others follow at the end.
    """
    with _quieting, contextlib.ExitStack() as stack:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # a windowed program has no standard error: nothing to hold back
            yield
            return
        stack.callback(os.close, saved)
        held = stack.enter_context(tempfile.TemporaryFile())
        sys.stderr.flush()
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            held.seek(0)
            kept = b"".join(line for line in held if not noise.match(line))
            if kept:
                os.write(_STDERR, kept)
