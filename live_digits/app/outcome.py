"""What a run leaves behind, and what the picture says of a part that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from live_digits.capture.base import Source
from live_digits.core.errors import HandsError, LiveDigitsError, WorkerError, one_line
from live_digits.hands.worker import HandsWorker
from live_digits.reading.worker import InferenceWorker
from live_digits.recording.session import RecordingSummary
from live_digits.vision.worker import VisionWorker


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run leaves behind: the last text lines, the statistics, the recordings, failures."""

    lines: tuple[str, ...]
    stats: dict[str, Any]
    recordings: tuple[RecordingSummary, ...]
    errors: tuple[LiveDigitsError, ...]


def banner(
    vision_worker: VisionWorker, worker: InferenceWorker, hands: HandsWorker | None, source: Source
) -> str:
    """Returns the failure that the picture shows, or nothing."""
    if vision_worker.error:
        ends = "; the picture goes on without" if vision_worker.failed else ""
        return f"vision failed: {one_line(vision_worker.error)}{ends}"
    if worker.error:
        ends = "; the picture goes on without readings" if worker.failed else ""
        return f"reading failed: {one_line(worker.error)}{ends}"
    if hands and hands.failed:
        return f"hands: {one_line(hands.trouble)}; the picture goes on without them"
    return str(source.error) if source.error else ""


def failures(
    vision_worker: VisionWorker, worker: InferenceWorker, hands: HandsWorker | None, source: Source
) -> list[LiveDigitsError]:
    """Returns what failed for good on the parts of a run."""
    found: list[LiveDigitsError] = []
    if source.error:
        found.append(source.error)
    if vision_worker.error:
        found.append(LiveDigitsError(f"vision failed: {one_line(vision_worker.error)}"))
    if worker.failed and worker.error:
        error = worker.error
        if not isinstance(error, LiveDigitsError):
            error = LiveDigitsError(f"reading failed: {type(error).__name__}: {error}")
        elif isinstance(error, WorkerError):
            error = WorkerError(f"reading failed: {error}")
        found.append(error)
    if hands and hands.failed:
        found.append(HandsError(f"hands: {one_line(hands.trouble)}"))
    return found
