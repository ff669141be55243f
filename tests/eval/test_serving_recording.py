"""Figures of a run: nearest-rank quantiles, goodput, classes and seconds."""

from __future__ import annotations

import numpy as np
import pytest

from eval.serving.recording import Latency, Run


def run(milliseconds: list[float], status: list[int], kind: list[int] | None = None) -> Run:
    """One request every tenth of a second."""
    due = np.arange(len(milliseconds)) / 10
    return Run(
        due=due,
        ended=due + np.array(milliseconds) / 1e3,
        status=np.array(status),
        kind=np.array(kind or [0] * len(status)),
        seconds=2.0,
        waited=True,
        classes=["emergency", "bulk"],
        deadline_ms=50,
    )


def test_quantiles_are_latencies_that_were_measured() -> None:
    latency = Latency.of(np.arange(1000, 0, -1).astype(float))
    assert latency
    assert dict(latency.quantiles) == {"p50": 500, "p90": 900, "p99": 990, "p99_9": 999}
    assert (latency.count, latency.most) == (1000, 1000)


def test_the_tail_of_few_is_the_slowest() -> None:
    latency = Latency.of(np.array([1.0, 2.0, 900.0]))
    assert latency
    assert latency.quantiles["p50"] == 2
    assert latency.quantiles["p99"] == latency.quantiles["p99_9"] == 900


def test_goodput_is_what_came_in_time_and_throughput_all_that_was_good() -> None:
    found = run([10, 60, 40, 1], [200, 200, 201, 429])
    assert found.throughput == pytest.approx(3 / 2)
    assert found.goodput == pytest.approx(2 / 2)


def test_refusals_and_classes_have_latencies_of_their_own() -> None:
    found = run([10, 20, 30, 2], [200, 200, 200, 429], [0, 1, 1, 0]).as_json()
    assert found["statuses"] == {"200": 3, "429": 1}
    assert found["latency_ms"]["max"] == 30
    assert found["latency_ms_by_status"]["429"]["p50"] == 2
    assert (
        found["latency_ms_by_class"]["emergency"] | {"count": 1, "max": 10}
        == (found["latency_ms_by_class"]["emergency"])
    )
    assert found["latency_ms_by_class"]["bulk"]["p50"] == 20


def test_a_row_for_each_second_by_when_requests_were_due() -> None:
    rows = run([5] * 10 + [5, 700], [200] * 11 + [503]).per_second()
    assert [(row["requests"], row["good"]) for row in rows] == [(10, 10), (2, 1)]


def test_a_run_without_an_answer_has_figures_too() -> None:
    found = run([], []).as_json(series=True)
    assert found["latency_ms"] is None
    assert found["throughput"] == 0
    assert found["per_second"] == []
