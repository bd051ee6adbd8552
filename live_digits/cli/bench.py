"""`live-digits bench`: what everything costs here."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from live_digits.cli.console import (
    name_files,
    print_status,
    print_table,
    progress_bar,
    show,
    show_json,
)
from live_digits.cli.options import (
    app,
)


@app.command()
def bench(
    json_: Annotated[bool, typer.Option("--json", help="the figures as one JSON object")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="half a minute: fewer sizes, runs and repeats")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="write the figures (JSON) and a plot there"),
    ] = None,
) -> int:
    """What each step costs on this machine, in under 5 minutes. Exit code 1: a part failed."""
    from live_digits.bench import report as benchmark

    plan = benchmark.QUICK if quick else benchmark.FULL
    files = benchmark.Files(out) if out else None
    bar = progress_bar()
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        task = bar.add_task("measuring", total=plan.steps, detail="")

        def progress(what: str) -> None:
            bar.update(task, advance=1 if bar.tasks[0].fields["detail"] else 0, detail=what)

        found = benchmark.run(plan, progress)
    if json_:
        show_json(found.as_json())
    else:
        for line in str(found.machine).splitlines():
            show(line)
        for title, names, rows in benchmark.tables(found):
            print_table(title, names, rows)
    for failure in found.failures:
        print_status(f"live-digits: {failure}")
    if files:
        name_files(files.write(found))
        for note in files.notes:
            print_status(note)
    return int(bool(found.failures))
