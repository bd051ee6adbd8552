"""The benchmark: its arithmetic, that each saving can be switched off, that its parts run and fail
as they should. No test asserts a time."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeClassifier, FakeSource
from hypothesis import given
from hypothesis import strategies as st

from live_digits import cli, pipeline, types
from live_digits.bench import children, display, report, stages, starts
from live_digits.bench.children import PartError
from live_digits.bench.display import Place
from live_digits.bench.machine import Machine, this_machine
from live_digits.bench.networks import BATCHES, Networks, measured
from live_digits.bench.paced import Case, Paced
from live_digits.bench.report import FULL, QUICK, Files, Plan, tables
from live_digits.bench.scenes import SCENES, frame_of
from live_digits.bench.spread import (
    Spread,
    Stopwatch,
    by_stage,
    median,
    percentile,
    ratio,
    short,
    spread,
    take_turns,
)
from live_digits.bench.starts import CV2, PICTURE, PYTHON
from live_digits.bench.variants import (
    CLASSIC,
    DEFAULT,
    NO_SAVINGS,
    NOTHING_SAVED,
    ONE_OFF,
    VARIANTS,
    VISION,
    Savings,
    Variant,
    Way,
    fitted,
    vision_of,
)
from live_digits.config import PROFILES, profile_defaults
from live_digits.errors import ConfigError, DisplayError
from live_digits.looker import changed, thumbnail
from live_digits.window import check_display

HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
WIDE = 1280, 720
"""More than the working resolution."""
NOWHERE = Place(False, "", "nowhere")
times = st.floats(0.001, 1e6)
figures = st.lists(times, min_size=1, max_size=40)


# --- arithmetic ---


@given(figures)
def test_the_spread_holds_the_median_between_least_and_most(values: list[float]) -> None:
    found = spread(values)
    assert found.least == min(values)
    assert found.most == max(values)
    assert found.least <= found.median <= found.most
    assert found.median == pytest.approx(statistics.median(values))
    assert found.repeats == len(values)


@given(figures, st.randoms())
def test_the_median_does_not_depend_on_the_order(values: list[float], random: Any) -> None:
    mixed = list(values)
    random.shuffle(mixed)
    assert median(mixed) == median(values)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=20), st.floats(0.01, 100))
def test_a_ratio_is_taken_round_by_round(pairs: list[tuple[float, float]], by: float) -> None:
    above, below = [a for a, _ in pairs], [b for _, b in pairs]
    assert ratio(below, below) == Spread(1.0, 1.0, 1.0, len(below))
    plain, times_more = ratio(above, below), ratio([by * a for a in above], below)
    assert times_more.median == pytest.approx(by * plain.median)
    # A machine that is slow in some rounds slows both: nothing changes.
    busy = [1 + i % 3 for i in range(len(pairs))]
    both = ratio(
        [a * k for a, k in zip(above, busy, strict=True)],
        [b * k for b, k in zip(below, busy, strict=True)],
    )
    assert both.median == pytest.approx(plain.median)


@given(figures, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_are_measured_values_and_grow(values: list[float], a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert percentile(values, low) <= percentile(values, high)
    assert percentile(values, a) in values
    assert percentile(values, 1.0) == max(values)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: median([]),
        lambda: spread([]),
        lambda: percentile([], 0.5),
        lambda: ratio([], []),
        lambda: ratio([1.0], [1.0, 2.0]),
        lambda: ratio([1.0], [0.0]),
    ],
)
def test_figures_of_nothing_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wrong()


@given(st.floats(-1e9, 1e9))
def test_short_figures_are_near_the_figure(value: float) -> None:
    assert float(short(value)) == pytest.approx(value, rel=0.06, abs=0.0006)


class Clock:
    """Seconds that pass as the test has them pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.floats(0, 20), st.integers(1, 5), st.integers(5, 12))
def test_variants_take_turns_within_their_time(seconds: float, least: int, most: int) -> None:
    clock, order = Clock(), []

    def variant(name: str, takes: float) -> Callable[[int], int]:
        def run(number: int) -> int:
            order.append(name)
            clock.now += takes
            return number

        return run

    found = take_turns(
        {"a": variant("a", 0.5), "b": variant("b", 1.5)}, seconds, least, most, clock
    )
    rounds = len(found["a"])
    assert "".join(order) == "ab" * rounds
    assert found["a"] == found["b"] == list(range(rounds))
    assert least <= rounds <= most
    if least < rounds < most:
        assert (rounds - 1) * 2.0 < seconds <= rounds * 2.0


def test_a_stopwatch_gives_each_stage_its_time() -> None:
    clock = Clock()
    watch = Stopwatch(clock)
    for stage, seconds in (("a", 1.0), ("b", 2.0), ("", 8.0), ("a", 4.0)):
        clock.now += seconds
        if stage:
            watch.lap(stage)
        else:
            watch.skip()
    assert watch.ms == {"a": 5000.0, "b": 2000.0}


