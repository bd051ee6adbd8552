"""Reads a single picture: finds its candidates, judges them, orders the digits."""

from __future__ import annotations

from live_digits.config.settings import Settings
from live_digits.core.types import Classifier, Frame, Reading
from live_digits.reading.cutouts import cut_out
from live_digits.reading.questions import Judge, PlainJudge, as_judge
from live_digits.reading.resolution import numbered, resolve_once
from live_digits.reading.text_lines import reading_order
from live_digits.vision.detection import detect_candidates
from live_digits.vision.stages import Detections


def read_picture(frame: Frame, settings: Settings, network: Classifier | Judge) -> Reading:
    """Reads all digits of one picture, `track` counting from 1 in reading order.

    Args:
        frame: the picture.
        settings: of finding and reading.
        network: a judge, or a crop network, whose answers decide alone.
    """
    vision = detect_candidates(frame.image, settings.pipeline)
    judge = judge_of(vision, as_judge(network))
    cutouts = cut_out(vision, range(len(vision.candidates)), judge.surroundings)
    verdicts = judge.verdicts(vision.candidates, judge.evidence(cutouts))
    resolution = resolve_once(vision.candidates, verdicts, settings.reading)
    ordered, lines = reading_order(resolution.digits)
    height, width = frame.image.shape[:2]
    return Reading(
        frame.source, frame.seq, frame.time, width, height,
        numbered(ordered), lines, (), resolution.rejected,
    )  # fmt: skip


def judge_of(vision: Detections, judge: Judge) -> Judge:
    """Returns what decides a look: the study's profile knows nothing but its crops."""
    return PlainJudge(judge) if vision.profile == "classic" else judge
