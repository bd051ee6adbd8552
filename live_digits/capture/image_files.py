"""Pictures on disk: their pixels, and saving them.

Headers first: nothing over the limit is decoded; a large JPEG is decoded at a part of its size,
which costs no more than a small one. Pictures come upright, with the way back to the pixels as
stored.
"""

from __future__ import annotations

import errno
import logging
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.errors import SourceError, one_line, too_many_pixels, without_address
from live_digits.core.geometry import Box
from live_digits.core.limits import MOST_PIXELS
from live_digits.core.safe_yaml import read_bytes
from live_digits.core.types import Image

log = logging.getLogger("live_digits.capture")

_STRIP = 2**20
"""Pixels of a picture with transparency that are laid over white at once."""
_MOST_BYTES = 2**30
"""A larger picture file is refused before it is read."""


def silence_opencv_log() -> None:
    """Silences OpenCV's own complaints on stderr; the errors raised here say more."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def save_png(folder: Path, stem: str, picture: Image) -> Path:
    """Writes a picture (uint8 BGR) under a name that is not taken yet; its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    data = np.asarray(cv2.imencode(".png", picture)[1]).tobytes()
    path, number = folder / f"{stem}.png", 1
    while True:
        try:
            with open(path, "xb") as file:
                file.write(data)
            return path
        except FileExistsError:
            number += 1
            path = folder / f"{stem}_{number}.png"


def as_bgr(image: npt.NDArray[Any], name: str) -> Image:
    """Any decoded picture (grey, BGR or BGRA; 8 or 16 bit) as uint8 BGR H×W×3, over white."""
    if image.dtype == np.uint16:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise SourceError(f"{name}: {image.dtype} pixels are not supported; save it with 8 bit")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    elif channels == 4:
        image = _over_white(image)
    elif channels != 3:
        raise SourceError(f"{name} has {channels} channels; expected 1, 3 or 4")
    return np.ascontiguousarray(image, dtype=np.uint8)


