"""What the program writes and reads beside the user's files: never through what lies there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cli_kit import Shell, draw, film, one_line, shell  # noqa: F401 (the fixture)
from fakes import FakeClassifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program_kit import environment

from live_digits.app.batch import AnnotatedWriter, Batch
from live_digits.bench.report import Files
from live_digits.capture.image_files import save_png
from live_digits.config.file import load, write_back
from live_digits.config.settings import Settings
from live_digits.core.errors import ConfigError, ModelError, RecordingError, SourceError
from live_digits.core.safe_files import (
    is_regular,
    new_file,
    open_regular,
    open_target,
    probe,
    read_regular,
    replacing,
)
from live_digits.core.types import Reading
from live_digits.evaluation import evaluate
from live_digits.training.datasets import DataError
from live_digits.training.train import train

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
PRECIOUS = b"what nobody may touch\n" * 200


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious"
    path.write_bytes(PRECIOUS)
    return path


# --- the functions ---


@POSIX
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY])
def test_only_a_regular_file_is_opened_and_nothing_is_waited_for(
    tmp_path: Path, precious: Path, flags: int
) -> None:
    for name, target in {"link": "precious", "dangling": "away", "loop": "loop"}.items():
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    words = {"link": "a link", "dangling": "a link", "loop": "a link", "pipe": "a pipe",
             "folder": "a folder"}  # fmt: skip
    for name, what in words.items():
        with pytest.raises(OSError, match=what):
            open_regular(tmp_path / name, flags)
        assert not is_regular(tmp_path / name)
    with pytest.raises(OSError, match="a device"):
        open_regular(Path("/dev/null"), flags)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing", flags)
    os.close(open_regular(precious, flags))
    os.link(precious, tmp_path / "second")
    os.close(open_regular(precious, flags))
    with pytest.raises(OSError, match="hard link"):
        open_regular(precious, flags, alone=True)
    assert precious.read_bytes() == PRECIOUS
    assert not (tmp_path / "away").exists()


@POSIX
@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="the system cannot tell")
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_exchanged_between_look_and_opening_is_seen(
    tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    really = os.lstat

    def exchange(given: Any) -> os.stat_result:
        seen = really(given)
        if Path(given) == path:
            path.unlink(missing_ok=True)
            path.symlink_to(precious) if kind == "link" else os.mkfifo(path)
        return seen

    monkeypatch.setattr("live_digits.core.safe_files.os.lstat", exchange)
    with pytest.raises(OSError):  # noqa: PT011 (each in the system's own words)
        open_regular(path, os.O_RDONLY)


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)


@POSIX
def test_a_new_name_is_one_that_nothing_has(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "away")
    (tmp_path / "a_2.png").symlink_to(precious)
    (tmp_path / "a_3.png").mkdir()
    path, file = new_file(tmp_path, "a", ".png")
    file.close()
    assert path == tmp_path / "a_4.png"
    assert not (tmp_path / "away").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="its modes are others")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400])
def test_what_is_replaced_keeps_its_mode_and_is_never_open_to_more(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) & ~0o600 == 0
        scratch.write_text("new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(ZeroDivisionError), replacing(path) as scratch:
        scratch.write_text(str(1 // 0))
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


# --- the config, as key w writes it ---


def blur_of(path: Path) -> int:
    return load(path).pipeline.blur


@POSIX
def test_the_settings_go_through_no_name_that_lies_there(tmp_path: Path, precious: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("pipeline:\n  blur: 7\n")
    for name in ("config.yaml.new", ".config.yaml.new", "config.yaml.tmp"):
        (tmp_path / name).symlink_to(precious)
    write_back(path, {("pipeline", "blur"): 9})
    assert blur_of(path) == 9
    assert precious.read_bytes() == PRECIOUS
    assert (tmp_path / "config.yaml.new").is_symlink()


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660])
def test_a_config_that_is_a_link_stays_one_and_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    (tmp_path / "dotfiles").mkdir()
    own = tmp_path / "dotfiles" / "live.yaml"
    own.write_text("# mine\npipeline:\n  blur: 7\n")
    own.chmod(mode)
    (tmp_path / "middle.yaml").symlink_to("dotfiles/live.yaml")
    path = tmp_path / "config.yaml"
    path.symlink_to("middle.yaml")
    write_back(path, {("pipeline", "blur"): 9})
    assert path.is_symlink()
    assert (tmp_path / "middle.yaml").is_symlink()
    assert own.read_text() == "# mine\npipeline:\n  blur: 9\n"
    assert stat.S_IMODE(own.stat().st_mode) == mode
    assert sorted(p.name for p in own.parent.iterdir()) == ["live.yaml"]


@POSIX
def test_a_config_that_leads_nowhere_is_not_made_there(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.symlink_to(tmp_path / "away")
    with pytest.raises(ConfigError, match="it is a link to"):
        write_back(path, {("pipeline", "blur"): 9})
    assert not (tmp_path / "away").exists()


@POSIX
def test_a_new_config_has_the_mode_that_the_user_gives_to_files(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_back(tmp_path / "config.yaml", {("pipeline", "blur"): 9})
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("other", "config.yaml")]
    assert modes[0] == modes[1]


# --- pictures and figures ---


@POSIX
def test_saving_touches_nothing_that_lies_there(tmp_path: Path, precious: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".live_digits").write_bytes(PRECIOUS)
    away = [tmp_path / f"away{n}" for n in range(3)]
    for name, target in {
        "page.png": away[0], "page_2.png": precious, "clip.mp4": away[1], "clip_2.mp4": precious,
        "page_3.png": away[2],
    }.items():  # fmt: skip
        (out / name).symlink_to(target)
    files = [draw(tmp_path / "page.png"), film(tmp_path / "clip.mp4", frames=2)]
    saver = AnnotatedWriter(out, Settings())
    for read in Batch(files, Settings(), FakeClassifier()):
        saver.add(read)
    saver.close()
    assert [p.name for p in saver.files] == ["page_4.png", "clip_3.mp4"]
    assert all(p.stat().st_size > 500 for p in saver.files)
    assert not any(p.exists() for p in away)
    assert precious.read_bytes() == (out / ".live_digits").read_bytes() == PRECIOUS


@POSIX
def test_the_probe_of_a_folder_is_no_link_either(tmp_path: Path, shell: Shell) -> None:  # noqa: F811
    out = tmp_path / "out"
    out.mkdir()
    (out / ".live_digits").symlink_to(tmp_path / "away")
    done = shell("read", draw(tmp_path / "page.png"), "--save", out)
    assert done.code == 0, done.err
    assert not (tmp_path / "away").exists()
    assert (out / ".live_digits").is_symlink()
    assert sorted(os.listdir(out)) == [".live_digits", "page.png"]


@POSIX
def test_a_folder_that_refuses_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="--save"):
        AnnotatedWriter(tmp_path / "file", Settings())
    with pytest.raises(OSError, match="File exists"):
        probe(tmp_path / "file")


@POSIX
def test_a_saved_picture_goes_through_no_link(tmp_path: Path, precious: Path) -> None:
    """The keys s and e."""
    (tmp_path / "a.png").symlink_to(precious)
    (tmp_path / "a_2.png").symlink_to(tmp_path / "away")
    path = save_png(tmp_path, "a", np.zeros((8, 8, 3), np.uint8))
    assert path == tmp_path / "a_3.png"
    assert precious.read_bytes() == PRECIOUS
    assert not (tmp_path / "away").exists()


def read_nothing(path: Path) -> Reading:
    return Reading(str(path), 0, 0.0, 10, 10)


TRUTH = {"category": "a", "digits": [{"box": [1, 1, 5, 5], "digit": 7}], "lines": ["7"]}


@POSIX
@pytest.mark.parametrize("what", ["folder", "set", "bench"])
def test_figures_replace_a_link_and_leave_what_it_leads_to(
    tmp_path: Path, precious: Path, what: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    draw(tmp_path / "a.png")
    (tmp_path / "truth.json").write_text(json.dumps({"a.png": TRUTH}))
    if what == "folder":
        names = ["mistakes.png"]

        def make() -> None:
            evaluate.evaluate_folder(tmp_path, read_nothing, out=out)

    elif what == "set":
        pytest.importorskip("matplotlib")
        crops = np.zeros((5, 28, 28), np.uint8)
        np.savez(tmp_path / "$x$\\frac.npz", x_test=crops, y_test=np.arange(5))
        names = ["$x$\\frac_confusion.png", "$x$\\frac_mistakes.png"]

        def make() -> None:
            evaluate.evaluate_set(FakeClassifier(), str(tmp_path / "$x$\\frac.npz"), out=out)

    else:
        names = ["2026-01-01_cpu.json"]

        def make() -> None:
            with pytest.raises(ConfigError, match="no plot of this"):
                Files(out).write(OneReport())  # type: ignore[arg-type]

    for name in names:
        (out / name).symlink_to(precious)
    make()
    assert precious.read_bytes() == PRECIOUS
    for name in names:
        assert is_regular(out / name)
        assert (out / name).stat().st_size > 5
    assert sorted(set(os.listdir(out)) - {"2026-01-01_cpu.png"}) == sorted(names)


class OneReport:
    """Stands for a bench's report, of which only the JSON can be made."""

    name = "2026-01-01_cpu"

    def as_json(self) -> dict[str, Any]:
        return {"a": 1}

    @property
    def compared(self) -> Any:
        raise OSError("no plot of this")


