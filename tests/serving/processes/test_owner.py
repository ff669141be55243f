"""The owner and its clients over a real socket: the promise of the engine holds across it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import uvloop
from prometheus_client import CollectorRegistry

from models.backends.synthetic import entry_of
from models.errors import ModelRunError, UnknownModel
from models.repository import ModelEntry
from serving.engine.engine import Engine
from serving.engine.inference import DeadlinePassed, EngineStopped, Priority, QueueFull, TooManyRows
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Limits
from serving.engine.worker import Worker
from serving.processes.client import OwnerClient
from serving.processes.frames import HEADER, Kind
from serving.processes.owner import Owner, serve
from tests.serving.engine.test_engine import Doubling, row, until

ENTRY = entry_of("echo")
MODEL = ENTRY.identity
SOON_S = 5.0


class Doubler(Engine):
    """Every model that it hosts is the same doubling network."""

    def __init__(self, network: Doubling, limits: Limits) -> None:
        super().__init__(EngineMetrics(CollectorRegistry()))
        self.network, self.limits = network, limits

    async def host(self, entry: ModelEntry) -> None:
        if entry.identity not in self.models:
            self.add(entry.identity, [Worker(self.network)], self.limits)


@dataclass
class Place:
    """A socket that outlives the owners behind it, as the supervisor's does."""

    path: Path
    listening: socket.socket
    network: Doubling = field(default_factory=Doubling)
    limits: Limits = field(default_factory=lambda: Limits(capacity=64, reserved=4))
    owner: Owner | None = None
    _serving: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def start_owner(self) -> None:
        self._stop = asyncio.Event()
        self.owner = Owner(Doubler(self.network, self.limits), lambda _identity: ENTRY)  # type: ignore[arg-type]
        self._serving = asyncio.create_task(serve(self.owner, self.listening.dup(), self._stop))

    async def kill_owner(self) -> None:
        """All his connections break; nothing is said and nothing finished."""
        assert self.owner is not None
        assert self._serving is not None
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)
        for client in tuple(self.owner._clients):
            assert client.wire._transport is not None
            client.wire._transport.abort()

    async def end_owner(self) -> None:
        assert self._serving is not None
        self._stop.set()
        await self._serving

    async def client(self, room: int = 64) -> OwnerClient:
        made = OwnerClient(self.path, room=room)
        await made.host(ENTRY)
        return made


@asynccontextmanager
async def place(**limits: int) -> AsyncIterator[Place]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = Path(folder) / "engine.sock"
        listening.bind(str(path))
        listening.listen(16)
        made = Place(path, listening, limits=Limits(**{"capacity": 64, "reserved": 4, **limits}))
        made.start_owner()
        yield made


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(30):
            await scenario()

    uvloop.run(in_time())


async def comes_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.01)


def test_each_caller_of_each_client_gets_the_rows_that_he_sent() -> None:
    async def scenario() -> None:
        async with place() as here:
            clients = [await here.client() for _ in range(3)]
            answers = await asyncio.gather(
                *(clients[i % 3].infer(MODEL, row(i, i + 1)) for i in range(60))
            )
            for i, answer in enumerate(answers):
                np.testing.assert_array_equal(answer.outputs["y"], [[2 * i, 2 * i + 2]])
                assert answer.inference_s > 0
            for client in clients:
                await client.drain()
            await here.end_owner()

    run(scenario)


def test_requests_of_several_clients_share_a_batch() -> None:
    async def scenario() -> None:
        async with place(max_batch=8) as here:
            first, second = await here.client(), await here.client()
            here.network.gate.clear()
            here.network.started.clear()
            running = asyncio.create_task(first.infer(MODEL, row(0)))
            await until(here.network.started)
            waiting = [
                asyncio.create_task(client.infer(MODEL, row(i)))
                for i in range(4)
                for client in (first, second)
            ]
            await comes_true(lambda: waits(here) == 8)
            here.network.gate.set()
            await asyncio.gather(running, *waiting)
            assert here.network.batches == [1, 8]

    run(scenario)


