"""Text from outside made fit to be shown: names, lines of files, what devices say of themselves."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that steer instead of showing: controls, formats (bidi overrides among them),
lone surrogates, line and paragraph separators."""
_JOINERS = frozenset("\u200c\u200d")
"""What joins or parts letters in Persian, Hindi and emoji names; it steers nothing else."""


def sanitize(text: str) -> str:
    """Returns a text in which what would steer a terminal is spelt out: ESC becomes \\x1b.

    Line feeds and tabs are spelt out as well, so the result is one line.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def json_line(value: Any, *, ascii_only: bool = False) -> str:
    """Returns a value as a line of JSON that says it exactly and steers no terminal either.

    Args:
        value: What `json` can write.
        ascii_only: Whether every other sign is escaped too, for an output that is not UTF-8.
    """
    text = json.dumps(value, ensure_ascii=ascii_only)
    if text.isprintable():
        return text
    return "".join(json.dumps(sign)[1:-1] if _steers(sign) else sign for sign in text)


def _shown(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii") if _steers(sign) else sign


def _steers(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS
