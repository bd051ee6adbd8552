"""Hands over the page: MediaPipe's hand landmarks, found off the picture's way on their own thread.

    find_model, fetch_model   the file hand_landmarker.task: where it is, and how it gets there
    Landmarker                picture → hands; MediaPipeLandmarker, or a fake in tests
    covered, hidden           hands → the region they hide, and whether a box lies under it
    HandsWorker               a one-slot mailbox; the newest frame's hands, or none
    open_hands                the settings → a worker, or one line that says what is missing

MediaPipe is imported by MediaPipeLandmarker alone, on the worker's thread: nothing else here needs
the extra. It keeps pictures on the machine, but from 1.x on its native library sends figures about
its use (no pictures) to Google, and its notice asks programs to tell their users so:
https://goo.gle/mediapipe-privacy.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import platformdirs

from live_digits.config import HandsSettings
from live_digits.errors import HandsError, MissingExtraError
from live_digits.motion import apart
from live_digits.outside import Apart, ApartError, read_bytes
from live_digits.types import Box, Floats, Image
from live_digits.worker import Worker, percentiles

MODEL_URL = (
    "https://storage.googleapis.com/mediapipe-models/"
    "hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task"
)
"""The published model, as the MediaPipe documentation names it."""
MODEL_SHA256 = "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1"
MODEL_NAME = "hand_landmarker.task"
MODEL_VARIABLE = "LIVE_DIGITS_HAND_MODEL"
"""Environment variable that names a model file."""
_TIMEOUT = 20.0
"""Seconds without a byte after which the fetching gives up."""
_CHUNK = 1 << 16
"""Bytes read at once while fetching."""
_LARGEST = 64_000_000
"""Most bytes that are fetched; the model has about 8 million."""

_Points = npt.NDArray[np.float64]

LANDMARKS = 21
WRIST, INDEX_KNUCKLE, MIDDLE_KNUCKLE, LITTLE_KNUCKLE = 0, 5, 9, 17
"""Rows of Hand.landmarks."""
_PALM_SHAPE = 0.6
"""A palm's width is at least this share of its length, however it is turned to the camera."""
_ROUND = 16
"""Corners of the circle that a hull is grown by."""
_CELLS = 32
"""A box is divided into this many cells each way to measure how much of it is hidden."""
_SUBPIXEL = 4
"""Fractional bits of the corners that OpenCV draws."""
HIDDEN_SHARE = 0.5
"""A box is hidden from this share of its area on."""

NUM_HANDS = 2
"""Most hands that are looked for."""
LOOK_SIZE = 480
"""Longest side of the picture that the landmarker sees, pixels."""
RELOOK = 0.25
"""Seconds after which hands that rest are looked at again all the same."""
STALE = 0.5
"""Seconds after which a sighting says nothing any more."""
_MOTION_SIZE = 48
"""Longest side of the grey picture that tells movement, pixels."""
_MOTION_LEAST = 6.0
"""Grey levels that a cell must change by to have moved, ..."""
_MOTION_MOST = 24.0
"""... and that always mean movement. Between them the picture's own noise decides: ..."""
_MOTION_NOISE = 6.0
"""... this many standard deviations of the change of all cells."""
_MOTION_CELLS = 2
"""Cells that must have moved."""
_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in median absolute deviations."""

_NICENESS = 10
"""How far the thread stands back (Linux): where cores are short it slows down, not the picture."""
_PATIENCE = 10.0
"""Seconds that a look may take before it counts as hanging: the thread stands back."""
_MOST_TIMES = 4096
"""Durations kept for the statistics."""
_NEEDLESS = ("tensorflow", "sounddevice")
"""What MediaPipe imports where it finds it, and does without where not. TensorFlow (for the making
of its documentation) costs seconds that hold Python's lock and half a gigabyte; sounddevice starts
the system's audio."""
_LOG_LINE = re.compile(rb"(INFO|WARNING|ERROR): |[IWEF]\d{4} \d\d:\d\d:")
"""How a line begins that MediaPipe's native library logs."""


# The model ----------------------------------------------------------------------------------------


def cached_model() -> Path:
    """Where a fetched model is kept, there or not."""
    return platformdirs.user_cache_path("live_digits", appauthor=False) / MODEL_NAME


