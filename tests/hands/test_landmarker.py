"""The landmarker and the process around it: its chatter, its imports."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from hands_kit import (
    real_model,
)

from live_digits.core.quiet_stderr import quiet_stderr
from live_digits.hands import mediapipe_landmarker


def test_quiet_drops_log_lines_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr(mediapipe_landmarker.LOG_LINE):
        os.write(2, b"INFO: [environment.cc:36] Creating\nmatters\n")
        os.write(2, b"W0000 00:00:1795552079.017121    5167 port.cc:153] noise\nWhat now\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "matters\nWhat now\nINFO: after\n"


def test_quiet_gives_stderr_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ValueError), quiet_stderr(mediapipe_landmarker.LOG_LINE):
        os.write(2, b"told\n")
        raise ValueError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "told\nafter\n"


@pytest.mark.skipif("tensorflow" in sys.modules, reason="TensorFlow is imported already")
def test_only_one_thread_goes_without_what_is_needless(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test may have imported TensorFlow into this process: a module nobody needs stands
    # for it.
    monkeypatch.delitem(sys.modules, "tabnanny", raising=False)
    monkeypatch.setattr(mediapipe_landmarker, "_NEEDLESS", frozenset({"tabnanny"}))
    asked: list[Any] = []

    def ask() -> None:
        try:
            asked.append(importlib.util.find_spec("tabnanny"))
        except ModuleNotFoundError:
            asked.append("hidden")

    with mediapipe_landmarker._without_needless():
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    ask()
    assert asked[0] == "hidden"
    assert "hidden" not in asked[1:]


def test_the_room_imports_no_mediapipe_and_the_landmarker_no_tensorflow() -> None:
    """In a process of its own; and nothing of MediaPipe's chatter reaches stderr."""
    script = """
        import sys
        from pathlib import Path
        import numpy as np
        from live_digits.hands import mediapipe_landmarker, worker as hand_worker
        from live_digits.config.settings import HandsSettings
        worker, line = hand_worker.open_hands(HandsSettings(model=sys.argv[1]))
        assert worker is not None and not line, line
        assert "mediapipe" not in sys.modules
        landmarker = mediapipe_landmarker.MediaPipeLandmarker(Path(sys.argv[1]))
        assert landmarker(np.full((270, 480, 3), 200, np.uint8), 5) == ()
        landmarker.close()
        landmarker.close()
        assert "mediapipe" in sys.modules
        assert not {"tensorflow", "sounddevice", "matplotlib"} & set(sys.modules)
        import matplotlib.pyplot
        assert matplotlib.pyplot.figure, "what stood in for it is gone"
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(real_model())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_quiet_inside_quiet_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    """The landmarker looks once while it is being made: both hold standard error back."""
    with quiet_stderr(mediapipe_landmarker.LOG_LINE):
        with quiet_stderr(mediapipe_landmarker.LOG_LINE):
            os.write(2, b"INFO: noise\ninner\n")
        os.write(2, b"outer\n")
    assert capfd.readouterr().err == "inner\nouter\n"
