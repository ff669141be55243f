"""Work for a caller ends when he goes away, and only then."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from serving.api.connection import while_connected


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_work_is_done_for_who_stays() -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(True)

    async def run() -> None:
        await while_connected(stays, work())
        assert len(asyncio.all_tasks()) <= 2
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "nobody watches any more"

    asyncio.run(run())
    assert done == [True]


def test_work_is_given_up_when_the_caller_goes_away_and_the_task_lives_on() -> None:
    given_up = []

    async def run() -> None:
        gone = asyncio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def work() -> None:
            gone.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(True)
                raise

        await while_connected(receive, work())
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    asyncio.run(run())
    assert given_up == [True]


def test_errors_and_a_cancellation_from_elsewhere_pass() -> None:
    async def fails() -> None:
        raise KeyError("mine")

    async def waits() -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(KeyError):
            await while_connected(stays, fails())
        task = asyncio.create_task(while_connected(stays, waits()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
