"""The report: a page of Markdown, a picture and the raw figures as JSON, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eval.plots import PlottingUnavailable, figure
from eval.report import bullets, table
from eval.search_speed.figures import FULL_SIZE, Figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STAGES = {
    "read_corpus": "reading and chunking",
    "Corpus.entries": "entries of the chunks",
    "HostedEmbedder.embed": "embedding",
    "LexicalIndex.build": "lexical, passages",
    "Wholes.build": "lexical, whole documents",
    "DenseIndex.build": "dense",
    "FilterTable.build": "filters",
    "Topics.build": "findings of cards",
    "version_of": "hash of the content",
    "KnowledgeIndex.save": "writing the index",
    "_write_entries": "writing the passages",
}
"""Names for readers; a stage without one keeps that of its function."""
_SLIGHT = 0.005
"""Share of the time below which a stage is not listed."""


def write_page(figures: Figures, path: Path) -> None:
    """PATH, and PNG and JSON of the same name; raises OSError where the folder refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = figures.as_json() | {
        "milliseconds": {k: dict(v) for k, v in figures.milliseconds.items()}
    }
    path.with_suffix(".json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    picture = path.with_suffix(".png")
    try:
        with figure(picture, columns=3, width=15) as (axes, _):
            _latencies(axes[0], figures)
            _bars(axes[1], _shares(figures.stages), "Share of a query's time, %")
            _bars(axes[2], _shares(figures.built.stages), "Share of the building time, %")
        plot = f"![Latency, and where the time goes]({picture.name})"
    except PlottingUnavailable:
        plot = "No plot: matplotlib is not installed."
    path.write_text(markdown(figures, plot), encoding="utf-8")


def markdown(figures: Figures, plot: str) -> str:
    """The page's text; `plot` is the line where the picture goes."""
    parts = [
        "# How fast search is",
        bullets(list(_about(figures))),
        "## Targets",
        f"For {FULL_SIZE:,} chunks on 2 cores, one caller.",
        table(("", "at most", "measured", ""), _targets(figures)),
        "## Latency",
        table(("ms", "queries", "p50", "p90", "p99", "max", "processor, p50", "found", "a second",
               "p50 / ours"), _latency(figures)),
        "Where the processor's time is far less than the p50, the machine was busy with something "
        "else. The last column: the row's median over ours with one caller, on the same queries. "
        "Ours is lexical and dense search over three fields and whole documents, and reads the "
        "passages that it found; the peers give the numbers of passages by BM25 alone.",
        plot,
        "## Memory",
        table(("MB", "index built in, s", "peak then", "opened in, s", "before", "resident",
               "proportional", "private", "anonymous"), _memory(figures)),
        "Resident (RSS) counts mapped index files, which the system may drop and read again; "
        "anonymous is what it cannot drop. Proportional (PSS) counts what several processes share "
        "in part. All but `before` after the last query.",
        "## Where a query's time goes",
        table(("stage", "%"), _percent(_shares(figures.stages))),
        "## Where the building time goes",
        table(("stage", "s"), _seconds(figures)),
        f"Resident before the index was begun {figures.built.read_mb:,.0f} MB, at the most "
        f"{figures.built.peak_mb:,.0f} MB; {figures.built.disk_mb:,.0f} MB on disk.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _about(figures: Figures) -> Iterator[str]:
    built = figures.built
    yield (
        f"{built.chunks:,} chunks of diseases' prose, MedQuAD's answers and consults, each text "
        f"once, with the shipped cards: {built.documents:,} documents, {built.passages:,} "
        f"passages, {built.vectors:,} vectors ({built.embedder})."
    )
    if built.halved:
        yield f"The documents gave too few chunks: the {built.halved:,} longest were cut in two."
    yield (
        "Queries: half Chinese (a disease and three of its symptoms), half English (questions of "
        "MedQuAD), each asked once."
    )
    yield (
        f"{figures.cores} cores ({figures.machine}). Every system in a fresh process; blocks of "
        "queries go round the systems, and who begins changes from block to block."
    )
    if figures.absent:
        yield f"Not installed and so not measured: {'; '.join(figures.absent)}."


def _targets(figures: Figures) -> Iterator[tuple[str, ...]]:
    for target in figures.targets:
        yield (
            target.name, f"{target.most:g} {target.unit}", f"{target.value:.1f} {target.unit}",
            "met" if target.met else "missed",
        )  # fmt: skip


def _latency(figures: Figures) -> Iterator[tuple[str, ...]]:
    for row, found in figures.latencies.items():
        yield (
            row, f"{found.queries:,}", f"{found.p50:.2f}", f"{found.p90:.2f}", f"{found.p99:.2f}",
            f"{found.max:.2f}", f"{found.cpu_p50:.2f}", f"{found.found:.0%}",
            f"{figures.per_second[row]:,.0f}", f"{figures.ratio(row):.3g}",
        )  # fmt: skip


def _memory(figures: Figures) -> Iterator[tuple[str, ...]]:
    for name, system in figures.systems.items():
        sizes = (
            system.opened.before.resident, system.after.resident, system.after.proportional,
            system.after.private, system.after.anonymous,
        )  # fmt: skip
        yield (
            name,
            "-" if system.built_s is None else f"{system.built_s:,.0f}",
            "-" if system.built_mb is None else f"{system.built_mb:,.0f}",
            f"{system.opened.seconds:,.1f}",
            *(f"{size:,.0f}" for size in sizes),
        )


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Percent by stage, without slight ones."""
    total = sum(seconds.values())
    return {
        _STAGES.get(stage, stage): 100 * took / total
        for stage, took in seconds.items()
        if took >= _SLIGHT * total
    }


def _percent(shares: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    return ((stage, f"{share:.1f}") for stage, share in shares.items())


def _seconds(figures: Figures) -> Iterator[tuple[str, str]]:
    for stage, took in figures.built.stages.items():
        yield _STAGES.get(stage, stage), f"{took:.1f}"
    yield "all", f"{figures.built.seconds:.1f}"


def _latencies(axes: Axes, figures: Figures) -> None:
    """p50, p90 and p99 of each row on a logarithmic axis, and our targets as lines."""
    for place, found in enumerate(figures.latencies.values()):
        colour = "tab:blue" if place < 2 else "0.4"
        axes.plot([found.p50, found.p99], [place, place], color=colour, linewidth=2)
        for value, marker in ((found.p50, "o"), (found.p90, "|"), (found.p99, "s")):
            axes.plot(value, place, marker, color=colour)
    for target in figures.targets[:2]:
        axes.axvline(target.most, color="tab:red", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(figures.latencies)), list(figures.latencies))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.grid(axis="x", alpha=0.3)
    axes.set_title("Milliseconds: p50 (dot), p90, p99 (square); dotted: targets", fontsize=10)


def _bars(axes: Axes, shares: Mapping[str, float], title: str) -> None:
    axes.barh(list(shares), list(shares.values()), color="tab:blue")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title, fontsize=10)