def find_model(settings: HandsSettings) -> Path | None:
    """The model file: the one that is set, else the environment's, else the one fetched before;
    None where there is none. Raises HandsError for a named file that is not there."""
    for name, place in (
        (settings.model, "hands.model"),
        (os.environ.get(MODEL_VARIABLE, ""), MODEL_VARIABLE),
    ):
        if name:
            path = Path(os.path.expanduser(name))
            if not path.is_file():
                raise HandsError(f"no hand model {path}, which {place} names; correct or unset it")
            return path
    path = cached_model()
    return path if path.is_file() else None


def fetch_model(progress: Callable[[int, int], None]) -> Path:
    """Fetches the published model into the cache folder, checks it, and returns its path.

    `progress` is called with the bytes so far and in all (0 where the server does not say).
    A file that is not whole and right never gets the model's name. Raises HandsError.
    """
    path = cached_model()
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=MODEL_NAME, suffix=".part", delete=False
        ) as file:
            scratch = Path(file.name)
            digest = _download(file, progress)
        if digest != MODEL_SHA256:
            raise HandsError(
                f"what {MODEL_URL} gave is not the published hand model (sha256 {digest}, expected "
                f"{MODEL_SHA256}); nothing was kept: try again, or on another network"
            )
        os.replace(scratch, path)
    except OSError as e:
        raise HandsError(
            f"the hand model cannot be kept in {path.parent}: {e.strerror or e}; free the folder, "
            "or name a file by hands.model"
        ) from e
    finally:
        if scratch is not None:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
    return path


def _download(file: IO[bytes], progress: Callable[[int, int], None]) -> str:
    """Writes what MODEL_URL gives into `file`; its sha256. Raises HandsError for what the network
    does, OSError for what the disk does."""
    digest = hashlib.sha256()
    done = 0
    with contextlib.ExitStack() as stack:
        try:
            response = stack.enter_context(urllib.request.urlopen(MODEL_URL, timeout=_TIMEOUT))
            length = response.headers.get("Content-Length") or ""
        except (OSError, http.client.HTTPException) as e:
            raise _unreachable(e) from e
        total = int(length) if length.isdecimal() else 0
        progress(0, total)
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as e:
                raise _unreachable(e) from e
            if not chunk:
                break
            done += len(chunk)
            if done > _LARGEST:
                raise _unreachable(f"it has more than {_LARGEST} bytes")
            file.write(chunk)
            digest.update(chunk)
            progress(done, total)
    if done < total:
        raise _unreachable(f"it broke off after {done} of {total} bytes")
    return digest.hexdigest()


def _unreachable(reason: object) -> HandsError:
    if type(reason) is urllib.error.URLError:  # not its child HTTPError, which says it itself
        reason = reason.reason
    if isinstance(reason, OSError) and reason.strerror:
        reason = reason.strerror
    return HandsError(
        f"the hand model cannot be fetched from {MODEL_URL}: {reason}; go online once, or fetch "
        f"the file elsewhere and name it by hands.model or {MODEL_VARIABLE}"
    )


# Hands --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Hand:
    """One hand of a picture.

    `landmarks`: float32 21×2, x and y in pixels (wrist, then four each of thumb, index, middle,
    ring and little finger, from the palm to the tip); they may lie outside the picture.
    `handedness`: "Left" or "Right", the person's own in a picture that is not mirrored.
    `score`: 0…1, how sure the handedness is.
    """

    landmarks: Floats
    handedness: str
    score: float

    def scaled(self, x: float, y: float) -> Hand:
        """The hand in a picture that is x times as wide and y times as high."""
        points = self.landmarks * np.array([x, y], np.float32)
        return Hand(points, self.handedness, self.score)

    @property
    def palm_width(self) -> float:
        """Pixels from the index to the little finger's knuckle; at least a share of the palm's
        length, so that a palm seen from its side keeps its width."""
        p = self.landmarks
        across = float(np.linalg.norm(p[INDEX_KNUCKLE] - p[LITTLE_KNUCKLE]))
        along = float(np.linalg.norm(p[MIDDLE_KNUCKLE] - p[WRIST]))
        return max(across, _PALM_SHAPE * along)


@dataclass(frozen=True, slots=True)
class Sighting:
    """The hands of one frame, in its pixels; `time` is the frame's, seconds."""

    hands: tuple[Hand, ...] = ()
    time: float = float("-inf")


