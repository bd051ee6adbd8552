"""What pages are written with and shown on beside digits: real letters, signs, shapes and words,
photographed digits, and real pictures without digits. Each is loaded where its file is there, and
named with its licence for the model's card.
"""

from __future__ import annotations

import hashlib
import string
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.core.types import Image
from live_digits.training.datasets import EXTRAS, PHOTOGRAPHED, DataError, held_out, sha256
from live_digits.training.synthetic.glyphs import Scenery, Writing, square_of

Say = Callable[[str], None]

_LETTERS: Mapping[str, tuple[str, str]] = {
    PHOTOGRAPHED: ("photo_chars.npz", EXTRAS[PHOTOGRAPHED].licence),
    "nist_az_letters": ("nist_az_letters.npz", "US government work (NIST SD19, Kaggle A-Z)"),
    "charwizard_letters": ("charwizard_letters.npz", "MIT (VU CharWizard)"),
    "omniglot_letters": ("omniglot_letters.npz", "MIT (Omniglot)"),
}
_GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
_SIGNS = ("mdas_operators", "mdas_operators.npz", "MIT (jdmacleod/handwritten-calculator)")
_SIGN_NAMES = {"+": "+", "-": "-", "×": "×", "÷": "÷", "⋅": "·"}
"""The operators that are used; a stroke like / looks like a 1."""
_SHAPES = ("hds_shapes", "hds_shapes.npz", "CC BY 4.0 (F. Robert, Hand-drawn Shapes)")
_SHAPE_NAMES = ("other", "rectangle", "triangle")
"""The shapes that are used: an ellipse is a 0."""
_WORDS = ("cursive_words", "cursive_words.npz", "MIT (Breta01/handwriting-ocr)")
_MOST = 600
"""Crops of one character or shape at most: more teach little and every worker holds them."""
_LEAST_WORD = 24
"""Pixels; what is less wide is a letter or a rest of one."""
_PICTURES = (".jpg", ".jpeg", ".png")
_BACKGROUNDS = "MIT, CC0 1.0 and MPL-2.0 (each named in its SOURCES.md)"
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "sheets": ("blank",), "surfaces": ("desk", "floor", "seat"), "boards": ("board",),
    "texts": ("text",), "reliefs": ("crumple",), "tiles": ("tile",),
}  # fmt: skip
"""What a background is, by how its name begins."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where something comes from: for the model's card."""

    name: str
    licence: str
    sha256: str


def writing(folder: Path | None, say: Say | None = None) -> tuple[Writing, tuple[Source, ...]]:
    """What real hands wrote beside the digits, of the files that a folder holds, and what they are;
    each that is absent is one line said. Raises DataError for a file that is none."""
    sources: list[Source] = []

    def arrays(name: str, file: str, licence: str) -> dict[str, Any] | None:
        path = folder / file if folder else None
        if path is None or not path.is_file():
            if say:
                say(f"{name}: left out, no {file} in {folder or 'any --sets folder'}")
            return None
        sources.append(Source(name, licence, sha256(path)))
        return _loaded(path)

    letters: dict[str, list[Image]] = {}
    scans, labels = np.zeros((0, 84, 84), np.uint8), np.zeros(0, np.uint8)
    for name, (file, licence) in _LETTERS.items():
        z = arrays(name, file, licence)
        if z is None:
            continue
        for character, crops in _by_letter(z, name).items():
            letters.setdefault(character, []).append(crops)
        if name == PHOTOGRAPHED:
            scans, labels = _photographed(z)
    z = arrays(*_SIGNS)
    signs = {
        ours: z["x"][(z["y"] == theirs) & (z["split"] != "test")][:_MOST]
        for theirs, ours in (_SIGN_NAMES.items() if z else ())
        if z
    }
    z = arrays(*_SHAPES)
    shapes = {n: _spread(z["x"][z["y"] == n]) for n in _SHAPE_NAMES} if z else {}
    z = arrays(*_WORDS)
    words = tuple(w for w in _ragged(z) if w.shape[1] >= _LEAST_WORD) if z else ()
    joined = {c: np.concatenate([_spread(part) for part in parts]) for c, parts in letters.items()}
    return Writing(joined, signs, shapes, words, scans, labels), tuple(sources)


