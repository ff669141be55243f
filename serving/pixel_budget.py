"""How many pixels may stand decoded in memory at once, over all requests.

Files are counted by what their headers promise, not by their number: eight thumbnails are nothing,
three mammograms of the largest size are a gigabyte. Who does not fit waits in line; a full line is
`QueueFull`, as with a model. Used inside the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from serving.engine.inference import QueueFull

_MOST_WAITING = 32
_RETRY_AFTER_S = 2.0


class PixelBudget:
    """Room for `capacity` pixels. First come, first served: a large file is never overtaken."""

    def __init__(self, capacity: int, *, waiting: int = _MOST_WAITING) -> None:
        self._capacity = self._free = capacity
        self._most_waiting = waiting
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, pixels: int) -> AsyncIterator[None]:
        """Keep room for a file while the `with` lasts. Raises QueueFull.

        A file larger than all room takes all of it: it is let in when it is alone.
        """
        weight = min(pixels, self._capacity)
        await self._take(weight)
        try:
            yield
        finally:
            self._give(weight)

    async def _take(self, weight: int) -> None:
        if not self._line and weight <= self._free:
            self._free -= weight
            return
        if len(self._line) >= self._most_waiting:
            raise QueueFull(_RETRY_AFTER_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (weight, turn)
        self._line.append(place)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(weight)  # let in and gone at the same moment
            else:
                self._line.remove(place)
                self._admit()  # those behind may fit now
            raise

    def _give(self, weight: int) -> None:
        self._free += weight
        self._admit()

    def _admit(self) -> None:
        while self._line and self._line[0][0] <= self._free:
            weight, turn = self._line.popleft()
            self._free -= weight
            turn.set_result(None)
