"""What a hand over the page does to the reading, with and without the rules that hide it.

    python experiments/hands.py cover [--seconds 60] [--size 1280x720] [--seeds 3]
    python experiments/hands.py clips FOLDER --model hand_landmarker.task

`cover` draws a writing hand (skin, pen, forearm, sleeve) over the demo's page and reads it three
times: as it is, by the simple rule alone, and with landmarks too (the drawn hand's own, late and
trembling as the model's are). `clips` reads real hands with the real model.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from live_digits.capture.demo_scene import DemoScene
from live_digits.capture.image_files import load_picture
from live_digits.capture.input_paths import is_video
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Frame, Reading
from live_digits.hands.landmarks import LANDMARKS, Hand
from live_digits.hands.mediapipe_landmarker import MediaPipeLandmarker
from live_digits.hands.occlusion import OcclusionDetector
from live_digits.hands.worker import to_landmark_size
from live_digits.reading import judge
from live_digits.reading.questions import Prediction, answer_question, as_judge
from live_digits.tracking.video_reader import VideoReader

FPS = 30
MATCH = 0.3
"""IoU from which a reading is the true digit's."""
LATE = 3
"""Frames by which landmarks come late."""
MISSED = 0.1
"""The share of looks that miss the hand."""
TREMBLE = 0.012
"""Standard deviation of a landmark, palm lengths."""
COVERED = 0.8
"""A digit is under the hand from this share of its box on."""

RESTING = np.array(
    [
        (0.00, 0.00), (-0.28, -0.22), (-0.46, -0.48), (-0.52, -0.74), (-0.50, -0.98),
        (-0.24, -0.92), (-0.36, -1.18), (-0.44, -1.24), (-0.50, -1.10),
        (0.00, -1.00), (-0.04, -1.34), (-0.16, -1.34), (-0.26, -1.16),
        (0.18, -0.94), (0.18, -1.24), (0.06, -1.24), (-0.04, -1.06),
        (0.34, -0.80), (0.36, -1.04), (0.26, -1.04), (0.16, -0.90),
    ],
    np.float64,
)  # fmt: skip
"""A hand around a pen: 21 landmarks, wrist at the origin, fingers up, in palm lengths."""
SLEEVES = ((128, 74, 52), (62, 58, 56), (214, 216, 218))
"""BGR: blue, charcoal, white."""
SKIN, CREASE = (150, 178, 222), (92, 112, 158)


def placed(x: float, y: float, size: float, angle: float) -> np.ndarray:
    """Landmarks of a hand whose index tip is at x, y; `size` is its palm's length, pixels."""
    c, s = np.cos(angle), np.sin(angle)
    points = RESTING @ np.array([[c, s], [-s, c]]) * size
    return np.asarray(points + np.array([x, y]) - points[8])


