"""MNIST's test digits drawn large on paper, found and cropped by the live pipeline: do they come
back as they were?

    python experiments/roundtrip.py MNIST.npz [--enlarged 4]

Prints how many are found, how far the crops are from the originals (mean absolute difference, 0 to
255), and the default network's accuracy on the originals and on the round trip.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import CROP_SIZE, NOT_A_DIGIT, Floats, Image
from live_digits.reading.candidate_selection import select
from live_digits.reading.cutouts import cut_out
from live_digits.reading.judge import load
from live_digits.reading.questions import Judge, as_judge
from live_digits.training.datasets import mnist
from live_digits.vision.detection import detect_candidates

_PAPER, _INK = 228, 45
_COLUMNS, _ROWS = 8, 5


def sheet(digits: Image, enlarged: int) -> Image:
    """Up to 40 digits, uint8 N×28×28, on one grey page."""
    cell = CROP_SIZE * enlarged
    page = np.zeros((_ROWS * cell, _COLUMNS * cell), np.uint8)
    for i, digit in enumerate(digits):
        y, x = (i // _COLUMNS) * cell, (i % _COLUMNS) * cell
        large = cv2.resize(digit, (cell, cell), interpolation=cv2.INTER_CUBIC)
        page[y : y + cell, x : x + cell] = large
    return np.asarray(np.rint(_PAPER - page * ((_PAPER - _INK) / 255)), np.uint8)


def back(digits: Image, enlarged: int, judge: Judge) -> list[Image | None]:
    """The crop that is read for each digit of a page, or that of most ink where none is."""
    vision = detect_candidates(sheet(digits, enlarged), PipelineSettings())
    cutouts = cut_out(vision, range(len(vision.candidates)), judge.surroundings)
    cropped = cutouts.crops
    verdicts = judge.verdicts(vision.candidates, judge.evidence(cutouts))
    chosen = select(vision.candidates, verdicts)
    cell = CROP_SIZE * enlarged
    found: list[Image | None] = []
    for i in range(len(digits)):
        home = Box((i % _COLUMNS) * cell, (i // _COLUMNS) * cell, cell, cell)
        mine = [
            (k in chosen, c.is_whole, c.ink, k)
            for k, c in enumerate(vision.candidates)
            if home.x <= c.box.x
            and c.box.right <= home.right
            and home.y <= c.box.y
            and c.box.bottom <= home.bottom
        ]
        found.append(cropped[max(mine)[3]] if mine else None)
    return found


def accuracy(probabilities: Floats, labels: Image) -> str:
    every = float((probabilities.argmax(axis=1) == labels).mean())
    among = float((probabilities[:, :NOT_A_DIGIT].argmax(axis=1) == labels).mean())
    return f"{every:.2%} ({among:.2%} among the ten digits)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--enlarged", type=int, default=4)
    parser.add_argument("--model", default="cnn")
    asked = parser.parse_args()
    test = mnist(asked.mnist, "test")
    judge = as_judge(load(asked.model))
    step = _COLUMNS * _ROWS
    returned: list[Image | None] = []
    for start in range(0, len(test.crops), step):
        returned += back(test.crops[start : start + step], asked.enlarged, judge)
    kept = np.array([r is not None for r in returned])
    crop = np.stack([r for r in returned if r is not None])
    original, labels = test.crops[kept], test.labels[kept]
    apart = np.abs(crop.astype(np.int16) - original).mean()
    print(f"found            {kept.mean():.2%} of {len(kept)}")
    print(f"mean difference  {apart:.1f} of 255")
    print(f"originals        {accuracy(judge.classify(original), labels)}")
    print(f"round trip       {accuracy(judge.classify(crop), labels)}")


if __name__ == "__main__":
    main()
