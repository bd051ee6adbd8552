"""`live-digits read`: what stands in pictures and videos."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live_digits.cli.console import as_json as as_line
from live_digits.cli.console import print_status, progress_bar, write_out
from live_digits.cli.options import (
    AutoOption,
    ConfigOption,
    ModelOption,
    ProfileOption,
    SetOption,
    app,
    classifier_factory,
    ended_by_signals,
    is_video,
    open_hand_worker,
    settings_of,
)
from live_digits.core.errors import ConfigError
from live_digits.core.sanitize import sanitize

if TYPE_CHECKING:
    from live_digits.app.batch import Batch, BatchResult


@app.command()
def read(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="pictures, folders, videos")
    ],
    json_: Annotated[
        bool, typer.Option("--json", help="a line of JSON a picture or frame")
    ] = False,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="with --json: the other boxes, and why no digit")
    ] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="a line of CSV a digit, with a header")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="write annotated copies there")
    ] = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    model: ModelOption = None,
    auto: AutoOption = False,
) -> int:
    """Reads pictures, folders and videos, in order. Exit code 1: something was left out."""
    from live_digits.app.batch import CSV_HEADER, AnnotatedWriter, Batch
    from live_digits.capture.image_files import silence_opencv_log
    from live_digits.capture.input_paths import expand_inputs

    if json_ and csv:
        raise ConfigError("--json and --csv exclude each other; choose one")
    if rejected and not json_:
        raise ConfigError("--rejected adds to the lines of --json; give both")
    silence_opencv_log()
    settings = settings_of(config, set_, profile, model)
    files = expand_inputs(paths)
    batch = Batch(files, settings, classifier_factory(settings)(), auto)
    if any(map(is_video, files)):
        batch.hands = open_hand_worker(settings)
    saver = AnnotatedWriter(save, settings) if save else None
    if csv:
        write_out(",".join(CSV_HEADER))
    done = 0
    asked = threading.Event()
    try:
        # An exception out of the handler may be swallowed by a library's callback; a flag is not.
        with ended_by_signals(asked.set), _progress(files) as out:
            for item in batch:
                done += 1
                out(item, _shown(item, json_, csv, rejected))
                if saver:
                    saver.add(item)
                if asked.is_set():
                    raise KeyboardInterrupt
    finally:
        if saver:
            saver.close()
    return _left_out(batch, done)


def _shown(item: BatchResult, as_json: bool, as_csv: bool, rejected: bool) -> str:
    """What is printed of one picture or frame; `rejected` adds to its JSON."""
    from live_digits.app.batch import csv_rows

    reading = item.reading
    if as_json:
        return as_line(reading.as_dict(rejected))
    if as_csv:
        return csv_rows(replace(reading, source=sanitize(reading.source))).rstrip("\n")
    lines = " / ".join(reading.lines) or "no digits"
    frame = f" {reading.time:8.3f} s" if reading.frame or reading.time else ""
    return sanitize(f"{reading.source}{frame}: {lines}")


def _left_out(batch: Batch, done: int) -> int:
    for reason in batch.skipped:
        print_status(f"live-digits: {reason}")
    if not batch.skipped:
        return 0
    return 1 if done else 2


@contextlib.contextmanager
def _progress(files: Sequence[Path]) -> Iterator[Callable[[BatchResult, str], None]]:
    """Prints results, over a bar where a terminal shows it."""
    if not sys.stderr.isatty() or (len(files) == 1 and not is_video(files[0])):
        yield lambda _, text: write_out(text) if text else None
        return
    from rich.text import Text

    bar = progress_bar()
    both = sys.stdout.isatty()
    current: dict[str, Any] = {"path": "", "frames": 0}
    with bar:
        task = bar.add_task("reading", total=len(files), detail="")

        def show(item: BatchResult, text: str) -> None:
            if item.reading.source != current["path"]:
                current.update(path=item.reading.source, frames=0)
                bar.advance(task, 1 if bar.tasks[0].fields["detail"] else 0)
            current["frames"] += 1
            detail = Path(item.reading.source).name
            if current["frames"] > 1:
                detail += f", frame {current['frames']}"
            bar.update(task, detail=detail)
            if text and both:
                bar.console.print(Text(text), soft_wrap=True)
            elif text:
                write_out(text)

        yield show
        bar.update(task, completed=len(files), detail="done")
