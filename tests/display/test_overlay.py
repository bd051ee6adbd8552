"""The drawn picture: never the frame itself, nothing cut off."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from overlay_kit import FULL, PATH, SIZES, STATUSES, Text, paper, reading, refused

from live_digits.core.geometry import Box
from live_digits.core.types import AIR, Digit, Reading
from live_digits.display import overlay
from live_digits.display.keymap import KEYMAP
from live_digits.display.overlay import draw, draw_hud, draw_readings
from live_digits.display.status import AirDrawing, GestureProgress, HudStatus

# --- purity ---


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_frame_is_never_drawn_on(width: int, height: int, status: HudStatus) -> None:
    image = paper(width, height)
    before = image.copy()
    image.flags.writeable = False
    out = draw(image, reading(width, height, ("12 34", "5")), status)
    np.testing.assert_array_equal(image, before)
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert out.flags.writeable
    assert not np.shares_memory(out, image)
    assert (out != image).any()


def test_an_empty_reading_is_the_frame_itself() -> None:
    image = paper(640, 480)
    out = draw_readings(image, Reading("x", 0, 0.0, 640, 480))
    np.testing.assert_array_equal(out, image)
    assert not np.shares_memory(out, image)


BOXES = st.builds(
    Box, st.integers(-50, 200), st.integers(-50, 200), st.integers(0, 300), st.integers(0, 300)
)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.lists(BOXES, max_size=4),
    st.text(max_size=30),
    st.booleans(),
)
def test_any_boxes_and_words_on_any_picture(
    width: int, height: int, boxes: list[Box], words: str, asked: bool
) -> None:
    digits = tuple(Digit(b, 7, 0.7, 1) for b in boxes)
    what = Reading("x", 0, 0.0, width, height, digits, (words, "1 2"), tuple(boxes),
                   refused(boxes))  # fmt: skip
    status = HudStatus(source=words, message=words, help=asked, recording_s=1.0)
    assert draw(paper(width, height), what, status).shape == (height, width, 3)


# --- no signal ---


@pytest.mark.parametrize("shade", [0, 90, 255])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (160, 120), *SIZES])
def test_no_signal_stands_large_and_alone_over_the_grey_picture(
    texts: list[Text], width: int, height: int, shade: int
) -> None:
    image = paper(width, height, shade)
    image[..., 0] //= 2
    status = HudStatus("camera 0", width, height, message="trying again", silent_s=7.9)
    out = draw(image, Reading("x", 0, 0.0, width, height), status)
    (title,) = (t for t in texts if t.text == "NO SIGNAL")
    assert title.inside()
    assert title.right - title.x >= 0.3 * width
    assert abs((title.x + title.right) / 2 - width / 2) <= 2
    assert abs((title.top + title.base) / 2 - height / 2) < 0.2 * height
    inside = out[title.top : title.base, title.x : title.right]
    assert int(inside.max()) - int(np.median(inside)) > 120, "white on dark, whatever lies below"
    ages = [t for t in texts if t.text == "last frame 7 s ago"]
    assert len(ages) == (1 if height >= 100 else 0)
    corner = out[-3:, -3:].astype(int)
    assert np.ptp(corner, axis=2).max() == 0
    assert abs(corner.mean() - image[-3:, -3:].mean()) > 10, "not as bright as a live picture"
    for text in texts:
        apart = text.base < title.top or text.top > title.base
        assert text is title or apart, f"{text.text} lies over it"
        assert text.inside()


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.99, "0 s"), (59.9, "59 s"), (61, "1 min 01 s"), (7500, "2 h 05 min")]
)
def test_the_last_frames_age_is_said_in_whole_units(
    texts: list[Text], seconds: float, said: str
) -> None:
    image = paper(640, 480)
    draw(image, Reading("x", 0, 0.0, 640, 480), HudStatus("camera 0", 640, 480, silent_s=seconds))
    assert f"last frame {said} ago" in [t.text for t in texts]


# --- nothing is cut off ---


@pytest.mark.parametrize("status", STATUSES.values(), ids=STATUSES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_text_is_whole_and_inside(
    texts: list[Text], width: int, height: int, status: HudStatus
) -> None:
    lines = ("1234567890 " * 30, *(f"{n} 12345 678" for n in range(40)))
    draw(paper(width, height), reading(width, height, lines), status)
    assert [t for t in texts if not t.inside()] == []
    assert len([t for t in texts if t.text.isdigit() and len(t.text) == 1]) == 7


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_digit_and_its_confidence_are_written_beside_its_box(
    texts: list[Text], width: int, height: int, shade: int
) -> None:
    what = reading(width, height)
    draw_readings(paper(width, height, max(shade, 20)), what)
    written = [t.text for t in texts]
    for d in what.digits:
        at = written.index(str(d.digit))
        assert written[at + 1] == f"{d.confidence * 100:.0f}"
        text, unit = texts[at], max(0.62, height / 720)
        assert abs(text.x - max(0, d.box.x)) <= d.box.w + 60 * unit
        assert min(abs(text.base - d.box.y), abs(text.top - d.box.bottom)) <= d.box.h + 40 * unit
    texts.clear()
    draw_readings(paper(width, height), what, confidence=False)
    assert [t.text for t in texts] == [str(d.digit) for d in what.digits]


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_a_label_does_not_cover_its_digit(texts: list[Text], width: int, height: int) -> None:
    size = height // 8
    for y in (0, height // 2, height - size):
        box = Box(width // 2, y, size // 2, size)
        texts.clear()
        draw_readings(
            paper(width, height), Reading("x", 0, 0.0, width, height, (Digit(box, 5, 0.95, 1),))
        )
        assert [t.text for t in texts] == ["5", "95"]
        assert all(t.base <= box.y or t.top >= box.bottom for t in texts)


def test_sure_and_unsure_digits_differ_in_colour() -> None:
    def outline(confidence: float) -> tuple[int, ...]:
        digit = Digit(Box(300, 300, 60, 90), 5, confidence, 1)
        out = draw_readings(paper(640, 480, 220), Reading("x", 0, 0.0, 640, 480, (digit,)))
        return tuple(out[345, 298].tolist())

    assert outline(0.99) != outline(0.7)
    assert outline(0.99) == outline(0.95)


def test_rejected_and_pending_boxes_are_drawn_without_a_digit(texts: list[Text]) -> None:
    image, box = paper(640, 480, 220), Box(300, 200, 40, 60)
    for what in (
        Reading("x", 0, 0.0, 640, 480, rejected=refused([box])),
        Reading("x", 0, 0.0, 640, 480, pending=(box,)),
    ):
        out = draw_readings(image, what)
        assert (out[200:260, 300] != image[200:260, 300]).any(axis=-1).all()
        inner = (slice(205, 255), slice(305, 335))
        np.testing.assert_array_equal(out[inner], image[inner])
    assert texts == []
    rejected = draw_readings(image, Reading("x", 0, 0.0, 640, 480, rejected=refused([box])))
    pending = draw_readings(image, Reading("x", 0, 0.0, 640, 480, pending=(box,)))
    assert (rejected != pending).any()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_help_names_every_key_and_fits(texts: list[Text], width: int, height: int) -> None:
    out = paper(width, height)
    draw_hud(out, HudStatus(help=True))
    written = {t.text for t in texts}
    for key in KEYMAP.values():
        assert {key.name, key.text} <= written
    names = {key.name for key in KEYMAP.values()}
    rows = sorted({t.base for t in texts if t.text in names})
    assert len(rows) == len(KEYMAP)
    assert all(b - a >= 3 for a, b in pairwise(rows))
    assert all(t.inside() for t in texts)


def test_the_bar_keeps_its_first_parts_and_the_recording_mark(texts: list[Text]) -> None:
    draw_hud(paper(640, 480), FULL)
    written = [t.text for t in texts]
    assert {"62:05 (12 lost)", "FROZEN", FULL.source, "1920x1080"} <= set(written)
    bar = sorted((t for t in texts if t.base < 60), key=lambda t: t.x)
    assert all(a.right <= b.x for a, b in pairwise(bar))
    texts.clear()
    draw_hud(paper(1920, 1080), FULL)
    wide = " ".join(t.text for t in texts)
    for part in ("30.0 fps", "latency 41 ms", "dropped 3", "batch 12 in 2.5 ms", "cnn, paper"):
        assert part in wide


def test_an_error_goes_before_a_message_and_is_red(texts: list[Text]) -> None:
    out = paper(1280, 720, 255)
    draw_hud(out, HudStatus(message="saved", error="camera gone"))
    assert [t.text for t in texts if t.base > 360] == ["camera gone"]
    (note,) = (t for t in texts if t.text == "camera gone")
    b, g, r = out[note.base + 4, note.x - 4].astype(int).tolist()
    assert r > b + 50
    assert r > g + 50


def test_a_long_message_is_shown_whole_over_several_lines(texts: list[Text]) -> None:
    draw_hud(paper(640, 480), HudStatus(message=PATH))
    shown = [t.text for t in texts if t.base > 240]
    assert len(shown) > 1
    assert "".join(shown).replace(" ", "") == PATH.replace(" ", "")


def test_text_lines_are_listed_in_order_and_many_end_with_an_ellipsis(texts: list[Text]) -> None:
    few = ("462", "119 7", "753")
    draw_readings(paper(1280, 720), Reading("x", 0, 0.0, 1280, 720, lines=few))
    assert [t.text for t in sorted(texts, key=lambda t: t.base)] == list(few)
    texts.clear()
    draw_readings(paper(1280, 720), Reading("x", 0, 0.0, 1280, 720, lines=("1",) * 60))
    assert [t.text for t in texts][-1] == "..."
    assert 10 < len(texts) < 30


@pytest.mark.parametrize("shade", [20, 255])
def test_words_stand_out_from_any_ground(shade: int, texts: list[Text]) -> None:
    out = paper(1280, 720, shade)
    draw_hud(out, HudStatus(source="demo"))
    (text,) = (t for t in texts if t.text == "demo")
    part = out[text.top : text.base, text.x : text.right].max(axis=-1)
    assert int(np.percentile(part, 95)) - int(np.percentile(part, 20)) > 100


# --- hands ---


def ring_share(share: float, width: int, height: int) -> int:
    """Pixels of a ring that are filled."""
    blank = np.full((height, width, 3), 200, np.uint8)
    status = HudStatus(ring=GestureProgress("open_palm", share, 0.5, 0.5))
    picture = draw(blank, Reading("", 0, 0.0, width, height), status)
    return int((picture == np.array(overlay._SURE)).all(axis=2).sum())


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720)])
def test_a_ring_fills(width: int, height: int) -> None:
    sizes = [ring_share(share, width, height) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.1 * sizes[-1]
    assert sizes[2] == pytest.approx(sizes[-1] / 2, rel=0.2)


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_a_ring_stays_inside_the_picture(x: float) -> None:
    blank = np.full((240, 320, 3), 200, np.uint8)
    for y in (0.0, 1.0):
        status = HudStatus(ring=GestureProgress("two_fingers", 1.0, x, y))
        picture = draw(blank, Reading("", 0, 0.0, 320, 240), status)
        filled = (picture == np.array(overlay._SURE)).all(axis=2)
        assert filled.sum() > 300


def test_a_stroke_lies_where_the_finger_drew_it_whatever_the_size() -> None:
    stroke = np.array([(0.25, 0.5), (0.75, 0.5)], np.float32)
    for width, height in ((320, 240), (1280, 720)):
        blank = np.full((height, width, 3), 200, np.uint8)
        status = HudStatus(air=AirDrawing("", (stroke,), (0.75, 0.5), True))
        picture = draw(blank, Reading("", 0, 0.0, width, height), status)
        ink = (picture == np.array(overlay._INK)).all(axis=2)
        assert ink[height // 2, width // 4 : 2 * width // 3].all()
        assert not ink[height // 2, : width // 5].any()
        assert not ink[height // 4, :].any()


def test_the_number_in_the_air_is_written_and_its_boxes_are_not() -> None:
    blank = np.full((480, 640, 3), 200, np.uint8)
    digit = Digit(Box(100, 100, 60, 90), 7, 0.9, -1, AIR)
    reading = Reading("", 0, 0.0, 640, 480, (digit,))
    plain = draw(blank, Reading("", 0, 0.0, 640, 480), HudStatus())
    np.testing.assert_array_equal(draw(blank, reading, HudStatus()), plain)
    widths = []
    for number in ("", "7", "71", "7" * 24):
        picture = draw(blank, reading, HudStatus(air=AirDrawing(number)))
        changed = (picture != plain).any(axis=2)
        assert not changed[: 480 // 2].any()
        widths.append(int(changed.any(axis=0).sum()))
    assert widths[0] <= widths[1] <= widths[2] < widths[3] < 400
