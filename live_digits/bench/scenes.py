"""What the benchmark looks at: the demo's page, moving, or at rest with a camera's fresh noise."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from live_digits.capture.demo_scene import DemoScene
from live_digits.core.types import Frame, Image

SEED = 5
DIGITS = 40
RATE = 30
"""Frames a second of the moving page's own time."""
_NOISE = 3.0
"""Standard deviation of a camera's noise in poor light, grey levels."""
_MARGIN = 61
"""Pixels by which the field of noise is larger than the frame: each frame sees another part."""
_STRIDES = (17, 23)
"""Without a common factor with `_MARGIN`, so that it is long before a part comes again."""

Scene = Callable[[float], Image]
"""A frame's number, whole ones at `RATE` a second → the frame: uint8 BGR H×W×3, not to be written
to."""


class Noise:
    """A camera's noise, fresh for each frame and cheap: parts of one field that was drawn once."""

    def __init__(self, width: int, height: int) -> None:
        rng = np.random.default_rng(SEED)
        tile = np.clip(rng.normal(0, _NOISE, (256, 256, 3)), -20, 20).round().astype(np.int16)
        rows, columns = height + _MARGIN, width + _MARGIN
        repeats = -(-rows // 256), -(-columns // 256), 1
        # Tiles of one pattern would be a pattern: each row is pushed along.
        field = np.tile(tile, repeats)[:rows]
        shifts = rng.integers(0, field.shape[1], rows)
        self._field = np.stack([np.roll(f, s, axis=0) for f, s in zip(field, shifts, strict=True)])
        self._size = width, height

    def over(self, image: Image, number: float) -> Image:
        """A new picture: `image` with the noise of frame `number`."""
        width, height = self._size
        x, y = (round(number) * stride % _MARGIN for stride in _STRIDES)
        part = self._field[y : y + height, x : x + width]
        return np.asarray(cv2.add(image, part, dtype=cv2.CV_8U), np.uint8)


def moving(width: int, height: int, digits: int = DIGITS) -> Scene:
    """The demo's sheet as it drifts and tilts."""
    scene = DemoScene(width, height, seed=SEED, digits=digits)
    return lambda number: scene.render(number / RATE)


def resting(width: int, height: int, digits: int = DIGITS) -> Scene:
    """One moment of the demo, with fresh noise in each frame."""
    page = DemoScene(width, height, seed=SEED, digits=digits).render(0.0)
    noise = Noise(width, height)
    return lambda number: noise.over(page, number)


SCENES: dict[str, Callable[..., Scene]] = {"moving": moving, "at rest": resting}


def frame_of(scene: Scene, number: int) -> Frame:
    """The frame as a source would hand it out."""
    image = scene(number)
    image.flags.writeable = False
    return Frame(image, number, number / RATE, "bench", number / RATE)