def draw_hand(image: np.ndarray, points: np.ndarray, sleeve: tuple[int, int, int]) -> np.ndarray:
    """Draws pen, hand, forearm and sleeve onto `image`; their pixels (uint8 0, 255)."""
    height, width = image.shape[:2]
    size = float(np.hypot(*(points[9] - points[0])))
    back = (points[0] - points[9]) / size
    side = np.array([-back[1], back[0]])
    mask = np.zeros((height, width), np.uint8)

    def pixel(p: np.ndarray) -> tuple[int, int]:
        return round(float(p[0])), round(float(p[1]))

    def stroke(a: np.ndarray, b: np.ndarray, thick: float, colour: Any) -> None:
        for picture, value in ((image, colour), (mask, 255)):
            cv2.line(picture, pixel(a), pixel(b), value, max(1, round(thick)), cv2.LINE_AA)

    pen = points[8] + (points[8] - points[5]) * 0.4
    stroke(
        pen, pen + 1.9 * size * (back * 0.4 + side * 0.25 + back * 0.1), 0.09 * size, (40, 36, 34)
    )
    wrist, far = points[0], points[0] + back * 12 * size
    for a, b, half, colour in (
        (wrist - 0.2 * size * back, far, 0.32, SKIN),
        (wrist + 0.9 * size * back, far, 0.5, sleeve),
    ):
        outline = np.array([a + side * half * size, b + side * 1.5 * half * size,
                            b - side * 1.5 * half * size, a - side * half * size])  # fmt: skip
        whole = np.clip(np.rint(outline), -9 * width, 9 * width).astype(np.int32)
        for picture, value in ((image, colour), (mask, 255)):
            cv2.fillPoly(picture, [whole], value, cv2.LINE_AA)
        edge = tuple(int(0.7 * v) for v in colour)
        cv2.polylines(image, [whole], True, edge, 2, cv2.LINE_AA)
    for k in range(1, 4):  # folds of the sleeve
        at = wrist + (0.9 + 0.5 * k) * size * back
        left, right = at - 0.3 * size * side, at + size * (0.2 * side + 0.1 * back)
        fold = tuple(int(0.7 * v) for v in sleeve)
        cv2.line(image, pixel(left), pixel(right), fold, 2, cv2.LINE_AA)
    palm = np.rint(points[[0, 1, 5, 9, 13, 17]]).astype(np.int32)
    hull = cv2.convexHull(palm)
    for picture, value in ((image, SKIN), (mask, 255)):
        cv2.fillConvexPoly(picture, hull, value, cv2.LINE_AA)
        cv2.polylines(picture, [hull], True, value, round(0.2 * size), cv2.LINE_AA)
    for first in (17, 13, 9, 5, 1):
        chain = points[first : first + 4]
        for a, b in itertools.pairwise(chain):
            stroke(a, b, 0.24 * size, CREASE)
            stroke(a, b, 0.21 * size, SKIN)
        for joint in chain[1:3]:  # creases of the knuckles: what is taken for digits
            for along in (-0.03, 0.03):
                at = joint + along * size * back
                cv2.line(image, pixel(at - 0.08 * size * side), pixel(at + 0.08 * size * side),
                         CREASE, max(1, round(0.018 * size)), cv2.LINE_AA)  # fmt: skip
        nail = tuple(max(1, round(v * size)) for v in (0.05, 0.075))
        cv2.ellipse(image, pixel(chain[3]), nail, 20, 0, 360, CREASE, 1, cv2.LINE_AA)
    return mask


@dataclass(frozen=True)
class Moment:
    """A frame of the rendered clip, its truth, the hand's pixels and landmarks (None: no hand)."""

    frame: Frame
    truth: tuple[tuple[Box, int], ...]
    mask: np.ndarray
    hand: np.ndarray | None


def clip(seconds: float, width: int, height: int, seed: int, digits: int = 12) -> Iterator[Moment]:
    """A hand that comes from below, writes along lines, rests, and goes, again and again."""
    scene = DemoScene(width, height, seed=seed, digits=digits)
    rng = np.random.default_rng(seed)
    size = height * float(rng.uniform(0.2, 0.28))
    angle = float(rng.uniform(-0.7, -0.2))
    sleeve = SLEEVES[seed % len(SLEEVES)]
    away = np.array([width * 0.75, height * 1.6])
    plan: list[tuple[float, np.ndarray]] = [(0.0, away), (1.5, away)]
    while plan[-1][0] < seconds:
        at = plan[-1][0]
        for _ in range(int(rng.integers(2, 5))):
            spot = np.array([rng.uniform(0.2, 0.8) * width, rng.uniform(0.25, 0.75) * height])
            at += float(rng.uniform(0.3, 0.8))
            plan.append((at, spot))
            at += float(rng.uniform(0.6, 2.0))  # writes there
            plan.append((at, spot + np.array([rng.uniform(0, 0.12) * width, 0])))
        plan += [(at + 0.5, away), (at + 2.0, away)]
    times = np.array([t for t, _ in plan])
    spots = np.array([p for _, p in plan])
    for i in range(round(seconds * FPS)):
        t = i / FPS
        image = np.array(scene.render(t))
        x, y = (float(np.interp(t, times, spots[:, k])) for k in (0, 1))
        wobble = 0.03 * size * np.array([np.sin(9 * t), np.cos(13 * t)])
        points = placed(x + wobble[0], y + wobble[1], size, angle)
        mask = draw_hand(image, points, sleeve)
        noise = rng.normal(0, 2, image.shape[:2])[..., None]
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
        shown = bool((points[:, 1] < height * 0.98).sum() >= 12)
        yield Moment(Frame(image, i, t, "clip"), scene.truth(t), mask, points if shown else None)


