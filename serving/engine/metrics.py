"""Prometheus metrics of the engine, one registry per application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class EngineMetrics:
    """What the engine counts per model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue_seconds = Histogram(
            "fenzhen_engine_queue_seconds", "Time a request waited before its batch started.",
            ["model", "priority"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.inference_seconds = Histogram(
            "fenzhen_engine_inference_seconds", "Time the network took for one batch.",
            ["model"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.batch_size = Histogram(
            "fenzhen_engine_batch_size", "Requests per batch.",
            ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=registry,
        )  # fmt: skip
        self.rejected = Counter(
            "fenzhen_engine_rejected", "Requests that were not run, by reason.",
            ["model", "reason"], registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "fenzhen_engine_waiting", "Requests waiting now.", ["model"], registry=registry
        )
