"""A model on the cluster as the server sees it: how many may wait, how long, and who asks again.

A replica, its process or its node may die at any moment. Whoever was accepted is asked for again
elsewhere until his deadline; a network gives the same answer twice, so a second run harms nobody,
and the caller gets one. What a model or its queue says is never asked again. Knows nothing of Ray.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from prometheus_client import Counter

from models.backends import Tensors
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.engine.metrics import ModelMetrics
from serving.engine.ray_journal import count
from serving.engine.ray_replica import Reply
from serving.processes.frames import refused_of

Call = Callable[[Tensors, Priority, float | None], Coroutine[object, object, Reply]]
"""Asks any replica. Raises ClusterFault, and CancelledError where the cluster dropped the call."""

_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 1.0
_WEIGHT = 0.1
"""Weight of the newest answer in the mean time of an answer."""


class ClusterFault(Exception):
    """The cluster failed, not the model: another replica may answer. `reason` is for metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Bounds:
    """How many requests of one model may be under way, how many of these places are kept for
    emergencies, and how long one without a deadline may take (seconds)."""

    in_flight: int
    reserved: int
    patience_s: float


class RemoteModel:
    """See the module docstring. Used within one event loop."""

    def __init__(
        self, name: str, call: Call, bounds: Bounds, metrics: ModelMetrics,
        retries: Callable[[str], Counter],
    ) -> None:  # fmt: skip
        self.name = name
        self._call = call
        self._bounds = bounds
        self._metrics = metrics
        self._retries = retries
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._mean_s = 0.0

    async def infer(
        self, tensors: Tensors, priority: Priority, timeout_s: float | None
    ) -> Inference:
        """See `InferenceEngine.infer`."""
        if self._stopping:
            raise EngineStopped(self.name)
        started = time.monotonic()
        try:
            self._enter(priority)
            try:
                answer = await self._answered(tensors, priority, timeout_s, started)
            finally:
                self._leave()
        except BaseException as error:
            if (reason := _REJECTED.get(type(error))) is not None:
                self._metrics.rejected(reason).inc()
            raise
        self._metrics.queue_seconds[priority].observe(answer.queue_s)
        self._mean_s += _WEIGHT * (time.monotonic() - started - self._mean_s)
        return answer

    async def drain(self) -> None:
        """Take nothing new and finish what is under way."""
        self._stopping = True
        await self._idle.wait()

    def _enter(self, priority: Priority) -> None:
        kept = 0 if priority is Priority.emergency else self._bounds.reserved
        if self._in_flight >= self._bounds.in_flight - kept:
            raise QueueFull(max(self._mean_s, 0.1))
        self._in_flight += 1
        self._idle.clear()
        self._metrics.waiting.set(self._in_flight)

    def _leave(self) -> None:
        self._in_flight -= 1
        self._metrics.waiting.set(self._in_flight)
        if self._in_flight == 0:
            self._idle.set()

    async def _answered(
        self, tensors: Tensors, priority: Priority, timeout_s: float | None, started: float
    ) -> Inference:
        limit_s = self._bounds.patience_s if timeout_s is None else timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            left_s = started + limit_s - time.monotonic()
            if left_s <= 0:
                raise DeadlinePassed(self.name)
            try:
                reply = await self._asked(
                    self._call(tensors, priority, None if timeout_s is None else left_s), left_s
                )
            except ClusterFault as fault:
                self._retries(fault.reason).inc()
                # Those whom one death sent away come back at different moments.
                await asyncio.sleep(min(left_s, pause_s * random.uniform(0.5, 1.0)))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            count(reply.notes, self._metrics)
            if reply.answer is None:
                raise refused_of(bytearray(reply.refusal))
            return reply.answer

    async def _asked(self, call: Coroutine[object, object, Reply], left_s: float) -> Reply:
        # In a task of its own: so a call that the cluster dropped is told from a caller who left.
        asked: asyncio.Task[Reply] = asyncio.ensure_future(call)
        try:
            await asyncio.wait((asked,), timeout=left_s)
        finally:
            if not asked.done():
                asked.add_done_callback(_looked_at)
                asked.cancel()
        if not asked.done():
            raise DeadlinePassed(self.name)
        if asked.cancelled():
            raise ClusterFault("dropped")
        return asked.result()


def _looked_at(task: asyncio.Task[Reply]) -> None:
    """Nobody waits for it any more, and asyncio need not complain of that."""
    if not task.cancelled():
        task.exception()


_REJECTED: dict[type[BaseException], str] = {
    QueueFull: "queue_full",
    TooManyRows: "too_many_rows",
    DeadlinePassed: "deadline",
    asyncio.CancelledError: "cancelled",
}
