"""Pages as a camera sees them, drawn: something written (`sheets`) on paper, a board, a note or a
screen, somewhere (`scenes`), in some light and through some lens (`photograph`).

Each page is drawn from a seed of its own, so a set of pages is the same on any number of cores.
What the live pipeline finds on it, and what that really is, `truths` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.geometry import Box
from live_digits.core.types import Floats, Image
from live_digits.training.synthetic import pages, photograph, rulings, scenes
from live_digits.training.synthetic.glyphs import Glyphs, Scenery
from live_digits.training.synthetic.pens import BOARD, CHALK, LIGHT, PAPER
from live_digits.training.synthetic.scenes import smooth, uniform
from live_digits.training.synthetic.symbols import OTHER, Ids, Ledger, Sheet

SIZES = ((640, 480), (800, 600), (1024, 768), (1280, 720), (960, 720), (720, 960), (720, 1280))
_SMALL = ((96, 96), (160, 120), (120, 160), (240, 180), (320, 240), (240, 320), (480, 360))
"""Sizes of pictures that somebody has cut out."""
_CUT_OUT = 0.35
"""Share of the pages of one number that are cut out."""

_LOWEST, _HIGHEST = 10.0, 0.33
"""Height of a digit: at least in pixels of a picture 1024 wide, at most in shares of the page."""
_WHOLE = 0.72
"""Share of a digit's own ink that other ink and the sheet's edge must leave."""
_HAND = 0.08
"""Share of the pages into which a hand reaches."""


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn page: uint8 BGR H×W×3, each whole and readable digit's tight box, and the ids of the
    ink, uint16 H×W: 0 paper, 1…`OTHER` - 1 the digits in order of writing, from `OTHER` on the
    other marks, of which `kinds[id - OTHER]` tells what it is: LETTER, SIGN, MARK or NOTHING.

    `unreadable` are the ids of digits that teach nothing, `alike` those of other marks that are
    digits in shape. A picture without digits has no ids at
    all: everything found on it is a MARK."""

    image: Image
    digits: tuple[tuple[Box, int], ...]
    ids: Ids
    kinds: tuple[int, ...] = ()
    unreadable: frozenset[int] = frozenset()
    alike: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to fill a page: how often, by what it is written, on what how often, and whether small
    pictures may hold it."""

    weight: float
    write: Callable[[Sheet, float], None]
    grounds: Mapping[str, float]
    small: bool = False


_PAPERS = {"plain": 38, "ruled": 28, "coloured": 7, "tile": 4, "crumpled": 5, "real": 6,
           "whiteboard": 5, "chalkboard": 3, "screen": 2, "dark screen": 2}  # fmt: skip
_SHEETS = {"plain": 45, "ruled": 33, "coloured": 7, "tile": 4, "crumpled": 4, "real": 7}
_BOARDS = {"whiteboard": 70, "chalkboard": 30}
_ALL_PLAIN = {"plain": 40, "ruled": 15, "coloured": 8, "real": 8, "whiteboard": 12,
              "chalkboard": 7, "screen": 5, "dark screen": 5}  # fmt: skip

KINDS: Mapping[str, Kind] = {
    "lines": Kind(13, pages.lines, _PAPERS),
    "scattered": Kind(8, pages.scattered, _PAPERS),
    "crowd": Kind(4, pages.crowd, _PAPERS),
    "lone": Kind(9, pages.lone, _ALL_PLAIN, small=True),
    "large": Kind(6, pages.large, _ALL_PLAIN, small=True),
    "uneven": Kind(4, pages.uneven, _PAPERS),
    "ones": Kind(5, pages.ones, _PAPERS),
    "touching": Kind(8, pages.touching, _PAPERS),
    "sums": Kind(9, pages.sums, _PAPERS),
    "table": Kind(6, pages.table, _SHEETS),
    "notes": Kind(9, pages.notes, _PAPERS),
    "prose": Kind(5, pages.prose, _SHEETS),
    "framed": Kind(5, pages.framed, _PAPERS),
    "board": Kind(9, pages.board, _BOARDS),
    "stickies": Kind(6, pages.note, {"notes": 1}),
    "letters": Kind(3, pages.letters, _PAPERS),
    "numerals": Kind(5, pages.numerals, _PAPERS),
    "print": Kind(2, pages.printed, _SHEETS),
    "mess": Kind(3, pages.mess, _PAPERS),
    "empty": Kind(1, pages.empty, _ALL_PLAIN),
    "picture": Kind(4, pages.empty, {"picture": 1}),
}
"""The kinds of pages, and how many of about a hundred are of each."""

_GLOSSY = {"whiteboard": 0.6, "chalkboard": 0.2, "real": 0.0}
"""How often a ground mirrors lamps; any other one in 0.03."""
_MEDIA = {"whiteboard": BOARD, "chalkboard": CHALK, "dark screen": LIGHT}


def page(seed: Sequence[int], glyphs: Glyphs, kind: str | None = None) -> Page:
    """The page of a seed, written with `glyphs`.

    Args:
        seed: Numbers that no other page has.
        glyphs: What is written with and what is shown around it.
        kind: One of `KINDS`; None draws it by lot.
    """
    rng = np.random.default_rng(list(seed))
    w, h = SIZES[int(rng.integers(len(SIZES)))]
    names = list(KINDS)
    shares = np.array([KINDS[name].weight for name in names])
    lot = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    chosen = KINDS[kind or lot]
    if chosen.small and rng.random() < _CUT_OUT:
        w, h = _SMALL[int(rng.integers(len(_SMALL)))]
    ground = _drawn_from(rng, _there(chosen.grounds, glyphs.scenery))
    if ground == "picture":
        return _picture(rng, w, h, glyphs.scenery)
    if ground == "notes":
        return _stickies(rng, w, h, chosen, glyphs)
    sheet = Sheet.blank((w, h), rng, glyphs, _MEDIA.get(ground, PAPER))
    return _sheet(rng, chosen, ground, _height(rng, w, h), sheet)


def _height(rng: np.random.Generator, w: int, h: int) -> float:
    """How high digits are, pixels: middle sizes are more than the smallest and the largest."""
    highest = 0.8 * h if rng.random() < 0.08 else _HIGHEST * h
    low, high = np.log(_LOWEST * max(w, h) / 1024), np.log(highest)
    return float(np.exp(low + (high - low) * rng.beta(1.7, 1.7)))


def _there(grounds: Mapping[str, float], scenery: Scenery) -> Mapping[str, float]:
    """The grounds for which there are pictures where they need some."""
    needs = {"real": scenery.sheets, "tile": scenery.tiles}
    return {name: share for name, share in grounds.items() if needs.get(name, True)}


def _drawn_from(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    names, weights = list(shares), np.array(list(shares.values()), float)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _sheet(rng: np.random.Generator, kind: Kind, ground: str, height: float, sheet: Sheet) -> Page:
    """A page that is one sheet, board or screen."""
    w, h = sheet.size
    board = ground in ("whiteboard", "chalkboard")
    if ground == "ruled":
        rulings.rule_paper(sheet, height)
    wiped = pages.ghosts(sheet, height) if board and rng.random() < 0.4 else None
    kind.write(sheet, height)
    sheet.ledger.unreadable |= _overwritten(sheet)
    surface = _surface(rng, ground, w, h, sheet.glyphs.scenery)
    ink = sheet.ink if wiped is None else np.maximum(sheet.ink, wiped)
    written = (
        surface + ink * (1 - surface) if sheet.medium in (CHALK, LIGHT) else surface * (1 - ink)
    )
    if ground in ("screen", "dark screen"):
        return _of_screen(rng, written, sheet)
    if rng.random() < _GLOSSY.get(ground, 0.03):
        written = written + photograph.glare(rng, w, h)[..., None]
    if board and rng.random() < 0.6:
        _rim(rng, written, sheet.ids)
    picture, ids = written, sheet.ids
    if ground != "real":
        around = scenes.surroundings(rng, w, h, sheet.glyphs.scenery)
        picture, ids = np.array(around, np.float32), np.zeros((h, w), np.uint16)
        shadow = uniform(rng, 0, 0.4) if not board else 0.0
        photograph.lay(picture, ids, written, sheet.ids, photograph.view(rng, w, h), shadow)
    if rng.random() < _HAND:
        _reached(rng, picture, ids, sheet.ledger)
    picture *= photograph.light(rng, w, h, calm=ground == "real")[..., None]
    return _finished(photograph.camera(picture, rng), ids, sheet.ledger)


def _of_screen(rng: np.random.Generator, written: Floats, sheet: Sheet) -> Page:
    """A page drawn on a computer: mostly as it is."""
    image = np.asarray(np.rint(np.clip(written, 0, 1) * 255), np.uint8)
    if rng.random() < 0.4:
        image = photograph.camera(np.asarray(written, np.float32), rng, mild=True)
    return _finished(image, sheet.ids, sheet.ledger)


def _overwritten(sheet: Sheet, before: int = 0) -> set[int]:
    """The digits, but for so many of sheets before this one, that other ink or the sheet's edge has
    taken too much of."""
    left = np.bincount(sheet.ids[sheet.ids > 0].ravel(), minlength=OTHER)
    own = sheet.ledger.pixels
    return {i for i in range(before + 1, len(own) + 1) if left[i] < _WHOLE * own[i - 1]}


def _reached(rng: np.random.Generator, picture: Floats, ids: Ids, ledger: Ledger) -> None:
    """With a hand that holds or points, before whatever it hides."""
    before = ids.copy()
    colour, where = scenes.hand(rng, ids.shape[1], ids.shape[0])
    picture += where[..., None] * (colour - picture)
    ids[where > 0.5] = 0
    ledger.unreadable |= photograph.covered(before, ids, 1 - _WHOLE)


def _surface(rng: np.random.Generator, ground: str, w: int, h: int, scenery: Scenery) -> Floats:
    """What is written on, without the writing, float32 h×w×3, 0…1."""
    if ground == "real":
        return scenes.cut(rng, scenes.pick(rng, scenery.sheets), w, h, 0.4, calm=True)
    if ground == "chalkboard":
        return _chalkboard(rng, w, h, scenery)
    if ground == "whiteboard":
        base = rng.uniform(0.78, 0.98) * np.exp(
            rng.normal(0, 0.02, 3) - [0.02, 0.0, 0.04] * rng.uniform(0, 2, 3)
        )
        stains = 1 - uniform(rng, 0, 0.12) * smooth(rng, w, h, int(rng.integers(3, 9)))
        return np.asarray(np.clip(base * stains[..., None], 0, 1), np.float32)
    if ground == "screen":
        flat = np.ones(3) if rng.random() < 0.7 else rng.uniform(0.8, 1.0, 3)
        return np.asarray(np.broadcast_to(flat, (h, w, 3)), np.float32)
    if ground == "dark screen":
        flat = np.zeros(3) if rng.random() < 0.6 else rng.uniform(0, 0.2, 3)
        return np.asarray(np.broadcast_to(flat, (h, w, 3)), np.float32)
    tint = np.clip(rng.uniform(0.45, 1.0, 3), 0.3, 1) if ground == "coloured" else _white(rng)
    fibre = rng.standard_normal((h // 2 + 1, w // 2 + 1), np.float32) * uniform(rng, 0, 0.012)
    paper = tint.astype(np.float32) + np.asarray(cv2.resize(fibre, (w, h)))[..., None]
    if ground == "tile":
        paper = paper * _tiled(rng, w, h, scenery)
    if ground == "crumpled":
        paper = paper * _relief(rng, w, h, scenery)[..., None]
    return np.asarray(np.clip(paper, 0, 1), np.float32)


def _white(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    warm = float(rng.normal(0.01, 0.025))
    tint = np.array([-warm, 0.0, warm]) + rng.normal(0, 0.008, 3)
    return np.clip(rng.uniform(0.78, 1.0) + tint, 0.5, 1)


def _tiled(rng: np.random.Generator, w: int, h: int, scenery: Scenery) -> Floats:
    """Paper of a tile, in some size."""
    tile = scenes.pick(rng, scenery.tiles)
    scale = uniform(rng, 0.5, 1.4)
    small = cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = -(-h // small.shape[0]), -(-w // small.shape[1])
    tiles = np.tile(small, (rows, columns, 1))[:h, :w]
    return np.asarray(tiles / np.float32(255), np.float32)


def _relief(rng: np.random.Generator, w: int, h: int, scenery: Scenery) -> Floats:
    """How light falls on creased paper, h×w, around 1: a real relief or folds."""
    if scenery.reliefs and rng.random() < 0.7:
        shade = scenes.cut(rng, scenes.pick(rng, scenery.reliefs), w, h, 0.5)[..., 0]
        return np.asarray(1 + uniform(rng, 0.05, 0.4) * (shade - shade.mean()), np.float32)
    total = np.ones((h, w), np.float32)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        angle, far = uniform(rng, 0, np.pi), uniform(rng, 0.1, 0.9)
        side = (x - far * w) * np.cos(angle) + (y - far * h) * np.sin(angle)
        total *= 1 + uniform(rng, -0.12, 0.12) * np.tanh(side / 6) * np.exp(
            -np.abs(side) / uniform(rng, 20, 200)
        )
    return total


def _chalkboard(rng: np.random.Generator, w: int, h: int, scenery: Scenery) -> Floats:
    """A green, black or blue board with the dust of old chalk."""
    if scenery.boards and rng.random() < 0.25:
        return scenes.cut(rng, scenes.pick(rng, scenery.boards), w, h, 0.4, calm=True)
    tones = [(0.2, 0.28, 0.12), (0.09, 0.1, 0.1), (0.26, 0.2, 0.14), (0.3, 0.38, 0.2)]
    base = np.array(tones[int(rng.integers(len(tones)))]) * rng.uniform(0.6, 1.4)
    few = rng.random((max(2, h // 30), max(2, w // 120)), np.float32)
    if rng.random() < 0.5:
        few = rng.random((max(2, h // 120), max(2, w // 30)), np.float32)
    dust = cv2.resize(few, (w, h), interpolation=cv2.INTER_CUBIC) * uniform(rng, 0, 0.07)
    return np.asarray(np.clip(base + np.asarray(dust)[..., None], 0, 1), np.float32)


def _rim(rng: np.random.Generator, board: Floats, ids: Ids) -> None:
    """The board's frame, and at times its tray with pens on it, over whatever is below."""
    h, w = ids.shape
    wide = max(4, int(uniform(rng, 0.008, 0.035) * w))
    metals = [(0.65, 0.65, 0.66), (0.25, 0.42, 0.58), (0.12, 0.12, 0.12), (0.85, 0.85, 0.85)]
    tone = np.array(metals[int(rng.integers(len(metals)))], np.float32) * np.float32(
        rng.uniform(0.7, 1.1)
    )
    across = (0.75 + 0.35 * np.sin(np.linspace(0, np.pi, wide))).astype(np.float32)
    sides = rng.random(4) < 0.75
    if sides[0]:
        board[:wide], ids[:wide] = across[:, None, None] * tone, 0
    if sides[1]:
        board[h - wide :], ids[h - wide :] = across[:, None, None] * tone, 0
    if sides[2]:
        board[:, :wide], ids[:, :wide] = across[None, :, None] * tone, 0
    if sides[3]:
        board[:, w - wide :], ids[:, w - wide :] = across[None, :, None] * tone, 0
    if rng.random() < 0.4:
        top = h - int(uniform(rng, 0.03, 0.08) * h)
        board[top:], ids[top:] = tone * 0.8, 0
        for _ in range(int(rng.integers(0, 5))):
            x, long = int(uniform(rng, 0, 0.95) * w), int(uniform(rng, 0.04, 0.1) * w)
            y = top + int(uniform(rng, 0.1, 0.6) * (h - top))
            colour = [float(v) for v in rng.uniform(0.05, 0.9, 3)]
            cv2.line(board, (x, y), (x + long, y), colour, max(3, (h - top) // 4), cv2.LINE_AA)


_NOTES = ((0.45, 0.92, 0.98), (0.75, 0.6, 0.97), (0.6, 0.92, 0.7), (0.93, 0.8, 0.55),
          (0.35, 0.65, 0.98), (0.96, 0.96, 0.96))  # fmt: skip


def _stickies(rng: np.random.Generator, w: int, h: int, kind: Kind, glyphs: Glyphs) -> Page:
    """One to six sticky notes on a desk, a wall or a board."""
    ledger = Ledger()
    picture = np.array(scenes.surroundings(rng, w, h, glyphs.scenery), np.float32)
    if rng.random() < 0.3:
        picture = _surface(rng, "whiteboard", w, h, glyphs.scenery)
    ids = np.zeros((h, w), np.uint16)
    count = int(rng.integers(1, 7))
    one = rng.random() < 0.4
    tone = int(rng.integers(len(_NOTES)))
    side = min(w, h) * uniform(rng, 0.28, 0.75) / np.sqrt(max(1, count - 1))
    taken: list[npt.NDArray[np.float64]] = []
    for _ in range(count):
        wide, tall = side * uniform(rng, 0.9, 1.1), side * uniform(rng, 0.85, 1.05)
        at = rng.uniform(0, 1, 2) * (w - wide, h - tall)
        if any((np.abs(at - other) < side * 1.08).all() for other in taken):
            continue
        taken.append(at)
        sheet = Sheet.blank((int(wide), int(tall)), rng, glyphs, PAPER, ledger)
        if rng.random() < 0.1:
            rulings.rule_paper(sheet, tall / 7)
        before = len(ledger.digits)
        kind.write(sheet, tall * uniform(rng, 0.2, 0.6))
        ledger.unreadable |= _overwritten(sheet, before)
        colour = np.array(_NOTES[tone if one else int(rng.integers(len(_NOTES)))])
        paper = np.clip(colour * rng.uniform(0.85, 1.05), 0, 1) * (1 - sheet.ink)
        bent = np.linspace(uniform(rng, 0.75, 1.0), uniform(rng, 0.9, 1.08), int(tall))
        note = np.asarray(paper * bent[:, None, None], np.float32)
        angle = float(np.deg2rad(rng.normal(0, 7)))
        c, s = np.cos(angle), np.sin(angle)
        centre = at + np.array([wide, tall]) / 2
        quad = (photograph.corners(int(wide), int(tall)) - (wide / 2, tall / 2)) @ np.array(
            [[c, s], [-s, c]]
        )
        quad = quad + centre + rng.normal(0, 0.02, (4, 2)) * side
        photograph.lay(picture, ids, note, sheet.ids, quad, uniform(rng, 0.15, 0.55))
    if rng.random() < _HAND:
        _reached(rng, picture, ids, ledger)
    picture *= photograph.light(rng, w, h)[..., None]
    return _finished(photograph.camera(picture, rng), ids, ledger)


def _picture(rng: np.random.Generator, w: int, h: int, scenery: Scenery) -> Page:
    """A whole real picture without digits, or a drawn room."""
    ids = np.zeros((h, w), np.uint16)
    real = scenery.rooms if scenery.rooms and rng.random() < 0.6 else scenery.whole
    if real and rng.random() < 0.9:
        seen = scenes.cut(rng, scenes.pick(rng, real), w, h, 0.55)
        return Page(photograph.camera(seen, rng, mild=True), (), ids)
    seen = scenes.room(rng, w, h) * photograph.light(rng, w, h)[..., None]
    return Page(photograph.camera(np.asarray(seen, np.float32), rng), (), ids)


def _finished(image: Image, ids: Ids, ledger: Ledger) -> Page:
    """The boxes of the digits that are still whole in the picture and that somebody could read."""
    boxes = _boxes(ids, len(ledger.digits))
    tall, wide = ids.shape
    whole = {
        i: b
        for i, b in boxes.items()
        if b.x > 0 and b.y > 0 and b.right < wide and b.bottom < tall and i not in ledger.unreadable
    }
    lost = ledger.unreadable | photograph.unreadable(image, ids, whole)
    found = tuple((box, ledger.digits[i - 1]) for i, box in whole.items() if i not in lost)
    return Page(image, found, ids, tuple(ledger.kinds), frozenset(lost & set(boxes)),
                frozenset(ledger.alike))  # fmt: skip


def _boxes(ids: Ids, count: int) -> dict[int, Box]:
    """The tight box of each digit that is there, by its id."""
    ys, xs = np.nonzero((ids > 0) & (ids < OTHER))
    marks = ids[ys, xs]
    low_x, low_y = (np.full(count + 1, 1 << 30, np.int64) for _ in range(2))
    high_x, high_y = (np.full(count + 1, -1, np.int64) for _ in range(2))
    np.minimum.at(low_x, marks, xs)
    np.minimum.at(low_y, marks, ys)
    np.maximum.at(high_x, marks, xs)
    np.maximum.at(high_y, marks, ys)
    return {
        i: Box(
            int(low_x[i]),
            int(low_y[i]),
            int(high_x[i] - low_x[i] + 1),
            int(high_y[i] - low_y[i] + 1),
        )
        for i in range(1, count + 1)
        if high_x[i] >= 0
    }
