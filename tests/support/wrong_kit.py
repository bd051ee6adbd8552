"""What the tests of wrong input share: one line that says what is wrong, and damaged files."""

from __future__ import annotations

import os
import random
import struct
import zlib
from functools import cache
from typing import Any

import cv2
import numpy as np
from hypothesis import HealthCheck, settings

from live_digits.core.errors import LiveDigitsError

few = settings(
    deadline=None, max_examples=60, suppress_health_check=list(HealthCheck), database=None
)
FUZZ_SECONDS = float(os.environ.get("LIVE_DIGITS_FUZZ_SECONDS", "300"))
"""How long each of the long tests runs."""


def one_line(error: LiveDigitsError, name: str = "") -> None:
    assert name in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 1000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encoded(image: Any, suffix: str) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return bytes(np.asarray(data).tobytes())


@cache
def seeds() -> dict[str, bytes]:
    """Small good pictures of every kind that cv2 writes, by a name."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 40, 3), dtype=np.uint8)
    found = {
        s: encoded(noise, s) for s in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".gif")
    }
    found["grey.png"] = encoded(noise[..., 0], ".png")
    found["deep.png"] = encoded(noise.astype(np.uint16) * 257, ".png")
    found["deep.tif"] = encoded(noise.astype(np.uint16) * 257, ".tif")
    found["alpha.png"] = encoded(np.dstack([noise, noise[..., 0]]), ".png")
    found["grey.jpg"] = encoded(noise[..., 0], ".jpg")
    found["float.tif"] = encoded(noise.astype(np.float32), ".tif")
    return found


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The file cut anywhere, or with bytes changed, taken out or put in, mostly at its head."""
    out = bytearray(data)
    if rng.random() < 0.2:
        return bytes(out[: rng.randrange(len(out))])
    for _ in range(rng.choice((1, 1, 2, 6))):
        at = rng.randrange(min(len(out), 120) if rng.random() < 0.6 else len(out))
        what = rng.random()
        if what < 0.6:
            out[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif what < 0.8:
            out[at : at + 4] = rng.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\x40\0"))
        elif what < 0.9:
            del out[at : at + rng.randrange(1, 9)]
        else:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(out)
