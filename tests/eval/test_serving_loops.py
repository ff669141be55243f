"""Closed and open loop against a real server whose delays are known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import uvloop

from eval.serving import loops
from eval.serving.processes import free_port
from eval.serving.recording import Run
from eval.serving.requests import Body, Kind, Traffic, traffic
from tests.eval.tiny_server import Answer, Tiny, answer, stall, tiny_server

Work = Callable[[Traffic], Coroutine[Any, Any, Run]]
STALL_S = 0.2


def asked(
    answers: Answer, work: Work, kinds: tuple[Kind, ...] = (Kind("all"),)
) -> tuple[Run, Tiny]:
    async def both() -> tuple[Run, Tiny]:
        async with tiny_server(answers) as tiny:
            return await work(traffic(tiny.url, [Body(b"{}")], kinds=kinds)), tiny

    return uvloop.run(both())


def test_an_open_loop_counts_a_stall_for_all_who_came_during_it() -> None:
    """Of 100 requests a second, 20 fall into 200 ms; they wait 200, 190, ... 10 ms."""
    run, _ = asked(
        stall(0.5, STALL_S), lambda sent: loops.opened(sent, rate=100, seconds=1.5, connections=64)
    )
    assert run.throughput == pytest.approx(100)
    assert (run.milliseconds > 50).sum() >= 14
    latency = run.latency()
    assert latency
    assert latency.quantiles["p99"] > 0.85 * STALL_S * 1e3


def test_a_closed_loop_sees_the_same_stall_once() -> None:
    """Why the open loop: the caller who waits asks nobody meanwhile, and the p99 looks well."""
    run, _ = asked(stall(0.5, STALL_S), lambda sent: loops.closed(sent, callers=1, seconds=1.5))
    assert (run.milliseconds > 100).sum() == 1
    latency = run.latency()
    assert latency
    assert latency.quantiles["p99"] < 0.5 * STALL_S * 1e3


def test_an_open_loop_counts_the_wait_for_a_connection() -> None:
    """One connection, 50 ms an answer, twice as many requests as that allows: waits grow."""
    run, tiny = asked(
        lambda: (0.05, answer()), lambda sent: loops.opened(sent, rate=40, seconds=1, connections=1)
    )
    assert tiny.connections == 1
    assert run.due.size == 40
    first_to_last = run.milliseconds[np.argsort(run.due)]
    assert first_to_last[0] < 100
    assert first_to_last[-1] > 39 * 50 - 39 * 25


def test_the_rate_is_kept_whatever_the_server_does() -> None:
    run, tiny = asked(lambda: (0.5, answer()), lambda sent: loops.opened(sent, rate=200, seconds=1))
    assert run.due.size == len(tiny.heads) == 200
    assert np.diff(np.sort(run.due)) == pytest.approx(np.full(199, 1 / 200))
    assert run.milliseconds.min() >= 499


def test_a_closed_loop_has_so_many_callers_and_no_more() -> None:
    run, tiny = asked(
        lambda: (0.05, answer()), lambda sent: loops.closed(sent, callers=4, seconds=1, warm_s=0.2)
    )
    assert tiny.connections == 4
    assert run.throughput == pytest.approx(80, abs=12)
    assert len(tiny.heads) > run.due.size, "the warm-up is asked and not counted"


def test_lost_connections_are_errors_and_are_made_anew() -> None:
    fate = cycle([answer(), b"", answer(429)])
    run, tiny = asked(
        lambda: (0.0, next(fate)), lambda sent: loops.closed(sent, callers=1, seconds=0.5)
    )
    statuses = run.statuses()
    assert set(statuses) == {0, 200, 429}
    assert tiny.connections == pytest.approx(statuses[0] + 1, abs=1)
    assert run.throughput == pytest.approx(statuses[200] / 0.5)


def test_who_never_answers_is_counted_at_the_end() -> None:
    run, _ = asked(
        lambda: (60, answer()),
        lambda sent: loops.opened(sent, rate=20, seconds=0.5, drain_s=0.2),
    )
    assert run.statuses() == {0: 10}
    assert run.milliseconds.min() > 200
    assert run.latency() is None


@pytest.mark.parametrize("how", ["open", "closed"])
def test_a_server_that_is_not_there_is_no_answer(how: str) -> None:
    sent = traffic(f"http://127.0.0.1:{free_port()}/", [Body(b"")])
    if how == "open":
        run = uvloop.run(loops.opened(sent, rate=50, seconds=0.4))
        assert run.statuses() == {0: 20}
    else:
        run = uvloop.run(loops.closed(sent, callers=2, seconds=0.4))
        assert set(run.statuses()) == {0}
        assert run.due.size <= 2 * (0.4 / 0.05 + 1), "a refused caller waits before he asks again"


def test_classes_come_in_their_shares_with_their_headers() -> None:
    kinds = (Kind("emergency", 1, {"X-Priority": "emergency"}), Kind("bulk", 3))
    run, tiny = asked(
        lambda: (0.0, answer()), lambda sent: loops.opened(sent, rate=400, seconds=1), kinds
    )
    marked = sum(b"X-Priority: emergency" in head for head in tiny.heads)
    assert marked == pytest.approx(100, abs=30)
    emergency = run.latency(kind="emergency")
    assert emergency
    assert emergency.count == marked


def test_interrupting_a_run_leaves_no_connection() -> None:
    async def interrupted() -> int:
        async with tiny_server(lambda: (0.01, answer())) as tiny:
            sent = traffic(tiny.url, [Body(b"")])
            running = asyncio.create_task(loops.opened(sent, rate=100, seconds=60))
            await asyncio.sleep(0.2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            before = len(tiny.heads)
            await asyncio.sleep(0.2)
            return len(tiny.heads) - before

    assert uvloop.run(interrupted()) == 0
