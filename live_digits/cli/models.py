"""The commands of models and machine: evaluate, train, bench."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from live_digits.cli.common import (
    ConfigOption,
    LogProgress,
    MnistOption,
    ModelOption,
    ProfileOption,
    SetOption,
    SetsOption,
    app,
    classifier_factory,
    name_files,
    print_status,
    print_table,
    progress_bar,
    settings_of,
    show,
    show_json,
)
from live_digits.config.settings import Settings
from live_digits.core.errors import ConfigError
from live_digits.core.sanitize import sanitize


@app.command()
def evaluate(
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="mnist|FOLDER", help="mnist, another set, or a folder with truth.json"
        ),
    ] = "mnist",
    model: ModelOption = None,
    mnist: MnistOption = None,
    sets: SetsOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="where the pictures go")] = Path(
        "out"
    ),
    profile: ProfileOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    json_: Annotated[bool, typer.Option("--json", help="the figures as one JSON object")] = False,
) -> int:
    """How well a model reads a digit set, or the whole program a folder of pictures."""
    from live_digits.training import evaluate as ev

    settings = settings_of(config, set_, profile, model)
    net = classifier_factory(settings)()
    try:
        if Path(data).is_dir() or Path(data).name == "truth.json":
            return _evaluate_folder(Path(data), settings, net, out, json_)
        report = ev.evaluate_set(net, data, mnist=mnist, folder=sets, out=out)
    except OSError as e:
        raise ConfigError(f"--out {out} cannot be written: {e.strerror or e}") from e
    rows = [
        (str(r.label), str(r.count), f"{r.precision:.4f}", f"{r.recall:.4f}", f"{r.f1:.4f}")
        for r in report.rows
    ]
    if json_:
        names = ("digit", "count", "precision", "recall", "f1")
        table = [dict(zip(names, (r.label, r.count, r.precision, r.recall, r.f1), strict=True))
                 for r in report.rows]  # fmt: skip
        content = {"data": report.name, "model": net.name, "count": report.count}
        show_json(content | {"accuracy": report.accuracy, "digits": table})
    else:
        title = f"{net.name} on {report.name}: accuracy {report.accuracy:.4f} of {report.count}"
        print_table(title, ("digit", "count", "precision", "recall", "F1"), rows)
    name_files(report.files)
    return 0


def _evaluate_folder(folder: Path, settings: Settings, net: Any, out: Path, as_json: bool) -> int:
    from live_digits.api import DigitReader
    from live_digits.training import evaluate as ev

    bar = progress_bar()
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        task = bar.add_task("reading", total=None, detail="")
        report = ev.evaluate_folder(
            folder,
            DigitReader(net, settings).read,
            out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        show_json({key: tally.as_json() for key, tally in report.total.items()})
    else:
        names = ("pictures", "truth", "read", "perfect", "recall", "precision", "f1", "mean_f1",
                 "found", "classified", "lines")  # fmt: skip
        order = sorted(report.total, key=lambda k: (k != "all", k))
        rows = [(key, *(f"{report.total[key].as_json()[n]:g}" for n in names)) for key in order]
        print_table(f"{net.name} on {folder}", ("category", *names), rows)
        worst = sorted(report.confused.items(), key=lambda item: -item[1])[:12]
        if worst:
            show("confused: " + "  ".join(f"{t} as {r}: {n}" for (t, r), n in worst))
    for name in report.unread:
        print_status(f"live-digits: {name} could not be read and counts as empty")
    name_files(report.files)
    return 1 if report.unread else 0


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
