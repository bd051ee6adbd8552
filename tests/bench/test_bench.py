"""The benchmark as a whole: it runs, tells of each step, fails as it should.

No test asserts a time.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_kit import SMALL, made_small
from hypothesis import given
from hypothesis import strategies as st

from live_digits import cli
from live_digits.bench import display, report, startup, subprocesses
from live_digits.bench.end_to_end import Paced
from live_digits.bench.machine import Machine, this_machine
from live_digits.bench.networks import BATCHES
from live_digits.bench.report import FULL, QUICK, Files, Plan, tables
from live_digits.bench.startup import CV2, PICTURE, PYTHON
from live_digits.bench.subprocesses import PartError
from live_digits.bench.variants import CLASSIC, DEFAULT, NOTHING_SAVED
from live_digits.core.errors import ConfigError, DisplayError
from live_digits.core.isolated_process import isolated_python
from live_digits.display.desktop import check_display

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


TINY = Plan(
    stages={"480p": 0.0},
    variants=(CLASSIC, DEFAULT, NOTHING_SAVED),
    paced=(
        replace(SMALL, seconds=1),
        replace(SMALL, seconds=1, empty=True),
        replace(SMALL, hands=True),
    ),
    growth=((1, 4), 0.0),
    networks=(("dense",), 0.0),
    keras=False,
    starts=(1, 0.5),
    window=0.1,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    made_small(monkeypatch)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, small: None) -> None:
    """The command's short form, shorter still, and without a window."""
    monkeypatch.setattr(report, "QUICK", TINY)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("LIVE_DIGITS_HAND_MODEL", "/nowhere/hands.task")


@pytest.mark.usefixtures("tiny")
def test_bench_prints_one_json_object_and_writes_what_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke(["bench", "--quick", "--json", "--out", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["quick"] is True
    assert found["failures"] == []
    assert "without a window" in found["window"]
    assert [s["scene"] for s in found["stages"]] == ["moving", "at rest"]
    assert [v["name"] for v in found["stages"][0]["variants"]] == [
        "classic", "default", "every saving off",
    ]  # fmt: skip
    assert [g["digits"] for g in found["growth"]] == [1, 4]
    assert {s["batch"] for s in found["networks"]["speeds"]} == set(BATCHES)
    assert [p["case"]["empty"] for p in found["paced"]] == [False], "no empty loop without a window"
    assert [p["hands_looks"] for p in found["paced"]] == [None]
    assert "/nowhere/hands.task" in found["hands"] or "extra" in found["hands"]
    assert {PYTHON, CV2, PICTURE} <= set(found["starts"]["seconds"])
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["packages"]["numpy"] == np.__version__
    files = {f.suffix: f for f in (tmp_path / "new").iterdir()}
    assert json.loads(files[".json"].read_text(encoding="utf-8")) == found
    assert (".png" in files) == HAS_MATPLOTLIB
    assert all(f"written: {f}" in printed.err for f in files.values())


@pytest.mark.usefixtures("tiny")
def test_a_part_that_fails_is_told_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: Any) -> dict[str, Any]:
        raise PartError(f"{given[0]}: out of order")

    monkeypatch.setattr(report, "ask", fails)
    assert cli.invoke(["bench", "--quick"]) == 1
    printed = capsys.readouterr()
    assert "live-digits: networks: networks: out of order" in printed.err
    assert "small, page demo: app: out of order" in printed.err
    assert "classic" in printed.out
    assert "from the process's start, s" in printed.out


def test_out_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert cli.invoke(["bench", "--out", str(tmp_path / "file" / "in it")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="cannot be written"):
        Files(tmp_path / "file")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_progress_is_told_of_every_step(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: Any) -> Any:
        raise PartError("not now")

    monkeypatch.setattr(report, "ask", fails)
    monkeypatch.setattr(startup, "measure", fails)
    short_plan = replace(plan, stages=dict.fromkeys(plan.stages, 0.0),
                         variants=(CLASSIC, DEFAULT), growth=((1,), 0.0))  # fmt: skip
    told: list[str] = []
    found = report.run(short_plan, told.append)
    assert len(told) == plan.steps
    assert len(set(told)) == len(told), "no two steps look alike"
    assert all(len(row) == len(names) for _, names, rows in tables(found) for row in rows)


@given(st.text(max_size=80), st.integers(1, 256))
def test_a_machines_name_is_one_of_a_file(cpu: str, cores: int) -> None:
    slug = Machine(cpu, cores, 0, "", "", {}, 1, ()).slug
    assert slug.endswith(f"_{cores}-cores")
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    assert not slug.startswith(("-", "_"))


def test_the_machine_at_hand_is_known() -> None:
    found = this_machine()
    assert found.cpu
    assert found.python == ".".join(map(str, sys.version_info[:3]))


def test_without_display_and_xvfb_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with display.place() as where:
        assert not where.windows
        assert "without a window" in where.note


@pytest.mark.gui
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_without_a_display_windows_open_on_one_that_ends_with_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with display.place() as where:
        assert where.windows
        assert where.display.startswith(":")
        job = {"width": 640, "height": 480, "seconds": 0.0}
        answer = subprocesses.ask("window", job, where, tmp_path, 100)
        assert answer["width"] == 640
        assert min(answer["ms"]) > 0
        case = replace(SMALL, window=True, scene="at rest", savings=False)
        found = Paced.of(
            case, subprocesses.ask("app", case.job(str(tmp_path)), where, tmp_path, 100)
        )
        assert found.shown > 0
        monkeypatch.setenv("DISPLAY", where.display)
        check_display()
    with pytest.raises(DisplayError):
        check_display()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count this way themselves")
def test_a_processs_peak_is_its_own_and_not_that_of_who_started_it(tmp_path: Path) -> None:
    large = np.ones(400_000_000, np.uint8)
    code = "from live_digits.app.statistics import peak_memory_mb; print(peak_memory_mb())"
    done = subprocesses.call(isolated_python(code), "peak", None, tmp_path, 100)
    assert 5 < float(done.stdout) < large.nbytes / 1e6 / 2
