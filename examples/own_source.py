"""Reads frames of your own making: here a number that counts, drawn picture by picture.

    python examples/own_source.py [FRAMES]

A screen grabber, a robot's camera or a microscope gives frames in the same way: uint8 arrays,
height × width × 3, blue, green, red.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import cv2
import numpy as np

import live_digits


def frames(count: int) -> Iterator[np.ndarray]:
    for number in range(count):
        page = np.full((240, 480, 3), 235, np.uint8)
        text = str(370 + number // 30)
        cv2.putText(page, text, (90, 170), cv2.FONT_HERSHEY_SIMPLEX, 4, (60, 50, 40), 8)
        yield page


def main(count: str = "90") -> None:
    reader = live_digits.DigitReader()
    for reading in reader.follow(frames(int(count)), fps=30):
        if reading.frame % 30 == 29:
            print(reading.lines, [(d.digit, d.track) for d in reading.digits])


if __name__ == "__main__":
    main(*sys.argv[1:])
