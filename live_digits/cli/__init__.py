"""The command line; the only rooms that print.

Nothing heavy is imported before it is needed: help, and the line that names a missing system
library, must come even where `import cv2` fails.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from live_digits import __version__
from live_digits.cli import bench, doctor, evaluate, read, recordings, run, train
from live_digits.cli.console import print_status, write_out
from live_digits.cli.options import app
from live_digits.core.errors import LiveDigitsError, one_line
from live_digits.core.isolated_process import isolate_pools
from live_digits.core.libraries import missing_library
from live_digits.core.sanitize import sanitize

__all__ = [
    "COMMANDS",
    "bench",
    "doctor",
    "evaluate",
    "invoke",
    "main",
    "read",
    "recordings",
    "run",
    "train",
]

COMMANDS = ("run", "read", "recordings", "evaluate", "train", "bench", "doctor", "cameras")
app.registered_commands.sort(key=lambda c: COMMANDS.index(getattr(c.callback, "__name__", "")))
_DRAWS = ("evaluate", "train", "bench")
"""The commands that draw by matplotlib."""


def _arguments(args: Sequence[str]) -> list[str]:
    """The arguments with the command `run` where none is named."""
    given = list(args)
    first = given[0] if given else ""
    if first in COMMANDS or first in ("-h", "--help", "--version"):
        return given
    if first.startswith(("--install-completion", "--show-completion")):
        return given
    if first and not first.startswith("-"):
        return given
    return ["run", *given]


def _version(asked: bool) -> None:
    if asked:
        write_out(f"live-digits {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    del version


class _Sanitized(logging.Formatter):
    """Log lines that steer no terminal; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return sanitize(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return _sanitized_lines(super().formatException(ei))


def _sanitized_lines(text: str) -> str:
    return "\n".join(map(sanitize, text.split("\n")))


def invoke(args: Sequence[str]) -> int:
    """Runs one command line; the exit code. Every expected failure is one line on stderr."""
    debug = "--debug" in args
    # A file's name may hold bytes that are no text; as \\udcff it is right in JSON too.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    level = logging.DEBUG if debug else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Sanitized("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("live_digits").setLevel(level)
    rest = _arguments([a for a in args if a != "--debug"])
    try:
        return int(app(rest, prog_name="live-digits", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        print_status("interrupted")
        return 130
    except SystemExit as e:
        # So typer ends where the reader of a pipe has gone, and it is no failure.
        if isinstance(e.__context__, BrokenPipeError):
            return 0
        raise
    except Exception as e:
        line = _line_of(e)
        if debug or line is None:
            raise
        print_status(f"live-digits: {line}")
        return 2


def _line_of(error: Exception) -> str | None:
    """The one line of an expected failure; None for what is a fault of this program."""
    if isinstance(error, LiveDigitsError):
        return one_line(error)
    if isinstance(error, ImportError):
        return missing_library(error)
    described = getattr(error, "format_message", None)
    if callable(described):
        return f"{' '.join(str(described()).split())} (live-digits --help shows what there is)"
    return None


def _import_matplotlib() -> None:
    """Imports matplotlib outside the working folder, where a file `matplotlibrc` would decide what
    it does. Where it cannot be imported, what draws says so."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it is deleted: nothing lies there
        return
    os.chdir(sys.prefix)
    try:
        importlib.import_module("matplotlib")
    except ImportError as e:
        logging.getLogger("live_digits").debug("matplotlib: %s", e)
    finally:
        os.chdir(here)


def main() -> None:
    """The command `live-digits`."""
    args = sys.argv[1:]
    command = next((a for a in args if a != "--debug"), "")
    if command == "train":
        isolate_pools()
    if command in _DRAWS:
        _import_matplotlib()
    try:
        code = invoke(args)
    except Exception as e:  # its message may repeat a name from outside
        text = "".join(traceback.format_exception(type(e), e, e.__traceback__))
        print(_sanitized_lines(text.rstrip("\n")), file=sys.stderr, flush=True)
        code = 1
    used = sys.modules.get("live_digits.capture.reconnecting_source")
    if used is not None and used.blocked_readers():
        # A read that blocks in a driver may return while Python takes itself apart, and would
        # crash the process then.
        logging.shutdown()
        with contextlib.suppress(BrokenPipeError):  # the reader of a pipe has gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
