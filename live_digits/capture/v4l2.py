"""What Linux tells of its cameras: names, places, modes and who has them open.

A camera is asked, never started: one `open` a node for the ioctls that only list, which is allowed
while another program streams from it.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from live_digits.core.types import Mode

log = logging.getLogger("live_digits.capture")

SYSFS = Path("/sys/class/video4linux")
DEVICES = Path("/dev")
_PROC = Path("/proc")

# <linux/videodev2.h>: the numbers are the kernel's interface.
_QUERYCAP, _ENUM_FMT = 0x80685600, 0xC0405602
_ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
_CAPTURE, _CAPTURE_PLANES, _DEVICE_CAPS = 0x1, 0x1000, 0x80000000
_DISCRETE = 1
_MOST = 200
"""Entries of a list that are asked for at most: a broken driver may never end it."""


@dataclass(frozen=True, slots=True)
class VideoDevice:
    """One camera as sysfs shows it, which opens nothing. `device` is where it hangs (its USB port);
    `ids` are what its maker gave it: vendor, product, serial number; empty where there are none."""

    index: int
    name: str
    device: str = ""
    ids: tuple[str, ...] = ()

    def likeness(self, other: VideoDevice) -> int:
        """How surely two nodes are the same camera, plugged in twice: 0 for another one."""
        if self.name != other.name or self.ids != other.ids:
            return 0
        return 1 + 2 * (self.device == other.device) + (self.index == other.index)


@dataclass(frozen=True, slots=True)
class Format:
    """A pixel format and the modes that the camera offers in it, each at its highest rate."""

    name: str
    modes: tuple[Mode, ...]


def list_devices() -> list[VideoDevice]:
    """The cameras there are, by their index. Opens none of them."""
    found = []
    for folder in SYSFS.glob("video*"):
        index = folder.name[5:]
        try:
            if not index.isdigit() or (folder / "index").read_text().strip() != "0":
                continue  # a camera's further nodes carry its metadata
            name = (folder / "name").read_text().strip()
            found.append(VideoDevice(int(index), name, *_place(folder)))
        except OSError as e:
            log.debug("%s left out: %s", folder, e)
    return sorted(found, key=lambda n: n.index)


def _place(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Where a node's device hangs and its maker's ids."""
    link = folder / "device"
    if not link.exists():
        return "", ()
    device = link.resolve()
    usb = device.parent  # the node belongs to an interface of the USB device
    ids = []
    for key in ("idVendor", "idProduct", "serial"):
        with suppress(OSError):
            ids.append((usb / key).read_text().strip())
    return str(device), tuple(ids)


def list_formats(index: int) -> tuple[Format, ...] | None:
    """What a camera offers; None where the node is no camera. Raises OSError where the system does
    not let this program ask."""
    import fcntl

    node = os.open(DEVICES / f"video{index}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(104)
        fcntl.ioctl(node, _QUERYCAP, answer)
        whole, own = struct.unpack_from("<II", answer, 84)
        able = own if whole & _DEVICE_CAPS else whole
        if not able & (_CAPTURE | _CAPTURE_PLANES):
            return None
        kind = 1 if able & _CAPTURE else 9
        return tuple(
            Format(name, tuple(_modes(node, code))) for code, name in _pixel_formats(node, kind)
        )
    finally:
        os.close(node)


def _listed(node: int, request: int, size: int, head: bytes) -> Iterator[bytearray]:
    """The answers to an ioctl that lists by an index in its first field, until EINVAL. `head`: the
    fields that follow the index."""
    import fcntl

    for i in range(_MOST):
        answer = bytearray(size)
        struct.pack_into("<I", answer, 0, i)
        answer[4 : 4 + len(head)] = head
        try:
            fcntl.ioctl(node, request, answer)
        except OSError:  # the end of the list, or a driver that lists nothing
            return
        yield answer


def _pixel_formats(node: int, kind: int) -> Iterator[tuple[int, str]]:
    for answer in _listed(node, _ENUM_FMT, 64, struct.pack("<I", kind)):
        (code,) = struct.unpack_from("<I", answer, 44)
        yield code, struct.pack("<I", code & 0x7FFFFFFF).decode("ascii", "replace").strip()


def _modes(node: int, code: int) -> Iterator[Mode]:
    """The sizes of a pixel format; of a range the largest."""
    for answer in _listed(node, _ENUM_FRAMESIZES, 44, struct.pack("<I", code)):
        kind, a, b, _, _, d = struct.unpack_from("<6I", answer, 8)
        width, height = (a, b) if kind == _DISCRETE else (b, d)
        yield Mode(width, height, _rate(node, code, width, height))
        if kind != _DISCRETE:
            return


def _rate(node: int, code: int, width: int, height: int) -> float:
    """The highest rate of a size; 0 where the driver does not tell."""
    best = 0.0
    head = struct.pack("<III", code, width, height)
    for answer in _listed(node, _ENUM_FRAMEINTERVALS, 52, head):
        kind, above, below = struct.unpack_from("<III", answer, 16)
        if above:
            best = max(best, below / above)
        if kind != _DISCRETE:
            break
    return best


def processes_using(index: int) -> list[str]:
    """The programs that have a camera open, as far as this user may see: name and process id."""
    wanted = str(DEVICES / f"video{index}")
    found = []
    for process in _PROC.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):  # gone in the meantime, or another user's
            if any(os.readlink(fd) == wanted for fd in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return sorted(found)
