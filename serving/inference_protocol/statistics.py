"""Triton's statistics of a model, from the engine's Prometheus metrics.

Of Triton's numbers these are what the engine counts; none is made up. `queue` counts requests (a
large one as its parts), `compute_infer` batches, `fail` requests that were refused or given up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

from models.repository import ModelEntry
from serving.storage.canonical import JsonObject

_PREFIX = "fenzhen_engine_"


def statistics(entries: Iterable[ModelEntry], exposed: str) -> JsonObject:
    """Since the start of the server. exposed: the metrics as Prometheus reads them."""
    sums = _sums(exposed)
    return {"model_stats": [_of(entry, sums[entry.identity]) for entry in entries]}


def _sums(exposed: str) -> Mapping[str, Mapping[str, float]]:
    """By model's identity and name of the sample, added up over all other labels."""
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for metric in text_string_to_metric_families(exposed):
        if metric.name.startswith(_PREFIX):
            for sample in metric.samples:
                if "model" in sample.labels:
                    sums[sample.labels["model"]][sample.name.removeprefix(_PREFIX)] += sample.value
    return sums


def _of(entry: ModelEntry, sums: Mapping[str, float]) -> JsonObject:
    return {
        "name": entry.manifest.name,
        "version": str(entry.manifest.version),
        "inference_count": int(sums["batch_size_sum"]),
        "execution_count": int(sums["batch_size_count"]),
        "inference_stats": {
            "fail": {"count": int(sums["rejected_total"])},
            "queue": _duration(sums, "queue_seconds"),
            "compute_infer": _duration(sums, "inference_seconds"),
        },
        "batch_stats": [],
    }


def _duration(sums: Mapping[str, float], name: str) -> JsonObject:
    return {"count": int(sums[name + "_count"]), "ns": round(sums[name + "_sum"] * 1e9)}
