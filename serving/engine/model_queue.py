"""One hosted model: its queue, the threads that run it, the callers that wait.

A worker is a thread that takes the next batch by itself the moment it is free: between two
batches nothing waits for the event loop, however busy that is with requests. The loop queues,
answers and watches deadlines; the threads join, run and split. The scheduler between them is
guarded by one lock, held for microseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TypeAlias

import structlog

from models.backends import Backend, Tensor, Tensors
from models.batching import join, length_of, pieces, rows_of, split
from models.errors import ModelRunError
from serving.engine.inference import (
    DeadlinePassed,
    EngineStopped,
    Inference,
    Priority,
    QueueFull,
    TooManyRows,
)
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Batch, Job, Limits, Scheduler

log = structlog.get_logger()


@dataclass(frozen=True)
class Worker:
    """A network and the processor cores that it keeps to; none: wherever there is room.

    Workers of one model may share a network where it is thread-safe and not pinned.
    """

    backend: Backend
    cores: tuple[int, ...] = ()


_Outcome: TypeAlias = dict[str, Tensor] | Exception
"""What became of one job."""


@dataclass
class _Waiting:
    tensors: Tensors
    future: asyncio.Future[Inference]


def _run_together(
    backend: Backend, requests: Sequence[Tensors]
) -> list[dict[str, Tensor]] | Exception:
    """The outputs of each request, or what went wrong: nothing may end a worker, because those who
    wait behind this batch still need it.
    """
    if not requests:
        return []
    try:
        rows = [rows_of(tensors) for tensors in requests]
        outputs = backend.run(join(requests))
        if any(output.shape[0] != sum(rows) for output in outputs.values()):
            return ModelRunError("the network answered other rows than it was asked")
        return split(outputs, rows)
    except Exception as error:
        return error


class ModelQueue:
    """See the module docstring. Made inside the event loop that serves it."""

    def __init__(
        self,
        name: str,
        workers: Sequence[Worker],
        limits: Limits,
        metrics: EngineMetrics,
        *,
        at_once: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_once`: a request of at most so many elements takes the network less time than handing
        it to a thread would, and runs where it stands. A batch would only make it wait.
        """
        self.name = name
        self.limits = limits
        self._at_once = at_once
        self.workers = tuple(workers)
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(limits, workers=len(workers))
        self._metrics = metrics.of(name)
        self._clock = clock
        self._keys = itertools.count()
        self._requests: dict[Hashable, _Waiting] = {}
        self._deadlines: list[tuple[float, Hashable]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._work = threading.Condition(threading.Lock())
        self._stopping = False
        self._ended = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=f"model-{name}", daemon=True)
            for worker in workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the workers run."""
        return all(thread.is_alive() for thread in self._threads)

    async def infer(
        self, tensors: Tensors, priority: Priority, timeout_s: float | None
    ) -> Inference:
        """Outputs for one request of any number of rows; raises what `InferenceEngine` names.

        More rows than fit a batch run as several jobs, and fail as one.
        """
        rows, length = rows_of(tensors), length_of(tensors)
        if rows * length <= self._at_once and not self._stopping:
            return self._run_here(tensors, rows, priority)
        most = self.limits.rows_of(length)
        if rows > most:
            return await self._infer_parts(pieces(tensors, most), priority, timeout_s)
        ((key, future),) = self._submit([tensors], priority, timeout_s).items()
        try:
            return await future
        except asyncio.CancelledError:
            self._drop(key)
            raise

    def _run_here(self, tensors: Tensors, rows: int, priority: Priority) -> Inference:
        started = self._clock()
        outcome = _run_together(self.workers[0].backend, [tensors])
        took = self._clock() - started
        self._metrics.queue_seconds[priority].observe(0.0)
        self._metrics.batch_size.observe(rows)
        self._metrics.inference_seconds.observe(took)
        if isinstance(outcome, Exception):
            raise outcome
        return Inference(outcome[0], 0.0, took)

    async def _infer_parts(
        self, parts: Sequence[Tensors], priority: Priority, timeout_s: float | None
    ) -> Inference:
        room = self.limits.capacity - self.limits.reserved
        if len(parts) > room:
            self._metrics.rejected("too_many_rows").inc()
            raise TooManyRows(room * rows_of(parts[0]))
        futures = self._submit(parts, priority, timeout_s)
        try:
            answers = await asyncio.gather(*futures.values())
        except BaseException:
            for key, future in futures.items():
                future.cancel()
                self._drop(key)
            raise
        return Inference(
            join([answer.outputs for answer in answers]),
            max(answer.queue_s for answer in answers),
            sum(answer.inference_s for answer in answers),
        )

    def _submit(
        self, parts: Sequence[Tensors], priority: Priority, timeout_s: float | None
    ) -> dict[Hashable, asyncio.Future[Inference]]:
        if self._stopping:
            raise EngineStopped(self.name)
        now = self._clock()
        deadline = float("inf") if timeout_s is None else now + timeout_s
        jobs = [
            Job(next(self._keys), priority, now, rows_of(part), length_of(part), deadline)
            for part in parts
        ]
        # Before the workers can see the jobs: one of them may be answered at once.
        futures = {job.key: self._expect(job, part) for job, part in zip(jobs, parts, strict=True)}
        if timeout_s is not None:
            for job in jobs:
                heappush(self._deadlines, (deadline, job.key))
            self._watch()
        try:
            with self._work:
                self._scheduler.submit(jobs)
                self._metrics.waiting.set(len(self._scheduler))
                # Last, because the worker that wakes needs the interpreter.
                self._work.notify(len(jobs))
        except QueueFull:
            for job in jobs:
                self._forget(job.key)
            self._metrics.rejected("queue_full").inc()
            raise
        return futures

    def _expect(self, job: Job, tensors: Tensors) -> asyncio.Future[Inference]:
        future: asyncio.Future[Inference] = self._loop.create_future()
        self._requests[job.key] = _Waiting(tensors, future)
        self._empty.clear()
        return future

    def _drop(self, key: Hashable) -> None:
        """A caller has gone away: nothing of his may wait."""
        if self._forget(key) is None:
            return
        with self._work:
            dropped = self._scheduler.cancel(key)
        self._metrics.waiting.set(len(self._scheduler))
        if dropped:
            self._metrics.rejected("cancelled").inc()

    def _forget(self, key: Hashable) -> asyncio.Future[Inference] | None:
        """Who is to be told about this job, for the last time; None where nobody waits for it."""
        waiting = self._requests.pop(key, None)
        if not self._requests:
            self._empty.set()
        return None if waiting is None else waiting.future

    # Deadlines: one alarm for the earliest, set when it is the first, and never per request.

    def _watch(self) -> None:
        while self._deadlines and self._deadlines[0][1] not in self._requests:
            heappop(self._deadlines)
        if not self._deadlines:
            return
        earliest = self._deadlines[0][0]
        at = self._loop.time() + max(0.0, earliest - self._clock())
        if self._alarm is not None:
            if self._alarm_at <= at:
                return
            self._alarm.cancel()
        self._alarm, self._alarm_at = self._loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, key = heappop(self._deadlines)
            future = self._forget(key)
            if future is not None and not future.done():
                with self._work:
                    self._scheduler.cancel(key)
                self._metrics.rejected("deadline").inc()
                future.set_exception(DeadlinePassed(self.name))
        self._watch()

    # Workers.

    def _run(self, worker: Worker) -> None:
        if worker.cores:
            os.sched_setaffinity(0, worker.cores)
        while (batch := self._next()) is not None:
            started = self._clock()
            answers = self._answers(worker.backend, batch)
            took = self._clock() - started
            with self._work:
                self._scheduler.done(batch, took)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, answers, started, took)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _next(self) -> Batch | None:
        """The next batch with work in it; None at the end."""
        while True:
            with self._work:
                while (batch := self._scheduler.take(self._clock())) is None:
                    if self._ended:
                        return None
                    self._work.wait()
                self._metrics.waiting.set(len(self._scheduler))
            if batch.late:
                self._loop.call_soon_threadsafe(self._too_late, batch.late)
            if batch.jobs:
                return batch

    def _answers(self, backend: Backend, batch: Batch) -> dict[Hashable, _Outcome]:
        """What became of each job whose caller is still there."""
        given = [(job.key, self._requests.get(job.key)) for job in batch.jobs]
        live = {key: one.tensors for key, one in given if one is not None}
        outcomes = _run_together(backend, list(live.values()))
        if isinstance(outcomes, Exception) and len(live) > 1:
            # One bad request must not cost the others theirs: each by itself.
            self._metrics.split_batches.inc()
            alone = [_run_together(backend, [tensors]) for tensors in live.values()]
            return {
                key: one if isinstance(one, Exception) else one[0]
                for key, one in zip(live, alone, strict=True)
            }
        if isinstance(outcomes, Exception):
            return dict.fromkeys(live, outcomes)
        return dict(zip(live, outcomes, strict=True))

    def _count(self, batch: Batch, started: float, took: float) -> None:
        for job in batch.jobs:
            self._metrics.queue_seconds[job.priority].observe(started - job.enqueued)
        self._metrics.batch_size.observe(batch.rows)
        self._metrics.inference_seconds.observe(took)
        self._metrics.padding.inc(batch.size - sum(job.size for job in batch.jobs))

    # Back in the loop.

    def _deliver(
        self,
        batch: Batch,
        answers: Mapping[Hashable, _Outcome],
        started: float,
        took: float,
    ) -> None:
        for job in batch.jobs:
            future = self._forget(job.key)
            if future is None or future.done():
                continue
            outcome = answers[job.key]
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(Inference(outcome, started - job.enqueued, took))
        # Counted when those who waited have gone on.
        self._loop.call_soon(self._count, batch, started, took)

    def _too_late(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            future = self._forget(job.key)
            if future is not None and not future.done():
                self._metrics.rejected("deadline").inc()
                future.set_exception(DeadlinePassed(self.name))

    # The end.

    def stop(self) -> None:
        """Take nothing new from now on."""
        self._stopping = True

    async def drain(self) -> None:
        """Take nothing new, finish what waits, end the workers and let go of the networks."""
        self.stop()
        await self._empty.wait()
        with self._work:
            self._ended = True
            self._work.notify_all()
        await asyncio.to_thread(self._join)
        if self._alarm is not None:
            self._alarm.cancel()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        for worker in self.workers:
            worker.backend.close()
