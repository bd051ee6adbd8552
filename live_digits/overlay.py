"""Frame, reading and status → a new picture. Pure: nothing that is handed in is written to.

All sizes follow the picture's height, all text stands on dark plates: legible at any resolution, on
white paper and on black.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from live_digits.types import VIEWS, Air, Box, Digit, Image, Reading, Ring, Stages, Status

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE = 720
"""Height in pixels at which the sizes below hold."""
_SMALLEST = 0.62
_TEXT = 0.52
_TINY = 0.1
"""No text is made smaller than this to fit."""
_PAD = 8
_PLATE = (38, 34, 30)
_PLATE_SHARE = 0.72
_WHITE = (245, 245, 245)
_SOFT = (196, 190, 184)
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

HELP = (
    ("space", "freeze, go on"),
    ("p", "predict now, also while frozen"),
    ("e", "extract: a sheet of the crops, shown and saved"),
    ("r", "record on, off"),
    ("s", "save the picture"),
    ("v", "next stage: result, grey, blur, edges, dilated, ink, grid"),
    ("a", "find good parameters by itself"),
    ("w", "write the sliders to the config file"),
    ("d", "sliders back to their defaults"),
    ("f", "write in the air with a finger, on, off"),
    ("h, F1", "this help"),
    ("q, Esc", "quit; so does the window's close button"),
)


def _unit(image: Image) -> float:
    """How large to draw: 1 at 720 lines."""
    return float(max(_SMALLEST, image.shape[0] / _REFERENCE))


def _measure(text: str, size: float) -> tuple[int, int]:
    """Width and height of a text in pixels."""
    (w, h), _ = cv2.getTextSize(text, _FONT, size, _weight(size))
    return int(w), int(h)


def _weight(size: float) -> int:
    return max(1, round(size * 1.4))


def _write(image: Image, text: str, x: int, y: int, size: float, colour: Any = _WHITE) -> None:
    cv2.putText(image, text, (x, y), _FONT, size, colour, _weight(size), cv2.LINE_AA)


def _plate(image: Image, x: int, y: int, w: int, h: int, colour: Any = _PLATE) -> None:
    """Darkens a rectangle, what lies under it shines through."""
    part = image[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)]
    if part.size:
        ground = np.full_like(part, colour)
        cv2.addWeighted(ground, _PLATE_SHARE, part, 1 - _PLATE_SHARE, 0, dst=part)


def draw(image: Image, reading: Reading, status: Status, confidence: bool = True) -> Image:
    """The annotated picture: uint8 BGR, the size of `image` (uint8 BGR H×W×3).

    `reading` is in the pixels of `image`; `confidence` writes each digit's percentage.
    """
    out = annotate(image, reading, confidence)
    decorate(out, status)
    return out


def annotate(image: Image, reading: Reading, confidence: bool = True) -> Image:
    """The picture with its boxes, digits and text lines, without a status bar."""
    out: Image = np.array(image, np.uint8)
    unit = _unit(out)
    for box in reading.rejected:
        _frame(out, box, _QUIET, 1)
    for box in reading.pending:
        _frame(out, box, _QUIET, max(1, round(unit)))
        _dots(out, box, unit)
    for digit in reading.digits:
        if not digit.origin:
            _digit(out, digit, unit, confidence)
    _lines(out, reading.lines, unit)
    return out


def decorate(out: Image, status: Status) -> None:
    """Greys `out` where the signal is gone, then writes the status bar, recording mark, messages
    and help onto it."""
    unit = _unit(out)
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
        _note(out, status.message, unit, _PLATE)
    if status.help:
        _help(out, unit)


def _no_signal(image: Image, seconds: float) -> None:
    """The last frame in grey, half as bright, and over it that it is the last, and how old."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    image[:] = cv2.convertScaleAbs(grey, alpha=_GREYED, beta=_GREYED_LIFT)[..., None]
    title, below = "NO SIGNAL", f"last frame {_ago(seconds)} ago"
    room = max(_SIGNAL_WIDTH * width, min(_SIGNAL_PIXELS, 0.92 * width))
    size = _fitting(title, room, max(_SIGNAL_HEIGHT * height, min(_SIGNAL_PIXELS / 8, height / 3)))
    small = min(max(0.5 * size, _SMALLEST_BELOW), _fitting(below, room, height / 4))
    (w, h), (sw, sh) = _measure(title, size), _measure(below, small)
    pad = max(1, round(0.6 * h))
    if height < _ROOM_FOR_BAR:
        below, sw, sh = "", 0, 0
    tall = h + sh + (3 if below else 2) * pad
    x, y = (width - w) // 2, (height - tall) // 2
    wide = max(w, sw) + 2 * pad
    left = max(0, (width - wide) // 2)
    cv2.rectangle(image, (left, max(0, y)), (left + wide, y + tall), _PLATE, cv2.FILLED)
    cv2.rectangle(image, (left, max(0, y)), (left + wide, y + tall), _ALARM, _weight(size))
    _write(image, title, x, y + pad + h, size)
    _write(image, below, (width - sw) // 2, y + 2 * pad + h + sh, small, _SOFT)


def _fitting(text: str, width: float, height: float) -> float:
    """The size at which a text fills a width or a height, pixels, whichever comes first."""
    w, h = _measure(text, 1.0)
    return float(max(_TINY, min(width / w, height / h)))


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
    w, h = _measure(text, size)
    small = size * 0.5
    extra = f"{digit.confidence * 100:.0f}" if confidence else ""
    ew, _ = _measure(extra, small) if extra else (0, 0)
    pad = max(2, round(3 * unit))
    plate_w, plate_h = w + 2 * pad + (ew + pad if extra else 0), h + 2 * pad
    x = int(np.clip(around.x, 0, max(0, image.shape[1] - plate_w)))
    y = around.y - plate_h
    if y < 0:
        y = min(around.bottom, image.shape[0] - plate_h)
    y = max(0, y)
    cv2.rectangle(image, (x, y), (x + plate_w, y + plate_h), _PLATE, cv2.FILLED)
    cv2.rectangle(image, (x, y), (x + max(2, pad - 1), y + plate_h), colour, cv2.FILLED)
    _write(image, text, x + pad + max(1, pad // 2), y + pad + h, size)
    if extra:
        _write(image, extra, x + w + 2 * pad + pad // 2, y + pad + h, small, _SOFT)


def _dots(image: Image, box: Box, unit: float) -> None:
    """An ellipsis over a box whose reading is on its way."""
    r = max(1, round(2 * unit))
    y = max(r + 1, box.y - 4 * r)
    for i in range(3):
        at = box.x + r + i * 4 * r, y
        cv2.circle(image, at, r + 1, _BELOW, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(image, at, r, _WHITE, cv2.FILLED, cv2.LINE_AA)


def _bar(image: Image, status: Status, unit: float) -> None:
    """The line on top: what is seen, how fast, and whether it records. Long bars lose their last
    parts rather than run out of the picture."""
    size = _TEXT * unit
    _, h = _measure("Ag0", size)
    pad = round(_PAD * unit)
    width = image.shape[1]
    _plate(image, 0, 0, width, h + 2 * pad)
    right = width - pad
    if status.recording_s is not None:
        minutes, seconds = divmod(int(status.recording_s), 60)
        text = f"{minutes:02d}:{seconds:02d}"
        if status.recording_dropped:
            text += f" ({status.recording_dropped} lost)"
        w, _ = _measure(text, size)
        right -= w
        _write(image, text, right, pad + h, size)
        radius = max(3, round(5.5 * unit))
        right -= 2 * radius + pad // 2
        at = right + radius, pad + h // 2
        cv2.circle(image, at, radius, _ALARM, cv2.FILLED, cv2.LINE_AA)
        right -= pad
    if status.frozen:
        w, _ = _measure("FROZEN", size)
        right -= w
        _write(image, "FROZEN", right, pad + h, size, _UNSURE)
        right -= pad
    x = pad
    for i, part in enumerate(_parts(status)):
        w, _ = _measure(part, size)
        if x + w > right:
            break
        _write(image, part, x, pad + h, size, _WHITE if i in (0, 2) else _SOFT)
        x += w + round(1.6 * pad)


def _parts(status: Status) -> list[str]:
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


def _sparse(status: Status) -> str:
    """How often vision looks, where that is not at every frame: the machine cannot do more."""
    sparse = 0 < status.vision_fps < _EVERY_FRAME * status.fps
    return f", {status.vision_fps:.0f} times a second" if sparse else ""


def _air(image: Image, air: Air, unit: float) -> None:
    """Strokes where the finger drew them, its tip, and the number so far in the corner."""
    height, width = image.shape[:2]
    size = np.array([width, height], np.float32)
    thick = max(3, round(7 * unit))
    paths = [np.rint(s * size).astype(np.int32)[:, None] for s in air.strokes]
    for colour, more in ((_PLATE, 2), (_INK, 0)):
        cv2.polylines(image, paths, False, colour, thick + 2 * more, cv2.LINE_AA)
    if air.tip:
        at = round(air.tip[0] * width), round(air.tip[1] * height)
        radius = max(4, round(9 * unit))
        cv2.circle(image, at, radius + 1, _PLATE, 2, cv2.LINE_AA)
        cv2.circle(image, at, radius, _INK, cv2.FILLED if air.down else 2, cv2.LINE_AA)
    digits, caption = 2.2 * unit, _TEXT * unit
    pad = round(_PAD * unit)
    number = air.number or " "
    while len(number) > 1 and _measure(number, digits)[0] > width // 2:
        number = number[1:]
    (w, h), (name_w, name_h) = _measure(number, digits), _measure(_AIR_NAME, caption)
    _, digit_h = _measure("0", digits)
    plate_w, plate_h = max(w, name_w) + 4 * pad, max(h, digit_h) + name_h + 4 * pad
    x, y = width - pad - plate_w, height - pad - plate_h
    _plate(image, x, y, plate_w, plate_h)
    _plate(image, x, y, plate_w, plate_h)
    name_x = x + (plate_w - name_w) // 2
    _write(image, _AIR_NAME, name_x, y + pad + name_h, caption, _SOFT)
    _write(image, number, x + (plate_w - w) // 2, y + plate_h - pad, digits, _INK)


def _ring(image: Image, ring: Ring, unit: float) -> None:
    """A ring around the wrist that fills while a gesture is held, and the gesture's name."""
    height, width = image.shape[:2]
    radius, thick = round(34 * unit), max(3, round(7 * unit))
    x = int(np.clip(ring.x * width, radius + thick, width - radius - thick))
    y = int(np.clip(ring.y * height, radius + thick, height - radius - thick))
    size = (radius, radius)
    cv2.ellipse(image, (x, y), size, 0, 0, 360, _PLATE, thick + 4, cv2.LINE_AA)
    cv2.ellipse(image, (x, y), size, 0, 0, 360, _QUIET, thick, cv2.LINE_AA)
    cv2.ellipse(image, (x, y), size, -90, 0, 360 * ring.share, _SURE, thick, cv2.LINE_AA)
    name = ring.name.replace("_", " ")
    w, h = _measure(name, _TEXT * unit)
    pad = round(_PAD * unit)
    left = int(np.clip(x - w // 2 - pad, 0, max(0, width - w - 2 * pad)))
    top = y - radius - thick - h - 3 * pad
    if top < 0:
        top = y + radius + thick + pad
    _plate(image, left, top, w + 2 * pad, h + 2 * pad)
    _write(image, name, left + pad, top + pad + h, _TEXT * unit)


def _lines(image: Image, lines: Sequence[str], unit: float) -> None:
    """The text lines that were read, in the lower left corner."""
    if not lines:
        return
    size = 0.72 * unit
    _, h = _measure("0", size)
    pad = round(_PAD * unit)
    step = h + pad
    most = min(_MOST_LINES, (image.shape[0] - 5 * pad) // step - 1)
    width = image.shape[1] - 4 * pad
    shown = [_cut(line, size, width) for line in _first(lines, most)]
    sizes = [_measure(line, size) for line in shown]
    w = max(s[0] for s in sizes) + 2 * pad
    x, y = pad, image.shape[0] - pad - len(shown) * step - pad
    _plate(image, x, y, w, len(shown) * step + pad)
    for i, line in enumerate(shown):
        _write(image, line, x + pad, y + pad + h + i * step, size)


def _first(lines: Sequence[str], most: int) -> list[str]:
    """All lines, or the first `most` and an ellipsis."""
    return list(lines) if len(lines) <= most else [*lines[: max(0, most)], "..."]


def _cut(text: str, size: float, width: int) -> str:
    """The text, or its beginning and an ellipsis where it is wider than `width`."""
    if _measure(text, size)[0] <= width:
        return text
    while text and _measure(f"{text}...", size)[0] > width:
        text = text[:-1]
    return f"{text}..."


def _parts_of(word: str, size: float, width: int) -> Iterator[str]:
    """The word, or parts of it (a long path) no wider than `width`."""
    while len(word) > 1 and _measure(word, size)[0] > width:
        end = len(word) - 1
        while end > 1 and _measure(word[:end], size)[0] > width:
            end -= 1
        yield word[:end]
        word = word[end:]
    yield word


def _wrapped(text: str, size: float, width: int) -> list[str]:
    """The text in lines no wider than `width`."""
    lines: list[str] = []
    for word in (part for w in text.split() for part in _parts_of(w, size, width)):
        if lines and _measure(f"{lines[-1]} {word}", size)[0] <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _note(image: Image, text: str, unit: float, colour: Any) -> None:
    """A message at the lower edge, in the middle."""
    size = 0.6 * unit
    pad = round(_PAD * unit)
    _, h = _measure("Ag0", size)
    step = h + pad
    most = (image.shape[0] - 3 * pad) // step - 1
    wrapped = _first(_wrapped(text, size, round(image.shape[1] * 0.7)), most)
    w = max(_measure(line, size)[0] for line in wrapped)
    x = (image.shape[1] - w) // 2 - pad
    y = image.shape[0] - 2 * pad - len(wrapped) * step - pad
    _plate(image, x, y, w + 2 * pad, len(wrapped) * step + pad, colour)
    for i, line in enumerate(wrapped):
        _write(image, line, x + pad, y + pad + h + i * step, size)


def _help(image: Image, unit: float) -> None:
    """The keys, in the middle; smaller where the picture is small."""
    height, width = image.shape[:2]
    share = 1.0
    while True:
        size, pad = 0.58 * unit * share, max(1, round(_PAD * unit * share))
        keys = max(_measure(key, size)[0] for key, _ in HELP)
        texts = max(_measure(text, size)[0] for _, text in HELP)
        _, h = _measure("Ag0", size)
        step = h + round(1.25 * pad)
        w, tall = keys + texts + 5 * pad, (len(HELP) + 1) * step + 2 * pad
        if (w < 0.96 * width and tall <= height) or size < _TINY:
            break
        share *= 0.93
    x, y = (width - w) // 2, max(0, (height - tall) // 2)
    _plate(image, x, y, w, tall)
    _plate(image, x, y, w, tall)
    _write(image, "live_digits", x + pad, y + pad + h, size, _UNSURE)
    for i, (key, text) in enumerate(HELP, 1):
        _write(image, key, x + pad, y + pad + h + i * step, size)
        _write(image, text, x + keys + 3 * pad, y + pad + h + i * step, size, _SOFT)


def stage_view(stages: Stages, view: str, result: Image) -> Image:
    """One stage as a picture of the size of `result` (uint8 BGR H×W×3), or all in a grid."""
    if view == "result":
        return result
    if view != "grid":
        return _as_colour(getattr(stages, view), result.shape[1], result.shape[0])
    names = [v for v in VIEWS if v != "grid"]
    columns, rows = 3, 2
    h, w = result.shape[:2]
    out = np.zeros_like(result)
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        x0, x1 = column * w // columns, (column + 1) * w // columns
        y0, y1 = row * h // rows, (row + 1) * h // rows
        cell = _fitted(result if name == "result" else getattr(stages, name), x1 - x0, y1 - y0)
        unit = max(_SMALLEST, _unit(out) * 0.75)
        _, text_h = _measure(name, _TEXT * unit)
        text_w, _ = _measure(name, _TEXT * unit)
        pad = round(_PAD * unit)
        top = cell.shape[0] - text_h - 2 * pad
        _plate(cell, 0, top, text_w + 2 * pad, text_h + 2 * pad)
        _write(cell, name, pad, top + pad + text_h, _TEXT * unit)
        out[y0:y1, x0:x1] = cell
        cv2.rectangle(out, (x0, y0), (x1 - 1, y1 - 1), _PLATE, 1)
    return out


def _as_colour(picture: Image, width: int, height: int) -> Image:
    shrink = width < picture.shape[1]
    method = cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=method)
    if resized.ndim == 2:
        resized = cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR)
    return np.asarray(resized, np.uint8)


def _fitted(picture: Image, width: int, height: int) -> Image:
    """The whole picture inside width × height, its shape kept, on black."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    w, h = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    cell = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    cell[y : y + h, x : x + w] = _as_colour(picture, w, h)
    return cell


_CELL = 84
_COLUMNS = 10


def contact_sheet(crops: Image, labels: Sequence[str]) -> Image:
    """Crops (uint8 N×28×28) side by side, each with its reading under it: uint8 BGR."""
    columns = max(4, min(_COLUMNS, len(crops)))
    rows = max(1, -(-len(crops) // columns))
    step_x, step_y = _CELL + 12, _CELL + 34
    page = np.full((rows * step_y + 12, columns * step_x + 12, 3), _PLATE, np.uint8)
    if len(crops) == 0:
        _write(page, "nothing found", 16, page.shape[0] // 2, 0.6)
    for i, (crop, label) in enumerate(zip(crops, labels, strict=True)):
        row, column = divmod(i, columns)
        x, y = 12 + column * step_x, 12 + row * step_y
        large = cv2.resize(crop, (_CELL, _CELL), interpolation=cv2.INTER_NEAREST)
        page[y : y + _CELL, x : x + _CELL] = np.asarray(large)[..., None]
        _write(page, label, x, y + _CELL + 20, 0.5)
    return page
