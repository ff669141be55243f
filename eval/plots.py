"""The picture of a report: metrics with their intervals, and the confusion matrix beside them.

matplotlib is imported when a picture is drawn: evaluation works without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.result import BenchmarkResult, Confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHINESE = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei")
_WIDEST = 20


class PlottingUnavailable(Exception):
    """matplotlib is not installed."""


def draw(result: BenchmarkResult, path: Path) -> None:
    """Write the PNG; raises PlottingUnavailable without matplotlib."""
    confusion = result.scored.details.confusion
    if confusion is not None and len(confusion.truths) > _WIDEST:
        confusion = None
    with figure(path, columns=2 if confusion else 1, width=11 if confusion else 6) as (axes, named):
        _metrics(axes[0], result)
        if confusion is not None:
            _confusion(axes[1], confusion, named=named)


@contextmanager
def figure(path: Path, *, columns: int, width: float) -> Iterator[tuple[Sequence[Axes], bool]]:
    """Axes side by side, written as a PNG at the end, and whether a font has Chinese.

    width: inches. Raises PlottingUnavailable without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ImportError as error:
        raise PlottingUnavailable from error
    present = {font.name for font in fontManager.ttflist}
    fonts = [name for name in _CHINESE if name in present]
    with rc_context({"font.family": [*fonts[:1], "DejaVu Sans"]}):
        drawn = Figure(figsize=(width, 4.5), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn.subplots(1, columns, squeeze=False)[0], bool(fonts)
        drawn.savefig(path, dpi=120, metadata={"Software": None})


def _metrics(axes: Axes, result: BenchmarkResult) -> None:
    """A dot per metric with its interval; small crosses are the values under stress."""
    names = [n for n, e in result.scored.estimates.items() if not np.isnan(e.value)]
    for place, name in enumerate(names):
        estimate = result.scored.estimates[name]
        axes.plot([estimate.low, estimate.high], [place, place], color="0.5", linewidth=2)
        for stressed in result.scored.stress.values():
            axes.plot(stressed[name].value, place, "x", color="tab:red", markersize=4)
        axes.plot(estimate.value, place, "o", color="tab:blue")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(f"{result.benchmark}, n = {result.scored.n}, 95 % intervals", fontsize=10)


def _confusion(axes: Axes, confusion: Confusion, *, named: bool) -> None:
    """Shares of each true class, counts written in; numbers for labels where no font has them."""
    counts = np.array(confusion.counts, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(
                column, row, str(int(count)), ha="center", va="center", color=colour, fontsize=7
            )
    for labels, ticks, rotation in (
        (confusion.answers, axes.set_xticks, 60),
        (confusion.truths, axes.set_yticks, 0),
    ):
        plain = named or all(label.isascii() for label in labels)
        shown = labels if plain else [str(i) for i in range(1, len(labels) + 1)]
        ticks(range(len(labels)), shown, fontsize=7, rotation=rotation)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
