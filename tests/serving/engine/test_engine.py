"""The async shell: batches fill while a worker is busy, errors and cancellations stay apart."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping

import numpy as np
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from models.backends import Tensor, Tensors
from models.errors import UnknownModel
from serving.engine.engine import Engine
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Limits
from serving.engine.worker import Worker


class Doubling:
    """A network that doubles, keeps the sizes of its batches and waits for a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.batches: list[int] = []
        self.closed = False

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        self.started.set()
        assert self.gate.wait(5)
        x = inputs["x"]
        self.batches.append(len(x))
        if np.any(x < 0):
            raise ValueError("negative")
        return {"y": x * 2}  # type: ignore[operator]

    def close(self) -> None:
        self.closed = True


def row(*values: float) -> Mapping[str, Tensor]:
    return {"x": np.array([values], dtype=np.float32)}


def engine_with(network: Doubling, **limits: int) -> Engine:
    engine = Engine(EngineMetrics(CollectorRegistry()))
    engine.add("double", [Worker(network)], Limits(**{"capacity": 64, "reserved": 4, **limits}))
    return engine


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 5)


async def occupied(**limits: int) -> tuple[Doubling, Engine, asyncio.Task[Inference]]:
    """A network that is busy with its first request until its gate opens."""
    network = Doubling()
    network.gate.clear()
    engine = engine_with(network, **limits)
    busy = asyncio.create_task(engine.infer("double", row(0)))
    await until(network.started)
    return network, engine, busy


def test_each_caller_gets_the_rows_that_it_sent() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        answers = await asyncio.gather(*(engine.infer("double", row(i, i + 1)) for i in range(40)))
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.outputs["y"], [[2 * i, 2 * i + 2]])
        await engine.drain()

    uvloop.run(scenario())


def test_what_arrives_while_the_worker_is_busy_shares_the_next_batch() -> None:
    async def scenario() -> None:
        network, engine, first = await occupied(max_batch=8)
        rest = [asyncio.create_task(engine.infer("double", row(i))) for i in range(1, 9)]
        await asyncio.sleep(0)
        network.gate.set()
        await asyncio.gather(first, *rest)
        assert network.batches == [1, 8]
        await engine.drain()

    uvloop.run(scenario())


def test_rows_of_different_length_are_padded_and_cut_to_their_own_rows() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network)
        busy = asyncio.create_task(engine.infer("double", row(1)))
        await until(network.started)
        pair = [engine.infer("double", row(1, 2, 3)), engine.infer("double", row(5))]
        tasks = [asyncio.create_task(p) for p in pair]
        await asyncio.sleep(0)
        network.gate.set()
        long, short = await asyncio.gather(*tasks)
        await busy
        np.testing.assert_array_equal(long.outputs["y"], [[2, 4, 6]])
        assert short.outputs["y"][0, 0] == 10
        await engine.drain()

    uvloop.run(scenario())


def test_a_failing_batch_fails_its_callers_and_the_engine_goes_on() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        with pytest.raises(ValueError, match="negative"):
            await engine.infer("double", row(-1))
        answer = await engine.infer("double", row(3))
        assert answer.outputs["y"][0, 0] == 6
        await engine.drain()

    uvloop.run(scenario())