def test_a_stage_left_out_of_a_round_took_no_time_there() -> None:
    found = by_stage([{"a": 3.0}, {"a": 1.0, "b": 4.0}, {"b": 6.0}])
    assert found == {"a": Spread(1.0, 0.0, 3.0, 3), "b": Spread(4.0, 0.0, 6.0, 3)}


# --- the stages ---


@pytest.mark.parametrize("profile", PROFILES)
def test_vision_tells_of_each_stage_and_finds_the_same(profile: str) -> None:
    page = SCENES["moving"](*WIDE)(0)
    told: list[str] = []
    settings = profile_defaults(profile)
    timed, plain = pipeline.find(page, settings, told.append), pipeline.find(page, settings)
    assert timed.candidates == plain.candidates
    assert [s for s in VISION if s in told] == told, "in the order in which they are shown"
    assert {"grey", "blur", "edges", "dilated", "ink"} <= set(told)


def way_of(variant: Variant, frames: int = 3, scene: str = "moving") -> Way:
    way = Way(variant, FakeClassifier(3), WIDE)
    page = SCENES[scene](*WIDE, 12)
    for n in range(frames):
        ms = way.step(frame_of(page, n))
        assert set(ms) <= {*VISION, "tracks", "network", "reading", "picture"}
    return way


def test_every_saving_has_its_variant() -> None:
    off = [f.name for v in ONE_OFF for f in fields(Savings) if not getattr(v.savings, f.name)]
    assert off == [f.name for f in fields(Savings)], "one each, in their order"
    assert DEFAULT.savings == Savings()
    assert not any(getattr(NO_SAVINGS, f.name) for f in fields(Savings))
    assert len({v.name for v in VARIANTS}) == len(VARIANTS)


def test_without_a_working_resolution_vision_works_at_the_frames_own() -> None:
    usual, large = way_of(DEFAULT, 1), way_of(Variant("", savings=Savings(working=False)), 1)
    assert usual.vision
    assert large.vision
    assert usual.vision.scale < 1
    assert large.vision.scale == 1
    assert large.vision.stages.grey.shape == (WIDE[1], WIDE[0])


def test_colours_reduced_first_show_the_same_page() -> None:
    usual, other = way_of(DEFAULT, 1), way_of(Variant("", savings=Savings(grey_first=False)), 1)
    assert usual.vision
    assert other.vision
    a, b = usual.vision.stages.grey, other.vision.stages.grey
    assert a.shape == b.shape
    assert 0 < np.abs(a.astype(int) - b).mean() < 6


def test_savings_are_back_after_vision_without_them() -> None:
    before = pipeline.WORKING_SIDE, pipeline.working

    def fails() -> None:
        with vision_of(NO_SAVINGS):
            assert before[0] < pipeline.WORKING_SIDE
            assert pipeline.working is not before[1]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert (pipeline.WORKING_SIDE, pipeline.working) == before


def test_a_page_at_rest_is_looked_at_once_or_each_time() -> None:
    assert way_of(DEFAULT, 5, "at rest").looks == 1
    assert way_of(Variant("", savings=Savings(rest=False)), 5, "at rest").looks == 5


def test_crops_are_read_where_they_are_wanted_or_all() -> None:
    usual = way_of(DEFAULT, 24, "at rest")
    every = way_of(Variant("", savings=Savings(crops=False)), 24, "at rest")
    assert every.vision
    assert every.asked == 24 * len(every.vision.boxes)
    assert usual.asked < every.asked / 2


def test_readings_are_handed_out_again_or_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from live_digits.labels import Labels

    made = []
    resolve = Labels.resolve
    monkeypatch.setattr(Labels, "resolve", lambda *a: made.append(1) or resolve(*a))  # type: ignore[func-returns-value]
    way_of(DEFAULT, 30, "at rest")
    usual = len(made)
    way_of(Variant("", savings=Savings(readings=False)), 30, "at rest")
    assert len(made) - usual == 30
    assert usual < 20


