"""Input that is wrong: a clear error or a right answer, whatever the file says."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import FakeClassifier
from hypothesis import given
from hypothesis import strategies as st
from wrong_kit import few, one_line, seeds

from live_digits import cli
from live_digits.app.batch import AnnotatedWriter, Batch
from live_digits.capture.image_files import load_picture
from live_digits.config.file import load, parse
from live_digits.config.settings import TRACKBARS, Settings
from live_digits.core.errors import ConfigError, ModelError, SourceError
from live_digits.reading import classifier

# --- config files ---


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.dates() | st.binary(max_size=5)
)  # fmt: skip
KNOWN = st.sampled_from([*(f"{n}" for n in ("source", "pipeline", "model", "hands")), *TRACKBARS])
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KNOWN | st.text(max_size=8) | st.integers(), inner, max_size=4)
    ),
    max_leaves=25,
)


@few
@given(st.dictionaries(KNOWN, TREES, max_size=3) | TREES, st.booleans())
def test_any_tree_is_settings_or_one_line(tree: Any, flow: bool) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    try:
        parse(text, "c.yaml")
    except ConfigError as e:
        one_line(e, "c.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 190_000,
        "{" * 190_000,
        "? " * 90_000,
        "source:\n  fps: 1:" + ":".join(["59"] * 400) + ".5",
        "source:\n  fps: 1:" + ":".join(["59"] * 60_000),
        "pipeline:\n  blur: 0b" + "1" * 190_000,
        'model:\n  name: "\\UFFFFFFFF"',
        'model:\n  name: "\\uD800"',
        "model:\n  name: 2001-12-14t21:59:43.10-99:99",
        "a: &a [x]\n" + "".join(f"k{i}: &k{i} [*a, *a]\n" for i in range(9)),
        "pipeline: !!python/object/apply:os.system ['touch gotcha']",
    ],
    ids=lambda t: t[:24],
)
def test_texts_that_cost_time_or_run_code_are_refused(text: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.yaml")
    one_line(caught.value, "c.yaml")
    assert time.monotonic() - begun < 20
    assert not Path("gotcha").exists()


def odd_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that are no config and no picture, by what they are."""
    (folder / "folder").mkdir()
    yield "folder", folder / "folder"
    for name, content in {
        "nothing but zeros": bytes(5000),
        "utf-16": "pipeline: {blur: 5}".encode("utf-16"),
        "latin-1": "# über\npipeline: {}".encode("latin-1"),
        "noise": random.Random(0).randbytes(5000),
    }.items():
        (folder / name).write_bytes(content)
        yield name, folder / name
    with open(folder / "vast", "wb") as file:
        file.truncate(2**40)  # a hole: it takes no disk
    yield "vast", folder / "vast"
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        yield "pipe", folder / "pipe"
        yield "device", Path("/dev/zero")


def test_odd_files_are_no_config_no_picture_and_no_card(tmp_path: Path) -> None:
    for what, path in odd_files(tmp_path):
        with pytest.raises(ConfigError, match="config") as caught:
            load(path)
        one_line(caught.value, str(path))
        with pytest.raises(SourceError) as refused:
            load_picture(path)
        one_line(refused.value, str(path))
        model = tmp_path / f"model of {what}"
        model.mkdir()
        (model / "card.yaml").symlink_to(path)
        with pytest.raises(ModelError) as unread:
            classifier.load(str(model))
        one_line(unread.value, str(model))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfpipeline:\r\n  blur: 9\r\n")
    assert load(tmp_path / "c.yaml").pipeline.blur == 9


# --- files are written where they belong ---


def test_a_batch_writes_inside_its_folder_only(tmp_path: Path) -> None:
    inside, outside = tmp_path / "pictures", tmp_path / "saved"
    (inside / "deep").mkdir(parents=True)
    names = [
        "..png",
        "....png",
        "-rf.png",
        "a\nb.png",
        "deep/../x.png",
        "%s%n.png",
        "x" * 200 + ".png",
    ]
    for name in names:
        (inside / name).write_bytes(seeds()[".png"])
    (inside / "bad.png").write_bytes(b"bad")
    before = set(tmp_path.rglob("*"))
    batch = Batch([inside / n for n in [*names, "bad.png"]], Settings(), FakeClassifier())
    saver = AnnotatedWriter(outside, Settings())
    for item in batch:
        saver.add(item)
    saver.close()
    new = set(tmp_path.rglob("*")) - before - {outside}
    assert len(new) == len(names)
    assert all(p.parent == outside for p in new)
    assert len(batch.skipped) == 1
    assert "bad.png" in batch.skipped[0]


# --- the command line ---


def test_wrong_files_are_one_line_and_exit_code_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.png").write_bytes(seeds()[".png"])
    (tmp_path / "bad.png").write_bytes(b"x")
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    (tmp_path / "folder").mkdir()
    for line in (
        "read bad.png", "read good.png --config deep.yaml", "read good.png --config folder",
        "read good.png --model folder", "read good.png --set model.name=[[[[[[[[",
        "run --source bad.png --no-window --duration 1", "run --source folder --no-window",
    ):  # fmt: skip
        assert cli.invoke(line.split()) == 2, line
        told = capfd.readouterr()
        assert "Traceback" not in told.err
        assert len(told.err.strip().splitlines()) == 1, told.err


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_a_name_that_is_no_text_is_printed_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xe9.png")
    (tmp_path / name).write_bytes(seeds()[".png"])
    done = subprocess.run(
        [sys.executable, "-m", "live_digits", "read", "--json", str(tmp_path)],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["source"] == str(tmp_path / name)


# --- who imports whom first ---


@pytest.mark.parametrize(
    "module",
    [
        "api", "app.batch", "app.live", "capture.reconnecting_source", "capture.open_source",
        "capture.stream", "capture.video_decoding", "recording.catalog", "recording.recorder",
        "recording.video_writer",
    ],
)  # fmt: skip
def test_cv2_comes_before_av(module: str) -> None:
    """With av first, the first window hangs the process for ever: both bring a libxcb."""
    script = (
        f"import sys, live_digits.{module}; names = list(sys.modules)\n"
        "sys.exit(names.index('cv2') > names.index('av'))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_wrong_order_is_refused_before_a_window_hangs() -> None:
    script = (
        "import av, live_digits.display.window as w\n"
        "try: w.check_display()\n"
        "except w.DisplayError as e: print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        env={**os.environ, "DISPLAY": ":1"},
    )  # fmt: skip
    assert "import cv2" in done.stdout or sys.platform != "linux"
