"""Which processor cores each worker of a model keeps to."""

from __future__ import annotations

import os
from collections.abc import Sequence


def available() -> tuple[int, ...]:
    """The cores that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def plan(
    workers: int, threads: int | None, cores: Sequence[int]
) -> tuple[int, list[tuple[int, ...]]]:
    """Threads of each worker's network, and the cores of each worker.

    Without `threads` the cores are shared out evenly. One worker is not pinned: it has nobody to
    keep away from, and the event loop needs a place too. Raises ValueError where the threads of
    all workers are more than the cores, unless there is one of each: more threads than cores take
    each other's time in the middle of a batch.
    """
    each = threads or max(1, len(cores) // workers)
    if workers * each > max(1, len(cores)):
        raise ValueError(
            f"{workers} workers with {each} threads need {workers * each} cores; "
            f"there are {len(cores)}"
        )
    if workers == 1:
        return each, [()]
    return each, [tuple(cores[i * each : (i + 1) * each]) for i in range(workers)]
