"""Where the files that travel with the program lie, installed or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """The folder that holds models/ and config.yaml: inside the wheel, or the checkout's root."""
    inside = _PACKAGE / "_data"
    return inside if inside.is_dir() else _PACKAGE.parent
