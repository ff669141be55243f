"""A process of its own for each system, so that its memory is its own, and what runs in it.

The functions here run inside such a process, on the one system that it has opened. Linux only:
memory is read from /proc/self/smaps_rollup.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from eval.result import BenchmarkError

P = ParamSpec("P")
T = TypeVar("T")

_MEMORY = Path("/proc/self/smaps_rollup")
Search = Callable[[str], int]
"""Asks a query and says how many passages it found."""


@dataclass(frozen=True)
class Memory:
    """A process's memory in MB (10^6 bytes).

    resident: everything in memory, mapped files too (RSS); proportional: the same, pages that
    several processes share counted in part (PSS); private: not shared with another process;
    anonymous: not backed by a file, which the system cannot drop and read again.
    """

    resident: float
    proportional: float
    private: float
    anonymous: float


@dataclass(frozen=True)
class Opened:
    """seconds: to open the system; before, after: memory."""

    seconds: float
    before: Memory
    after: Memory


@dataclass(frozen=True)
class Block:
    """Of each query milliseconds, those of the processor, and number of hits; seconds of all.

    cpu: of the calling thread alone; less than milliseconds where another process had the core.
    """

    milliseconds: list[float]
    cpu: list[float]
    hits: list[int]
    seconds: float


class Worker:
    """One fresh process, started at the first call and gone on leaving."""

    def __init__(self, *, numba: bool = False) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _begin, (numba,))

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function of a module returns, or raises, there."""
        try:
            return self._pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise BenchmarkError("a process ended early: is there enough memory?") from error

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def _begin(numba: bool) -> None:
    """bm25s imports numba wherever it is installed; where the server runs it is not."""
    if not numba:
        sys.modules["numba"] = None  # type: ignore[assignment]


_opened: list[Search] = []


def open_search(module: str, name: str, folder: Path) -> Opened:
    """Open `module.name(folder)`, which gives the Search that the calls below use.

    By name, so that this process imports nothing that the system does not need.
    """
    before = memory()
    began = time.perf_counter()
    _opened[:] = [getattr(importlib.import_module(module), name)(folder)]
    return Opened(time.perf_counter() - began, before, memory())


def ask(queries: Sequence[str], callers: int = 1) -> Block:
    """Ask each query once, from so many threads at the same time."""
    [search] = _opened
    shares = [queries[first::callers] for first in range(callers)]
    with ThreadPoolExecutor(callers) as threads:
        began = time.perf_counter()
        answers = list(threads.map(_ask, [search] * callers, shares))
    seconds = time.perf_counter() - began
    timed = [answers[n % callers][n // callers] for n in range(len(queries))]
    milliseconds, cpu, hits = (list(column) for column in zip(*timed, strict=True))
    return Block(milliseconds, cpu, hits, seconds)


def _ask(search: Search, queries: Sequence[str]) -> list[tuple[float, float, int]]:
    timed = []
    for query in queries:
        began, cpu_began = time.perf_counter(), time.thread_time()
        hits = search(query)
        cpu, took = time.thread_time() - cpu_began, time.perf_counter() - began
        timed.append((took * 1e3, cpu * 1e3, hits))
    return timed


def stages(queries: Sequence[str], through: Sequence[str], every_s: float) -> dict[str, float]:
    """Seconds by stage of asking each query once."""
    from eval.search_speed.stages import Stages

    [search] = _opened
    with Stages(through, every_s) as watched:
        for query in queries:
            search(query)
    return watched.seconds


def memory() -> Memory:
    """Of this process, now."""
    sizes: dict[str, float] = {}
    for line in _MEMORY.read_text(encoding="ascii").splitlines()[1:]:
        name, kilobytes = line.split()[:2]
        sizes[name.rstrip(":")] = int(kilobytes) * 1024 / 1e6
    return Memory(
        resident=sizes["Rss"],
        proportional=sizes["Pss"],
        private=sizes["Private_Clean"] + sizes["Private_Dirty"],
        anonymous=sizes["Anonymous"],
    )


def peak() -> float:
    """The most that was resident in this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
