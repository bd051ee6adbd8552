"""Has every digit a candidate with its own ink? Recall of the finding alone, before any judge.

    python experiments/candidates.py --mnist FILE.npz [--drawn 60] [--touching 48] [--seed 1]
        [--photos FOLDER-with-truth.json]

Pages are drawn from a seed with MNIST's training digits: `--drawn` those that training draws,
`--touching` those on which digits touch each other, frames and rulings, a kind a page. A drawn
digit counts if its own ink, cut out by who drew it, still shows it. Its candidate is the one whose
box overlaps its own most; `crop`: the share of digits that a candidate's crop shows as clearly as
the network needs. `ms`: median time of `detect_candidates` on one thread.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.capture.image_files import load_picture
from live_digits.config.settings import PipelineSettings
from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image
from live_digits.evaluation.evaluate import load_truth, truth_of
from live_digits.training.synthetic.drawn_page import Page, page
from live_digits.training.synthetic.glyphs import SIDE, Glyphs, leaned, redrawn
from live_digits.training.synthetic.symbols import OTHER, Ids
from live_digits.vision.detection import detect_candidates, extract_crops
from live_digits.vision.mnist_crop import normalise
from live_digits.vision.paper import to_working_resolution
from live_digits.vision.stages import Detections

_OVERLAPS = (0.5, 0.7)
_LEGIBLE, _SMOOTH = 0.8, 1.0
"""Correlation of a crop with the clean one, from which it shows its digit, both smoothed by a blur
of this standard deviation: thin strokes half a pixel apart are the same."""
_MANY = 12
"""Candidates compared with a digit by their crops: those that overlap it most."""
_SIZE = (1280, 720)
_MOST_DIGITS = 40
_INKED = 0.4


@dataclass(slots=True)
class Canvas:
    """A sheet at work: ink float32 H×W 0…1, the digits' ids, and their own masks' boxes."""

    rng: np.random.Generator
    glyphs: Glyphs
    height: float
    pen: float
    ink: Floats = field(default_factory=lambda: np.zeros(_SIZE[::-1], np.float32))
    ids: Ids = field(default_factory=lambda: np.zeros(_SIZE[::-1], np.uint16))
    digits: list[tuple[Box, int]] = field(default_factory=list)

    def glyph(self) -> tuple[Floats, int]:
        pick = int(self.rng.integers(len(self.glyphs.labels)))
        square = cv2.resize(self.glyphs.crops[pick], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        tall = self.height * float(self.rng.uniform(0.85, 1.15))
        alpha = redrawn(np.asarray(square, np.uint8), tall, self.pen, self.rng)
        alpha = leaned(alpha, float(self.rng.normal(0.03, 0.15)), float(self.rng.normal(0, 5)))
        x, y, w, h = cv2.boundingRect((alpha > _INKED).astype(np.uint8))
        return alpha[y : y + h, x : x + w], int(self.glyphs.labels[pick])

    def put(self, alpha: Floats, x: int, y: int, strength: float, digit: int) -> Box | None:
        """Draws a digit with its top left corner at x, y; its box, None where that leaves the
        sheet."""
        h, w = alpha.shape
        if x < 0 or y < 0 or x + w > _SIZE[0] or y + h > _SIZE[1]:
            return None
        part = self.ink[y : y + h, x : x + w]
        np.maximum(part, alpha * strength, out=part)
        self.ids[y : y + h, x : x + w][alpha > _INKED] = len(self.digits) + 1
        self.digits.append((Box(x, y, w, h), digit))
        return self.digits[-1][0]

    def mark(self, draw: Callable[[Image], object], strength: float) -> None:
        """Draws something that is no digit: over it, under no digit's id."""
        over = np.zeros(self.ids.shape, np.uint8)
        draw(over)
        np.maximum(self.ink, over.astype(np.float32) / 255 * strength, out=self.ink)


def _side(alpha: Floats, right: bool) -> npt.NDArray[np.intp]:
    """The outermost ink of each row; far inside where there is none."""
    inked = alpha > _INKED
    edge = inked.shape[1] - 1 - inked[:, ::-1].argmax(axis=1) if right else inked.argmax(axis=1)
    return np.where(inked.any(axis=1), edge, -999 if right else 999)


