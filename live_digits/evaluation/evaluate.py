"""How well a model, or the whole reader, does: tables, a confusion picture, sheets of mistakes."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import cv2
import numpy as np

from live_digits.capture.image_files import Picture, open_picture
from live_digits.config.settings import value_text
from live_digits.core.errors import SourceError, one_line
from live_digits.core.geometry import Box
from live_digits.core.safe_files import replacing
from live_digits.core.safe_yaml import read_bytes
from live_digits.core.sanitize import sanitize
from live_digits.core.types import (
    CLASSES,
    CROP_SIZE,
    NOT_A_DIGIT,
    Classifier,
    Digit,
    Floats,
    Image,
    Reading,
)
from live_digits.training import datasets
from live_digits.training.plots import draw_confusion

Reader = Callable[[Path], Reading]
"""Reads one picture file."""

MATCH_IOU = 0.3
"""Intersection over union from which a reading and a true digit are the same."""
MOST_BYTES = 16_000_000
"""Bytes of a truth.json at most; one of 150,000 digits has as many."""
MOST_NAME = 100
"""Characters of a category at most."""
MOST_PLACE = 100_000
"""Pixels that a place in a picture has at most."""
_MOST_AROUND = 2_000
"""Pixels around the middle of a mistake that its cell shows at most, to each side."""
_CELL = 84
_SHEET_COLUMNS = 12
_MOST_MISTAKES = 240
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PAPER, _RED, _GREEN = (40, 40, 40), (250, 250, 250), (60, 40, 210), (80, 140, 40)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One digit's figures, shares 0…1."""

    label: int
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class SetReport:
    """A model on a set of crops. `confusion[truth, read]` counts, 10 × 11."""

    name: str
    count: int
    accuracy: float
    rows: tuple[ClassRow, ...]
    confusion: Image
    mistakes: tuple[int, ...]
    files: tuple[Path, ...] = ()


