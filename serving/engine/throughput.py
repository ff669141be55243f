"""Images (or texts) per second of a hosted network: through the engine, and ONNX Runtime alone.

    python -m serving.engine.throughput [MODEL ...]

Bare: `session.run` in a loop, at each batch size; its best counts. Engine: a closed loop of callers
with one row each, so that the scheduler has to make the batches. Both on the same number of
threads, in turn, several rounds; medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.backends.warm_up import zeros
from models.repository import ModelEntry, ModelRepository
from serving.engine.engine import Engine
from serving.engine.metrics import EngineMetrics
from serving.engine.model_queue import Worker
from serving.engine.scheduler import Limits

BATCHES = (1, 2, 4, 8, 16, 32)
CALLERS = 64


@dataclass(frozen=True)
class Throughput:
    """Rows per second; `share` is the engine's over the bare best of the same round, median."""

    model: str
    threads: int
    bare_by_batch: dict[int, float]
    best_batch: int
    engine: float
    share: float


def measure(
    entry: ModelEntry, *, threads: int, max_batch: int, rounds: int, seconds: float
) -> Throughput:
    """`rounds` turns of `seconds` each for the engine and for every batch size of the bare loop."""
    rng = np.random.default_rng(0)
    row = {
        name: rng.normal(size=empty.shape).astype(empty.dtype)
        for name, empty in zeros(entry.manifest).items()
    }
    backend = OnnxBackend(entry.network, threads=threads)
    bare: dict[int, list[float]] = {size: [] for size in BATCHES}
    through, shares = [], []
    for _ in track(range(rounds), entry.manifest.name, console=Console(stderr=True)):
        for size in BATCHES:
            bare[size].append(_bare(backend, row, size, seconds))
        through.append(asyncio.run(_engine(backend, row, max_batch, seconds)))
        shares.append(through[-1] / max(rates[-1] for rates in bare.values()))
    medians = {size: statistics.median(rates) for size, rates in bare.items()}
    best = max(medians, key=medians.__getitem__)
    return Throughput(
        entry.manifest.name,
        threads,
        {size: round(rate, 1) for size, rate in medians.items()},
        best,
        round(statistics.median(through), 1),
        round(statistics.median(shares), 3),
    )


def _bare(backend: OnnxBackend, row: Tensors, size: int, seconds: float) -> float:
    batch = {name: np.repeat(value, size, axis=0) for name, value in row.items()}
    backend.run(batch)
    start, done = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < seconds:
        backend.run(batch)
        done += size
    return done / took


async def _engine(backend: OnnxBackend, row: Tensors, max_batch: int, seconds: float) -> float:
    engine = Engine(EngineMetrics(CollectorRegistry()))
    engine.add("model", [Worker(backend)], Limits(max_batch=max_batch))
    await engine.infer("model", row)
    start, done = time.perf_counter(), 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() - start < seconds:
            await engine.infer("model", row)
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took = time.perf_counter() - start
    await engine.drain()
    return done / took


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table, then one line of JSON per model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="every imaging model by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args(arguments)
    repository = ModelRepository(allow_noncommercial=True)
    names = given.models or [
        e.manifest.name
        for e in repository.entries()
        if e.manifest.task == "imaging" and not e.manifest.benchmark_only
    ]
    table = Table("model", "bare, best batch", "batch", "engine", "share")
    for name in names:
        found = measure(
            repository.get(name), threads=given.threads, max_batch=given.max_batch,
            rounds=given.rounds, seconds=given.seconds,
        )  # fmt: skip
        table.add_row(name, f"{found.bare_by_batch[found.best_batch]:.0f}/s", str(found.best_batch),
                      f"{found.engine:.0f}/s", f"{found.share:.1%}")  # fmt: skip
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
