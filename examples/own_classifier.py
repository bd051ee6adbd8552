"""Puts a classifier of your own in place of the network: here nearest neighbours.

    python examples/own_classifier.py page.jpg digits.npz

digits.npz holds `crops`, uint8 N×28×28, white ink on black as MNIST has it, and `labels` 0 to 9.
"""

from __future__ import annotations

import sys

import numpy as np

import live_digits


class NearestNeighbours:
    """Answers for each crop by the five training crops that are most like it."""

    name = "nearest neighbours"

    def __init__(self, crops: np.ndarray, labels: np.ndarray) -> None:
        self._known = self._unit(crops)
        self._labels = labels

    @staticmethod
    def _unit(crops: np.ndarray) -> np.ndarray:
        rows = crops.reshape(len(crops), -1).astype(np.float32)
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1))

    def classify(self, crops: np.ndarray) -> np.ndarray:
        """uint8 N×28×28 → float32 N×11: ten digits and, last, "not a digit"."""
        out = np.zeros((len(crops), 11), np.float32)
        if not len(crops):
            return out
        likeness = self._unit(crops) @ self._known.T
        nearest = np.argsort(-likeness, axis=1)[:, :5]
        for row, some in enumerate(nearest):
            for i in some:
                out[row, self._labels[i]] += likeness[row, i] / 5
            out[row, 10] = 1 - out[row, :10].sum()
        return np.clip(out, 0, 1)


def main(picture: str, digits: str) -> None:
    with np.load(digits) as data:
        classifier = NearestNeighbours(data["crops"], data["labels"])
    page = live_digits.DigitReader(classifier).read(picture)
    print("\n".join(page.lines))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except live_digits.LiveDigitsError as e:
        sys.exit(str(e))
