"""What does each step of finding bring? Drawn pages read with the step switched off.

    python experiments/steps.py --mnist FILE.npz [--sets DIR] [--fonts DIR] [--backgrounds DIR]
        [--rooms DIR] [--pages 150] [--seed 9] [--model cnn] [--only WORDS]

The networks stay as they were trained, with all steps on: a step that is not missed here is needed
no more; what one loses here, a network trained without it may win back in part. Pages are drawn as
training draws those that it holds out, from another seed. A line a step: F1 of its pages and its
difference, digits missed and boxes that are none, candidates a page, and the time of finding
against that with all steps, both in turns on one thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from live_digits.config.settings import Settings
from live_digits.core.types import Classifier, Frame, Image
from live_digits.evaluation.evaluate import match
from live_digits.reading.image_reader import read_picture
from live_digits.reading.judge import load
from live_digits.training import datasets
from live_digits.training.sources import scenery, writing
from live_digits.training.synthetic.drawn_page import Page, page
from live_digits.training.synthetic.fonts import load as load_fonts
from live_digits.training.synthetic.glyphs import Glyphs
from live_digits.training.train import FONT_HELD, HOLD_OUT
from live_digits.vision import (
    denoising,
    detection,
    illumination,
    ink_extraction,
    paper,
    polarity,
    ruled_lines,
    segmentation,
)  # fmt: skip
from live_digits.vision.ruled_lines import RuledLines

Patch = tuple[ModuleType, str, Any]
"""A module, one of its names, and what that name means while a step is off."""


def _blank(picture: Image, *_: Any) -> Image:
    return np.zeros_like(picture)


STEPS: dict[str, tuple[Patch, ...]] = {
    "light ink on dark ground looked for": ((polarity, "is_light_on_dark", lambda grey: False),),
    "grain softened": ((denoising, "denoise", lambda grey: grey),),
    "sheet's edge is no ink": ((illumination, "_EDGE", 0.0),),
    "desk measured as if lighter": ((illumination, "_DESK", 0.0),),
    "ink is dark as its tiles' ink": ((illumination, "_AROUND", 0),),
    "rulings taken out": (
        (paper, "detect_ruled_lines", lambda mask, raw: RuledLines(_blank(mask), _blank(mask))),
    ),
    "broad rulings": (
        (ruled_lines, "_BROAD_LYING", replace(ruled_lines._BROAD_LYING, freest=9.0)),
        (ruled_lines, "_BROAD_UPRIGHT", replace(ruled_lines._BROAD_UPRIGHT, freest=9.0)),
    ),
    "leaning rulings": ((ruled_lines, "estimate_skew", lambda thin: 0.0),),
    "rulings keep to their path": (
        (ruled_lines, "_on_path", lambda where, line, columns: np.ones(len(where), bool)),
    ),
    "rulings go on in bits": (
        (ruled_lines, "_extend_lines", lambda p, group, broad, limit, thin, dark: _blank(thin)),
    ),
    "a line darker alone is a pen's": (
        (ruled_lines, "_line_darkness_limit", lambda usual, lines: usual),
    ),
    "darker middles of rulings": ((ruled_lines, "_MIDDLE", 1),),
    "soft rims of rulings": ((paper, "line_halos", lambda lines, mask, dark: _blank(lines)),),
    "rulings' paths tell no darkness": (
        (paper, "line_paths_and_crossings", lambda lines: (lines, _blank(lines))),
    ),
    "ink stretched anew without rulings": (
        (illumination, "mask_lines", lambda dark, lines, crossings: dark),
    ),
    "strokes healed across rulings": (
        (ink_extraction, "bridge_line_gaps", lambda mask, ruled: mask),
    ),
    "ink needs an edge": (
        (paper, "dilate_edges", lambda edges, settings: np.full_like(edges, 255)),
    ),
    "ink needs a mean darkness": ((ink_extraction, "_STRONG_INK", 0),),
    "grain left out by size": ((ink_extraction, "_SPECK", 1),),
    "frames, rings and bars opened": ((segmentation, "_inside", lambda blob, labels: None),),
    "bars under digits": ((segmentation, "_ink_below", lambda own, thick: None),),
    "touching digits cut": ((segmentation, "_may_be_several", lambda box: False),),
    "parts and halves joined": ((segmentation, "_merge_pairs", lambda blobs, layout: []),),
    "pieces clustered": ((segmentation, "_clusters", lambda blobs, layout: []),),
}  # fmt: skip


@contextmanager
def without(step: str | None) -> Iterator[None]:
    """Switches a step off, none for None."""
    patches = STEPS[step] if step else ()
    before = [getattr(module, name) for module, name, _ in patches]
    try:
        for module, name, value in patches:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(patches, before, strict=True):
            setattr(module, name, value)


@dataclass(slots=True)
class Tally:
    """What pages gave: digits, read, right, candidates, and seconds of finding."""

    digits: int = 0
    read: int = 0
    right: int = 0
    candidates: int = 0
    seconds: float = 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, self.digits + self.read)


def count(drawn: Page, network: Classifier, settings: Settings, tally: Tally) -> None:
    """Reads a page and adds what came of it."""
    begun = perf_counter()
    vision = detection.detect_candidates(drawn.image, settings.pipeline)
    tally.seconds += perf_counter() - begun
    tally.candidates += len(vision.candidates)
    read = read_picture(Frame(drawn.image, 0, 0.0, "page"), settings, network).digits
    pairs = match([box for box, _ in drawn.digits], [d.box for d in read])
    tally.digits += len(drawn.digits)
    tally.read += len(read)
    tally.right += sum(drawn.digits[i][1] == read[j].digit for i, j in pairs)


def held_glyphs(given: argparse.Namespace, say: Callable[[str], None]) -> Glyphs:
    """Digits, fonts, writing and pictures as training holds them out."""
    sets = [datasets.mnist(given.mnist), *datasets.extras(given.sets, "train", say)]
    held = datasets.split(sets, HOLD_OUT, 1)[1]
    fonts = load_fonts(given.fonts, say).split(FONT_HELD)[1] if given.fonts else None
    written = writing(given.sets, say)[0]
    scenes = scenery(given.backgrounds, given.rooms)[0]
    base = datasets.pool({s.name: (s.crops, s.labels) for s in held})
    return Glyphs(base.crops, base.labels, fonts, written, scenes)


def line(step: str, tally: Tally, whole: Tally, pages: int) -> str:
    return (
        f"{step:36s} F1 {tally.f1:.4f} ({tally.f1 - whole.f1:+.4f})  missed "
        f"{tally.digits - tally.right:4d}  false {tally.read - tally.right:4d}  candidates "
        f"{tally.candidates / pages:5.1f}  find {tally.seconds / whole.seconds:.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("mnist", "sets", "fonts", "backgrounds", "rooms"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--only", help="steps whose name holds this")
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    glyphs = held_glyphs(given, print)
    pages = [page((given.seed, number), glyphs) for number in range(given.pages)]
    network, settings = load(given.model), Settings()
    for step in STEPS:
        if given.only and given.only not in step:
            continue
        with_it, tally = Tally(), Tally()
        for drawn in pages:
            count(drawn, network, settings, with_it)
            with without(step):
                count(drawn, network, settings, tally)
        print(line(step, tally, with_it, len(pages)), flush=True)


if __name__ == "__main__":
    main()
