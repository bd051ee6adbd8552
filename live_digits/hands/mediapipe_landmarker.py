"""A picture → its hands, by MediaPipe's hand landmarks.

MediaPipe is imported by MediaPipeLandmarker alone, on the worker's thread: nothing else here needs
the extra. It keeps pictures on the machine, but from 1.x on its native library sends figures about
its use (no pictures) to Google, and its notice asks programs to tell their users so:
https://goo.gle/mediapipe-privacy.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import cv2
import numpy as np

from live_digits.core.errors import HandsError, MissingExtraError
from live_digits.core.isolated_process import IsolatedProcess, IsolatedProcessError
from live_digits.core.quiet_stderr import quiet_stderr
from live_digits.core.safe_yaml import read_bytes
from live_digits.core.types import Floats, Image
from live_digits.hands.landmarks import LANDMARKS, Hand
from live_digits.hands.model_file import LARGEST, is_published

NUM_HANDS = 2
"""Most hands that are looked for."""
LOOK_SIZE = 480
"""Longest side of the picture that the landmarker sees, pixels."""
_SIDES = ("Left", "Right")
_COLUMNS = 2 + 2 * LANDMARKS
"""Columns of a hand in a table: its side as a number, its score, x and y of each landmark."""
_NEEDLESS = ("tensorflow", "sounddevice")
"""What MediaPipe imports where it finds it, and does without where not. TensorFlow (for the making
of its documentation) costs seconds that hold Python's lock and half a gigabyte; sounddevice starts
the system's audio."""
_ONLY_DRAWS = ("matplotlib", "matplotlib.pyplot")
"""What MediaPipe imports at once and uses only to draw. An empty module stands in: the real one
takes settings from a file `matplotlibrc` in the working folder, and half a second."""
LOG_LINE = re.compile(rb"(INFO|WARNING|ERROR): |[IWEF]\d{4} \d\d:\d\d:")
"""How a line begins that MediaPipe's native library logs."""


class Landmarker(Protocol):
    """Finds hands. Belongs to one thread; the calls' times grow."""

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        """`image`: uint8 BGR H×W×3 → its hands, in its pixels."""

    def close(self) -> None: ...


class MediaPipeLandmarker:
    """MediaPipe's hand landmarker, following hands from picture to picture."""

    def __init__(self, model: Path, content: bytes | None = None) -> None:
        """Imports MediaPipe and loads the model: a fraction of a second.

        Args:
            model: the file.
            content: its bytes, where they are read already.

        Raises:
            MissingExtraError: MediaPipe is not installed.
            HandsError: it or the model cannot be loaded.
        """
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
            if content is None:
                content = read_bytes(model, LARGEST)
            with quiet_stderr(LOG_LINE):
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
        with contextlib.nullcontext() if self._met else quiet_stderr(LOG_LINE):
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
        with quiet_stderr(LOG_LINE):
            self._task.close()


class IsolatedLandmarker:
    """The same in a process of its own, for models from elsewhere: MediaPipe crashes on some that
    are damaged."""

    def __init__(self, model: Path, content: bytes) -> None:
        """As MediaPipeLandmarker. Raises HandsError."""
        self._name = str(model)
        try:
            self._found = IsolatedProcess(__name__, "landmarks_for", content, name=self._name)
        except IsolatedProcessError as e:
            raise self._broken(e) from e

    def __call__(self, image: Image, time_ms: int) -> tuple[Hand, ...]:
        try:
            table = self._found(image, time_ms, rows=NUM_HANDS, columns=_COLUMNS)
        except IsolatedProcessError as e:
            raise self._broken(e) from e
        return tuple(
            Hand(row[2:].reshape(LANDMARKS, 2), _SIDES[int(row[0] > 0)], float(row[1]))
            for row in table
        )

    def close(self) -> None:
        self._found.close()

    def _broken(self, error: IsolatedProcessError) -> HandsError:
        known = self._name in str(error)
        return HandsError(str(error) if known else f"hand model {self._name}: {error}")


def landmarks_for(content: bytes, name: str) -> Callable[[Image, int], Floats]:
    """The other side of ApartLandmarker: a row a hand, its side, score and landmarks."""
    landmarker = MediaPipeLandmarker(Path(name), content)

    def table(image: Image, time_ms: int) -> Floats:
        hands = landmarker(image, time_ms)
        rows = [(_SIDES.index(h.handedness), h.score, *h.landmarks.flat) for h in hands]
        return np.array(rows, np.float32).reshape(len(rows), _COLUMNS)

    return table


def open_landmarker(model: Path) -> Landmarker:
    """The landmarker of a model file. Raises HandsError, MissingExtraError."""
    try:
        content = read_bytes(model, LARGEST)
    except OSError as e:
        raise HandsError(f"the hand model {model} cannot be read: {e.strerror or e}") from e
    kind = MediaPipeLandmarker if is_published(content) else IsolatedLandmarker
    return kind(model, content)


def import_for(model: Path) -> None:
    """Imports MediaPipe where the model will run in this process. What fails is told by
    `open_landmarker`, which does it again."""
    with contextlib.suppress(ImportError, OSError):
        if is_published(read_bytes(model, LARGEST)):
            with _without_needless():
                importlib.import_module("mediapipe")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Empty(importlib.abc.Loader):
    """Makes an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        del module


class _ImportBlocker(importlib.abc.MetaPathFinder):
    """Hides _NEEDLESS and _ONLY_DRAWS from the thread that made it; other threads import them as
    ever."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if threading.get_ident() != self._thread:
            return None
        if fullname in _ONLY_DRAWS:
            return importlib.machinery.ModuleSpec(fullname, _Empty(), is_package=True)
        if fullname in _NEEDLESS:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@contextlib.contextmanager
def _without_needless() -> Iterator[None]:
    """Lets MediaPipe be imported as where _NEEDLESS are not installed, and without _ONLY_DRAWS."""
    finder = _ImportBlocker()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in _ONLY_DRAWS:
            spec = getattr(sys.modules.get(name), "__spec__", None)
            if spec is not None and isinstance(spec.loader, _Empty):
                del sys.modules[name]
