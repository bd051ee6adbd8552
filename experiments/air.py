"""How well strokes written in the air are read.

    python experiments/air.py --mnist mnist.npz [--count 2000] [--rate 30] [--jitter 1.5]

MNIST test digits are thinned and traced to strokes, and those replayed as a hand's landmarks.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from live_digits.config.settings import Settings
from live_digits.core.types import CROP_SIZE
from live_digits.hands.air_writing import PAUSE, AirWriter
from live_digits.hands.landmarks import LANDMARKS, Hand
from live_digits.reading import classifier

MEETING = 0.8
"""Ends nearer than this meet, pixels of an MNIST digit."""
STEPS = ((0, -1), (1, 0), (0, 1), (-1, 0), (1, -1), (1, 1), (-1, 1), (-1, -1))


def strokes_of(digit: np.ndarray) -> list[np.ndarray]:
    """An MNIST digit thinned and traced: strokes, each float64 N×2, x and y in its pixels."""
    large = cv2.resize(digit, (CROP_SIZE * 4, CROP_SIZE * 4), interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(large, (0, 0), 2)
    ink = np.where(smooth > 100, 255, 0).astype(np.uint8)
    thin = cv2.ximgproc.thinning(ink, thinningType=cv2.ximgproc.THINNING_GUOHALL) > 0
    left = {(int(x), int(y)) for y, x in np.argwhere(thin)}

    def around(p: tuple[int, int]) -> list[tuple[int, int]]:
        x, y = p
        return [q for dx, dy in STEPS if (q := (x + dx, y + dy)) in left]

    paths = []
    while left:
        ends = [p for p in left if len(around(p)) == 1]
        at = min(ends or left, key=lambda p: (p[1], p[0]))
        path, heading = [at], np.zeros(2)
        left.discard(at)
        while options := around(at):
            # Through a crossing the pen goes straight on.
            nearest = max(options, key=lambda q: float(
                heading @ np.subtract(q, at) / np.hypot(*np.subtract(q, at))))  # fmt: skip
            heading = 0.7 * heading + 0.3 * np.subtract(nearest, at)
            at = nearest
            path.append(at)
            left.discard(at)
        paths.append(np.array(path, np.float64) / 4)
    whole = [p for p in paths if len(p) >= 8]
    return joined(whole or paths[:1])


def joined(paths: list[np.ndarray]) -> list[np.ndarray]:
    """Paths whose ends meet, as one: a pen does not leave the paper there."""
    out = list(paths)
    while (meeting := meet(out)) is not None:
        i, j, whole = meeting
        out[i] = whole
        del out[j]
    return out


def meet(paths: Sequence[np.ndarray]) -> tuple[int, int, np.ndarray] | None:
    """The first two paths of which an end of one is an end of the other, and both as one."""
    for (i, a), (j, b) in itertools.permutations(enumerate(paths), 2):
        for first, second in itertools.product((a, a[::-1]), (b, b[::-1])):
            if np.hypot(*(first[-1] - second[0])) < MEETING:
                return i, j, np.concatenate([first, second])
    return None


POINTING = np.array(
    [
        (0.00, 0.00), (-0.28, -0.22), (-0.40, -0.50), (-0.30, -0.74), (-0.12, -0.80),
        (-0.24, -0.92), (-0.26, -1.34), (-0.27, -1.60), (-0.28, -1.82),
        (0.00, -1.00), (0.02, -1.20), (0.02, -0.95), (0.02, -0.75),
        (0.18, -0.94), (0.20, -1.12), (0.20, -0.90), (0.18, -0.70),
        (0.34, -0.80), (0.36, -0.96), (0.34, -0.80), (0.30, -0.64),
    ],
    np.float64,
)  # fmt: skip
"""A hand whose index finger is raised; thumb over the bent others."""
RELAXED = POINTING.copy()
RELAXED[6:9] = [(-0.26, -1.14), (-0.22, -0.95), (-0.18, -0.8)]
"""The same with the index bent: the pen is up."""


def pointing(x: float, y: float, size: float, down: bool = True) -> np.ndarray:
    """21 landmarks of a hand that points at x, y (its index tip while the pen is down)."""
    points = (POINTING if down else RELAXED) * size
    return np.asarray(points + np.array([x, y]) - POINTING[8] * size)


def written(
    strokes: Sequence[np.ndarray], rate: float, rng: np.random.Generator, jitter: float
) -> Iterator[tuple[float, tuple[Hand, ...]]]:  # fmt: skip
    """A digit as looks at a hand: time and hand, `rate` a second, then a pause. `jitter`: standard
    deviation of each landmark, pixels of a picture 720 high on which the digit is 240 high."""
    scale, palm, speed = 240 / 20, 110.0, float(rng.uniform(450, 800))
    offset = np.array([500.0, 220.0])
    t = 0.0
    for stroke in strokes:
        path = stroke * scale + offset
        steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        length = float(steps[-1])
        duration = max(length / speed, 0.12)
        for along in np.arange(0, duration + 1e-9, 1 / rate):
            # Slow at the ends, as fingers are.
            share = along / duration
            eased = 0.35 * share + 0.65 * share * share * (3 - 2 * share)
            x, y = (float(np.interp(eased * length, steps, path[:, k])) for k in (0, 1))
            points = pointing(x, y, palm) + rng.normal(0, jitter, (LANDMARKS, 2))
            yield t, (Hand(points.astype(np.float32), "Right", 0.9),)
            t += 1 / rate
        x, y = (float(v) for v in path[-1])
        for _ in range(max(2, round(0.3 * rate))):
            points = pointing(x, y, palm, False) + rng.normal(0, jitter, (LANDMARKS, 2))
            yield t, (Hand(points.astype(np.float32), "Right", 0.9),)
            t += 1 / rate
    for _ in range(round((PAUSE + 0.3) * rate)):
        yield t, (Hand(pointing(x, y, palm, False).astype(np.float32), "Right", 0.9),)
        t += 1 / rate


def measure(mnist: Path, count: int, rate: float, jitter: float, seed: int) -> None:
    """Reads digits replayed as strokes; prints the shares read right, and dismissed as no digit."""
    net, settings = classifier.load("cnn"), Settings()
    rng = np.random.default_rng(seed)
    with np.load(mnist) as data:
        images, labels = data["x_test"], data["y_test"]
    chosen = rng.permutation(len(images))[:count]
    right = lost = 0
    confused: Counter[tuple[int, str]] = Counter()
    for i in chosen:
        writer = AirWriter(settings.reading.confidence)
        for t, hands in written(strokes_of(images[i]), rate, rng, jitter):
            writer.update(hands, t, 720)
            writer.tick(t)
        ids, crops = writer.pending_crops()
        if ids:
            writer.add_predictions(zip(ids, net.classify(crops), strict=True))
        right += writer.number == str(labels[i])
        lost += writer.number == ""
        if writer.number != str(labels[i]):
            confused[int(labels[i]), writer.number] += 1
    worst = ", ".join(f"{a} as {b or 'none'}: {n}" for (a, b), n in confused.most_common(8))
    print(
        f"{rate:g} looks a second, jitter {jitter:g} px: {count} digits, right "
        f"{right / count:.4f}, dismissed {lost / count:.4f}; {worst}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--jitter", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    measure(given.mnist, given.count, given.rate, given.jitter, given.seed)


if __name__ == "__main__":
    main()