def covered(hands: Sequence[Hand], width: int, height: int) -> tuple[Floats, ...]:
    """The convex polygons (float32 N×2, pixels) that hands hide in a frame of width × height: each
    hand's hull, grown by its palm's width, inside the frame. Hands beside the frame hide none."""
    turn = np.arange(_ROUND) * (2 * np.pi / _ROUND)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1) / np.cos(np.pi / _ROUND)
    polygons = []
    for hand in hands:
        grown = hand.landmarks[:, None] + hand.palm_width * circle
        hull = cv2.convexHull(grown.reshape(-1, 2).astype(np.float32)).reshape(-1, 2)
        inside = _clipped(np.asarray(hull, np.float64), width, height)
        if len(inside) > 2:
            polygons.append(inside.astype(np.float32))
    return tuple(polygons)


def _clipped(polygon: _Points, width: int, height: int) -> _Points:
    """The part of a convex polygon (float64 N×2) inside 0…width × 0…height; N×2 or 0×2."""
    for axis, sign, limit in ((0, 1, 0), (0, -1, -width), (1, 1, 0), (1, -1, -height)):
        if len(polygon) == 0:
            break
        depth = sign * polygon[:, axis] - limit
        after, depth_after = np.roll(polygon, -1, 0), np.roll(depth, -1)
        kept = []
        for here, there, d, e in zip(polygon, after, depth, depth_after, strict=True):
            if d >= 0:
                kept.append(here)
            if (d > 0 > e) or (d < 0 < e):
                kept.append(here + (there - here) * (d / (d - e)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def hidden(box: Box, polygons: Sequence[Floats]) -> bool:
    """True when at least half of `box` lies under `polygons`, those of `covered`."""
    return hidden_share(box, polygons) >= HIDDEN_SHARE


def hidden_share(box: Box, polygons: Sequence[Floats]) -> float:
    """The share of `box` (0…1) that lies under `polygons`, those of `covered`."""
    if box.area <= 0:
        return 0.0
    mask: Image | None = None
    for polygon in polygons:
        low, high = polygon.min(0), polygon.max(0)
        if low[0] >= box.right or low[1] >= box.bottom or high[0] <= box.x or high[1] <= box.y:
            continue
        if mask is None:
            mask = np.zeros((_CELLS, _CELLS), np.uint8)
        cells = (polygon - (box.x, box.y)) * (_CELLS / box.w, _CELLS / box.h) - 0.5
        corners = np.round(cells * (1 << _SUBPIXEL)).astype(np.int32)
        cv2.fillConvexPoly(mask, corners, 1, cv2.LINE_8, _SUBPIXEL)
    return 0.0 if mask is None else cv2.countNonZero(mask) / mask.size


# Looking ------------------------------------------------------------------------------------------


class Landmarker(Protocol):
    """Finds hands. Belongs to one thread; the calls' times grow."""

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        """`image`: uint8 BGR H×W×3 → its hands, in its pixels."""

    def close(self) -> None: ...


class MediaPipeLandmarker:
    """MediaPipe's hand landmarker, following hands from picture to picture."""

    def __init__(self, model: Path) -> None:
        """Imports MediaPipe and loads the model: a fraction of a second. Raises MissingExtraError
        where MediaPipe is not installed, HandsError where it or the model cannot be loaded."""
        try:
            with _without_needless():
                import mediapipe
        except (ImportError, OSError) as e:
            if isinstance(e, ModuleNotFoundError) and e.name == "mediapipe":
                raise MissingExtraError("hands", "hands") from e
            raise HandsError(f"MediaPipe cannot be loaded: {_first_line(e)}") from e
        self._mediapipe: Any = mediapipe
        self._time_ms = -1
        self._met = False
        vision = mediapipe.tasks.vision
        try:
            # Not by its path: that fails on Windows beyond ASCII.
            content = read_bytes(model, _LARGEST)
            with _quiet():
                options = vision.HandLandmarkerOptions(
                    base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=content),
                    running_mode=vision.RunningMode.VIDEO,
                    num_hands=NUM_HANDS,
                )
                self._task: Any = vision.HandLandmarker.create_from_options(options)
                self(np.zeros((LOOK_SIZE, LOOK_SIZE, 3), np.uint8), 0)
        except OSError as e:
            raise HandsError(f"the hand model {model} cannot be read: {e.strerror or e}") from e
        except (RuntimeError, ValueError) as e:
            raise HandsError(f"{model} is no hand model: {_first_line(e)}") from e

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        """A time that does not grow, as where a video begins again, counts as the next
        millisecond."""
        self._time_ms = max(self._time_ms + 1, time_ms)
        mediapipe = self._mediapipe
        picture = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        )
        # The library logs once more when it meets its first hand.
        with contextlib.nullcontext() if self._met else _quiet():
            found = self._task.detect_for_video(picture, self._time_ms)
        self._met = self._met or bool(found.hand_landmarks)
        height, width = image.shape[:2]
        size = np.array([width, height], np.float32)
        return tuple(
            Hand(
                np.array([(p.x, p.y) for p in points], np.float32) * size,
                str(sides[0].category_name),
                float(sides[0].score),
            )
            for points, sides in zip(found.hand_landmarks, found.handedness, strict=True)
        )

    def close(self) -> None:
        """Frees the model. May be called twice."""
        with _quiet():
            self._task.close()