def landmarks(moments: Sequence[Moment], seed: int = 0) -> Iterator[tuple[Hand, ...]]:
    """What a landmarker would know at each moment: late, trembling, sometimes nothing."""
    rng = np.random.default_rng(seed)
    for i in range(len(moments)):
        points = moments[max(0, i - LATE)].hand
        if points is None or rng.random() < MISSED:
            yield ()
            continue
        size = float(np.hypot(*(points[9] - points[0])))
        jitter = rng.normal(0, TREMBLE * size, (LANDMARKS, 2))
        yield (Hand((points + jitter).astype(np.float32), "Right", 0.9),)


@dataclass
class Score:
    """What a run over a clip came to."""

    frames: int = 0
    false_frames: int = 0
    """False digits, counted on every frame that shows them."""
    false: int = 0
    """False digits, counted once for each time that one appears."""
    shown: int = 0
    right: int = 0
    covered: int = 0
    """Times that a digit was under the hand for longer than a track lives unseen, and came back."""
    ids: int = 0
    labels: int = 0
    masked: int = 0
    ms: list[float] = field(default_factory=list)

    def report(self) -> str:
        minutes = self.frames / FPS / 60
        return (
            f"false digits a minute {self.false / minutes:.1f} ({self.false_frames / minutes:.0f} "
            f"frames with one), visible digits read right {self.right / max(1, self.shown):.3f}; "
            f"of {self.covered} coverings ids survived {self.ids}, labels {self.labels}"
        )


def follow(
    moments: Sequence[Moment], rule: str, net: Any, expiry: float = 0.3, seed: int = 0
) -> Score:
    """Reads a clip under a rule: none, simple, landmarks. Answers come one frame late."""
    settings = Settings()
    video_reader, occluder, score = VideoReader(settings), OcclusionDetector(), Score()
    late: tuple[Prediction, ...] = ()
    before: set[int] = set()
    last: dict[int, tuple[int, int]] = {}
    hidden_since: dict[int, float] = {}
    waiting: dict[int, tuple[tuple[int, int], float]] = {}
    known = landmarks(moments, seed) if rule == "landmarks" else iter([()] * len(moments))
    for moment, hands in zip(moments, known, strict=True):
        frame = moment.frame
        start = cv2.getTickCount()
        cover = occluder.update(frame.image, frame.time, hands) if rule != "none" else None
        score.ms.append(1000 * (cv2.getTickCount() - start) / cv2.getTickFrequency())
        rules = (cover.hides, cover.touches) if cover else (None, None)
        seen = video_reader.see(frame, settings.pipeline, *rules)
        video_reader.add_predictions(late)
        late = answer_question(as_judge(net), video_reader.pending_crops(seen))
        reading = video_reader.reading(seen)
        shares = [under(moment.mask, box) for box, _ in moment.truth]
        found, wrong = judged(reading, moment.truth, [share > 0 for share in shares])
        score.frames += 1
        score.false_frames += len(wrong)
        score.false += len(wrong - before)
        before = wrong
        for k, share in enumerate(shares):
            if share == 0 and frame.time > 1:
                score.shown += 1
                score.right += k in found and found[k][1] == moment.truth[k][1]
            if share >= COVERED:
                if k not in hidden_since and k in last:
                    hidden_since[k] = frame.time
            elif share == 0:
                since = hidden_since.pop(k, None)
                if since is not None and frame.time - since > 2 * expiry:
                    waiting[k] = last[k], frame.time
                if k in found and k not in waiting:
                    last[k] = found[k]
            if k in waiting and ((k in found and share == 0) or frame.time - waiting[k][1] > 1):
                if frame.time - waiting[k][1] < 0.3 and k in found:
                    continue  # its labels settle
                old, _ = waiting.pop(k)
                score.covered += 1
                if k in found:
                    score.ids += found[k][0] == old[0]
                    score.labels += found[k][1] == old[1]
                    last[k] = found[k]
    score.masked = video_reader.masked
    return score


