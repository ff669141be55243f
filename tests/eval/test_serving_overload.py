"""What the overload test calls kept and broken, and a storm against a server that can bear it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import uvloop

from eval.serving.machine import Idle, Ticks
from eval.serving.overload import CAPACITY, Storm, normal_after, storm, verdicts
from eval.serving.recording import Run
from eval.serving.requests import Body, Kind, traffic
from tests.eval.tiny_server import answer, tiny_server

SECONDS = 10.0


def run(milliseconds: list[float], status: list[int], kind: list[int] | None = None) -> Run:
    due = np.linspace(0, SECONDS, len(status), endpoint=False)
    return Run(
        due=due,
        ended=due + np.array(milliseconds) / 1e3,
        status=np.array(status),
        kind=np.array(kind or [0] * len(status)),
        seconds=SECONDS,
        waited=True,
        classes=["interactive", "emergency"],
        deadline_ms=1000,
    )


@pytest.fixture
def good() -> Storm:
    """Capacity and twice as much refused in 1 ms; emergencies wait for a batch."""
    able = int(CAPACITY * SECONDS)
    return Storm(
        calm=run([56] * 40, [200] * 40),
        storm=run(
            [700.0] * (able - 50) + [180] * 50 + [1] * 2 * able,
            [200] * able + [429] * 2 * able,
            [0] * (able - 50) + [1] * 50 + [0] * 2 * able,
        ),
        after=run([300] + [57] * 19, [200] * 20),
        memory_mb=(500, 505),
        machine=Idle(0.5, 0.0),
    )


def broken(seen: Storm) -> list[str]:
    return [one.promise for one in verdicts(seen) if not one.kept]


def test_a_server_that_keeps_its_promises(good: Storm) -> None:
    assert broken(good) == []


def test_each_promise_can_be_broken(good: Storm) -> None:
    def with_status(wanted: int, **changed: float) -> Storm:
        chosen = good.storm.status == wanted
        if "milliseconds" in changed:
            later = good.storm.due + changed["milliseconds"] / 1e3
            ended = np.where(chosen, later, good.storm.ended)
            return replace(good, storm=replace(good.storm, ended=ended))
        status = np.where(chosen, int(changed["status"]), good.storm.status)
        return replace(good, storm=replace(good.storm, status=status))

    late = broken(with_status(200, milliseconds=1100))
    assert "accepted, p99" in late
    assert "goodput of capacity" in late
    assert broken(with_status(200, milliseconds=300)) == [
        "emergency, p99: one running batch and its own"
    ]
    assert broken(with_status(429, milliseconds=6)) == ["refused (429, 503), p99"]
    assert "without an answer" in broken(with_status(429, status=0))
    assert broken(replace(good, memory_mb=(500, 600))) == ["memory at the end over early"]


def test_normal_again_is_when_the_last_strange_answer_is_over(good: Storm) -> None:
    assert normal_after(good) == pytest.approx(0.3)
    assert normal_after(replace(good, after=run([57] * 20, [200] * 20))) == 0
    never = replace(good, after=run([57] * 19 + [57], [200] * 19 + [503]))
    assert normal_after(never) is None
    assert "normal again after the storm" in broken(never)


def test_a_storm_is_measured_from_the_calm_to_the_second_after() -> None:
    weighed: list[float] = []

    def memory_mb() -> float:
        weighed.append(time.monotonic())
        return 100.0

    async def blown() -> Storm:
        async with tiny_server(lambda: (0.01, answer())) as tiny:
            sent = [Body(b"{}")]
            kinds = (Kind("emergency", 1), Kind("interactive", 4))
            return await storm(
                traffic(tiny.url, sent),
                traffic(tiny.url, sent, kinds=kinds),
                memory_mb,
                rate=100,
                seconds=2,
                deadline_ms=1000,
            )

    seen = uvloop.run(blown())
    assert seen.storm.due.size == 200
    assert seen.storm.throughput == pytest.approx(100)
    assert weighed[1] - weighed[0] == pytest.approx(1, abs=0.5)
    assert seen.after.due.min() >= seen.storm.due.max(), "the single caller comes when it is over"
    assert seen.after.due.min() - seen.storm.due.max() < 0.5


def test_idle_is_a_share_of_the_cores_that_we_may_use() -> None:
    before = Ticks.now()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    busy = Idle.between(before, Ticks.now())
    assert 0 <= busy.idle < 1
    assert Idle.between(Ticks(0, 0, 0), Ticks(50, 10, 200)) == Idle(0.25, 0.05)
