"""The scheduler of one model: a pure state machine, with no clock, thread or event loop.

Work-conserving: `next_batch` is asked when a worker is free and never waits for a batch to
fill. The queue is bounded, with a part kept for emergencies. Classes go in order
emergency > interactive > bulk; a job that has waited `ageing_s` counts one class higher, so
bulk is never starved. Times are seconds of any monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import IntEnum


class Priority(IntEnum):
    """Scheduling classes, most urgent first."""

    emergency = 0
    interactive = 1
    bulk = 2


class QueueFull(Exception):
    """The bound of the queue is reached: the caller should try again after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the queue is full")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Limits:
    """Bounds of one model's queue.

    `capacity` jobs may wait, of which `reserved` only for emergencies; a batch holds at most
    `max_batch` jobs and `budget` cost (tokens or pixels; a single job may exceed it alone).
    """

    capacity: int = 256
    reserved: int = 32
    max_batch: int = 16
    budget: int = 1 << 20
    ageing_s: float = 2.0


@dataclass(frozen=True)
class Job:
    """One waiting request. `cost` is its share of the batch budget; `deadline` is absolute."""

    key: Hashable
    priority: Priority
    enqueued: float
    cost: int = 1
    deadline: float = float("inf")


@dataclass
class Scheduler:
    """See the module docstring. Keys must be unique among waiting jobs."""

    limits: Limits
    _waiting: dict[Hashable, Job] = field(default_factory=dict)
    _service_s: float = 0.01

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Queue a job; raises QueueFull when its class has no room left."""
        reserve = 0 if job.priority is Priority.emergency else self.limits.reserved
        if len(self._waiting) >= self.limits.capacity - reserve:
            batches = 1 + len(self._waiting) / self.limits.max_batch
            raise QueueFull(retry_after_s=batches * self._service_s)
        self._waiting[job.key] = job

    def cancel(self, key: Hashable) -> bool:
        """Drop a waiting job; False when it is not waiting (any more)."""
        return self._waiting.pop(key, None) is not None

    def expire(self, now: float) -> list[Job]:
        """Remove and return the jobs whose deadline has passed."""
        late = [job for job in self._waiting.values() if job.deadline <= now]
        for job in late:
            del self._waiting[job.key]
        return late

    def next_batch(self, now: float) -> list[Job]:
        """Remove and return the jobs that a free worker should run now, most urgent first.

        Within a class the order is that of arrival. Among the jobs that fit, the batch takes
        them in that order and skips none: a large job is never overtaken for ever.
        """
        batch: list[Job] = []
        cost = 0
        for job in sorted(self._waiting.values(), key=lambda j: self._rank(j, now)):
            if len(batch) == self.limits.max_batch:
                break
            if batch and cost + job.cost > self.limits.budget:
                break
            batch.append(job)
            cost += job.cost
        for job in batch:
            del self._waiting[job.key]
        return batch

    def served(self, seconds: float) -> None:
        """Tell how long a batch took: a moving mean for the Retry-After of refusals."""
        self._service_s += 0.2 * (seconds - self._service_s)

    def _rank(self, job: Job, now: float) -> tuple[int, float]:
        promoted = int((now - job.enqueued) / self.limits.ageing_s)
        # Nothing ages into the emergency class.
        floor = min(int(job.priority), int(Priority.interactive))
        return max(int(job.priority) - promoted, floor), job.enqueued
