"""What each idea brings to the network: short trainings that differ in one thing.

    python experiments/ablation.py --mnist mnist.npz --sets DIR [--fonts DIR] [--photos DIR]

Prints, for each variant, the accuracy on MNIST's test digits and other test sets, and, where a
folder with truth.json is named, the F1 of the whole reader on its pictures. Short trainings are
worse than the committed one; only their differences tell.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from live_digits.api import DigitReader
from live_digits.config.settings import Settings
from live_digits.evaluation.evaluate import evaluate_folder
from live_digits.training.train import ADAMW_RATE, RECIPES, SMOOTHING, Recipe, train

PAGES = 900


def variants(base: Recipe) -> dict[str, Recipe]:
    """Each with one thing left out or changed."""
    return {
        "as committed, but short": base,
        "no random changes of the crops": replace(base, changed=False),
        "no drawn pages": replace(base, pages=0),
        "no fonts": replace(base, fonts=0),
        "made crops not judged": replace(base, judged=0),
        "no crops of 'not a digit'": replace(base, reject=False),
        "half as wide": replace(base, width=0.5),
        "AdamW in place of Muon": replace(base, muon=False, rate=ADAMW_RATE),
        "labels smoothed": replace(base, smoothing=SMOOTHING),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--sets", type=Path)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--only", help="variants whose name holds this")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pages", type=int, default=PAGES)
    given = parser.parse_args()
    base = replace(RECIPES["cnn"], epochs=given.epochs, pages=given.pages, judged=1)
    settings = Settings()
    for what, recipe in variants(base).items():
        if given.only and given.only not in what:
            continue
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            done = train(
                "cnn",
                Path(folder),
                given.mnist,
                given.sets,
                recipe=recipe,
                fonts=given.fonts if recipe.fonts else None,
            )
            tests = done.card["metrics"]["test_accuracy_among_digits"]
            line = "  ".join(f"{name} {value:.4f}" for name, value in tests.items())
            if given.photos:
                read = DigitReader(str(done.path), settings).read
                report = evaluate_folder(given.photos, read)
                total = report.total["all"]
                line += f"  photos F1 {total.f1:.4f} ({total.recall:.4f}, {total.precision:.4f})"
        print(f"{what:32s} {line}  [{time.monotonic() - start:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
