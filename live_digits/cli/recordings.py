"""`live-digits recordings`: what was recorded, and mending what was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from live_digits.cli.console import print_status, print_table, show_json
from live_digits.cli.options import (
    ConfigOption,
    SetOption,
    app,
    settings_of,
)

if TYPE_CHECKING:
    pass


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
    from live_digits.capture.image_files import silence_opencv_log
    from live_digits.recording.catalog import list_recordings

    silence_opencv_log()
    chosen = folder or Path(settings_of(config, set_, None, None).recording.folder)
    rows, code = [], 0
    told = []
    for s in list_recordings(chosen, repair=not check):
        code |= s.state in ("damaged", "torn")
        if json_:
            show_json(s.as_json())
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
        print_table(f"recordings in {chosen}", (*names, "digits"), rows)
    for line in told:
        print_status(line)
    if not rows:
        print_status(f"no recordings in {chosen}")
    return int(code)


_WIDE = 40
"""Characters of a recording's digits that the list shows."""
