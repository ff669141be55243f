"""The scheduler as a state machine: nothing lost, nothing twice, order and bounds hold."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.engine.inference import Priority, QueueFull
from serving.engine.scheduler import Batch, Job, Limits, Scheduler

LIMITS = Limits(capacity=8, reserved=2, max_batch=3, budget=10, ageing_s=5.0)


def job(key: int, priority: Priority = Priority.interactive, at: float = 0.0, **more: float) -> Job:
    return Job(
        key,
        priority,
        at,
        rows=int(more.get("rows", 1)),
        length=int(more.get("length", 1)),
        deadline=more.get("deadline", math.inf),
    )


def keys(batch: Batch | None) -> list[object]:
    assert batch is not None
    return [one.key for one in batch.jobs]


def test_a_free_worker_gets_a_lone_request_at_once() -> None:
    scheduler = Scheduler(LIMITS)
    assert scheduler.take(0.0) is None
    scheduler.submit([job(1)])
    assert keys(scheduler.take(0.0)) == [1]


def test_emergencies_go_before_everything_that_waits() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(1, Priority.bulk)])
    scheduler.submit([job(2, Priority.interactive, at=0.1)])
    scheduler.submit([job(3, Priority.emergency, at=0.2)])
    assert keys(scheduler.take(0.3)) == [3, 2, 1]


def test_an_emergency_does_not_wait_for_a_batch_that_is_full_to_the_brim() -> None:
    scheduler = Scheduler(Limits(max_batch=16, capacity=64))
    for key in range(20):
        scheduler.submit([job(key)])
    scheduler.submit([job(99, Priority.emergency)])
    assert len(keys(scheduler.take(0.0))) == 14
    assert len(keys(scheduler.take(0.0))) == 7


def test_bulk_that_waited_is_not_overtaken_by_newer_interactive_requests() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(1, Priority.bulk, at=0.0)])
    scheduler.submit([job(2, Priority.interactive, at=4.0)])
    assert keys(scheduler.take(6.0))[0] == 1


def test_nothing_ages_into_the_emergency_class() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(1, Priority.bulk, at=0.0)])
    scheduler.submit([job(2, Priority.emergency, at=100.0)])
    assert keys(scheduler.take(100.0))[0] == 2


def test_the_last_places_are_kept_for_emergencies() -> None:
    scheduler = Scheduler(LIMITS)
    for key in range(6):
        scheduler.submit([job(key)])
    with pytest.raises(QueueFull):
        scheduler.submit([job(6)])
    scheduler.submit([job(7, Priority.emergency)])
    scheduler.submit([job(8, Priority.emergency)])
    with pytest.raises(QueueFull):
        scheduler.submit([job(9, Priority.emergency)])


def test_the_parts_of_a_request_are_queued_together_or_not_at_all() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(key) for key in range(5)])
    with pytest.raises(QueueFull):
        scheduler.submit([job(8), job(9)])
    assert len(scheduler) == 5


def test_a_batch_stays_within_its_budget_but_a_large_job_runs_alone() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(1, length=25)])
    scheduler.submit([job(2, at=0.1, length=6)])
    scheduler.submit([job(3, at=0.2, length=6)])
    assert keys(scheduler.take(1.0)) == [1]
    assert keys(scheduler.take(1.0)) == [2]


def test_short_rows_do_not_share_a_batch_with_a_long_one_that_would_make_them_padding() -> None:
    scheduler = Scheduler(Limits(max_batch=8))
    scheduler.submit([job(1, length=512)])
    for key in (2, 3, 4):
        scheduler.submit([job(key, at=0.1, length=8)])
    scheduler.submit([job(5, at=0.2, length=400)])
    assert keys(scheduler.take(1.0)) == [1, 2, 5]  # a second short row would make it mostly padding
    assert keys(scheduler.take(1.0)) == [3, 4]


def test_whoever_cannot_be_in_time_is_told_at_the_door() -> None:
    scheduler = Scheduler(Limits(max_batch=2, capacity=100, reserved=1))
    scheduler.submit([job(0)])
    busy = scheduler.take(0.0)
    assert busy is not None
    scheduler.done(busy, 1.0)
    scheduler.submit([job(1)])
    assert scheduler.take(1.0) is not None  # one second of work is under way
    scheduler.submit([job(2, at=1.0, deadline=4.0)])
    with pytest.raises(QueueFull) as refused:
        scheduler.submit([job(3, at=1.0, deadline=1.5)])
    assert refused.value.retry_after_s > 0
    scheduler.submit([job(4, Priority.emergency, at=1.0, deadline=1.5)])


def test_the_share_of_more_urgent_classes_lengthens_the_expected_wait() -> None:
    scheduler = Scheduler(Limits(max_batch=4, capacity=100, reserved=1))
    for key in range(0, 200, 4):
        scheduler.submit([job(key, Priority.emergency), job(key + 1, Priority.emergency)])
        scheduler.submit([job(key + 2), job(key + 3)])
        batch = scheduler.take(0.0)
        assert batch is not None
        scheduler.done(batch, 1.0)
    mine = [job(1000 + i) for i in range(4)]
    assert scheduler.wait_s(Priority.emergency, 0.0, mine) == pytest.approx(1.0, rel=0.01)
    assert scheduler.wait_s(Priority.interactive, 0.0, mine) == pytest.approx(2.0, rel=0.05)


def test_an_idle_model_takes_whatever_it_believes_of_itself() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(0)])
    slow = scheduler.take(0.0)
    assert slow is not None
    scheduler.done(slow, 60.0)
    scheduler.submit([job(1, at=60.0, deadline=61.0)])
    assert keys(scheduler.take(60.0)) == [1], "one bad minute must not close the door for ever"


def test_what_cannot_be_in_time_any_more_makes_room_for_what_can() -> None:
    scheduler = Scheduler(LIMITS)
    scheduler.submit([job(0)])
    first = scheduler.take(0.0)
    assert first is not None
    scheduler.done(first, 1.0)
    scheduler.submit([job(1, at=1.0, deadline=4.0), job(2, at=1.0)])
    batch = scheduler.take(3.5)
    assert keys(batch) == [2]
    assert batch is not None
    assert [late.key for late in batch.late] == [1]
    assert scheduler.take(3.5) is None


class Machine(RuleBasedStateMachine):
    """Random submissions, cancellations, batches and time against a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS, workers=2)
        self.now = 0.0
        self.next_key = 0
        self.waiting: dict[int, Job] = {}
        self.running: list[tuple[Batch, float]] = []
        self.out: set[int] = set()

    @rule(
        priority=st.sampled_from(Priority),
        lengths=st.lists(st.integers(1, 15), min_size=1, max_size=3),
        rows=st.integers(1, 3),
        patience=st.one_of(st.just(math.inf), st.floats(0.1, 20.0)),
    )
    def submit(self, priority: Priority, lengths: list[int], rows: int, patience: float) -> None:
        jobs = []
        for length in lengths:
            self.next_key += 1
            jobs.append(Job(self.next_key, priority, self.now, rows, length, self.now + patience))
        urgent = priority is Priority.emergency
        room = LIMITS.capacity - (0 if urgent else LIMITS.reserved)
        fits = len(self.waiting) + len(jobs) <= room
        sure = urgent or patience == math.inf or not (self.waiting or self.running)
        refused = None
        try:
            self.scheduler.submit(jobs)
        except QueueFull as full:
            refused = full
        if refused is None:
            assert fits, "the bound of the queue holds"
            self.waiting |= {one.key: one for one in jobs}  # type: ignore[misc]
        else:
            assert not (fits and sure), "nobody is turned away for nothing"
            assert refused.retry_after_s >= 0

    @rule(key=st.integers(1, 60))
    def cancel(self, key: int) -> None:
        assert self.scheduler.cancel(key) == (key in self.waiting)
        self.waiting.pop(key, None)

    @rule(seconds=st.floats(0.0, 8.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.running) < 2)
    @rule()
    def take(self) -> None:
        batch = self.scheduler.take(self.now)
        assert (batch is None) == (not self.waiting)
        if batch is None:
            return
        in_time = [one for one in self.waiting.values() if one.deadline > self.now]
        assert bool(batch.jobs) == bool(in_time), "a free worker never idles while work waits"
        assert len(batch.jobs) == 1 or batch.rows <= LIMITS.max_batch
        assert len(batch.jobs) == 1 or batch.size <= LIMITS.budget
        real = sum(one.size for one in batch.jobs)
        assert not batch.jobs or real >= batch.size * (1 - LIMITS.max_padding)
        for one in (*batch.jobs, *batch.late):
            assert one.key not in self.out, "nothing is answered twice"
            self.out.add(one.key)  # type: ignore[arg-type]
            del self.waiting[one.key]  # type: ignore[arg-type]
        self.in_order(batch)
        if batch.jobs:
            self.running.append((batch, self.now))

    def in_order(self, batch: Batch) -> None:
        for priority in Priority:
            same = [one for one in batch.jobs if one.priority is priority]
            assert same == sorted(same, key=lambda one: one.enqueued), "first come, first served"
            for one in same:
                # Who came before and still waits did not fit beside the others; who is as long
                # as one who was taken is only left where the batch is full.
                for left in self.waiting.values():
                    if left.priority is priority and left.enqueued < one.enqueued:
                        assert (left.rows, left.length) != (one.rows, one.length)
        if batch.jobs:
            head = batch.jobs[0]
            if any(one.priority is Priority.emergency for one in self.waiting.values()):
                assert head.priority is Priority.emergency
            left = [one for one in self.waiting.values() if one.priority is head.priority]
            assert all(head.enqueued <= one.enqueued for one in left), "the oldest always runs"

    @precondition(lambda self: self.running)
    @rule(seconds=st.floats(0.0, 3.0))
    def finish(self, seconds: float) -> None:
        self.now += seconds
        batch, began = self.running.pop(0)
        self.scheduler.done(batch, self.now - began)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.scheduler) == len(self.waiting)
        assert self.scheduler.wait_s(Priority.bulk, self.now) >= 0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
