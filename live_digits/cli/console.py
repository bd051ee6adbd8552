"""What the commands say: results on standard output, the rest on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from live_digits.core.sanitize import json_line, sanitize

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


def print_status(text: str) -> None:
    """Prints one line for the user on standard error, beside the results."""
    print(sanitize(text), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Prints one line of the results."""
    write_out(sanitize(text))


def show_json(value: Any) -> None:
    """Prints one line of JSON."""
    write_out(as_json(value))


def as_json(value: Any) -> str:
    """Returns a line of JSON as standard output can take it."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    return json_line(value, ascii_only=encoding != "utf8")


def write_out(text: str) -> None:
    """Prints what is sanitized already, and may be several lines."""
    print(text, flush=True)


def progress_bar() -> Bar:
    """A progress bar on standard error that leaves standard output alone."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Column(TextColumn):
        def render(self, task: Task) -> Text:
            return Text(sanitize(super().render(task).plain), style=self.style)

    return Progress(
        Column("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        Column("{task.fields[detail]}", markup=False, style="dim"),
        console=Console(stderr=True),
        redirect_stdout=False,
    )


class LogProgress:
    """Long work where no bar can be drawn, as in a log: a line at each tenth of each stage."""

    def __init__(self) -> None:
        self._told: tuple[str, int] = ("", -1)

    def tell(self, stage: str, done: int, total: int, detail: str) -> None:
        tenth = 10 * done // max(1, total)
        if (stage, tenth) != self._told:
            self._told = stage, tenth
            print_status(f"{stage} {10 * tenth} %{detail and ', ' + detail}")


def name_files(files: Sequence[Path]) -> None:
    for file in files:
        print_status(f"written: {file}")


def print_table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table on standard output; plain columns where that is no terminal."""
    rows = [[sanitize(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        show(title)
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for row in (names, *rows):
            write_out("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A text as such: what looks like rich's markup in it is none.
    table = Table(title=Text(sanitize(title)), title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
