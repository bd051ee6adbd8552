"""How steady the labels are on a moving picture: the demo, whose truth is known, or any video.

    python experiments/live.py [--seconds 20] [--digits 16] [--size 1280x720] [--model cnn]
    python experiments/live.py --video clip.mp4

Every frame goes through the live path (vision, tracks, votes); answers come one frame late, as they
do from the inference thread. Printed: the share of true digits read right over time, when a page at
rest has settled, label changes and id switches per digit and minute.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from live_digits.capture.demo_scene import DemoScene
from live_digits.capture.video_decoding import video_frames
from live_digits.config.settings import Settings
from live_digits.core.geometry import Box
from live_digits.core.types import Digit, Frame, Reading
from live_digits.reading import judge
from live_digits.reading.questions import Prediction, answer_question, as_judge
from live_digits.tracking.video_reader import VideoReader

FPS = 30
MATCH = 0.3
"""IoU from which a reading is the true digit's."""
SETTLED = 0.3
"""Seconds in which the labels should have settled."""


def readings(frames: Iterator[Frame], model: str) -> Iterator[Reading]:
    """The live path over frames; answers arrive one frame late."""
    settings = Settings()
    net = as_judge(judge.load(model))
    video_reader = VideoReader(settings)
    late: tuple[Prediction, ...] = ()
    for frame in frames:
        seen = video_reader.see(frame, settings.pipeline)
        video_reader.add_predictions(late)
        late = answer_question(net, video_reader.pending_crops(seen))
        yield video_reader.reading(seen)


@dataclass(slots=True)
class Steadiness:
    """What changed from frame to frame. Keys are true digits, or tracks where there is no truth."""

    frames: int = 0
    shown: int = 0
    changes: int = 0
    switches: int = 0
    last: dict[int, Digit] = field(default_factory=dict)

    def add(self, seen: dict[int, Digit]) -> None:
        self.frames += 1
        self.shown += len(seen)
        for key, digit in seen.items():
            before = self.last.get(key)
            if before is not None:
                self.changes += before.digit != digit.digit
                self.switches += before.track != digit.track
            self.last[key] = digit

    def report(self) -> str:
        minutes = max(1e-9, self.shown / FPS / 60)
        return (
            f"label changes {self.changes} ({self.changes / minutes:.3f} a digit and minute), "
            f"id switches {self.switches} ({self.switches / minutes:.3f})"
        )


def paired(truth: tuple[tuple[Box, int], ...], reading: Reading) -> dict[int, Digit]:
    """Index of each true digit → what was read there."""
    found: dict[int, Digit] = {}
    for digit in reading.digits:
        best = max(range(len(truth)), key=lambda i: truth[i][0].iou(digit.box))
        if truth[best][0].iou(digit.box) >= MATCH and best not in found:
            found[best] = digit
    return found


def demo(seconds: float, digits: int, width: int, height: int, model: str, seed: int) -> None:
    scene = DemoScene(width, height, seed=seed, digits=digits)
    count = round(seconds * FPS)
    frames = (Frame(scene.render(i / FPS), i, i / FPS, "demo") for i in range(count))
    steady = Steadiness()
    right: dict[int, int] = defaultdict(int)
    extra = first_whole = 0
    for i, reading in enumerate(readings(frames, model)):
        truth = scene.truth(i / FPS)
        found = paired(truth, reading)
        steady.add(found)
        correct = sum(d.digit == truth[k][1] for k, d in found.items())
        right[i // FPS] += correct
        extra += len(reading.digits) - len(found)
        if correct == digits and not first_whole:
            first_whole = i + 1
        if i == round(SETTLED * FPS):
            print(f"  after {SETTLED} s: {correct} of {digits} right")
    shares = [right[s] / FPS / digits for s in range(int(seconds))]
    print(f"  right, second by second: {' '.join(f'{s:.3f}' for s in shares)}")
    print(
        f"  mean {sum(shares) / len(shares):.4f}, false boxes a frame {extra / count:.3f}, ", end=""
    )
    print(f"all right from frame {first_whole or 'none'}, {steady.report()}")


def video(path: Path, model: str) -> None:
    steady = Steadiness()
    for reading in readings(video_frames(path), model):
        steady.add({d.track: d for d in reading.digits})
    ids = len(steady.last)
    print(
        f"  {steady.frames} frames, {steady.shown / steady.frames:.1f} digits shown a frame, ",
        end="",
    )
    print(f"{ids} ids, {steady.report()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--digits", type=int, default=16)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--video", type=Path)
    given = parser.parse_args()
    if given.video:
        print(given.video.name)
        video(given.video, given.model)
        return
    width, height = (int(n) for n in given.size.split("x"))
    for seed in range(given.seeds):
        print(f"demo {width}×{height}, {given.digits} digits, seed {seed}, {given.model}")
        demo(given.seconds, given.digits, width, height, given.model, seed)


if __name__ == "__main__":
    main()