@pytest.mark.parametrize("drawing", [True, False])
def test_the_picture_is_drawn_at_the_windows_size_or_the_frames(
    drawing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from live_digits import overlay
    from live_digits.bench import variants

    drawn: list[tuple[int, ...]] = []

    def draw(image: types.Image, *rest: Any) -> types.Image:
        drawn.append(image.shape)
        return overlay.draw(image, *rest)

    monkeypatch.setattr(variants, "draw", draw)
    way = Way(Variant("", savings=Savings(drawing=drawing)), FakeClassifier(3), (640, 640))
    way.step(frame_of(SCENES["moving"](*WIDE), 0))
    assert drawn == [(360, 640, 3) if drawing else (720, 1280, 3)]


@given(st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
       st.tuples(st.integers(1, 9999), st.integers(1, 9999)))  # fmt: skip
def test_what_is_fitted_fits(size: tuple[int, int], room: tuple[int, int]) -> None:
    found = fitted(size, room)
    assert all(1 <= f <= min(s, r) or f == 1 for f, s, r in zip(found, size, room, strict=True))
    if all(s <= r for s, r in zip(size, room, strict=True)):
        assert found == size


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time."""
    for name in stages.SIZES:
        monkeypatch.setitem(stages.SIZES, name, (256, 192))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("scene", SCENES)
def test_stages_are_compared_over_the_same_frames(scene: str) -> None:
    found = stages.compare("480p", scene, (CLASSIC, DEFAULT, NOTHING_SAVED), 0.0)
    classic, default, _ = found.costs
    assert set(classic.stages) >= {"grey", "blur", "edges", "dilated", "contours", "crops"}
    assert set(default.stages) >= {"compare", "grey", "rulings", "proposals", "crops", "picture"}
    assert len({s.repeats for c in found.costs for s in c.stages.values()}) == 1
    for cost in found.costs:
        assert 0 < cost.vision.median < cost.whole.median
        assert cost.boxes > 0
    assert found.cheaper["classic"] == Spread(1.0, 1.0, 1.0, classic.vision.repeats)
    assert found.floor.median > 0
    json.dumps(found.as_json())


@pytest.mark.usefixtures("small")
def test_growth_is_measured_for_each_count() -> None:
    found = stages.grow((1, 30), 0.0)
    assert [g.digits for g in found] == [1, 30]
    assert found[0].costs.boxes < found[1].costs.boxes
    json.dumps([g.as_json() for g in found])


@pytest.mark.parametrize("size", [(640, 480), (3840, 2160)])
def test_the_scene_at_rest_has_fresh_noise_and_no_change(size: tuple[int, int]) -> None:
    scene = SCENES["at rest"](*size)
    pictures = [scene(n) for n in range(3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (pictures[one] != pictures[other]).mean() > 0.5
        assert not changed(thumbnail(pictures[one]), thumbnail(pictures[other]))


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

    from live_digits import classifier

    folder = tmp_path / "odd"
    shutil.copytree(classifier.models_folder() / "dense", folder)
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
    found = Networks.of(children.ask("networks", job, None, tmp_path, 300))
    assert {s.runtime for s in found.speeds} == {
        "LiteRT, float32", "LiteRT, 8-bit weights", "Keras, predict once per crop",
        "Keras, predict of 64",
    }  # fmt: skip
    assert found.gain["cnn"].median > 1


# --- processes of their own ---


def test_a_part_that_fails_says_why_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(PartError) as found:
        children.ask("networks", {"models": ["nonsense"], "keras": False, "seconds": 0.0},
                     None, tmp_path, 100)  # fmt: skip
    assert "no model 'nonsense'" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_part_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(PartError, match=r"no end within 0\.2 s"):
        children.call(["-c", "import time; time.sleep(60)"], None, tmp_path, 0.2)


SMALL = Case("small", 320, 240, 15, 1.5, window=False)


def paced(case: Case, folder: Path) -> Paced:
    part = "empty" if case.empty else "app"
    return Paced.of(case, children.ask(part, case.job(str(folder)), NOWHERE, folder, 100))


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
    from live_digits.app import App, Options
    from live_digits.bench.paced import _app
    from live_digits.bench.variants import Forgetful
    from live_digits.config import Settings

    def made(savings: bool) -> App:
        case = replace(SMALL, savings=savings)
        return _app(case, Settings(), FakeSource([]), None, Options(live=True))

    without, usual = made(False), made(True)
    assert isinstance(without._follower, Forgetful)
    assert not isinstance(usual._follower, Forgetful)
    assert without._follower._savings == NO_SAVINGS
    assert without._looker._reuse is False
    assert usual._looker._reuse is True


def test_vision_without_savings_is_so_for_a_while() -> None:
    with vision_of(NO_SAVINGS):
        assert pipeline.WORKING_SIDE > 10_000
    assert pipeline.WORKING_SIDE < 10_000


# --- the whole ---

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
    monkeypatch.setattr(starts, "measure", fails)
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
        answer = children.ask("window", job, where, tmp_path, 100)
        assert answer["width"] == 640
        assert min(answer["ms"]) > 0
        case = replace(SMALL, window=True, scene="at rest", savings=False)
        found = Paced.of(case, children.ask("app", case.job(str(tmp_path)), where, tmp_path, 100))
        assert found.shown > 0
        monkeypatch.setenv("DISPLAY", where.display)
        check_display()
    with pytest.raises(DisplayError):
        check_display()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count this way themselves")
def test_a_processs_peak_is_its_own_and_not_that_of_who_started_it(tmp_path: Path) -> None:
    large = np.ones(400_000_000, np.uint8)
    code = "from live_digits.stats import peak_memory_mb; print(peak_memory_mb())"
    done = children.call(["-c", code], None, tmp_path, 100)
    assert 5 < float(done.stdout) < large.nbytes / 1e6 / 2
