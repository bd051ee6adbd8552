"""Text from outside made fit to be shown: names, lines of files, what devices say of themselves."""

from __future__ import annotations

import unicodedata

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


def _shown(sign: str) -> str:
    if unicodedata.category(sign) not in _UNSEEN or sign in _JOINERS:
        return sign
    return sign.encode("unicode_escape").decode("ascii")
