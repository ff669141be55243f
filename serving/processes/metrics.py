"""Metrics of several processes as those of one server.

Every process counts in files of its own (the multiprocess mode of `prometheus_client`, switched on
by `VARIABLE` before its import), so a process that is killed takes nothing with it. Whoever is
asked for the metrics adds the files up. Of a process that is over, what it counted is added to one
file that stays, so the number of files does not grow with restarts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_GONE = 0
"""In the place of a process id: all those that are over."""
_KINDS = ("counter", "histogram")


class SharedMetrics:
    """The folder in which the processes of one server count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def exposition(self) -> bytes:
        """The sum over all processes in Prometheus' text format. Blocking."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]
        with self._locked(fcntl.LOCK_SH):
            return generate_latest(registry)

    def forget(self, pid: int) -> None:
        """Keep what a process counted, and nothing else of it. The process is over."""
        with self._locked(fcntl.LOCK_EX):
            mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
            for kind in _KINDS:
                self._fold(self._folder / f"{kind}_{pid}.db", self._folder / f"{kind}_{_GONE}.db")

    def _fold(self, left: Path, into: Path) -> None:
        if not left.exists():
            return
        files = [str(path) for path in (into, left) if path.exists()]
        fresh = into.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        counted = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
        merged = MultiProcessCollector.merge(files, accumulate=False)  # type: ignore[no-untyped-call]
        for metric in merged:
            for sample in metric.samples:
                names, values = list(sample.labels), list(sample.labels.values())
                key = mmap_key(metric.name, sample.name, names, values, metric.documentation)
                counted.write_value(key, sample.value, 0.0)  # type: ignore[no-untyped-call]
        counted.close()  # type: ignore[no-untyped-call]
        fresh.replace(into)
        left.unlink()

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)
