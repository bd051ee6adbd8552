"""What a run leaves behind, and what the picture says of a part that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from live_digits.capture.sources import Source
from live_digits.core.errors import HandsError, LiveDigitsError, WorkerError, reason
from live_digits.core.types import RecordingSummary
from live_digits.hands.worker import HandsWorker
from live_digits.reading.worker import InferenceWorker
from live_digits.vision.worker import Looker


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves behind: the last text lines, the statistics, the recordings, failures."""

    lines: tuple[str, ...]
    stats: dict[str, Any]
    recordings: tuple[RecordingSummary, ...]
    errors: tuple[LiveDigitsError, ...]


def banner(
    looker: Looker, worker: InferenceWorker, hands: HandsWorker | None, source: Source
) -> str:
    """Returns the failure that the picture shows, or nothing."""
    if looker.error:
        ends = "; the picture goes on without" if looker.failed else ""
        return f"vision failed: {reason(looker.error)}{ends}"
    if worker.error:
        ends = "; the picture goes on without readings" if worker.failed else ""
        return f"reading failed: {reason(worker.error)}{ends}"
    if hands and hands.failed:
        return f"hands: {reason(hands.trouble)}; the picture goes on without them"
    return str(source.error) if source.error else ""


def failures(
    looker: Looker, worker: InferenceWorker, hands: HandsWorker | None, source: Source
) -> list[LiveDigitsError]:
    """Returns what failed for good on the parts of a run."""
    found: list[LiveDigitsError] = []
    if source.error:
        found.append(source.error)
    if looker.error:
        found.append(LiveDigitsError(f"vision failed: {reason(looker.error)}"))
    if worker.failed and worker.error:
        error = worker.error
        if not isinstance(error, LiveDigitsError):
            error = LiveDigitsError(f"reading failed: {type(error).__name__}: {error}")
        elif isinstance(error, WorkerError):
            error = WorkerError(f"reading failed: {error}")
        found.append(error)
    if hands and hands.failed:
        found.append(HandsError(f"hands: {reason(hands.trouble)}"))
    return found
