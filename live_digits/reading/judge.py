"""The judge's networks in LiteRT: what a candidate is, by its surroundings and its neighbours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from live_digits.core.errors import ModelError, one_line
from live_digits.core.isolated_process import IsolatedProcess, IsolatedProcessError
from live_digits.core.types import CROP_SIZE, NOT_A_DIGIT, Candidate, Classifier, Floats, Image
from live_digits.reading import classifier, model_store
from live_digits.reading.classes import JUDGED
from live_digits.reading.classifier import quiet_interpreter
from live_digits.reading.cutouts import NEAR_CHANNELS, SHAPES, SIDE, WIDE_CHANNELS, Cutouts
from live_digits.reading.neighbours import NEIGHBOURS, OWN, PAIR, page_features

CONTEXT, JUDGE = "context.tflite", "judge.tflite"
"""The files of a model's folder that hold the judge."""
_SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Batches are filled up to one of these: the runtime seldom plans anew."""
Row = tuple[tuple[int, ...], str]
"""The shape of one row of an input, and its dtype."""
_CONTEXT, _JUDGE = "context", "judge"
CONTEXT_INPUTS: Mapping[str, Row] = {
    "crops": ((CROP_SIZE, CROP_SIZE), "uint8"),
    "near": ((SIDE, SIDE, NEAR_CHANNELS), "uint8"),
    "wide": ((SIDE, SIDE, WIDE_CHANNELS), "uint8"),
    "shapes": ((SHAPES,), "float32"),
}
JUDGE_INPUTS: Mapping[str, Row] = {
    "own": ((OWN,), "float32"),
    "pairs": ((NEIGHBOURS, PAIR), "float32"),
    "there": ((NEIGHBOURS,), "float32"),
}
_INPUTS = {_CONTEXT: CONTEXT_INPUTS, _JUDGE: JUDGE_INPUTS}


class BatchNetwork:
    """A LiteRT network of named inputs, N rows each, and one output of N×14 probabilities.

    Belongs to the thread that first runs it.
    """

    def __init__(
        self, content: bytes, inputs: Mapping[str, Row], name: str,
        threads: int = 1, batch: int = 64,
    ) -> None:  # fmt: skip
        """Loads the network and checks its shapes.

        Args:
            content: a .tflite file's bytes.
            inputs: name → shape of a row and dtype.
            name: for errors.
            threads: of the network, at least 1.
            batch: most rows of one call.

        Raises:
            ModelError: the bytes are no such network.
        """
        self.name = name
        self._content, self._threads, self._batch = content, threads, batch
        self._interpreter: Any = None
        self._inputs: dict[str, int] = {}
        self._output = self._size = 0
        self._owner: int | None = None
        self._check(quiet_interpreter(content, threads, name), inputs)

    def _check(self, interpreter: Any, inputs: Mapping[str, Row]) -> None:
        """Sees that the shapes fit, and where each input is."""
        details = {self._name_of(d): d for d in interpreter.get_input_details()}
        for key, (shape, dtype) in inputs.items():
            found = details.get(key)
            got = tuple(int(n) for n in found["shape_signature"]) if found else ()
            kind = np.dtype(found["dtype"]).name if found else "nothing"
            if found is None or len(details) != len(inputs) or got != (-1, *shape) or kind != dtype:
                raise ModelError(
                    f"model {self.name}: input {key} is {kind} {list(got)}, expected {dtype} "
                    f"{[-1, *shape]}; train the model again"
                )
            self._inputs[key] = found["index"]
        (out,) = interpreter.get_output_details()
        answer = [int(n) for n in out["shape_signature"]]
        if answer != [-1, JUDGED]:
            raise ModelError(f"model {self.name}: it answers {answer}, expected {[-1, JUDGED]}; "
                             "train the model again")  # fmt: skip
        self._output = out["index"]

    @staticmethod
    def _name_of(details: Mapping[str, Any]) -> str:
        return str(details["name"]).removeprefix("serving_default_").split(":")[0]

    def run(self, rows: Mapping[str, npt.NDArray[Any]]) -> Floats:
        """Returns float32 N×14 for N rows of each input; N may be 0."""
        me = threading.get_ident()
        if self._owner is None:
            self._interpreter = quiet_interpreter(self._content, self._threads, self.name)
            self._owner = me
        elif self._owner != me:
            raise RuntimeError("a network belongs to the thread that first used it")
        count = len(next(iter(rows.values())))
        if not count:
            return np.zeros((0, JUDGED), np.float32)
        parts = [
            self._call({key: v[at : at + self._batch] for key, v in rows.items()})
            for at in range(0, count, self._batch)
        ]
        return np.concatenate(parts)

    def close(self) -> None:
        """Lets go of the network."""
        self._interpreter = None

    def _call(self, rows: Mapping[str, npt.NDArray[Any]]) -> Floats:
        count = len(next(iter(rows.values())))
        size = min(next((s for s in _SIZES if s >= count), self._batch), self._batch)
        try:
            if size != self._size:
                self._size = 0
                for key, index in self._inputs.items():
                    self._interpreter.resize_tensor_input(index, [size, *rows[key].shape[1:]])
                self._interpreter.allocate_tensors()
                self._size = size
            for key, index in self._inputs.items():
                filled = rows[key]
                if count < size:
                    filled = np.zeros((size, *filled.shape[1:]), filled.dtype)
                    filled[:count] = rows[key]
                self._interpreter.set_tensor(index, np.ascontiguousarray(filled))
            self._interpreter.invoke()
            out = np.asarray(self._interpreter.get_tensor(self._output)[:count], np.float32)
        except (ValueError, RuntimeError) as e:
            raise ModelError(f"model {self.name} does not run: {one_line(e)[:300]}") from e
        if out.shape != (count, JUDGED) or not np.isfinite(out).all():
            raise ModelError(f"model {self.name} does not run: it answers what is no number")
        return out


class IsolatedNetwork:
    """The same in a process of its own, for networks from elsewhere."""

    def __init__(
        self, content: bytes, inputs: Mapping[str, Row], name: str,
        threads: int = 1, batch: int = 64,
    ) -> None:  # fmt: skip
        """As `BatchNetwork`; raises ModelError for what breaks that process as well."""
        self.name = name
        self._inputs = inputs
        try:
            self._process = IsolatedProcess(
                __name__, "network_for", content, name=name, threads=threads, batch=batch
            )
        except IsolatedProcessError as e:
            raise ModelError(f"model {name}: {e}") from e
        self.run({k: np.zeros((1, *shape), dtype) for k, (shape, dtype) in inputs.items()})

    def run(self, rows: Mapping[str, npt.NDArray[Any]]) -> Floats:
        """Returns float32 N×14 for N rows of each input. Raises ModelError."""
        count = len(next(iter(rows.values())))
        if not count:
            return np.zeros((0, JUDGED), np.float32)
        parts = [
            np.ascontiguousarray(rows[key]).reshape(count, -1).view(np.uint8)
            for key in self._inputs
        ]
        sent = np.concatenate(parts, axis=1)[:, None, :]
        try:
            answer = self._process(sent, rows=count, columns=JUDGED)
        except IsolatedProcessError as e:
            raise ModelError(f"model {self.name}: {e}") from e
        if len(answer) != count:
            self.close()
            raise ModelError(f"model {self.name}: {len(answer)} answers to {count} candidates")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.close()


def network_for(
    content: bytes, name: str, threads: int, batch: int
) -> Callable[[npt.NDArray[np.uint8], int], Floats]:
    """Returns the other side of `IsolatedNetwork`: bytes of rows → their answers."""
    inputs = _INPUTS[name]
    network = BatchNetwork(content, inputs, name, threads, batch)

    def run(sent: npt.NDArray[np.uint8], _: int) -> Floats:
        rows, at = {}, 0
        for key, (shape, dtype) in inputs.items():
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            part = np.ascontiguousarray(sent[:, 0, at : at + size])
            rows[key] = part.view(dtype).reshape(len(sent), *shape)
            at += size
        return network.run(rows)

    return run


class ContextNetwork:
    """Says what each candidate is by its ink and its surroundings."""

    def __init__(
        self, content: bytes, threads: int = 1, batch: int = 64, isolated: bool = False
    ) -> None:
        """Loads a .tflite file's bytes, `isolated` in a process of its own. Raises ModelError."""
        network = IsolatedNetwork if isolated else BatchNetwork
        self._network = network(content, CONTEXT_INPUTS, _CONTEXT, threads, batch)

    def close(self) -> None:
        """Ends what it runs in."""
        self._network.close()

    def evidence(self, cutouts: Cutouts) -> Floats:
        """Returns float32 N×14 probabilities of N candidates."""
        return self._network.run({
            "crops": cutouts.crops, "near": cutouts.near, "wide": cutouts.wide,
            "shapes": cutouts.shapes,
        })  # fmt: skip


