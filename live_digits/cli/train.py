"""`live-digits train`: networks from data to a folder with its card."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from live_digits.cli.console import (
    LogProgress,
    print_status,
    progress_bar,
    show,
)
from live_digits.cli.options import (
    MnistOption,
    SetsOption,
    app,
)
from live_digits.core.errors import ConfigError
from live_digits.core.sanitize import sanitize


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="cnn|dense", help="which network")] = "cnn",
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="the folder that holds the models")
    ] = Path("models"),
    mnist: MnistOption = None,
    sets: SetsOption = None,
    fonts: Annotated[
        Path | None,
        typer.Option("--fonts", metavar="DIR", help="font files to draw digits and letters from"),
    ] = None,
    backgrounds: Annotated[
        Path | None,
        typer.Option("--backgrounds", metavar="DIR", help="pictures of sheets, desks and boards"),
    ] = None,
    rooms: Annotated[
        Path | None,
        typer.Option("--rooms", metavar="DIR", help="photographs without any digit"),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="keep drawn pages there for the next run"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="the same seed trains the same model")] = 1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, max=1000, help="the recipe's by default")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="a minute's run on a few thousand digits")
    ] = False,
) -> int:
    """Trains a network, exports it for LiteRT and writes its card and curves."""
    from rich.text import Text

    from live_digits.training import train as training

    bar, log = progress_bar(), LogProgress()
    shown = sys.stderr.isatty()
    with bar if shown else contextlib.nullcontext():
        task = bar.add_task("loading", total=None, detail="")

        def progress(p: training.Progress) -> None:
            detail = "" if p.loss != p.loss else f"loss {p.loss:.4f}, accuracy {p.accuracy:.4f}"
            if not shown:
                log.tell(p.stage, p.done, p.total, detail)
            bar.update(
                task, description=p.stage, completed=p.done, total=p.total or None, detail=detail
            )

        def above(line: str) -> None:
            bar.console.print(Text(sanitize(line)))

        try:
            trained = training.train(
                name, out, mnist, sets, seed, epochs, quick, progress,
                above if shown else print_status, fonts=fonts,
                backgrounds=backgrounds, rooms=rooms, cache=cache,
            )  # fmt: skip
        except OSError as e:
            raise ConfigError(f"--out {out} cannot be written: {e.strerror or e}") from e
    metrics = trained.card["metrics"]["test_accuracy"]
    for key, value in metrics.items():
        show(f"{key}: {value:.4f}")
    print_status(f"written: {trained.path}")
    return 0
