"""Pictures of training and evaluation; matplotlib (extra `train`) draws them without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from live_digits.core.errors import MissingExtraError
from live_digits.core.types import CLASSES, Floats, Image

BINS = 15
"""Bins of confidence of the reliability diagram and of the calibration error."""
_GREY, _BLUE = "#8a8f98", "#1f6feb"


def _figure(width: float, height: float) -> Any:
    """An empty figure, inches. Raises MissingExtraError."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as e:
        raise MissingExtraError("drawing plots", "train") from e
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_confusion(confusion: Any, title: str, path: Path) -> None:
    """The confusion matrix as a picture: shares of each true digit as shade, counts as text; the
    diagonal and the mistakes have shades of their own, so that rare mistakes show."""
    counts = np.asarray(confusion)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share = counts / total
    wrong = share.copy()
    np.fill_diagonal(wrong[:, : CLASSES - 1], 0)
    shade = np.ones((*counts.shape, 3))
    worst = max(float(wrong.max()), 1e-9)
    shade -= (wrong / worst)[..., None] ** 0.6 * np.array([0.14, 0.66, 0.72])
    for d in range(CLASSES - 1):
        shade[d, d] = 1 - share[d, d] * np.array([0.72, 0.46, 0.22])
    figure = _figure(8.4, 7.6)
    axes = figure.add_subplot()
    axes.imshow(np.clip(shade, 0, 1))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if row == column else "#222222"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=10)
    right = int(np.trace(counts[:, : CLASSES - 1]))
    axes.set_title(
        f"{title}: {right} of {int(counts.sum())} right", loc="left", fontsize=13, pad=12,
        parse_math=False,
    )  # fmt: skip
    axes.set(xlabel="read as", ylabel="true digit")
    axes.set_xticks(range(CLASSES), [*map(str, range(10)), "none"])
    axes.set_yticks(range(CLASSES - 1))
    axes.set_xticks(np.arange(CLASSES) - 0.5, minor=True)
    axes.set_yticks(np.arange(CLASSES - 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=120)


def draw_curve(curve: Sequence[Mapping[str, float]], path: Path) -> None:
    """Loss and accuracy over the epochs."""
    figure = _figure(9, 3.6)
    epochs = range(1, len(curve) + 1)
    for axes, key, title in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Error"), strict=True
    ):
        for prefix, label, colour in (
            ("", "training, changed crops", _GREY),
            ("val_", "held out", _BLUE),
        ):
            values = [
                row[prefix + key] if key == "loss" else 1 - row[prefix + key] for row in curve
            ]
            axes.plot(epochs, values, label=label, color=colour, marker="o", markersize=3)
        axes.set(title=title, xlabel="epoch", yscale="log")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def bins_of(probabilities: Floats, labels: Image) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of each bin of confidence that is not empty."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    where = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (float(confidence[where == b].mean()), float(right[where == b].mean()),
         int(np.count_nonzero(where == b)))
        for b in range(BINS)
        if (where == b).any()
    ]  # fmt: skip


def draw_reliability(probabilities: Floats, labels: Image, title: str, path: Path) -> None:
    """How often answers of each confidence are right, and how many there are of each (C. Guo et
    al., "On calibration of modern neural networks", 2017)."""
    bins = bins_of(probabilities, labels)
    figure = _figure(5.2, 5.8)
    axes, counts = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="calibrated")
    axes.plot(*zip(*((c, a) for c, a, _ in bins), strict=True), color=_BLUE, marker="o",
              markersize=4, label="held-out crops")  # fmt: skip
    axes.set(title=title, ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False)
    counts.bar([c for c, _, _ in bins], [n for _, _, n in bins], width=0.8 / BINS, color=_GREY)
    counts.set(xlabel="confidence", ylabel="crops", yscale="log")
    for a in (axes, counts):
        a.grid(alpha=0.25)
        a.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
