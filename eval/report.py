"""A benchmark's Markdown report, under the headings of model cards and TRIPOD+AI.

One file, with a PNG of the same name beside it where matplotlib is installed. Rows appear by id
or line number only, never with their text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.plots import PlottingUnavailable, draw
from eval.result import BenchmarkResult, Confusion, bounds, shown

_WIDEST_CONFUSION = 30


def write_report(result: BenchmarkResult, path: Path) -> None:
    """Write the report and its plot; raises OSError where the folder refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".png")
    try:
        draw(result, picture)
        plot = f"![Metrics with 95 % intervals]({picture.name})"
    except PlottingUnavailable:
        plot = "No plot: matplotlib is not installed."
    path.write_text(markdown(result, plot), encoding="utf-8")


def markdown(result: BenchmarkResult, plot: str) -> str:
    """The report's text; `plot` is the line where the picture goes."""
    scored, details = result.scored, result.scored.details
    parts = [
        f"# Benchmark `{result.benchmark}`",
        "## Data",
        f"`{Path(result.file).name}`, n = {scored.n}. " + " ".join(details.data),
        bullets(details.warnings),
        "## Models",
        table(("component", "version"), ((k, str(v)) for k, v in scored.models.items())),
        "## Method",
        bullets(details.method),
        f"Intervals are 95 %. Took {result.seconds:.1f} s.",
        "## Metrics",
        table(
            ("metric", "value", "95 % interval"),
            ((name, shown(e.value), bounds(e)) for name, e in scored.estimates.items()),
        ),
        plot,
        _stress(result),
        _classes(result),
        _confusion(details.confusion),
        f"## {details.misses_title}",
        table(
            ("row", "truth", "answer", "why"),
            ((m.row, m.truth, m.answer, m.why) for m in details.misses),
        )
        if details.misses
        else "None.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _stress(result: BenchmarkResult) -> str:
    stress = result.scored.stress
    if not stress:
        return ""
    names = list(result.scored.estimates)
    rows = [("as it is", *(shown(result.metrics[name]) for name in names))]
    rows += [
        (transform, *(shown(estimates[name].value) for name in names))
        for transform, estimates in stress.items()
    ]
    return "## Under acquisition stress\n\n" + table(("transform", *names), rows)


def _classes(result: BenchmarkResult) -> str:
    scores = result.scored.details.classes
    if not scores:
        return ""
    return "## By class\n\n" + table(
        ("class", "n", "precision", "recall", "F1"),
        ((s.label, str(s.n), shown(s.precision), shown(s.recall), shown(s.f1)) for s in scores),
    )


def _confusion(confusion: Confusion | None) -> str:
    if confusion is None or len(confusion.truths) > _WIDEST_CONFUSION:
        return ""
    return "## Confusion matrix\n\nRows are the truth, columns the answer.\n\n" + table(
        ("", *confusion.answers),
        (
            (truth, *map(str, counts))
            for truth, counts in zip(confusion.truths, confusion.counts, strict=True)
        ),
    )


def bullets(lines: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; no cell can break it."""
    lines = ["| " + " | ".join(_cell(c) for c in header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that cannot break the table."""
    return text.replace("|", "\\|").replace("\n", " ")
