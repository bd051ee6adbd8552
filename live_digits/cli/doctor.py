"""`live-digits doctor` and `cameras`: what this machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from live_digits.cli.console import print_status, show
from live_digits.cli.options import (
    app,
)

if TYPE_CHECKING:
    pass


@app.command()
def cameras() -> int:
    """Lists the cameras there are: number, name, modes. Disturbs none that is in use."""
    from live_digits.capture.camera import describe_cameras

    there = describe_cameras()
    for camera in there:
        show(f"{camera.spec}  {camera.name}")
        for line in camera.modes:
            show(f"   {line}")
        if camera.users:
            show(f"   in use by {', '.join(camera.users)}")
        if camera.note:
            show(f"   {camera.note}")
    if not there:
        print_status("no camera is connected; --source demo shows the built-in scene")
    return 0


@app.command()
def doctor() -> int:
    """Says what works on this machine and what is missing. Exit code 1: the window cannot run."""
    from live_digits.app.doctor import run_checks

    checks = run_checks()
    for check in checks:
        show(f"{'ok ' if check.good else 'no '} {check.what}: {check.found}")
    return 0 if all(c.good or not c.needed for c in checks) else 1
