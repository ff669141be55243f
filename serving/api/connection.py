"""Work for a caller who may go away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from starlette.types import Receive


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and give it up when the caller goes away: what waits for him in a queue leaves.

    receive: the request's, of which the body was read. Work that is done without ever waiting needs
    nobody who looks out: a task for that would cost more than many an answer.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watching: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal watching
        watching = asyncio.create_task(watch())

    # Not before the work that has just begun to wait is under way.
    beginning = task.get_loop().call_soon(begin)
    try:
        await _Rest(work, waits_for)
    except asyncio.CancelledError:
        if not gone or task.uncancel():
            raise
    finally:
        beginning.cancel()
        if watching is not None:
            watching.cancel()


class _Rest:
    """A coroutine from its first wait on, to be awaited by the task that began it."""

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: object) -> None:
        self._work, self._waits_for = work, waits_for

    def __await__(self) -> Generator[object, object, None]:
        waits_for = self._waits_for
        while True:
            try:
                given = yield waits_for
            except BaseException as error:
                step, argument = self._work.throw, error
            else:
                step, argument = self._work.send, given  # type: ignore[assignment]
            try:
                waits_for = step(argument)
            except StopIteration:
                return
