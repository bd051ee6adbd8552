"""All parts in a row, what they found, and its tables."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from live_digits.bench import machine, startup
from live_digits.bench.display import Place, place
from live_digits.bench.end_to_end import Case, Paced
from live_digits.bench.machine import Machine
from live_digits.bench.networks import Networks
from live_digits.bench.samples import Spread, as_json, short, spread
from live_digits.bench.scenes import DIGITS
from live_digits.bench.stages import COUNTS, SIZES, Compared, Growth, compare, grow
from live_digits.bench.startup import Starts
from live_digits.bench.subprocesses import PartError, ask
from live_digits.bench.variants import (
    AFTER,
    CLASSIC,
    DEFAULT,
    NOTHING_SAVED,
    VARIANTS,
    VISION,
    Variant,
)
from live_digits.config.settings import HandsSettings
from live_digits.core.errors import ConfigError, LiveDigitsError, MissingExtraError
from live_digits.core.safe_files import probe, replacing
from live_digits.hands.worker import open_hands

_PATIENCE = 120.0
"""Seconds beyond its own that a part may take to start and end."""

_GOALS = (
    Case("720p, 60/s", 1280, 720, 60, 12),
    Case("1080p, 60/s", 1920, 1080, 60, 12),
    Case("1080p, 30/s, recording", 1920, 1080, 30, 12, record=True),
    Case("4K, 30/s", 3840, 2160, 30, 12),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. `stages`: seconds for each size and scene; `paced`: cases; `growth`:
    digits and seconds; `networks`: models and seconds; `starts`: repeats and seconds each."""

    stages: Mapping[str, float]
    variants: tuple[Variant, ...]
    paced: tuple[Case, ...]
    growth: tuple[tuple[int, ...], float]
    networks: tuple[tuple[str, ...], float]
    keras: bool
    starts: tuple[int, float]
    window: float
    """Seconds of the empty window loop, for each size."""

    @property
    def steps(self) -> int:
        return 2 * len(self.stages) + len(self.paced) + len(self.stages) + 3


def _others(case: Case) -> tuple[Case, ...]:
    """What stands beside a goal's run: pages whose frames cost nothing to make, and the floor."""
    return (
        replace(case, scene="moving", seconds=4),
        replace(case, scene="at rest", seconds=4),
        replace(case, scene="moving", seconds=2, record=False, empty=True),
    )


_HANDS = Case("720p, 30/s", 1280, 720, 30, 10)
_AGAIN = replace(_HANDS, name="720p, 30/s, again")
"""Without and with hands in turn."""
_REST = Case("720p, 30/s", 1280, 720, 30, 6, scene="at rest")

FULL = Plan(
    stages={"480p": 2, "720p": 2.5, "1080p": 4, "4K": 7},
    variants=VARIANTS,
    paced=(
        *(c for case in _GOALS for c in (case, *_others(case))),
        _REST, replace(_REST, savings=False), replace(_REST, empty=True),
        _HANDS, replace(_HANDS, hands=True), _AGAIN, replace(_AGAIN, hands=True),
    ),
    growth=(COUNTS, 6),
    networks=(("dense", "cnn"), 14),
    keras=True,
    starts=(3, 2.5),
    window=1.0,
)  # fmt: skip
QUICK = Plan(
    stages={"720p": 0.7, "1080p": 1},
    variants=(CLASSIC, DEFAULT, NOTHING_SAVED),
    paced=(replace(_GOALS[0], seconds=3), replace(_GOALS[2], seconds=3)),
    growth=((10, 160), 1),
    networks=(("dense", "cnn"), 1),
    keras=False,
    starts=(1, 1.5),
    window=0.5,
)


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the benchmark. `window_floor`: ms of showing one undrawn frame, by size. `hands`:
    why no run looked for hands, or nothing."""

    date: str
    quick: bool
    place: str
    compared: tuple[Compared, ...]
    growth: tuple[Growth, ...]
    window_floor: Mapping[str, Spread]
    networks: Networks | None
    paced: tuple[Paced, ...]
    hands: str
    starts: Starts | None
    failures: tuple[str, ...]
    machine: Machine
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "quick": self.quick,
            "machine": as_json(self.machine),
            "window": self.place,
            "digits": DIGITS,
            "stages": as_json(self.compared),
            "growth": as_json(self.growth),
            "window_floor_ms": as_json(self.window_floor),
            "networks": as_json(self.networks),
            "paced": as_json(self.paced),
            "hands": self.hands,
            "starts": as_json(self.starts),
            "failures": list(self.failures),
            "seconds": round(self.seconds, 1),
        }

    @property
    def name(self) -> str:
        """A file's name for it, without its ending."""
        return f"{self.date[:10]}_{self.machine.slug}"


