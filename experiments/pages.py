"""The whole reader on drawn pages: what is found, refused, mistaken and read where nothing is.

    python experiments/pages.py [--pages 90] [--seed 9] [--ruled] [--grain 8] [--fonts DIR]

Pages are drawn from a seed with the demo's digits, which train no network; with `--fonts` some of
what is written comes from every twelfth font, which training holds out. `--ruled`: only pages with
rulings or a table, and digits of 16 pixels or more.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from live_digits.capture import demo_scene
from live_digits.config.settings import Settings
from live_digits.core.types import Classifier, Frame
from live_digits.evaluation.evaluate import f1_of, paired, right_of
from live_digits.reading import judge
from live_digits.reading.image_reader import read_picture
from live_digits.training.synthetic.drawn_page import Page, page
from live_digits.training.synthetic.fonts import load
from live_digits.training.synthetic.glyphs import Glyphs
from live_digits.training.train import FONT_HELD
from live_digits.vision.detection import detect_candidates
from live_digits.vision.paper import WORKING_SIDE

_LEAST_HEIGHT, _LEAST_DIGITS = 16, 3
_OVERLAP = 0.5
"""A candidate stands for a digit from this intersection over union."""
_LINE_INK, _LINE_SHARE = 8, 0.25


def _ruled(drawn: Page) -> bool:
    """Whether there are long straight lines beside its ink, and its digits are large enough."""
    if len(drawn.digits) < _LEAST_DIGITS:
        return False
    scale = min(1.0, WORKING_SIDE / max(drawn.image.shape))
    if float(np.median([box.h for box, _ in drawn.digits])) * scale < _LEAST_HEIGHT:
        return False
    grey = cv2.cvtColor(drawn.image, cv2.COLOR_BGR2GRAY)
    hat = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, np.ones((25, 25), np.uint8))
    bare = np.where(drawn.ids > 0, 0, hat)
    lines = cv2.HoughLinesP(
        (bare > _LINE_INK).astype(np.uint8) * 255, 1, np.pi / 720, 120,
        minLineLength=_LINE_SHARE * max(grey.shape), maxLineGap=12,
    )  # fmt: skip
    return lines is not None and len(lines) >= _LEAST_DIGITS


def _pages(glyphs: Glyphs, seed: int, count: int, ruled: bool) -> Iterator[Page]:
    number = 0
    while count:
        drawn = page((seed, number), glyphs)
        number += 1
        if ruled and not _ruled(drawn):
            continue
        count -= 1
        yield drawn


def _grainy(drawn: Page, deviation: float, seed: int) -> Page:
    """The page with noise of this standard deviation, through JPEG as a webcam's is."""
    noise = np.random.default_rng(seed).normal(0, deviation, drawn.image.shape[:2])
    noisy = np.clip(drawn.image + noise[..., None], 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return replace(drawn, image=np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8))


def _tally(drawn: Page, settings: Settings, net: Classifier) -> tuple[Counter[str], list[float]]:
    """Digits, readings, right ones, digits with a candidate; and the overlap of each box that is
    read with the true one."""
    read = read_picture(Frame(drawn.image, 0, 0.0), settings, net).digits
    boxes = [c.box for c in detect_candidates(drawn.image, settings.pipeline).candidates]
    offered = sum(any(b.iou(box) >= _OVERLAP for b in boxes) for box, _ in drawn.digits)
    pairs = paired(drawn.digits, read)
    counts = Counter(true=len(drawn.digits), read=len(read), right=right_of(pairs), offered=offered)
    return counts, [box.iou(found.box) for (box, _), found in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=90)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--ruled", action="store_true")
    parser.add_argument("--grain", type=float, default=0.0)
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--model", default="cnn")
    given = parser.parse_args()
    alphabet = load(given.fonts).split(FONT_HELD)[1] if given.fonts else None
    glyphs = Glyphs(*demo_scene.digit_pictures(), alphabet)
    settings, net = Settings(), judge.load(given.model)
    total: Counter[str] = Counter()
    by_page, overlaps = [], []
    for number, drawn in enumerate(_pages(glyphs, given.seed, given.pages, given.ruled)):
        seen = _grainy(drawn, given.grain, number) if given.grain else drawn
        found, theirs = _tally(seen, settings, net)
        overlaps += theirs
        total += found
        if found["true"]:
            by_page.append((found["offered"] / found["true"], found["right"] / found["true"]))
    offered, recall_of_page = np.mean(by_page, axis=0)
    recall, precision = total["right"] / total["true"], total["right"] / max(1, total["read"])
    print(f"{given.pages} pages, {total['true']} digits, {total['read']} read: "
          f"recall {recall:.3f}  precision {precision:.3f}  "
          f"F1 {f1_of(precision, recall):.3f}")  # fmt: skip
    print(f"mean of pages: a candidate {offered:.3f}  recall {recall_of_page:.3f}; "
          f"boxes read overlap the true ones by {np.mean(overlaps):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
