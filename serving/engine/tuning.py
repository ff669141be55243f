"""How a model runs best on this machine, measured when it is loaded.

Two questions that no default can answer. Does a larger batch pay? On a GPU nearly always; on a
processor a small network on a short text is at its best alone, and larger batches only make
everybody wait. And does a network use several cores well? A large picture does; of a small network
one copy for each core answers far more requests than one copy on all of them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from models.backends import Backend
from models.backends.warm_up import zeros
from models.batching import length_of, rows_of
from models.manifest import Manifest

_GAIN = 1.05
"""A batch twice as large, or more copies, must bring this much more."""
_SHARED = 0.85
"""What a copy is expected to keep of its speed beside the others: memory is shared."""
_MOST_COPIES = 8
"""Each copy holds its weights once more: of many cores more would cost memory that nobody needs."""
_PATIENCE = 2
"""Sizes without a gain before larger ones are left alone."""
_LONG_S = 0.05
"""A batch that takes longer has nothing left to gain: setting up a call is a small part of it."""
_HAND_OVER_S = 40e-6
"""What waking a thread and coming back from it costs; a busy loop waits longer still."""
_TIMES = 3
_LENGTH = 48
"""Tokens of a row: what a complaint of two sentences has."""


@dataclass(frozen=True)
class Shape:
    """How many copies of a network run side by side, with how many threads and rows each."""

    workers: int
    threads: int
    max_batch: int


@dataclass(frozen=True)
class Speed:
    """The batch at which a network is at its best, and its rows per second then."""

    batch: int
    rate: float


def speed(
    backend: Backend,
    manifest: Manifest,
    most: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Run batches of 1, 2, 4 … `most` rows: the smallest that is nearly as fast as any."""
    best, without = Speed(1, 0.0), 0
    size = 1
    while size <= most and without < _PATIENCE:
        took = _seconds(backend, manifest, size, clock)
        rate = size / took
        if rate > best.rate * _GAIN:
            best, without = Speed(size, rate), 0
        else:
            without += 1
        size = min(size * 2, most) if size < most and took < _LONG_S else most + 1
    return best


def instant(
    backend: Backend, manifest: Manifest, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Most elements of a request that takes less time than handing it to a thread; 0: none does."""
    rows = zeros(manifest, 1, _LENGTH)
    if _seconds(backend, manifest, 1, clock) > _HAND_OVER_S:
        return 0
    return rows_of(rows) * length_of(rows)


def tune(
    open_with: Callable[[int], Backend],
    manifest: Manifest,
    *,
    cores: int,
    most: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Shape:
    """The shape for one model: every core for one copy, or a copy for each core.

    `open_with` loads the network with that many threads; what it opens is closed again.
    """
    whole = _measured(open_with(cores), manifest, most, clock)
    if cores == 1:
        return Shape(1, 1, whole.batch)
    single = _measured(open_with(1), manifest, most, clock)
    copies = min(cores, _MOST_COPIES)
    if single.rate * copies * _SHARED > whole.rate * _GAIN:
        return Shape(copies, 1, single.batch)
    return Shape(1, cores, whole.batch)


def _measured(backend: Backend, manifest: Manifest, most: int, clock: Callable[[], float]) -> Speed:
    try:
        return speed(backend, manifest, most, clock)
    finally:
        backend.close()


def _seconds(backend: Backend, manifest: Manifest, size: int, clock: Callable[[], float]) -> float:
    rows = zeros(manifest, size, _LENGTH)
    backend.run(rows)
    times = []
    for _ in range(_TIMES):
        start = clock()
        backend.run(rows)
        times.append(clock() - start)
    # The shortest: whatever else ran on the machine only ever made it longer.
    return max(min(times), 1e-9)


class Tuned:
    """Shapes measured before on this machine, in one file: a later start need not measure again.

    `key` names everything that a shape hangs on. A file that cannot be read counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def shape(self, key: str, measure: Callable[[], Shape]) -> Shape:
        """The shape kept under `key`, else the one that `measure` finds, which is then kept."""
        kept = self._read()
        try:
            return Shape(**kept[key])
        except (KeyError, TypeError):
            shape = measure()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({**self._read(), key: asdict(shape)}, indent=1, sort_keys=True))
        draft.replace(self._path)
        return shape

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}