def _row(canvas: Canvas, x: int, base: int, count: int, overlap: int, strengths: Sequence[float]
         ) -> list[Box]:  # fmt: skip
    """Digits beside each other, each reaching so many pixels into the one before."""
    boxes: list[Box] = []
    before: tuple[Floats, int, int] | None = None
    for i in range(count):
        alpha, digit = canvas.glyph()
        y = base - alpha.shape[0] + round(float(canvas.rng.normal(0, 0.05)) * canvas.height)
        if before is not None:
            left, x0, y0 = before
            top, low = max(y, y0), min(y + alpha.shape[0], y0 + left.shape[0])
            if low <= top:
                break
            ends = _side(left, True)[top - y0 : low - y0] + x0
            starts = _side(alpha, False)[top - y : low - y]
            x = int((ends - starts).max()) + 1 - overlap
        box = canvas.put(alpha, x, y, strengths[i % len(strengths)], digit)
        if box is None:
            break
        boxes.append(box)
        before = alpha, x, y
    return boxes


def _around(boxes: Sequence[Box]) -> Box:
    x, y = min(b.x for b in boxes), min(b.y for b in boxes)
    return Box(x, y, max(b.right for b in boxes) - x, max(b.bottom for b in boxes) - y)


KINDS = (
    "overlap", "joined", "circled", "boxed", "underlined", "ruled", "squared", "pale", "edge",
    "plain",
)  # fmt: skip


def touching(seed: Sequence[int], kind: str, glyphs: Glyphs) -> Page:
    """A page on which digits touch each other or something else."""
    rng = np.random.default_rng(list(seed))
    height = float(np.exp(rng.uniform(np.log(24), np.log(130))))
    thick = bool(rng.random() < 0.2)
    pen = float(rng.uniform(0.14, 0.24) if thick else np.exp(rng.uniform(-3.4, -2.1)))
    canvas = Canvas(rng, glyphs, height, pen)
    strong = float(rng.uniform(0.25, 0.9))
    width = max(1, round(pen * height))
    if kind in ("ruled", "squared"):
        _rule(canvas, kind == "squared", strong)
    alone = kind in ("circled", "boxed", "underlined", "ruled", "squared")
    around = kind in ("circled", "boxed", "underlined")
    base = round((0.0 if kind == "edge" else 0.4) * height + 1.1 * height)
    while base < _SIZE[1] and len(canvas.digits) < _MOST_DIGITS:
        x = 1 if kind == "edge" else round(float(rng.uniform(0.5, 1.5)) * height)
        while x < _SIZE[0] - 2.5 * height:
            count = 1 if kind in ("plain", "edge") else int(rng.integers(1 if alone else 2, 4))
            touch = kind in ("overlap", "pale") or rng.random() < 0.15
            apart = round(height * float(rng.uniform(0.08, 0.3)))
            overlap = int(rng.integers(1, 5)) if touch else -apart
            pale = [strong * float(rng.uniform(0.3, 0.6))] if kind == "pale" else []
            boxes = _row(canvas, x, base, count, overlap, [strong, *pale])
            if not boxes:
                break
            b = _around(boxes)
            if kind == "joined":
                for left, right in pairwise(boxes):
                    _join(canvas, left, right, strong, width)
            elif around:
                _frame(canvas, kind, b, strong, width)
            x = b.right + round(float(rng.uniform(0.7, 1.5)) * height)
        base += round((2.1 if around else 1.7) * height * float(rng.uniform(1.0, 1.3)))
    return Page(_photographed(canvas), tuple(canvas.digits), canvas.ids)


def _rule(canvas: Canvas, squares: bool, strong: float) -> None:
    """Rulings or squares, as dark as the pen or paler."""
    rng, height = canvas.rng, canvas.height
    step, lean = height * float(rng.uniform(0.35, 1.3)), float(rng.normal(0, 0.03))
    thick = max(1, round(height * float(rng.uniform(0.01, 0.06))))
    pale = strong * float(rng.uniform(0.35, 1.0))
    w, h = _SIZE
    for at in np.arange(-300, 1400, max(9.0, step)).tolist():
        lying = (0, round(at)), (w - 1, round(at + lean * w))
        upright = (round(at), 0), (round(at - lean * h), h - 1)
        for a, b in (lying, upright) if squares else (lying,):
            canvas.mark(partial(_line, a=a, b=b, thick=thick), pale)


def _line(over: Image, a: tuple[int, int], b: tuple[int, int], thick: int) -> None:
    cv2.line(over, a, b, 255, thick, cv2.LINE_AA)