# --- truth.json ---

BAD_TRUTHS = {
    "list": "[]",
    "deep": "[" * 100_000,
    "no entry": '{"a.png": 7}',
    "no box": '{"a.png": {"digits": [7]}}',
    "unhashable": '{"a.png": {"digits": [{"box": [[1], 2, 3, 4], "digit": 7}]}}',
    "infinite": '{"a.png": {"digits": [{"box": [1e999, 2, 3, 4], "digit": 7}]}}',
    "no number": '{"a.png": {"digits": [{"box": [NaN, 2, 3, 4], "digit": 7}]}}',
    "400 digits": '{"a.png": {"digits": [{"box": [%s, 2, 3, 4], "digit": 7}]}}' % ("9" * 400),
    "5000 digits": '{"a.png": {"digits": [{"box": [1, 2, 3, 4], "digit": %s}]}}' % ("9" * 5000),
    "vast box": '{"a.png": {"digits": [{"box": [0, 0, 9999999, 9999999], "digit": 7}]}}',
    "digit": '{"a.png": {"digits": [{"box": [1, 2, 3, 4], "digit": 12}]}}',
    "lines": '{"a.png": {"digits": [], "lines": 7}}',
    "category": '{"a.png": {"digits": [], "category": ["a"]}}',
    "name": '{"a\\u0000.png": {"digits": []}}',
    "surrogate": '{"\\ud800.png": {"digits": []}}',
    "latin": '{"\xff": 1}',
}