def _loaded(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as z:
            return {name: z[name] for name in z.files}
    except (OSError, ValueError, zipfile.BadZipFile) as e:
        raise DataError(f"{path} is no .npz file of numbers: fetch it again ({e})") from e


def _spread(crops: Image) -> Image:
    """At most `_MOST`, from all over."""
    step = max(1, -(-len(crops) // _MOST))
    return np.ascontiguousarray(crops[::step])


def _by_letter(z: Mapping[str, Any], name: str) -> dict[str, Image]:
    """Crops by their letter: Latin, and of the Greek ones those that are no digit in shape."""
    found = {c: z["x"][z["y"] == c] for c in string.ascii_letters}
    if name == "omniglot_letters":
        for number, character in enumerate(_GREEK, 1):
            found[character] = z["x"][z["y"] == f"Greek/{number:02d}"]
    return {character: crops for character, crops in found.items() if len(crops)}


def _ragged(z: Mapping[str, Any]) -> list[Image]:
    """Pictures of sizes of their own."""
    ends, sizes = z["raw_off"], z["raw_hw"]
    return [z["raw"][ends[i] : ends[i + 1]].reshape(sizes[i]).copy() for i in range(len(sizes))]


def _photographed(z: Mapping[str, Any]) -> tuple[Image, Image]:
    """The photographed digits that train, thresholded at their own size, as squares."""
    rows = np.flatnonzero(np.char.isdigit(z["y"]))
    rows = rows[~held_out(rows, EXTRAS[PHOTOGRAPHED].every)]
    ends, sizes = z["raw_off"], z["raw_hw"]
    squares, labels = [], []
    for row in rows:
        grey = z["raw"][ends[row] : ends[row + 1]].reshape(sizes[row])
        square = square_of(_ink_of(grey))
        if np.count_nonzero(square > 110) > 40:
            squares.append(square)
            labels.append(int(z["y"][row]))
    return np.stack(squares), np.array(labels, np.uint8)


def _ink_of(grey: Image) -> Image:
    """The ink of a grey crop, dark on light, uint8: soft at its edges, the largest mark alone."""
    scale = max(1.0, 60 / max(grey.shape))
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    soft = np.asarray(cv2.GaussianBlur(large, (0, 0), 0.8))
    level, dark = cv2.threshold(soft, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark)
    if count < 2:
        return np.asarray(dark, np.uint8)
    largest = stats[1:, cv2.CC_STAT_AREA]
    kept = np.isin(labels, 1 + np.flatnonzero(largest > 0.06 * largest.max()))
    deepest = float(np.percentile(soft, 1))
    ink = np.clip((level + 8 - soft) / max(8.0, level - deepest) * 255, 0, 255)
    near = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(near > 0, ink, 0).astype(np.uint8)


def scenery(
    backgrounds: Path | None, rooms: Path | None = None
) -> tuple[Scenery, tuple[Source, ...]]:
    """Real pictures without digits, and what they are.

    Args:
        backgrounds: A folder of pictures whose names begin with what they are: `blank_`, `desk_`,
            `floor_`, `seat_`, `board_`, `text_`, `crumple_`, `tile_`.
        rooms: A folder of photographs without digits, in it and below; a folder in it for each
            package they come from, and their licences in a table `SOURCES.md`
            (`| folder | package | licence | …`).

    Raises:
        DataError: A folder that is asked for holds no picture.
    """
    sources: list[Source] = []
    there: dict[str, tuple[Path, ...]] = {}
    if backgrounds:
        files = _pictures(backgrounds)
        sources.append(Source("backgrounds", _BACKGROUNDS, _sha256_of(files)))
        there = {
            kind: tuple(f for f in files if f.name.split("_")[0] in names)
            for kind, names in _FOLDERS.items()
        }
    if rooms:
        files = _pictures(rooms)
        sources += _packages(rooms, files)
        there["rooms"] = tuple(files)
    return Scenery(**there), tuple(sources)


def _packages(rooms: Path, files: list[Path]) -> list[Source]:
    """The packages that pictures come from, each with its licence where the table tells it."""
    table = rooms / "SOURCES.md"
    told: dict[str, str] = {}
    if table.is_file():
        for line in table.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) > 2:
                told[cells[0]] = f"{cells[2]} ({cells[1]})"
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(file.relative_to(rooms).parts[0], []).append(file)
    return [
        Source(f"rooms/{name}", told.get(name, "not told"), _sha256_of(of))
        for name, of in sorted(groups.items())
    ]


def _pictures(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES)
    if not files:
        kinds = ", ".join(_PICTURES)
        raise DataError(f"{folder} holds no picture ({kinds}): name a folder with some")
    return files


def _sha256_of(files: list[Path]) -> str:
    """The SHA-256 of all the files in order."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