def test_a_full_queue_refuses_at_once_but_still_takes_an_emergency() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network, capacity=4, reserved=1)
        tasks = [asyncio.create_task(engine.infer("double", row(0)))]
        await until(network.started)
        tasks += [asyncio.create_task(engine.infer("double", row(i))) for i in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await engine.infer("double", row(9))
        urgent = engine.infer("double", row(7), priority=Priority.emergency)
        tasks.append(asyncio.create_task(urgent))
        await asyncio.sleep(0)
        network.gate.set()
        answers = await asyncio.gather(*tasks)
        assert answers[-1].outputs["y"][0, 0] == 14
        await engine.drain()

    uvloop.run(scenario())


def test_a_deadline_frees_the_caller_and_the_work_is_dropped() -> None:
    async def scenario() -> None:
        network, engine, busy = await occupied()
        with pytest.raises(DeadlinePassed):
            await engine.infer("double", row(1), timeout_s=0.02)
        network.gate.set()
        await busy
        await engine.drain()
        assert network.batches == [1]

    uvloop.run(scenario())


def test_a_cancelled_caller_costs_the_others_nothing() -> None:
    async def scenario() -> None:
        network, engine, busy = await occupied()
        gone = asyncio.create_task(engine.infer("double", row(1)))
        stays = asyncio.create_task(engine.infer("double", row(2)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        network.gate.set()
        assert (await stays).outputs["y"][0, 0] == 4
        await busy
        await engine.drain()
        assert network.batches == [1, 1]

    uvloop.run(scenario())


def test_draining_finishes_what_waits_and_takes_nothing_new() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network)
        tasks = [asyncio.create_task(engine.infer("double", row(i))) for i in range(5)]
        await until(network.started)
        drained = asyncio.create_task(engine.drain())
        await asyncio.sleep(0)
        with pytest.raises(EngineStopped):
            await engine.infer("double", row(9))
        network.gate.set()
        assert len(await asyncio.gather(*tasks)) == 5
        await drained

    uvloop.run(scenario())


def test_an_unknown_model_is_said_so() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        with pytest.raises(UnknownModel):
            await engine.infer("nobody", row(1))
        await engine.drain()

    uvloop.run(scenario())


def test_a_request_of_many_rows_runs_in_parts_and_comes_back_whole_and_in_order() -> None:
    async def scenario() -> None:
        network = Doubling()
        engine = engine_with(network, max_batch=8)
        x = np.arange(50, dtype=np.float32).reshape(25, 2)
        answer = await engine.infer("double", {"x": x})
        np.testing.assert_array_equal(answer.outputs["y"], x * 2)
        assert sum(network.batches) == 25
        assert max(network.batches) <= 8
        await engine.drain()

    uvloop.run(scenario())


def test_a_request_whose_part_fails_fails_as_one_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        network = Doubling()
        engine = engine_with(network, max_batch=2)
        x = np.ones((10, 1), dtype=np.float32)
        x[5] = -1
        with pytest.raises(ValueError, match="negative"):
            await engine.infer("double", {"x": x})
        await engine.drain()
        assert sum(network.batches) <= 10

    uvloop.run(scenario())


def test_a_request_that_could_never_wait_here_is_told_how_large_it_may_be() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling(), capacity=8, reserved=4, max_batch=2)
        with pytest.raises(TooManyRows) as refused:
            await engine.infer("double", {"x": np.ones((9, 1), dtype=np.float32)})
        assert refused.value.most == 8
        assert (await engine.infer("double", {"x": np.ones((8, 1), np.float32)})).outputs
        await engine.drain()

    uvloop.run(scenario())


def test_several_workers_run_at_once() -> None:
    async def scenario() -> None:
        networks = [Doubling(), Doubling()]
        for network in networks:
            network.gate.clear()
        engine = Engine(EngineMetrics(CollectorRegistry()))
        engine.add("double", [Worker(network) for network in networks], Limits(max_batch=1))
        tasks = [asyncio.create_task(engine.infer("double", row(i))) for i in range(2)]
        for network in networks:
            await until(network.started)
            network.gate.set()
        assert [(await task).outputs["y"][0, 0] for task in tasks] == [0, 2]
        await engine.drain()

    uvloop.run(scenario())


def test_a_pinned_worker_keeps_to_its_cores() -> None:
    class Where:
        cores: set[int]

        def run(self, inputs: Tensors) -> dict[str, Tensor]:
            self.cores = os.sched_getaffinity(0)
            return dict(inputs)

        def close(self) -> None:
            pass

    async def scenario() -> None:
        network = Where()
        engine = Engine(EngineMetrics(CollectorRegistry()))
        mine = min(os.sched_getaffinity(0))
        engine.add("where", [Worker(network, (mine,))], Limits())
        await engine.infer("where", row(1))
        assert network.cores == {mine}
        assert os.sched_getaffinity(0) != {mine} or len(os.sched_getaffinity(0)) == 1
        await engine.drain()

    uvloop.run(scenario())


def test_a_model_that_is_taken_out_answers_what_it_had_and_another_takes_over() -> None:
    async def scenario() -> None:
        old = Doubling()
        old.gate.clear()
        engine = engine_with(old)
        waiting = [asyncio.create_task(engine.infer("double", row(i))) for i in range(5)]
        await until(old.started)
        leaving = asyncio.create_task(engine.remove("double"))
        await asyncio.sleep(0)
        with pytest.raises(UnknownModel):
            await engine.infer("double", row(1))
        engine.add("double", [Worker(Doubling())], Limits())
        assert (await engine.infer("double", row(4))).outputs["y"][0, 0] == 8
        old.gate.set()
        await leaving
        assert old.closed
        assert [(await one).outputs["y"][0, 0] for one in waiting] == [0, 2, 4, 6, 8]
        await engine.drain()

    uvloop.run(scenario())


def test_a_caller_whose_deadline_passes_while_his_batch_runs_is_told_then() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network)
        with pytest.raises(DeadlinePassed):
            await engine.infer("double", row(1), timeout_s=0.05)
        network.gate.set()
        assert (await engine.infer("double", row(2), timeout_s=5)).outputs["y"][0, 0] == 4
        await engine.drain()

    uvloop.run(scenario())