def waits(here: Place) -> int:
    assert here.owner is not None
    engine = here.owner.engine
    assert isinstance(engine, Doubler)
    return sum(len(queue._scheduler) for queue in engine._queues.values())


def test_a_large_image_comes_back_as_it_went() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client()
            image = np.random.default_rng(1).random((1, 3, 700, 700), dtype=np.float32)
            answer = await client.infer(MODEL, {"x": image})
            np.testing.assert_array_equal(answer.outputs["y"], image * 2)

    run(scenario)


def test_a_caller_who_goes_away_frees_his_place() -> None:
    async def scenario() -> None:
        async with place(max_batch=1) as here:
            client = await here.client()
            here.network.gate.clear()
            here.network.started.clear()
            running = asyncio.create_task(client.infer(MODEL, row(0)))
            await until(here.network.started)
            gone = asyncio.create_task(client.infer(MODEL, row(1)))
            await comes_true(lambda: waits(here) == 1)
            gone.cancel()
            await comes_true(lambda: waits(here) == 0)
            here.network.gate.set()
            await running
            assert here.network.batches == [1]

    run(scenario)


def test_a_client_that_is_gone_leaves_nothing_waiting() -> None:
    async def scenario() -> None:
        async with place(max_batch=1) as here:
            staying, leaving = await here.client(), await here.client()
            here.network.gate.clear()
            here.network.started.clear()
            running = asyncio.create_task(staying.infer(MODEL, row(0)))
            await until(here.network.started)
            lost = [asyncio.create_task(leaving.infer(MODEL, row(i))) for i in range(5)]
            await comes_true(lambda: waits(here) == 5)
            assert leaving._wire is not None
            leaving._connecting.cancel()
            leaving._wire.close()
            await comes_true(lambda: waits(here) == 0)
            here.network.gate.set()
            await running
            for one in lost:
                one.cancel()

    run(scenario)


def test_refusals_arrive_as_themselves() -> None:
    async def scenario() -> None:
        async with place(capacity=2, reserved=1, max_batch=1) as here:
            client = await here.client()
            with pytest.raises(UnknownModel):
                await client.infer("other@1", row(0))
            with pytest.raises(ModelRunError):
                await client.infer(MODEL, row(-1))
            with pytest.raises(TooManyRows) as large:
                await client.infer(MODEL, {"x": np.zeros((5, 1), np.float32)})
            assert large.value.most == 1
            with pytest.raises(ModelRunError):
                await client.infer(MODEL, {"x": np.array([["a"]], dtype=object)})
            here.network.gate.clear()
            here.network.started.clear()
            running = asyncio.create_task(client.infer(MODEL, row(0)))
            await until(here.network.started)
            late = asyncio.create_task(client.infer(MODEL, row(1), timeout_s=0.05))
            with pytest.raises(DeadlinePassed):
                await late
            waiting = asyncio.create_task(client.infer(MODEL, row(1)))
            await comes_true(lambda: waits(here) == 1)
            with pytest.raises(QueueFull) as full:
                await client.infer(MODEL, row(2))
            assert full.value.retry_after_s >= 0
            urgent = asyncio.create_task(client.infer(MODEL, row(3), priority=Priority.emergency))
            await comes_true(lambda: waits(here) == 2)
            here.network.gate.set()
            await asyncio.gather(running, waiting, urgent)
            await client.drain()
            with pytest.raises(EngineStopped):
                await client.infer(MODEL, row(0))

    run(scenario)


