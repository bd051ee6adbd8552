"""`live-digits run`: the window, or readings on standard output."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from live_digits.cli.console import print_status, show, show_json
from live_digits.cli.options import (
    AutoOption,
    ConfigOption,
    FpsOption,
    HeightOption,
    ModelOption,
    ProfileOption,
    SetOption,
    SourceOption,
    WidthOption,
    app,
    classifier_factory,
    ended_by_signals,
    open_hand_worker,
    settings_of,
)
from live_digits.config.settings import HandsSettings, Settings
from live_digits.core.errors import ConfigError
from live_digits.core.safe_files import open_target

if TYPE_CHECKING:
    from live_digits.app.outcome import RunResult
    from live_digits.core.types import Reading


SERVER_SECONDS = 10.0
"""How long a run lasts where there is no display and nothing else was asked for."""


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
    _writable(stats)
    from live_digits.app.live import App, RunOptions
    from live_digits.capture.open_source import open_source

    logging.getLogger("live_digits").setLevel(logging.INFO)
    settings = settings_of(config, set_, profile, model, width=width, height=height, fps=fps)
    if raw:
        record = True
        if settings.recording.raw == "off":
            settings = replace(settings, recording=replace(settings.recording, raw="lossless"))
    if air or gestures:
        settings = replace(settings, hands=_asked_hands(settings.hands, gestures))
    load_model = classifier_factory(settings)
    display = None if no_window else _window(settings)
    if not no_window and display is None:
        duration, record = duration or SERVER_SECONDS, True
        print_status(f"running without a window for {duration:g} s and recording")
    opened = open_source(source, settings.source, every_frame=every_frame)
    if opened.note:
        print_status(opened.note)
    each = _print_json if json_ else None
    kind = opened.info.kind
    paced = kind in ("camera", "stream") or (kind in ("video", "demo") and not every_frame)
    options = RunOptions(
        record, duration, auto, config, each, live=paced, lockstep=every_frame, air=air
    )
    live = App(settings, opened, load_model, display, options, open_hand_worker(settings))
    with ended_by_signals(live.stop):
        outcome = live.run()
    code = _report(outcome, stats, quiet=json_, windowed=display is not None)
    # A folder's unreadable pictures were named when they were met.
    return code or int(bool(getattr(opened, "skipped", ())))


def _window(settings: Settings) -> Any:
    """The window, or None where there is no display; it says so."""
    from live_digits.core.errors import DisplayError
    from live_digits.display.window import Window

    try:
        return Window(settings.pipeline, settings.window.width)
    except DisplayError as e:
        print_status(str(e))
        return None


def _asked_hands(hands: HandsSettings, gestures: bool) -> HandsSettings:
    """The settings where the command line asks for what hands do."""
    hands = replace(hands, mode="on")
    if not gestures:
        return hands
    return replace(hands, open_palm=True, fist=True, thumb_up=True, two_fingers=True)


def _writable(path: Path | None) -> None:
    """Raises ConfigError now rather than at the end of a long run."""
    if path is None:
        return
    try:
        os.close(open_target(path))
    except OSError as e:
        raise ConfigError(f"--stats {path} cannot be written: {e.strerror or e}") from e


def _print_json(reading: Reading) -> None:
    show_json(reading.as_dict())


def _report(outcome: RunResult, stats: Path | None, *, quiet: bool, windowed: bool) -> int:
    """Says what came of a run; its exit code."""
    if not quiet and not windowed:
        for line in outcome.lines or ("no digits read",):
            show(line)
    for summary in outcome.recordings:
        lost = f", {summary.dropped} frames dropped" if summary.dropped else ""
        print_status(
            f"recorded {summary.frames} frames, {summary.seconds:.1f} s{lost}: {summary.path}"
        )
    if stats is not None:
        try:
            with os.fdopen(open_target(stats), "w", encoding="utf-8") as file:
                file.truncate()
                file.write(json.dumps(outcome.stats, indent=2) + "\n")
        except OSError as e:
            raise ConfigError(f"--stats {stats} cannot be written: {e.strerror or e}") from e
    for error in outcome.errors:
        print_status(f"live-digits: {error}")
    return 1 if outcome.errors else 0
