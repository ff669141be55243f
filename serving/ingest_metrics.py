"""Prometheus metrics of what comes in and is kept, one registry per application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class IngestMetrics:
    """What is counted of uploads and of stored files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.refused = Counter(
            "fenzhen_uploads_refused", "Images and instances that were refused, by reason.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.swept = Counter(
            "fenzhen_blobs_swept", "Stored files removed as no record points to them.",
            registry=registry,
        )  # fmt: skip