@pytest.mark.parametrize("what", BAD_TRUTHS)
def test_a_bad_truth_is_one_line(tmp_path: Path, what: str) -> None:
    (tmp_path / "truth.json").write_bytes(BAD_TRUTHS[what].encode("latin-1"))
    with pytest.raises(DataError, match=r"truth\.json") as caught:
        evaluate.evaluate_folder(tmp_path, read_nothing)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@POSIX
@pytest.mark.parametrize("how", ["pipe", "device", "hole"])
def test_a_truth_that_never_ends_is_refused_at_once(tmp_path: Path, how: str) -> None:
    path = tmp_path / "truth.json"
    if how == "pipe":
        os.mkfifo(path)
    elif how == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(2**40)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from live_digits.app.statistics import peak_memory_mb\n"
        "from live_digits.evaluation.evaluate import load_truth\n"
        "try:\n"
        "    load_truth(Path(sys.argv[1]))\n"
        "except Exception as e:\n"
        "    print(type(e).__name__, peak_memory_mb())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    kind, peak = done.stdout.split()
    assert kind == "DataError"
    assert float(peak) < 700


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
ANY = st.recursive(
    LEAVES | st.integers(min_value=10**400, max_value=10**401),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
DIGIT = st.fixed_dictionaries(
    {"box": st.lists(LEAVES | st.integers(-10, 10), min_size=4, max_size=4), "digit": LEAVES}
)
ENTRY = st.fixed_dictionaries(
    {}, optional={"digits": ANY | st.lists(DIGIT, max_size=3), "lines": ANY, "category": ANY}
)


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANY | st.dictionaries(st.just("a.png") | st.text(), ENTRY | ANY, max_size=3))
def test_any_truth_is_compared_with_or_one_line(tmp_path: Path, content: Any) -> None:
    if not (tmp_path / "a.png").exists():
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 40, 3), np.uint8))
    (tmp_path / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        evaluate.evaluate_folder(tmp_path, read_nothing, out=tmp_path / "out")
    except DataError as e:
        assert "\n" not in str(e)  # noqa: PT017 (many are fine)


@POSIX
def test_a_pipe_among_the_pictures_of_a_truth_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "truth.json").write_text(json.dumps({"pipe.png": TRUTH}))
    done: list[Any] = []

    def work() -> None:
        done.append(evaluate.evaluate_folder(tmp_path, read_nothing, out=tmp_path / "out"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert done, "it waits for the pipe"
    assert done[0].unread == ("pipe.png",)
    assert cv2.imread(str(tmp_path / "out" / "mistakes.png")) is not None


# --- figures of a run ---


@POSIX
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "link to a pipe"])
def test_figures_go_into_no_pipe(tmp_path: Path, shell: Shell, what: str) -> None:  # noqa: F811
    path = tmp_path / "stats.json"
    if what == "device":
        path = Path("/dev/null")
    elif what == "folder":
        path.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
        path = path if "link" in what else tmp_path / "pipe"
    done = shell("--no-window", "--source", "demo", "--duration", "1", "--stats", path)
    one_line(done, "--stats", str(path), what.removeprefix("link to a "))