def _over_white(image: npt.NDArray[Any]) -> Image:
    """BGRA over white, in strips: the arithmetic needs many bytes a pixel."""
    out = np.empty((*image.shape[:2], 3), np.uint8)
    rows = max(1, _STRIP // image.shape[1])
    for y in range(0, len(image), rows):
        strip = image[y : y + rows]
        alpha = strip[..., 3:].astype(np.uint16)
        out[y : y + rows] = (strip[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    `image`: upright, uint8 BGR H×W×3. `orientation`: EXIF's, 1…8. `reduced`: times it is smaller
    than the picture as stored, 1, 2, 4 or 8. `width`, `height`: of the whole picture, upright.
    """

    image: Image
    orientation: int
    reduced: int
    width: int
    height: int

    def stored_box(self, box: Box) -> Box:
        """Returns a box of `image` in the pixels of the picture as stored."""
        x, y = min(self.width - 1, box.x * self.reduced), min(self.height - 1, box.y * self.reduced)
        right = min(self.width, box.right * self.reduced)
        bottom = min(self.height, box.bottom * self.reduced)
        whole = Box(x, y, max(1, right - x), max(1, bottom - y))
        return to_stored(whole, self.orientation, self.width, self.height)

    def shown_box(self, box: Box) -> Box:
        """Returns a box of the picture as stored in the pixels of `image`."""
        back = {6: 8, 8: 6}.get(self.orientation, self.orientation)
        whole = to_stored(box, back, *self.stored_size)
        x, y = whole.x // self.reduced, whole.y // self.reduced
        right, bottom = -(-whole.right // self.reduced), -(-whole.bottom // self.reduced)
        return Box(x, y, max(1, right - x), max(1, bottom - y))

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the picture as stored."""
        turned = self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


_REDUCED = {
    1: cv2.IMREAD_UNCHANGED,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
}
"""How a picture is decoded at a part of its size, by the divisor."""


def _divisor(data: bytearray, pixels: int, most: int) -> int:
    """What a picture's sides are divided by as it is decoded; 0 where it stays too large. Only a
    JPEG that is not progressive is decoded at a part of its size without the whole in memory."""
    if pixels <= most:
        return 1
    baseline = data[:2] == b"\xff\xd8" and _jpeg_header(data)[3] in (0xC0, 0xC1)
    if not baseline or pixels > MOST_PIXELS:
        return 0
    return next((n for n in (2, 4, 8) if pixels // n**2 <= most), 0)


def load_picture(path: Path, most: int = MOST_PIXELS) -> tuple[Image, int]:
    """The picture of `open_picture` and its EXIF orientation 1…8 (see `to_stored`)."""
    picture = open_picture(path, most)
    return picture.image, picture.orientation


def open_picture(path: Path, most: int = MOST_PIXELS) -> Picture:
    """Reads and decodes a picture.

    Args:
        path: the file.
        most: pixels that are decoded, never over MOST_PIXELS.

    Raises:
        SourceError: it is missing, damaged, of an unknown kind or larger; the file is named.
    """
    silence_opencv_log()
    try:
        data = bytearray(read_bytes(path, _MOST_BYTES))
    except OSError as e:
        if e.errno == errno.EFBIG:
            raise SourceError(f"{path} is larger than 1 GiB; make it smaller") from e
        raise SourceError(f"{path} cannot be read: {without_address(e)}") from e
    try:
        width, height, orientation = _header(data)
    except _DepthError as e:
        raise SourceError(f"{path}: {e}-bit pixels are not supported; save it with 8 bit") from e
    except (struct.error, ValueError, KeyError) as e:
        what = "is empty" if not data else "is damaged or no picture of a known kind"
        raise SourceError(f"{path} {what}; expected JPEG, PNG, BMP, TIFF, WebP, GIF or PNM") from e
    most = min(most, MOST_PIXELS)
    reduced = _divisor(data, width * height, most)
    if not reduced:
        raise too_many_pixels(f"{path} has", (width, height), most)
    decoded = [_decoded(path, data, reduced)]
    del data  # or it would count beside what is made of the pixels
    upright = _upright(as_bgr(decoded.pop(), str(path)), orientation)
    if orientation >= 5:
        width, height = height, width
    if reduced == 1:  # some kinds decode to another size than the header says
        height, width = upright.shape[:2]
    return Picture(upright, orientation, reduced, width, height)


def _decoded(path: Path, data: bytearray, reduced: int) -> npt.NDArray[Any]:
    """The pixels as the file has them. Raises SourceError."""
    try:
        image: npt.NDArray[Any] | None = cv2.imdecode(
            np.frombuffer(data, np.uint8), _REDUCED[reduced]
        )
    except cv2.error as e:
        raise SourceError(f"{path} cannot be decoded: {one_line(e)}") from e
    if image is None or not image.size:
        raise SourceError(f"{path} cannot be decoded: it is damaged or cut off")
    return image


def _upright(image: Image, orientation: int) -> Image:
    """Undoes an EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def to_stored(box: Box, orientation: int, width: int, height: int) -> Box:
    """A box of the upright picture (width × height pixels) in the pixels of the stored one."""
    x, y, w, h = box.x, box.y, box.w, box.h
    if orientation in (2, 3, 6, 7):
        x = width - x - w
    if orientation in (3, 4, 7, 8):
        y = height - y - h
    return Box(y, x, h, w) if orientation in (5, 6, 7, 8) else Box(x, y, w, h)


def _header(data: bytearray) -> tuple[int, int, int]:
    """Width, height (both as stored) and EXIF orientation of a picture file. Raises ValueError,
    KeyError or struct.error where it is none. A TIFF is marked upright: OpenCV would turn it."""
    width = height = 0
    turn = 1
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        if data[8:16] != b"\x00\x00\x00\rIHDR":
            raise ValueError("no header chunk")
        width, height = struct.unpack_from(">II", data, 16)
        at, kind = 8, b""
        while kind != b"IEND":  # without it the file is cut off: struct.error
            size, kind = struct.unpack_from(">I4s", data, at)
            if at + 12 + size > len(data):  # OpenCV asks for the memory before it looks
                raise ValueError("a chunk is longer than the file")
            if kind == b"eXIf":
                turn = _orientation(data[at + 8 : at + 8 + size])
            at += 12 + size
    elif data[:2] == b"\xff\xd8":
        width, height, turn, _ = _jpeg_header(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height, turn = _webp_header(data)
    elif bytes(data[:4]) in (b"II*\x00", b"MM\x00*"):
        tags = _tags(data)
        width, height = tags[256][0], tags[257][0]
        _check_depth(data)
        if 274 in tags and 1 <= tags[274][0] <= 8:
            turn, at = tags[274]
            struct.pack_into("<H" if data[:1] == b"I" else ">H", data, at, 1)
    elif data[:4] == b"GIF8":
        width, height = struct.unpack_from("<HH", data, 6)
    elif data[:2] == b"BM":
        old = struct.unpack_from("<I", data, 14)[0] == 12
        width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    elif match := re.match(
        rb"P[1-6](?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s", bytes(data[:4096])
    ):
        width, height = int(match[1]), int(match[2])
    if not width or not height:
        raise ValueError("no size")
    return abs(width), abs(height), turn


def _jpeg_header(data: bytearray) -> tuple[int, int, int, int]:
    """Width, height, orientation and the marker that says how it is coded."""
    at, turn = 2, 1
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        mark, kind, size = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF or kind == 0xDA:
            raise ValueError("no size")
        if kind == 0xE1 and data[at + 4 : at + 10] == b"Exif\x00\x00":
            turn = _orientation(data[at + 10 : at + 2 + size])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            # Where EXIF stands behind the size, as no camera writes it, it does not count.
            return width, height, turn, kind
        at += 2 + size


def _webp_header(data: bytearray) -> tuple[int, int, int]:
    kind, turn = data[12:16], 1
    if kind == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
        return width, height, turn
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, turn
    width = int.from_bytes(data[24:27], "little") + 1
    height = int.from_bytes(data[27:30], "little") + 1
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            turn = _orientation(data[at + 8 : at + 8 + size].removeprefix(b"Exif\x00\x00"))
        at += 8 + size + size % 2
    return width, height, turn


def _tags(tiff: bytearray) -> dict[int, tuple[int, int]]:
    """The first directory of a TIFF: number → value, and where it stands. Raises struct.error."""
    order = "<" if tiff[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, entry)
        (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)
        tags[tag] = value, entry + 8
    return tags


def _check_depth(tiff: bytearray) -> None:
    """Raises _DepthError for a TIFF of more than 16 bit a channel, which takes up to 32 bytes a
    pixel and is not read anyway. Raises struct.error."""
    order = "<" if tiff[:2] == b"II" else ">"
    where = _tags(tiff).get(258)
    if where is None:
        return
    (count,) = struct.unpack_from(order + "I", tiff, where[1] - 4)
    at = where[1]
    if count > 2:  # the values lie elsewhere
        (at,) = struct.unpack_from(order + "I", tiff, at)
    (bits,) = struct.unpack_from(order + "H", tiff, at)
    if bits > 16:
        raise _DepthError(bits)


class _DepthError(Exception):
    """A picture has so many bits a channel."""


def _orientation(tiff: bytearray) -> int:
    """Of an EXIF block; 1 where it is missing, impossible or damaged."""
    try:
        value = _tags(tiff).get(274, (1, 0))[0]
    except struct.error as e:
        log.debug("damaged EXIF: %s", e)
        return 1
    return value if 1 <= value <= 8 else 1
