"""The owner of the models under its supervisor: started again, but not for ever."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from serving.processes import slot as slots
from serving.processes.metrics import SharedMetrics
from serving.processes.setup import Role, Setup, as_json, engine_path, metrics_path
from serving.processes.slot import CannotGoOn, Slot
from serving.settings import Settings

Scenario = Callable[[Callable[[], Slot], "asyncio.Future[None]"], Awaitable[None]]


def run(scenario: Scenario, **wrong: str) -> None:
    """`wrong`: settings that no process takes."""
    settings = as_json(Settings(_env_file=None))

    async def whole() -> None:
        with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listening:
            folder = Path(name)
            metrics_path(folder).mkdir()
            listening.bind(str(engine_path(folder)))
            listening.listen()
            setup = Setup(Role.owner, {**settings, **wrong}, name, (listening.fileno(),))
            failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            forget = SharedMetrics(metrics_path(folder)).forget
            async with asyncio.timeout(100):
                await scenario(lambda: Slot(setup, forget, failed), failed)

    asyncio.run(whole())


async def another_than(pid: int | None, slot: Slot) -> int:
    while slot.pid in (None, pid):
        await asyncio.sleep(0.01)
    assert slot.pid is not None
    return slot.pid


@pytest.mark.slow
def test_a_process_that_ends_again_and_again_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "PAUSES_S", (0.0, 0.01))

    async def scenario(make: Callable[[], Slot], failed: asyncio.Future[None]) -> None:
        slot = make()
        assert await slot.up()
        pid = None
        for _ in range(3):
            assert not failed.done()
            pid = await another_than(pid, slot)
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(CannotGoOn, match=r"owner process ended 3 times in a row.*-9"):
            await failed

    run(scenario)


@pytest.mark.slow
def test_a_process_that_leaves_ends_well_and_has_no_successor() -> None:
    async def scenario(make: Callable[[], Slot], failed: asyncio.Future[None]) -> None:
        slot = make()
        assert await slot.up()
        pid = slot.pid
        await slot.leave(60)
        assert (slot.pid, failed.done()) == (pid, False)
        assert not Path(f"/proc/{pid}").exists()

    run(scenario)


@pytest.mark.slow
def test_a_process_that_cannot_start_ends_the_server_at_once() -> None:
    async def scenario(make: Callable[[], Slot], failed: asyncio.Future[None]) -> None:
        assert not await make().up()
        with pytest.raises(CannotGoOn, match=r"owner process could not start \(status 1\)"):
            await failed

    run(scenario, synthetic="no such network")


def test_settings_arrive_with_their_secrets() -> None:
    given = Settings(generator_key="sesame", model_versions={"department": 1}, _env_file=None)
    setup = Setup(Role.http, as_json(given), "/tmp/x", (3, 4), session_key="ab", ended=5)
    read = Setup.read(setup.line())
    assert read == setup
    from serving.processes.setup import settings_of

    assert settings_of(read) == given
