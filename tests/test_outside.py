"""What comes from outside: bounded files, plain YAML, and objects in a process of their own."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import wait_until

from live_digits import outside
from live_digits.outside import Apart, ApartError, NotPlainError, check_yaml, read_bytes

psutil: Any = pytest.importorskip("psutil")

# Files


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bytes(path, 4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_neither_pipe_nor_device_nor_folder_is_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError):  # noqa: PT011 (each says it in its own words)
            read_bytes(path, 100)


# YAML


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[\n", "{\n"])
def test_nesting_is_refused_before_it_costs_time(opening: str) -> None:
    begun = time.monotonic()
    with pytest.raises(NotPlainError, match="nested deeper"):
        check_yaml(opening * 90_000)
    assert time.monotonic() - begun < 20


def test_siblings_are_no_nesting() -> None:
    check_yaml("a: [" + "[1], " * 100 + "{b: 1}]")
    check_yaml("\n".join(f"k{i}: {{c: 1}}" for i in range(50)))


@pytest.mark.parametrize(
    "text", ["a: &b 1", "a: *b", "a: !!python/object/apply:os.system [ls]", "!x a", "&a [*a, *a]"]
)
def test_what_is_more_than_data_is_refused(text: str) -> None:
    with pytest.raises(NotPlainError, match="line 1: anchors, aliases and tags"):
        check_yaml(text)


def test_what_is_no_yaml_stays_an_error_of_yaml() -> None:
    with pytest.raises(yaml.YAMLError):
        check_yaml("a: 'b")


# A process of its own


class Thing:
    """What the tests below keep apart: called with a function's name and its arguments."""

    def __init__(self, wrong: str = "") -> None:
        if wrong:
            raise ValueError(wrong)

    def __call__(self, name: str, *args: Any) -> Any:
        doing: dict[str, Callable[..., Any]] = {
            "crash": crash, "sleep": time.sleep, "echo": echo, "print": noisy
        }  # fmt: skip
        return doing[name](*args)


def crash() -> None:
    ctypes.string_at(0)


def echo(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("raise"):
        raise RuntimeError(f"{value}\nin two lines")
    return value


def noisy(text: str) -> str:
    print(text, flush=True)
    os.write(1, text.encode())
    return text


def thing(*args: str) -> Apart:
    return Apart("test_outside", "Thing", *args)


@pytest.fixture(autouse=True)
def _found_by_the_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def children() -> list[Any]:
    return list(psutil.Process().children())


def test_calls_and_errors_come_through() -> None:
    it = thing()
    assert it("echo", {"a": [1, 2]}) == {"a": [1, 2]}
    with pytest.raises(ApartError, match=r"^raise it in two lines$"):
        it("echo", "raise it")
    assert it("echo", b"x" * 3_000_000) == b"x" * 3_000_000, "an error does not end it"
    assert it("print", "words") == "words", "what is printed there is no answer"
    it.close()
    it.close()


def test_what_cannot_be_made_says_why() -> None:
    before = len(children())
    with pytest.raises(ApartError, match="no such thing"):
        thing("no such thing")
    wait_until(lambda: len(children()) <= before, "the process to end")


@pytest.mark.parametrize(
    ("call", "said"), [(("crash",), "broke down"), (("sleep", 1000), "no answer within 1 s")]
)
def test_a_crash_or_a_hang_there_is_an_error_here(
    call: tuple[Any, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(children())
    it = thing()
    monkeypatch.setattr(outside, "APART_SECONDS", 1.0)
    with pytest.raises(ApartError, match=said):
        it(*call)
    assert len(children()) == before, "nothing of it stays"
    with pytest.raises(ApartError):
        it("echo", 1)


@pytest.mark.parametrize("end", ["close", "forget"])
def test_the_process_ends_with_the_object(end: str) -> None:
    before = len(children())
    it: Apart | None = thing()
    assert len(children()) == before + 1
    if end == "close" and it is not None:
        it.close()
    it = None
    wait_until(lambda: len(children()) == before, "the process to end")
