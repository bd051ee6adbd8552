"""Frame, reading and status → a new picture. Pure: nothing that is handed in is written to.

All sizes follow the picture's height, all text stands on dark plates: legible at any resolution, on
white paper and on black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Image, Reading
from live_digits.display.drawing import (
    PAD,
    PLATE,
    SOFT,
    TEXT,
    TINY,
    WHITE,
    draw_text,
    fill_panel,
    font_scale_to_fit,
    limit_lines,
    line_thickness,
    text_size,
    truncate,
    unit_of,
    wrap_text,
)
from live_digits.display.keymap import KEYMAP
from live_digits.display.status import AirDrawing, GestureProgress, HudStatus

_SURE = (150, 168, 24)
"""BGR: teal, for digits read with confidence."""
_UNSURE = (64, 158, 228)
"""Amber, for digits read with less than `_SURE_FROM`."""
_QUIET = (168, 160, 152)
_ALARM = (66, 66, 214)
_SURE_FROM = 0.9
_GREYED, _GREYED_LIFT = 0.45, 20
"""What becomes of the grey levels of a last frame: share kept, and levels added."""
_SIGNAL_WIDTH, _SIGNAL_HEIGHT = 0.6, 0.12
"""The most that NO SIGNAL takes of the picture's width and height."""
_ROOM_FOR_BAR, _ROOM_FOR_NOTE = 100, 200
"""Rows from which there is room for the bar and for a message beside NO SIGNAL."""
_SIGNAL_PIXELS = 240
"""A small picture gives it more: so much, if it can."""
_SMALLEST_BELOW = 0.4
_BELOW = (0, 0, 0)
_EVERY_FRAME = 0.8
"""Vision looks at every frame if it does at this share of them."""
_INK = (90, 214, 250)
"""BGR: yellow, for what a finger writes."""
_AIR_NAME = "written in the air"
_MOST_LINES = 14
"""Text lines listed at most; a page of more ends with an ellipsis."""


def draw(image: Image, reading: Reading, status: HudStatus, confidence: bool = True) -> Image:
    """The annotated picture: uint8 BGR, the size of `image` (uint8 BGR H×W×3).

    `reading` is in the pixels of `image`; `confidence` writes each digit's percentage.
    """
    out = draw_readings(image, reading, confidence)
    draw_hud(out, status)
    return out


def draw_readings(image: Image, reading: Reading, confidence: bool = True) -> Image:
    """The picture with its boxes, digits and text lines, without a status bar."""
    out: Image = np.array(image, np.uint8)
    unit = unit_of(out)
    for box in (r.box for r in reading.rejected):
        _frame(out, box, _QUIET, 1)
    for box in reading.pending:
        _frame(out, box, _QUIET, max(1, round(unit)))
        _dots(out, box, unit)
    for digit in reading.digits:
        if not digit.origin:
            _digit(out, digit, unit, confidence)
    _lines(out, reading.lines, unit)
    return out


def draw_hud(out: Image, status: HudStatus) -> None:
    """Greys `out` where the signal is gone, then writes the status bar, recording mark, messages
    and help onto it."""
    unit = unit_of(out)
    silent = status.silent_s is not None
    if status.silent_s is not None:
        _no_signal(out, status.silent_s)
    else:
        if status.air:
            _air(out, status.air, unit)
        if status.ring:
            _ring(out, status.ring, unit)
    if not silent or out.shape[0] >= _ROOM_FOR_BAR:
        _bar(out, status, unit)
    if silent and out.shape[0] < _ROOM_FOR_NOTE:
        return
    if status.error:
        _note(out, status.error, unit, _ALARM)
    elif status.message:
        _note(out, status.message, unit, PLATE)
    if status.help:
        _help(out, unit)


