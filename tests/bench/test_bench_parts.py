"""The parts of the benchmark: networks, and programs in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bench_kit import SMALL
from fakes import FakeSource

from live_digits.bench import subprocesses
from live_digits.bench.display import Place
from live_digits.bench.end_to_end import Case, Paced
from live_digits.bench.networks import BATCHES, Networks, measured
from live_digits.bench.subprocesses import PartError
from live_digits.bench.variants import NO_SAVINGS, vision_of
from live_digits.core.isolated_process import isolated_python
from live_digits.vision import paper

NOWHERE = Place(False, "", "nowhere")


# --- networks ---


def test_networks_are_measured_in_every_batch() -> None:
    answer = measured({"models": ["dense", "cnn"], "keras": False, "seconds": 0.0})
    found = Networks.of(json.loads(json.dumps(answer)))
    assert all(s.runtime.startswith("LiteRT, ") for s in found.speeds)
    assert [(s.model, s.batch) for s in found.speeds] == [
        (m, b) for m in ("dense", "cnn") for b in BATCHES
    ]
    assert all(s.ms.median > 0 and s.per_second > 0 for s in found.speeds)
    assert "Keras was left out: --quick" in found.notes
    assert found.gain == {}
    again = found.as_json()
    for speed in (*again["speeds"], *answer["speeds"]):
        del speed["crops_a_second"]  # of the median before it was rounded
    assert again == answer


def test_a_network_that_is_no_network_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    from live_digits.reading import model_store

    folder = tmp_path / "odd"
    shutil.copytree(model_store.models_folder() / "dense", folder)
    (folder / "model_int8.tflite").write_bytes(b"no network")
    answer = measured({"models": [str(folder)], "keras": False, "seconds": 0.0})
    assert any("model_int8.tflite was left out" in note for note in answer["notes"])
    shutil.copy(folder / "model.tflite", folder / "model_int8.tflite")
    card = yaml.safe_load((folder / "card.yaml").read_text(encoding="utf-8"))
    card["sha256"]["model_int8.tflite"] = card["sha256"]["model.tflite"]
    (folder / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    answer = measured({"models": [str(folder)], "keras": False, "seconds": 0.0})
    assert {s["runtime"] for s in answer["speeds"]} == {
        "LiteRT, float32", "LiteRT, float32 (model_int8.tflite)",
    }  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs extra train")
def test_keras_is_measured_where_it_is_installed(tmp_path: Path) -> None:
    job = {"models": ["cnn"], "keras": True, "seconds": 0.0}
    found = Networks.of(subprocesses.ask("networks", job, None, tmp_path, 300))
    assert {s.runtime for s in found.speeds} == {
        "LiteRT, float32", "LiteRT, 8-bit weights", "Keras, predict once per crop",
        "Keras, predict of 64",
    }  # fmt: skip
    assert found.gain["cnn"].median > 1


# --- processes of their own ---


def test_a_part_that_fails_says_why_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(PartError) as found:
        subprocesses.ask("networks", {"models": ["nonsense"], "keras": False, "seconds": 0.0},
                     None, tmp_path, 100)  # fmt: skip
    assert "no model 'nonsense'" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_part_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(PartError, match=r"no end within 0\.2 s"):
        subprocesses.call(
            isolated_python("import time; time.sleep(60)"), "sleep", None, tmp_path, 0.2
        )


def paced(case: Case, folder: Path) -> Paced:
    part = "empty" if case.empty else "app"
    return Paced.of(case, subprocesses.ask(part, case.job(str(folder)), NOWHERE, folder, 100))


@pytest.mark.parametrize(
    "case",
    [SMALL, replace(SMALL, scene="moving", record=True), replace(SMALL, scene="at rest"),
     replace(SMALL, scene="at rest", savings=False), replace(SMALL, empty=True)],
    ids=["demo", "recording", "at rest", "savings off", "empty"],
)  # fmt: skip
def test_the_program_runs_at_a_cameras_pace(case: Case, tmp_path: Path) -> None:
    found = paced(case, tmp_path)
    assert found.error == ""
    assert found.shown > 0
    assert 0 <= found.captured - found.dropped - found.shown <= 2
    assert 0 <= found.late <= found.dropped
    assert set(found.latency_ms) == {"p50", "p95", "p99"}
    assert found.cpu_ms > 0
    assert found.cores > 0
    assert (found.source_cpu_ms > 0) == (case.scene == "demo")
    assert found.rss_mb >= found.rss_mb_before > 10
    assert (found.recorder_dropped is not None) == case.record
    assert (found.looks == 0) == case.empty
    if case.scene == "at rest" and case.savings:
        assert found.looks <= found.shown
    json.dumps(found.as_json())


def test_a_program_without_savings_is_one() -> None:
    from live_digits.app.live import App, RunOptions
    from live_digits.bench.end_to_end import _app
    from live_digits.bench.variants import Forgetful
    from live_digits.config.settings import Settings

    def made(savings: bool) -> App:
        case = replace(SMALL, savings=savings)
        return _app(case, Settings(), FakeSource([]), None, RunOptions(live=True))

    without, usual = made(False), made(True)
    assert isinstance(without._video_reader, Forgetful)
    assert not isinstance(usual._video_reader, Forgetful)
    assert without._video_reader._savings == NO_SAVINGS
    assert without._vision_worker._reuse is False
    assert usual._vision_worker._reuse is True


def test_vision_without_savings_is_so_for_a_while() -> None:
    with vision_of(NO_SAVINGS):
        assert paper.WORKING_SIDE > 10_000
    assert paper.WORKING_SIDE < 10_000
