"""What the commands share: the options and the settings that they give."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live_digits.config.file import load
from live_digits.config.settings import PROFILES, Settings, SourceSettings, option_of

if TYPE_CHECKING:
    pass
from live_digits.cli.console import print_status, progress_bar

app = typer.Typer(
    name="live-digits",
    help="Finds and reads handwritten digits in what a camera sees, live. Without a command: run.",
    epilog="--debug anywhere shows tracebacks and the whole log.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def setting_help(section: type[Any], name: str) -> str:
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
    int | None,
    typer.Option("--width", help=setting_help(SourceSettings, "width"), show_default=False),
]
HeightOption = Annotated[
    int | None,
    typer.Option("--height", help=setting_help(SourceSettings, "height"), show_default=False),
]
FpsOption = Annotated[
    float | None,
    typer.Option("--fps", help=setting_help(SourceSettings, "fps"), show_default=False),
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
