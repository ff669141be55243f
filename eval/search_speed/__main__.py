"""Measures, prints a table and, where they are wanted, writes a report and one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import eval.search_speed as package
from eval.result import BenchmarkError
from eval.search_speed.figures import Figures
from eval.search_speed.measure import measure
from eval.search_speed.page import write_page


def main() -> None:
    """Exit 2 with one sentence for whatever makes it impossible."""
    # As `fenzhen` does; the processes that are measured inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    parser = argparse.ArgumentParser(
        prog="python -m eval.search_speed",
        description=package.__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FENZHEN_DATA", "../shared/data")),
        help="the folder of the public sets; FENZHEN_DATA by default",
    )  # fmt: skip
    parser.add_argument("--chunks", type=int, default=100_000, help="of documents")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=2, help="that all may use together")
    parser.add_argument("--report", type=Path, help="Markdown; PNG and JSON go beside it")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="fenzhen-search-") as folder:
            figures = measure(given.data, given.chunks, given.queries, given.cores, Path(folder))
    except BenchmarkError as error:
        parser.error(str(error))
    Console(stderr=given.json).print(_table(figures))
    if given.report is not None:
        try:
            write_page(figures, given.report)
        except OSError as error:
            parser.error(f"cannot write the report {given.report}: {error.strerror}")
    if given.json:
        sys.stdout.write(json.dumps(figures.as_json()) + "\n")


def _table(figures: Figures) -> Table:
    table = Table("", "p50 ms", "p90 ms", "p99 ms", "p50 / ours", title="search")
    for row, found in figures.latencies.items():
        times = (f"{ms:.2f}" for ms in (found.p50, found.p90, found.p99))
        table.add_row(row, *times, f"{figures.ratio(row):.3g}")
    for target in figures.targets:
        met = "met" if target.met else "missed"
        table.add_row(target.name, f"{target.value:.1f} {target.unit}", "", "", met)
    return table


if __name__ == "__main__":
    main()
