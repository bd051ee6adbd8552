"""The script that switches finding's steps off names what there is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def test_each_step_names_something_of_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parents[2] / "experiments" / "steps.py"
    spec = importlib.util.spec_from_file_location("experiments_steps", file)
    assert spec is not None
    assert spec.loader is not None
    steps = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, steps)
    spec.loader.exec_module(steps)
    patches = [patch for step in steps.STEPS.values() for patch in step]
    assert patches
    for module, name, _ in patches:
        assert hasattr(module, name), f"{module.__name__} has no {name}"
