"""Crops to probabilities: a trained network run by LiteRT, or by Keras for comparison.

A model is a folder that holds model.tflite, model.keras and card.yaml; the card names each file's
SHA-256. `load` refuses what is missing, damaged or of another shape with one clear line; a network
that is not the program's own runs in a process of its own, since one that is wrong inside can crash
the process that runs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from live_digits.core.errors import MissingExtraError, ModelError, one_line
from live_digits.core.isolated_process import IsolatedProcess, IsolatedProcessError
from live_digits.core.package_data import data_folder
from live_digits.core.safe_yaml import YAML_FAULTS, check_yaml, read_bytes
from live_digits.core.types import CLASSES, CROP_SIZE, Floats, Image

CARD = "card.yaml"
LITERT = "model.tflite"
KERAS = "model.keras"
_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batches are filled up to one of these, so that the runtime seldom makes its plan anew."""
_LARGEST_CARD = 1_000_000
_LARGEST_MODEL = 2**28
"""Most bytes of a card and of a network."""
_LONGEST = 300
"""Longest reason that a message repeats."""

_NOISE = b"INFO: "
_STDERR = 2
_quieting = threading.Lock()


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back what the runtime's C++ writes to standard error and passes on all but its INFO
    lines ("Created TensorFlow Lite XNNPACK delegate"); it has no switch of its own for them."""
    with _quieting, contextlib.ExitStack() as stack:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # a windowed program has no standard error: nothing to hold back
            yield
            return
        stack.callback(os.close, saved)
        held = stack.enter_context(tempfile.TemporaryFile())
        sys.stderr.flush()
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            held.seek(0)
            kept = b"".join(line for line in held if not line.startswith(_NOISE))
            if kept:
                os.write(_STDERR, kept)


def models_folder() -> Path:
    """Where the models that come with the program lie."""
    return data_folder() / "models"


def list_models(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the models in `folder` (the program's own by default)."""
    root = folder or models_folder()
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if (p / CARD).is_file()))


def find_model(name_or_path: str) -> Path:
    """The model's folder. A name of the program's own models wins over a folder of that name."""
    own = models_folder() / name_or_path
    if name_or_path in list_models():
        return own
    with contextlib.suppress(RuntimeError, OSError):  # "~nobody", a name too long
        path = Path(name_or_path).expanduser()
        if path.is_dir():
            return path
    names = ", ".join(list_models()) or "none"
    raise ModelError(
        f"no model {name_or_path!r}: give one of these names: {names}, "
        "or the path of a folder with model.tflite and card.yaml"
    )


def read_card(folder: Path) -> Mapping[str, Any]:
    """The card of a model folder. Raises ModelError if there is none or it is no mapping."""
    path = folder / CARD
    try:
        text = read_bytes(path, _LARGEST_CARD).decode("utf-8")
        check_yaml(text)
        card = yaml.safe_load(text)
    except FileNotFoundError as e:
        raise ModelError(f"{folder} is no model folder: it has no {CARD}") from e
    except (OSError, UnicodeDecodeError, yaml.YAMLError, *YAML_FAULTS) as e:
        raise ModelError(f"{path} cannot be read: {one_line(e)[:_LONGEST]}") from e
    if not isinstance(card, Mapping) or not isinstance(card.get("sha256"), Mapping):
        raise ModelError(f"{path} is no model card: it has no list 'sha256' of the model's files")
    return card


def read_verified(folder: Path, file: str) -> bytes:
    """The bytes of a model file, after a check against the card. Raises ModelError."""
    expected = read_card(folder)["sha256"].get(file)
    path = folder / file
    if not isinstance(expected, str):
        raise ModelError(f"{folder / CARD} names no sha256 of {file}; take a complete model folder")
    try:
        content = read_bytes(path, _LARGEST_MODEL)
    except OSError as e:
        raise ModelError(f"{path} cannot be read: {e.strerror or e}") from e
    got = hashlib.sha256(content).hexdigest()
    if got != expected.lower():
        raise ModelError(
            f"{path} is damaged or not the file its card describes: {len(content)} bytes, sha256 "
            f"{got[:12]}…, the card says {expected[:12]}…; fetch or train the model again"
        )
    return content


def _check_crops(crops: Image) -> None:
    if crops.dtype != np.uint8 or crops.ndim != 3 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE):
        raise ValueError(f"crops are {crops.dtype} {crops.shape}, expected uint8 N×28×28")