class ApartLandmarker:
    """The same in a process of its own, for models from elsewhere: MediaPipe crashes on some that
    are damaged."""

    def __init__(self, model: Path) -> None:
        """As MediaPipeLandmarker. Raises HandsError."""
        self._name = str(model)
        try:
            self._found = Apart(__name__, "MediaPipeLandmarker", model)
        except ApartError as e:
            raise self._broken(e) from e

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        try:
            found: tuple[Hand, ...] = self._found(image, time_ms)
        except ApartError as e:
            raise self._broken(e) from e
        return found

    def close(self) -> None:
        self._found.close()

    def _broken(self, error: ApartError) -> HandsError:
        known = self._name in str(error)
        return HandsError(str(error) if known else f"hand model {self._name}: {error}")


def open_landmarker(model: Path) -> Landmarker:
    """The landmarker of a model file. Raises HandsError, MissingExtraError."""
    try:
        content = read_bytes(model, _LARGEST)
    except OSError as e:
        raise HandsError(f"the hand model {model} cannot be read: {e.strerror or e}") from e
    return MediaPipeLandmarker(model) if _is_published(content) else ApartLandmarker(model)


def _is_published(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == MODEL_SHA256


def _import_for(model: Path) -> None:
    """Imports MediaPipe where the model will run in this process. What fails is told by
    `open_landmarker`, which does it again."""
    with contextlib.suppress(ImportError, OSError):
        if _is_published(read_bytes(model, _LARGEST)):
            with _without_needless():
                importlib.import_module("mediapipe")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Hider(importlib.abc.MetaPathFinder):
    """Hides _NEEDLESS from the thread that made it; other threads import them as ever."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _NEEDLESS and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@contextlib.contextmanager
def _without_needless() -> Iterator[None]:
    """Lets MediaPipe be imported as where _NEEDLESS are not installed."""
    finder = _Hider()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the native library's log lines off stderr; all other lines come through, at the end.
    It knows no level or switch of its own for them."""
    try:
        real = os.dup(2)
    except OSError:  # a process without stderr has none to keep quiet
        yield
        return
    try:
        with tempfile.TemporaryFile() as kept:
            os.dup2(kept.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(real, 2)
                kept.seek(0)
                for line in kept:
                    if not _LOG_LINE.match(line):
                        os.write(real, line)
    finally:
        os.close(real)


def reduced(image: Image) -> Image:
    """`image` (uint8 H×W×3) with its longest side at most LOOK_SIZE."""
    return _fitted(image, LOOK_SIZE)


def thumbnail(image: Image) -> Floats:
    """What movement is told by: `image` (uint8 BGR H×W×3) in grey, float32, tiny."""
    return np.asarray(cv2.cvtColor(_fitted(image, _MOTION_SIZE), cv2.COLOR_BGR2GRAY), np.float32)


def _fitted(image: Image, longest: int) -> Image:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def moved(before: Floats, now: Floats) -> bool:
    """True when something moved between two thumbnails. Neither noise nor light that changes all
    over the picture counts as movement."""
    if before.shape != now.shape:
        return True
    size, noise = apart(before, now)
    least = min(max(_MOTION_LEAST, _MOTION_NOISE * _TO_SIGMA * noise), _MOTION_MOST)
    return int(np.count_nonzero(size > least)) >= _MOTION_CELLS


# The thread ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandsStats:
    """Counts since the start: frames looked at, those with a hand, seconds a look (the newest
    last)."""

    frames: int = 0
    seen: int = 0
    times: tuple[float, ...] = field(default=(), repr=False)

    @property
    def ms(self) -> dict[str, float] | None:
        """p50, p95 and p99 of a look in milliseconds; None before the first."""
        return percentiles(self.times)

    def as_json(self) -> dict[str, Any]:
        return {"frames": self.frames, "seen": self.seen, "ms": self.ms}


_Offer = tuple[Image, float]
_Look = tuple[Sighting, "Floats | None", bool]
"""What was seen, the thumbnail of it, and whether the landmarker was asked."""


class HandsWorker(Worker[_Offer, Landmarker, _Look]):
    """Owns a landmarker on its own thread."""

    def __init__(
        self,
        load: Callable[[], Landmarker],
        patience: float = _PATIENCE,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """`load` makes the landmarker; it runs on the worker's thread. `prepare` runs there before,
        at full priority."""
        super().__init__("hands", load, patience)
        self._prepare = prepare
        self._looked_at = 0.0
        self.eager = False
        """Hands that rest are looked at in every frame: a finger may be writing."""
        self._latest = Sighting()
        self._before: Floats | None = None
        """The thumbnail of the last look."""
        self._frames = self._seen = 0
        self._times: deque[float] = deque(maxlen=_MOST_TIMES)

    def offer(self, image: Image, time: float) -> None:
        """Gives the newest frame (uint8 BGR H×W×3, not written to any more; `time` in seconds, its
        own) to look at. Replaces one that still waits; nothing is copied."""
        self._offer((image, time))

    @property
    def latest(self) -> Sighting:
        """The newest sighting, however old."""
        return self._latest

    def current(self, time: float) -> tuple[Hand, ...]:
        """The hands at a frame's time: the newest sighting's if it is at most STALE seconds from
        it, else none."""
        latest = self._latest
        return latest.hands if abs(time - latest.time) <= STALE else ()

    def stats(self) -> HandsStats:
        """Counts and times since the start."""
        with self._condition:
            return HandsStats(self._frames, self._seen, tuple(self._times))

    def _settle(self) -> None:
        """Prepares at full priority, then stands back: an import holds Python's lock, and whoever
        holds it must not wait for a core."""
        if self._prepare:
            self._prepare()
        _stand_back()

    def _rests(self, when: float) -> bool:
        """Whether a frame in which nothing has moved may go without a look."""
        if not self._latest.hands:
            return True
        return not self.eager and 0 <= when - self._looked_at < RELOOK

    def _work(self, tool: Landmarker, request: _Offer) -> _Look:
        """Looks at a frame, or takes it as the one before where nothing has moved since."""
        image, when = request
        small = reduced(image)
        now = thumbnail(small)
        before = self._before
        if before is not None and self._rests(when) and not moved(before, now):
            return Sighting(self._latest.hands, when), before, False
        found = tool(small, round(1000 * when))
        x, y = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        return Sighting(tuple(h.scaled(x, y) for h in found), when), now, True

    def _keep(self, request: _Offer, answer: _Look, seconds: float) -> None:
        self._latest, self._before, looked = answer
        if looked:
            self._looked_at = request[1]
            self._frames += 1
            self._seen += bool(self._latest.hands)
            self._times.append(seconds)

    def _forget(self) -> None:
        self._latest, self._before = Sighting(), None

    def _free(self, tool: Landmarker) -> None:
        with contextlib.suppress(Exception):
            tool.close()


def _stand_back() -> None:
    """Lowers the calling thread's priority, and so that of all threads that it will start."""
    if sys.platform == "linux":  # elsewhere this would be the whole process's
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def open_hands(settings: HandsSettings) -> tuple[HandsWorker | None, str]:
    """A worker that is not started yet, or None with one line that says what is missing (empty
    where there is nothing to say: the mode is off, or the extra is simply not installed).

    Imports no MediaPipe and fetches nothing. Under the mode `on` raises MissingExtraError without
    the extra and HandsError without a model; under `auto` neither.
    """
    if settings.mode == "off":
        return None, ""
    asked = settings.mode == "on"
    if importlib.util.find_spec("mediapipe") is None:
        if asked:
            raise MissingExtraError("hands", "hands")
        return None, ""
    try:
        model = find_model(settings)
        if model is None:
            way = "go online once" if asked else "--set hands.mode=on fetches it once"
            raise HandsError(
                f"no hand model: {way}, or name a {MODEL_NAME} by hands.model or {MODEL_VARIABLE}"
            )
    except HandsError as e:
        if asked:
            raise
        return None, f"hands are off: {e}"
    return HandsWorker(lambda: open_landmarker(model), prepare=lambda: _import_for(model)), ""
