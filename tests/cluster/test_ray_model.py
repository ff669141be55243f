"""What happens around a call that the cluster answers, refuses or loses. Needs no Ray."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter

from models.backends import Tensors
from models.backends.synthetic import entry_of
from models.errors import ModelIntegrityError, ModelRunError
from models.repository import ModelRepository
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.engine.local import LocalEngine
from serving.engine.metrics import EngineMetrics, ModelMetrics
from serving.engine.ray_journal import Journal, count
from serving.engine.ray_model import Bounds, ClusterFault, RemoteModel
from serving.engine.ray_replica import SETTINGS, Reply, Shipped
from serving.processes.frames import refused_body
from serving.settings import Settings

ROW = {"x": np.array([[1.0]], dtype=np.float32)}
ANSWER = Reply(Inference({"y": ROW["x"]}, 0.001, 0.002), b"", (("batch_size", 4.0),))


class Side:
    """The server's side of a cluster that behaves as `script` says, call by call."""

    def __init__(self, *script: Reply | BaseException | float, **bounds: float) -> None:
        self.script = list(script)
        self.left: list[float | None] = []
        self.ended = 0
        self.registry = CollectorRegistry()
        retries = Counter("retries", "-", ["reason"], registry=self.registry)
        given = Bounds(**{"in_flight": 8, "reserved": 2, "patience_s": 5.0, **bounds})  # type: ignore[arg-type]
        metrics = EngineMetrics(self.registry).of("m")
        self.model = RemoteModel("m", self.call, given, metrics, retries.labels)

    async def call(self, tensors: Tensors, priority: Priority, timeout_s: float | None) -> Reply:
        self.left.append(timeout_s)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        try:
            if isinstance(step, float):
                await asyncio.sleep(step)
                return ANSWER
        finally:
            self.ended += 1
        if isinstance(step, BaseException):
            raise step
        return step

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def ask(side: Side, timeout_s: float | None = 2.0) -> Inference:
    return await side.model.infer(ROW, Priority.interactive, timeout_s)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    asyncio.run(main())


def test_a_call_that_the_cluster_lost_is_made_again_with_the_time_that_is_left() -> None:
    async def scenario() -> None:
        side = Side(ClusterFault("replica_died"), ClusterFault("answer_lost"), ANSWER)
        assert (await ask(side)).outputs["y"][0, 0] == 1
        first, second, third = side.left
        assert first is not None
        assert second is not None
        assert third is not None
        assert 2.0 >= first > second > third > 1.5
        assert side.counted("retries_total", reason="replica_died") == 1
        assert side.counted("retries_total", reason="answer_lost") == 1
        assert side.counted("fenzhen_engine_batch_size_sum", model="m") == 4

    run(scenario)


def test_a_call_that_the_cluster_cancelled_is_no_caller_who_left() -> None:
    async def scenario() -> None:
        side = Side(asyncio.CancelledError(), ANSWER)
        assert (await ask(side)).inference_s == 0.002
        assert side.counted("retries_total", reason="dropped") == 1

    run(scenario)


@pytest.mark.parametrize(
    "refusal",
    [QueueFull(1.5), DeadlinePassed("m"), EngineStopped("m"), TooManyRows(7), ModelRunError("x")],
)
def test_what_the_replica_says_is_raised_as_itself_and_never_asked_again(
    refusal: Exception,
) -> None:
    async def scenario() -> None:
        side = Side(Reply(None, refused_body(refusal), ()))
        with pytest.raises(type(refusal)) as raised:
            await ask(side)
        assert str(raised.value) == str(refusal)
        assert vars(raised.value) == vars(refusal)
        assert len(side.left) == 1

    run(scenario)


