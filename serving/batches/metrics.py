"""Prometheus metrics of batches, one registry per application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class BatchMetrics:
    """What the runner counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "fenzhen_batch_rows", "Rows of batches recorded, by task and outcome.",
            ["task", "outcome"], registry=registry,
        )  # fmt: skip
        self.retries = Counter(
            "fenzhen_batch_retries", "Rows put off because something was busy or away.",
            ["task"], registry=registry,
        )  # fmt: skip
        self.running = Gauge(
            "fenzhen_batches_running",
            "Batches that take turns now.",
            registry=registry,
            multiprocess_mode="livesum",
        )