def _frame(canvas: Canvas, kind: str, b: Box, strong: float, width: int) -> None:
    """A ring, a box or a bar that comes near to what it is drawn around, or touches it."""
    rng, height = canvas.rng, canvas.height
    over = np.zeros(canvas.ids.shape, np.uint8)
    if kind == "circled":
        axes = round(b.w * float(rng.uniform(0.6, 0.85))), round(b.h * float(rng.uniform(0.6, 0.8)))
        x, y = (round(v + float(rng.normal(0, 0.06)) * height) for v in b.centre)
        cv2.ellipse(over, (x, y), axes, float(rng.normal(0, 8)), 0, 360, 255, width, cv2.LINE_AA)
    elif kind == "boxed":
        left, top, right, low = (round(v * height) for v in rng.uniform(-0.03, 0.25, 4).tolist())
        start, end = (b.x - left, b.y - top), (b.right + right, b.bottom + low)
        cv2.rectangle(over, start, end, 255, width, cv2.LINE_AA)
    else:
        y, more = b.bottom + round(float(rng.uniform(-0.08, 0.12)) * height), round(0.1 * height)
        end = b.right + more, y + round(float(rng.normal(0, 0.04)) * b.w)
        cv2.line(over, (b.x - more, y), end, 255, width, cv2.LINE_AA)
    np.maximum(canvas.ink, over.astype(np.float32) / 255 * strong, out=canvas.ink)


