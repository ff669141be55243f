"""The engine on a real cluster of two nodes: answers, refusals and figures of a local one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.backends.synthetic import entry_of
from models.backends.warm_up import zeros
from models.errors import ModelRunError, ModelUnavailable, UnknownModel
from models.repository import ModelEntry, ModelRepository
from models.tasks.triage import TriageTask
from models.triage.request import TriageRequest
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.engine.local import LocalEngine
from serving.engine.metrics import EngineMetrics
from serving.engine.ray_engine import open_ray_engine
from tests.cluster.conftest import NO_RAY, Nodes
from tests.cluster.engines import hosting, opened, row, settings_for, until
from tests.servers import free_port

pytest.importorskip("ray", reason=NO_RAY)
pytestmark = pytest.mark.cluster

COMPLAINTS = (
    "头痛三天，发热",
    "胸口压榨样疼痛，出冷汗",
    "my knee is swollen",
    "孩子咳嗽一周",
    "牙疼",
)


def test_the_answers_are_those_of_the_local_engine_bit_for_bit(nodes: Nodes) -> None:
    entry = ModelRepository(allow_noncommercial=True).get("department")
    task = TriageTask(entry, None)
    asked = [task.prepare(task.read(TriageRequest(text=one)))["department"] for one in COMPLAINTS]

    async def scenario() -> None:
        local = LocalEngine(settings_for("local"), EngineMetrics(CollectorRegistry()))
        await local.host(entry)
        async with opened(nodes.address) as (engine, _):
            await hosting(engine, entry)
            for tensors in asked:
                here = await local.infer(entry.identity, tensors)
                there = await engine.infer(entry.identity, tensors)
                assert here.outputs.keys() == there.outputs.keys()
                for name, output in here.outputs.items():
                    assert output.dtype == there.outputs[name].dtype
                    np.testing.assert_array_equal(output, there.outputs[name])
        await local.drain()

    asyncio.run(scenario())


def test_concurrent_callers_share_batches_in_the_replica_and_each_gets_his_own(
    nodes: Nodes,
) -> None:
    async def scenario() -> None:
        async with opened(nodes.address) as (engine, counted):
            model = await hosting(engine, "sleep:20+0.5n")
            answers = await asyncio.gather(*(engine.infer(model, row(i)) for i in range(100)))
            for i, answer in enumerate(answers):
                np.testing.assert_array_equal(answer.outputs["y"], row(i)["x"])
            await engine.infer(model, row(0))  # tells what happened in the last batch
            batches = counted("fenzhen_engine_batch_size_count")
            assert counted("fenzhen_engine_batch_size_sum") >= 100
            assert batches < 50, "the callers did not share batches"
            assert counted("fenzhen_engine_inference_seconds_sum") >= 0.02 * batches
            assert counted("fenzhen_engine_queue_seconds_count", priority="interactive") == 101
            assert counted("fenzhen_engine_waiting") == 0

    asyncio.run(scenario())


def test_what_a_queue_or_a_model_refuses_arrives_as_itself(nodes: Nodes) -> None:
    async def scenario() -> None:
        async with opened(
            nodes.address, queue_capacity=8, queue_reserved=2, max_batch=2
        ) as (engine, counted):  # fmt: skip
            slow = await hosting(engine, "sleep:400+0n")
            with pytest.raises(UnknownModel):
                await engine.infer("nobody@1", row(1))
            with pytest.raises(TooManyRows) as many:
                await engine.infer(slow, {"x": np.zeros((13, 2), np.float32)})
            assert many.value.most == 12
            await engine.infer(slow, row(1))  # it knows now how long a batch takes
            running = [asyncio.create_task(engine.infer(slow, row(i))) for i in range(5)]
            await asyncio.sleep(0.1)
            with pytest.raises(QueueFull) as late:  # the replica knows that it would be too late
                await engine.infer(slow, row(1), priority=Priority.bulk, timeout_s=0.5)
            assert late.value.retry_after_s > 0
            with pytest.raises(DeadlinePassed):
                await engine.infer(slow, row(1), priority=Priority.emergency, timeout_s=0.2)
            assert all(isinstance(one, Inference) for one in await asyncio.gather(*running))
            department = ModelRepository(allow_noncommercial=True).get("department")
            await engine.host(department)
            wrong = {
                n: np.zeros((1, 3, 3, 3), t.dtype) for n, t in zeros(department.manifest).items()
            }
            with pytest.raises(ModelRunError):
                await engine.infer(department.identity, wrong)
            reasons = ("too_many_rows", "queue_full", "deadline")
            assert [counted("fenzhen_engine_rejected_total", reason=r) for r in reasons] == [
                1,
                1,
                1,
            ]
            assert counted("fenzhen_engine_retries_total") == 0, "a refusal is never asked again"
        with pytest.raises(EngineStopped):
            await engine.infer(slow, row(1))

    asyncio.run(scenario())


def test_more_than_the_replicas_hold_are_refused_at_once_and_emergencies_have_places(
    nodes: Nodes,
) -> None:
    async def scenario() -> None:
        async with opened(
            nodes.address, queue_capacity=6, queue_reserved=2, max_batch=1
        ) as (engine, _):  # fmt: skip
            slow = await hosting(engine, "sleep:300+0n")
            running = [asyncio.create_task(engine.infer(slow, row(i))) for i in range(5)]
            await asyncio.sleep(0.05)
            started = time.monotonic()
            with pytest.raises(QueueFull) as full:
                await engine.infer(slow, row(9))
            assert time.monotonic() - started < 0.05
            assert full.value.retry_after_s > 0
            await engine.infer(slow, row(9), priority=Priority.emergency)
            await asyncio.gather(*running)

    asyncio.run(scenario())


def test_the_work_of_a_caller_who_left_is_dropped_in_the_replica(nodes: Nodes) -> None:
    async def scenario() -> None:
        async with opened(nodes.address, max_batch=1) as (engine, counted):
            slow = await hosting(engine, "sleep:500+0n")
            first = asyncio.create_task(engine.infer(slow, row(1)))
            await asyncio.sleep(0.1)  # so that it runs and the others wait
            leaving = [asyncio.create_task(engine.infer(slow, row(2))) for _ in range(8)]
            await asyncio.sleep(0.1)
            for one in leaving:
                one.cancel()
            await first
            started = time.monotonic()
            await engine.infer(slow, row(3))
            assert time.monotonic() - started < 1.2, "it stood behind what nobody waits for"
            assert counted("fenzhen_engine_rejected_total", reason="cancelled") == 8

    asyncio.run(scenario())


def test_a_model_is_taken_off_the_cluster_without_the_others(nodes: Nodes) -> None:
    async def scenario() -> None:
        async with opened(nodes.address) as (engine, _):
            echo, slow = await asyncio.gather(
                hosting(engine, "echo"), hosting(engine, "sleep:200+0n")
            )
            asked = asyncio.create_task(engine.infer(slow, row(1)))
            await asyncio.sleep(0.05)
            await engine.remove(slow)
            assert (await asked).outputs["y"][0, 0] == 1, "who asked before gets his answer"
            assert engine.models == (echo,)
            assert (await engine.infer(echo, row(2))).outputs["y"][0, 0] == 2
            with pytest.raises(UnknownModel):
                await engine.infer(slow, row(1))
            await engine.host(entry_of("sleep:200+0n"))
            assert (await engine.infer(slow, row(3))).outputs["y"][0, 0] == 3
            assert engine.alive

    asyncio.run(scenario())


def test_where_no_cluster_is_the_start_says_so_at_once() -> None:
    async def scenario() -> None:
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match=r"no Ray cluster at 127\.0\.0\.1:"):
            await open_ray_engine(settings_for(f"127.0.0.1:{free_port()}"), CollectorRegistry())
        assert time.monotonic() - started < 10

    asyncio.run(scenario())


def test_a_model_that_cannot_run_there_is_named_and_leaves_nothing(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    from serving.engine import ray_cluster

    whole = ModelRepository().get("image_kind")
    altered = ModelEntry(whole.manifest, tmp_path)
    for name in whole.manifest.files:
        (tmp_path / name).write_bytes((whole.folder / name).read_bytes() + b" ")

    async def scenario() -> None:
        async with opened(nodes.address, ray_replica_cpus=64) as (engine, _):
            monkeypatch.setattr(ray_cluster, "_START_S", 3.0)
            with pytest.raises(ModelUnavailable, match="echo@1 does not start on the Ray cluster"):
                await hosting(engine, "echo")
            assert engine.models == ()
            monkeypatch.undo()
        async with opened(nodes.address) as (engine, _):
            with pytest.raises(ModelUnavailable, match="sha256 differs from the manifest"):
                await engine.host(altered)
            await until(lambda: _is(not serve.status().applications), 30, "something is left")
            await engine.host(whole)
            assert engine.models == (whole.identity,)

    asyncio.run(scenario())


def test_a_second_server_of_the_same_name_is_turned_away(nodes: Nodes) -> None:
    script = (
        "from serving.engine.ray_cluster import Cluster\n"
        "from tests.cluster.engines import settings_for\n"
        f"Cluster(settings_for({nodes.address!r}))\n"
    )

    async def scenario() -> None:
        async with opened(nodes.address) as (engine, _):
            echo = await hosting(engine, "echo")
            second = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True
            )
            assert second.returncode != 0
            assert "a server called fenzhen is on this cluster already" in second.stderr
            assert (await engine.infer(echo, row(1))).outputs["y"][0, 0] == 1

    asyncio.run(scenario())


def test_what_a_crashed_server_left_behind_is_taken_over(nodes: Nodes) -> None:
    script = (
        "import os, asyncio\n"
        "from tests.cluster.engines import settings_for\n"
        "from serving.engine.ray_cluster import Cluster\n"
        "from models.backends.synthetic import entry_of\n"
        f"Cluster(settings_for({nodes.address!r})).deploy(entry_of('echo'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == -9

    async def scenario() -> None:
        from ray import serve

        async with opened(nodes.address) as (engine, _):
            assert not (await asyncio.to_thread(serve.status)).applications
            echo = await hosting(engine, "echo")
            assert (await engine.infer(echo, row(1))).outputs["y"][0, 0] == 1

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_second_replica_comes_under_load(nodes: Nodes) -> None:
    async def scenario() -> None:
        async with opened(nodes.address, ray_max_replicas=2, max_batch=2) as (engine, _):
            slow = await hosting(engine, "sleep:100+0n")

            async def caller() -> None:
                while True:
                    await engine.infer(slow, row(1))

            callers = [asyncio.create_task(caller()) for _ in range(16)]
            try:
                await until(lambda: _replicas(slow, 2), 60, "no second replica in a minute")
            finally:
                for one in callers:
                    one.cancel()

    asyncio.run(scenario())


async def _is(value: bool) -> bool:
    return value


async def _replicas(model: str, wanted: int) -> bool:
    from ray import serve

    application = (await asyncio.to_thread(serve.status)).applications[f"fenzhen:{model}"]
    return any(d.replica_states.get("RUNNING") == wanted for d in application.deployments.values())
