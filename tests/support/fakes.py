"""Stand-ins for the network, the camera and the window, shared by the tests.

Each implements the very protocol of the room it stands for (mypy holds them to it), so that a test
can drive the real rooms around it without a model, a device or a screen.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from live_digits.capture.connection_state import Timeouts
from live_digits.capture.reconnecting_source import ReconnectingSource
from live_digits.config.settings import PipelineSettings
from live_digits.core.errors import SourceError
from live_digits.core.types import (
    CLASSES,
    Candidate,
    Floats,
    Frame,
    Image,
    Mode,
    Signal,
    SourceInfo,
)
from live_digits.display.keymap import Command
from live_digits.hands.landmarks import Hand, HandDetection
from live_digits.hands.mediapipe_landmarker import Landmarker
from live_digits.hands.worker import HandsWorker
from live_digits.reading.classes import JUDGED, MARK
from live_digits.reading.cutouts import Cutouts, no_cutouts
from live_digits.reading.questions import Question
from live_digits.recording import video_writer

PATIENCE = 60.0
"""Seconds after which something that should happen on another thread has not."""

Answerer = Callable[[Image], "int | Floats"]
"""One crop (uint8 28×28) → its label 0…10, or its 11 probabilities."""


def probabilities(label: int, confidence: float = 0.99) -> Floats:
    """float32 11: `confidence` for the label, the rest in equal parts for the others."""
    out = np.full(CLASSES, (1 - confidence) / (CLASSES - 1), np.float32)
    out[label] = confidence
    return out


def judged(label: int, confidence: float = 0.99, rest: int = MARK) -> Floats:
    """float32 14: `confidence` for the class, the rest for `rest`, or for 0 where that is it."""
    out = np.zeros(JUDGED, np.float32)
    out[rest if rest != label else 0] = 1 - confidence
    out[label] = confidence
    return out


def asking(tracks: Sequence[int], crops: Image) -> Question:
    """A question about crops alone, a track each."""
    return Question(tuple(tracks), replace(no_cutouts(), crops=crops))


def wait_until(condition: Callable[[], bool], what: str = "it") -> None:
    """Waits for another thread; fails the test when it does not come within `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.002)


def held_disk(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Has every recording's film wait until the event is set, as on a disk that does not answer."""
    gate = threading.Event()
    encode = video_writer.Mp4Writer.add

    def stuck(self: video_writer.Mp4Writer, image: Image, seconds: float) -> None:
        assert gate.wait(PATIENCE), "nobody opened the gate"
        encode(self, image, seconds)

    monkeypatch.setattr(video_writer.Mp4Writer, "add", stuck)
    return gate


class FakeClassifier:
    """Stands for a network. Implements `live_digits.reading.classifier.Classifier`.

    It remembers every call: `batches` holds the number of crops of each, `crops` the newest call's
    crops, `threads` the threads that called. `begun` is set as soon as a call has begun.
    """

    def __init__(
        self,
        answer: int | Answerer = 7,
        *,
        confidence: float = 0.99,
        seconds: float = 0.0,
        failures: int = 0,
        error: Exception | None = None,
        gate: threading.Event | None = None,
        name: str = "fake",
    ) -> None:
        """`answer`: the label of every crop, or a function of one crop. `seconds`: how long each
        call takes. `failures`: how many calls raise `error` (RuntimeError by default) before the
        first that works; may be raised again later. `gate`: each call waits until it is set."""
        self.name = name
        self.answer = answer
        self.confidence = confidence
        self.seconds = seconds
        self.failures = failures
        self.error = error or RuntimeError("the network is out of order")
        self.gate = gate
        self.begun = threading.Event()
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.crops: Image = np.zeros((0, 28, 28), np.uint8)

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11."""
        self.batches.append(len(crops))
        self.threads.add(threading.get_ident())
        self.crops = crops
        self.begun.set()
        if self.seconds:
            time.sleep(self.seconds)
        if self.gate is not None:
            assert self.gate.wait(PATIENCE), "nobody opened the gate"
        if self.failures > 0:
            self.failures -= 1
            raise self.error
        rows = [self._row(crop) for crop in crops]
        return np.array(rows, np.float32).reshape(-1, CLASSES)

    def _row(self, crop: Image) -> Floats:
        found = self.answer(crop) if callable(self.answer) else self.answer
        return probabilities(found, self.confidence) if isinstance(found, int) else found


class FakeJudge:
    """Stands for a model with a judge. Implements `live_digits.reading.questions.Judge`.

    It remembers what it was asked: `cutouts` holds each call's, `pages` the candidates of each page
    and `told` the evidence that came with them, `threads` the threads that called.
    """

    surroundings = True

    def __init__(
        self,
        evidence: Callable[[Image], int | Floats] | int | Floats = 7,
        verdict: Callable[[Sequence[Candidate], Floats], Floats] | None = None,
        *,
        confidence: float = 0.99,
        name: str = "fake judge",
    ) -> None:
        """`evidence`: a candidate's class 0…13, or its 14 probabilities, or a function of its crop.
        `verdict`: a page's candidates and evidence → its verdicts; the evidence by default."""
        self.name = name
        self.evidence_of = evidence
        self.verdict_of = verdict
        self.confidence = confidence
        self.cutouts: list[Cutouts] = []
        self.pages: list[tuple[Candidate, ...]] = []
        self.told: list[Floats] = []
        self.written: list[int] = []
        self.threads: set[int] = set()

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11: what is written in the air."""
        self.threads.add(threading.get_ident())
        self.written.append(len(crops))
        out = np.zeros((len(crops), CLASSES), np.float32)
        for row, crop in zip(out, crops, strict=True):
            said = self._row(crop)
            row[:-1], row[-1] = said[: CLASSES - 1], said[CLASSES - 1 :].sum()
        return out

    def evidence(self, cutouts: Cutouts) -> Floats:
        """N cutouts → float32 N×14."""
        self.threads.add(threading.get_ident())
        self.cutouts.append(cutouts)
        rows = [self._row(crop) for crop in cutouts.crops]
        return np.array(rows, np.float32).reshape(-1, JUDGED)

    def verdicts(self, candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        """N candidates of a page and float32 N×14 → float32 N×14."""
        assert len(candidates) == len(evidence)
        self.threads.add(threading.get_ident())
        self.pages.append(tuple(candidates))
        self.told.append(evidence.copy())
        return evidence if self.verdict_of is None else self.verdict_of(candidates, evidence)

    def _row(self, crop: Image) -> Floats:
        found = self.evidence_of(crop) if callable(self.evidence_of) else self.evidence_of
        return judged(found, self.confidence) if isinstance(found, int) else found


class FakeSource:
    """Stands for a camera or a file: a `live_digits.capture.base.Source` without a thread.

    Without `fps` it is a file in batch: every read hands out the next image at once, its `time`
    counting up from 0 by 1/30 s. With `fps` it is a camera: image k is there k/fps seconds after
    the start, the newest one wins and what nobody took is counted as dropped; its `time` is the
    monotonic clock. After the last image it is finished.
    """

    def __init__(
        self,
        images: Iterable[Image],
        *,
        fps: float | None = None,
        name: str = "fake",
        error: SourceError | None = None,
    ) -> None:
        """`images`: uint8 BGR H×W×3 each; may be endless. `error` is set when they end."""
        self.note = ""
        self.captured = self.dropped = 0
        self.error: SourceError | None = None
        self.signal = Signal()
        self.started = self.closed = False
        self._images: Iterator[Image] = iter(images)
        self._ahead: Image | None = None
        self._fps, self._name, self._fails = fps, name, error
        self._begun = 0.0
        self._size = (0, 0)

    @property
    def info(self) -> SourceInfo:
        mode = Mode(*self._size, self._fps or 30.0)
        return SourceInfo(self._name, "camera" if self._fps else "video", mode, mode, mode)

    @property
    def finished(self) -> bool:
        self._ahead = self._take()
        return self._ahead is None

    def start(self) -> None:
        if not self.started:
            self.started, self._begun = True, time.monotonic()

    def read(self, timeout: float) -> Frame | None:
        self.start()
        if self._fps:
            early = self._begun + self.captured / self._fps - time.monotonic()
            if early > 0:
                time.sleep(min(early, timeout))
            if early > timeout:
                return None
        image = self._take()
        if image is None:
            return None
        self.captured += 1
        while self._fps and time.monotonic() >= self._begun + self.captured / self._fps:
            newer = self._take()
            if newer is None:
                break
            image = newer
            self.captured += 1
            self.dropped += 1
        image.flags.writeable = False
        self._size = image.shape[1], image.shape[0]
        seq, now = self.captured - 1, time.monotonic()
        return Frame(image, seq, now if self._fps else seq / 30, self._name, now)

    def close(self) -> None:
        self.closed, self._ahead, self._images = True, None, iter(())

    def _take(self) -> Image | None:
        """The next image, or None at the end."""
        image = next(self._images, None) if self._ahead is None else self._ahead
        self._ahead = None
        if image is None and not self.closed:
            self.error = self._fails
        return image


class FakeDevice(ReconnectingSource):
    """A camera whose faults are made on purpose. The machinery is the real one,
    `ReconnectingSource`; only what it connects to is made up: 50 pictures a second of `size`, each
    of the grey level that is the connection's number.

    `fault` may change at any time: "" none · "silent" no picture, no error · "blocks" a read that
    does not return before `gate` is set, and then brings a picture · "breaks" SourceError · "ends"
    · "fails" an error that nobody thought of · "away" it cannot be opened · "opening blocks" until
    `gate` is set.
    """

    def __init__(self, limits: Timeouts, fault: str = "") -> None:
        self.fault = fault
        self.size = 64, 48
        self.gate = threading.Event()
        self.opened = self.given_back = 0
        self.blocked = 0
        """Reads that block at this moment."""
        self.images_given: Callable[[], Image] | None = None
        """Makes the pictures, where a test needs its own."""
        super().__init__(SourceInfo("fake camera", "camera"), limits)

    def _connect(self, ended: threading.Event) -> FakeConnection:
        if self.fault == "opening blocks":
            self.wait_at_the_gate()
        if self.fault in ("away", "opening blocks"):
            raise SourceError("fake camera is not there")
        self.opened += 1
        return FakeConnection(self, self.opened)

    def wait_at_the_gate(self) -> None:
        self.blocked += 1
        assert self.gate.wait(PATIENCE), "nobody opened the gate"
        self.blocked -= 1


class FakeConnection:
    """What a `FakeDevice` connects to. Implements `reconnecting_source.Connection`."""

    finite = False

    def __init__(self, device: FakeDevice, number: int) -> None:
        self._device, self._number = device, number
        self.reported = Mode(*device.size, 50.0)

    def images(self) -> Iterator[Image | None]:
        while True:
            fault = self._device.fault
            if fault == "ends":
                return
            if fault in ("breaks", "away", "opening blocks"):
                raise SourceError("fake camera was unplugged")
            if fault == "fails":
                raise ValueError("nobody thought of this")
            if fault == "blocks":
                self._device.wait_at_the_gate()
            else:
                time.sleep(0.02)
            yield None if fault == "silent" else self._image()

    def _image(self) -> Image:
        if self._device.images_given:
            return self._device.images_given()
        width, height = self._device.size
        return np.full((height, width, 3), self._number, np.uint8)

    def close(self) -> None:
        self._device.given_back += 1


class FakeDisplay:
    """Stands for the window. Implements `live_digits.app.live.Display`.

    `pictures` and `sheets` are what was shown, in order; `threads` are the threads that called
    (a window belongs to one). Frame number n is the n-th picture shown, from 1.
    """

    def __init__(
        self,
        script: Mapping[int, Sequence[Command]] | None = None,
        settings: PipelineSettings | None = None,
        sliders: Mapping[int, PipelineSettings] | None = None,
        keep: int | None = None,
        fit: Callable[[int, int], tuple[int, int]] | None = None,
    ) -> None:
        """`script`: the keys pressed once frame number n is on the screen. `settings`: how the
        sliders stand at first; `sliders`: how they stand from frame number n on. `keep`: how many
        of the newest pictures are kept, all by default. `fit`: the size at which a picture of some
        width and height is shown, its own by default."""
        self.pictures: deque[Image] = deque(maxlen=keep)
        self.sheets: list[Image] = []
        self.shown = 0
        self.given: list[PipelineSettings] = []
        self.closed = False
        self.threads: set[int] = set()
        self._keys = dict(script or {})
        self._moves = dict(sliders or {})
        self._settings = settings or PipelineSettings()
        self._fit = fit

    def fit(self, width: int, height: int) -> tuple[int, int]:
        return (width, height) if self._fit is None else self._fit(width, height)

    def show(self, picture: Image) -> None:
        self.threads.add(threading.get_ident())
        assert not self.closed, "a closed window shows nothing"
        self.pictures.append(picture.copy())
        self.shown += 1

    def poll(self, wait_ms: int = 1) -> tuple[Command, ...]:
        self.threads.add(threading.get_ident())
        due = sorted(n for n in self._keys if n <= self.shown)
        return tuple(command for n in due for command in self._keys.pop(n))

    def parameters(self) -> PipelineSettings:
        self.threads.add(threading.get_ident())
        for n in sorted(n for n in self._moves if n <= self.shown):
            self._settings = self._moves.pop(n)
        return self._settings

    def set_parameters(self, settings: PipelineSettings) -> None:
        self.threads.add(threading.get_ident())
        self.given.append(settings)
        self._settings = settings

    def show_sheet(self, sheet: Image) -> None:
        self.threads.add(threading.get_ident())
        self.sheets.append(sheet.copy())

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed = True


class FakeHands(HandsWorker):
    """Stands for the thread that looks for hands: each frame is looked at when it is offered."""

    def __init__(self, script: Callable[[float], Sequence[Hand]]) -> None:
        """`script`: the hands at a frame's time, in its pixels."""
        super().__init__(_no_landmarker)
        self._script = script
        self.started = 0
        self.offered = 0

    def start(self) -> None:
        self.started += 1

    def offer(self, image: Image, time: float) -> None:
        self.offered += 1
        self._latest = HandDetection(tuple(self._script(time)), time)


def _no_landmarker() -> Landmarker:
    raise AssertionError("a fake loads nothing")


def hand(points: Sequence[tuple[float, float]], x: float, y: float, size: float) -> Hand:
    """A hand of 21 points in palm lengths of `size` pixels, its wrist at x, y."""
    return Hand(np.array(points, np.float32) * size + np.array([x, y], np.float32), "Right", 0.9)


def _hand_of(thumb: str, *fingers: str) -> list[tuple[float, float]]:
    """Landmarks of a hand whose fingers point up; each is "out" or "bent"."""
    points = [(0.0, 0.0), (-0.28, -0.22)]
    points += {
        "out": [(-0.5, -0.4), (-0.7, -0.6), (-0.9, -0.75)],
        "up": [(-0.38, -0.55), (-0.42, -1.1), (-0.44, -1.6)],
        "bent": [(-0.4, -0.5), (-0.3, -0.7), (-0.08, -0.74)],
    }[thumb]
    knuckles = ((-0.24, -0.92), (0.0, -1.0), (0.18, -0.94), (0.34, -0.8))
    for (x, y), way in zip(knuckles, fingers, strict=True):
        steps = (0.42, 0.7, 0.92) if way == "out" else (0.25, -0.02, -0.2)
        points += [(x, y), *((x, y - step) for step in steps)]
    return points


PALM = _hand_of("out", "out", "out", "out", "out")
FIST = _hand_of("bent", "bent", "bent", "bent", "bent")
THUMB_UP = _hand_of("up", "bent", "bent", "bent", "bent")
TWO = _hand_of("bent", "out", "out", "bent", "bent")
POINTING = _hand_of("bent", "out", "bent", "bent", "bent")
PINCH = _hand_of("bent", "bent", "out", "out", "out")
PINCH[8], PINCH[4] = (-0.5, -1.05), (-0.55, -1.0)
"""Thumb and index tip together, as around a pen."""
