"""The digits that networks train on and are tested with, all brought to MNIST's normalisation.

MNIST comes through `keras.datasets.mnist` or from a local file; more sets may lie in a folder. A
set's test part never trains: loading keeps the two apart, and no function here joins them.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.errors import LiveDigitsError, MissingExtraError
from live_digits.core.types import CROP_SIZE, NOT_A_DIGIT, Floats, Image
from live_digits.training.synthetic.glyphs import NO_SCENERY, Alphabet, Glyphs, Scenery, Writing
from live_digits.training.synthetic.negatives import drawn_digits, font_digits, negatives
from live_digits.vision.mnist_crop import normalise

Say = Callable[[str], None]

MNIST_LICENCE = "CC BY-SA 3.0 (Yann LeCun and Corinna Cortes)"
PAGE_DIGITS, PAGE_OTHERS = "pages", "not a digit, pages"
"""Names of the pool's parts that come from drawn pages."""
_NO_DIGIT, _DRAWN, _FONTS = "not a digit", "drawn", "fonts"
_MADE = (PAGE_DIGITS, PAGE_OTHERS, _NO_DIGIT)
"""The parts whose labels come from how the crop was made, and may be wrong about what it shows."""
_CONTRADICTED = 0.75
"""Probability of another class from which a made crop's label is not believed."""
_ENLARGE = 3
"""Small scans are enlarged smoothly by this before they are normalised."""


class DataError(LiveDigitsError):
    """A digit set is missing, unreadable or not laid out as expected."""


@dataclass(frozen=True, slots=True)
class DigitSet:
    """One source of digits: `crops` uint8 N×28×28 white on black, `labels` uint8 N (0…9)."""

    name: str
    crops: Image
    labels: Image
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file of the extra folder names its arrays, and what may be done with them."""

    file: str
    licence: str
    train: tuple[str, str] | None
    test: tuple[str, str] | None
    every: int = 0
    """Of a set without parts of its own, one row of so many is its test part; 0: it has parts."""


PHOTOGRAPHED = "photo_chars"
_PHOTOGRAPHED_LICENCE = "MIT (Bishwaprotapi/Hand-Written)"

EXTRAS: Mapping[str, _Layout] = {
    "usps": _Layout("usps.npz", "AT&T, no explicit licence", None, ("x_test", "y_test")),
    "opencv_digits": _Layout("opencv_digits.npz", "Apache-2.0 (OpenCV samples)", ("x", "y"), None),
    "hwd1000": _Layout("hwd1000.npz", "MIT", ("x", "y"), None),
    "optdigits32x32": _Layout(
        "optdigits32x32.npz", "CC BY 4.0 (UCI)", ("x_train", "y_train"), ("x_test", "y_test")
    ),
    "semeion": _Layout("semeion.npz", "CC BY 4.0 (UCI)", None, ("x", "y")),
    "nsysu_digits": _Layout("nsysu_digits.npz", "ODbL 1.0 (NSYSU-digits)", None, ("x", "y")),
    PHOTOGRAPHED: _Layout("photo_chars.npz", _PHOTOGRAPHED_LICENCE, ("x", "y"), ("x", "y"), 5),
}
"""The sets that the extra folder may hold. `train` None: a test set only."""


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _arrays(path: Path, names: tuple[str, str]) -> tuple[Image, Image]:
    """Two arrays of an .npz file, checked: pictures uint8 N×H×W and labels N."""
    try:
        with np.load(path, allow_pickle=False) as z:
            x, y = z[names[0]], z[names[1]]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
        raise DataError(
            f"{path} is no digit set: it must be an .npz file with the arrays "
            f"{names[0]} and {names[1]} ({e})"
        ) from e
    if x.ndim != 3 or x.dtype != np.uint8 or y.shape != (len(x),):
        raise DataError(
            f"{path}: {names[0]} is {x.dtype} {x.shape} and {names[1]} {y.shape}; "
            "expected uint8 N×H×W and N"
        )
    return x, y


def _digits(path: Path, names: tuple[str, str]) -> tuple[Image, Image, npt.NDArray[np.int64]]:
    """The digits of two arrays of an .npz file, their labels 0…9, and their rows. Labels may be
    characters; letters are left out."""
    x, y = _arrays(path, names)
    rows = (
        np.flatnonzero(np.char.isdigit(y.astype(str))) if y.dtype.kind == "U" else np.arange(len(y))
    )
    return x[rows], y[rows].astype(np.uint8), rows


def held_out(rows: npt.NDArray[np.int64], every: int) -> npt.NDArray[np.bool_]:
    """Which rows of a set are its test part, one of so many, by a hash of the row's number."""
    if not every:
        return np.ones(len(rows), bool)
    hashes = (hashlib.sha256(str(int(row)).encode()).digest()[0] for row in rows)
    return np.array([h % every == 0 for h in hashes], bool)