def test_retries_end_at_the_deadline_and_without_one_when_patience_does() -> None:
    async def scenario() -> None:
        for timeout_s, patience_s in ((0.3, 5.0), (None, 0.3)):
            side = Side(ClusterFault("replica_died"), patience_s=patience_s)
            started = time.monotonic()
            with pytest.raises(DeadlinePassed):
                await ask(side, timeout_s)
            assert 0.25 < time.monotonic() - started < 0.6
            assert 2 < len(side.left) < 20, "pauses grow"
            assert side.counted("fenzhen_engine_rejected_total", model="m", reason="deadline") == 1

    run(scenario)


def test_a_silent_cluster_is_left_at_the_deadline_and_the_call_is_cancelled() -> None:
    async def scenario() -> None:
        side = Side(30.0)
        with pytest.raises(DeadlinePassed):
            await ask(side, 0.1)
        await asyncio.sleep(0)
        assert side.ended == 1

    run(scenario)


def test_a_caller_who_leaves_takes_his_call_with_him() -> None:
    async def scenario() -> None:
        side = Side(30.0)
        asked = asyncio.create_task(ask(side))
        await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0)
        assert side.ended == 1
        assert side.counted("fenzhen_engine_rejected_total", model="m", reason="cancelled") == 1
        assert side.counted("fenzhen_engine_waiting", model="m") == 0

    run(scenario)


def test_draining_answers_who_was_accepted_and_takes_nobody_else() -> None:
    async def scenario() -> None:
        side = Side(0.1)
        asked = asyncio.create_task(ask(side))
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(side.model.drain())
        await asyncio.sleep(0)
        with pytest.raises(EngineStopped):
            await ask(side)
        await draining
        assert asked.done()
        assert (await asked).queue_s == 0.001

    run(scenario)


def test_an_altered_model_or_one_outside_its_folder_is_not_loaded(tmp_path: Path) -> None:
    entry = ModelRepository().get("image_kind")
    shipped = Shipped.of(entry)
    (tmp_path / "whole").mkdir()
    assert shipped.unpack(tmp_path / "whole").identity == entry.identity
    altered = {name: content + b" " for name, content in shipped.files.items()}
    with pytest.raises(ModelIntegrityError, match="sha256"):
        Shipped(shipped.manifest, altered).unpack(tmp_path)
    with pytest.raises(ModelIntegrityError, match="not inside"):
        Shipped(shipped.manifest, {"../outside": b""}).unpack(tmp_path / "whole")
    assert not (tmp_path / "outside").exists()


def test_every_setting_that_an_engine_reads_reaches_the_replica() -> None:
    class Read(Settings):
        def __getattribute__(self, name: str) -> object:
            if name in Settings.model_fields:
                read.add(name)
            return super().__getattribute__(name)

    read: set[str] = set()
    settings = Read(_env_file=None, model_workers=1)
    read.clear()

    async def scenario() -> None:
        engine = LocalEngine(settings, Journal())
        await engine.host(ModelRepository().get("image_kind"))
        await engine.host(entry_of("echo"))
        await engine.drain()

    run(scenario)
    assert read - {"model_workers"} <= set(SETTINGS)


def test_what_happens_to_batches_is_written_down_and_counted_elsewhere() -> None:
    journal, registry = Journal(), CollectorRegistry()
    metrics = journal.of("m")
    metrics.batch_size.observe(3)
    metrics.padding.inc(2)
    metrics.split_batches.inc()
    metrics.inference_seconds.observe(0.5)
    count(journal.take(), EngineMetrics(registry).of("m"))
    for sample, value in (
        ("batch_size_sum", 3),
        ("padding_elements_total", 2),
        ("split_batches_total", 1),
        ("inference_seconds_sum", 0.5),
    ):
        assert registry.get_sample_value(f"fenzhen_engine_{sample}", {"model": "m"}) == value
    assert journal.take() == (), "nothing is told twice"
    # A measure that is new in the engine is either a batch's, or known to who asks.
    batches = {"batch_size", "padding", "split_batches", "inference_seconds"}
    asked = {"queue_seconds", "waiting", "rejected"}
    assert {field.name for field in fields(ModelMetrics)} == batches | asked