def test_under_a_storm_everyone_is_answered_rightly_or_refused_and_nothing_is_left() -> None:
    async def scenario() -> None:
        network = Doubling()
        engine = engine_with(network, capacity=32, reserved=8, max_batch=4)
        rng = np.random.default_rng(3)
        priorities = rng.choice(list(Priority), 600)

        async def call(i: int) -> str:
            await asyncio.sleep(rng.random() * 0.05)
            asked = engine.infer(
                "double", row(i), priority=Priority(priorities[i]), timeout_s=rng.random() * 0.02
            )
            task = asyncio.ensure_future(asked)
            if i % 7 == 0:
                asyncio.get_running_loop().call_later(0.001, task.cancel)
            try:
                answer: Inference = await task
            except (QueueFull, DeadlinePassed, asyncio.CancelledError) as refused:
                return type(refused).__name__
            assert answer.outputs["y"].tolist() == [[2 * i]]
            return "answered"

        outcomes = await asyncio.gather(*(call(i) for i in range(600)))
        assert len(outcomes) == 600
        assert outcomes.count("answered") > 50
        queue = engine._queues["double"]
        await engine.drain()
        assert not queue._requests
        assert len(queue._scheduler) == 0

    uvloop.run(scenario())


def test_one_bad_request_costs_the_others_of_its_batch_nothing() -> None:
    async def scenario() -> None:
        network, engine, busy = await occupied()
        tasks = [asyncio.create_task(engine.infer("double", row(i))) for i in (1, -1, 2, 3)]
        await asyncio.sleep(0)
        network.gate.set()
        answers = await asyncio.gather(busy, *tasks, return_exceptions=True)
        assert isinstance(answers.pop(2), ValueError)
        assert [a.outputs["y"][0, 0] for a in answers] == [0, 2, 4, 6]  # type: ignore[union-attr]
        assert network.batches == [1, 4, 1, 1, 1, 1]
        await engine.drain()

    uvloop.run(scenario())


def test_the_place_of_a_caller_who_went_away_is_free_at_once() -> None:
    async def scenario() -> None:
        network, engine, busy = await occupied(capacity=3, reserved=1)
        leaving = [asyncio.create_task(engine.infer("double", row(i))) for i in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await engine.infer("double", row(3))
        for one in leaving:
            one.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        stays = [asyncio.create_task(engine.infer("double", row(i))) for i in (4, 5)]
        await asyncio.sleep(0)
        network.gate.set()
        assert [(await one).outputs["y"][0, 0] for one in (busy, *stays)] == [0, 8, 10]
        await engine.drain()

    uvloop.run(scenario())