class JudgeNetwork:
    """Says what each candidate of a page is by what was said of it and of its neighbours."""

    def __init__(
        self, content: bytes, threads: int = 1, batch: int = 64, isolated: bool = False
    ) -> None:
        """Loads a .tflite file's bytes, `isolated` in a process of its own. Raises ModelError."""
        network = IsolatedNetwork if isolated else BatchNetwork
        self._network = network(content, JUDGE_INPUTS, _JUDGE, threads, batch)

    def close(self) -> None:
        """Ends what it runs in."""
        self._network.close()

    def verdicts(self, candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        """Returns float32 N×14 probabilities of a page's N candidates.

        Args:
            candidates: of one page.
            evidence: float32 N×14, of each alone.
        """
        out = np.array(evidence, np.float32)
        digits = out[:, :NOT_A_DIGIT]
        asked, own, pairs, there = page_features(candidates, evidence)
        digits[:] = 0  # what is hardly a digit is none
        out[asked] = self._network.run({"own": own, "pairs": pairs, "there": there})
        return out


class LearnedJudge:
    """The three networks of a model: crops alone, with their surroundings, among neighbours.

    Belongs to the thread that first uses it.
    """

    surroundings = True

    def __init__(self, crops: Classifier, context: ContextNetwork, judge: JudgeNetwork) -> None:
        self.name = crops.name
        self._crops, self._context, self._judge = crops, context, judge

    def classify(self, crops: Image) -> Floats:
        """Returns float32 N×11 of crops alone: what is written in the air has no page."""
        return self._crops.classify(crops)

    def evidence(self, cutouts: Cutouts) -> Floats:
        """Returns float32 N×14 of candidates with their surroundings."""
        return self._context.evidence(cutouts)

    def verdicts(self, candidates: Sequence[Candidate], evidence: Floats) -> Floats:
        """Returns float32 N×14 of candidates among their neighbours."""
        return self._judge.verdicts(candidates, evidence)

    def close(self) -> None:
        """Ends the processes of networks from elsewhere."""
        for part in (self._crops, self._context, self._judge):
            close = getattr(part, "close", None)
            if close is not None:
                close()


def load(name_or_path: str, *, threads: int = 1, batch: int = 64) -> Classifier | LearnedJudge:
    """Loads a model with its judge, or, where its folder has none, its crop network.

    Args:
        name_or_path: a name of the program's own models, or a folder.
        threads: of each network.
        batch: most rows of one call.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    crops = classifier.load(name_or_path, threads=threads, batch=batch)
    folder = model_store.find_model(name_or_path)
    files = model_store.read_card(folder)["sha256"]
    if CONTEXT not in files or JUDGE not in files:
        return crops
    foreign = folder.parent != model_store.models_folder()
    context = ContextNetwork(model_store.read_verified(folder, CONTEXT), threads, batch, foreign)
    judge = JudgeNetwork(model_store.read_verified(folder, JUDGE), threads, batch, foreign)
    return LearnedJudge(crops, context, judge)