def _no_signal(image: Image, seconds: float) -> None:
    """The last frame in grey, half as bright, and over it that it is the last, and how old."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    image[:] = cv2.convertScaleAbs(grey, alpha=_GREYED, beta=_GREYED_LIFT)[..., None]
    title, below = "NO SIGNAL", f"last frame {_ago(seconds)} ago"
    room = max(_SIGNAL_WIDTH * width, min(_SIGNAL_PIXELS, 0.92 * width))
    size = font_scale_to_fit(
        title, room, max(_SIGNAL_HEIGHT * height, min(_SIGNAL_PIXELS / 8, height / 3))
    )
    small = min(max(0.5 * size, _SMALLEST_BELOW), font_scale_to_fit(below, room, height / 4))
    (w, h), (sw, sh) = text_size(title, size), text_size(below, small)
    pad = max(1, round(0.6 * h))
    if height < _ROOM_FOR_BAR:
        below, sw, sh = "", 0, 0
    tall = h + sh + (3 if below else 2) * pad
    x, y = (width - w) // 2, (height - tall) // 2
    wide = max(w, sw) + 2 * pad
    left = max(0, (width - wide) // 2)
    cv2.rectangle(image, (left, max(0, y)), (left + wide, y + tall), PLATE, cv2.FILLED)
    cv2.rectangle(image, (left, max(0, y)), (left + wide, y + tall), _ALARM, line_thickness(size))
    draw_text(image, title, x, y + pad + h, size)
    draw_text(image, below, (width - sw) // 2, y + 2 * pad + h + sh, small, SOFT)


def _ago(seconds: float) -> str:
    """7 s, 2 min 05 s, 1 h 02 min: whole units, so that nothing races."""
    s = int(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60} min {s % 60:02} s"
    return f"{s // 3600} h {s % 3600 // 60:02} min"


def _frame(image: Image, box: Box, colour: Any, width: int) -> None:
    cv2.rectangle(image, (box.x, box.y), (box.right - 1, box.bottom - 1), colour, width)


def _digit(image: Image, digit: Digit, unit: float, confidence: bool) -> None:
    colour = _SURE if digit.confidence >= _SURE_FROM else _UNSURE
    box = digit.box
    margin = max(2, round(2 * unit))
    around = Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin)
    _frame(image, around, colour, max(1, round(1.6 * unit)))
    size = float(np.clip(box.h / 60, 0.55 * unit, 1.25 * unit))
    text = str(digit.digit)
    w, h = text_size(text, size)
    small = size * 0.5
    extra = f"{digit.confidence * 100:.0f}" if confidence else ""
    ew, _ = text_size(extra, small) if extra else (0, 0)
    pad = max(2, round(3 * unit))
    plate_w, plate_h = w + 2 * pad + (ew + pad if extra else 0), h + 2 * pad
    x = int(np.clip(around.x, 0, max(0, image.shape[1] - plate_w)))
    y = around.y - plate_h
    if y < 0:
        y = min(around.bottom, image.shape[0] - plate_h)
    y = max(0, y)
    cv2.rectangle(image, (x, y), (x + plate_w, y + plate_h), PLATE, cv2.FILLED)
    cv2.rectangle(image, (x, y), (x + max(2, pad - 1), y + plate_h), colour, cv2.FILLED)
    draw_text(image, text, x + pad + max(1, pad // 2), y + pad + h, size)
    if extra:
        draw_text(image, extra, x + w + 2 * pad + pad // 2, y + pad + h, small, SOFT)


def _dots(image: Image, box: Box, unit: float) -> None:
    """An ellipsis over a box whose reading is on its way."""
    r = max(1, round(2 * unit))
    y = max(r + 1, box.y - 4 * r)
    for i in range(3):
        at = box.x + r + i * 4 * r, y
        cv2.circle(image, at, r + 1, _BELOW, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(image, at, r, WHITE, cv2.FILLED, cv2.LINE_AA)


def _bar(image: Image, status: HudStatus, unit: float) -> None:
    """The line on top: what is seen, how fast, and whether it records. Long bars lose their last
    parts rather than run out of the picture."""
    size = TEXT * unit
    _, h = text_size("Ag0", size)
    pad = round(PAD * unit)
    width = image.shape[1]
    fill_panel(image, 0, 0, width, h + 2 * pad)
    right = width - pad
    if status.recording_s is not None:
        minutes, seconds = divmod(int(status.recording_s), 60)
        text = f"{minutes:02d}:{seconds:02d}"
        if status.recording_dropped:
            text += f" ({status.recording_dropped} lost)"
        w, _ = text_size(text, size)
        right -= w
        draw_text(image, text, right, pad + h, size)
        radius = max(3, round(5.5 * unit))
        right -= 2 * radius + pad // 2
        at = right + radius, pad + h // 2
        cv2.circle(image, at, radius, _ALARM, cv2.FILLED, cv2.LINE_AA)
        right -= pad
    if status.frozen:
        w, _ = text_size("FROZEN", size)
        right -= w
        draw_text(image, "FROZEN", right, pad + h, size, _UNSURE)
        right -= pad
    x = pad
    for i, part in enumerate(_parts(status)):
        w, _ = text_size(part, size)
        if x + w > right:
            break
        draw_text(image, part, x, pad + h, size, WHITE if i in (0, 2) else SOFT)
        x += w + round(1.6 * pad)


def _parts(status: HudStatus) -> list[str]:
    """The pieces of the bar, the most important first."""
    parts = [
        status.source or "no source",
        f"{status.width}x{status.height}",
        f"{status.fps:.1f} fps",
    ]
    if status.view != "result":
        parts.append(f"view: {status.view}")
    parts += [
        f"latency {status.latency_ms:.0f} ms",
        f"dropped {status.dropped}",
        f"vision {status.vision_ms:.0f} ms{_sparse(status)}",
        f"batch {status.batch} in {status.inference_ms:.1f} ms",
        f"{status.model}, {status.profile}" if status.model else status.profile,
        "h: help",
    ]
    return parts


def _sparse(status: HudStatus) -> str:
    """How often vision looks, where that is not at every frame: the machine cannot do more."""
    sparse = 0 < status.vision_fps < _EVERY_FRAME * status.fps
    return f", {status.vision_fps:.0f} times a second" if sparse else ""


def _air(image: Image, air: AirDrawing, unit: float) -> None:
    """Strokes where the finger drew them, its tip, and the number so far in the corner."""
    height, width = image.shape[:2]
    size = np.array([width, height], np.float32)
    thick = max(3, round(7 * unit))
    paths = [np.rint(s * size).astype(np.int32)[:, None] for s in air.strokes]
    for colour, more in ((PLATE, 2), (_INK, 0)):
        cv2.polylines(image, paths, False, colour, thick + 2 * more, cv2.LINE_AA)
    if air.tip:
        at = round(air.tip[0] * width), round(air.tip[1] * height)
        radius = max(4, round(9 * unit))
        cv2.circle(image, at, radius + 1, PLATE, 2, cv2.LINE_AA)
        cv2.circle(image, at, radius, _INK, cv2.FILLED if air.down else 2, cv2.LINE_AA)
    digits, caption = 2.2 * unit, TEXT * unit
    pad = round(PAD * unit)
    number = air.number or " "
    while len(number) > 1 and text_size(number, digits)[0] > width // 2:
        number = number[1:]
    (w, h), (name_w, name_h) = text_size(number, digits), text_size(_AIR_NAME, caption)
    _, digit_h = text_size("0", digits)
    plate_w, plate_h = max(w, name_w) + 4 * pad, max(h, digit_h) + name_h + 4 * pad
    x, y = width - pad - plate_w, height - pad - plate_h
    fill_panel(image, x, y, plate_w, plate_h)
    fill_panel(image, x, y, plate_w, plate_h)
    name_x = x + (plate_w - name_w) // 2
    draw_text(image, _AIR_NAME, name_x, y + pad + name_h, caption, SOFT)
    draw_text(image, number, x + (plate_w - w) // 2, y + plate_h - pad, digits, _INK)


def _ring(image: Image, ring: GestureProgress, unit: float) -> None:
    """A ring around the wrist that fills while a gesture is held, and the gesture's name."""
    height, width = image.shape[:2]
    radius, thick = round(34 * unit), max(3, round(7 * unit))
    x = int(np.clip(ring.x * width, radius + thick, width - radius - thick))
    y = int(np.clip(ring.y * height, radius + thick, height - radius - thick))
    size = (radius, radius)
    cv2.ellipse(image, (x, y), size, 0, 0, 360, PLATE, thick + 4, cv2.LINE_AA)
    cv2.ellipse(image, (x, y), size, 0, 0, 360, _QUIET, thick, cv2.LINE_AA)
    cv2.ellipse(image, (x, y), size, -90, 0, 360 * ring.share, _SURE, thick, cv2.LINE_AA)
    name = ring.name.replace("_", " ")
    w, h = text_size(name, TEXT * unit)
    pad = round(PAD * unit)
    left = int(np.clip(x - w // 2 - pad, 0, max(0, width - w - 2 * pad)))
    top = y - radius - thick - h - 3 * pad
    if top < 0:
        top = y + radius + thick + pad
    fill_panel(image, left, top, w + 2 * pad, h + 2 * pad)
    draw_text(image, name, left + pad, top + pad + h, TEXT * unit)


def _lines(image: Image, lines: Sequence[str], unit: float) -> None:
    """The text lines that were read, in the lower left corner."""
    if not lines:
        return
    size = 0.72 * unit
    _, h = text_size("0", size)
    pad = round(PAD * unit)
    step = h + pad
    most = min(_MOST_LINES, (image.shape[0] - 5 * pad) // step - 1)
    width = image.shape[1] - 4 * pad
    shown = [truncate(line, size, width) for line in limit_lines(lines, most)]
    sizes = [text_size(line, size) for line in shown]
    w = max(s[0] for s in sizes) + 2 * pad
    x, y = pad, image.shape[0] - pad - len(shown) * step - pad
    fill_panel(image, x, y, w, len(shown) * step + pad)
    for i, line in enumerate(shown):
        draw_text(image, line, x + pad, y + pad + h + i * step, size)


def _note(image: Image, text: str, unit: float, colour: Any) -> None:
    """A message at the lower edge, in the middle."""
    size = 0.6 * unit
    pad = round(PAD * unit)
    _, h = text_size("Ag0", size)
    step = h + pad
    most = (image.shape[0] - 3 * pad) // step - 1
    rows = limit_lines(wrap_text(text, size, round(image.shape[1] * 0.7)), most)
    w = max(text_size(line, size)[0] for line in rows)
    x = (image.shape[1] - w) // 2 - pad
    y = image.shape[0] - 2 * pad - len(rows) * step - pad
    fill_panel(image, x, y, w + 2 * pad, len(rows) * step + pad, colour)
    for i, line in enumerate(rows):
        draw_text(image, line, x + pad, y + pad + h + i * step, size)


def _help(image: Image, unit: float) -> None:
    """The keys, in the middle; smaller where the picture is small."""
    height, width = image.shape[:2]
    keymap = tuple(KEYMAP.values())
    share = 1.0
    while True:
        size, pad = 0.58 * unit * share, max(1, round(PAD * unit * share))
        keys = max(text_size(key.name, size)[0] for key in keymap)
        texts = max(text_size(key.text, size)[0] for key in keymap)
        _, h = text_size("Ag0", size)
        step = h + round(1.25 * pad)
        w, tall = keys + texts + 5 * pad, (len(keymap) + 1) * step + 2 * pad
        if (w < 0.96 * width and tall <= height) or size < TINY:
            break
        share *= 0.93
    x, y = (width - w) // 2, max(0, (height - tall) // 2)
    fill_panel(image, x, y, w, tall)
    fill_panel(image, x, y, w, tall)
    draw_text(image, "live_digits", x + pad, y + pad + h, size, _UNSURE)
    for i, key in enumerate(keymap, 1):
        draw_text(image, key.name, x + pad, y + pad + h + i * step, size)
        draw_text(image, key.text, x + keys + 3 * pad, y + pad + h + i * step, size, SOFT)
