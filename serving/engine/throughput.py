"""Images (or texts) per second of a hosted network: through the engine, and ONNX Runtime alone.

    python -m serving.engine.throughput [MODEL ...]

Bare: `session.run` in a loop, with one thread and with one for each core, at each batch size; its
best counts. Engine: a closed loop of callers with one row each, so that the scheduler has to make
the batches, in the shape that it finds by itself. In turn, several rounds; medians. The models of a
triage are asked about our own messages, as long as they are; others about noise. Last, what the
engine adds to the call of one caller, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import uvloop
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.backends import Tensors
from models.backends.onnx import OnnxBackend
from models.backends.warm_up import zeros
from models.batching import join
from models.repository import ModelEntry, ModelRepository
from models.triage.local import LocalTriage
from models.triage.request import TriageRequest
from serving import logs
from serving.engine.cores import available
from serving.engine.local import LocalEngine
from serving.engine.metrics import EngineMetrics
from serving.settings import Settings

BATCHES = (1, 2, 4, 8, 16, 32)
CALLERS = 64
MESSAGES = (
    "胸口压榨样疼痛30分钟，出冷汗，左胳膊也疼",
    "嗓子疼两天，有点咳嗽，没有发烧，没有胸痛",
    "孩子3岁，发烧39度，精神不好，不想喝水，昨天晚上开始的，吃了退烧药还是反复",
    "最近半个月总是头晕，以前有高血压，血压150/95",
    "Headache and dizziness for 3 days, no fainting, no weakness",
    "My mother is 72, she suddenly has slurred speech and her right arm is weak",
    "肚子疼拉肚子一天，吐了两次",
    "Itchy rash on both arms after a new detergent, no breathing issues",
)


@dataclass(frozen=True)
class Throughput:
    """Rows per second; `share` is the engine's over the bare best of the same round, median.

    `bare`: by threads and rows of a batch, as `2x16`. `added_ms` is what one caller waits longer.
    """

    model: str
    workers: int
    bare: dict[str, float]
    best: str
    engine: float
    share: float
    bare_ms: float
    alone_ms: float
    added_ms: float


def measure(entry: ModelEntry, settings: Settings, *, rounds: int, seconds: float) -> Throughput:
    """`rounds` turns of `seconds` each for the engine and for every shape of the bare loop."""
    rows = _rows(entry)
    shapes = [(threads, size) for threads in sorted({1, len(available())}) for size in BATCHES]
    bare: dict[str, list[float]] = {f"{threads}x{size}": [] for threads, size in shapes}
    turns = []
    for _ in track(range(rounds), entry.manifest.name, console=Console(stderr=True)):
        for threads, size in shapes:
            bare[f"{threads}x{size}"].append(_bare(entry, rows, threads, size, seconds))
        turns.append(uvloop.run(_engine(entry, settings, rows, seconds)))
    medians = {shape: statistics.median(rates) for shape, rates in bare.items()}
    shares = [turn.rate / max(rates[i] for rates in bare.values()) for i, turn in enumerate(turns)]
    bare_ms = statistics.median(turn.bare_ms for turn in turns)
    alone_ms = statistics.median(turn.alone_ms for turn in turns)
    return Throughput(
        entry.manifest.name,
        turns[-1].workers,
        {shape: round(rate, 1) for shape, rate in medians.items()},
        max(medians, key=medians.__getitem__),
        round(statistics.median(turn.rate for turn in turns), 1),
        round(statistics.median(shares), 3),
        round(bare_ms, 3),
        round(alone_ms, 3),
        round(alone_ms - bare_ms, 3),
    )


def _rows(entry: ModelEntry) -> list[Tensors]:
    """Rows that the model is asked about in turn."""
    if entry.manifest.name in ("department", "urgency"):
        task = LocalTriage(ModelRepository()).task
        return [
            task.prepare(task.read(TriageRequest(text=text)))[entry.manifest.name]
            for text in MESSAGES
        ]
    rng = np.random.default_rng(0)
    empty = zeros(entry.manifest)
    return [{name: rng.normal(size=z.shape).astype(z.dtype) for name, z in empty.items()}]


def _bare(
    entry: ModelEntry, rows: Sequence[Tensors], threads: int, size: int, seconds: float
) -> float:
    backend, turns = OnnxBackend(entry.network, threads=threads), cycle(rows)
    batches = cycle([join(list(islice(turns, size))) for _ in range(max(1, len(rows) // size))])
    backend.run(next(batches))
    start, done = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < seconds:
        backend.run(next(batches))
        done += size
    return done / took


@dataclass(frozen=True)
class _Turn:
    workers: int
    rate: float
    bare_ms: float
    alone_ms: float


async def _engine(
    entry: ModelEntry, settings: Settings, rows: Sequence[Tensors], seconds: float
) -> _Turn:
    engine, turns = LocalEngine(settings, EngineMetrics(CollectorRegistry())), cycle(rows)
    await engine.host(entry)
    worker, *others = engine.workers(entry.identity)
    bare, alone = [], []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        row = next(turns)
        worker.backend.run(row)
        middle = time.perf_counter()
        await engine.infer(entry.identity, row)
        bare.append(middle - start)
        alone.append(time.perf_counter() - middle)
    done, start = 0, time.perf_counter()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() - start < seconds:
            await engine.infer(entry.identity, next(turns))
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    rate = done / (time.perf_counter() - start)
    await engine.drain()
    median = statistics.median
    return _Turn(1 + len(others), rate, median(bare) * 1e3, median(alone) * 1e3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table, then one line of JSON per model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="those of a triage and every imaging model by default",
    )
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args(arguments)
    logs.configure("warning")
    repository = ModelRepository(allow_noncommercial=True)
    names = given.models or [
        e.manifest.name
        for e in repository.entries()
        if e.manifest.task in ("department", "urgency", "imaging") and not e.manifest.benchmark_only
    ]
    table = Table("model", "bare", "threads x batch", "engine", "share", "one caller adds")
    with tempfile.TemporaryDirectory(prefix="fenzhen-throughput-") as var:
        settings = Settings(var=Path(var), max_batch=given.max_batch, tune=True)
        for name in names:
            found = measure(
                repository.get(name), settings, rounds=given.rounds, seconds=given.seconds
            )
            table.add_row(
                name,
                f"{found.bare[found.best]:.0f}/s",
                found.best,
                f"{found.engine:.0f}/s",
                f"{found.share:.1%}",
                f"{found.added_ms:.3f} ms",
            )
            sys.stdout.write(json.dumps(asdict(found)) + "\n")
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
