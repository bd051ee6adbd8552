"""Commands and options; the only place that prints.

Nothing heavy is imported before it is needed: help, and the line that names a missing system
library, must come even where `import cv2` fails.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live_digits import __version__
from live_digits.config import (
    PROFILES,
    HandsSettings,
    Settings,
    SourceSettings,
    load,
    option_of,
)
from live_digits.errors import ConfigError, LiveDigitsError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from live_digits.app import Outcome
    from live_digits.batch import Batch, Read
    from live_digits.types import Reading

COMMANDS = ("run", "read", "recordings", "evaluate", "train", "bench", "doctor", "cameras")
SERVER_SECONDS = 10.0
"""How long a run lasts where there is no display and nothing else was asked for."""
_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libXext.so.6": "libxext6",
    "libX11.so.6": "libx11-6",
}
"""Debian's and Ubuntu's package of each system library that OpenCV's wheel asks for."""

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


def say(text: str) -> None:
    """One line for the user, beside the results."""
    print(text, file=sys.stderr, flush=True)


def _settings(
    config: Path | None,
    overrides: Sequence[str] | None,
    profile: str | None,
    model: str | None,
    **source: float | None,
) -> Settings:
    """The settings of a command: file, then options. Raises ConfigError."""
    from live_digits.config import find_config

    values: dict[tuple[str, str], Any] = {
        ("source", key): value for key, value in source.items() if value is not None
    }
    if model is not None:
        values["model", "name"] = model
    return load(config or find_config(), overrides or (), profile, values)


def _loader(settings: Settings) -> Callable[[], Any]:
    """What loads the model of the settings. The first is loaded here, to see that it is whole, and
    handed out at the first call."""
    from live_digits import classifier

    def make() -> Any:
        m = settings.model
        return classifier.load(m.name, threads=m.threads, batch=m.batch)

    ready = [make()]

    def load_next() -> Any:
        try:
            return ready.pop()
        except IndexError:
            return make()

    return load_next


@app.command()
def run(
    source: SourceOption = "auto",
    profile: ProfileOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    model: ModelOption = None,
    width: WidthOption = None,
    height: HeightOption = None,
    fps: FpsOption = None,
    no_window: Annotated[bool, typer.Option("--no-window", help="show nothing")] = False,
    record: Annotated[bool, typer.Option("--record", help="record from the first frame")] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="record, and keep the camera's own frames, to run the session again"
        ),
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option("--duration", metavar="S", help="end after so many seconds", min=0.01),
    ] = None,
    every_frame: Annotated[
        bool,
        typer.Option("--every-frame", help="a file's every frame, as fast as it goes; none late"),
    ] = False,
    auto: AutoOption = False,
    air: Annotated[
        bool, typer.Option("--air", help="a finger writes in the air (key f); needs hands")
    ] = False,
    gestures: Annotated[
        bool, typer.Option("--gestures", help="all hand gestures on; needs hands")
    ] = False,
    stats: Annotated[
        Path | None,
        typer.Option("--stats", metavar="FILE", help="write the run's figures as JSON at its end"),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="print each frame's reading as a line of JSON")
    ] = False,
) -> int:
    """The live window: boxes and digits over the moving picture. h shows the keys."""
    from live_digits.app import App, Options
    from live_digits.sources import open_source

    logging.getLogger("live_digits").setLevel(logging.INFO)
    settings = _settings(config, set_, profile, model, width=width, height=height, fps=fps)
    if raw:
        record = True
        if settings.recording.raw == "off":
            settings = replace(settings, recording=replace(settings.recording, raw="lossless"))
    if air or gestures:
        settings = replace(settings, hands=_asked_hands(settings.hands, gestures))
    _writable(stats)
    load_model = _loader(settings)
    display = None if no_window else _window(settings)
    if not no_window and display is None:
        duration, record = duration or SERVER_SECONDS, True
        say(f"running without a window for {duration:g} s and recording")
    opened = open_source(source, settings.source, every_frame=every_frame)
    if opened.note:
        say(opened.note)
    each = _print_json if json_ else None
    kind = opened.info.kind
    paced = kind in ("camera", "stream") or (kind in ("video", "demo") and not every_frame)
    options = Options(
        record, duration, auto, config, each, live=paced, lockstep=every_frame, air=air
    )
    live = App(settings, opened, load_model, display, options, _hands(settings))
    with _signals(live.stop):
        outcome = live.run()
    code = _report(outcome, stats, quiet=json_, windowed=display is not None)
    # A folder's unreadable pictures were named when they were met.
    return code or int(bool(getattr(opened, "skipped", ())))


