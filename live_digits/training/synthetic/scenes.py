"""What lies under and around a drawn sheet: desks, walls, boards, rooms full of things, and real
pictures of them. Nothing here is a digit, and nothing a ring or a letter that looks like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.errors import LiveDigitsError
from live_digits.core.types import Floats, Image
from live_digits.training.synthetic.glyphs import Scenery

Point = npt.NDArray[np.float64]

_LONGEST = 1600
"""Longest side at which a real picture is kept, pixels."""
_TEXT = "CEFHKMNRTVWXadefhkmnrtwx"
"""Letters on screens and spines that nobody takes for a digit."""


class PictureError(LiveDigitsError):
    """A picture of a scenery that cannot be read."""


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two."""
    return float(rng.uniform(low, high))


def smooth(rng: np.random.Generator, w: int, h: int, cells: int) -> Floats:
    """Slow random change, float32 h×w in 0…1."""
    small = rng.random((max(2, cells), max(2, cells)), np.float32)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), np.float32)


@lru_cache(maxsize=8)
def picture(path: Path) -> Image:
    """A picture of a file, uint8 BGR, its longer side at most `_LONGEST`. Raises PictureError."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise PictureError(f"{path} is no picture that can be read: take it out of the folder")
    scale = _LONGEST / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def cut(
    rng: np.random.Generator, image: Image, w: int, h: int, least: float, calm: bool = False
) -> Floats:
    """A part of a picture that fills w×h, float32 0…1: at least the share `least` of its shorter
    side; `calm`: the least busy of a few."""
    tall, wide = image.shape[:2]
    best, quiet = None, 1e9
    for _ in range(6 if calm else 1):
        share = uniform(rng, least, 1.0)
        scale = min(wide / w, tall / h) * share
        cw, ch = max(2, int(w * scale)), max(2, int(h * scale))
        x, y = int(rng.integers(0, wide - cw + 1)), int(rng.integers(0, tall - ch + 1))
        part = image[y : y + ch, x : x + cw]
        unrest = float(
            cv2.resize(part, (16, 16), interpolation=cv2.INTER_AREA).std(axis=(0, 1)).max()
        )
        if best is None or unrest < quiet:
            best, quiet = part, unrest
    how = cv2.INTER_AREA if best is not None and best.shape[1] > w else cv2.INTER_CUBIC
    filled = cv2.resize(np.asarray(best), (w, h), interpolation=how)
    return np.asarray(filled / np.float32(255), np.float32)


def pick(rng: np.random.Generator, paths: Sequence[Path]) -> Image:
    """One of some pictures."""
    return picture(paths[int(rng.integers(len(paths)))])


def desk(rng: np.random.Generator, w: int, h: int) -> Floats:
    """A plain or grained surface, float32 h×w×3, 0…1."""
    base = rng.uniform(0.05, 0.75) + rng.normal(0, 0.06, 3)
    if rng.random() < 0.3:
        base = np.array([0.25, 0.42, 0.6]) * rng.uniform(0.4, 1.3)
    stretched = rng.random((int(rng.integers(4, 60)), int(rng.integers(4, 400))), np.float32)
    if rng.random() < 0.5:
        stretched = stretched.T.copy()
    grain = cv2.resize(stretched, (w, h), interpolation=cv2.INTER_LINEAR)
    deep = uniform(rng, 0, 0.35)
    surface = base.astype(np.float32) * (1 - deep * np.asarray(grain))[..., None]
    return np.asarray(np.clip(surface, 0.01, 1), np.float32)


def surroundings(rng: np.random.Generator, w: int, h: int, scenery: Scenery) -> Floats:
    """What a sheet lies on or is held up before, float32 h×w×3, 0…1."""
    there = [True, bool(scenery.surfaces), bool(scenery.rooms), True]
    shares = np.array([0.36, 0.2, 0.2, 0.24]) * there
    kind = int(rng.choice(4, p=shares / shares.sum()))
    if kind == 1:
        return cut(rng, pick(rng, scenery.surfaces), w, h, 0.5)
    if kind == 2:
        return cut(rng, pick(rng, scenery.rooms), w, h, 0.5)
    return desk(rng, w, h) if kind == 0 else room(rng, w, h)


def room(rng: np.random.Generator, w: int, h: int) -> Floats:
    """A room with things in it, as far as a lens that looks at something else shows it."""
    if rng.random() < 0.4:
        makers = (_checker, _bricks, _leaves, _stripes)
        view = makers[int(rng.integers(len(makers)))](rng, w, h)
    else:
        view = np.asarray(np.rint(desk(rng, w, h) * 255), np.uint8)
        if rng.random() < 0.5:
            line = int(uniform(rng, 0.3, 0.8) * h)
            view[line:] = np.rint(desk(rng, w, h - line) * 255)
    view = np.ascontiguousarray(view)
    things = (_shelf, _cable, _keyboard, _screen, _boxes, _face, _plant, _cup)
    for _ in range(int(rng.integers(1, 6))):
        things[int(rng.integers(len(things)))](rng, view)
    soft = cv2.GaussianBlur(view, (0, 0), uniform(rng, 0.4, 3.0))
    return np.asarray(soft / np.float32(255), np.float32)


def _colour(rng: np.random.Generator, low: float = 10, high: float = 240) -> tuple[int, int, int]:
    b, g, r = (int(v) for v in np.clip(rng.uniform(low, high) + rng.normal(0, 40, 3), 4, 250))
    return b, g, r


def _checker(rng: np.random.Generator, w: int, h: int) -> Image:
    """A cloth of squares."""
    step = int(rng.integers(8, 70))
    a, b = np.array(_colour(rng)), np.array(_colour(rng))
    xs, ys = (np.arange(w) // step) % 2, (np.arange(h) // step) % 2
    weave = (xs[None, :] + ys[:, None]) / 2 if rng.random() < 0.6 else xs[None, :] ^ ys[:, None]
    cloth = a + (b - a) * weave[..., None] + rng.normal(0, 5, (h, w, 1))
    return np.asarray(np.clip(cloth, 0, 255), np.uint8)


def _stripes(rng: np.random.Generator, w: int, h: int) -> Image:
    """A wallpaper or a blind: stripes."""
    step = int(rng.integers(6, 80))
    a, b = np.array(_colour(rng)), np.array(_colour(rng))
    along = np.arange(h if rng.random() < 0.5 else w)
    share = np.clip(np.sin(2 * np.pi * along / step) * uniform(rng, 1, 6) / 2 + 0.5, 0, 1)
    wave = share[:, None] if len(along) == h else share[None, :]
    return np.asarray(np.broadcast_to((a + (b - a) * wave[..., None]), (h, w, 3)), np.uint8)


def _bricks(rng: np.random.Generator, w: int, h: int) -> Image:
    """A wall of bricks or tiles."""
    view = np.full((h, w, 3), _colour(rng, 90, 220), np.uint8)
    bw, bh = int(rng.integers(30, 130)), int(rng.integers(14, 60))
    base, gap = np.array(_colour(rng, 30, 200)), int(rng.integers(1, 6))
    for row, y in enumerate(range(0, h, bh)):
        for x in range(-(row % 2) * bw // 2, w, bw):
            colour = np.clip(base + rng.normal(0, 12, 3), 0, 255)
            corner = (x + bw - gap, y + bh - gap)
            cv2.rectangle(view, (x, y), corner, [int(v) for v in colour], cv2.FILLED)
    return view


def _leaves(rng: np.random.Generator, w: int, h: int) -> Image:
    """Leaves before something dark."""
    view = np.full((h, w, 3), _colour(rng, 10, 90), np.uint8)
    for _ in range(int(rng.integers(30, 140))):
        _leaf(rng, view, rng.uniform(0, 1, 2) * (w, h), uniform(rng, 8, 60))
    return view


def _leaf(rng: np.random.Generator, view: Image, at: Point, size: float) -> None:
    shade = uniform(rng, 40, 200)
    colour = (int(shade * 0.35), int(shade), int(shade * uniform(rng, 0.3, 0.8)))
    axes = (max(2, int(size)), max(1, int(size * uniform(rng, 0.2, 0.5))))
    centre = (int(at[0]), int(at[1]))
    cv2.ellipse(view, centre, axes, uniform(rng, 0, 180), 0, 360, colour, cv2.FILLED, cv2.LINE_AA)


def _place(rng: np.random.Generator, view: Image, w: float, h: float) -> tuple[int, int, int, int]:
    """A rectangle of some size somewhere in the picture, partly outside at times."""
    tall, wide = view.shape[:2]
    x = int(uniform(rng, -0.3 * w, max(-0.3 * w, wide - 0.6 * w)))
    y = int(uniform(rng, -0.3 * h, max(-0.3 * h, tall - 0.6 * h)))
    return x, y, x + int(w), y + int(h)


def _shelf(rng: np.random.Generator, view: Image) -> None:
    """Books on a shelf."""
    tall, wide = view.shape[:2]
    h = uniform(rng, 0.12, 0.4) * tall
    x0, y0, x1, y1 = _place(rng, view, uniform(rng, 0.3, 1.0) * wide, h)
    cv2.rectangle(view, (x0, y1), (x1, y1 + max(3, int(h * 0.06))), _colour(rng), cv2.FILLED)
    x = x0
    while x < x1:
        thick = max(3, int(h * uniform(rng, 0.06, 0.22)))
        top = y0 + int(h * uniform(rng, 0, 0.3))
        cv2.rectangle(view, (x, top), (x + thick, y1), _colour(rng), cv2.FILLED)
        if rng.random() < 0.5:
            size = max(0.3, thick / 60)
            _print(rng, view, (x + 2, (top + y1) // 2), 2, size, _colour(rng))
        x += thick + int(rng.integers(0, 3))


def _print(
    rng: np.random.Generator, view: Image, at: tuple[int, int], count: int, size: float,
    colour: tuple[int, int, int],
) -> None:  # fmt: skip
    text = "".join(_TEXT[int(i)] for i in rng.integers(len(_TEXT), size=count))
    cv2.putText(view, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def _cable(rng: np.random.Generator, view: Image) -> None:
    """A cable or a cord."""
    tall, wide = view.shape[:2]
    steps = rng.normal(0, 0.12, (int(rng.integers(4, 10)), 2)) * (wide, tall)
    points = rng.uniform(0, 1, 2) * (wide, tall) + np.cumsum(steps, axis=0)
    t = np.linspace(0, len(points) - 1, 60)
    curve = np.stack([np.interp(t, np.arange(len(points)), points[:, i]) for i in (0, 1)], 1)
    for i in (0, 1):
        curve[:, i] = np.convolve(np.pad(curve[:, i], 4, "edge"), np.ones(9) / 9, "valid")
    at = [np.round(curve).astype(np.int32)]
    cv2.polylines(view, at, False, _colour(rng), int(rng.integers(2, 10)), cv2.LINE_AA)


def _keyboard(rng: np.random.Generator, view: Image) -> None:
    """Keys in rows."""
    tall, wide = view.shape[:2]
    key = uniform(rng, 12, 50)
    x0, y0, x1, y1 = _place(rng, view, key * 14, key * 5)
    case, cap = _colour(rng, 20, 200), _colour(rng, 10, 230)
    cv2.rectangle(view, (x0, y0), (x1, y1), case, cv2.FILLED)
    light = (230, 230, 230) if sum(cap) < 380 else (30, 30, 30)
    for row in range(5):
        for i in range(14):
            x, y = int(x0 + (i + 0.1 + 0.2 * row) * key), int(y0 + (row + 0.1) * key)
            if not (0 <= x < wide and 0 <= y < tall):
                continue
            side = int(key * 0.8)
            cv2.rectangle(view, (x, y), (x + side, y + side), cap, cv2.FILLED)
            if key > 22:
                _print(rng, view, (x + side // 3, y + side // 2), 1, key / 70, light)


def _screen(rng: np.random.Generator, view: Image) -> None:
    """A screen or a poster with lines of text and a frame."""
    wide = view.shape[1]
    w = uniform(rng, 0.15, 0.5) * wide
    x0, y0, x1, y1 = _place(rng, view, w, w * uniform(rng, 0.5, 1.3))
    dark = rng.random() < 0.5
    cv2.rectangle(view, (x0 - 6, y0 - 6), (x1 + 6, y1 + 6), _colour(rng, 5, 60), cv2.FILLED)
    ground = _colour(rng, 5, 50) if dark else _colour(rng, 200, 245)
    cv2.rectangle(view, (x0, y0), (x1, y1), ground, cv2.FILLED)
    ink = _colour(rng, 150, 250) if dark else _colour(rng, 5, 80)
    size = uniform(rng, 0.3, 0.9)
    for y in range(y0 + int(30 * size), y1 - 4, int(34 * size)):
        x = x0 + 6
        while x < x1 - 60 * size:
            count = int(rng.integers(2, 8))
            _print(rng, view, (x, y), count, size, ink)
            x += int((count + 1) * 19 * size)
            if rng.random() < 0.25:
                break


def _boxes(rng: np.random.Generator, view: Image) -> None:
    """Boxes, windows, doors, pictures: rectangles."""
    tall, wide = view.shape[:2]
    for _ in range(int(rng.integers(1, 5))):
        w, h = uniform(rng, 0.05, 0.4) * wide, uniform(rng, 0.05, 0.5) * tall
        x0, y0, x1, y1 = _place(rng, view, w, h)
        cv2.rectangle(view, (x0, y0), (x1, y1), _colour(rng), cv2.FILLED)
        if rng.random() < 0.5:
            rim = int(rng.integers(2, 14))
            cv2.rectangle(view, (x0, y0), (x1, y1), _colour(rng), rim)


_SKINS = ((120, 150, 200), (140, 175, 225), (90, 120, 175), (55, 80, 125), (35, 50, 85),
          (150, 185, 235))  # fmt: skip


def _face(rng: np.random.Generator, view: Image) -> None:
    """Somebody's head and shoulders."""
    tall, wide = view.shape[:2]
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))]) * rng.uniform(0.7, 1.1)
    size = uniform(rng, 0.1, 0.3) * tall
    x, y = int(uniform(rng, 0, 1) * wide), int(uniform(rng, 0.1, 0.7) * tall)
    shirt = (x, int(y + size * 2.3))
    axes = (int(size * 1.7), int(size * 1.3))
    cv2.ellipse(view, shirt, axes, 0, 0, 360, _colour(rng), cv2.FILLED, cv2.LINE_AA)
    hair = _colour(rng, 10, 90)
    up = (x, int(y - size * 0.25))
    cv2.ellipse(view, up, (int(size * 0.85), int(size)), 0, 0, 360, hair, cv2.FILLED, cv2.LINE_AA)
    tone = [int(v) for v in np.clip(skin, 0, 255)]
    axes = (int(size * 0.72), int(size * 0.95))
    cv2.ellipse(view, (x, y), axes, 0, 0, 360, tone, cv2.FILLED, cv2.LINE_AA)
    dark = [int(v) for v in np.clip(skin * 0.35, 0, 255)]
    for side in (-1, 1):
        eye = (int(x + side * size * 0.3), int(y - size * 0.1))
        axes = (max(1, int(size * 0.12)), max(1, int(size * 0.06)))
        cv2.ellipse(view, eye, axes, 0, 0, 360, dark, cv2.FILLED, cv2.LINE_AA)
        brow = (eye[0], int(eye[1] - size * 0.15))
        cv2.ellipse(view, brow, (max(1, int(size * 0.18)), max(1, int(size * 0.05))), 0, 180, 360,
                    hair, max(1, int(size * 0.05)), cv2.LINE_AA)  # fmt: skip
    mouth = (x, int(y + size * 0.45))
    cv2.ellipse(view, mouth, (max(1, int(size * 0.25)), max(1, int(size * 0.07))), 0, 0, 360,
                [int(v) for v in np.clip(skin * 0.6, 0, 255)], cv2.FILLED, cv2.LINE_AA)  # fmt: skip


