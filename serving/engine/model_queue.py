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

from models.backends import Tensors
from models.batching import join, length_of, pieces, rows_of
from serving.engine.deadlines import Deadlines
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
from serving.engine.worker import Outcome, Worker, run_batch, run_together


@dataclass
class _Waiting:
    tensors: Tensors
    future: asyncio.Future[Inference]


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
        self._deadlines = Deadlines(self._requests, self._passed, clock)
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
        [outcome] = run_together(self.workers[0].backend, [tensors])
        took = self._clock() - started
        self._metrics.queue_seconds[priority].observe(0.0)
        self._metrics.batch_size.observe(rows)
        self._metrics.inference_seconds.observe(took)
        if isinstance(outcome, Exception):
            raise outcome
        return Inference(outcome, 0.0, took)

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
                self._deadlines.add(deadline, job.key)
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

    def _passed(self, key: Hashable) -> None:
        """A deadline is here before the answer, in the queue or while the network runs."""
        with self._work:
            self._scheduler.cancel(key)
        self._too_late([key])

    # Workers.

    def _run(self, worker: Worker) -> None:
        if worker.cores:
            os.sched_setaffinity(0, worker.cores)
        while (batch := self._next()) is not None:
            started = self._clock()
            # A caller that went away meanwhile has no tensors here any more.
            given = [(job.key, self._requests.get(job.key)) for job in batch.jobs]
            live = {key: one.tensors for key, one in given if one is not None}
            answers, apart = run_batch(worker.backend, live)
            took = self._clock() - started
            if apart:
                self._metrics.split_batches.inc()
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
                late = [job.key for job in batch.late]
                self._loop.call_soon_threadsafe(self._too_late, late)
            if batch.jobs:
                return batch

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
        answers: Mapping[Hashable, Outcome],
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

    def _too_late(self, keys: Sequence[Hashable]) -> None:
        for key in keys:
            future = self._forget(key)
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
        self._deadlines.stop()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        for worker in self.workers:
            worker.backend.close()
