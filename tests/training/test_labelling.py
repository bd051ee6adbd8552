"""What each candidate of a drawn page is taught as, by the ink it is made of."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from page_kit import vision_of

from live_digits.core.geometry import Box
from live_digits.core.types import Candidate, Image
from live_digits.reading.classes import LETTER, MARK, PART, SIGN
from live_digits.training.labelling import UNTAUGHT, labelled, labels_of, read_as
from live_digits.training.synthetic.drawn_page import Page
from live_digits.training.synthetic.symbols import OTHER

A, B = Box(100, 100, 30, 50), Box(150, 100, 30, 50)
"""Two digits, 7 and 3, of ids 1 and 2."""
STRAY = Box(220, 100, 30, 50)


def ids_of(parts: dict[int, Box]) -> npt.NDArray[np.uint16]:
    out = np.zeros((300, 400), np.uint16)
    for mark, box in parts.items():
        out[box.y : box.bottom, box.x : box.right] = mark
    return out


def taught(
    components: list[Box], candidates: list[set[int]], parts: dict[int, Box],
    kinds: tuple[int, ...] = (), unreadable: frozenset[int] = frozenset(),
) -> list[int]:  # fmt: skip
    """The classes of candidates made of components (numbered from 1) of a page with these ids."""
    paper = np.full((300, 400), 200, np.uint8)
    vision = vision_of(paper, components)
    made = []
    for pieces in candidates:
        mine = [components[p - 1] for p in pieces]
        x, y = min(b.x for b in mine), min(b.y for b in mine)
        box = Box(x, y, max(b.right for b in mine) - x, max(b.bottom for b in mine) - y)
        made.append(Candidate(box, frozenset(pieces), len(pieces) == 1, sum(b.area for b in mine)))
    vision = replace(vision, candidates=tuple(made), boxes=tuple(c.box for c in made))
    ids = ids_of(parts)
    digits = tuple((parts[m], d) for m, d in ((1, 7), (2, 3)) if m in parts and m not in unreadable)
    page = Page(np.repeat(paper[..., None], 3, axis=2), digits, ids, kinds, unreadable)
    return [int(label) for label in labels_of(vision, page, ids)[0]]


def test_a_digits_own_candidate_is_the_digit() -> None:
    assert taught([A, B], [{1}, {2}], {1: A, 2: B}) == [7, 3]


def test_two_digits_in_one_box_are_a_part() -> None:
    assert taught([A, B], [{1}, {2}, {1, 2}], {1: A, 2: B}) == [7, 3, PART]


def test_a_blob_of_two_digits_is_a_part() -> None:
    both = Box(100, 100, 60, 50)
    left, right = Box(100, 100, 30, 50), Box(130, 100, 30, 50)
    assert taught([both], [{1}], {1: left, 2: right}) == [PART]


def test_halves_of_a_digit_are_parts_and_the_whole_is_the_digit() -> None:
    upper, lower = Box(100, 100, 30, 25), Box(100, 125, 30, 25)
    assert taught([upper, lower], [{1}, {2}, {1, 2}], {1: A}) == [PART, PART, 7]


def test_nearly_all_of_a_digit_is_not_taught_as_a_part() -> None:
    most, rest = Box(100, 100, 30, 35), Box(100, 135, 30, 15)
    assert taught([most, rest], [{1}, {2}, {1, 2}], {1: A}) == [UNTAUGHT, PART, 7]


def test_of_two_candidates_for_a_digit_one_is_taught_and_the_other_is_its_twin() -> None:
    speck = Box(132, 100, 2, 50)
    for order in ([{1}, {1, 2}], [{1, 2}, {1}]):
        labels = taught([A, speck], order, {1: A})
        assert sorted(labels) == [-2 - 7, 7]
        assert labels[order.index({1})] == 7, "the purer one"
        assert list(read_as(np.array(labels, np.int8))) == [7, 7]


@pytest.mark.parametrize("kind", [LETTER, SIGN, MARK, UNTAUGHT])
def test_other_marks_are_what_the_page_says(kind: int) -> None:
    assert taught([STRAY], [{1}], {OTHER: STRAY}, (kind,)) == [kind]


def test_what_is_printed_on_the_paper_is_a_mark() -> None:
    assert taught([STRAY], [{1}], {}) == [MARK]


def test_a_digit_with_a_letter_is_a_part_and_with_much_of_the_paper_nothing() -> None:
    assert taught([A, STRAY], [{1, 2}], {1: A, OTHER: STRAY}, (LETTER,)) == [PART]
    ruling = Box(100, 152, 60, 10)
    assert taught([A, ruling], [{1, 2}], {1: A}) == [UNTAUGHT]


def test_digits_that_nobody_could_read_teach_nothing() -> None:
    assert taught([A], [{1}], {1: A}, unreadable=frozenset((1,))) == [UNTAUGHT]


def test_digits_that_the_picture_cuts_off_teach_nothing() -> None:
    """They have ids, but are not among the page's digits."""
    page = Page(np.zeros((300, 400, 3), np.uint8), (), ids_of({1: A}))
    vision = vision_of(np.full((300, 400), 200, np.uint8), [A])
    assert list(labels_of(vision, page, page.ids)[0]) == [UNTAUGHT]


# --- found by the program ---


def written() -> Page:
    """A page with 8, 3, 5 and a letter, an operator, and a printed line that belongs to nobody."""
    image = np.full((480, 800), 225, np.uint8)
    ids = np.zeros(image.shape, np.uint16)
    marks = ((1, "8", 80), (2, "3", 200), (3, "5", 320), (OTHER, "K", 440), (OTHER + 1, "+", 560))
    boxes = {}
    for mark, text, x in marks:
        ink = np.zeros_like(image)
        cv2.putText(ink, text, (x, 260), cv2.FONT_HERSHEY_SIMPLEX, 3, 255, 8)
        image[ink > 0], ids[ink > 0] = 60, mark
        at = cv2.boundingRect(ink)
        boxes[mark] = Box(*(int(v) for v in at))
    cv2.rectangle(image, (660, 180), (700, 260), 60, 6)
    digits = tuple((boxes[m], d) for m, d in ((1, 8), (2, 3), (3, 5)))
    colours: Image = np.repeat(image[..., None], 3, axis=2)
    return Page(colours, digits, ids, (LETTER, SIGN))


def test_a_drawn_page_is_labelled_as_it_was_written() -> None:
    page = written()
    found = labelled(page)
    assert (found.found, found.digits) == (3, 3)
    assert len(found.cutouts) == len(found.labels) == len(found.candidates)
    for box, digit in page.digits:
        alike = [c.box.iou(box) for c in found.candidates]
        assert found.labels[alike.index(max(alike))] == digit
    for at, kind in ((460, LETTER), (580, SIGN), (680, MARK)):
        there = [
            int(label)
            for c, label in zip(found.candidates, found.labels, strict=True)
            if c.is_whole and c.box.x <= at <= c.box.right and c.box.w < 100
        ]
        assert there == [kind]
    taught_digits = [int(d) for d in found.labels if 0 <= d < 10]
    assert sorted(taught_digits) == [3, 5, 8]


def test_a_digit_of_which_nothing_is_left_teaches_nothing() -> None:
    """Light and lens may leave a blot where the page says that a digit stands."""
    page = written()
    image = page.image.copy()
    box = page.digits[1][0]
    image[box.y : box.bottom, box.x : box.right] = 60
    found = labelled(replace(page, image=image))
    assert not (found.labels == 3).any()
    assert found.found == 2
