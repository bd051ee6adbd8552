"""The profile `paper`: digits found where they are, on any paper in any light."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from fakes import FakeClassifier
from page_kit import PAPER, SIZES, distance, page, shadowed

from live_digits import ink as inks
from live_digits import segment
from live_digits.config import Settings
from live_digits.ink import light_on_dark
from live_digits.pipeline import crops, find
from live_digits.pixels import above
from live_digits.reader import read_picture
from live_digits.rulings import rulings
from live_digits.training.render import Page
from live_digits.training.truths import crops_of
from live_digits.types import Box, Frame, Image


def grained(grey: Image) -> Image:
    noise = np.random.default_rng(6).normal(0, 4, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


LIGHTS: dict[str, Callable[[Image], Image]] = {
    "plain": lambda grey: grey,
    "shadow": shadowed,
    "grain": grained,
    "pale": lambda grey: np.where(grey < 100, 190, grey).astype(np.uint8),
    "chalk": lambda grey: np.where(grey < 100, 220, 40).astype(np.uint8),
    "negative": lambda grey: (255 - grey).astype(np.uint8),
}


@pytest.mark.parametrize(
    ("width", "height", "light"),
    [(w, h, light) for w, h in SIZES for light in LIGHTS],
)
def test_drawn_digits_are_found_tight(width: int, height: int, light: str) -> None:
    grey, truth = page(width, height)
    image = np.asarray(cv2.cvtColor(LIGHTS[light](grey), cv2.COLOR_GRAY2BGR), np.uint8)
    vision = find(image, PAPER)
    whole = [c.box for c in vision.candidates if c.primary]
    assert 10 <= len(whole) <= (12 if light == "shadow" else 10)
    # A grainy picture is softened: boxes may be a working pixel wider.
    loose = max(2, round(1 / vision.scale)) if light == "grain" else 2
    for box in truth:
        assert min(distance(box, found) for found in whole) <= loose


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_crops_of_a_page_are_the_same_at_any_resolution(width: int, height: int) -> None:
    def by_digit(w: int, h: int) -> npt.NDArray[np.float64]:
        grey, truth = page(w, h)
        vision = find(grey, PAPER)
        boxes = [c.box for c in vision.candidates]
        best = [min(range(len(boxes)), key=lambda i: distance(boxes[i], t)) for t in truth]
        return crops(vision, best).astype(np.float64)

    small, large = by_digit(853, 480), by_digit(width, height)
    apart = np.abs(small[:, None] - large[None]).mean(axis=(2, 3))
    # One of ten may be shifted or thickened by a whole pixel of its crop.
    assert np.count_nonzero(apart.argmin(axis=1) == np.arange(10)) >= 9
    assert apart.diagonal().mean() < 15


def test_crops_of_paper_hold_one_digit_without_its_neighbours() -> None:
    grey = np.full((240, 320), 225, np.uint8)
    cv2.line(grey, (100, 60), (140, 180), 60, 6)
    cv2.line(grey, (125, 60), (165, 180), 60, 6)
    vision = find(grey, PAPER)
    whole = [i for i, c in enumerate(vision.candidates) if c.primary]
    left, right = (crops(vision, [i])[0] for i in whole)
    assert cv2.connectedComponents(left)[0] == cv2.connectedComponents(right)[0] == 2
    assert np.abs(left.astype(int) - right).mean() < 6


def missed(image: Image, truth: Sequence[Box]) -> int:
    """Digits that no whole piece of ink lies on within 8 pixels."""
    whole = [c.box for c in find(image, PAPER).candidates if c.primary]
    return sum(min((distance(t, box) for box in whole), default=99) > 8 for t in truth)


def squared(grey: Image, lean: float, width: int, shade: int) -> Image:
    """The page on squared paper that lies turned before the camera; the pen is darker."""
    h, w = grey.shape
    paper = np.full((h, w), 225, np.uint8)
    for at in range(-w, max(h, w) + w, 40):
        cv2.line(paper, (0, at), (w, round(at + lean * w)), shade, width, cv2.LINE_AA)
        cv2.line(paper, (at, 0), (round(at - lean * h), h), shade, width, cv2.LINE_AA)
    return np.minimum(grey, paper)


@pytest.mark.parametrize("lean", [0.0, 0.05, 0.1, 0.15, -0.2, 0.25])
@pytest.mark.parametrize(("width", "shade"), [(1, 110), (3, 150)])
def test_digits_on_turned_squared_paper_are_found(lean: float, width: int, shade: int) -> None:
    grey, truth = page(1280, 720)
    assert missed(squared(grey, lean, width, shade), truth) <= 1


@pytest.mark.parametrize("lean", [0.0, -0.05, 0.1])
@pytest.mark.parametrize(("width", "shade"), [(11, 150), (13, 120)])
def test_digits_on_broad_lines_close_before_the_camera_are_found(
    lean: float, width: int, shade: int
) -> None:
    grey, truth = page(1280, 720)
    paper = np.full_like(grey, 225)
    for at in range(-150, 900, 105):
        cv2.line(paper, (0, at), (1280, round(at + lean * 1280)), shade, width, cv2.LINE_AA)
    assert missed(np.minimum(grey, paper), truth) <= 2


def test_pencil_as_dark_as_an_upright_ruling_is_no_rest_of_it() -> None:
    """A 0 has strokes at both sides of the line, a 1 leans across it."""
    paper = squared(np.full((480, 640), 225, np.uint8), 0.0, 2, 165)
    truth = [Box(x - 17, 204, 35, 72) for x in (160, 280, 400)]
    for box in truth:
        cv2.ellipse(paper, (box.x + 17, 240), (15, 34), 0, 0, 360, 150, 4, cv2.LINE_AA)
    cv2.line(paper, (528, 280), (512, 200), 150, 5, cv2.LINE_AA)
    truth.append(Box(509, 197, 22, 86))
    assert missed(np.asarray(cv2.blur(paper, (3, 3)), np.uint8), truth) == 0


@pytest.mark.parametrize(("x", "read"), [(0, False), (300, True), (634, False)])
def test_what_the_picture_cuts_off_is_no_1(x: int, read: bool) -> None:
    grey = np.full((480, 640), 225, np.uint8)
    grey[200:260, x : x + 6] = 60
    found = read_picture(
        Frame(grey[..., None].repeat(3, axis=2), 0, 0.0), Settings(), FakeClassifier(1)
    )
    assert [d.digit for d in found.digits] == [1] * read


def test_a_ruling_goes_on_between_broad_strokes() -> None:
    dark = np.zeros((480, 640), np.uint8)
    for y in (100, 200, 300, 400):
        cv2.line(dark, (0, y), (639, y), 80, 5)
    strokes = range(40, 400, 44)
    for x in strokes:
        cv2.line(dark, (x, 172), (x, 228), 200, 16)
    lines = rulings(above(dark, 0), dark).lines
    assert all(lines[200, x + 22] for x in strokes if x > 200)
    assert not any(lines[180, x] for x in strokes)


def crossed_lines(width: int) -> tuple[Image, npt.NDArray[np.bool_]]:
    """How dark four level rulings and many of this width across are, and where a level one runs
    alone."""
    dark, across = np.zeros((480, 640), np.uint8), np.zeros((480, 640), np.uint8)
    for y in (100, 200, 300, 400):
        cv2.line(dark, (0, y), (639, y), 80, width)
    level = dark > 0
    for x in range(8, 640, 15):
        cv2.line(across, (x, 0), (x, 479), 80, 3)
    return np.maximum(dark, across), level & (cv2.dilate(across, np.ones((3, 7))) == 0)


def test_lines_that_cross_a_ruling_leave_no_gap_in_it() -> None:
    dark, level = crossed_lines(1)
    lines = rulings(above(dark, 0), dark).lines
    assert np.mean(lines[level] > 0) > 0.9


def test_a_line_that_is_found_as_a_narrow_one_is_no_broad_one() -> None:
    """Strokes are joined across a broad one from far away."""
    dark, _ = crossed_lines(5)
    assert not rulings(above(dark, 0), dark).broad.any()


def test_digits_as_pale_as_the_ruling_that_they_stand_on_are_no_part_of_it() -> None:
    """Strokes that are closer than a crossing is wide grow together with the line."""
    ruled, row = np.zeros((480, 640), np.uint8), np.zeros((480, 640), np.uint8)
    for y in range(40, 480, 40):
        cv2.line(ruled, (0, y), (639, y - 12), 80, 2)
    for y in (200, 280):
        for i, x in enumerate(range(250, 590, 16)):
            at = x, y - round(12 * x / 640) + 4 + 5 * i % 7
            cv2.putText(row, str(i % 10), at, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 80, 2)
    row[ruled > 0] = 0
    dark = np.maximum(ruled, row)
    lines = rulings(above(dark, 0), dark).lines
    assert np.mean(lines[ruled > 0] > 0) > 0.9
    assert np.mean(lines[row > 0] > 0) < 0.15


def test_pencil_paler_than_the_squares_is_as_dark_as_itself() -> None:
    """Lines that are left in it, and where two of them cross, do not tell how dark it is."""
    grey, truth = page(1280, 720)
    pale = np.where(grey < 100, 195, grey).astype(np.uint8)
    ink = find(squared(pale, 0.05, 3, 120), PAPER).stages.ink
    scale = ink.shape[1] / 1280
    for box in truth:
        x0, y0, x1, y1 = (int(v * scale) for v in (box.x, box.y, box.right, box.bottom))
        assert np.mean(ink[y0:y1, x0:x1] > 127) > 0.15


def test_a_pale_0_that_touches_a_dark_5_is_ink() -> None:
    sheet = np.full((480, 640), 225, np.uint8)
    cv2.putText(sheet, "5", (300, 270), cv2.FONT_HERSHEY_SIMPLEX, 2.5, 50, 7, cv2.LINE_AA)
    cv2.ellipse(sheet, (270, 245), (26, 28), 0, 0, 360, 150, 3, cv2.LINE_AA)
    cv2.line(sheet, (290, 262), (308, 264), 150, 3, cv2.LINE_AA)
    boxes = [c.box for c in find(sheet, PAPER).candidates]
    assert max(box.iou(Box(242, 216, 56, 58)) for box in boxes) > 0.8


def test_a_dark_table_on_pale_squared_paper_is_no_ink() -> None:
    grey, truth = page(1280, 720)
    sheet = squared(grey, 0.0, 2, 190)
    boxes = [c.box for c in find(sheet, PAPER).candidates]
    for x in range(20, 1280, 135):
        cv2.line(sheet, (x, 10), (x, 710), 60, 3, cv2.LINE_AA)
    for y in (15, 190, 360, 540, 700):
        cv2.line(sheet, (15, y), (1265, y), 60, 3, cv2.LINE_AA)
    assert missed(sheet, truth) <= 3
    assert len(find(sheet, PAPER).candidates) <= 2 * len(boxes) + 20


def test_what_is_left_of_a_hard_rulings_middle_is_no_digit() -> None:
    """A table's upright lines: soft and pale, their middle far darker in places."""
    grey, _ = page(1280, 720)
    table = grey.copy()
    for x in range(30, 1280, 130):
        cv2.line(table, (x, 0), (x, 720), 170, 3)
        for y in range(40, 680, 90):
            cv2.line(table, (x, y), (x, y + 28), 70, 1)
    for y in range(20, 720, 85):
        cv2.line(table, (0, y), (1280, y), 170, 3)
    slim = [c.box for c in find(table, PAPER).candidates if c.box.w <= 4]
    assert len(slim) <= 4


