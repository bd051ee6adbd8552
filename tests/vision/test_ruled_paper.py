"""Rulings, squares and tables: digits on them are found whole, and the lines are no digits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from page_kit import PAPER, SIZES, crossed_lines, hostile, missed, page, squared

from live_digits.core.geometry import Box
from live_digits.vision.detection import detect_candidates
from live_digits.vision.image_ops import threshold_mask
from live_digits.vision.ruled_lines import detect_ruled_lines


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


def test_a_ruling_goes_on_between_broad_strokes() -> None:
    dark = np.zeros((480, 640), np.uint8)
    for y in (100, 200, 300, 400):
        cv2.line(dark, (0, y), (639, y), 80, 5)
    strokes = range(40, 400, 44)
    for x in strokes:
        cv2.line(dark, (x, 172), (x, 228), 200, 16)
    lines = detect_ruled_lines(threshold_mask(dark, 0), dark).lines
    assert all(lines[200, x + 22] for x in strokes if x > 200)
    assert not any(lines[180, x] for x in strokes)


def test_lines_that_cross_a_ruling_leave_no_gap_in_it() -> None:
    dark, level = crossed_lines(1)
    lines = detect_ruled_lines(threshold_mask(dark, 0), dark).lines
    assert np.mean(lines[level] > 0) > 0.9


def test_a_line_that_is_found_as_a_narrow_one_is_no_broad_one() -> None:
    """Strokes are joined across a broad one from far away."""
    dark, _ = crossed_lines(5)
    assert not detect_ruled_lines(threshold_mask(dark, 0), dark).broad.any()


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
    lines = detect_ruled_lines(threshold_mask(dark, 0), dark).lines
    assert np.mean(lines[ruled > 0] > 0) > 0.9
    assert np.mean(lines[row > 0] > 0) < 0.15


def test_pencil_paler_than_the_squares_is_as_dark_as_itself() -> None:
    """Lines that are left in it, and where two of them cross, do not tell how dark it is."""
    grey, truth = page(1280, 720)
    pale = np.where(grey < 100, 195, grey).astype(np.uint8)
    ink = detect_candidates(squared(pale, 0.05, 3, 120), PAPER).stages.ink
    scale = ink.shape[1] / 1280
    for box in truth:
        x0, y0, x1, y1 = (int(v * scale) for v in (box.x, box.y, box.right, box.bottom))
        assert np.mean(ink[y0:y1, x0:x1] > 127) > 0.15


def test_a_dark_table_on_pale_squared_paper_is_no_ink() -> None:
    grey, truth = page(1280, 720)
    sheet = squared(grey, 0.0, 2, 190)
    boxes = [c.box for c in detect_candidates(sheet, PAPER).candidates]
    for x in range(20, 1280, 135):
        cv2.line(sheet, (x, 10), (x, 710), 60, 3, cv2.LINE_AA)
    for y in (15, 190, 360, 540, 700):
        cv2.line(sheet, (15, y), (1265, y), 60, 3, cv2.LINE_AA)
    assert missed(sheet, truth) <= 3
    assert len(detect_candidates(sheet, PAPER).candidates) <= 5 * len(boxes)


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
    slim = [c.box for c in detect_candidates(table, PAPER).candidates if c.box.w <= 4]
    assert len(slim) <= 4


def test_squared_paper_is_no_page_of_digits() -> None:
    for width, height in SIZES[:3]:
        assert len(detect_candidates(hostile("grid", width, height), PAPER).candidates) <= 3
