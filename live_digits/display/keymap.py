"""The one table of keys: what the window hears, the help screen shows and the README lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

VIEWS = ("result", "grey", "blur", "edges", "dilated", "ink", "grid")
"""The stage views, in the order of the key v."""


class Command(Enum):
    """What a key asks for."""

    FREEZE = "freeze"
    PREDICT = "predict"
    EXTRACT = "extract"
    RECORD = "record"
    SAVE = "save"
    VIEW = "view"
    AUTO = "auto"
    WRITE = "write"
    DEFAULTS = "defaults"
    AIR = "air"
    HELP = "help"
    QUIT = "quit"


_ESCAPE = 27
_F1 = (65470, 0x700000, 63236)
"""F1 as X11, Windows and macOS number it."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a command's keys are called, what they do, and their codes.

    `codes`: of waitKeyEx; letters in lower case.
    """

    name: str
    text: str
    codes: tuple[int, ...]


def _letter(letter: str, text: str, name: str = "", *more: int) -> Key:
    return Key(name or letter, text, (ord(letter), *more))


KEYMAP: Mapping[Command, Key] = {
    Command.FREEZE: _letter(" ", "freeze, go on", "space"),
    Command.PREDICT: _letter("p", "predict now, also while frozen"),
    Command.EXTRACT: _letter("e", "extract: a sheet of the crops, shown and saved"),
    Command.RECORD: _letter("r", "record on, off"),
    Command.SAVE: _letter("s", "save the picture"),
    Command.VIEW: _letter("v", f"next stage: {', '.join(VIEWS)}"),
    Command.AUTO: _letter("a", "find good parameters by itself"),
    Command.WRITE: _letter("w", "write the sliders to the config file"),
    Command.DEFAULTS: _letter("d", "sliders back to their defaults"),
    Command.AIR: _letter("f", "write in the air with a finger, on, off"),
    Command.HELP: _letter("h", "this help", "h, F1", *_F1),
    Command.QUIT: _letter("q", "quit; so does the window's close button", "q, Esc", _ESCAPE),
}
"""Every command's key, in the order of the help screen."""
_COMMANDS = {code: command for command, key in KEYMAP.items() for code in key.codes}


def command_of(key: int) -> Command | None:
    """Returns the command of a key code of waitKeyEx; letters count in both cases."""
    if key in _COMMANDS and key > 0xFF:
        return _COMMANDS[key]
    if key < 0 or key >= 0x110000 or key & 0xFF00:
        return None
    code = key & 0xFF
    if ord("A") <= code <= ord("Z"):
        code += ord("a") - ord("A")
    return _COMMANDS.get(code)
