"""The spread over writers: F1 of the whole reader for each, the writer being a picture's name up to
its first underscore.

    python experiments/writers.py FOLDER-with-truth.json [--model cnn]
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

from live_digits.api import DigitReader
from live_digits.evaluation.evaluate import Tally, load_truth, paired, right_of, truth_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="cnn")
    given = parser.parse_args()
    reader = DigitReader(given.model)
    tallies: dict[str, Tally] = defaultdict(Tally)
    for name, entry in load_truth(given.folder).items():
        truth = truth_of(entry)
        read = reader.read(given.folder / name).digits
        t = tallies[name.partition("_")[0]]
        t.pictures += 1
        t.truth += len(truth)
        t.read += len(read)
        t.correct += right_of(paired(truth, read))
    for writer, t in tallies.items():
        print(f"{writer:16s} pictures {t.pictures:3d}  digits {t.truth:4d}  read {t.read:4d}  "
              f"right {t.correct:4d}  F1 {t.f1:.3f}")  # fmt: skip
    values = sorted(t.f1 for t in tallies.values())
    print(
        f"{len(values)} writers: mean F1 {statistics.mean(values):.4f}, standard deviation "
        f"{statistics.pstdev(values):.4f}, lowest {values[0]:.3f}, "
        f"all right {sum(v == 1 for v in values)}"
    )


if __name__ == "__main__":
    main()
