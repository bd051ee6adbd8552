"""Every setting, the values that it may hold, and files that hold them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from live_digits.config.file import parse
from live_digits.config.settings import SettingSpec, option_of, sections
from live_digits.core.errors import ConfigError

EVERY = [(section, f.name) for section, kind in sections().items() for f in fields(kind)]
"""All settings: (section, key)."""

STUDY = {
    "blur": 21,
    "canny_low": 50,
    "canny_ratio": 2,
    "canny_aperture": 3,
    "dilate_kernel": 5,
    "dilate_iterations": 1,
    "threshold": 160,
}
"""The published study's parameters, as DESIGN.md gives them."""

PLAIN = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)


def option(section: str, key: str) -> SettingSpec:
    return option_of(sections()[section], key)


def default(section: str, key: str) -> Any:
    return getattr(sections()[section](), key)


def permitted(section: str, key: str) -> st.SearchStrategy[Any]:
    """All values that a setting may hold."""
    o = option(section, key)
    if o.choices:
        return st.sampled_from(o.choices)
    if isinstance(default(section, key), bool):
        return st.booleans()
    if o.low is None or o.high is None:
        return PLAIN
    if isinstance(default(section, key), float):
        return st.floats(o.low, o.high)
    count = int((o.high - o.low) // o.step)
    return st.integers(0, count).map(lambda k: int((o.low or 0) + k * o.step))


FILES = st.fixed_dictionaries(
    {},
    optional={
        section: st.fixed_dictionaries(
            {}, optional={f.name: permitted(section, f.name) for f in fields(kind)}
        )
        for section, kind in sections().items()
    },
)
"""What a user's file may hold: any subset of the settings."""


def refusal(text: str, name: str = "my.yaml") -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, name)
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
