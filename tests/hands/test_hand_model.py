"""The hand model: found, fetched, opened, or named where it is missing."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from live_digits.config.settings import HandsSettings
from live_digits.core.errors import HandsError, MissingExtraError
from live_digits.hands import model_file
from live_digits.hands import worker as hand_worker
from live_digits.hands.mediapipe_landmarker import MediaPipeLandmarker
from live_digits.hands.worker import HandsWorker

# The model ----------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no model named by the environment."""
    monkeypatch.delenv(model_file.MODEL_VARIABLE, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *a, **k: folder)
    return folder


CONTENT = bytes(range(256)) * 1000


class Server(http.server.ThreadingHTTPServer):
    status = 200
    length = len(CONTENT)
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves CONTENT as the published model."""
    with Server(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(
            model_file, "MODEL_URL", f"http://127.0.0.1:{serving.server_port}/m.task"
        )
        monkeypatch.setattr(model_file, "MODEL_SHA256", hashlib.sha256(CONTENT).hexdigest())
        yield serving
        serving.shutdown()
        thread.join()


def ignore(done: int, total: int) -> None: ...


def test_the_models_address_and_checksum_are_googles() -> None:
    assert model_file.MODEL_URL.startswith("https://storage.googleapis.com/mediapipe-models/")
    assert len(bytes.fromhex(model_file.MODEL_SHA256)) == 32


def test_find_model_takes_the_setting_then_the_environment_then_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model_file.find_model(HandsSettings()) is None
    cache.mkdir()
    (cache / model_file.MODEL_NAME).write_bytes(b"cached")
    assert model_file.find_model(HandsSettings()) == cache / model_file.MODEL_NAME
    named = tmp_path / "named.task"
    named.write_bytes(b"named")
    monkeypatch.setenv(model_file.MODEL_VARIABLE, str(named))
    assert model_file.find_model(HandsSettings()) == named
    mine = tmp_path / "mine.task"
    mine.write_bytes(b"mine")
    assert model_file.find_model(HandsSettings(model=str(mine))) == mine


def test_a_named_model_that_is_missing_is_an_error_that_says_where_it_was_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HandsError, match=r"nowhere\.task.*hands\.model"):
        model_file.find_model(HandsSettings(model="nowhere.task"))
    monkeypatch.setenv(model_file.MODEL_VARIABLE, str(tmp_path))
    with pytest.raises(HandsError, match=model_file.MODEL_VARIABLE):
        model_file.find_model(HandsSettings())


def test_fetch_keeps_the_whole_file_and_reports_its_way(server: Server, cache: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = model_file.fetch_model(lambda done, total: steps.append((done, total)))
    assert path == cache / model_file.MODEL_NAME
    assert path.read_bytes() == CONTENT
    assert list(cache.iterdir()) == [path]
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)
    assert model_file.find_model(HandsSettings()) == path


def assert_nothing_kept(cache: Path) -> None:
    assert not cache.is_dir() or list(cache.iterdir()) == []


def test_fetch_refuses_another_file_and_keeps_the_old_one(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    old = cache / model_file.MODEL_NAME
    old.write_bytes(b"old")
    monkeypatch.setattr(model_file, "MODEL_SHA256", "0" * 64)
    with pytest.raises(HandsError, match="not the published hand model") as caught:
        model_file.fetch_model(ignore)
    assert "\n" not in str(caught.value)
    assert old.read_bytes() == b"old"
    assert list(cache.iterdir()) == [old]


def test_fetch_names_what_the_server_said(server: Server, cache: Path) -> None:
    server.status = 404
    with pytest.raises(HandsError, match=r"cannot be fetched.*404"):
        model_file.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_that_breaks_off_leaves_nothing(server: Server, cache: Path) -> None:
    server.length = len(CONTENT) + 5
    with pytest.raises(HandsError, match="broke off"):
        model_file.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_ends_where_a_server_never_does(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "LARGEST", 1000)
    with pytest.raises(HandsError, match="more than 1000 bytes"):
        model_file.fetch_model(ignore)
    assert_nothing_kept(cache)


def test_fetch_that_is_interrupted_leaves_nothing(server: Server, cache: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model_file.fetch_model(interrupt)
    assert_nothing_kept(cache)


def test_fetch_without_a_network_is_one_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(model_file, "MODEL_URL", f"http://127.0.0.1:{port}/m.task")
    with pytest.raises(HandsError, match=r"cannot be fetched.*go online.*hands\.model") as caught:
        model_file.fetch_model(ignore)
    assert "\n" not in str(caught.value)
    assert "urlopen" not in str(caught.value)
    assert_nothing_kept(cache)


def test_fetch_into_a_folder_that_takes_no_file_is_one_line(server: Server, cache: Path) -> None:
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(HandsError, match="cannot be kept in"):
        model_file.fetch_model(ignore)


def test_fetch_that_cannot_take_the_models_place_leaves_nothing(
    server: Server, cache: Path
) -> None:
    (cache / model_file.MODEL_NAME).mkdir(parents=True)
    with pytest.raises(HandsError, match="cannot be kept in"):
        model_file.fetch_model(ignore)
    assert [p.name for p in cache.iterdir()] == [model_file.MODEL_NAME]


# Opening ------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether MediaPipe is installed, whatever the machine has."""

    def say(there: bool) -> None:
        spec = object() if there else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    return say


Say = Callable[[bool], None]


def test_hands_off_are_off(installed: Say, cache: Path) -> None:
    installed(True)
    assert hand_worker.open_hands(HandsSettings(mode="off", model="nowhere.task")) == (None, "")


def test_auto_without_the_extra_says_nothing(installed: Say, cache: Path) -> None:
    installed(False)
    assert hand_worker.open_hands(HandsSettings()) == (None, "")


def test_auto_without_a_model_says_in_one_line_how_to_get_it(installed: Say, cache: Path) -> None:
    installed(True)
    worker, line = hand_worker.open_hands(HandsSettings())
    assert worker is None
    assert "hands.mode=on" in line
    assert "\n" not in line
    worker, line = hand_worker.open_hands(HandsSettings(model="nowhere.task"))
    assert worker is None
    assert "nowhere.task" in line


def test_auto_with_both_gives_a_worker(installed: Say, cache: Path) -> None:
    installed(True)
    cache.mkdir()
    (cache / model_file.MODEL_NAME).write_bytes(b"a model")
    for mode in ("auto", "on"):
        worker, line = hand_worker.open_hands(HandsSettings(mode=mode))
        assert isinstance(worker, HandsWorker)
        assert line == ""
        assert worker.close()


def test_on_raises_what_is_missing(installed: Say, cache: Path) -> None:
    installed(False)
    with pytest.raises(MissingExtraError, match=r"live-digits\[hands\]"):
        hand_worker.open_hands(HandsSettings(mode="on"))
    installed(True)
    with pytest.raises(HandsError, match=model_file.MODEL_VARIABLE):
        hand_worker.open_hands(HandsSettings(mode="on"))
    with pytest.raises(HandsError, match=r"nowhere\.task"):
        hand_worker.open_hands(HandsSettings(mode="on", model="nowhere.task"))


def test_without_mediapipe_the_landmarker_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r"live-digits\[hands\]"):
        MediaPipeLandmarker(Path("any.task"))
