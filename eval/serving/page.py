"""The report of a comparison: a table for each workload, medians over rounds, and a picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from eval.plots import PlottingUnavailable, figure
from eval.report import bullets, table
from eval.serving.ours import NAME as OURS
from eval.serving.workloads import Workload

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, Any]
Points = Mapping[tuple[str, int], Sequence[Row]]
"""The rows of one workload by contestant and callers, one for each round."""


def write_page(rows: Sequence[Row], what: Sequence[Workload], path: Path) -> None:
    """PATH, with a PNG of the same name; raises OSError where the folder refuses."""
    picture = path.with_suffix(".png")
    plot = f"![Requests a second by callers]({picture.name})"
    try:
        with figure(picture, columns=len(what), width=5 * len(what)) as (axes, _):
            for place, workload in zip(axes, what, strict=True):
                _draw(place, workload, points(rows, workload.name))
    except PlottingUnavailable:
        plot = "No picture: matplotlib is not installed."
    path.write_text(markdown(rows, what, plot), encoding="utf-8")


def markdown(rows: Sequence[Row], what: Sequence[Workload], plot: str) -> str:
    """The page's text; `plot` is the line where the picture goes."""
    parts = ["# Model servers beside each other", bullets(list(_about(rows)))]
    for workload in what:
        parts.append(f"## {workload.title}")
        parts.append(
            table(
                ("server", "callers", "req/s", "rounds", "of ours", "of the ceiling", "p50 ms",
                 "p99 ms", "not 2xx", "machine idle", "client", "memory MB"),
                _lines(points(rows, workload.name), workload.ceiling),
            )
        )  # fmt: skip
    parts += [
        "Medians over the rounds; `rounds`: the least and the most. `of ours`: the row's "
        "requests a second over ours at as many callers. `client`: the share of one core that the "
        "load generator took from the server.",
        plot,
    ]
    return "\n\n".join(parts) + "\n"


def points(rows: Sequence[Row], workload: str) -> Points:
    """The measured points of a workload."""
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if row.get("workload") == workload and "throughput" in row:
            found[row["contestant"], row["callers"]].append(row)
    return found


def _about(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if "machine" in row:
            yield ", ".join(f"{key} {value}" for key, value in row["machine"].items())
            yield ", ".join(f"{key} {value}" for key, value in row["plan"].items())
        elif "version" in row:
            yield f"{row['contestant']}: {row['version']}"
        elif "error" in row:
            where = f", {row['workload']}, round {row['round']}" if "round" in row else ""
            yield f"**{row['contestant']}{where}: not measured.** {row['error']}"


def _lines(found: Points, ceiling: float | None) -> Iterator[tuple[str, ...]]:
    for (name, callers), rounds in sorted(found.items(), key=lambda item: item[0][1]):
        rates = [row["throughput"] for row in rounds]
        rate = median(rates)
        own = [row["throughput"] for row in found.get((OURS, callers), ())]
        asked = sum(row["requests"] for row in rounds)
        good = sum(row["latency_ms"]["count"] for row in rounds if row["latency_ms"])
        yield (
            name,
            str(callers),
            f"{rate:,.1f}",
            f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{rate / median(own):.2f}" if own and median(own) else "-",
            f"{rate / ceiling:.1%}" if ceiling else "-",
            _middle(rounds, "p50"),
            _middle(rounds, "p99"),
            f"{1 - good / asked:.1%}" if asked else "-",
            f"{median(row['idle'] for row in rounds):.0%}",
            f"{median(row['client_cpu'] for row in rounds):.0%}",
            f"{median(row['memory_mb'] for row in rounds):,.0f}",
        )


def _middle(rounds: Sequence[Row], quantile: str) -> str:
    found = [row["latency_ms"][quantile] for row in rounds if row["latency_ms"]]
    return f"{median(found):,.2f}" if found else "-"


def _draw(axes: Axes, workload: Workload, found: Points) -> None:
    """Requests a second over callers, ours thick."""
    for name in dict.fromkeys(name for name, _ in found):
        line = {
            callers: median(row["throughput"] for row in rounds)
            for (server, callers), rounds in found.items()
            if server == name
        }
        callers = sorted(line)
        width = 3 if name == OURS else 1.2
        axes.plot(callers, [line[c] for c in callers], "o-", label=name, linewidth=width)
    if workload.ceiling:
        axes.axhline(workload.ceiling, color="tab:red", linestyle=":", label="ceiling")
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_title(f"{workload.name}: requests a second by callers", fontsize=10)
    axes.grid(alpha=0.3)
    if found:
        axes.legend(fontsize=8)