@pytest.mark.parametrize("deviation", [1.0, 3.0, 8.0])
def test_grain_is_measured_beside_ink_and_shadow(deviation: float) -> None:
    grey, _ = page(1280, 720)
    noise = np.random.default_rng(3).normal(0, deviation, grey.shape)
    noisy = np.clip(shadowed(grey) + noise, 0, 255).round().astype(np.uint8)
    assert abs(inks.grain_of(noisy) - deviation) < 0.15 * deviation
    assert not np.array_equal(inks.calmed(noisy), noisy)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (30, 30), (720, 1280)])
def test_a_quiet_picture_is_not_softened(size: tuple[int, int]) -> None:
    quiet = np.full(size, 200, np.uint8)
    quiet[:: max(1, size[0] // 3)] = 60
    assert inks.calmed(quiet) is quiet


def test_pale_digits_are_found_whole_in_a_poor_light() -> None:
    grey, truth = page(1280, 720)
    dim = 90 + (grey.astype(np.float64) - 225) * 0.09
    noise = np.random.default_rng(4).normal(0, 8, grey.shape)
    poor = np.clip(dim + noise, 0, 255).astype(np.uint8)
    assert missed(poor, truth) <= 1
    assert sum(c.primary for c in find(poor, PAPER).candidates) <= 12


@pytest.mark.parametrize("step", [4, 8, 24])
def test_a_ruled_sheet_on_a_black_desk_is_no_board(step: int) -> None:
    """Its corners are light and narrow too, and stand out more than faint rulings do."""
    desk = np.full((720, 1280), 8, np.uint8)
    sheet = np.full((420, 620), 105, np.uint8)
    sheet[::step] = 88
    desk[150:570, 330:950] = sheet
    turn = cv2.getRotationMatrix2D((640, 360), 9, 1.0)
    assert not light_on_dark(np.asarray(cv2.warpAffine(desk, turn, (1280, 720)), np.uint8))


def few_digits(ink: int, ground: int) -> Image:
    picture = np.full((960, 640), ground, np.uint8)
    for number, (x, y) in enumerate([(60, 90), (520, 200), (580, 440), (210, 800), (420, 650)]):
        cv2.putText(picture, str(number + 3), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 1)
    return picture


def dim_page(ink: int, ground: int) -> Image:
    grey, _ = page(1280, 720)
    noise = np.random.default_rng(8).normal(0, 0.8, grey.shape)
    return np.clip(np.where(grey < 100, ink, ground) + noise, 0, 255).astype(np.uint8)


def squares(ink: int, ground: int) -> Image:
    """A squared sheet on a desk: what is between its lines is as narrow as a stroke."""
    grey, _ = page(1280, 720)
    line = (ink + ground) // 2
    sheet = np.full_like(grey, ground)
    sheet[::22], sheet[1::22], sheet[:, ::22], sheet[:, 1::22] = line, line, line, line
    sheet[grey < 100] = ink
    sheet[:, :180] = 70
    return sheet


@pytest.mark.parametrize(
    ("drawn", "ink", "ground"),
    [
        (few_digits, 70, 0), (few_digits, 6, 40), (dim_page, 24, 2), (dim_page, 6, 40),
        (squares, 24, 2), (squares, 6, 40), (squares, 130, 12),
    ],
)  # fmt: skip
def test_a_board_is_told_from_paper(
    drawn: Callable[[int, int], Image], ink: int, ground: int
) -> None:
    assert light_on_dark(drawn(ink, ground)) == (ink > ground)


def test_training_sees_boards_and_rulings_as_the_default_network_has() -> None:
    """Else `train` makes another network than the one that comes with the program."""
    assert not light_on_dark(dim_page(24, 2), as_trained=True)
    (fine, level), (wide, _) = crossed_lines(1), crossed_lines(5)
    lines = rulings(above(fine, 0), fine, as_trained=True).lines
    assert np.mean(lines[level] > 0) < 0.9
    assert rulings(above(wide, 0), wide, as_trained=True).broad.any()
    grey, boxes = page(1280, 720)
    ids = np.zeros(grey.shape, np.uint16)
    for number, b in enumerate(boxes, 1):
        ids[b.y : b.bottom, b.x : b.right][grey[b.y : b.bottom, b.x : b.right] < 100] = number
    digits = tuple((box, number) for number, box in enumerate(boxes))
    board = Page(
        np.asarray(cv2.cvtColor(dim_page(24, 2), cv2.COLOR_GRAY2BGR), np.uint8), digits, ids
    )
    assert crops_of(board).found == 0
    assert len(find(board.image, PAPER).candidates) >= len(boxes)


MUCH_GRAIN = pytest.mark.xfail(
    strict=True, reason="ink.darkness stretches the grain of a blank page until it is ink"
)


ONE = FakeClassifier(1)


def beside_a_step(ink: int, left: int, right: int) -> Image:
    """An upright stroke between two shades of paper."""
    image = np.full((480, 640), right, np.uint8)
    image[:, :320] = left
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8)
    image[160:320, 314:326] = ink
    return image


@pytest.mark.parametrize(("ink", "left", "right"), [(40, 220, 220), (40, 220, 185), (60, 140, 122)])
def test_a_stroke_where_a_shadow_begins_is_a_1(ink: int, left: int, right: int) -> None:
    (one,) = find(beside_a_step(ink, left, right), PAPER).candidates
    assert one.sides == pytest.approx((left - right) / ((left + right) / 2 - ink), abs=0.08)
    read = read_picture(Frame(beside_a_step(ink, left, right), 0, 0.0), Settings(), ONE)
    assert [d.digit for d in read.digits] == [1]


@pytest.mark.parametrize(("ink", "left", "right"), [(150, 220, 180), (80, 220, 130)])
def test_a_stroke_little_darker_than_its_sides_differ_is_an_edge(
    ink: int, left: int, right: int
) -> None:
    image = beside_a_step(ink, left, right)
    assert find(image, PAPER).candidates
    assert read_picture(Frame(image, 0, 0.0), Settings(), ONE).digits == ()


@pytest.mark.parametrize(
    ("width", "height", "grain"),
    [
        pytest.param(w, h, grain, marks=[MUCH_GRAIN] if (w, grain) == (640, 15) else [])
        for w, h in SIZES[:3]
        for grain in (0.0, 2.0, 4.0, 6.0, 15.0)
    ],
)
def test_a_blank_page_holds_next_to_nothing(width: int, height: int, grain: float) -> None:
    noise = np.random.default_rng(7).normal(0, grain, (height, width)) if grain else 0.0
    blank = np.clip(np.full((height, width), 210.0) + noise, 0, 255).astype(np.uint8)
    assert len(find(blank, PAPER).candidates) <= 2
    assert sum(c.primary for c in find(shadowed(blank), PAPER).candidates) <= 3


def hostile(kind: str, width: int, height: int) -> Image:
    rng = np.random.default_rng(8)
    if kind == "noise":
        return rng.integers(0, 256, (height, width), np.uint8)
    if kind == "blocks":
        small = np.where(rng.random((height // 6, width // 6)) < 0.3, 40, 220).astype(np.uint8)
        return np.asarray(cv2.resize(small, (width, height), interpolation=0), np.uint8)
    image = np.full((height, width), 220, np.uint8)
    if kind == "grid":
        image[:: height // 40] = image[:, :: height // 40] = 90
    for x in range(4, width - 12, 12):
        for y in range(4, height - 16, 16):
            if kind == "ticks":
                image[y : y + 11, x : x + 3] = 60
            elif kind == "rings":
                cv2.circle(image, (x + 5, y + 7), 5, 60, 1)
    return image


@pytest.mark.parametrize("kind", ["noise", "blocks", "grid", "ticks", "rings"])
def test_candidates_are_bounded_on_hostile_pages(kind: str) -> None:
    for width, height in SIZES[:3]:
        vision = find(hostile(kind, width, height), PAPER)
        assert len(vision.candidates) <= segment.MOST_PROPOSALS
        assert crops(vision).shape == (len(vision.candidates), 28, 28)


def test_squared_paper_is_no_page_of_digits() -> None:
    for width, height in SIZES[:3]:
        assert len(find(hostile("grid", width, height), PAPER).candidates) <= 3


def test_the_threshold_slider_decides_what_is_ink() -> None:
    def count(threshold: int) -> int:
        vision = find(page(640, 480)[0], replace(PAPER, threshold=threshold))
        return sum(c.primary for c in vision.candidates)

    assert count(5) == 0
    assert count(120) == count(0) == 10


def test_canny_sliders_out_of_reach_leave_no_ink_without_an_edge() -> None:
    faint = np.where(page(640, 480)[0] < 100, 195, 225).astype(np.uint8)
    assert sum(c.primary for c in find(faint, PAPER).candidates) == 10
    deaf = replace(PAPER, canny_low=255, canny_ratio=7)
    assert find(faint, deaf).candidates == ()
