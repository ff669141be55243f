"""What processes counted is added up, also when they are over, and their files do not pile up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from serving.processes.metrics import VARIABLE, SharedMetrics

COUNT = """
import os, signal
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
registry = CollectorRegistry()
Counter("asked", "Asked.", ["who"], registry=registry).labels("she").inc(2)
seconds = Histogram("seconds", "Seconds.", buckets=(1, 2), registry=registry)
seconds.observe(0.5)
seconds.observe(1.5)
Gauge("waiting", "Waiting.", multiprocess_mode="livesum", registry=registry).set(3)
os.kill(os.getpid(), signal.SIGKILL)
"""


def count(folder: Path) -> int:
    """The id of a process that counted and was killed at once."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT], env=os.environ | {VARIABLE: str(folder)}
    )
    assert process.wait(60) == -9
    return process.pid


def samples(shared: SharedMetrics) -> dict[str, float]:
    lines = [x for x in shared.exposition().decode().splitlines() if not x.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_killed_processes_are_summed_and_leave_two_files(tmp_path: Path) -> None:
    shared = SharedMetrics(tmp_path)
    for times in range(1, 4):
        pid = count(tmp_path)
        before = samples(shared)
        assert before.pop("waiting") == 3
        assert before == {
            'asked_total{who="she"}': 2 * times,
            "seconds_sum": 2 * times,
            'seconds_bucket{le="1.0"}': times,
            'seconds_bucket{le="2.0"}': 2 * times,
            'seconds_bucket{le="+Inf"}': 2 * times,
            "seconds_count": 2 * times,
        }
        shared.forget(pid)
        assert samples(shared) == before, "nothing is lost, nothing doubled, no one waits"
        shared.forget(pid)
        assert len(list(tmp_path.glob("*.db"))) == 2
    assert b"# HELP asked_total Asked." in shared.exposition()
