"""Reads a picture: prints its lines and writes where each digit stands.

python examples/read_picture.py page.jpg [digits.csv]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import live_digits


def main(picture: str, table: str = "") -> None:
    page = live_digits.read(picture)
    for line in page.lines:
        print(line)
    if not table:
        return
    with Path(table).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("digit", "confidence", "x", "y", "w", "h"))
        for d in page.digits:
            rows.writerow((d.digit, round(d.confidence, 3), d.box.x, d.box.y, d.box.w, d.box.h))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except live_digits.LiveDigitsError as e:
        sys.exit(str(e))
