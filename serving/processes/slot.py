"""A place among the processes that is never empty for long: whoever ends is followed by another.

After a crash the next one starts at once; after several in a row it waits longer each time, and in
the end there is no next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from serving.processes.child import Child
from serving.processes.setup import Order, Setup

log = structlog.get_logger()

STEADY_S = 30.0
"""A process that ran this long did not crash because of how it starts."""
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Before the next start, by crashes in a row; one more is the last."""


class CannotGoOn(Exception):
    """A process cannot be kept running; says which and how it ended."""


class Slot:
    """See the module docstring. Begins at once; used within one event loop.

    `needed`: where it cannot start, or not stay up, the server ends. `failed` is told then.
    """

    def __init__(
        self, setup: Setup, forget: Callable[[int], None], failed: asyncio.Future[None]
    ) -> None:
        self._setup, self._forget, self._failed = setup, forget, failed
        self.role = setup.role
        self.needed = True
        self._child: Child | None = None
        self._ready = asyncio.Event()
        self._leaving = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """The process of now, or the last."""
        return None if self._child is None else self._child.pid

    async def up(self) -> bool:
        """Wait until the first process does its work; False where it never will."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self._ready.is_set()

    def retire(self) -> None:
        """See `Order.retire`."""
        if self._child is not None:
            self._child.tell(Order.retire)

    def kill(self) -> None:
        """End the process at once."""
        if self._child is not None:
            self._child.kill()

    async def leave(self, within_s: float) -> None:
        """Let the process finish and end, and start no other; kill it where it takes too long."""
        self._leaving.set()
        if self._child is not None:
            self._child.tell(Order.stop)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(self._keeping)
        except TimeoutError:
            log.error("process did not end in time", role=self.role, pid=self.pid)
            self.kill()
            await self._keeping

    async def _keep(self) -> None:
        try:
            await self._restarted()
        except (CannotGoOn, OSError) as error:
            if self.needed and not self._failed.done():
                self._failed.set_exception(CannotGoOn(str(error)))

    async def _restarted(self) -> None:
        loop = asyncio.get_running_loop()
        crashes = 0
        while not self._leaving.is_set():
            began = loop.time()
            self._child = child = await Child.start(self._setup)
            if self._leaving.is_set():
                child.tell(Order.stop)
            came_up = await child.ready()
            if came_up:
                self._ready.set()
            status = await child.ended()
            await asyncio.to_thread(self._forget, child.pid)
            if self._leaving.is_set():
                return
            log.error("process ended", role=self.role, pid=child.pid, status=status)
            if not self._ready.is_set():
                raise CannotGoOn(f"the {self.role} process could not start (status {status})")
            crashes = 1 if came_up and loop.time() - began > STEADY_S else crashes + 1
            if crashes > len(PAUSES_S):
                raise CannotGoOn(
                    f"the {self.role} process ended {crashes} times in a row, "
                    f"at last with status {status}"
                )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSES_S[crashes - 1]):
                    await self._leaving.wait()
