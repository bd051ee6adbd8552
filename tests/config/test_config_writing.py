"""Settings written back without harm, and the file that is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_kit import FILES, written
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from live_digits.config import file
from live_digits.config.file import default_config_path, documented, load, write_back
from live_digits.config.settings import as_dict
from live_digits.core.errors import ConfigError

# --- writing back ---

MINE = """\
# my desk
reading:
  confidence: 0.8   # strict

pipeline:
  # the lamp is on the left
  canny_low: 33
  blur: 7  # measured
  profile: "paper"
"""


def test_writing_back_changes_the_values_and_nothing_else(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", MINE)
    write_back(path, {("pipeline", "blur"): 13, ("pipeline", "profile"): "classic"})
    assert path.read_text(encoding="utf-8") == MINE.replace("7  #", "13 #").replace(
        '"paper"', '"classic"'
    )
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_writing_back_adds_what_the_file_lacks(tmp_path: Path) -> None:
    path = written(tmp_path / "c.yaml", "# mine\npipeline:\n  blur: 7 # seven\nhands:\n")
    changes = {
        ("pipeline", "canny_low"): 99,
        ("hands", "mode"): "off",
        ("tracker", "expiry"): 0.5,
    }
    write_back(path, changes)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# mine\npipeline:\n  blur: 7 # seven\n")
    found = load(path)
    assert (found.pipeline.blur, found.pipeline.canny_low) == (7, 99)
    assert (found.hands.mode, found.tracker.expiry) == ("off", 0.5)


def test_a_new_file_begins_as_the_documented_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "config.yaml"
    write_back(path, {("pipeline", "blur"): 9, ("reading", "confidence"): 0.75})
    old, new = documented().splitlines(), path.read_text(encoding="utf-8").splitlines()
    assert len(old) == len(new)
    differ = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert differ == [
        ("  blur: 5", "  blur: 9"),
        ("  confidence: 0.5", "  confidence: 0.75"),
    ]
    assert default_config_path().read_text(encoding="utf-8") == documented()


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(FILES, st.booleans())
@example({"tracker": {"expiry": 1e-05}}, True)
def test_what_is_written_back_loads_to_the_same(
    tmp_path: Path, content: dict[str, dict[str, Any]], begin_with_mine: bool
) -> None:
    path = tmp_path / "c.yaml"
    path.unlink(missing_ok=True)
    if begin_with_mine:
        written(path, MINE)
    changes = {(s, k): v for s, entries in content.items() for k, v in entries.items()}
    write_back(path, changes)
    found = as_dict(load(path))
    for (section, key), value in changes.items():
        assert found[section][key] == value
    if begin_with_mine and ("reading", "confidence") not in changes:
        assert found["reading"]["confidence"] == 0.8


@pytest.mark.parametrize("folder", ["yes", "off", "12:30", "007", "2026-01-31", "~", "1e5", "# a"])
def test_texts_that_look_like_something_else_stay_texts(tmp_path: Path, folder: str) -> None:
    bare = written(tmp_path / "bare.yaml", "recording:\n  folder: films\n")
    for path in (tmp_path / "new.yaml", written(tmp_path / "mine.yaml", MINE), bare):
        write_back(path, {("recording", "folder"): folder})
        assert load(path).recording.folder == folder


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (MINE, {("pipeline", "blur"): 6}),
        (MINE, {("pipeline", "blurr"): 5}),
        (MINE, {("pipeline", "blur"): 9, ("nothing", "at"): 1}),
        ("pipeline:\n  blurr: 5\n", {("pipeline", "blur"): 9}),
        ("pipeline: [", {("pipeline", "blur"): 9}),
    ],
)
def test_a_refused_write_leaves_the_file_alone(
    tmp_path: Path, text: str, changes: dict[tuple[str, str], Any]
) -> None:
    path = written(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigError):
        write_back(path, changes)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    written(tmp_path / "file", "")
    path = tmp_path / "file" / "config.yaml"
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        write_back(path, {("pipeline", "blur"): 9})
    assert str(path) in str(caught.value)


def test_the_working_folders_config_is_found_before_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    users = tmp_path / "home" / "config.yaml"
    monkeypatch.setattr(file, "user_config_path", lambda: users)
    assert file.find_config() is None
    users.parent.mkdir()
    written(users, "")
    assert file.find_config() == users
    written(tmp_path / "config.yaml", "")
    found = file.find_config()
    assert found is not None
    assert found.resolve() == (tmp_path / "config.yaml").resolve()
