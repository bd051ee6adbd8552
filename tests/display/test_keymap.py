"""The table of keys: complete, without doubles, and the same in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from live_digits.display.keymap import KEYMAP, Command, command_of

README = Path(__file__).resolve().parents[2] / "README.md"


def test_every_command_has_a_key_and_no_key_two_commands() -> None:
    assert set(KEYMAP) == set(Command)
    codes = [code for key in KEYMAP.values() for code in key.codes]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("command", Command)
def test_a_key_asks_for_its_command_in_both_cases(command: Command) -> None:
    for code in KEYMAP[command].codes:
        assert command_of(code) is command
    letter = chr(KEYMAP[command].codes[0])
    assert command_of(ord(letter.upper())) is command


@pytest.mark.parametrize("key", [-1, 0, ord("x"), ord("1"), 0xFF51, 0x10FFFF, 0xFFE1, 1 << 40])
def test_other_keys_ask_for_nothing(key: int) -> None:
    assert command_of(key) is None


@pytest.mark.skipif(not README.is_file(), reason="needs a checkout, not an installed copy")
def test_the_readme_lists_the_keys_of_the_help_screen() -> None:
    table = [
        tuple(cell.strip() for cell in line.strip("| \n").split("|"))
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    wanted = [(key.name, key.text) for key in KEYMAP.values()]
    assert [row for row in table if row in wanted] == wanted
