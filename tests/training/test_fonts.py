"""Fonts that train: what is taken from a folder, and what is said of the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from live_digits.core.types import NOT_A_DIGIT
from live_digits.training import datasets
from live_digits.training.synthetic import fonts
from live_digits.training.synthetic.drawn_page import page
from live_digits.training.synthetic.glyphs import Glyphs, any_digit, any_other
from live_digits.training.synthetic.negatives import font_digits, negatives

pytest.importorskip("matplotlib", reason="its fonts are what is drawn; extra `train`")
pytest.importorskip("PIL", reason="draws the fonts; extra `train`")


GOOD = ("DejaVuSans.ttf", "DejaVuSerif-Italic.ttf", "STIXGeneral.ttf")
EMPTY = ("LastResortHE-Regular.ttf", "STIXSizOneSymReg.ttf")
"""One draws a box for every character, the other has no digits."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three fonts with digits, two without, and files that are no fonts."""
    import matplotlib

    out = tmp_path_factory.mktemp("fonts")
    ours = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name in (*GOOD, *EMPTY):
        shutil.copy(ours / name, out)
    (out / "broken.ttf").write_bytes(b"no font at all")
    (out / "notes.txt").write_text("not asked for", encoding="utf-8")
    return out


def test_fonts_without_digits_and_broken_files_are_named_and_left_out(folder: Path) -> None:
    said: list[str] = []
    found = fonts.load(folder, said.append)
    names = [f.name for f in found.faces]
    assert names == list(GOOD)
    assert [line.split(":")[0] for line in said] == [*EMPTY, "broken.ttf"]
    assert found.sha256 == fonts.load(folder).sha256
    for face in found.faces:
        assert face.digits.shape == (10, 84, 84)
        assert len({digit.tobytes() for digit in face.digits}) == 10
        assert len(face.others) == len(face.heights) > 30
        assert all(0.05 < h < 2 for h in face.heights)
        assert len(face.names) == len(face.drops) == len(face.others)


def test_a_folder_without_a_font_is_refused(tmp_path: Path) -> None:
    with pytest.raises(fonts.FontError, match=r"holds no font.*name another"):
        fonts.load(tmp_path)


def test_held_out_fonts_are_not_trained_with(folder: Path) -> None:
    ours, theirs = fonts.load(folder).split(3)
    assert (len(ours.labels), len(theirs.labels)) == (20, 10)
    one = fonts.alphabet(fonts.load(folder).faces[2:])
    assert np.array_equal(theirs.digits, one.digits)


def test_drawn_glyphs_are_legible_and_the_same_for_a_seed(folder: Path) -> None:
    """Every drawing of a printed digit looks more like a drawing of the same digit than of most
    others."""
    letters = fonts.alphabet(fonts.load(folder).faces)
    crops, labels = font_digits(300, letters, np.random.default_rng(5))
    again, _ = font_digits(300, letters, np.random.default_rng(5))
    assert np.array_equal(crops, again)
    assert set(labels.tolist()) == set(range(10))
    flat = crops.reshape(len(crops), -1).astype(np.float64)
    likeness = np.corrcoef(flat) - 2 * np.eye(len(flat))
    assert (labels[likeness.argmax(axis=1)] == labels).mean() > 0.75
    rng = np.random.default_rng(1)
    for height in (12, 64):
        ink, label = any_digit(letters, rng, height)
        assert ink.max() > 200
        assert 0 <= label <= 9
        assert any_other(letters, rng, height).max() > 200


def test_pages_and_crops_are_written_with_fonts(folder: Path) -> None:
    letters = fonts.alphabet(fonts.load(folder).faces)
    scans = np.zeros((10, 28, 28), np.uint8)
    scans[:, 4:24, 12:16] = 255
    plain = Glyphs(scans, np.arange(10, dtype=np.uint8))
    written = Glyphs(plain.crops, plain.labels, letters)
    pages = [page((4, i), written) for i in range(12)]
    assert any(p.digits for p in pages)
    assert all(np.array_equal(p.image, page((4, i), written).image) for i, p in enumerate(pages))
    assert any(not np.array_equal(p.image, page((4, i), plain).image) for i, p in enumerate(pages))
    mixed = negatives(40, written, np.random.default_rng(2))
    assert not np.array_equal(mixed, negatives(40, plain, np.random.default_rng(2)))


def test_the_pool_names_what_comes_from_fonts(folder: Path) -> None:
    letters = fonts.alphabet(fonts.load(folder).faces)
    crops = np.zeros((30, 28, 28), np.uint8)
    crops[:, 4:24, 10:18] = 255
    scans = datasets.DigitSet("scans", crops, np.arange(30, dtype=np.uint8) % 10, "none", "0")
    pool = datasets.assemble([scans], 20, 5, None, (1,), alphabet=letters, of_fonts=15)
    assert len(pool.of("fonts")[1]) == 15
    assert (pool.of("fonts")[1] != NOT_A_DIGIT).all()
    assert "fonts" not in datasets.assemble([scans], 20, 5, None, (1,)).sources