def _window(settings: Settings) -> Any:
    """The window, or None where there is no display; it says so."""
    from live_digits.errors import DisplayError
    from live_digits.window import Window

    try:
        return Window(settings.pipeline, settings.window.width)
    except DisplayError as e:
        say(str(e))
        return None


def _asked_hands(hands: HandsSettings, gestures: bool) -> HandsSettings:
    """The settings where the command line asks for what hands do."""
    hands = replace(hands, mode="on")
    if not gestures:
        return hands
    return replace(hands, open_palm=True, fist=True, thumb_up=True, two_fingers=True)


def _hands(settings: Settings) -> Any:
    """What looks for hands, or None; hands.mode=on fetches the model on first use."""
    from live_digits.hands import fetch_model, find_model, open_hands

    wanted = settings.hands.mode == "on" and importlib.util.find_spec("mediapipe") is not None
    if wanted and find_model(settings.hands) is None:
        bar = _bar()
        with bar:
            task = bar.add_task("fetching Google's hand model", total=None, detail="")
            fetch_model(lambda done, total: bar.update(task, completed=done, total=total or None))
    worker, note = open_hands(settings.hands)
    if note:
        logging.getLogger("live_digits").debug("%s", note)
    return worker


def _writable(path: Path | None) -> None:
    """Raises ConfigError now rather than at the end of a long run."""
    if path is None:
        return
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as e:
        raise ConfigError(f"--stats {path} cannot be written: {e.strerror or e}") from e


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
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


def _print_json(reading: Reading) -> None:
    print(json.dumps(reading.as_json(), ensure_ascii=False), flush=True)


def _report(outcome: Outcome, stats: Path | None, *, quiet: bool, windowed: bool) -> int:
    """Says what came of a run; its exit code."""
    if not quiet and not windowed:
        print("\n".join(outcome.lines) if outcome.lines else "no digits read", flush=True)
    for summary in outcome.recordings:
        lost = f", {summary.dropped} frames dropped" if summary.dropped else ""
        say(f"recorded {summary.frames} frames, {summary.seconds:.1f} s{lost}: {summary.path}")
    if stats is not None:
        try:
            stats.write_text(json.dumps(outcome.stats, indent=2) + "\n", encoding="utf-8")
        except OSError as e:
            raise ConfigError(f"--stats {stats} cannot be written: {e.strerror or e}") from e
    for error in outcome.errors:
        say(f"live-digits: {error}")
    return 1 if outcome.errors else 0


