"""Automatic parameters: the sliders that read the most digits, the surest.

A search by coordinates: from the sliders as they stand and from the profile's defaults, one slider
after the other takes the value that reads best. Whatever is found must beat both clearly, or the
best of these two stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from live_digits.config.settings import PipelineSettings, Settings, profile_defaults
from live_digits.core.types import Classifier, Frame, Image, Reading
from live_digits.reading.image_reader import read_picture

_TRIED: dict[str, tuple[int, ...]] = {
    "threshold": (0, 90, 120, 150, 180, 210),
    "canny_low": (12, 25, 40, 70, 110),
    "blur": (1, 3, 5, 9, 15, 21),
    "dilate_kernel": (3, 5, 7),
    "dilate_iterations": (1, 2),
}
"""Values tried, the slider that decides most first."""
_MARGIN = 0.35
"""What is found must be worth this much more, in sure digits, to be taken."""
_DOUBT = 0.5
"""A digit is worth its confidence beyond this, scaled to 0…1."""
LONGEST_STEP = 30.0
"""Seconds that one step of a search may take."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The end of a search. `better` False: `settings` are what there was before."""

    settings: PipelineSettings
    better: bool
    digits: int
    tried: int


def score(reading: Reading) -> float:
    """How much a reading is worth: its digits, each by how sure it is."""
    return sum(max(0.0, (d.confidence - _DOUBT) / (1 - _DOUBT)) for d in reading.digits)


def search(
    image: Image,
    settings: Settings,
    classifier: Classifier,
    stop: Callable[[], bool] = lambda: False,
) -> SearchResult:
    """The best pipeline settings for one picture (uint8 BGR). `stop` ends it early."""
    known: dict[PipelineSettings, tuple[float, int]] = {}

    def value(p: PipelineSettings) -> float:
        if p not in known:
            reading = read_picture(Frame(image, 0, 0.0), replace(settings, pipeline=p), classifier)
            known[p] = score(reading), len(reading.digits)
        return known[p][0]

    current = settings.pipeline
    default = profile_defaults(current.profile)
    kept = max((current, default), key=value)
    best: PipelineSettings = kept
    for name, values in _TRIED.items():
        for v in values:
            if stop():
                break
            best = max((best, _with_value(best, name, v)), key=value)
    better = value(best) >= value(kept) + _MARGIN
    chosen = best if better else kept
    return SearchResult(chosen, better and chosen != current, known[chosen][1], len(known))


def _with_value(settings: PipelineSettings, name: str, value: int) -> PipelineSettings:
    changes: dict[str, Any] = {name: value}
    return replace(settings, **changes)


class SearchThread(threading.Thread):
    """One search on its own thread, with a network of its own. `found` or `error` tell the end."""

    def __init__(self, image: Image, settings: Settings, load: Callable[[], Classifier]) -> None:
        super().__init__(name="automatic parameters", daemon=True)
        self.found: SearchResult | None = None
        self.error: Exception | None = None
        self._image, self._settings, self._load = image, settings, load
        self._stop_asked = threading.Event()
        self.alive_at = time.monotonic()
        """When the search made its last step; monotonic."""

    def run(self) -> None:
        try:
            self.found = search(self._image, self._settings, self._load(), self._step)
        except Exception as e:
            self.error = e

    def _step(self) -> bool:
        self.alive_at = time.monotonic()
        return self._stop_asked.is_set()

    def close(self, timeout: float = 1.0) -> None:
        """Ends the search; what was found by then does not count."""
        self._stop_asked.set()
        if self.is_alive():
            self.join(timeout)


class ParameterSearch:
    """The one search that a run may have at a time."""

    def __init__(self, load: Callable[[], Classifier]) -> None:
        self._load = load
        self._searcher: SearchThread | None = None
        self.errors = self.hangs = 0

    def begin(self, image: Image, settings: Settings) -> bool:
        """Starts a search over a picture; False where one runs."""
        if self._searcher:
            return False
        self._searcher = SearchThread(image, settings, self._load)
        self._searcher.start()
        return True

    def ended(self) -> SearchResult | Exception | None:
        """Once, what a search that has ended has found, or its error."""
        searcher = self._searcher
        if searcher is None or searcher.is_alive():
            return None
        self._searcher = None
        self.errors += searcher.error is not None
        return searcher.error or searcher.found

    def given_up(self) -> bool:
        """Gives up a search that makes no step any more; True where it did."""
        searcher = self._searcher
        if searcher is None or time.monotonic() - searcher.alive_at <= LONGEST_STEP:
            return False
        self._searcher = None
        searcher.close(0)
        self.hangs += 1
        return True

    def stop(self) -> None:
        """Asks the search to end."""
        if self._searcher:
            self._searcher.close(0)

    def close(self, timeout: float) -> None:
        """Waits so many seconds for the end of the search."""
        if self._searcher:
            self._searcher.close(timeout)
