"""What is measured, as numbers: nothing here measures or writes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from eval.search_speed.hybrid import Built
from eval.search_speed.worker import Memory, Opened

OURS, OURS_TWICE = "fenzhen", "fenzhen, 2 callers"
FULL_SIZE = 100_000
"""Chunks that the targets speak of; and of two cores."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a system's queries. cpu_p50: of the processor; where it is far less than p50,
    the machine was busy with something else. found: share that found a passage."""

    queries: int
    p50: float
    p90: float
    p99: float
    max: float
    cpu_p50: float
    found: float

    @classmethod
    def of(
        cls, milliseconds: Sequence[float], cpu: Sequence[float], hits: Sequence[int]
    ) -> Latency:
        """Of the queries in their order."""
        p50, p90, p99 = (float(p) for p in np.percentile(milliseconds, (50, 90, 99)))
        found = sum(count > 0 for count in hits) / len(hits)
        return cls(
            len(milliseconds), p50, p90, p99, max(milliseconds), statistics.median(cpu), found
        )


@dataclass(frozen=True)
class System:
    """A process that answered. built_s, built_mb: to make its index, and the most memory meanwhile;
    None for one that makes it on opening. after: memory when all queries were asked."""

    built_s: float | None
    built_mb: float | None
    opened: Opened
    after: Memory


@dataclass(frozen=True)
class Target:
    """What the design asks for at `FULL_SIZE` chunks."""

    name: str
    unit: str
    most: float
    value: float

    @property
    def met(self) -> bool:
        """Below the most that is allowed."""
        return self.value < self.most


@dataclass(frozen=True)
class Figures:
    """A finished measurement. milliseconds: by row (a system, or ours with two callers) and number
    of the query; per_second: queries answered a second by row; stages: seconds of our queries."""

    cores: int
    machine: str
    built: Built
    systems: Mapping[str, System]
    milliseconds: Mapping[str, Mapping[int, float]]
    latencies: Mapping[str, Latency]
    per_second: Mapping[str, float]
    stages: Mapping[str, float]
    absent: Sequence[str]

    def ratio(self, row: str) -> float:
        """The median of a row over ours with one caller, on the queries that both answered."""
        theirs, ours = self.milliseconds[row], self.milliseconds[OURS]
        return statistics.median(theirs.values()) / statistics.median(ours[n] for n in theirs)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The design's, with what was measured."""
        ours = self.latencies[OURS]
        return (
            Target("query, p50", "ms", 8.0, ours.p50),
            Target("query, p99", "ms", 25.0, ours.p99),
            Target("index built", "min", 15.0, self.built.seconds / 60),
            Target("resident", "MB", 1200.0, self.systems[OURS].after.resident),
        )

    def as_json(self) -> dict[str, object]:
        """Plain values, without the single times."""
        return {
            "benchmark": "search_speed",
            "cores": self.cores,
            "machine": self.machine,
            "build": asdict(self.built),
            "systems": {name: asdict(system) for name, system in self.systems.items()},
            "latency_ms": {row: asdict(found) for row, found in self.latencies.items()},
            "per_second": dict(self.per_second),
            "ratio_to_ours": {row: self.ratio(row) for row in self.milliseconds},
            "stages_s": dict(self.stages),
            "targets": [asdict(t) | {"met": t.met} for t in self.targets],
            "absent": list(self.absent),
        }