def _join(canvas: Canvas, left: Box, right: Box, strength: float, width: int) -> None:
    """A pen's stroke from one digit to the next, where they are nearest."""
    numbers = {box: i for i, (box, _) in enumerate(canvas.digits, 1)}
    a, b = (np.argwhere(canvas.ids == numbers[box]) for box in (left, right))
    if not len(a) or not len(b):
        return
    a, b = a[:: max(1, len(a) // 400)], b[:: max(1, len(b) // 400)]
    apart = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    i, j = np.unravel_index(int(apart.argmin()), apart.shape)
    (y0, x0), (y1, x1) = a[i].tolist(), b[j].tolist()
    canvas.mark(lambda o: cv2.line(o, (x0, y0), (x1, y1), 255, width, cv2.LINE_AA), strength)


def _photographed(canvas: Canvas) -> Image:
    """The sheet in some light, a little out of focus, with grain, through JPEG."""
    rng = canvas.rng
    w, h = _SIZE
    corners = rng.uniform(0.6, 1.0, (2, 2)).astype(np.float32)
    light = np.asarray(cv2.resize(corners, (w, h), interpolation=cv2.INTER_LINEAR))
    paper = float(rng.uniform(130, 235)) * light * (1 - canvas.ink)
    soft = np.asarray(cv2.GaussianBlur(paper, (0, 0), float(rng.uniform(0.4, 1.5))))
    noisy = soft + rng.normal(0, float(rng.uniform(0.5, 6)), soft.shape)
    grey = np.clip(noisy, 0, 255).astype(np.uint8)
    code = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)


@dataclass(slots=True)
class Tally:
    """Digits, those with a candidate at each overlap and with a clear crop; per picture the
    candidates and milliseconds."""

    digits: int = 0
    found: list[int] = field(default_factory=lambda: [0, 0])
    clear: int = 0
    candidates: list[int] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        count = max(1, self.digits)
        half, most = (f / count for f in self.found)
        return (f"{name:12} {self.digits:6} digits  {half:.4f} {most:.4f}  "
                f"crop {self.clear / count:.4f}  {np.mean(self.candidates):6.1f} a picture  "
                f"{np.median(self.ms):5.1f} ms")  # fmt: skip


def _seen(image: Image, settings: PipelineSettings, tally: Tally) -> Detections:
    begun = perf_counter()
    vision = detect_candidates(image, settings)
    tally.ms.append(1000 * (perf_counter() - begun))
    tally.candidates.append(len(vision.candidates))
    return vision


def _likeness(a: Image, b: Image) -> float:
    x, y = (cv2.GaussianBlur(v, (0, 0), _SMOOTH).astype(np.float64).ravel() for v in (a, b))
    return float(np.corrcoef(x, y)[0, 1]) if x.any() and y.any() else 0.0


def _clean(ids: Ids, grey: Image, number: int) -> Image | None:
    """The crop of a digit's own ink by who drew it, None where the picture no longer shows it:
    `ids` and `grey` at the working resolution, ink darker than paper or lighter."""
    own = (ids == number).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(own)
    if h < 9:
        return None
    rows, columns = slice(max(0, y - 6), y + h + 6), slice(max(0, x - 6), x + w + 6)
    own, part = own[rows, columns], grey[rows, columns].astype(np.float32)
    near = cv2.dilate(own, np.ones((3, 3), np.uint8)) > 0
    bare = ids[rows, columns] == 0
    bare &= ~near
    if not bare.any():
        return None
    seen = np.abs(float(np.median(part[bare])) - part)
    level = float(np.percentile(seen[own > 0], 90))
    shown = np.clip(seen / max(level, 1.0) * 255, 0, 255) * near
    clean = normalise(own * np.uint8(255))
    grain = float(np.std(part[bare]))
    if level < 2.5 * grain or level < 6:
        return None
    return clean if _likeness(normalise(shown.astype(np.uint8)), clean) >= _LEGIBLE else None


def _count_drawn(drawn: Page, settings: PipelineSettings, tally: Tally) -> list[Box]:
    """Adds a page to the tally; the boxes of the digits without a candidate, in the frame."""
    vision = _seen(drawn.image, settings, tally)
    grey, _ = to_working_resolution(drawn.image)
    size = grey.shape[1], grey.shape[0]
    ids = np.asarray(cv2.resize(drawn.ids, size, interpolation=cv2.INTER_NEAREST), np.uint16)
    boxes = [c.box for c in vision.candidates]
    number_of = _numbers(drawn)
    missed = []
    for box, _ in drawn.digits:
        clean = _clean(ids, grey, number_of[box])
        if clean is None:
            continue
        tally.digits += 1
        overlaps = np.array([b.iou(box) for b in boxes]) if boxes else np.zeros(1)
        for i, least in enumerate(_OVERLAPS):
            tally.found[i] += bool(overlaps.max() >= least)
        best = [int(i) for i in np.argsort(-overlaps)[:_MANY] if overlaps[i] > 0.25]
        clear = any(_likeness(crop, clean) >= _LEGIBLE for crop in extract_crops(vision, best))
        tally.clear += clear
        if overlaps.max() < _OVERLAPS[0] or not clear:
            missed.append(box)
    return missed


def _numbers(drawn: Page) -> dict[Box, int]:
    """The id of each digit by its box."""
    found = {}
    for box, _ in drawn.digits:
        part = drawn.ids[box.y : box.bottom, box.x : box.right]
        marks = np.bincount(part[(part > 0) & (part < OTHER)], minlength=OTHER)
        found[box] = int(marks.argmax())
    return found


def _pages(given: argparse.Namespace, glyphs: Glyphs) -> Iterator[tuple[str, Page]]:
    for number in range(given.drawn):
        yield "drawn", page((given.seed, number), glyphs)
    for number in range(given.touching):
        kind = KINDS[number % len(KINDS)]
        yield kind, touching((given.seed, number), kind, glyphs)


def _photographs(folder: Path, settings: PipelineSettings, tally: Tally) -> None:
    for name, entry in load_truth(folder).items():
        image, _ = load_picture(folder / name)
        vision = _seen(image, settings, tally)
        boxes = [c.box for c in vision.candidates]
        for box, _ in truth_of(entry):
            best = max((b.iou(box) for b in boxes), default=0.0)
            tally.digits += 1
            for i, least in enumerate(_OVERLAPS):
                tally.found[i] += best >= least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--drawn", type=int, default=60)
    parser.add_argument("--touching", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--photos", type=Path, action="append", default=[])
    parser.add_argument("--save", type=Path, help="pictures of what is missed")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    settings = PipelineSettings()
    tallies: dict[str, Tally] = defaultdict(Tally)
    if given.mnist:
        with np.load(given.mnist, allow_pickle=False) as z:
            glyphs = Glyphs(z["x_train"], z["y_train"].astype(np.uint8))
        for number, (kind, drawn) in enumerate(_pages(given, glyphs)):
            missed = _count_drawn(drawn, settings, tallies[kind])
            if given.save and missed:
                _save(given.save / f"{number:03d}_{kind}.png", drawn.image, missed)
    for folder in given.photos:
        _photographs(folder, settings, tallies[folder.name])
    for name, tally in tallies.items():
        print(tally.line(name))


def _save(path: Path, image: Image, missed: Sequence[Box]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    marked = image.copy()
    for b in missed:
        cv2.rectangle(marked, (b.x - 3, b.y - 3), (b.right + 3, b.bottom + 3), (0, 0, 255), 1)
    cv2.imwrite(str(path), marked)


if __name__ == "__main__":
    main()