def f1_of(precision: float, recall: float) -> float:
    """The harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def load_set(name: str, mnist: Path | None, folder: Path | None) -> datasets.DigitSet:
    """The test crops named: "mnist", a set of `folder`, or the path of an .npz file with x_test and
    y_test, or x and y. Raises DataError."""
    if name == "mnist":
        return datasets.mnist(mnist, "test")
    for s in datasets.extras(folder, "test"):
        if s.name == name:
            return s
    path = Path(name)
    if not path.is_file():
        known = ", ".join(("mnist", *(n for n, e in datasets.EXTRAS.items() if e.test)))
        raise datasets.DataError(
            f"no digit set {name!r}: give one of {known} (the latter in --sets), or an .npz file"
        )
    crops, labels = datasets.test_arrays(path)
    return datasets.DigitSet(
        path.stem, datasets.normalised(crops), labels, "", datasets.sha256(path)
    )


def evaluate_set(
    classifier: Classifier,
    name: str = "mnist",
    *,
    mnist: Path | None = None,
    folder: Path | None = None,
    out: Path | None = None,
) -> SetReport:
    """Classifies a test set. With `out`, writes NAME_confusion.png and NAME_mistakes.png there.
    Raises DataError, OSError."""
    digits = load_set(name, mnist, folder)
    probabilities = classifier.classify(digits.crops)
    read = probabilities.argmax(axis=1)
    confusion = np.zeros((CLASSES - 1, CLASSES), np.int64)
    np.add.at(confusion, (digits.labels, read), 1)
    mistakes = np.flatnonzero(read != digits.labels)
    files: tuple[Path, ...] = ()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        files = (out / f"{digits.name}_confusion.png", out / f"{digits.name}_mistakes.png")
        with replacing(files[0]) as scratch:
            draw_confusion(confusion, sanitize(f"{classifier.name} on {digits.name}"), scratch)
        with replacing(files[1]) as scratch:
            _write_png(scratch, _crop_sheet(digits, probabilities, mistakes))
    return SetReport(
        name=digits.name,
        count=len(read),
        accuracy=float(np.mean(read == digits.labels)) if len(read) else 0.0,
        rows=_rows(confusion),
        confusion=confusion,  # type: ignore[arg-type]
        mistakes=tuple(int(i) for i in mistakes),
        files=files,
    )


def _write_png(path: Path, picture: Image) -> None:
    """Writes a picture by Python's own file: OpenCV's crashes for names that are no UTF-8."""
    path.write_bytes(np.asarray(cv2.imencode(".png", picture)[1]).tobytes())


def _rows(confusion: Any) -> tuple[ClassRow, ...]:
    rows = []
    for label in range(CLASSES - 1):
        right = float(confusion[label, label])
        count, read = int(confusion[label].sum()), int(confusion[:, label].sum())
        precision = right / read if read else 0.0
        recall = right / count if count else 0.0
        rows.append(ClassRow(label, count, precision, recall, f1_of(precision, recall)))
    return tuple(rows)


def _name(label: int) -> str:
    return "none" if label == NOT_A_DIGIT else str(label)


def sheet(cells: Sequence[tuple[Image, str, str]], note: str) -> Image:
    """A contact sheet: each cell a picture (BGR or grey, any size) with a line under it, green
    part (what is true) and red part (what was read). `note` heads it. uint8 BGR."""
    columns = min(_SHEET_COLUMNS, max(6, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    step = _CELL + 30
    page = np.full((rows * step + 54, columns * (_CELL + 12) + 12, 3), _PAPER, np.uint8)
    cv2.putText(page, sanitize(note), (12, 32), _FONT, 0.6, _INK, 1, cv2.LINE_AA)
    for i, (picture, truth, read) in enumerate(cells):
        x, y = 12 + (i % columns) * (_CELL + 12), 50 + (i // columns) * step
        colour = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
        scale = _CELL / max(colour.shape[:2])
        method = cv2.INTER_NEAREST if max(picture.shape[:2]) <= CROP_SIZE else cv2.INTER_AREA
        size = tuple(max(1, round(n * scale)) for n in (colour.shape[1], colour.shape[0]))
        small = cv2.resize(colour, size, interpolation=method)
        page[y : y + small.shape[0], x : x + small.shape[1]] = small
        below = y + _CELL + 17
        cv2.putText(page, truth, (x, below), _FONT, 0.45, _GREEN, 1, cv2.LINE_AA)
        cv2.putText(page, read, (x + 32, below), _FONT, 0.45, _RED, 1, cv2.LINE_AA)
    return page


def _crop_sheet(digits: datasets.DigitSet, probabilities: Floats, mistakes: Any) -> Image:
    """Every mistake, the surest first."""
    order = mistakes[np.argsort(-probabilities[mistakes].max(axis=1), kind="stable")]
    cells = [
        (
            digits.crops[i],
            _name(int(digits.labels[i])),
            f"{_name(int(probabilities[i].argmax()))} {probabilities[i].max():.0%}",
        )
        for i in order[:_MOST_MISTAKES]
    ]
    more = f", the {len(cells)} surest" if len(cells) < len(order) else ""
    return sheet(cells, f"{digits.name}: {len(order)} mistakes of {len(digits.labels)}{more}")


@dataclass(slots=True)
class Tally:
    """Counts over pictures; the rates follow from them."""

    pictures: int = 0
    truth: int = 0
    read: int = 0
    found: int = 0
    correct: int = 0
    lines: int = 0
    lines_right: int = 0
    perfect: int = 0
    f1_sum: float = 0.0

    @property
    def recall(self) -> float:
        """Digits read right, of the digits there are."""
        return self.correct / self.truth if self.truth else 0.0

    @property
    def precision(self) -> float:
        """Digits read right, of the digits read."""
        return self.correct / self.read if self.read else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        return f1_of(self.precision, self.recall)

    def as_json(self) -> dict[str, float]:
        """All counts and rates."""
        rates = {
            "recall": self.recall,
            "precision": self.precision,
            "f1": self.f1,
            "mean_f1": self.f1_sum / self.pictures if self.pictures else 0.0,
            "found": self.found / self.truth if self.truth else 0.0,
            "classified": self.correct / self.found if self.found else 0.0,
            "lines": self.lines_right / self.lines if self.lines else 0.0,
        }
        counts = {"pictures": self.pictures, "truth": self.truth, "read": self.read}
        return counts | {"perfect": self.perfect} | {k: round(v, 4) for k, v in rates.items()}


@dataclass(frozen=True, slots=True)
class Mistake:
    """A digit missed (`read` None), misread, or read where there is none (`truth` None)."""

    picture: str
    box: Box
    truth: int | None
    read: int | None
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class FolderReport:
    """A reader on a folder of pictures. `total["all"]` and one tally a category."""

    total: Mapping[str, Tally]
    mistakes: tuple[Mistake, ...]
    confused: Mapping[tuple[int, int], int]
    unread: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default=())


def match(truth: Sequence[Box], read: Sequence[Box]) -> list[tuple[int, int]]:
    """One-to-one pairs (index of truth, index of reading), largest overlap first, at `MATCH_IOU`
    or more."""
    overlaps = [(t.iou(r), i, j) for i, t in enumerate(truth) for j, r in enumerate(read)]
    pairs: list[tuple[int, int]] = []
    free_truth, free_read = set(range(len(truth))), set(range(len(read)))
    for overlap, i, j in sorted(overlaps, reverse=True):
        if overlap >= MATCH_IOU and i in free_truth and j in free_read:
            free_truth.discard(i)
            free_read.discard(j)
            pairs.append((i, j))
    return pairs


def paired(
    truth: Sequence[tuple[Box, int]], read: Sequence[Digit]
) -> list[tuple[tuple[Box, int], Digit]]:
    """Each digit that is read where one is, after what is there."""
    pairs = match([box for box, _ in truth], [d.box for d in read])
    return [(truth[i], read[j]) for i, j in pairs]


def right_of(pairs: Sequence[tuple[tuple[Box, int], Digit]]) -> int:
    """How many of what `paired` gives are read right."""
    return sum(digit == found.digit for (_, digit), found in pairs)


def load_truth(path: Path) -> dict[str, Any]:
    """A truth.json, or the one in a folder. Raises DataError."""
    file = path / "truth.json" if path.is_dir() else path
    try:
        truth = json.loads(read_bytes(file, MOST_BYTES).decode("utf-8"))
        if not isinstance(truth, dict):
            raise TypeError(f"{type(truth).__name__}, no object")
        for name, entry in truth.items():
            _check(name, entry)
    except FileNotFoundError as e:
        raise datasets.DataError(f"no {file}: the folder needs a truth.json") from e
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError,
            RecursionError) as e:  # fmt: skip
        raise datasets.DataError(
            f"{file} is no truth file ({type(e).__name__}: {one_line(e)[:200]}): "
            'expected {"a.jpg": {"digits": [{"box": [x, y, w, h], "digit": 7}], "lines": ["7"]}}'
        ) from e
    return truth


def _check(name: str, entry: Any) -> None:
    """Raises ValueError, TypeError, KeyError, … for an entry that cannot be compared with."""
    if not isinstance(entry, dict):
        raise TypeError(f"{value_text(name)} is {type(entry).__name__}, no object")
    if b"\0" in os.fsencode(name):
        raise ValueError(f"no file is called {value_text(name)}")
    place = PureWindowsPath(name)  # takes both kinds of slash
    if place.anchor or ".." in place.parts:
        raise ValueError(f"{value_text(name)} lies outside the folder")
    category = entry.get("category", "")
    if not isinstance(category, str) or len(category) > MOST_NAME:
        raise TypeError(
            f"{value_text(name)}: category is no text of at most {MOST_NAME} characters"
        )
    for box, digit in truth_of(entry):
        if any(abs(v) > MOST_PLACE for v in box.as_list()) or min(box.w, box.h) < 0:
            raise ValueError(f"{value_text(name)} has a box that no picture holds")
        if not 0 <= digit <= 9:
            raise ValueError(f"{value_text(name)} has the digit {digit}")
    if not isinstance(entry.get("lines", []), list):
        raise TypeError(f"{value_text(name)}: lines is no list")


def truth_of(entry: Mapping[str, Any]) -> list[tuple[Box, int]]:
    """The digits of a truth.json's entry for one picture."""
    return [(Box(*(int(v) for v in d["box"])), int(d["digit"])) for d in entry["digits"]]


