"""Sets of drawn pages as the judge trains on them: drawn, found, cut out and labelled in parallel.

A set is the same for the same seed on any number of cores. Chunks are cached by what made them: the
seed, the glyphs, and the program's own files.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from live_digits.core.types import NOT_A_DIGIT, Candidate, Floats
from live_digits.reading.classes import MARK
from live_digits.reading.cutouts import Cutouts
from live_digits.training.labelling import UNTAUGHT, LabelledPage, labelled

_JOB = 8
"""Pages that a worker process draws at a time."""
DIGITS_A_PAGE, OTHERS_A_PAGE, MARKS_A_PAGE = 50, 50, 40
"""Candidates of a page that train the first network: a page of noise must not outvote others."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Cutouts and labels (int8, 0…13) of many pages' candidates.

    `alike`: bool, those that only their surroundings tell from a digit. `weights`: float32, how
    much each counts: less on a full page.
    """

    cutouts: Cutouts
    labels: npt.NDArray[np.int8]
    alike: npt.NDArray[np.bool_]
    weights: Floats


@dataclass(frozen=True, slots=True)
class Told:
    """A page's candidates, what the first network says of each (float32 N×14), and the labels."""

    candidates: tuple[Candidate, ...]
    evidence: Floats
    labels: npt.NDArray[np.int8]
    digits: int


Progress = Callable[[int, int], None]
Draw = Callable[[tuple[int, ...]], Any]
"""Draws the page of a seed: a `render.Page`. Must be picklable."""


def sample(
    count: int, draw: Draw, seed: tuple[int, ...], progress: Progress | None = None,
    cache: Path | None = None,
) -> Sample:  # fmt: skip
    """Draws pages and returns what some of their candidates look like, for the first network."""
    return _joined(list(_chunks(count, draw, seed, _sampled, None, progress, cache)))


def _joined(parts: list[Sample]) -> Sample:
    cutouts = Cutouts(
        *(
            np.concatenate([getattr(part.cutouts, name) for part in parts])
            for name in ("crops", "near", "wide", "shapes")
        )
    )
    labels, alike, weights = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("labels", "alike", "weights")
    )
    return Sample(cutouts, labels, alike, weights)


def told(
    count: int, draw: Draw, seed: tuple[int, ...], context: bytes,
    progress: Progress | None = None, cache: Path | None = None,
) -> list[Told]:  # fmt: skip
    """Draws pages and returns what the first network, a LiteRT file's bytes, says of them."""
    return [
        page
        for chunk in _chunks(count, draw, seed, _told, context, progress, cache)
        for page in chunk
    ]


def _chunks(
    count: int, draw: Draw, seed: tuple[int, ...], what: Callable[[range], Any],
    context: bytes | None, progress: Progress | None, cache: Path | None,
) -> Iterator[Any]:  # fmt: skip
    jobs = [range(at, min(at + _JOB, count)) for at in range(0, count, _JOB)]
    key = _key(draw, seed, what.__name__, context) if cache else ""
    files = [cache / f"{key}-{job.start}-{job.stop}.pickle" if cache else None for job in jobs]
    missing = [job for job, file in zip(jobs, files, strict=True) if not (file and file.is_file())]
    with ProcessPoolExecutor(
        max_workers=max(1, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_share,
        initargs=(draw, seed, context),
    ) as workers:
        fresh = workers.map(what, missing)
        for done, file in enumerate(files, 1):
            if file and file.is_file():
                chunk = pickle.loads(file.read_bytes())
            else:
                chunk = next(fresh)
                if file:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    scratch = file.with_suffix(".new")
                    scratch.write_bytes(pickle.dumps(chunk, protocol=5))
                    os.replace(scratch, file)
            if progress:
                progress(min(done * _JOB, count), count)
            yield chunk


def _key(draw: Draw, seed: tuple[int, ...], what: str, context: bytes | None) -> str:
    """What a cached chunk depends on, as a hexadecimal digest."""
    digest = hashlib.sha256(pickle.dumps((draw, seed, what, context)))
    package = Path(__file__).parents[1]
    for room in ("core", "config", "vision", "reading", "training"):
        for file in sorted((package / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


_shared: tuple[Draw, tuple[int, ...], Any] | None = None
"""What a worker process draws with."""


def _share(draw: Draw, seed: tuple[int, ...], context: bytes | None) -> None:
    global _shared
    cv2.setNumThreads(1)
    network = None
    if context is not None:
        from live_digits.reading.judge import ContextNetwork

        network = ContextNetwork(context)
    _shared = draw, seed, network


def _pages(numbers: range) -> Iterator[tuple[int, LabelledPage]]:
    assert _shared is not None
    draw, seed, _ = _shared
    for number in numbers:
        yield number, labelled(draw((*seed, number)))


def _sampled(numbers: range) -> Sample:
    """Some candidates of each page, drawn by lot."""
    assert _shared is not None
    parts = []
    for number, page in _pages(numbers):
        lot = np.random.default_rng((*_shared[1], number, 1)).permutation(len(page.labels))
        of = page.labels[lot]
        some = np.concatenate([
            lot[(of >= 0) & (of < NOT_A_DIGIT)][:DIGITS_A_PAGE],
            lot[(of >= NOT_A_DIGIT) & (of < MARK)][:OTHERS_A_PAGE],
            lot[of == MARK][:MARKS_A_PAGE],
        ])  # fmt: skip
        rows = np.sort(some)
        weights = np.full(len(rows), max(1, len(rows)) ** -0.5, np.float32)
        parts.append(Sample(page.cutouts.rows(rows), page.labels[rows], page.alike[rows], weights))
    return _joined(parts)


def _told(numbers: range) -> list[Told]:
    """What the first network says of all candidates of each page."""
    assert _shared is not None
    network = _shared[2]
    return [
        Told(page.candidates, network.evidence(page.cutouts), page.labels, page.digits)
        for _, page in _pages(numbers)
    ]


__all__ = ["UNTAUGHT", "Sample", "Told", "sample", "told"]