class LiteRTClassifier:
    """The network in LiteRT. The interpreter is made by the thread that first classifies and
    belongs to it: use from another thread raises RuntimeError."""

    def __init__(
        self, model: Path | bytes, *, name: str = "", threads: int = 1, batch: int = 64
    ) -> None:
        """`model`: the bytes or path of a .tflite file; `threads` ≥ 1; `batch` ≥ 1, most crops of
        one call of the network. Raises ModelError for a file that is no such network."""
        if threads < 1 or batch < 1:
            raise ValueError(f"threads and batch must be at least 1, got {threads} and {batch}")
        self.name = name
        self.threads = threads
        self.batch = batch
        self._content = model.read_bytes() if isinstance(model, Path) else model
        self._interpreter: Any = None
        self._owner: int | None = None
        self._input = self._output = self._size = 0
        self._check()

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11 probabilities; more than `batch` crops run in pieces.
        Raises ValueError for another shape or type."""
        _check_crops(crops)
        if not len(crops):
            return np.zeros((0, CLASSES), np.float32)
        self._own()
        pieces = [
            self._run(crops[start : start + self.batch])
            for start in range(0, len(crops), self.batch)
        ]
        return np.concatenate(pieces)

    def _check(self) -> None:
        """Builds the network once to see that its shapes fit, and drops it again."""
        with _without_noise():
            interpreter = self._build()
            try:
                interpreter.allocate_tensors()
                inputs = interpreter.get_input_details()
                outputs = interpreter.get_output_details()
            except (ValueError, RuntimeError) as e:
                raise self._broken(e) from e
        for what, details, tail in (
            ("input", inputs, (CROP_SIZE, CROP_SIZE)),
            ("output", outputs, (CLASSES,)),
        ):
            shape = tuple(int(n) for n in details[0]["shape_signature"]) if details else ()
            kind = np.dtype(details[0]["dtype"]).name if details else "nothing"
            if len(details) != 1 or shape != (-1, *tail) or kind != "float32":
                raise ModelError(
                    f"model {self.name or LITERT}: {what} is {kind} {list(shape)}, expected one of "
                    f"float32 {[-1, *tail]} (-1: any number of crops)"
                )

    def _build(self) -> Any:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as e:
            raise ModelError(
                f"the LiteRT runtime does not load ({e}); install it: pip install ai-edge-litert"
            ) from e
        try:
            return Interpreter(model_content=self._content, num_threads=self.threads)
        except (ValueError, RuntimeError) as e:
            raise ModelError(
                f"model {self.name or LITERT} is no LiteRT network: {one_line(e)}"
            ) from e

    def _broken(self, error: Exception) -> ModelError:
        why = one_line(error)[:_LONGEST]
        return ModelError(f"model {self.name or LITERT} does not run: {why}; take another")

    def _own(self) -> None:
        me = threading.get_ident()
        if self._interpreter is None:
            self._interpreter = self._build()
            self._input = self._interpreter.get_input_details()[0]["index"]
            self._output = self._interpreter.get_output_details()[0]["index"]
            self._owner = me
        elif self._owner != me:
            raise RuntimeError("a classifier belongs to the thread that first used it")

    def _run(self, crops: Image) -> Floats:
        """One call of the network on at most `batch` crops."""
        count = len(crops)
        size = min(next((s for s in _SIZES if s >= count), self.batch), self.batch)
        try:
            if size != self._size:
                self._size = 0
                self._interpreter.resize_tensor_input(self._input, [size, CROP_SIZE, CROP_SIZE])
                self._interpreter.allocate_tensors()
                self._size = size
            out = self._invoke(crops, count, size)
        except (ValueError, RuntimeError) as e:
            raise self._broken(e) from e
        if out.shape != (count, CLASSES) or not np.isfinite(out).all():
            raise self._broken(ValueError(f"it answers {list(out.shape)} with what is no number"))
        return out

    def _invoke(self, crops: Image, count: int, size: int) -> Floats:
        filled = np.zeros((size, CROP_SIZE, CROP_SIZE), np.float32)
        filled[:count] = crops
        filled /= 255
        self._interpreter.set_tensor(self._input, filled)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output)[:count], np.float32)


def quiet_interpreter(content: bytes, threads: int, name: str) -> Any:
    """Returns a LiteRT interpreter of a network's bytes. Raises ModelError."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as e:
        raise ModelError(
            f"the LiteRT runtime does not load ({e}); install it: pip install ai-edge-litert"
        ) from e
    with _without_noise():
        try:
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            raise ModelError(f"model {name} is no LiteRT network: {one_line(e)[:_LONGEST]}") from e
    return interpreter


