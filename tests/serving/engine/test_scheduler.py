"""The scheduler as a state machine: nothing lost, nothing twice, order and bounds hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from serving.engine.scheduler import Job, Limits, Priority, QueueFull, Scheduler

LIMITS = Limits(capacity=8, reserved=2, max_batch=3, budget=10, ageing_s=5.0)


def job(key: int, priority: Priority = Priority.interactive, at: float = 0.0, **more: float) -> Job:
    return Job(key, priority, at, cost=int(more.get("cost", 1)), deadline=more.get("deadline", 1e9))


def test_a_free_worker_gets_a_lone_request_at_once() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1))
    assert [j.key for j in scheduler.next_batch(0.0)] == [1]


def test_emergencies_go_before_everything_that_waits() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1, Priority.bulk))
    scheduler.submit(job(2, Priority.interactive, at=0.1))
    scheduler.submit(job(3, Priority.emergency, at=0.2))
    assert [j.key for j in scheduler.next_batch(0.3)] == [3, 2, 1]


def test_bulk_that_waited_is_not_overtaken_by_newer_interactive_requests() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1, Priority.bulk, at=0.0))
    scheduler.submit(job(2, Priority.interactive, at=4.0))
    assert scheduler.next_batch(6.0)[0].key == 1


def test_nothing_ages_into_the_emergency_class() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1, Priority.bulk, at=0.0))
    scheduler.submit(job(2, Priority.emergency, at=100.0))
    assert scheduler.next_batch(100.0)[0].key == 2


def test_the_last_places_are_kept_for_emergencies() -> None:
    scheduler = Scheduler(LIMITS)
    for key in range(6):
        scheduler.submit(job(key))
    with pytest.raises(QueueFull) as refused:
        scheduler.submit(job(6))
    assert refused.value.retry_after_s > 0
    scheduler.submit(job(7, Priority.emergency))
    scheduler.submit(job(8, Priority.emergency))
    with pytest.raises(QueueFull):
        scheduler.submit(job(9, Priority.emergency))


def test_a_batch_stays_within_its_budget_but_a_large_job_runs_alone() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1, cost=25))
    scheduler.submit(job(2, at=0.1, cost=6))
    scheduler.submit(job(3, at=0.2, cost=6))
    assert [j.key for j in scheduler.next_batch(1.0)] == [1]
    assert [j.key for j in scheduler.next_batch(1.0)] == [2]


def test_an_expired_job_is_returned_once_and_never_run() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit(job(1, deadline=1.0))
    assert [j.key for j in scheduler.expire(1.0)] == [1]
    assert scheduler.expire(1.0) == []
    assert scheduler.next_batch(1.0) == []


class Machine(RuleBasedStateMachine):
    """Random submissions, cancellations, batches and time against a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS)
        self.now = 0.0
        self.next_key = 0
        self.waiting: dict[int, Job] = {}
        self.done: set[int] = set()

    @rule(
        priority=st.sampled_from(Priority),
        cost=st.integers(1, 15),
        patience=st.floats(0.1, 20.0),
    )
    def submit(self, priority: Priority, cost: int, patience: float) -> None:
        self.next_key += 1
        new = Job(self.next_key, priority, self.now, cost, self.now + patience)
        room = LIMITS.capacity - (0 if priority is Priority.emergency else LIMITS.reserved)
        if len(self.waiting) >= room:
            with pytest.raises(QueueFull):
                self.scheduler.submit(new)
        else:
            self.scheduler.submit(new)
            self.waiting[self.next_key] = new

    @rule(key=st.integers(1, 60))
    def cancel(self, key: int) -> None:
        assert self.scheduler.cancel(key) == (key in self.waiting)
        self.waiting.pop(key, None)

    @rule(seconds=st.floats(0.0, 8.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def run(self) -> None:
        for late in self.scheduler.expire(self.now):
            assert self.waiting.pop(int(str(late.key))).deadline <= self.now
        batch = self.scheduler.next_batch(self.now)
        assert bool(batch) == bool(self.waiting), "a free worker never idles while work waits"
        assert len(batch) <= LIMITS.max_batch
        assert len(batch) == 1 or sum(j.cost for j in batch) <= LIMITS.budget
        emergencies = [j for j in self.waiting.values() if j.priority is Priority.emergency]
        if emergencies and batch:
            assert batch[0].priority is Priority.emergency
        for priority in Priority:
            same = [j.enqueued for j in batch if j.priority is priority]
            assert same == sorted(same), "first come, first served within a class"
        for ran in batch:
            key = int(str(ran.key))
            assert key not in self.done, "nothing is answered twice"
            self.done.add(key)
            del self.waiting[key]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.scheduler) == len(self.waiting)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
