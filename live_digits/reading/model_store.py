"""Where models lie, and their files read with their checksums."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from live_digits.core.errors import ModelError, one_line
from live_digits.core.package_data import data_folder
from live_digits.core.safe_yaml import YAML_FAULTS, check_yaml, read_bytes

LONGEST_REASON = 300
"""Characters of a library's error that are repeated: a graph names all of its nodes."""

CARD = "card.yaml"
LITERT = "model.tflite"
KERAS = "model.keras"
_LARGEST_CARD = 1_000_000
_LARGEST_MODEL = 2**28
"""Most bytes of a card and of a network."""


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
        raise ModelError(f"{path} cannot be read: {one_line(e)[:LONGEST_REASON]}") from e
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
