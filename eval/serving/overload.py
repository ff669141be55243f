"""More than the server can do: whether it says no early, keeps its word to whom it said yes, and is
itself again at once.

    python -m eval.serving.overload [--factor 3] [--seconds 60] [--deadline-ms 1000]

Starts `fenzhen serve` with a model that sleeps 50 + 5 n ms for n <= 16 rows, sends `factor` times
what that model can do in an open loop, one request in twenty an emergency, and prints a verdict for
each promise. Exit 1 where one is broken. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from eval.result import BenchmarkError
from eval.serving import loops, ours
from eval.serving.connections import NO_ANSWER
from eval.serving.load import allow_many_connections
from eval.serving.machine import Idle, Ticks
from eval.serving.processes import free_port, serving
from eval.serving.recording import Latency, Run
from eval.serving.requests import Kind, Traffic, traffic
from eval.serving.waiting import with_bar
from eval.serving.workloads import row

MODEL = "sleep"
_BATCH, _BASE_MS, _ROW_MS = 16, 50.0, 5.0
BATCH_MS = _BASE_MS + _ROW_MS * _BATCH
"""A full batch."""
CAPACITY = _BATCH / BATCH_MS * 1e3
"""Requests a second."""
EMERGENCY = "emergency"
_REFUSED = (429, 503)
_REFUSAL_MS = 5.0
_GROWTH = 0.05
_GOODPUT = 0.9
_NORMAL = 1.5
"""Times the calm median up to which a latency is normal."""
_EARLY_S = 10.0
"""When memory is weighed first: what a server needs for so many callers it has by then."""
_CALM_S, _AFTER_S = 2.0, 3.0


@dataclass(frozen=True)
class Storm:
    """What happened. memory_mb: early in the storm and at its end. machine: during it."""

    calm: Run
    storm: Run
    after: Run
    memory_mb: tuple[float, float]
    machine: Idle


@dataclass(frozen=True)
class Verdict:
    """One promise: `value` is to be at most, or at least, `limit`; None where nothing was seen."""

    promise: str
    value: float | None
    limit: float
    unit: str
    at_least: bool = False

    @property
    def kept(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit


async def storm(
    calm: Traffic,
    heavy: Traffic,
    memory_mb: Callable[[], float],
    *,
    rate: float,
    seconds: float,
    deadline_ms: float,
) -> Storm:
    """A calm moment, the storm, and a single caller from the second in which it ends."""
    before = await loops.closed(calm, callers=1, seconds=_CALM_S)
    ticks = Ticks.now()
    running = asyncio.create_task(
        loops.opened(heavy, rate=rate, seconds=seconds, deadline_ms=deadline_ms)
    )
    early_s = min(_EARLY_S, seconds / 2)
    await asyncio.sleep(early_s)
    early = await asyncio.to_thread(memory_mb)
    await asyncio.sleep(seconds - early_s)
    after = asyncio.create_task(loops.closed(calm, callers=1, seconds=_AFTER_S))
    spent = Idle.between(ticks, Ticks.now())
    late = await asyncio.to_thread(memory_mb)
    return Storm(before, await running, await after, (early, late), spent)


def verdicts(seen: Storm) -> list[Verdict]:
    """The promises of docs/serving-benchmark.md; the storm has a deadline."""
    run = seen.storm
    assert run.deadline_ms is not None
    refused = Latency.of(run.milliseconds[np.isin(run.status, _REFUSED)])
    early, late = seen.memory_mb
    lost = float((run.status == NO_ANSWER).sum())
    return [
        Verdict("accepted, p99", _p99(run.latency()), run.deadline_ms, "ms"),
        Verdict("emergency, p99: one running batch and its own", _p99(run.latency(kind=EMERGENCY)),
                2 * BATCH_MS, "ms"),
        Verdict("refused (429, 503), p99", _p99(refused), _REFUSAL_MS, "ms"),
        Verdict("goodput of capacity", run.goodput / CAPACITY, _GOODPUT, "", at_least=True),
        Verdict("memory at the end over early", late / early if early else None, 1 + _GROWTH, ""),
        Verdict("without an answer", lost, 0.0, "requests"),
        Verdict("normal again after the storm", normal_after(seen), 1.0, "s"),
    ]  # fmt: skip


def normal_after(seen: Storm) -> float | None:
    """Seconds from the storm's end until a single caller's answers are, and stay, as in the calm.

    None where they never are.
    """
    calm = seen.calm.latency()
    if calm is None or not seen.after.due.size:
        return None
    strange = ~seen.after.good | (seen.after.milliseconds > _NORMAL * calm.quantiles["p50"])
    if strange[-1]:
        return None
    ended = float(seen.after.due.min())
    return float(seen.after.ended[strange].max()) - ended if strange.any() else 0.0


def _p99(found: Latency | None) -> float | None:
    return found.quantiles["p99"] if found else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit 2 with one sentence for what makes it impossible."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.serving.overload",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--factor", type=float, default=3.0, help="times what the model can do")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--deadline-ms", type=float, default=1000.0)
    parser.add_argument("--fenzhen", default=ours.own_command()[0], help="our command line")
    given = parser.parse_args(arguments)
    if min(given.factor, given.seconds, given.deadline_ms) <= 0:
        parser.error("factor, seconds and deadline are greater than 0")
    allow_many_connections()
    try:
        with tempfile.TemporaryDirectory(prefix="fenzhen-overload-") as folder:
            seen = _hosted(given, Path(folder))
    except BenchmarkError as error:
        parser.error(str(error))
    found = verdicts(seen)
    console = Console(stderr=True)
    console.print(_table(found))
    console.print(f"The machine was idle for {seen.machine.idle:.0%} of the storm.")
    line = {
        "verdicts": [asdict(one) | {"kept": one.kept} for one in found],
        "capacity": CAPACITY,
        "memory_mb": seen.memory_mb,
        "machine": asdict(seen.machine),
        "calm": seen.calm.as_json(),
        "storm": seen.storm.as_json(series=True),
        "after": seen.after.as_json(series=True),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    if not all(one.kept for one in found):
        sys.exit(1)


def _hosted(given: argparse.Namespace, folder: Path) -> Storm:
    port = free_port()
    synthetic = f"{MODEL}:{_BASE_MS:g}+{_ROW_MS:g}n"
    settings = ours.environment(folder / "var", port, synthetic, threads=1)
    key = ours.new_key((given.fenzhen,), settings)
    url = ours.url(port, MODEL)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    kinds = [
        Kind(name, weight, {"X-Priority": name, "X-Timeout-Ms": f"{given.deadline_ms:g}"})
        for name, weight in ((EMERGENCY, 5.0), ("interactive", 95.0))
    ]
    with serving(ours.command((given.fenzhen,), settings), folder / "server.log") as running:
        work = storm(
            traffic(url, [row()], headers=headers),
            traffic(url, [row()], headers=headers, kinds=kinds),
            running.memory_mb,
            rate=given.factor * CAPACITY,
            seconds=given.seconds,
            deadline_ms=given.deadline_ms,
        )
        return uvloop.run(with_bar(work, _CALM_S + given.seconds + _AFTER_S, "seconds"))


def _table(found: Sequence[Verdict]) -> Table:
    table = Table("promise", "limit", "measured", "")
    for one in found:
        sign = ">=" if one.at_least else "<="
        value = "nothing seen" if one.value is None else f"{one.value:.2f} {one.unit}"
        table.add_row(one.promise, f"{sign} {one.limit:g} {one.unit}", value,
                      "kept" if one.kept else "BROKEN")  # fmt: skip
    return table


if __name__ == "__main__":
    main()
