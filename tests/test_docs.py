"""The documentation site builds without a warning, and its made pages say what the program does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from live_digits.config.settings import TRACKBARS
from live_digits.display.keymap import KEYMAP

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(
    not (ROOT / "mkdocs.yml").is_file(), reason="needs a checkout, not an installed copy"
)


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocstrings") is None, reason="needs the extra 'docs'"
)
def test_the_site_builds_strictly_and_has_every_key_and_setting(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    keys = (tmp_path / "keys" / "index.html").read_text(encoding="utf-8")
    assert all(f">{key.name}<" in keys for key in KEYMAP.values())
    settings = (tmp_path / "settings" / "index.html").read_text(encoding="utf-8")
    assert all(f"pipeline.{name}<" in settings for name in TRACKBARS)
    api = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    assert "read_many" in api
    assert "to_supervision" in api
