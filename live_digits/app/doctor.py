"""What works on this machine: libraries, models, display, cameras, folders."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from live_digits.capture import camera
from live_digits.config.file import find_config, load
from live_digits.config.settings import Settings
from live_digits.core.errors import LiveDigitsError, ModelError, one_line
from live_digits.display import desktop
from live_digits.reading import judge, model_store

_PACKAGES = ("opencv-contrib-python", "numpy", "ai-edge-litert", "av", "PyYAML", "ruamel.yaml")
_EXTRAS = {"train": "tensorflow", "hands": "mediapipe"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `needed`: the live window does not run without it."""

    what: str
    good: bool
    found: str
    needed: bool = False


def run_checks() -> tuple[Check, ...]:
    """Every check, the basics first."""
    return (
        Check("Python", True, f"{platform.python_version()} on {platform.platform()}"),
        *(_package(name) for name in _PACKAGES),
        *(_extra(extra, module) for extra, module in _EXTRAS.items()),
        _settings(),
        *_models(),
        _display(),
        _fonts(),
        _cameras(),
        _folder(),
    )


def _package(name: str) -> Check:
    try:
        return Check(name, True, importlib.metadata.version(name), needed=True)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, f"missing: pip install {name}", needed=True)


def _extra(extra: str, module: str) -> Check:
    if importlib.util.find_spec(module) is None:
        return Check(f"extra {extra}", False, f'not installed: pip install "live-digits[{extra}]"')
    return Check(f"extra {extra}", True, f"{module} {importlib.metadata.version(module)}")


def _tried(what: str, look: Callable[[], str], needed: bool = False) -> Check:
    """A check that fails by raising."""
    try:
        return Check(what, True, look(), needed)
    except (LiveDigitsError, OSError) as e:
        return Check(what, False, one_line(e), needed)


def _settings() -> Check:
    path = find_config()

    def look() -> str:
        load(path)
        return str(path) if path else "defaults; no config.yaml of your own"

    return _tried("settings", look, needed=True)


def _models() -> list[Check]:
    def look(name: str) -> str:
        net = judge.load(name)
        card = model_store.read_card(model_store.find_model(name))
        accuracy = card.get("metrics", {}).get("test_accuracy", {}).get("mnist")
        return f"{net.name}, {accuracy:.2%} of MNIST's test digits" if accuracy else net.name

    names = model_store.list_models()
    if not names:
        missing = ModelError(f"none in {model_store.models_folder()}")
        return [Check("models", False, str(missing), needed=True)]
    return [_tried(f"model {n}", partial(look, n), needed=True) for n in names]


def _display() -> Check:
    def look() -> str:
        desktop.check_display()
        width, height = desktop.screen_size()
        return f"{width}×{height}"

    return _tried("display", look)


def _fonts() -> Check:
    folder = desktop.find_fonts()
    if folder or os.name == "nt" or platform.system() == "Darwin":
        return Check("fonts for the sliders", True, str(folder or "the system's"))
    return Check("fonts for the sliders", False, "none: apt-get install fonts-dejavu-core")


def _cameras() -> Check:
    there = camera.list_cameras()
    if not there:
        return Check("cameras", False, "none connected; --source demo shows the built-in scene")
    return Check("cameras", True, ", ".join(f"{spec} ({name})" for spec, name in there))


def _folder() -> Check:
    folder = Path(Settings().recording.folder).resolve()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    good = os.access(place, os.W_OK)
    return Check("recordings folder", good, f"{folder}{'' if good else ' cannot be written'}")