def test_arrays(path: Path) -> tuple[Image, Image]:
    """The test part of any .npz digit set: x_test and y_test, or x and y. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as z:
            names = ("x_test", "y_test") if "x_test" in z.files else ("x", "y")
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as e:
        raise DataError(f"{path} is no .npz file of digits ({e})") from e
    x, y, rows = _digits(path, names)
    layout = next((e for e in EXTRAS.values() if e.file == path.name), None)
    held = held_out(rows, layout.every if layout else 0)
    return x[held], y[held]


def mnist_file(path: Path | None) -> Path:
    """The MNIST file: `path`, or Keras's own copy, which Keras fetches on first use."""
    if path is not None:
        if not path.is_file():
            raise DataError(f"no MNIST file at {path}; leave --mnist out to let Keras fetch it")
        return path
    try:
        import keras
    except ImportError as e:
        raise MissingExtraError("fetching MNIST", "train") from e
    try:
        keras.datasets.mnist.load_data()
    except Exception as e:
        raise DataError(
            f"Keras could not fetch MNIST ({e}); name a local copy with --mnist FILE"
        ) from e
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    return home / "datasets" / "mnist.npz"


def mnist(path: Path | None, part: str = "train") -> DigitSet:
    """MNIST's `part` ("train" or "test"). Raises DataError."""
    file = mnist_file(path)
    crops, labels, _ = _digits(file, (f"x_{part}", f"y_{part}"))
    if crops.shape[1:] != (CROP_SIZE, CROP_SIZE):
        raise DataError(f"{file}: pictures are {crops.shape[1:]}, expected 28×28 as MNIST's are")
    return DigitSet("mnist", crops, labels, MNIST_LICENCE, sha256(file))


def normalised(pictures: Image) -> Image:
    """uint8 N×H×W white on black, any size → N×28×28 as the live path makes crops."""
    out = np.zeros((len(pictures), CROP_SIZE, CROP_SIZE), np.uint8)
    top = max(1, int(pictures.max())) if len(pictures) else 1
    for i, picture in enumerate(pictures):
        full = (picture.astype(np.float32) * (255 / top)).astype(np.uint8)
        large = cv2.resize(full, None, fx=_ENLARGE, fy=_ENLARGE, interpolation=cv2.INTER_CUBIC)
        out[i] = normalise(np.asarray(large, np.uint8))
    return out


def extras(folder: Path | None, part: str = "train", say: Say | None = None) -> list[DigitSet]:
    """The sets of `folder` that have the `part` asked for; each that is absent is one line said."""
    found: list[DigitSet] = []
    for name, layout in EXTRAS.items():
        names = layout.train if part == "train" else layout.test
        if names is None:
            continue
        file = folder / layout.file if folder else None
        if file is None or not file.is_file():
            if say:
                say(f"{name}: left out, no {layout.file} in {folder or 'any --sets folder'}")
            continue
        x, y, rows = _digits(file, names)
        if layout.every:
            held = held_out(rows, layout.every)
            x, y = (a[held if part == "test" else ~held] for a in (x, y))
        found.append(DigitSet(name, normalised(x), y, layout.licence, sha256(file)))
    return found


