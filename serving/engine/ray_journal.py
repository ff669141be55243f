"""The batches of a replica, written down there and counted where the answers go out.

A replica has no `/metrics` of its own. Each of its answers carries what happened in it since the
one before, so that one registry, at the HTTP side, holds the same figures as with a local engine.
What a node had not told when it died is lost with it; the last batch is told by the next answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, cast

from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.engine.metrics import EngineMetrics, ModelMetrics

Measure = Literal["batch_size", "inference_seconds", "padding", "split_batches"]
Note = tuple[Measure, float]

_MOST = 10_000
"""Notes that are kept while nobody is answered."""


class Journal(EngineMetrics):
    """Engine metrics of a replica: what concerns batches is noted, in the order of its happening.

    Refusals and waiting are not: who asked knows of those, also when the replica is gone.
    """

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self._notes: deque[Note] = deque(maxlen=_MOST)

    def of(self, model: str) -> ModelMetrics:
        """See `EngineMetrics.of`."""
        return replace(
            super().of(model),
            batch_size=cast(Histogram, _Line(self._notes, "batch_size")),
            inference_seconds=cast(Histogram, _Line(self._notes, "inference_seconds")),
            padding=cast(Counter, _Line(self._notes, "padding")),
            split_batches=cast(Counter, _Line(self._notes, "split_batches")),
        )

    def take(self) -> tuple[Note, ...]:
        """Everything since the last call. Other threads may write meanwhile."""
        return tuple(self._notes.popleft() for _ in range(len(self._notes)))


def count(notes: Iterable[Note], metrics: ModelMetrics) -> None:
    """Count what replicas wrote."""
    for measure, value in notes:
        if measure == "padding":
            metrics.padding.inc(value)
        elif measure == "split_batches":
            metrics.split_batches.inc(value)
        elif measure == "batch_size":
            metrics.batch_size.observe(value)
        else:
            metrics.inference_seconds.observe(value)


class _Line:
    """Stands where a Prometheus metric would."""

    def __init__(self, notes: deque[Note], measure: Measure) -> None:
        self._notes, self._measure = notes, measure

    def observe(self, value: float) -> None:
        self._notes.append((self._measure, value))

    def inc(self, value: float = 1.0) -> None:
        self.observe(value)