class IsolatedClassifier:
    """The same in a process of its own, for networks from elsewhere."""

    def __init__(self, model: bytes, *, name: str, threads: int = 1, batch: int = 64) -> None:
        """As LiteRTClassifier. Raises ModelError, for what breaks that process as well."""
        self.name = name
        self.threads = threads
        self.batch = batch
        try:
            self._network = IsolatedProcess(
                __name__, "network_for", model, name=name, threads=threads, batch=batch
            )
        except IsolatedProcessError as e:
            raise self._broken(e) from e
        self.classify(np.zeros((1, CROP_SIZE, CROP_SIZE), np.uint8))

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11 probabilities. Raises ModelError."""
        _check_crops(crops)
        try:
            found = self._network(crops, rows=len(crops), columns=CLASSES)
        except IsolatedProcessError as e:
            raise self._broken(e) from e
        if len(found) != len(crops):
            self.close()
            raise ModelError(f"model {self.name}: {len(found)} answers to {len(crops)} crops")
        return found

    def close(self) -> None:
        """Ends the process."""
        self._network.close()

    def _broken(self, error: IsolatedProcessError) -> ModelError:
        known = f"model {self.name}"
        return ModelError(str(error) if str(error).startswith(known) else f"{known}: {error}")


def network_for(
    model: bytes, name: str, threads: int, batch: int
) -> Callable[[Image, int], Floats]:
    """The other side of ApartClassifier."""
    network = LiteRTClassifier(model, name=name, threads=threads, batch=batch)
    return lambda crops, _: network.classify(crops)


class KerasClassifier:
    """The same network in Keras, for comparison; importing TensorFlow takes seconds."""

    def __init__(self, model: Path, *, name: str = "", batch: int = 64) -> None:
        """`model`: a .keras file. Raises MissingExtraError without TensorFlow, ModelError for a
        file that is no such network."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import keras
            import tensorflow  # noqa: F401  (Keras's backend; its absence is what users meet)
        except ImportError as e:
            raise MissingExtraError("the Keras reference model", "train") from e
        self.name = name
        self.batch = batch
        try:
            self._model: Any = keras.models.load_model(model, compile=False, safe_mode=True)
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelError(f"{model} is no Keras model: {one_line(e)[:200]}") from e
        shapes = tuple(self._model.input_shape), tuple(self._model.output_shape)
        if shapes != ((None, CROP_SIZE, CROP_SIZE), (None, CLASSES)):
            raise ModelError(
                f"{model}: shapes are {shapes[0]} → {shapes[1]}, expected "
                f"(None, {CROP_SIZE}, {CROP_SIZE}) → (None, {CLASSES})"
            )

    def classify(self, crops: Image) -> Floats:
        """uint8 N×28×28 → float32 N×11 probabilities."""
        if not len(crops):
            return np.zeros((0, CLASSES), np.float32)
        pieces = [
            self._model(crops[start : start + self.batch].astype(np.float32) / 255, training=False)
            for start in range(0, len(crops), self.batch)
        ]
        return np.concatenate([np.asarray(p, np.float32) for p in pieces])


def load(
    name_or_path: str, *, threads: int = 1, batch: int = 64
) -> LiteRTClassifier | IsolatedClassifier:
    """The model of that name or folder, ready to classify. Raises ModelError."""
    folder = find_model(name_or_path)
    content = read_verified(folder, LITERT)
    if folder.parent != models_folder():
        return IsolatedClassifier(content, name=folder.name, threads=threads, batch=batch)
    return LiteRTClassifier(content, name=folder.name, threads=threads, batch=batch)


def load_keras(name_or_path: str, *, batch: int = 64) -> KerasClassifier:
    """The same for the Keras file. Raises ModelError, MissingExtraError."""
    folder = find_model(name_or_path)
    read_verified(folder, KERAS)
    return KerasClassifier(folder / KERAS, name=folder.name, batch=batch)
