"""Writes the pages that are made from the program itself: keys and settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from live_digits.config.settings import Settings
from live_digits.display.keymap import KEYMAP


def keys() -> str:
    """Returns the table of keys."""
    rows = [f"| `{key.name}` | {key.text} |" for key in KEYMAP.values()]
    return "\n".join(["| key | what it does |", "|---|---|", *rows])


def settings() -> str:
    """Returns a table for each section of the settings."""
    parts = []
    for section in dataclasses.fields(Settings):
        kind: Any = section.default_factory  # each section is a dataclass with defaults
        rows = [f"\n## {section.name}\n", "| setting | default | what it is |", "|---|---|---|"]
        for field in dataclasses.fields(kind):
            option = field.metadata["option"]
            default = getattr(kind(), field.name)
            text = " ".join(str(option.help).split()).replace("|", "\\|")
            rows.append(f"| `{section.name}.{field.name}` | `{default}` | {text} |")
        parts.append("\n".join(rows))
    return "\n".join(parts)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills the made tables in; mkdocs calls it for each page."""
    for mark, made in (("@KEYS@", keys), ("@SETTINGS@", settings)):
        if mark in markdown:
            markdown = markdown.replace(mark, made())
    return markdown