@dataclass(frozen=True, slots=True)
class Pool:
    """Crops with labels 0…10 and the name of the source of each."""

    crops: Image
    labels: Image
    sources: tuple[str, ...]
    source: Image

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, mask: npt.NDArray[np.bool_]) -> Pool:
        """The crops for which the mask holds."""
        return Pool(self.crops[mask], self.labels[mask], self.sources, self.source[mask])

    def of(self, name: str) -> tuple[Image, Image]:
        """The crops and labels of one source."""
        mask = self.source == self.sources.index(name)
        return self.crops[mask], self.labels[mask]


def pool(parts: Mapping[str, tuple[Image, Image]]) -> Pool:
    """Joins named parts (crops, labels)."""
    names = tuple(parts)
    return Pool(
        np.concatenate([parts[n][0] for n in names]),
        np.concatenate([parts[n][1] for n in names]).astype(np.uint8),
        names,
        np.concatenate([np.full(len(parts[n][1]), i, np.uint8) for i, n in enumerate(names)]),
    )


def split(sets: list[DigitSet], share: float, seed: int) -> tuple[list[DigitSet], list[DigitSet]]:
    """Each set in two, the second with `share` of its digits, drawn by `seed`."""
    first: list[DigitSet] = []
    second: list[DigitSet] = []
    for s in sets:
        order = np.random.default_rng((seed, len(s.labels))).permutation(len(s.labels))
        cut = round(len(order) * (1 - share))
        for part, out in ((order[:cut], first), (order[cut:], second)):
            out.append(DigitSet(s.name, s.crops[part], s.labels[part], s.licence, s.sha256))
    return first, second


def assemble(
    sets: list[DigitSet],
    not_digits: int,
    drawn: int,
    pages: tuple[Image, Image] | None,
    seed: tuple[int, ...],
    alphabet: Alphabet | None = None,
    of_fonts: int = 0,
    writing: Writing | None = None,
    scenery: Scenery = NO_SCENERY,
) -> Pool:
    """The sets, `drawn` digits made of strokes, `of_fonts` digits of the alphabet's fonts,
    `not_digits` crops of class 10, and what the live pipeline finds on `pages` drawn pages, as one
    pool. Letters and pages are written in fonts, too, where there are some, and pages with real
    writing and before real scenery."""
    rng = np.random.default_rng(seed)
    parts = {s.name: (s.crops, s.labels) for s in sets}
    base = pool(parts)
    glyphs = Glyphs(base.crops, base.labels, alphabet, writing, scenery)
    no = negatives(not_digits, glyphs, rng)
    parts[_NO_DIGIT] = (no, np.full(len(no), NOT_A_DIGIT, np.uint8))
    if drawn:
        parts[_DRAWN] = drawn_digits(drawn, rng)
    if alphabet and of_fonts:
        parts[_FONTS] = font_digits(of_fonts, alphabet, rng)
    if pages:
        crops, labels = pages
        digit = labels != NOT_A_DIGIT
        parts[PAGE_DIGITS] = crops[digit], labels[digit]
        parts[PAGE_OTHERS] = crops[~digit], labels[~digit]
    return pool(parts)


def only_digits(full: Pool) -> Pool:
    """The pool without its crops of class 10."""
    return full.where(full.labels != NOT_A_DIGIT)


def believable(full: Pool, probabilities: Floats) -> Pool:
    """The pool without the made crops whose label a network that has seen little contradicts for
    sure: halves that look whole, digits that light and lens have made unreadable. Scanned sets
    stay whole. After C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty
    in Dataset Labels", 2021.

    `probabilities`: float N×11 of the pool's crops.
    """
    rows = np.arange(len(full))
    other = probabilities.copy()
    other[rows, full.labels] = 0
    made = np.isin(full.source, [i for i, n in enumerate(full.sources) if n in _MADE])
    return full.where(~made | (other.max(axis=1) < _CONTRADICTED))