@POSIX
def test_figures_go_where_the_user_says(tmp_path: Path, precious: Path) -> None:
    """Whoever names a link means what it leads to; at the start nothing is cut off."""
    (tmp_path / "stats.json").symlink_to(precious)
    os.close(open_target(tmp_path / "stats.json"))
    assert precious.read_bytes() == PRECIOUS
    with os.fdopen(open_target(tmp_path / "stats.json"), "w") as file:
        file.truncate()
        file.write("{}")
    assert precious.read_text() == "{}"
    assert (tmp_path / "stats.json").is_symlink()


def test_a_source_that_is_no_session_any_more_is_one_line(tmp_path: Path) -> None:
    from live_digits.capture.open_source import open_source
    from live_digits.config.settings import SourceSettings

    (tmp_path / "annotated.mp4").mkdir()
    with pytest.raises(SourceError, match=r"annotated\.mp4 is a folder"):
        open_source(str(tmp_path), SourceSettings())


@pytest.mark.parametrize(
    "name",
    ["../precious.png", "a/../../precious.png", "/precious.png", "..\\precious.png", "C:\\x.png"],
)
def test_a_truth_file_names_no_picture_outside_its_folder(tmp_path: Path, name: str) -> None:
    truth = {name: {"digits": [{"box": [1, 2, 3, 4], "digit": 7}]}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    with pytest.raises(DataError, match="lies outside the folder"):
        evaluate.load_truth(tmp_path)


def test_training_writes_through_no_link_that_lies_among_the_models(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "card.yaml").write_text("precious")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "dense").symlink_to(victim)
    with pytest.raises(ModelError, match="is a link; name the folder"):
        train("dense", tmp_path / "models", quick=True)
    assert [f.name for f in victim.iterdir()] == ["card.yaml"]
    assert (victim / "card.yaml").read_text() == "precious"
