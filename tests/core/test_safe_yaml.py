"""What comes from outside: bounded files, plain YAML."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import yaml

from live_digits.core.safe_yaml import UnsafeYamlError, check_yaml, read_bytes

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
    with pytest.raises(UnsafeYamlError, match="nested deeper"):
        check_yaml(opening * 90_000)
    assert time.monotonic() - begun < 20


def test_siblings_are_no_nesting() -> None:
    check_yaml("a: [" + "[1], " * 100 + "{b: 1}]")
    check_yaml("\n".join(f"k{i}: {{c: 1}}" for i in range(50)))


@pytest.mark.parametrize(
    "text", ["a: &b 1", "a: *b", "a: !!python/object/apply:os.system [ls]", "!x a", "&a [*a, *a]"]
)
def test_what_is_more_than_data_is_refused(text: str) -> None:
    with pytest.raises(UnsafeYamlError, match="line 1: anchors, aliases and tags"):
        check_yaml(text)


def test_what_is_no_yaml_stays_an_error_of_yaml() -> None:
    with pytest.raises(yaml.YAMLError):
        check_yaml("a: 'b")
