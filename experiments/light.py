"""The photographs once more as another camera would have taken them.

Smaller, dim and grainy, out of focus, half in a coloured shadow, turned: with the folder as it is,
six times its digits, so that two variants of the reader can be told apart by less.

    python experiments/light.py FOLDER-with-truth.json [--model cnn]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.capture.image_files import load_picture
from live_digits.config.settings import Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Frame, Image
from live_digits.evaluation.evaluate import Tally, load_truth, paired, right_of, truth_of
from live_digits.reading import judge
from live_digits.reading.image_reader import read_picture
from live_digits.vision.paper import WORKING_SIDE

Truth = Sequence[tuple[Box, int]]
Pictured = tuple[Image, Truth]

_SMALLER = 0.62
_DIM, _GAMMA, _GRAIN, _GRAINY_JPEG = 0.55, 1.3, 3.0, 70
"""Exposure, gamma, the noise's standard deviation and JPEG's quality of a poor light."""
_BLUR, _SOFT_JPEG = 1.3, 60
"""Out of focus: the blur's standard deviation, pixels of the working picture."""
_SHADOW, _PENUMBRA, _TINT = 0.5, 0.12, (0.8, 0.95, 1.05)
"""A shadow: what it takes of the light, how soft its edge is (half the picture is 1), and the
light's colour, BGR."""
_TURN = 5.0
"""Degrees."""
_UPRIGHT = 1
"""EXIF's orientation of a picture that is stored as it is seen."""


def _jpeg(image: Image, quality: int) -> Image:
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _bytes(picture: npt.NDArray[np.float64]) -> Image:
    return np.clip(picture, 0, 255).astype(np.uint8)


def _as_it_is(image: Image, truth: Truth) -> Pictured:
    return image, truth


def _small(image: Image, truth: Truth) -> Pictured:
    small = cv2.resize(image, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), [
        (Box(*(max(i // 2, round(_SMALLER * v)) for i, v in enumerate((b.x, b.y, b.w, b.h)))), d)
        for b, d in truth
    ]


def _dim(image: Image, truth: Truth) -> Pictured:
    noise = np.random.default_rng(5).normal(0, _GRAIN, (*image.shape[:2], 1))
    return _jpeg(_bytes((image / 255.0) ** _GAMMA * _DIM * 255 + noise), _GRAINY_JPEG), truth


def _soft(image: Image, truth: Truth) -> Pictured:
    sigma = _BLUR * max(image.shape) / WORKING_SIDE
    return _jpeg(np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), _SOFT_JPEG), truth


def _shaded(image: Image, truth: Truth) -> Pictured:
    h, w = image.shape[:2]
    x, y = np.meshgrid(np.linspace(-1, 1, w), np.linspace(-1, 1, h))
    light = 1 - _SHADOW / (1 + np.exp(-(0.8 * x + 0.6 * y) / _PENUMBRA))
    return _bytes(image * light[..., None] * np.array(_TINT)), truth


def _turned(image: Image, truth: Truth) -> Pictured:
    """A box stays about as tight on its ink as it was: midway between its own size and that of the
    turned box."""
    h, w = image.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), _TURN, 1)
    found = []
    for box, digit in truth:
        x, y = turn @ np.array([*box.centre, 1.0])
        corners = turn[:, :2] @ np.array([[0, box.w, 0, box.w], [0, 0, box.h, box.h]])
        wide, high = np.mean([np.ptp(corners, axis=1), (box.w, box.h)], axis=0)
        there = Box(int(x - wide / 2), int(y - high / 2), max(1, int(wide)), max(1, int(high)))
        if there.x >= 0 and there.y >= 0 and there.right <= w and there.bottom <= h:
            found.append((there, digit))
    around = cv2.warpAffine(image, turn, (w, h), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(around, np.uint8), found


_CAMERAS: dict[str, Callable[[Image, Truth], Pictured]] = {
    "as it is": _as_it_is, "small": _small, "dim": _dim, "soft": _soft, "shaded": _shaded,
    "turned": _turned,
}  # fmt: skip


def _line(name: str, t: Tally) -> str:
    rates = t.as_json()
    return (
        f"{name:>8}  {t.truth:5d} digits, {t.read:5d} read, {t.correct:5d} right  "
        f"F1 {t.f1:.4f}  found {rates['found']:.4f}  classified {rates['classified']:.4f}  "
        f"perfect {t.perfect} of {t.pictures}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="cnn")
    given = parser.parse_args()
    settings, net = Settings(), judge.load(given.model)
    every = Tally()
    for name, camera in _CAMERAS.items():
        total = Tally()
        for file, entry in load_truth(given.folder).items():
            stored, orientation = load_picture(given.folder / file)
            if orientation != _UPRIGHT:
                parser.error(f"{file} is stored turned: save it upright, with its truth")
            image, truth = camera(stored, truth_of(entry))
            read = read_picture(Frame(image, 0, 0.0), settings, net).digits
            pairs = paired(truth, read)
            right = right_of(pairs)
            for t in (total, every):
                t.pictures += 1
                t.truth += len(truth)
                t.read += len(read)
                t.found += len(pairs)
                t.correct += right
                t.perfect += len(truth) == len(read) == right
        print(_line(name, total), flush=True)
    print(_line("all", every))


if __name__ == "__main__":
    main()
