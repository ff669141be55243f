"""The async shell: batches fill while a worker is busy, errors and cancellations stay apart."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.backends import Tensor, Tensors
from models.errors import UnknownModel
from serving.engine.engine import DeadlinePassed, Engine, EngineStopped
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Limits, Priority, QueueFull


class Doubling:
    """A network that doubles, keeps the sizes of its batches and waits for a gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.batches: list[int] = []

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        self.started.set()
        assert self.gate.wait(5)
        x = inputs["x"]
        self.batches.append(len(x))
        if np.any(x < 0):
            raise ValueError("negative")
        return {"y": x * 2}  # type: ignore[operator]


def row(*values: float) -> Mapping[str, Tensor]:
    return {"x": np.array([values], dtype=np.float32)}


def engine_with(network: Doubling, **limits: int) -> Engine:
    engine = Engine(EngineMetrics(CollectorRegistry()))
    engine.add("double", network, Limits(**{"capacity": 64, "reserved": 4, **limits}))
    return engine


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 5)


def test_each_caller_gets_the_rows_that_it_sent() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        answers = await asyncio.gather(*(engine.infer("double", row(i, i + 1)) for i in range(40)))
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.outputs["y"], [[2 * i, 2 * i + 2]])
        await engine.drain()

    asyncio.run(scenario())


def test_what_arrives_while_the_worker_is_busy_shares_the_next_batch() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network, max_batch=8)
        first = asyncio.create_task(engine.infer("double", row(0)))
        await until(network.started)
        rest = [asyncio.create_task(engine.infer("double", row(i))) for i in range(1, 9)]
        await asyncio.sleep(0)
        network.gate.set()
        await asyncio.gather(first, *rest)
        assert network.batches == [1, 8]
        await engine.drain()

    asyncio.run(scenario())


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

    asyncio.run(scenario())


def test_a_failing_batch_fails_its_callers_and_the_engine_goes_on() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        with pytest.raises(ValueError, match="negative"):
            await engine.infer("double", row(-1))
        answer = await engine.infer("double", row(3))
        assert answer.outputs["y"][0, 0] == 6
        await engine.drain()

    asyncio.run(scenario())


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

    asyncio.run(scenario())


def test_a_deadline_frees_the_caller_and_the_work_is_dropped() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network)
        busy = asyncio.create_task(engine.infer("double", row(0)))
        await until(network.started)
        with pytest.raises(DeadlinePassed):
            await engine.infer("double", row(1), timeout_s=0.02)
        network.gate.set()
        await busy
        await engine.drain()
        assert network.batches == [1]

    asyncio.run(scenario())


def test_a_cancelled_caller_costs_the_others_nothing() -> None:
    async def scenario() -> None:
        network = Doubling()
        network.gate.clear()
        engine = engine_with(network)
        busy = asyncio.create_task(engine.infer("double", row(0)))
        await until(network.started)
        gone = asyncio.create_task(engine.infer("double", row(1)))
        stays = asyncio.create_task(engine.infer("double", row(2)))
        await asyncio.sleep(0)
        gone.cancel()
        network.gate.set()
        assert (await stays).outputs["y"][0, 0] == 4
        await busy
        await engine.drain()
        assert network.batches == [1, 1]

    asyncio.run(scenario())


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

    asyncio.run(scenario())


def test_an_unknown_model_is_said_so() -> None:
    async def scenario() -> None:
        engine = engine_with(Doubling())
        with pytest.raises(UnknownModel):
            await engine.infer("nobody", row(1))
        await engine.drain()

    asyncio.run(scenario())
