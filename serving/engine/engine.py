"""The async shell: callers await `infer`, free workers take the next batch at once.

No poll and no timer: a worker sleeps on an event that a submission sets. The network runs
in a thread of the model's own pool, so that the event loop answers others meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from models.backends import Backend, Tensor, Tensors
from models.batching import cost_of, join, split
from models.errors import ModelRunError, UnknownModel
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Job, Limits, Priority, QueueFull, Scheduler


class DeadlinePassed(Exception):
    """The request was still waiting when its deadline came."""


class EngineStopped(Exception):
    """The engine is draining and takes nothing new."""


@dataclass(frozen=True)
class Inference:
    """The outputs of one request, with the seconds it waited and its batch computed."""

    outputs: dict[str, Tensor]
    queue_s: float
    inference_s: float


@dataclass
class _Waiting:
    tensors: Tensors
    future: asyncio.Future[Inference]


class ModelQueue:
    """One hosted model: its scheduler, its workers and the requests that wait."""

    def __init__(
        self,
        name: str,
        backend: Backend,
        limits: Limits,
        metrics: EngineMetrics,
        *,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.backend = backend
        self._scheduler = Scheduler(limits)
        self._metrics = metrics
        self._clock = clock
        self._keys = itertools.count()
        self._requests: dict[Hashable, _Waiting] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"model-{name}")
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]

    async def infer(
        self, tensors: Tensors, priority: Priority, timeout_s: float | None
    ) -> Inference:
        """Outputs for one request; raises QueueFull, DeadlinePassed or EngineStopped."""
        if self._stopping:
            raise EngineStopped(self.name)
        now = self._clock()
        key = next(self._keys)
        deadline = float("inf") if timeout_s is None else now + timeout_s
        try:
            self._scheduler.submit(Job(key, priority, now, cost_of(tensors), deadline))
        except QueueFull:
            self._metrics.rejected.labels(self.name, "queue_full").inc()
            raise
        future: asyncio.Future[Inference] = asyncio.get_running_loop().create_future()
        self._requests[key] = _Waiting(tensors, future)
        self._metrics.waiting.labels(self.name).set(len(self._scheduler))
        self._wake.set()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            self._metrics.rejected.labels(self.name, "deadline").inc()
            raise DeadlinePassed(self.name) from error
        except asyncio.CancelledError:
            self._metrics.rejected.labels(self.name, "cancelled").inc()
            raise
        finally:
            self._scheduler.cancel(key)
            self._requests.pop(key, None)

    @property
    def alive(self) -> bool:
        """Whether the workers run."""
        return not any(worker.done() for worker in self._workers)

    def stop(self) -> None:
        """Take nothing new from now on."""
        self._stopping = True

    async def drain(self) -> None:
        """Take nothing new, finish what waits, stop the workers."""
        self.stop()
        while self._requests:
            await asyncio.wait([w.future for w in self._requests.values()])
            await asyncio.sleep(0)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._pool.shutdown(wait=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            now = self._clock()
            for late in self._scheduler.expire(now):
                waiting = self._requests.get(late.key)
                if waiting and not waiting.future.done():
                    waiting.future.set_exception(TimeoutError())
            jobs = self._scheduler.next_batch(now)
            self._metrics.waiting.labels(self.name).set(len(self._scheduler))
            if not jobs:
                self._wake.clear()
                continue
            live = [(job, self._requests[job.key]) for job in jobs if job.key in self._requests]
            if live:
                await self._run(loop, live, now)

    async def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        live: list[tuple[Job, _Waiting]],
        started: float,
    ) -> None:
        try:
            batch = join([waiting.tensors for _, waiting in live])
            rows = [next(iter(w.tensors.values())).shape[0] for _, w in live]
            for job, _ in live:
                self._metrics.queue_seconds.labels(self.name, job.priority.name).observe(
                    started - job.enqueued
                )
            self._metrics.batch_size.labels(self.name).observe(len(live))
            outputs = await loop.run_in_executor(self._pool, self.backend.run, batch)
            parts = split(outputs, rows)
            if len(parts) != len(live):
                raise ModelRunError("the network answered fewer rows than it was asked")
        except Exception as error:
            # Nothing may end the worker: those who wait behind this batch still need it.
            for _, waiting in live:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
            return
        took = self._clock() - started
        self._scheduler.served(took)
        self._metrics.inference_seconds.labels(self.name).observe(took)
        for (job, waiting), part in zip(live, parts, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(Inference(part, started - job.enqueued, took))


class Engine:
    """All hosted models. `add` before traffic, `infer` from any coroutine, `drain` at the end."""

    def __init__(self, metrics: EngineMetrics) -> None:
        self.metrics = metrics
        self._queues: dict[str, ModelQueue] = {}

    def add(self, name: str, backend: Backend, limits: Limits, *, workers: int = 1) -> None:
        """Host a model. Must be called inside the event loop that will serve it."""
        self._queues[name] = ModelQueue(name, backend, limits, self.metrics, workers=workers)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the hosted models."""
        return tuple(self._queues)

    @property
    def alive(self) -> bool:
        """Whether every model's workers run."""
        return all(queue.alive for queue in self._queues.values())

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """Run one request on a hosted model; UnknownModel if it is not hosted."""
        queue = self._queues.get(model)
        if queue is None:
            raise UnknownModel(f"no model {model} is hosted")
        return await queue.infer(tensors, priority, timeout_s)

    async def drain(self) -> None:
        """Take nothing new, finish everything that waits and stop."""
        for queue in self._queues.values():
            queue.stop()
        await asyncio.gather(*(queue.drain() for queue in self._queues.values()))
