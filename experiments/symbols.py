"""Digits and operators of a set that no training saw: which digits are read, and which operators
are taken for digits?

    python experiments/symbols.py IPCV_SYMBOLS.npz [--model cnn]

The file holds x_train, x_eval (uint8 N×H×W, white ink on black) and y_train, y_eval: 0 to 9, then
÷ = − × +. Each picture is cropped as live ink is. "Shown" is what the program would show: a digit
from the default confidence on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from live_digits.config.settings import ReadingSettings
from live_digits.core.types import NOT_A_DIGIT
from live_digits.reading.classifier import load
from live_digits.vision.mnist_crop import normalise

_SIGNS = "÷=−×+"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("symbols", type=Path)
    parser.add_argument("--model", default="cnn")
    asked = parser.parse_args()
    with np.load(asked.symbols, allow_pickle=False) as file:
        pictures = np.concatenate([file["x_train"], file["x_eval"]])
        labels = np.concatenate([file["y_train"], file["y_eval"]])
    probabilities = load(asked.model).classify(np.stack([normalise(p) for p in pictures]))
    read = probabilities.argmax(axis=1)
    among = probabilities[:, :NOT_A_DIGIT].argmax(axis=1)
    shown = probabilities[:, :NOT_A_DIGIT].max(axis=1) >= ReadingSettings().confidence
    print("      count   right  among digits  refused  shown wrong")
    for name, mine in [
        *((str(d), labels == d) for d in range(NOT_A_DIGIT)),
        ("all", labels < NOT_A_DIGIT),
    ]:
        right, wrong = read[mine] == labels[mine], shown[mine] & (among[mine] != labels[mine])
        refused, sure = read[mine] == NOT_A_DIGIT, among[mine] == labels[mine]
        print(
            f"{name:>5} {mine.sum():5d} {right.mean():8.2%} {sure.mean():12.2%}"
            f" {refused.mean():9.2%} {wrong.mean():10.2%}"
        )
    print("\n      count  shown as a digit")
    for i, name in enumerate(_SIGNS):
        mine = labels == NOT_A_DIGIT + i
        print(f"{name:>5} {mine.sum():5d} {shown[mine].mean():8.2%}")
    signs = labels >= NOT_A_DIGIT
    print(f"{'all':>5} {signs.sum():5d} {shown[signs].mean():8.2%}")


if __name__ == "__main__":
    main()