def under(mask: np.ndarray, box: Box) -> float:
    part = mask[max(0, box.y) : box.bottom, max(0, box.x) : box.right]
    return float((part > 0).mean()) if part.size else 0.0


def judged(
    reading: Reading, truth: tuple[tuple[Box, int], ...], touched: Sequence[bool]
) -> tuple[dict[int, tuple[int, int]], set[int]]:
    """Index of each true digit → track and label read there; the tracks of false digits: what
    stands nowhere, and what is read wrong where a hand touches it."""
    found: dict[int, tuple[int, int]] = {}
    wrong = set()
    for digit in reading.digits:
        best = max(range(len(truth)), key=lambda i: truth[i][0].iou(digit.box))
        if truth[best][0].iou(digit.box) >= MATCH and best not in found:
            found[best] = digit.track, digit.digit
            if digit.digit != truth[best][1] and touched[best]:
                wrong.add(digit.track)
        else:
            wrong.add(digit.track)
    return found, wrong


def cover(seconds: float, width: int, height: int, seeds: int) -> None:
    net = judge.load("cnn")
    for seed in range(seeds):
        moments = list(clip(seconds, width, height, seed))
        for rule in ("none", "simple", "landmarks"):
            score = follow(moments, rule, net)
            print(f"seed {seed}, {rule:9}: {score.report()}; {np.median(score.ms):.2f} ms a frame")


def clips(folder: Path, model: Path) -> None:
    """Digits read and hands seen in real clips and pictures, looked at frame by frame."""
    net, settings = judge.load("cnn"), Settings()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".mp4", ".jpg", ".png")):
        if is_video(path):
            frames = list(video_frames(path))
        else:
            picture = load_picture(path)[0]
            frames = [Frame(picture, i, i / FPS, path.name) for i in range(15)]
        for rule in ("none", "simple", "landmarks"):
            landmarker = MediaPipeLandmarker(model)
            video_reader, occluder = VideoReader(settings), OcclusionDetector()
            digits: Counter[int] = Counter()
            seen = shown = 0
            late: tuple[Prediction, ...] = ()
            for frame in frames:
                hands: tuple[Hand, ...] = ()
                if rule == "landmarks":
                    small = to_landmark_size(frame.image)
                    x, y = (frame.image.shape[1 - k] / small.shape[1 - k] for k in (0, 1))
                    hands = tuple(
                        h.scaled(x, y) for h in landmarker(small, round(1000 * frame.time))
                    )
                    seen += bool(hands)
                hidden = occluder.update(frame.image, frame.time, hands) if rule != "none" else None
                rules = (hidden.hides, hidden.touches) if hidden else (None, None)
                found = video_reader.see(frame, settings.pipeline, *rules)
                video_reader.add_predictions(late)
                late = answer_question(as_judge(net), video_reader.pending_crops(found))
                for digit in video_reader.reading(found).digits:
                    digits[digit.track] += 1
                    shown += 1
            landmarker.close()
            print(f"{path.name:24} {rule:9}: {len(frames)} frames, {len(digits)} digits "
                  f"({shown} shown), hand seen in {seen}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("cover")
    one.add_argument("--seconds", type=float, default=60)
    one.add_argument("--size", default="1280x720")
    one.add_argument("--seeds", type=int, default=3)
    two = kinds.add_parser("clips")
    two.add_argument("folder", type=Path)
    two.add_argument("--model", type=Path, required=True)
    given = parser.parse_args()
    if given.kind == "cover":
        width, height = (int(n) for n in given.size.split("x"))
        cover(given.seconds, width, height, given.seeds)
    else:
        clips(given.folder, given.model)


if __name__ == "__main__":
    main()
