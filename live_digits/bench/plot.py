"""The report as a picture; matplotlib (extra `train`) draws it without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from live_digits.bench.report import Report
from live_digits.bench.stages import Compared
from live_digits.bench.variants import AFTER, CLASSIC, DEFAULT, NOTHING_SAVED, VISION
from live_digits.core.errors import MissingExtraError

_SHOWN = (CLASSIC.name, NOTHING_SAVED.name, DEFAULT.name)
_INK, _SOFT = "#22262c", "#8a8f98"
_DROPS = "#c8434c"
_LATENCY = ("#9db8dd", "#4f7fc4", "#1b4a94")


def draw(report: Report, path: Path) -> None:
    """Stages as stacked bars by profile and resolution, and the paced runs' latency and drops.
    Raises MissingExtraError without matplotlib, OSError where the file cannot be written."""
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as e:
        raise MissingExtraError("drawing the plot", "train") from e
    figure = Figure(figsize=(14, 14), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, 1, height_ratios=(1, 1, 1.3))
    colours = _colours(colormaps)
    for row, scene in enumerate(("moving", "at rest")):
        compared = [c for c in report.compared if c.scene == scene]
        cells = grid[row].subgridspec(1, max(1, len(compared)))
        for column, c in enumerate(compared):
            axes = figure.add_subplot(cells[column])
            _stacks(axes, c, colours)
            axes.set_title(f"{c.size}, page {scene}", color=_INK, loc="left", fontsize=10)
            if not column:
                axes.set_ylabel("ms a frame", color=_INK)
    there = {s for c in report.compared for k in c.costs for s in k.stages}
    figure.legend(
        handles=[Patch(color=c, label=s) for s, c in colours.items() if s in there],
        title="above each bar: how many times cheaper than classic vision (the colours) is; a line:"
        " a plain copy of the frame",
        title_fontsize=9, loc="outside upper center", ncols=9, frameon=False, fontsize=9,
    )  # fmt: skip
    cells = grid[2].subgridspec(1, 2)
    _paced(figure.add_subplot(cells[0]), figure.add_subplot(cells[1]), report)
    figure.supxlabel(
        f"{report.machine.cpu}, {report.machine.cores} cores, {report.date}",
        fontsize=9, color=_SOFT, parse_math=False,
    )  # fmt: skip
    figure.savefig(path, dpi=100)


def _colours(maps: Any) -> dict[str, Any]:
    vision, after = maps["viridis"], maps["Greys"]
    found = {s: vision(0.05 + 0.9 * i / len(VISION)) for i, s in enumerate(VISION)}
    return found | {s: after(0.3 + 0.12 * i) for i, s in enumerate(AFTER)}


def _stacks(axes: Any, compared: Compared, colours: Any) -> None:
    """A bar a variant, a segment a stage, the ratio to classic above."""
    shown = [k for k in compared.costs if k.name in _SHOWN]
    shown.sort(key=lambda k: _SHOWN.index(k.name))
    for x, cost in enumerate(shown):
        top = 0.0
        for stage in (*VISION, *AFTER):
            if stage in cost.stages:
                ms = cost.stages[stage].median
                axes.bar(x, ms, bottom=top, color=colours[stage], width=0.8)
                top += ms
        times = compared.cheaper[cost.name].median
        axes.text(x, top, f"{times:.3g}×", ha="center", va="bottom", fontsize=9, color=_INK)
    axes.axhline(compared.floor.median, color=_INK, linewidth=0.8)
    axes.set_xticks(range(len(shown)), [k.name.replace(" ", "\n", 1) for k in shown], fontsize=8)
    axes.set_axisbelow(True)
    axes.margins(y=0.1)
    axes.grid(axis="y", color="#e4e6ea")
    axes.spines[["top", "right"]].set_visible(False)


def _paced(latency: Any, drops: Any, report: Report) -> None:
    runs = [p for p in report.paced if p.captured]
    names = [
        f"{p.case.name}, {p.case.scene}" + (f" ({p.case.kind})" if p.case.kind else "")
        for p in runs
    ]
    rows = range(len(runs))
    for share, colour in zip(("p99", "p95", "p50"), reversed(_LATENCY), strict=True):
        values = [p.latency_ms.get(share, 0.0) for p in runs]
        latency.barh(rows, values, color=colour, label=share, height=0.7)
    for row, p in zip(rows, runs, strict=True):
        latency.plot([1000 / p.case.fps] * 2, [row - 0.45, row + 0.45], color=_INK, linewidth=1.2)
    latency.set_title("latency, capture to shown, ms (line: one frame)", color=_INK, loc="left")
    latency.legend(frameon=False, fontsize=8, loc="lower right")
    drops.barh(rows, [100 * p.late / p.captured for p in runs], color=_DROPS, height=0.7)
    for row, p in zip(rows, runs, strict=True):
        lost = f"{p.late} of {p.captured}"
        if p.recorder_dropped is not None:
            lost += f"; recorder {p.recorder_dropped}"
        drops.text(100 * p.late / p.captured, row, f" {lost}", va="center", fontsize=7, color=_INK)
    drops.set_title("frames dropped after the first second, %", color=_INK, loc="left")
    drops.set_xlim(0, max([1.0, *(130 * p.late / p.captured for p in runs)]))
    for axes in (latency, drops):
        axes.set_yticks(list(rows), names, fontsize=7)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