@app.command()
def read(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="pictures, folders, videos")
    ],
    json_: Annotated[
        bool, typer.Option("--json", help="a line of JSON a picture or frame")
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
    from live_digits.batch import CSV_HEADER, Batch, Saver
    from live_digits.media import quiet
    from live_digits.sources import expand_inputs

    if json_ and csv:
        raise ConfigError("--json and --csv exclude each other; choose one")
    quiet()
    settings = _settings(config, set_, profile, model)
    files = expand_inputs(paths)
    batch = Batch(files, settings, _loader(settings)(), auto)
    if any(map(_is_video, files)):
        batch.hands = _hands(settings)
    saver = Saver(save, settings) if save else None
    if csv:
        print(",".join(CSV_HEADER))
    done = 0
    asked = threading.Event()
    try:
        # An exception out of the handler may be swallowed by a library's callback; a flag is not.
        with _signals(asked.set), _progress(files) as out:
            for item in batch:
                done += 1
                out(item, _shown(item, json_, csv))
                if saver:
                    saver.add(item)
                if asked.is_set():
                    raise KeyboardInterrupt
    finally:
        if saver:
            saver.close()
    return _left_out(batch, done)


def _shown(item: Read, as_json: bool, as_csv: bool) -> str:
    """What is printed of one picture or frame."""
    from live_digits.batch import csv_rows

    reading = item.reading
    if as_json:
        return json.dumps(reading.as_json(), ensure_ascii=False)
    if as_csv:
        return csv_rows(reading).rstrip("\n")
    lines = " / ".join(reading.lines) or "no digits"
    frame = f" {reading.time:8.3f} s" if reading.frame or reading.time else ""
    return f"{reading.source}{frame}: {lines}"


def _left_out(batch: Batch, done: int) -> int:
    for reason in batch.skipped:
        say(f"live-digits: {reason}")
    if not batch.skipped:
        return 0
    return 1 if done else 2


@contextlib.contextmanager
def _progress(files: Sequence[Path]) -> Iterator[Callable[[Read, str], None]]:
    """Prints results, over a bar where a terminal shows it."""
    if not sys.stderr.isatty() or (len(files) == 1 and not _is_video(files[0])):
        yield lambda _, text: print(text, flush=True) if text else None
        return
    bar = _bar()
    both = sys.stdout.isatty()
    current: dict[str, Any] = {"path": "", "frames": 0}
    with bar:
        task = bar.add_task("reading", total=len(files), detail="")

        def show(item: Read, text: str) -> None:
            if item.reading.source != current["path"]:
                current.update(path=item.reading.source, frames=0)
                bar.advance(task, 1 if bar.tasks[0].fields["detail"] else 0)
            current["frames"] += 1
            detail = Path(item.reading.source).name
            if current["frames"] > 1:
                detail += f", frame {current['frames']}"
            bar.update(task, detail=detail)
            if text and both:
                bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            elif text:
                print(text, flush=True)

        yield show
        bar.update(task, completed=len(files), detail="done")


def _is_video(path: Path) -> bool:
    from live_digits.media import is_video

    return is_video(path)


def _bar() -> Bar:
    """A progress bar on standard error that leaves standard output alone."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim"),
        console=Console(stderr=True),
        redirect_stdout=False,
    )


@app.command()
def recordings(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="recordings, or one; the setting's by default"),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="a line of JSON a recording")] = False,
    check: Annotated[bool, typer.Option("--check", help="only look, repair nothing")] = False,
    config: ConfigOption = None,
    set_: SetOption = None,
) -> int:
    """Lists recordings and repairs what a crash left; nothing is deleted. Exit code 1: damage is
    left."""
    from live_digits.media import quiet
    from live_digits.recordings import sessions

    quiet()
    chosen = folder or Path(_settings(config, set_, None, None).recording.folder)
    rows, code = [], 0
    told = []
    for s in sessions(chosen, repair=not check):
        code |= s.state in ("damaged", "torn")
        if json_:
            print(json.dumps(s.as_json(), ensure_ascii=False), flush=True)
        minutes, seconds = divmod(s.seconds, 60)
        digits = f"{s.digits}: {' / '.join(s.lines)}" if s.lines else str(s.digits)
        rows.append((
            s.path.name, f"{minutes:.0f}:{seconds:04.1f}", f"{s.bytes / 1e6:.1f} MB",
            str(s.frames), str(s.dropped), str(s.parts), "yes" if s.raw else "no", s.state,
            digits if len(digits) <= _WIDE else digits[: _WIDE - 1] + "…",
        ))  # fmt: skip
        if s.found:
            told.append(f"{s.path}: {s.state}: {'; '.join(s.found)}")
    if not json_ and rows:
        names = ("recording", "length", "size", "frames", "dropped", "parts", "raw", "state")
        _table(f"recordings in {chosen}", (*names, "digits"), rows)
    for line in told:
        say(line)
    if not rows:
        say(f"no recordings in {chosen}")
    return int(code)


_WIDE = 40
"""Characters of a recording's digits that the list shows."""


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

    settings = _settings(config, set_, profile, model)
    net = _loader(settings)()
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
        print(json.dumps(content | {"accuracy": report.accuracy, "digits": table}))
    else:
        title = f"{net.name} on {report.name}: accuracy {report.accuracy:.4f} of {report.count}"
        _table(title, ("digit", "count", "precision", "recall", "F1"), rows)
    _name_files(report.files)
    return 0


def _evaluate_folder(folder: Path, settings: Settings, net: Any, out: Path, as_json: bool) -> int:
    from live_digits.batch import read_file
    from live_digits.training import evaluate as ev

    bar = _bar()
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        task = bar.add_task("reading", total=None, detail="")
        report = ev.evaluate_folder(
            folder,
            lambda path: read_file(path, settings, net),
            out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print(json.dumps({key: tally.as_json() for key, tally in report.total.items()}))
    else:
        names = ("pictures", "truth", "read", "perfect", "recall", "precision", "f1", "mean_f1",
                 "found", "classified", "lines")  # fmt: skip
        order = sorted(report.total, key=lambda k: (k != "all", k))
        rows = [(key, *(f"{report.total[key].as_json()[n]:g}" for n in names)) for key in order]
        _table(f"{net.name} on {folder}", ("category", *names), rows)
        worst = sorted(report.confused.items(), key=lambda item: -item[1])[:12]
        if worst:
            print("confused: " + "  ".join(f"{t} as {r}: {n}" for (t, r), n in worst))
    for name in report.unread:
        say(f"live-digits: {name} could not be read and counts as empty")
    _name_files(report.files)
    return 1 if report.unread else 0


def _name_files(files: Sequence[Path]) -> None:
    for file in files:
        say(f"written: {file}")


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output; plain columns where that is no terminal."""
    if not sys.stdout.isatty():
        print(title)
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        for row in (names, *rows):
            print("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="cnn|dense", help="which network")] = "cnn",
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="the folder that holds the models")
    ] = Path("models"),
    mnist: MnistOption = None,
    sets: SetsOption = None,
    seed: Annotated[int, typer.Option("--seed", help="the same seed trains the same model")] = 1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, max=1000, help="the recipe's by default")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="a minute's run on a few thousand digits")
    ] = False,
) -> int:
    """Trains a network, exports it for LiteRT and writes its card and curves."""
    from live_digits.training import train as training

    bar = _bar()
    shown = sys.stderr.isatty()
    with bar if shown else contextlib.nullcontext():
        task = bar.add_task("loading", total=None, detail="")

        def progress(p: training.Progress) -> None:
            detail = "" if p.loss != p.loss else f"loss {p.loss:.4f}, accuracy {p.accuracy:.4f}"
            bar.update(
                task, description=p.stage, completed=p.done, total=p.total or None, detail=detail
            )

        try:
            trained = training.train(
                name, out, mnist, sets, seed, epochs, quick, progress,
                bar.console.print if shown else say,
            )  # fmt: skip
        except OSError as e:
            raise ConfigError(f"--out {out} cannot be written: {e.strerror or e}") from e
    metrics = trained.card["metrics"]["test_accuracy"]
    for key, value in metrics.items():
        print(f"{key}: {value:.4f}")
    say(f"written: {trained.path}")
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
    bar = _bar()
    with bar if sys.stderr.isatty() else contextlib.nullcontext():
        task = bar.add_task("measuring", total=plan.steps, detail="")

        def progress(what: str) -> None:
            bar.update(task, advance=1 if bar.tasks[0].fields["detail"] else 0, detail=what)

        found = benchmark.run(plan, progress)
    if json_:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        print(found.machine)
        for title, names, rows in benchmark.tables(found):
            _table(title, names, rows)
    for failure in found.failures:
        say(f"live-digits: {failure}")
    if files:
        _name_files(files.write(found))
        for note in files.notes:
            say(note)
    return int(bool(found.failures))


@app.command()
def cameras() -> int:
    """Lists the cameras there are: number, name, modes. Disturbs none that is in use."""
    from live_digits.sources import describe_cameras

    there = describe_cameras()
    for camera in there:
        print(f"{camera.spec}  {camera.name}")
        for line in camera.modes:
            print(f"   {line}")
        if camera.users:
            print(f"   in use by {', '.join(camera.users)}")
        if camera.note:
            print(f"   {camera.note}")
    if not there:
        say("no camera is connected; --source demo shows the built-in scene")
    return 0


@app.command()
def doctor() -> int:
    """Says what works on this machine and what is missing. Exit code 1: the window cannot run."""
    from live_digits.doctor import examine

    checks = examine()
    for check in checks:
        print(f"{'ok ' if check.good else 'no '} {check.what}: {check.found}")
    return 0 if all(c.good or not c.needed for c in checks) else 1


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


def _missing_library(error: BaseException) -> str | None:
    """The line for a system library that `import cv2` misses."""
    text = str(error)
    library = text.partition(":")[0].strip()
    if "cannot open shared object file" not in text:
        return None
    package = _PACKAGES.get(library)
    if package is None:
        return f"the system library {library} is missing; install the package that holds it"
    return (
        f"the system library {library} is missing: install it with  apt-get install {package}"
        "  (Debian, Ubuntu; other systems name the package alike)"
    )


def _version(asked: bool) -> None:
    if asked:
        print(f"live-digits {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    del version


def invoke(args: Sequence[str]) -> int:
    """Runs one command line; the exit code. Every expected failure is one line on stderr."""
    debug = "--debug" in args
    # A file's name may hold bytes that are no text; as \\udcff it is right in JSON too.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING, force=True)
    logging.getLogger("live_digits").setLevel(level)
    rest = _arguments([a for a in args if a != "--debug"])
    try:
        return int(app(rest, prog_name="live-digits", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        say("interrupted")
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
        say(f"live-digits: {line}")
        return 2


def _line_of(error: Exception) -> str | None:
    """The one line of an expected failure; None for what is a fault of this program."""
    if isinstance(error, LiveDigitsError):
        return " ".join(str(error).split())
    if isinstance(error, ImportError):
        return _missing_library(error)
    described = getattr(error, "format_message", None)
    if callable(described):
        return f"{' '.join(str(described()).split())} (live-digits --help shows what there is)"
    return None


def main() -> None:
    """The command `live-digits`."""
    code = invoke(sys.argv[1:])
    used = sys.modules.get("live_digits.sources")
    if used is not None and used.blocked_readers():
        # A read that blocks in a driver may return while Python takes itself apart, and would
        # crash the process then.
        logging.shutdown()
        with contextlib.suppress(BrokenPipeError):  # the reader of a pipe has gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
