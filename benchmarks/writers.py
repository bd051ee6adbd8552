"""The spread over writers: F1 of the whole reader for each, the writer being a picture's name up to
its first underscore.

    python benchmarks/writers.py FOLDER-with-truth.json [--model cnn]
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from pathlib import Path

from live_digits import classifier
from live_digits.batch import read_file
from live_digits.config import Settings
from live_digits.training.evaluate import f1_of, load_truth, paired, right_of
from live_digits.types import Box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="cnn")
    given = parser.parse_args()
    settings, net = Settings(), classifier.load(given.model)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for name, entry in load_truth(given.folder).items():
        truth = [(Box(*map(int, d["box"])), int(d["digit"])) for d in entry["digits"]]
        read = read_file(given.folder / name, settings, net).digits
        right = right_of(paired(truth, read))
        for at, n in enumerate((1, len(truth), len(read), right)):
            counts[name.partition("_")[0]][at] += n
    scores = {}
    for writer, (pictures, true, read_, right) in counts.items():
        scores[writer] = f1_of(right / read_ if read_ else 0.0, right / true if true else 0.0)
        print(f"{writer:16s} pictures {pictures:3d}  digits {true:4d}  read {read_:4d}  "
              f"right {right:4d}  F1 {scores[writer]:.3f}")  # fmt: skip
    values = sorted(scores.values())
    print(
        f"{len(values)} writers: mean F1 {statistics.mean(values):.4f}, standard deviation "
        f"{statistics.pstdev(values):.4f}, lowest {values[0]:.3f}, "
        f"all right {sum(v == 1 for v in values)}"
    )


if __name__ == "__main__":
    main()