def _plant(rng: np.random.Generator, view: Image) -> None:
    """Leaves of a plant."""
    tall, wide = view.shape[:2]
    at = rng.uniform(0, 1, 2) * (wide, tall)
    for _ in range(int(rng.integers(6, 24))):
        _leaf(rng, view, at + rng.normal(0, 40, 2), uniform(rng, 10, 50))


def _cup(rng: np.random.Generator, view: Image) -> None:
    """Pens, a cup, a mouse: round and long things."""
    tall, wide = view.shape[:2]
    x, y = int(uniform(rng, 0, wide)), int(uniform(rng, 0, tall))
    if rng.random() < 0.5:
        axes = (int(rng.integers(15, 70)), int(rng.integers(12, 60)))
        turn = uniform(rng, 0, 180)
        cv2.ellipse(view, (x, y), axes, turn, 0, 360, _colour(rng), cv2.FILLED, cv2.LINE_AA)
        return
    along = rng.normal(0, 110, 2)
    end = (int(x + along[0]), int(y + along[1]))
    cv2.line(view, (x, y), end, _colour(rng), int(rng.integers(5, 18)), cv2.LINE_AA)


def hand(rng: np.random.Generator, w: int, h: int) -> tuple[Floats, Floats]:
    """A hand that reaches into the picture from an edge: its colour float32 h×w×3, 0…1, and where
    it is, h×w."""
    mask = np.zeros((h, w), np.uint8)
    size = uniform(rng, 0.14, 0.36) * min(w, h)
    edge = int(rng.integers(4))
    along = uniform(rng, 0.1, 0.9)
    wrist = np.array([(along * w, 0), (along * w, h), (0, along * h), (w, along * h)][edge])
    inward = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)][edge], float)
    side = np.array([-inward[1], inward[0]])
    palm = wrist + inward * size * uniform(rng, -0.1, 0.7)
    _limb(mask, wrist - inward * size, palm, size * 0.85)
    for i in range(4):
        root = palm + side * (i - 1.5) * size * 0.27 + inward * size * 0.25
        tip = root + (inward + side * (i - 1.5) * uniform(rng, 0.02, 0.16)) * size * uniform(
            rng, 0.5, 1.1
        )
        _limb(mask, root, tip, size * 0.26)
    thumb = palm + side * size * 0.45 * (1 if rng.random() < 0.5 else -1)
    _limb(mask, palm, thumb + inward * size * 0.5, size * 0.26)
    skin = np.array(_SKINS[int(rng.integers(len(_SKINS)))], np.float32) / 255
    depth = np.asarray(cv2.GaussianBlur(mask, (0, 0), size * 0.12), np.float32) / 255
    shade = 0.45 + 0.6 * depth + 0.12 * (smooth(rng, w, h, 12) - 0.5)
    colour = np.clip(shade, 0, 1.1)[..., None] * skin * uniform(rng, 0.7, 1.15)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2) / np.float32(255), np.float32)
    return np.asarray(colour, np.float32), soft


def _limb(mask: Image, a: Point, b: Point, thick: float) -> None:
    ends = [(int(p[0]), int(p[1])) for p in (a, b)]
    cv2.line(mask, ends[0], ends[1], 255, max(2, int(thick)), cv2.LINE_AA)
