"""What the commands share: the options, the settings that they give, how results are shown."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live_digits.config.file import load
from live_digits.config.settings import PROFILES, Settings, SourceSettings, option_of
from live_digits.core.sanitize import json_line, sanitize

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

app = typer.Typer(
    name="live-digits",
    help="Finds and reads handwritten digits in what a camera sees, live. Without a command: run.",
    epilog="--debug anywhere shows tracebacks and the whole log.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(section: type[Any], name: str) -> str:
    """The help of a setting, its range and default, from its declaration."""
    option = option_of(section, name)
    return f"{option.help} ({option.allowed()}; default {getattr(section(), name):g})"


SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        "-s",
        metavar="SOURCE",
        help="auto, a camera's number or device, a video, a picture, a folder, a glob, a URL, "
        "a recording's folder, demo",
    ),
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="one of " + ", ".join(PROFILES))
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="a config.yaml of your own")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="one setting; may be repeated"),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="cnn, dense, or the path of a model folder"),
]
WidthOption = Annotated[
    int | None, typer.Option("--width", help=_help(SourceSettings, "width"), show_default=False)
]
HeightOption = Annotated[
    int | None, typer.Option("--height", help=_help(SourceSettings, "height"), show_default=False)
]
FpsOption = Annotated[
    float | None, typer.Option("--fps", help=_help(SourceSettings, "fps"), show_default=False)
]
AutoOption = Annotated[
    bool, typer.Option("--auto", help="find the parameters that read the most digits, the surest")
]
MnistOption = Annotated[
    Path | None,
    typer.Option("--mnist", metavar="FILE", help="a local mnist.npz; without it Keras fetches it"),
]
SetsOption = Annotated[
    Path | None, typer.Option("--sets", metavar="DIR", help="a folder with more digit sets (.npz)")
]


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


def settings_of(
    config: Path | None,
    overrides: Sequence[str] | None,
    profile: str | None,
    model: str | None,
    **source: float | None,
) -> Settings:
    """The settings of a command: file, then options. Raises ConfigError."""
    from live_digits.config.file import chosen_by, find_config

    values: dict[tuple[str, str], Any] = {
        ("source", key): value for key, value in source.items() if value is not None
    }
    if model is not None:
        values["model", "name"] = model
    found = None if config else find_config()
    if found is not None and (line := chosen_by(found)):
        print_status(line)
    return load(config or found, overrides or (), profile, values)


def classifier_factory(settings: Settings) -> Callable[[], Any]:
    """What loads the model of the settings. The first is loaded here, to see that it is whole, and
    handed out at the first call."""
    from live_digits.reading import judge

    def make() -> Any:
        m = settings.model
        return judge.load(m.name, threads=m.threads, batch=m.batch)

    ready = [make()]

    def load_next() -> Any:
        try:
            return ready.pop()
        except IndexError:
            return make()

    return load_next


def open_hand_worker(settings: Settings) -> Any:
    """What looks for hands, or None; hands.mode=on fetches the model on first use."""
    from live_digits.hands.model_file import fetch_model, find_model
    from live_digits.hands.worker import open_hands

    wanted = settings.hands.mode == "on" and importlib.util.find_spec("mediapipe") is not None
    if wanted and find_model(settings.hands) is None:
        bar = progress_bar()
        with bar:
            task = bar.add_task("fetching Google's hand model", total=None, detail="")
            fetch_model(lambda done, total: bar.update(task, completed=done, total=total or None))
    worker, note = open_hands(settings.hands)
    if note:
        logging.getLogger("live_digits").debug("%s", note)
    return worker


@contextlib.contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM end the run and finish the recording; a second SIGINT interrupts."""
    names = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.getsignal(n) for n in names}

    def handle(number: int, _: Any) -> None:
        stop()
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)

    for n in names:
        signal.signal(n, handle)
    try:
        yield
    finally:
        for n in names:
            signal.signal(n, before[n] or signal.SIG_DFL)


def is_video(path: Path) -> bool:
    from live_digits.capture.input_paths import is_video

    return is_video(path)


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
