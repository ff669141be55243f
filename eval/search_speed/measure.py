"""The measurement: build, open every system in a process of its own, ask in blocks by turns."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from eval.progress import status, track
from eval.result import BenchmarkError
from eval.search_speed import hybrid, peers, worker
from eval.search_speed.corpus import read_queries
from eval.search_speed.figures import OURS, OURS_TWICE, Figures, Latency, System
from eval.search_speed.peers import PEERS
from eval.search_speed.worker import Block, Opened, Worker

LEAST_CHUNKS, LEAST_QUERIES = 100, 20
_BLOCK = 50
_WARM = 0.1
"""Further queries that each system answers before the clock runs, as a share of the counted."""
_LOOK_EVERY_S = 0.0005


class _Row(NamedTuple):
    """Which system is asked, by how many callers at once, each how-manieth query."""

    system: str
    callers: int = 1
    every: int = 1


@dataclass
class _Asked:
    """What a row answered, by the query's number."""

    milliseconds: dict[int, float] = field(default_factory=dict)
    cpu: list[float] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, numbers: Sequence[int], block: Block) -> None:
        self.milliseconds.update(zip(numbers, block.milliseconds, strict=True))
        self.cpu += block.cpu
        self.hits += block.hits
        self.seconds += block.seconds


def measure(data: Path, chunks: int, queries: int, cores: int, folder: Path) -> Figures:
    """Measure on so many cores; `folder` is empty and holds the indexes meanwhile.

    data: the folder of the public sets. Raises BenchmarkError with one sentence for whatever makes
    it impossible.
    """
    if chunks < LEAST_CHUNKS or queries < LEAST_QUERIES or cores < 1:
        raise BenchmarkError(
            f"at least {LEAST_CHUNKS} chunks, {LEAST_QUERIES} queries and one core are needed"
        )
    asked = read_queries(data, queries + round(_WARM * queries))
    with _only_cores(cores):
        return _measured(data, chunks, asked[queries:], asked[:queries], cores, folder)


def _measured(
    data: Path, chunks: int, warm: Sequence[str], queries: Sequence[str], cores: int, folder: Path
) -> Figures:
    index, tokens = folder / "index", folder / "tokens"
    tokens.mkdir()
    with Worker() as process:
        built = process.call(hybrid.build, data, chunks, index)
    with status("tokens for the peers"), Worker() as process:
        process.call(peers.write_tokens, index, tokens)
    with status("bm25s: building"), Worker() as process:
        by_bm25s = process.call(peers.build_bm25s, tokens)
    made: dict[str, tuple[float | None, float | None]] = {OURS: (built.seconds, built.peak_mb)}
    made |= {name: by_bm25s for name, peer in PEERS.items() if peer.saved}
    present = [name for name, peer in PEERS.items() if peers.installed(peer)]
    rows = {OURS: _Row(OURS), OURS_TWICE: _Row(OURS, callers=2)}
    rows |= {name: _Row(name, every=PEERS[name].every) for name in present}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(Worker(numba=name in PEERS and PEERS[name].needs == "numba"))
            for name in (OURS, *present)
        }
        opened = {name: _open(processes[name], name, index, tokens) for name in processes}
        asked = _ask(processes, rows, warm, queries)
        after = {name: process.call(worker.memory) for name, process in processes.items()}
        with status("stages of a query"):
            stages = processes[OURS].call(worker.stages, queries, hybrid.SEARCHING, _LOOK_EVERY_S)
    return Figures(
        cores=cores,
        machine=f"{platform.machine()}, {_processor()}, Python {platform.python_version()}",
        built=built,
        systems={
            name: System(*made.get(name, (None, None)), opened[name], after[name])
            for name in processes
        },
        milliseconds={row: found.milliseconds for row, found in asked.items()},
        latencies={
            row: Latency.of(list(found.milliseconds.values()), found.cpu, found.hits)
            for row, found in asked.items()
        },
        per_second={row: len(found.hits) / found.seconds for row, found in asked.items()},
        stages=stages,
        absent=[name for name in PEERS if name not in present],
    )


def _open(process: Worker, name: str, index: Path, tokens: Path) -> Opened:
    with status(f"{name}: opening"):
        if name == OURS:
            return process.call(worker.open_search, hybrid.__name__, "open_hybrid", index)
        return process.call(worker.open_search, peers.__name__, PEERS[name].opener, tokens)


def _ask(
    processes: Mapping[str, Worker],
    rows: Mapping[str, _Row],
    warm: Sequence[str],
    queries: Sequence[str],
) -> dict[str, _Asked]:
    """By turns, a block of queries each; who begins changes from block to block."""
    for row in rows.values():
        processes[row.system].call(worker.ask, warm[:: row.every], row.callers)
    asked: dict[str, _Asked] = defaultdict(_Asked)
    begins = range(0, len(queries), _BLOCK)
    for turn, begin in enumerate(track(begins, len(begins), "blocks of queries")):
        names = list(rows)
        first = turn % len(names)
        for name in (*names[first:], *names[:first]):
            row = rows[name]
            numbers = range(begin, min(begin + _BLOCK, len(queries)), row.every)
            block = [queries[number] for number in numbers]
            asked[name].add(numbers, processes[row.system].call(worker.ask, block, row.callers))
    return {name: asked[name] for name in rows}


@contextmanager
def _only_cores(count: int) -> Iterator[None]:
    """This process, and all that it starts, on the first cores of those that it may use."""
    before = os.sched_getaffinity(0)
    if count > len(before):
        raise BenchmarkError(f"there are {len(before)} cores, not {count}")
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processor() -> str:
    """Its name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "processor unknown"
