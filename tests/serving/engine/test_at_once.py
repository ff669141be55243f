"""A network that is faster than waking a thread runs where the request stands."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from models.backends import Tensor, Tensors
from models.backends.synthetic import Synthetic, entry_of
from serving.engine.engine import Engine
from serving.engine.inference import EngineStopped
from serving.engine.local import LocalEngine
from serving.engine.metrics import EngineMetrics
from serving.engine.model_queue import ModelQueue
from serving.engine.scheduler import Limits
from serving.engine.tuning import instant
from serving.engine.worker import Worker
from serving.settings import Settings


class Where:
    """Says in which thread each batch was run."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        self.threads.append(threading.current_thread().name)
        if np.any(inputs["x"] < 0):
            raise ValueError("negative")
        return dict(inputs)

    def close(self) -> None:
        """Nothing to free."""


def rows(count: int, length: int) -> dict[str, Tensor]:
    return {"x": np.ones((count, length), dtype=np.float32)}


def test_small_requests_run_here_and_larger_ones_in_a_worker() -> None:
    async def scenario() -> None:
        network = Where()
        engine = Engine(EngineMetrics(CollectorRegistry()))
        engine.add("where", [Worker(network)], Limits(), at_once=8)
        for request in (rows(1, 8), rows(2, 4), rows(1, 9), rows(2, 8)):
            answer = await engine.infer("where", request)
            np.testing.assert_array_equal(answer.outputs["x"], request["x"])
        here = threading.current_thread().name
        assert network.threads == [here, here, "model-where", "model-where"]
        with pytest.raises(ValueError, match="negative"):
            await engine.infer("where", {"x": -np.ones((1, 1), dtype=np.float32)})
        await engine.drain()

    uvloop.run(scenario())


def test_a_stopping_queue_takes_nothing_here_either() -> None:
    async def scenario() -> None:
        queue = ModelQueue(
            "where", [Worker(Where())], Limits(), EngineMetrics(CollectorRegistry()), at_once=8
        )
        await queue.drain()
        with pytest.raises(EngineStopped):
            await queue.infer(rows(1, 1), 0, None)  # type: ignore[arg-type]

    uvloop.run(scenario())


def test_only_a_network_that_is_quick_enough_is_instant() -> None:
    assert instant(Synthetic(entry_of("echo").manifest), entry_of("echo").manifest) > 0
    slow = entry_of("sleep:1+0n").manifest
    assert instant(Synthetic(slow), slow) == 0


def test_an_engine_finds_out_by_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        settings = Settings(var=tmp_path, _env_file=None)  # type: ignore[call-arg]
        engine = LocalEngine(settings, EngineMetrics(CollectorRegistry()))
        await asyncio.gather(*(engine.host(entry_of(one)) for one in ("echo", "sleep:5+0n")))
        echo = await engine.infer("echo@1", rows(1, 4))
        assert echo.queue_s == 0.0
        sleep = await engine.infer("sleep@1", rows(1, 4))
        assert sleep.queue_s > 0.0
        assert sleep.inference_s >= 0.005
        await engine.drain()

    uvloop.run(scenario())
