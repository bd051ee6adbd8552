"""Crops to probabilities: a trained network run by LiteRT.

A model is a folder that holds model.tflite, model.keras and card.yaml; the card names each file's
SHA-256. `load` refuses what is missing, damaged or of another shape with one clear line; a network
that is not the program's own runs in a process of its own, since one that is wrong inside can crash
the process that runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from live_digits.core.errors import ModelError, one_line
from live_digits.core.isolated_process import IsolatedProcess, IsolatedProcessError
from live_digits.core.quiet_stderr import quiet_stderr
from live_digits.core.types import CLASSES, CROP_SIZE, Floats, Image
from live_digits.reading.model_store import (
    LITERT,
    LONGEST_REASON,
    find_model,
    models_folder,
    read_verified,
)

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batches are filled up to one of these, so that the runtime seldom makes its plan anew."""


def check_crops(crops: Image) -> None:
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
        check_crops(crops)
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
        with quiet_stderr():
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
        why = one_line(error)[:LONGEST_REASON]
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
        size = min(next((s for s in BATCH_SIZES if s >= count), self.batch), self.batch)
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
    with quiet_stderr():
        try:
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as e:
            raise ModelError(
                f"model {name} is no LiteRT network: {one_line(e)[:LONGEST_REASON]}"
            ) from e
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
        check_crops(crops)
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


def load(
    name_or_path: str, *, threads: int = 1, batch: int = 64
) -> LiteRTClassifier | IsolatedClassifier:
    """The model of that name or folder, ready to classify. Raises ModelError."""
    folder = find_model(name_or_path)
    content = read_verified(folder, LITERT)
    if folder.parent != models_folder():
        return IsolatedClassifier(content, name=folder.name, threads=threads, batch=batch)
    return LiteRTClassifier(content, name=folder.name, threads=threads, batch=batch)