def test_what_was_asked_of_an_owner_who_died_is_asked_again_of_the_next() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client()
            broken, here.network = here.network, Doubling()
            broken.gate.clear()
            asked = [
                asyncio.create_task(client.infer(MODEL, row(i), timeout_s=9)) for i in range(8)
            ]
            await until(broken.started)
            urgent = asyncio.create_task(client.infer(MODEL, row(9), priority=Priority.emergency))
            await asyncio.sleep(0.05)
            await here.kill_owner()
            with pytest.raises(ModelRunError):
                await urgent
            await comes_true(lambda: not client.alive)
            with pytest.raises(ModelRunError):  # nor does one that comes now wait
                await client.infer(MODEL, row(9), priority=Priority.emergency)
            later = asyncio.create_task(client.infer(MODEL, row(8), timeout_s=9))
            here.start_owner()
            answers = await asyncio.gather(*asked, later)
            for i, answer in enumerate(answers):
                np.testing.assert_array_equal(answer.outputs["y"], [[2 * i]])
            assert client.alive
            broken.gate.set()

    run(scenario)


def test_while_the_owner_is_away_deadlines_hold_and_the_queue_is_bounded() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client(room=3)
            await here.kill_owner()
            await comes_true(lambda: not client.alive)
            waiting = [
                asyncio.create_task(client.infer(MODEL, row(i), timeout_s=0.3)) for i in range(3)
            ]
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await client.infer(MODEL, row(3))
            for one in waiting:
                with pytest.raises(DeadlinePassed):
                    await one

    run(scenario)


def test_a_request_that_ended_two_owners_does_not_end_a_third() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client()
            first, here.network = here.network, Doubling()
            second, asked = here.network, asyncio.create_task(client.infer(MODEL, row(1)))
            for network in (first, second):
                network.gate.clear()
                await until(network.started)
                await here.kill_owner()
                here.start_owner()
            with pytest.raises(ModelRunError):
                await asked
            first.gate.set()
            second.gate.set()

    run(scenario)


def test_a_malformed_frame_ends_its_connection_and_nothing_else() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client()
            for wrong in (
                b"\xff" * 64,
                HEADER.pack(5, Kind.infer, 1) + b"short",
                HEADER.pack(0, Kind.result, 1),
                HEADER.pack(300, Kind.host, 1) + b"x" * 300,
            ):
                reader, writer = await asyncio.open_unix_connection(str(here.path))
                writer.write(wrong)
                assert await reader.read() == b""
                writer.close()
            np.testing.assert_array_equal((await client.infer(MODEL, row(4))).outputs["y"], [[8]])

    run(scenario)


def test_a_model_goes_when_the_last_client_that_holds_it_lets_go() -> None:
    async def scenario() -> None:
        async with place() as here:
            first, second = await here.client(), await here.client()
            assert here.owner is not None
            await first.remove(MODEL)
            np.testing.assert_array_equal((await second.infer(MODEL, row(4))).outputs["y"], [[8]])
            await second.remove(MODEL)
            await comes_true(lambda: here.owner is not None and here.owner.engine.models == ())

    run(scenario)


def test_what_one_process_puts_in_service_the_others_hear_of_once() -> None:
    async def scenario() -> None:
        async with place() as here:
            heard: list[tuple[int, str]] = []
            new = entry_of("sleep:0+0n")
            clients = [await here.client() for _ in range(3)]
            for i, client in enumerate(clients):

                async def reload(name: str, i: int = i, client: OwnerClient = client) -> None:
                    heard.append((i, name))
                    await client.host(new)

                client.follow(reload)
            await clients[0].host(new)
            await comes_true(lambda: all(new.identity in client.models for client in clients))
            await asyncio.sleep(0.05)
            assert sorted(heard) == [(1, "sleep"), (2, "sleep")]

    run(scenario)


def test_an_owner_who_is_told_to_stop_finishes_what_his_clients_asked() -> None:
    async def scenario() -> None:
        async with place() as here:
            client = await here.client()
            here.network.gate.clear()
            asked = [asyncio.create_task(client.infer(MODEL, row(i))) for i in range(5)]
            await until(here.network.started)
            ending = asyncio.create_task(here.end_owner())
            leaving = asyncio.create_task(client.drain())
            await asyncio.sleep(0.05)
            assert not ending.done()
            threading.Timer(0.05, here.network.gate.set).start()
            assert len(await asyncio.gather(*asked)) == 5
            await asyncio.gather(leaving, ending)

    run(scenario)
