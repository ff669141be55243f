"""Replicas, processes and nodes die in the middle of a stream of requests, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from serving.engine.inference import DeadlinePassed, Inference, QueueFull
from serving.engine.ray_engine import RayEngine
from tests.cluster.conftest import NO_RAY, started
from tests.cluster.engines import hosting, opened, row, until

ray = pytest.importorskip("ray", reason=NO_RAY)
pytestmark = pytest.mark.cluster

NETWORK = "sleep:150+1n"
"""Slow enough that at every moment some are being answered."""


async def stream(
    engine: RayEngine,
    model: str,
    *,
    requests: int,
    per_s: float,
    timeout_s: float | None,
    midway: Callable[[], object],
) -> list[Inference | BaseException]:
    """What each of `requests` got, asked at a constant rate; `midway` happens after a third."""
    asked = []
    disturbed: asyncio.Task[object] | None = None
    start = time.monotonic()
    for i in range(requests):
        if i == requests // 3:
            disturbed = asyncio.create_task(asyncio.to_thread(midway))
        asked.append(asyncio.create_task(engine.infer(model, row(i), timeout_s=timeout_s)))
        await asyncio.sleep(max(0.0, start + (i + 1) / per_s - time.monotonic()))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert disturbed is not None
    await disturbed
    return answers


def own_answers(answers: list[Inference | BaseException]) -> int:
    """How many got their answer; each is the one that was asked for."""
    for i, answer in enumerate(answers):
        if isinstance(answer, Inference):
            np.testing.assert_array_equal(answer.outputs["y"], row(i)["x"])
    return sum(isinstance(answer, Inference) for answer in answers)


def test_a_node_that_dies_with_one_of_two_replicas_costs_nobody_his_answer() -> None:
    async def scenario() -> None:
        with started(1, 1) as nodes:
            (doomed,) = nodes.cluster.worker_nodes
            async with opened(
                nodes.address, ray_min_replicas=2, ray_max_replicas=2, ray_replica_cpus=1
            ) as (engine, counted):  # fmt: skip
                model = await hosting(engine, NETWORK)
                await until(lambda: _nodes_with_replicas(2), 30, "both nodes should have one")
                answers = await stream(
                    engine, model, requests=300, per_s=60, timeout_s=20,
                    midway=lambda: nodes.kill(doomed),
                )  # fmt: skip
                assert own_answers(answers) == 300, Counter(map(repr, answers)).most_common(3)
                assert counted("fenzhen_engine_retries_total") > 0, "nothing was lost midway"
                assert engine.alive

    asyncio.run(scenario())


def test_a_node_that_dies_with_the_only_replica_is_outlasted_by_those_with_time() -> None:
    async def scenario() -> None:
        with started(0, 1) as nodes:
            (doomed,) = nodes.cluster.worker_nodes
            async with opened(nodes.address, ray_replica_cpus=1) as (engine, counted):
                model = await hosting(engine, NETWORK)
                nodes.add(1)  # room for another replica

                hurried = asyncio.create_task(
                    stream(engine, model, requests=60, per_s=30, timeout_s=1, midway=time.monotonic)
                )
                answers = await stream(
                    engine, model, requests=90, per_s=30, timeout_s=60,
                    midway=lambda: nodes.kill(doomed),
                )  # fmt: skip
                assert own_answers(answers) == 90, Counter(map(repr, answers)).most_common(3)
                assert counted("fenzhen_engine_retries_total") > 0, "nothing was lost midway"
                for answer in await hurried:
                    assert isinstance(answer, Inference | DeadlinePassed | QueueFull)

    asyncio.run(scenario())


def test_a_replica_that_is_killed_is_replaced_and_batches_without_a_deadline_wait() -> None:
    async def scenario() -> None:
        with started(2, 1) as nodes:
            async with opened(nodes.address) as (engine, counted):
                model = await hosting(engine, NETWORK)
                pid = _replica_pid()
                answers = await stream(
                    engine, model, requests=60, per_s=30, timeout_s=None,
                    midway=lambda: os.kill(pid, signal.SIGKILL),
                )  # fmt: skip
                assert own_answers(answers) == 60, Counter(map(repr, answers)).most_common(3)
                assert counted("fenzhen_engine_retries_total") > 0, "nothing was lost midway"

    asyncio.run(scenario())


def test_without_any_node_requests_end_at_their_deadline_and_do_not_pile_up() -> None:
    async def scenario() -> None:
        with started(0, 1) as nodes:
            (doomed,) = nodes.cluster.worker_nodes
            async with opened(
                nodes.address, ray_replica_cpus=1, queue_capacity=8, queue_reserved=2, max_batch=2
            ) as (engine, _):  # fmt: skip
                model = await hosting(engine, NETWORK)
                await asyncio.to_thread(nodes.kill, doomed)
                began = time.monotonic()
                answers = await asyncio.gather(
                    *(engine.infer(model, row(i), timeout_s=2) for i in range(50)),
                    return_exceptions=True,
                )
                assert time.monotonic() - began < 3
                kinds = Counter(type(answer).__name__ for answer in answers)
                assert kinds == {"DeadlinePassed": 8, "QueueFull": 42}
                await until(lambda: _is(not engine.alive), 30, "it says that it answers")

    asyncio.run(scenario())


async def _is(value: bool) -> bool:
    return value


async def _nodes_with_replicas(wanted: int) -> bool:
    return len({one["node_id"] for one in _replicas()}) == wanted


def _replica_pid() -> int:
    (replica,) = _replicas()
    return int(replica["pid"])


def _replicas() -> list[dict[str, str]]:
    """Where the replicas run, as Ray Serve knows it."""
    from ray.serve.context import _get_global_client

    return [
        replica
        for application in _get_global_client().get_serve_details()["applications"].values()
        for deployment in application["deployments"].values()
        for replica in deployment["replicas"]
        if replica["state"] == "RUNNING"
    ]