def evaluate_folder(
    truth: Path,
    reader: Reader,
    *,
    out: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Reads every picture that `truth` (a truth.json or its folder) names and compares. A picture
    that is absent or that the reader refuses counts with nothing read and is named in `unread`.
    With `out`, writes mistakes.png there. Raises DataError, OSError."""
    entries = load_truth(truth)
    folder = truth if truth.is_dir() else truth.parent
    total: dict[str, Tally] = defaultdict(Tally)
    mistakes: list[Mistake] = []
    confused: Counter[tuple[int, int]] = Counter()
    unread: list[str] = []
    for n, (name, entry) in enumerate(sorted(entries.items())):
        reading = _read(reader, folder / name)
        if reading is None:
            unread.append(name)
        found = _compare(name, entry, reading, total)
        mistakes += found
        confused.update(
            (m.truth, m.read) for m in found if m.truth is not None and m.read is not None
        )
        if progress:
            progress(n + 1, len(entries))
    files: tuple[Path, ...] = ()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        files = (out / "mistakes.png",)
        with replacing(files[0]) as scratch:
            _write_png(scratch, _mistake_sheet(folder, mistakes))
    return FolderReport(dict(total), tuple(mistakes), confused, tuple(unread), files)


def _read(reader: Reader, path: Path) -> Reading | None:
    """The reading, or None for a picture that cannot be read."""
    try:
        return reader(path) if path.is_file() else None
    except (SourceError, OSError):  # a name that is too long is an OSError
        return None


def _compare(
    name: str, entry: Mapping[str, Any], reading: Reading | None, total: dict[str, Tally]
) -> list[Mistake]:
    """One picture into the tallies; its mistakes."""
    truth = truth_of(entry)
    read = list(reading.digits) if reading else []
    pairs = match([box for box, _ in truth], [d.box for d in read])
    right = sum(truth[i][1] == read[j].digit for i, j in pairs)
    want = Counter("".join(str(line).split()) for line in entry.get("lines", ()))
    got = Counter("".join(line.split()) for line in (reading.lines if reading else ()))
    one = Tally(1, len(truth), len(read), len(pairs), right)
    one.perfect = int(right == len(truth) == len(read))
    for key in ("all", str(entry.get("category", "other"))):
        t = total[key]
        t.pictures += 1
        t.truth += one.truth
        t.read += one.read
        t.found += one.found
        t.correct += one.correct
        t.perfect += one.perfect
        t.lines += sum(want.values())
        t.lines_right += sum((want & got).values())
        t.f1_sum += one.f1
    mistakes = [
        Mistake(name, truth[i][0], truth[i][1], read[j].digit, read[j].confidence)
        for i, j in pairs
        if truth[i][1] != read[j].digit
    ]
    seen = {i for i, _ in pairs}
    used = {j for _, j in pairs}
    mistakes += [Mistake(name, b, d, None) for i, (b, d) in enumerate(truth) if i not in seen]
    mistakes += [
        Mistake(name, d.box, None, d.digit, d.confidence)
        for j, d in enumerate(read)
        if j not in used
    ]
    return mistakes


def _picture(path: Path) -> Picture | None:
    """A picture to cut a mistake out of; None where it is none any more."""
    try:
        return open_picture(path) if path.is_file() else None
    except (SourceError, OSError):
        return None


def _mistake_sheet(folder: Path, mistakes: Sequence[Mistake]) -> Image:
    """Every mistake with the paper around it."""
    pictures: dict[str, Picture | None] = {}
    cells: list[tuple[Image, str, str]] = []
    for m in mistakes[:_MOST_MISTAKES]:
        if m.picture not in pictures:
            pictures = {m.picture: _picture(folder / m.picture)}
        picture = pictures[m.picture]
        if picture is None:
            continue
        box = picture.shown_box(m.box)
        half = min(max(box.w, box.h, 8), _MOST_AROUND)
        cx, cy = (round(c) for c in box.centre)
        around = cv2.getRectSubPix(picture.image, (2 * half, 2 * half), (float(cx), float(cy)))
        corner = (half - box.w // 2, half - box.h // 2)
        line = max(1, half // 30)
        cv2.rectangle(around, (*corner, box.w, box.h), _RED, line)
        truth = "-" if m.truth is None else str(m.truth)
        read = "missed" if m.read is None else f"{m.read} {m.confidence:.0%}"
        cells.append((np.asarray(around, np.uint8), truth, read))
    more = f", the first {len(cells)}" if len(cells) < len(mistakes) else ""
    return sheet(cells, f"{len(mistakes)} mistakes{more}: green the truth, red the reading")
