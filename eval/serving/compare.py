"""Ours and its peers on the same machine in one run, by turns. `make bench` runs it.

    python -m eval.serving.compare [--quick] [--only NAME]... [--workload NAME]... [--rounds 3]

One server lives at a time. A round asks every server every workload; who begins changes from
round to round, so that what the machine does meanwhile falls on all. A server that does not
start is reported and the run goes on. Writes raw.jsonl, report.md and report.png below --out.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from eval.progress import track
from eval.result import BenchmarkError
from eval.serving import loops, machine, ours
from eval.serving.contestants import PEERS, Contestant, Served, contestants
from eval.serving.load import allow_many_connections
from eval.serving.page import write_page
from eval.serving.requests import traffic
from eval.serving.workloads import NAMES, Workload, workloads
from models.errors import ModelError
from models.repository import SHIPPED, ModelRepository

CALLERS = (1, 16, 64)
_START_CALLERS = 16
"""Before the first point: enough that a framework which learns batches sizes has learnt them."""

Write = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Plan:
    """seconds, warm_s: of each point. threads: inside one network."""

    rounds: int
    seconds: float
    warm_s: float
    callers: Sequence[int]
    threads: int


def compare(
    who: Sequence[Contestant],
    what: Sequence[Workload],
    plan: Plan,
    folder: Path,
    write: Write,
) -> None:
    """Measure, and give each point to `write` as soon as it is there.

    A point has round, workload, contestant and callers, and the figures of `Run.as_json` with
    `idle` and `stolen` of the machine; one that could not be had has `error` instead.
    """
    ready = list(_prepared(who, write))
    turns = [
        (number, workload, one)
        for number in range(plan.rounds)
        for workload in what
        for one in _from(ready, number)
    ]
    for number, workload, one in track(turns, len(turns), "servers"):
        named = {"round": number + 1, "workload": workload.name, "contestant": one.name}
        place = folder / one.name / f"{workload.name}-{number + 1}"
        try:
            with one.serve(workload, plan.threads, place) as served:
                for point in _points(served, workload, plan):
                    write(named | point)
        except BenchmarkError as error:
            write(named | {"error": str(error)})


def _prepared(who: Sequence[Contestant], write: Write) -> Iterator[Contestant]:
    for one in track(who, len(who), "environments"):
        try:
            write({"contestant": one.name, "version": one.prepare()})
        except BenchmarkError as error:
            write({"contestant": one.name, "error": str(error)})
        else:
            yield one


def _from(who: Sequence[Contestant], number: int) -> list[Contestant]:
    first = number % len(who)
    return [*who[first:], *who[:first]]


def _points(served: Served, workload: Workload, plan: Plan) -> Iterator[dict[str, Any]]:
    asked = traffic(served.url, workload.bodies, headers=served.headers)
    uvloop.run(loops.closed(asked, callers=_START_CALLERS, seconds=2 * plan.warm_s))
    for callers in plan.callers:
        before = machine.Ticks.now()
        found = uvloop.run(
            loops.closed(asked, callers=callers, seconds=plan.seconds, warm_s=plan.warm_s)
        )
        spent = machine.Idle.between(before, machine.Ticks.now())
        yield {
            "callers": callers,
            "started_in_s": round(served.running.started_in_s, 2),
            "memory_mb": round(served.running.memory_mb(), 1),
            "idle": spent.idle,
            "stolen": spent.stolen,
            **found.as_json(),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit 2 with one sentence for what makes it impossible, 1 where nobody could be measured."""
    given = _arguments(arguments)
    try:
        what = workloads(
            given.workload or NAMES, ModelRepository(SHIPPED, allow_noncommercial=True)
        )
        cores = _only_cores(given.cores)
    except (ModelError, BenchmarkError) as error:
        sys.exit(f"compare: {error}")
    plan = Plan(
        1 if given.quick else given.rounds,
        1.0 if given.quick else given.seconds,
        0.5 if given.quick else 1.0,
        CALLERS,
        given.threads or cores,
    )
    folder = given.out / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    allow_many_connections()
    who = contestants((given.fenzhen,), given.out / "venvs", given.only)
    rows: list[dict[str, Any]] = []
    console = Console(stderr=True)
    with (folder / "raw.jsonl").open("w", encoding="utf-8") as raw:

        def write(row: dict[str, Any]) -> None:
            rows.append(row)
            raw.write(json.dumps(row, ensure_ascii=False) + "\n")
            raw.flush()
            if "error" in row:
                console.print(f"{row['contestant']}: {row['error']}", markup=False)

        write({"machine": machine.described(), "plan": vars(plan)})
        try:
            compare(who, what, plan, folder, write)
        except KeyboardInterrupt:
            console.print("Stopped; the report holds what was measured until then.")
    write_page(rows, what, folder / "report.md")
    sys.stdout.write(f"{folder / 'report.md'}\n")
    if not any("latency_ms" in row for row in rows):
        sys.exit(1)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m eval.serving.compare",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--only", action="append", choices=(ours.NAME, *PEERS), default=[])
    parser.add_argument("--workload", action="append", choices=NAMES, default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each point")
    parser.add_argument("--quick", action="store_true", help="one round, 1 s a point")
    parser.add_argument("--cores", type=int, help="that all may use together; all by default")
    parser.add_argument("--threads", type=int, help="inside a network; as many as cores by default")
    parser.add_argument("--fenzhen", default=ours.own_command()[0], help="our command line")
    parser.add_argument("--out", type=Path, default=Path("var/bench"))
    given = parser.parse_args(arguments)
    if given.rounds < 1 or given.seconds <= 0 or min(given.cores or 1, given.threads or 1) < 1:
        parser.error("rounds, seconds, cores and threads are greater than 0")
    return given


def _only_cores(count: int | None) -> int:
    """Keep this process, and all that it starts, on so many cores; how many they are."""
    all_cores = sorted(os.sched_getaffinity(0))
    if count is not None:
        if count > len(all_cores):
            raise BenchmarkError(f"there are {len(all_cores)} cores, not {count}")
        os.sched_setaffinity(0, all_cores[:count])
    return count or len(all_cores)


if __name__ == "__main__":
    main()