class Files:
    """Where a report goes: NAME.json, and NAME.png where matplotlib is."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError now rather than at the end of a long run."""
        self._folder = folder
        self.notes: list[str] = []
        """What was not written, and why."""
        try:
            probe(folder)
        except OSError as e:
            raise self._refused(e) from e

    def write(self, report: Report) -> list[Path]:
        """The files written. Raises ConfigError where they cannot be."""
        from live_digits.bench.plot import draw

        data, picture = (self._folder / f"{report.name}{end}" for end in (".json", ".png"))
        try:
            text = json.dumps(report.as_json(), indent=1, ensure_ascii=False)
            with replacing(data) as scratch:
                scratch.write_text(text + "\n", encoding="utf-8")
            with replacing(picture) as scratch:
                draw(report, scratch)
        except MissingExtraError as e:
            self.notes.append(str(e))
            return [data]
        except OSError as e:
            raise self._refused(e) from e
        return [data, picture]

    def _refused(self, error: OSError) -> ConfigError:
        return ConfigError(f"--out {self._folder} cannot be written: {error.strerror or error}")


def run(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Measures all of a plan; `progress` is told what is measured next, `plan.steps` times. A part
    that fails is in `failures`, the others are measured all the same."""
    begun = datetime.now()
    load = machine.load_now()
    failures: list[str] = []

    def tried(what: str, part: Callable[[], Any]) -> Any:
        progress(what)
        try:
            return part()
        except PartError as e:
            failures.append(f"{what}: {e}")
            return None

    compared = []
    for size, seconds in plan.stages.items():
        for scene in ("moving", "at rest"):
            progress(f"stages at {size}, page {scene}")
            compared.append(compare(size, scene, _variants(plan, scene), seconds))
    progress("stages by number of digits")
    growth = grow(*plan.growth)
    with place() as where, tempfile.TemporaryDirectory(prefix="live_digits_bench_") as name:
        folder = Path(name)
        floor = {}
        for size in plan.stages:
            what = f"empty window loop at {size}"
            found = tried(what, partial(_floor, size, plan, where, folder))
            if found is not None:
                floor[size] = found
        networks = tried("networks", lambda: _networks(plan, folder))
        paced = []
        no_hands = _no_hands() if any(case.hands for case in plan.paced) else ""
        for case in plan.paced:
            if case.hands and no_hands:
                progress(f"{_named(case)}: left out, {no_hands}")
                continue
            found = tried(_named(case), partial(_paced, case, where, folder))
            if found is not None:
                paced.append(found)
        started = tried("starts", lambda: startup.measure(*plan.starts, where, folder))
    return Report(
        f"{begun:%Y-%m-%d %H:%M}", plan is QUICK, where.note, tuple(compared), growth, floor,
        networks, tuple(paced), no_hands, started, tuple(failures), machine.this_machine(load),
        (datetime.now() - begun).total_seconds(),
    )  # fmt: skip


def _variants(plan: Plan, scene: str) -> tuple[Variant, ...]:
    """On a page at rest vision is spared, so what spares work within vision shows nothing there."""
    if scene == "moving":
        return plan.variants
    return tuple(v for v in plan.variants if (v.savings.working and v.savings.grey_first)
                 or v in (CLASSIC, NOTHING_SAVED))  # fmt: skip


def _floor(size: str, plan: Plan, where: Place, folder: Path) -> Spread | None:
    if not where.windows:
        return None
    width, height = SIZES[size]
    job = {"width": width, "height": height, "seconds": plan.window}
    return spread(ask("window", job, where, folder, plan.window + _PATIENCE)["ms"])


def _networks(plan: Plan, folder: Path) -> Networks:
    models, seconds = plan.networks
    job = {"models": models, "keras": plan.keras, "seconds": seconds}
    return Networks.of(ask("networks", job, None, folder, seconds + _PATIENCE))


def _paced(case: Case, where: Place, folder: Path) -> Paced | None:
    case = replace(case, window=where.windows)
    if case.empty and not where.windows:
        return None
    part = "empty" if case.empty else "app"
    recordings = folder / "recordings"
    answer = ask(part, case.job(str(recordings)), where, folder, case.seconds + _PATIENCE)
    return Paced.of(case, answer)


def _no_hands() -> str:
    """Why hands cannot be looked for here, or nothing."""
    try:
        open_hands(HandsSettings(mode="on"))
    except LiveDigitsError as e:
        return str(e)
    return ""


def _named(case: Case) -> str:
    return ", ".join(part for part in (case.name, f"page {case.scene}", case.kind) if part)


Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, columns, rows."""


def tables(report: Report) -> list[Table]:
    """The report for people: figures as median (least … most)."""
    found = [t for c in report.compared for t in _stages(c, report.window_floor)]
    found += [_growth(report.growth)]
    if report.networks:
        found.append(_speeds(report.networks))
    if report.paced:
        found.append(_paced_table(report))
    if report.starts:
        found.append(_starts(report.starts))
    return found


def _stages(c: Compared, floor: Mapping[str, Spread]) -> list[Table]:
    there = {stage for cost in c.costs for stage in cost.stages}
    stages = [s for s in (*VISION, *AFTER) if s in there]
    title = f"{c.size} ({c.width}×{c.height}), page {c.scene}, {DIGITS} digits, ms a frame"
    window = f", empty window loop {floor[c.size]}" if c.size in floor else ""
    rows = [
        (cost.name, str(cost.vision), str(c.cheaper[cost.name]), str(cost.whole),
         str(c.cheaper_whole[cost.name]), f"{cost.crops:.1f}", str(cost.boxes))
        for cost in c.costs
    ]  # fmt: skip
    names = ("variant", "vision", "classic by it", "to the picture", "classic by it",
             "crops read", "boxes")  # fmt: skip
    each = [
        (stage, *(short(k.stages[stage].median) if stage in k.stages else "–" for k in c.costs))
        for stage in stages
    ]
    return [
        (f"{title}; floor: plain copy {c.floor}{window}", names, rows),
        (f"{title}: the stages' medians", ("stage", *(_brief(k.name) for k in c.costs)), each),
    ]


def _brief(name: str) -> str:
    return {
        "at the frame's own resolution": "own resolution",
        "colours reduced before grey": "colours first",
        "every frame looked at": "every look",
        "every box cropped and read": "every crop",
        "every reading made anew": "every reading",
        "drawn at the frame's size": "drawn large",
        "every saving off": "all off",
    }.get(name, name)


def _growth(growth: Sequence[Growth]) -> Table:
    rows = [
        (str(g.digits), str(g.costs.boxes), str(g.costs.vision), str(g.costs.whole),
         f"{g.costs.crops:.1f}",
         *(short(g.costs.stages[s].median) for s in ("proposals", "crops", *AFTER)))
        for g in growth
    ]  # fmt: skip
    names = ("digits", "boxes", "vision", "to the picture", "crops read", "proposals", "crops")
    return "1080p, page moving, the default by number of digits, ms a frame", (*names, *AFTER), rows


def _speeds(n: Networks) -> Table:
    rows = [(s.model, s.runtime, str(s.batch), str(s.ms), f"{s.per_second:.0f}") for s in n.speeds]
    gains = "; ".join(f"{m}: {g}" for m, g in n.gain.items())
    gain = f"; Keras predict once per crop by a LiteRT batch of 64: {gains}" if gains else ""
    title = f"networks, floor: copy to float32 {n.floor} ms a crop{gain}"
    return title, ("model", "runtime", "crops a call", "ms a crop", "crops/s"), rows


def _paced_table(report: Report) -> Table:
    rows = []
    for p in report.paced:
        latency = [f"{p.latency_ms[k]:.1f}" if k in p.latency_ms else "–" for k in _LATENCIES]
        recorder = "–" if p.recorder_dropped is None else str(p.recorder_dropped)
        looks = "" if p.hands_looks is None else f", {p.hands_looks} looks"
        rows.append((
            p.case.name, p.case.scene, p.case.kind + looks,
            str(p.captured), str(p.shown), str(p.dropped), str(p.late), recorder, *latency,
            short(p.cpu_ms), short(p.source_cpu_ms),
            f"{p.cores:.2f}", f"{p.rss_mb:.0f}", f"{p.rss_mb_before:.0f}", str(p.looks),
            str(p.digits),
        ))  # fmt: skip
    names = ("paced run", "page", "", "captured", "shown", "dropped", "after 1 s", "recorder",
             *_LATENCIES, "cpu ms", "of it source", "cores", "MB", "before", "looks",
             "digits")  # fmt: skip
    without = f"; no hands: {report.hands}" if report.hands else ""
    title = f"the whole program, {report.place}; latency and CPU in ms a frame{without}"
    return title, names, rows


_LATENCIES = ("p50", "p95", "p99")


def _starts(s: Starts) -> Table:
    rows = [
        (name, str(took), str(s.beyond_cv2[name]) if name in s.beyond_cv2 else "–")
        for name, took in s.seconds.items()
    ]
    return "from the process's start, s", ("until", "seconds", "beyond import cv2"), rows
