"""Pieces of ink → proposals: bounded, true to the ink, and with the right reading among them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live_digits.core.geometry import Box
from live_digits.core.types import Image
from live_digits.vision.segmentation import MOST_PROPOSALS, Blob, Proposal, propose, union

Labels = npt.NDArray[np.int32]
Found = tuple[tuple[Proposal, ...], Labels]


def proposals_of(ink: Image) -> Found:
    """What is proposed for a binary picture, and the labels afterwards."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    blobs = [
        Blob(i, Box(*(int(v) for v in stats[i, :4])), int(stats[i, cv2.CC_STAT_AREA]))
        for i in range(1, count)
    ]
    pieces = np.asarray(labels, np.int32)
    return propose(blobs, pieces), pieces


def page(width: int = 320, height: int = 200) -> Image:
    return np.zeros((height, width), np.uint8)


def write(ink: Image, text: str, x: int, y: int, size: float = 2.0, weight: int = 4) -> Box:
    """Writes a text with its lower left corner at x, y; its box."""
    own = np.zeros_like(ink)
    cv2.putText(own, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight)
    ink[own > 127] = 255
    return tight(own > 127)


def tight(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def best(found: tuple[Proposal, ...], box: Box) -> Proposal:
    return max(found, key=lambda p: p.box.iou(box))


def offered_with_all_ink(ink: Image, box: Box) -> None:
    """Asserts that the ink is proposed as one digit in this box."""
    found, pieces = proposals_of(ink)
    whole = best(found, box)
    assert whole.box == box
    assert set(np.unique(pieces[ink > 0])) == set(whole.component_ids)


@st.composite
def inks(draw: st.DrawFn) -> Image:
    """Binary pictures of blocks, bars and blots with some paper around."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from(((1, 1), (2, 9), (5, 7), (9, 16), (14, 24))))
    small = rng.random(shape) < draw(st.sampled_from((0.1, 0.25, 0.5, 0.9)))
    down, across, margin = (
        draw(st.sampled_from(sides)) for sides in ((9, 4, 1), (9, 4, 1), (3, 0))
    )
    large = small.repeat(down, axis=0).repeat(across, axis=1)
    return np.pad(np.where(large, 255, 0).astype(np.uint8), margin)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(inks())
def test_proposals_are_made_of_ink_and_of_all_of_it(ink: Image) -> None:
    found, labels = proposals_of(ink)
    np.testing.assert_array_equal(labels > 0, ink > 0)
    assert len({p.component_ids for p in found}) == len(found) <= MOST_PROPOSALS
    for p in found:
        own = np.isin(labels, list(p.component_ids))
        assert p.box == tight(own)
        assert p.ink == own.sum()
        assert p.component_ids <= set(np.unique(labels).tolist()) - {0}
    assert [(p.box.y, p.box.x) for p in found] == sorted((p.box.y, p.box.x) for p in found)


def test_digits_apart_are_proposed_once_each() -> None:
    ink = page(640, 200)
    boxes = [write(ink, str(d), 20 + 60 * d, 120) for d in range(10)]
    found, _ = proposals_of(ink)
    assert sorted(p.box.x for p in found if p.is_whole) == [b.x for b in boxes]
    for box in boxes:
        assert best(found, box).box == box
        assert best(found, box).is_whole


def touching(first: str, second: str) -> tuple[Image, Box, Box]:
    """Two digits side by side that a short stroke joins where they are nearest, and their boxes."""
    left_ink, right_ink, probe = page(), page(), page()
    left = write(left_ink, first, 60, 120, weight=3)
    x = 60 + left.right + 1 - write(probe, second, 60, 120, weight=3).x
    right = write(right_ink, second, x, 120, weight=3)
    a, b = np.argwhere(left_ink), np.argwhere(right_ink)
    apart = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    i, j = np.unravel_index(apart.argmin(), apart.shape)
    ink = left_ink | right_ink
    (y0, x0), (y1, x1) = a[i].tolist(), b[j].tolist()
    cv2.line(ink, (x0, y0), (x1, y1), 255, 2)
    return ink, left, right


@pytest.mark.parametrize("text", ["73", "50", "28", "46", "90", "38"])
def test_touching_digits_are_offered_as_a_cut_pair(text: str) -> None:
    ink, left, right = touching(*text)
    assert cv2.connectedComponents(ink)[0] == 2
    found, _ = proposals_of(ink)
    a, b = best(found, left), best(found, right)
    assert a.box.iou(left) > 0.75
    assert b.box.iou(right) > 0.75
    assert not a.component_ids & b.component_ids
    whole = best(found, union((left, right)))
    assert whole.box == tight(ink > 0)
    assert whole.is_whole
    assert not a.is_whole
    assert not b.is_whole
    assert whole.component_ids >= a.component_ids | b.component_ids


def test_a_row_of_touching_digits_is_offered_digit_by_digit() -> None:
    ink = page(640, 200)
    boxes = [write(ink, d, 40 + 41 * i, 120) for i, d in enumerate("2356")]
    ink[98:101, boxes[0].x + 8 : boxes[-1].right - 8] = 255
    assert cv2.connectedComponents(ink)[0] == 2
    found, _ = proposals_of(ink)
    picked = [best(found, box) for box in boxes]
    assert min(p.box.iou(b) for p, b in zip(picked, boxes, strict=True)) > 0.6
    assert sum(len(p.component_ids) for p in picked) == len(
        frozenset().union(*(p.component_ids for p in picked))
    )


def five(gap: int) -> tuple[Image, Box, Box]:
    """A 5 whose bar floats `gap` pixels off, and the boxes of the hook and the bar."""
    ink = page()
    cv2.ellipse(ink, (100, 110), (20, 24), 0, -110, 120, 255, 4)
    cv2.line(ink, (92, 70), (90, 88), 255, 4)
    hook = tight(ink > 0)
    bar = Box(98 + gap, 64, 26, 5)
    ink[bar.y : bar.bottom, bar.x : bar.right] = 255
    return ink, hook, bar


@pytest.mark.parametrize("gap", [0, 3, 6])
def test_a_five_and_its_separate_bar_are_offered_as_one(gap: int) -> None:
    ink, hook, bar = five(gap)
    assert cv2.connectedComponents(ink)[0] == 3
    found, _ = proposals_of(ink)
    joined = best(found, union((hook, bar)))
    assert joined.box == union((hook, bar))
    assert len(joined.component_ids) == 2
    assert best(found, hook).box == hook
    assert all(p.box != bar for p in found)


def test_a_bar_far_away_is_no_part_of_a_digit() -> None:
    ink, hook, _ = five(90)
    found, _ = proposals_of(ink)
    assert [p.box for p in found] == [hook]


def test_a_zero_is_offered_with_the_speck_inside_it_and_first_without() -> None:
    ink = page()
    cv2.ellipse(ink, (100, 100), (22, 34), 0, 0, 360, 255, 4)
    ring, alone = tight(ink > 0), np.count_nonzero(ink)
    cv2.circle(ink, (100, 100), 6, 255, -1)
    found, _ = proposals_of(ink)
    whole = [p for p in found if p.box == ring]
    assert [p.ink for p in whole if p.is_whole] == [alone]
    assert np.count_nonzero(ink) in [p.ink for p in whole if not p.is_whole]


def test_halves_of_a_broken_digit_are_offered_as_one() -> None:
    ink = page()
    cv2.ellipse(ink, (100, 100), (20, 32), 0, 0, 360, 255, 4)
    ring = tight(ink > 0)
    ink[:, 98:102] = 0
    assert cv2.connectedComponents(ink)[0] == 3
    offered_with_all_ink(ink, ring)


def slanted_five(across: int) -> tuple[Image, Box, Box]:
    """A wide 5 in two halves of about one height, the upper one `across` pixels to the right."""
    ink = page()
    cv2.line(ink, (100, 82), (108, 64), 255, 4)
    cv2.line(ink, (108, 64), (146, 60), 255, 4)
    upper = tight(ink > 0)
    cv2.ellipse(ink, (126 - across, 104), (14, 13), 0, -90, 110, 255, 4)
    cv2.line(ink, (126 - across, 91), (114 - across, 92), 255, 4)
    return ink, upper, tight((ink > 0) & (np.arange(ink.shape[0]) > upper.bottom)[:, None])


@pytest.mark.parametrize("across", [10, 20, 30])
def test_a_wide_five_whose_halves_lie_over_each_other_is_offered_as_one(across: int) -> None:
    ink, upper, lower = slanted_five(across)
    assert cv2.connectedComponents(ink)[0] == 3
    offered_with_all_ink(ink, union((upper, lower)))


def three_in_pieces() -> tuple[Image, Box]:
    """A 3 in three pieces of which none is near each of the others."""
    ink = page()
    cv2.line(ink, (80, 60), (124, 60), 255, 4)
    cv2.line(ink, (124, 70), (102, 88), 255, 4)
    cv2.ellipse(ink, (100, 112), (26, 18), 0, -60, 130, 255, 4)
    return ink, tight(ink > 0)


def test_a_digit_in_three_pieces_is_offered_as_one() -> None:
    ink, whole = three_in_pieces()
    assert cv2.connectedComponents(ink)[0] == 4
    offered_with_all_ink(ink, whole)


def frame(ink: Image) -> Box:
    """Four lines that do not quite touch, and the box of what they frame."""
    for x in (80, 140):
        cv2.line(ink, (x, 45), (x, 125), 255, 1)
    for y in (40, 130):
        cv2.line(ink, (84, y), (136, y), 255, 1)
    return tight(ink > 0)


def test_pieces_around_other_ink_are_a_frame_and_no_digit() -> None:
    empty, full = page(), page()
    around = frame(empty)
    assert around == frame(full)
    assert any(p.box == around for p in proposals_of(empty)[0])
    digit = write(full, "5", 95, 100, 1.2, 4)
    found = proposals_of(full)[0]
    assert any(p.box == digit and p.is_whole for p in found)
    assert all(p.ink == np.count_nonzero(full) for p in found if p.box == around)


def test_digits_far_from_each_other_are_offered_by_themselves() -> None:
    ink = page()
    boxes = {write(ink, text, x, 120, 1.0) for text, x in (("1", 20), ("7", 90), ("3", 160))}
    found = proposals_of(ink)[0]
    assert {p.box for p in found if p.is_whole} == boxes
    assert all(p.box.w <= max(b.w for b in boxes) for p in found)


@pytest.mark.parametrize("box", [Box(50, 50, 60, 8), Box(50, 50, 200, 20), Box(50, 50, 40, 14)])
def test_dashes_are_not_proposed_as_a_whole(box: Box) -> None:
    ink = page()
    ink[box.y : box.bottom, box.x : box.right] = 255
    found, _ = proposals_of(ink)
    assert all(p.box != box for p in found)
    ink[box.y : box.y + 40, box.x : box.x + 20] = 0
    ink[box.y : box.y + 40, box.x : box.x + 14] = 255
    assert any(p.box.h == 40 for p in proposals_of(ink)[0])


@pytest.mark.parametrize("height", [1, 5, 8])
def test_what_is_too_low_is_no_digit(height: int) -> None:
    ink = page()
    ink[50 : 50 + height, 50:56] = 255
    assert proposals_of(ink)[0] == ()
    ink[50:59, 50:56] = 255
    assert [p.box for p in proposals_of(ink)[0]] == [Box(50, 50, 6, 9)]


def test_a_digit_cut_by_the_frames_edge_is_still_proposed() -> None:
    ink = page()
    ink[80:120, 0:12] = 255
    assert [p.box for p in proposals_of(ink)[0]] == [Box(0, 80, 12, 40)]


@pytest.mark.parametrize("kind", ["ticks", "touching", "specks around digits", "noise"])
def test_the_number_of_proposals_is_bounded(kind: str) -> None:
    rng = np.random.default_rng(1)
    ink = page(1000, 700)
    if kind == "noise":
        ink[:200, :300] = np.where(rng.random((200, 300)) < 0.33, 255, 0)
    for x in range(5, 985, 14):
        for y in range(5, 680, 16):
            if kind == "ticks":
                ink[y : y + 12, x : x + 4] = 255
            elif kind == "touching" and y % 48 == 5:
                ink[y : y + 24, x : x + 8] = 255
                ink[y + 11 : y + 13, x : x + (8 if x // 14 % 5 == 4 else 14)] = 255
            elif kind.startswith("specks"):
                ink[y : y + rng.integers(2, 15), x : x + rng.integers(2, 12)] = 255
    found, _ = proposals_of(ink)
    assert 0 < len(found) <= MOST_PROPOSALS


@pytest.mark.parametrize("around", ["circle", "box", "bar"])
def test_digits_that_touch_what_is_drawn_around_them_are_offered_without_it(around: str) -> None:
    ink = page()
    left, right = write(ink, "5", 100, 120), write(ink, "2", 142, 120)
    both = union((left, right))
    if around == "circle":
        cv2.ellipse(ink, (round(both.centre[0]), 101), (both.w // 2 + 12, 30), 0, 0, 360, 255, 4)
        cv2.line(ink, (left.x, 100), (left.x - 12, 100), 255, 4)
    elif around == "box":
        cv2.rectangle(ink, (left.x - 6, 70), (right.right + 6, left.bottom + 1), 255, 4)
    else:
        cv2.line(ink, (left.x - 6, left.bottom), (right.right + 6, left.bottom), 255, 4)
    assert cv2.connectedComponents(ink)[0] <= 3
    found, _ = proposals_of(ink)
    assert best(found, left).box.iou(left) > 0.7
    assert best(found, right).box.iou(right) > 0.7


def test_digits_that_lean_into_each_other_are_cut_along_the_gap_between_them() -> None:
    """No straight line parts them: a 7's foot lies under the bar of the next."""
    ink = page()
    boxes = []
    for x in (60, 98):
        own = page()
        cv2.polylines(own, [np.array([(x, 60), (x + 44, 60), (x + 4, 130)])], False, 255, 4)
        ink |= own
        boxes.append(tight(own > 0))
    cv2.line(ink, (100, 60), (100, 60), 255, 4)
    assert cv2.connectedComponents(ink)[0] == 2
    found, _ = proposals_of(ink)
    assert all(best(found, box).box.iou(box) > 0.8 for box in boxes)


def test_no_ink_no_proposals() -> None:
    assert proposals_of(page())[0] == ()
    assert propose([], np.zeros((1, 1), np.int32)) == ()


@given(
    st.lists(st.builds(Box, *(st.integers(-50, 50),) * 2, *(st.integers(1, 50),) * 2), min_size=1)
)
def test_a_union_holds_all_and_no_more(boxes: list[Box]) -> None:
    around = union(boxes)
    assert all(around.iou(b) * (around.area) == pytest.approx(b.area) for b in boxes)
    assert around.x in {b.x for b in boxes}
    assert around.y in {b.y for b in boxes}
    assert around.right in {b.right for b in boxes}
    assert around.bottom in {b.bottom for b in boxes}
