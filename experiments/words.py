"""The reader on pages of words and numbers: are letters taken for digits, and are numbers among
words still read?

    python experiments/words.py [--pages 96] [--seed 5] [--fonts DIR] [--model cnn] [--save DIR]

Pages are written from a seed in Pillow's own font, or in those of a folder, a page each; `--save`
keeps annotated copies.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from live_digits.config.settings import Settings
from live_digits.core.types import Frame
from live_digits.display.overlay import draw_readings
from live_digits.evaluation.evaluate import f1_of, paired, right_of
from live_digits.evaluation.text_pages import KINDS, page
from live_digits.reading import judge
from live_digits.reading.image_reader import read_picture
from live_digits.training.synthetic.fonts import SUFFIXES, files_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pages", type=int, default=96)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    fonts = files_of(given.fonts) if given.fonts else [None]
    if not fonts:
        parser.error(f"{given.fonts} holds no font ({', '.join(SUFFIXES)}): name another folder")
    settings, net = Settings(), judge.load(given.model)
    total: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for number in range(given.pages):
        kind = KINDS[number % len(KINDS)]
        drawn = page((given.seed, number), kind, fonts[number % len(fonts)])
        image = np.asarray(cv2.cvtColor(drawn.image, cv2.COLOR_GRAY2BGR), np.uint8)
        reading = read_picture(Frame(image, number, 0.0), settings, net)
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(given.save / f"{number:03d}_{kind}.png"), draw_readings(image, reading))
        right = right_of(paired(drawn.digits, reading.digits))
        total[kind] += Counter(
            pages=1, true=len(drawn.digits), read=len(reading.digits), right=right
        )
    print(" pages    digits  read  recall  precision     F1")
    for kind, t in total.items():
        recall, precision = t["right"] / max(1, t["true"]), t["right"] / max(1, t["read"])
        print(f"{t['pages']:3d} {kind:>6} {t['true']:5d} {t['read']:5d} {recall:7.3f} "
              f"{precision:10.3f} {f1_of(precision, recall):6.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
