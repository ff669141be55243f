"""Work for a caller who may go away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive

_UNWATCHED_S = 0.005


async def while_connected(receive: Receive, work: Coroutine[None, None, None]) -> None:
    """Do the work, and give it up when the caller goes away: what waits for him in a queue leaves.

    receive: the request's, of which the body was read. Nobody looks out for whoever is answered
    before he could have changed his mind: a task for that would cost more than many an answer.
    """
    task = asyncio.current_task()
    assert task is not None
    gone = False
    watching: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    def begin() -> None:
        nonlocal watching
        watching = asyncio.create_task(watch())

    beginning = task.get_loop().call_later(_UNWATCHED_S, begin)
    try:
        await work
    except asyncio.CancelledError:
        if not gone or task.uncancel():
            raise
    finally:
        beginning.cancel()
        if watching is not None:
            watching.cancel()
