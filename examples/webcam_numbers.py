"""Prints the numbers that a camera sees, whenever they change.

    python examples/webcam_numbers.py [SOURCE] [SECONDS]

SOURCE is a camera's number, a URL, a video or "demo"; without it the first camera.
"""

from __future__ import annotations

import sys
import time

import live_digits


def main(source: str = "auto", seconds: str = "inf") -> None:
    before: tuple[str, ...] = ()
    end = time.monotonic() + float(seconds)
    with live_digits.stream(source) as readings:
        for reading in readings:
            if reading.lines != before:
                before = reading.lines
                print(" | ".join(before), flush=True)
            if time.monotonic() >= end:
                break


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
    except live_digits.LiveDigitsError as e:
        sys.exit(str(e))
