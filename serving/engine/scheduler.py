"""The scheduler of one model: a pure state machine, with no clock, thread or event loop.

Work-conserving: `take` is asked when a worker is free and never waits for a batch to fill. The
queue is bounded, with a part kept for emergencies, and turns away at the door whoever would get
his answer too late. Classes go in order emergency > interactive > bulk; a job that has waited
`ageing_s` counts one class higher, so bulk is never starved. Times are seconds of any monotonic
clock, given by the caller.

A batch is the most urgent job and whatever may share with it, in order of urgency. A job that
would make the batch more padding than `max_padding`, or larger than its budget, keeps its place
and is passed over: rows of a like length run together. The first in order always runs, so nothing
is passed over for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import ceil

from serving.engine.inference import Priority, QueueFull
from serving.engine.service_time import ServiceTime

_HOPE = 0.75
"""Part of a job's patience that its wait may be expected to take. The rest is for batches that take
longer than those before."""
_FORGET = 0.9
"""Weight of the past in what is known of the more urgent classes: some ten batches count."""
_MOST_AHEAD = 0.9
_URGENT_FILL = 7 / 8
"""Part of a batch that is filled where an emergency is in it: it is back a little sooner."""
_LOOK = 4
"""How many batches deep a batch is looked for: taking one costs the same however long the queue."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one model's queue and of its batches.

    `capacity` jobs may wait, of which `reserved` only for emergencies; a batch holds at most
    `max_batch` rows and `budget` elements (tokens or pixels), padding included and `max_padding`
    of it at most. A single job may exceed the budget alone.
    """

    capacity: int = 256
    reserved: int = 32
    max_batch: int = 16
    budget: int = 1 << 24
    max_padding: float = 0.5
    ageing_s: float = 2.0

    def rows_of(self, length: int) -> int:
        """Most rows of that many elements that one job should have."""
        return max(1, min(self.max_batch, self.budget // max(1, length)))


@dataclass(frozen=True)
class Job:
    """Rows that wait for a worker: `length` elements each. `deadline` is absolute."""

    key: Hashable
    priority: Priority
    enqueued: float
    rows: int = 1
    length: int = 1
    deadline: float = float("inf")

    @property
    def size(self) -> int:
        """Elements without padding."""
        return self.rows * self.length


@dataclass(frozen=True)
class Batch:
    """What a worker should run now, most urgent first. `late`: taken out, not to be run."""

    id: int
    jobs: tuple[Job, ...]
    late: tuple[Job, ...]

    @property
    def rows(self) -> int:
        """Rows of all jobs."""
        return sum(job.rows for job in self.jobs)

    @property
    def size(self) -> int:
        """Elements that the network sees, padding included."""
        return self.rows * max((job.length for job in self.jobs), default=0)


@dataclass
class Scheduler:
    """See the module docstring. A key is used once."""

    limits: Limits
    workers: int = 1
    service: ServiceTime = field(default_factory=ServiceTime)
    _queues: dict[Priority, deque[Job]] = field(
        default_factory=lambda: {p: deque() for p in Priority}
    )
    _waiting: dict[Hashable, Job] = field(default_factory=dict)
    _rows: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    _size: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    _running: dict[int, float] = field(default_factory=dict)
    _overtaking: dict[Priority, float] = field(default_factory=lambda: dict.fromkeys(Priority, 0.0))
    _ids: Iterator[int] = field(default_factory=count)

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue the jobs of one request, all or none; raises QueueFull.

        Refused where its class has no room left, and, unless it is an emergency, where it cannot
        be expected to be served in time. An idle model takes everything.
        """
        first = jobs[0]
        urgent = first.priority is Priority.emergency
        room = self.limits.capacity - (0 if urgent else self.limits.reserved)
        if len(self._waiting) + len(jobs) > room:
            raise QueueFull(self.wait_s(Priority.bulk, first.enqueued))
        if not urgent and (self._waiting or self._running) and first.deadline != float("inf"):
            wait = self.wait_s(first.priority, first.enqueued, jobs)
            patience = first.deadline - first.enqueued
            if wait > _HOPE * patience:
                raise QueueFull(wait - _HOPE * patience)
        for job in jobs:
            self._waiting[job.key] = job
            self._queues[job.priority].append(job)
            self._rows[job.priority] += job.rows
            self._size[job.priority] += job.size

    def wait_s(self, priority: Priority, now: float, jobs: Sequence[Job] = ()) -> float:
        """Expected seconds until jobs of that class, submitted now, are served.

        What is ahead of them now, and what more urgent classes have lately taken of each batch.
        """
        ahead = [p for p in Priority if p <= priority]
        rows = sum(self._rows[p] for p in ahead) + sum(job.rows for job in jobs)
        size = sum(self._size[p] for p in ahead) + sum(job.size for job in jobs)
        batches, rest = divmod(rows, self.limits.max_batch)
        length = size / rows if rows else 0.0
        own = batches * self.service.predict(self.limits.max_batch * length)
        if rest:
            own += self.service.predict(rest * length)
        running = sum(max(0.0, end - now) for end in self._running.values())
        left = 1.0 - min(self._overtaking[priority], _MOST_AHEAD)
        return (running + own) / self.workers / left

    def cancel(self, key: Hashable) -> bool:
        """Drop a waiting job; False when it is not waiting (any more)."""
        job = self._waiting.pop(key, None)
        if job is None:
            return False
        self._left(job)
        queue = self._queues[job.priority]
        # Dropped jobs are passed over when they come up; many of them are cleared away.
        if len(queue) > 2 * self.limits.capacity:
            self._queues[job.priority] = deque(j for j in queue if j.key in self._waiting)
        return True

    def take(self, now: float) -> Batch | None:
        """Remove and return what a free worker should do now; None when nothing waits.

        Of jobs with the same class and fitting length the order is that of arrival. Jobs whose
        deadline has passed, or will have by the time they could be answered, are `late`; but an
        expectation alone never leaves a worker idle.
        """
        if not self._waiting:
            return None
        taken: list[Job] = []
        late: list[Job] = []
        doubtful: list[Job] = []
        passed: set[tuple[Priority, int, int]] = set()
        rows = size = longest = 0
        soonest = now + self.service.predict(1)
        most = _LOOK * self.limits.max_batch
        room = self.limits.max_batch
        for looked, job in enumerate(self._in_order(now)):
            if rows == room or (taken and looked >= most):
                break
            if job.deadline <= now:
                late.append(job)
            elif job.deadline < soonest:
                doubtful.append(job)
            elif (kind := (job.priority, job.rows, job.length)) in passed:
                pass  # not before one of its kind that came earlier
            elif taken and not self._fits(job, room, rows, size, longest):
                passed.add(kind)
            else:
                if not taken and job.priority is Priority.emergency:
                    room = ceil(room * _URGENT_FILL)
                taken.append(job)
                rows, size = rows + job.rows, size + job.size
                longest = max(longest, job.length)
        if not taken and doubtful:
            taken.append(doubtful.pop(0))
        late.extend(doubtful)
        for job in (*taken, *late):
            del self._waiting[job.key]
            self._left(job)
        batch = Batch(next(self._ids), tuple(taken), tuple(late))
        if taken:
            self._running[batch.id] = now + self.service.predict(batch.size)
            self._note_classes(taken)
        return batch

    def done(self, batch: Batch, seconds: float) -> None:
        """Tell that a batch is over, and how long it took."""
        del self._running[batch.id]
        self.service.observe(batch.size, seconds)

    def _note_classes(self, taken: Sequence[Job]) -> None:
        """How much of a batch goes to whatever is more urgent than each class."""
        for priority in Priority:
            more_urgent = sum(job.rows for job in taken if job.priority < priority)
            share = min(1.0, more_urgent / self.limits.max_batch)
            self._overtaking[priority] += (1 - _FORGET) * (share - self._overtaking[priority])

    def _fits(self, job: Job, room: int, rows: int, size: int, longest: int) -> bool:
        rows += job.rows
        area = rows * max(longest, job.length)
        limits = self.limits
        padding = 1.0 - (size + job.size) / area
        return rows <= room and area <= limits.budget and padding <= limits.max_padding

    def _left(self, job: Job) -> None:
        self._rows[job.priority] -= job.rows
        self._size[job.priority] -= job.size

    def _in_order(self, now: float) -> Iterator[Job]:
        """Waiting jobs, most urgent first: within a class the oldest has aged most."""
        lines = {}
        for priority, queue in self._queues.items():
            while queue and queue[0].key not in self._waiting:
                queue.popleft()
            lines[priority] = (job for job in queue if job.key in self._waiting)
        heads = {p: head for p, line in lines.items() if (head := next(line, None)) is not None}
        while heads:
            priority = min(heads, key=lambda p: self._rank(heads[p], now))
            yield heads[priority]
            following = next(lines[priority], None)
            if following is None:
                del heads[priority]
            else:
                heads[priority] = following

    def _rank(self, job: Job, now: float) -> tuple[int, float]:
        promoted = int((now - job.enqueued) / self.limits.ageing_s)
        # Nothing ages into the emergency class.
        floor = min(int(job.priority), int(Priority.interactive))
        return max(int(job.priority) - promoted, floor), job.enqueued
