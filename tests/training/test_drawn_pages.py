"""Drawn pages that train: the same for a seed, true about what they hold, of every kind, without
a digit of a test split."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_digits.capture import demo_scene
from live_digits.reading.classes import LETTER, MARK, SIGN
from live_digits.training import datasets, sources
from live_digits.training.synthetic import drawn_page, photograph, vocabulary
from live_digits.training.synthetic import pages as sheets
from live_digits.training.synthetic.drawn_page import KINDS, Page, page
from live_digits.training.synthetic.glyphs import Glyphs
from live_digits.training.synthetic.symbols import (
    LOOK_ALIKES,
    NOTHING,
    OTHER,
    Scribe,
    Sheet,
    kind_of,
    write_text,
)

GLYPHS = Glyphs(*demo_scene.digit_pictures())


@pytest.fixture(scope="module")
def pages() -> dict[str, list[Page]]:
    return {kind: [page((7, n), GLYPHS, kind) for n in range(2)] for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_the_same_for_its_seed(pages: dict[str, list[Page]], kind: str) -> None:
    again = page((7, 1), GLYPHS, kind)
    first = pages[kind][1]
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.ids, again.ids)
    assert (first.digits, first.kinds, first.unreadable) == (
        again.digits,
        again.kinds,
        again.unreadable,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ids_tell_what_the_boxes_and_kinds_say(pages: dict[str, list[Page]], kind: str) -> None:
    for drawn in pages[kind]:
        height, width = drawn.ids.shape
        assert drawn.image.shape == (height, width, 3)
        assert drawn.image.dtype == np.uint8
        assert set(drawn.kinds) <= {LETTER, SIGN, MARK, NOTHING}
        assert int(drawn.ids.max(initial=0)) < OTHER + max(1, len(drawn.kinds))
        for box, value in drawn.digits:
            assert 0 <= value <= 9
            part = drawn.ids[box.y : box.bottom, box.x : box.right]
            own = np.bincount(part[(part > 0) & (part < OTHER)])
            number = int(own.argmax())
            assert number not in drawn.unreadable
            x, y, w, h = cv2.boundingRect((drawn.ids == number).astype(np.uint8))
            assert (x, y, w, h) == (box.x, box.y, box.w, box.h)
            assert x > 0
            assert y > 0
            assert x + w < width
            assert y + h < height


def test_each_kind_holds_what_it_is_named_for(pages: dict[str, list[Page]]) -> None:
    def marks(name: str) -> set[int]:
        return {kind for drawn in pages[name] for kind in drawn.kinds}

    assert LETTER in marks("notes") & marks("prose") & marks("letters")
    assert SIGN in marks("sums")
    assert MARK in marks("framed")
    assert not any(drawn.digits for name in ("letters", "print", "empty") for drawn in pages[name])
    assert sum(len(drawn.digits) for drawn in pages["crowd"]) > 60
    assert all(drawn.kinds == () and not drawn.ids.any() for drawn in pages["picture"])


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "picture"])
@pytest.mark.parametrize("height", [6.0, 40.0, 500.0])
def test_every_kind_can_be_written_at_every_height(kind: str, height: float) -> None:
    sheet = Sheet.blank((320, 240), np.random.default_rng(3), GLYPHS)
    KINDS[kind].write(sheet, height)
    assert int(sheet.ids.max()) <= max(len(sheet.ledger.digits), OTHER + len(sheet.ledger.kinds))


@given(st.text("0O1Il7ab(+/. ", min_size=1, max_size=8), st.data())
@settings(max_examples=60, deadline=None)
def test_look_alikes_teach_nothing_alone(text: str, choice: st.DataObject) -> None:
    at = choice.draw(st.integers(0, len(text) - 1))
    beside = text[at - 1 : at] + text[at + 1 : at + 2] if at else text[1:2]
    if text[at].isalpha():
        alone = not any(c.isalpha() for c in beside)
        expected = NOTHING if alone and text[at] in LOOK_ALIKES else LETTER
        assert kind_of(text, at) == expected
    elif not text[at].isdigit():
        assert kind_of(text, at) == SIGN


def test_a_text_is_written_mark_by_mark() -> None:
    sheet = Sheet.blank((900, 120), np.random.default_rng(1), GLYPHS)
    scribe = Scribe.random(sheet, source="strokes")
    write_text(sheet, scribe, "TEA 40 = x", 10, 90, 50)
    assert sheet.ledger.digits == [4, 0]
    assert sheet.ledger.kinds == [LETTER, LETTER, LETTER, SIGN, LETTER]
    order = [int(np.nonzero((sheet.ids == i).any(axis=0))[0].min())
             for i in (OTHER, OTHER + 1, OTHER + 2, 1, 2, OTHER + 3, OTHER + 4)]  # fmt: skip
    assert order == sorted(order)


def test_a_raised_digit_is_small_and_high() -> None:
    sheet = Sheet.blank((900, 160), np.random.default_rng(1), GLYPHS)
    write_text(sheet, Scribe.random(sheet, source="strokes"), "8^8", 10, 140, 80)
    assert sheet.ledger.digits == [8, 8]
    assert sheet.ledger.kinds == []
    base, raised = (np.nonzero((sheet.ids == i).any(axis=1))[0] for i in (1, 2))
    assert len(raised) < 0.75 * len(base)
    assert raised[-1] < base[-1] - 20


def test_roman_numerals_are_letters_and_strokes_that_count_are_marks() -> None:
    kinds: set[int] = set()
    for seed in range(12):
        sheet = Sheet.blank((900, 600), np.random.default_rng(seed), GLYPHS)
        sheets.numerals(sheet, 50)
        alike = {sheet.ledger.kinds[i - OTHER] for i in sheet.ledger.alike}
        assert alike <= {LETTER}, "an I is a 1 in shape"
        kinds |= set(sheet.ledger.kinds)
    assert kinds == {LETTER, MARK}


def test_what_only_its_surroundings_tell_from_a_digit_is_named() -> None:
    sheet = Sheet.blank((900, 120), np.random.default_rng(3), GLYPHS)
    write_text(sheet, Scribe.random(sheet, source="strokes"), "SOLE 5 / 2 + 1 = K", 10, 90, 40)
    named = sorted(i - OTHER for i in sheet.ledger.alike)
    assert named == [0, 1, 4], "S, O and the slash; L, E, +, = and K are like no digit"


def test_small_pictures_are_drawn_whatever_they_show() -> None:
    sizes = {page((8, n), GLYPHS, "lone").image.shape[:2] for n in range(40)}
    assert min(min(size) for size in sizes) <= 120


def test_what_was_wiped_off_teaches_nothing() -> None:
    sheet = Sheet.blank((640, 480), np.random.default_rng(2), GLYPHS)
    left = sheets.ghosts(sheet, 40)
    assert sheet.ledger.digits == []
    assert set(sheet.ledger.kinds) == {NOTHING}
    assert 0 < left.max() < 0.5


@pytest.mark.parametrize(
    ("ink", "height", "lost"), [(40, 60, False), (208, 60, True), (40, 7, True)]
)
def test_digits_that_nobody_can_read_are_left_out(ink: int, height: int, lost: bool) -> None:
    """A bar on light paper: plain to see, hardly darker than the paper, and too small."""
    image = np.full((240, 320, 3), 210, np.uint8)
    ids = np.zeros((240, 320), np.uint16)
    ids[100 : 100 + height, 150:156] = 1
    image[ids == 1] = ink
    boxes = drawn_page._boxes(ids, 1)
    assert boxes[1].h == height
    assert (photograph.unreadable(image, ids, boxes) == {1}) is lost


def photographed(folder: Path, count: int = 400) -> None:
    """A file laid out as the photographed characters are, each crop with a number of its own."""
    rng = np.random.default_rng(4)
    crops = np.zeros((count, 28, 28), np.uint8)
    raws, sizes = [], []
    for row in range(count):
        crops[row, 4:24, 10:18] = 255
        crops[row, 0, :9] = [255 * (row >> bit & 1) for bit in range(9)]
        raw = np.full((34, 26), 220, np.uint8)
        raw[6:28, 9:15] = 40
        raws.append(raw.ravel())
        sizes.append(raw.shape)
    ends = np.concatenate([[0], np.cumsum([r.size for r in raws])])
    letters = rng.choice(np.array(list("0123456789abO")), count)
    np.savez(folder / "photo_chars.npz", x=crops, y=letters, raw=np.concatenate(raws),
             raw_hw=np.array(sizes, np.uint16), raw_off=ends)  # fmt: skip


def test_no_photographed_digit_of_the_test_part_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "normalised", lambda pictures: pictures)
    photographed(tmp_path)
    (train,) = datasets.extras(tmp_path, "train")
    (test,) = datasets.extras(tmp_path, "test")
    digits, labels = datasets.test_arrays(tmp_path / "photo_chars.npz")
    ours, theirs = ({crop.tobytes() for crop in s.crops} for s in (train, test))
    assert not ours & theirs
    assert {crop.tobytes() for crop in digits} == theirs
    assert np.array_equal(labels, test.labels)
    assert 0.12 < len(theirs) / (len(ours) + len(theirs)) < 0.3
    writing, named = sources.writing(tmp_path)
    assert len(writing.photographed) == len(train.labels)
    assert set(writing.letters) == {"a", "b", "O"}
    assert [s.name for s in named] == ["photo_chars"]


def test_sets_without_a_licence_or_kept_as_tests_do_not_train(tmp_path: Path) -> None:
    crops, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10)
    crops[:, 4:24, 12:16] = 255
    for name in ("usps", "semeion", "nsysu_digits"):
        np.savez(tmp_path / f"{name}.npz", x=crops, y=labels, x_train=crops, y_train=labels,
                 x_test=crops, y_test=labels)  # fmt: skip
    assert datasets.extras(tmp_path, "train") == []
    assert len(datasets.extras(tmp_path, "test")) == 3


def test_broken_sources_are_named(tmp_path: Path) -> None:
    (tmp_path / "hds_shapes.npz").write_bytes(b"no arrays")
    with pytest.raises(datasets.DataError, match=r"hds_shapes\.npz.*fetch it again"):
        sources.writing(tmp_path)
    with pytest.raises(datasets.DataError, match="holds no picture"):
        sources.scenery(None, tmp_path)
    said: list[str] = []
    writing, named = sources.writing(None, said.append)
    assert not writing.letters
    assert named == ()
    assert len(said) == 7


def test_real_pictures_are_shown_by_what_they_are(tmp_path: Path) -> None:
    """Pages with scenery differ from those without, and a whole picture has no ids."""
    rng = np.random.default_rng(8)
    for name in ("blank_a.jpg", "desk_b.png", "text_c.jpg", "tile_d.jpg", "crumple_e.jpg"):
        picture = cv2.resize(rng.integers(90, 250, (6, 8, 3)).astype(np.uint8), (400, 300))
        cv2.imwrite(str(tmp_path / name), picture)
    found, named = sources.scenery(tmp_path, tmp_path)
    assert [p.name for p in found.sheets] == ["blank_a.jpg"]
    assert len(found.rooms) == 5
    assert named[0].name == "backgrounds"
    assert len(named) == 6
    assert all(s.name.startswith("rooms/") for s in named[1:])
    with_them = Glyphs(GLYPHS.crops, GLYPHS.labels, scenery=found)
    drawn = [page((9, n), with_them, "picture") for n in range(4)]
    assert all(not p.ids.any() and p.digits == () for p in drawn)
    plain = [page((9, n), GLYPHS, "picture") for n in range(4)]
    assert any(not np.array_equal(a.image, b.image) for a, b in zip(drawn, plain, strict=True))


def test_texts_hold_no_digit_unless_they_are_numbers() -> None:
    rng = np.random.default_rng(6)
    for _ in range(300):
        assert vocabulary.word(rng).isalpha()
        assert len(vocabulary.word(rng)) > 1
        assert vocabulary.number(rng).isdigit()
        assert any(c.isdigit() for c in vocabulary.figure(rng) + vocabulary.calculation(rng))
    assert not any(c.isdigit() for c in vocabulary.sentence(rng, 400, 0.0))
