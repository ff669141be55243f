"""Tells when deadlines pass: one alarm for the earliest of a queue, not one per request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Hashable
from heapq import heappop, heappush


class Deadlines:
    """Calls `passed` with the key of each deadline that passes while the key is still `waiting`.

    Used within one event loop; `clock` is what the deadlines are told in.
    """

    def __init__(
        self,
        waiting: Container[Hashable],
        passed: Callable[[Hashable], None],
        clock: Callable[[], float],
    ) -> None:
        self._waiting, self._passed, self._clock = waiting, passed, clock
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[float, Hashable]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    def add(self, deadline: float, key: Hashable) -> None:
        """Watch one more deadline. Costs next to nothing unless it is the earliest."""
        heappush(self._due, (deadline, key))
        self._set()

    def stop(self) -> None:
        """Call nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _set(self) -> None:
        while self._due and self._due[0][1] not in self._waiting:
            heappop(self._due)
        if not self._due:
            return
        at = self._loop.time() + max(0.0, self._due[0][0] - self._clock())
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm, self._alarm_at = self._loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            _, key = heappop(self._due)
            if key in self._waiting:
                self._passed(key)
        self._set()
