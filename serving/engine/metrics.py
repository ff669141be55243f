"""Prometheus metrics of the engine, one registry per application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.engine.inference import Priority

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True)
class ModelMetrics:
    """The metrics of one model, looked up once."""

    queue_seconds: Mapping[Priority, Histogram]
    inference_seconds: Histogram
    batch_size: Histogram
    padding: Counter
    split_batches: Counter
    waiting: Gauge
    rejected: Callable[[str], Counter]


class EngineMetrics:
    """What the engine counts per model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue_seconds = Histogram(
            "fenzhen_engine_queue_seconds", "Time a request waited before its batch started.",
            ["model", "priority"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._inference_seconds = Histogram(
            "fenzhen_engine_inference_seconds",
            "Time a batch took; the sum is the time that the workers were busy.",
            ["model"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._batch_size = Histogram(
            "fenzhen_engine_batch_size", "Rows per batch.",
            ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=registry,
        )  # fmt: skip
        self._padding = Counter(
            "fenzhen_engine_padding_elements", "Elements computed that were padding.",
            ["model"], registry=registry,
        )  # fmt: skip
        self._split_batches = Counter(
            "fenzhen_engine_split_batches",
            "Batches that failed together and were run again request by request.",
            ["model"], registry=registry,
        )  # fmt: skip
        self._rejected = Counter(
            "fenzhen_engine_rejected", "Requests that were not run, by reason.",
            ["model", "reason"], registry=registry,
        )  # fmt: skip
        self._waiting = Gauge(
            "fenzhen_engine_waiting", "Requests waiting now.", ["model"],
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip

    def of(self, model: str) -> ModelMetrics:
        """The metrics of a model."""
        return ModelMetrics(
            {p: self._queue_seconds.labels(model, p.name) for p in Priority},
            self._inference_seconds.labels(model),
            self._batch_size.labels(model),
            self._padding.labels(model),
            self._split_batches.labels(model),
            self._waiting.labels(model),
            lambda reason: self._rejected.labels(model, reason),
        )
