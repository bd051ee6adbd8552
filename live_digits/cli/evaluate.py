"""`live-digits evaluate`: how well a network reads."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

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
    ConfigOption,
    MnistOption,
    ModelOption,
    ProfileOption,
    SetOption,
    SetsOption,
    app,
    classifier_factory,
    settings_of,
)
from live_digits.config.settings import Settings
from live_digits.core.errors import ConfigError


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
    from live_digits.evaluation import evaluate as ev

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
    from live_digits.evaluation import evaluate as ev

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
