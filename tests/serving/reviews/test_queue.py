"""The most urgent task that waited longest is first, one reader holds it, and a lease ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from serving import audit, decisions, users
from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.errors import (
    AlreadyLeased,
    AlreadySigned,
    Forbidden,
    InvalidInput,
    LeaseLost,
    NotFound,
)
from serving.reviews import queue, sign, tasks
from serving.reviews.queue import Filters, Lease
from serving.storage.codes import DecisionKind, Reason, Role, TaskState
from serving.storage.database import Database
from serving.users import User
from tests.serving.storage.records import POLICY, decide_in

pytest_plugins = ["tests.serving.storage.databases"]

Decide = Callable[..., DecisionRecord]


def order(db: Database, filters: Filters = queue.ANY) -> list[str]:
    return [task.decision_id for task in queue.worklist(db, filters=filters).tasks]


def actions(db: Database, task_id: str) -> list[str]:
    return [event.action for event in reversed(audit.list_events(db, subject=task_id))]


def test_urgency_comes_first_then_what_is_due_first(
    db: Database, decide: Decide, clock: FixedClock
) -> None:
    routine = decide(Reason.ABSTAINED, disposition=4)
    sampled = decide(Reason.RANDOM_SAMPLE, disposition=4)
    clock.advance(60)
    ambulance = decide(Reason.HIGH_URGENCY, disposition=1)
    later = decide(Reason.ABSTAINED, disposition=3)
    crisis = decide(Reason.CRISIS, disposition=4)
    assert order(db) == [crisis.id, ambulance.id, routine.id, later.id, sampled.id]
    assert queue.worklist(db).tasks[0].reasons == (Reason.CRISIS,)


def test_of_equal_urgency_the_longest_wait_is_first(
    db: Database, decide: Decide, clock: FixedClock
) -> None:
    made = []
    for _ in range(4):
        made.append(decide(Reason.NOT_UNDERSTOOD).id)
        clock.advance(1)
    assert order(db) == made


def test_the_worklist_filters_by_state_kind_reason_and_due_time(
    db: Database, decide: Decide, clock: FixedClock, physician: User
) -> None:
    crisis = decide(Reason.CRISIS)
    image = decide(Reason.IMAGING, kind=DecisionKind.IMAGING, disposition=None)
    vague = decide(Reason.ABSTAINED, Reason.LOW_CONFIDENCE)
    assert order(db, Filters(kinds=[DecisionKind.IMAGING])) == [image.id]
    assert order(db, Filters(reasons=[Reason.LOW_CONFIDENCE, Reason.CRISIS])) == [
        crisis.id,
        vague.id,
    ]
    assert order(db, Filters(overdue_only=True)) == []
    clock.advance(timedelta(minutes=6))
    assert order(db, Filters(overdue_only=True)) == [crisis.id]
    assert [task.overdue for task in queue.worklist(db).tasks] == [True, False, False]
    lease = queue.claim_next(db, physician)
    assert lease is not None
    assert order(db, Filters(states=[TaskState.LEASED])) == [crisis.id]
    assert order(db, Filters(states=[TaskState.OPEN])) == [image.id, vague.id]
    sign.sign(db, lease.task_id, physician, lease.token)
    assert order(db) == [image.id, vague.id]
    assert order(db, Filters(states=[TaskState.SIGNED])) == [crisis.id]
    assert len(order(db, Filters(states=[]))) == 3


def test_pages_neither_repeat_nor_hide_a_task_when_others_come_and_go(
    db: Database, decide: Decide, clock: FixedClock, physician: User
) -> None:
    made = []
    for _ in range(7):
        made.append(decide(Reason.ABSTAINED).id)
        clock.advance(1)
    first = queue.worklist(db, limit=3)
    assert [task.decision_id for task in first.tasks] == made[:3]
    queue.claim_next(db, physician, filters=Filters(reasons=[Reason.ABSTAINED]))
    decide(Reason.CRISIS)
    second = queue.worklist(db, limit=3, cursor=first.next_cursor)
    assert [task.decision_id for task in second.tasks] == made[3:6]
    third = queue.worklist(db, limit=3, cursor=second.next_cursor)
    assert [task.decision_id for task in third.tasks] == made[6:]
    assert third.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "bm90IGpzb24=", "WzEsICJ4IiwgInkiXQ==", "头"])
def test_a_foreign_cursor_is_refused(db: Database, cursor: str) -> None:
    with pytest.raises(InvalidInput):
        queue.worklist(db, cursor=cursor)


def test_a_claim_holds_the_task_for_its_time(
    db: Database, decide: Decide, clock: FixedClock, physician: User, colleague: User
) -> None:
    record = decide(Reason.CRISIS)
    task_id = record.review_task_id or ""
    lease = queue.claim(db, task_id, physician, lease_for=timedelta(minutes=5))
    assert lease == Lease(task_id, record.id, physician.id, 1, clock.now() + timedelta(minutes=5))
    clock.advance(timedelta(minutes=5) - timedelta(microseconds=1))
    with pytest.raises(AlreadyLeased):
        queue.claim(db, task_id, colleague)
    assert queue.claim_next(db, colleague) is None
    (task,) = queue.worklist(db).tasks
    assert (task.state, task.lease_owner) == (TaskState.LEASED, physician.id)


def test_a_lease_that_ran_out_counts_as_none_without_any_timer(
    db: Database, decide: Decide, clock: FixedClock, physician: User, colleague: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    lease = queue.claim(db, task_id, physician)
    clock.advance(queue.LEASE)
    (task,) = queue.worklist(db).tasks
    assert (task.state, task.lease_owner) == (TaskState.OPEN, None)
    with pytest.raises(LeaseLost):
        queue.heartbeat(db, task_id, physician, lease.token)
    taken = queue.claim_next(db, colleague)
    assert taken is not None
    assert (taken.task_id, taken.token) == (task_id, lease.token + 1)
    assert actions(db, task_id) == [
        "review.queued",
        "review.claim",
        "review.expire",
        "review.claim",
    ]


def test_a_late_reader_can_do_nothing_with_an_old_token(
    db: Database, decide: Decide, clock: FixedClock, physician: User, colleague: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    old = queue.claim(db, task_id, physician)
    clock.advance(queue.LEASE)
    queue.claim(db, task_id, colleague)
    for attempt in (
        lambda: queue.heartbeat(db, task_id, physician, old.token),
        lambda: queue.release(db, task_id, physician, old.token),
        lambda: sign.sign(db, task_id, physician, old.token),
        lambda: sign.sign(db, task_id, physician, old.token + 1),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    (task,) = queue.worklist(db).tasks
    assert task.lease_owner == colleague.id


def test_claiming_again_voids_the_readers_own_old_token(
    db: Database, decide: Decide, physician: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    first = queue.claim(db, task_id, physician)
    second = queue.claim(db, task_id, physician)
    assert second.token == first.token + 1
    with pytest.raises(LeaseLost):
        queue.heartbeat(db, task_id, physician, first.token)
    queue.heartbeat(db, task_id, physician, second.token)


def test_a_heartbeat_holds_the_task_for_longer(
    db: Database, decide: Decide, clock: FixedClock, physician: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    lease = queue.claim(db, task_id, physician)
    for _ in range(5):
        clock.advance(queue.LEASE * 0.9)
        lease = queue.heartbeat(db, task_id, physician, lease.token)
        assert lease.expires_at == clock.now() + queue.LEASE
    sign.sign(db, task_id, physician, lease.token)


def test_a_released_task_is_anybodys(
    db: Database, decide: Decide, physician: User, colleague: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    lease = queue.claim(db, task_id, physician)
    assert queue.release(db, task_id, physician, lease.token).state is TaskState.OPEN
    with pytest.raises(LeaseLost):
        queue.release(db, task_id, physician, lease.token)
    assert queue.claim(db, task_id, colleague).token == 2


def test_a_closed_task_cannot_be_claimed_held_or_released(
    db: Database, decide: Decide, physician: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    lease = queue.claim(db, task_id, physician)
    sign.sign(db, task_id, physician, lease.token)
    for attempt in (
        lambda: queue.claim(db, task_id, physician),
        lambda: queue.heartbeat(db, task_id, physician, lease.token),
        lambda: queue.release(db, task_id, physician, lease.token),
    ):
        with pytest.raises(AlreadySigned):
            attempt()
    assert queue.claim_next(db, physician) is None


@pytest.mark.parametrize("role", [Role.PATIENT_APP, Role.ADMINISTRATOR])
def test_only_physicians_claim(db: Database, decide: Decide, role: Role) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    other = users.create(db, name="x", role=role).user
    with pytest.raises(Forbidden):
        queue.claim(db, task_id, other)
    with pytest.raises(Forbidden):
        queue.claim_next(db, other)


def test_unknown_tasks_are_not_found(db: Database, physician: User) -> None:
    for attempt in (
        lambda: queue.claim(db, "rev_none", physician),
        lambda: queue.heartbeat(db, "rev_none", physician, 1),
        lambda: queue.release(db, "rev_none", physician, 1),
        lambda: queue.read(db, "rev_none", physician),
    ):
        with pytest.raises(NotFound):
            attempt()


def test_seeing_a_case_is_audited_with_who_saw_it(
    db: Database, decide: Decide, physician: User
) -> None:
    record = decide(Reason.CRISIS)
    task_id = record.review_task_id or ""
    case = queue.read(db, task_id, physician)
    assert case.decision == decisions.get(db, record.id)
    assert case.task.id == task_id
    assert case.signature is None
    (event,) = audit.list_events(db, subject=task_id, action="review.viewed")
    assert event.actor == physician.id
    app = users.create(db, name="app", role=Role.PATIENT_APP).user
    with pytest.raises(Forbidden):
        queue.read(db, task_id, app)


def test_every_move_is_audited(
    db: Database, decide: Decide, clock: FixedClock, physician: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    first = queue.claim(db, task_id, physician)
    queue.heartbeat(db, task_id, physician, first.token)
    queue.release(db, task_id, physician, first.token)
    queue.claim(db, task_id, physician)
    clock.advance(queue.LEASE)
    assert queue.expire_leases(db) == 1
    assert queue.expire_leases(db) == 0
    last = queue.claim(db, task_id, physician)
    sign.sign(db, task_id, physician, last.token)
    assert actions(db, task_id) == [
        "review.queued",
        "review.claim",
        "review.heartbeat",
        "review.release",
        "review.claim",
        "review.expire",
        "review.claim",
        "review.sign",
    ]
    (expiry,) = audit.list_events(db, subject=task_id, action="review.expire")
    assert expiry.actor == audit.SYSTEM
    assert audit.verify(db).ok


def test_a_complaint_queues_a_decision_that_was_not(db: Database, decide: Decide) -> None:
    record = decide()
    request = POLICY.level([Reason.COMPLAINT], record.disposition)
    task_id = tasks.request_review(db, record.id, request, actor="usr_app")
    assert decisions.get(db, record.id).review_task_id == task_id
    (task,) = queue.worklist(db).tasks
    assert task.reasons == (Reason.COMPLAINT,)


def test_a_complaint_makes_a_waiting_task_more_urgent_never_less(
    db: Database, decide: Decide
) -> None:
    record = decide(Reason.RANDOM_SAMPLE, disposition=4)
    complaint = POLICY.level([Reason.COMPLAINT], 4)
    task_id = tasks.request_review(db, record.id, complaint, actor="usr_app")
    assert task_id == record.review_task_id
    assert tasks.request_review(db, record.id, complaint, actor="usr_app") == task_id
    (task,) = queue.worklist(db).tasks
    assert task.reasons == (Reason.COMPLAINT, Reason.RANDOM_SAMPLE)
    assert task.priority == complaint.priority
    tasks.request_review(db, record.id, POLICY.level([Reason.RANDOM_SAMPLE], 4), actor="usr_app")
    assert queue.worklist(db).tasks[0] == task


def test_a_signed_decision_cannot_be_queued_again(
    db: Database, decide: Decide, physician: User
) -> None:
    record = decide(Reason.CRISIS)
    lease = queue.claim_next(db, physician)
    assert lease is not None
    sign.sign(db, lease.task_id, physician, lease.token)
    request = POLICY.level([Reason.COMPLAINT], 4)
    with pytest.raises(AlreadySigned):
        tasks.request_review(db, record.id, request, actor="usr_app")
    with pytest.raises(NotFound):
        tasks.request_review(db, "dec_none", request, actor="usr_app")


def test_readers_who_claim_at_once_get_every_task_exactly_once(
    db: Database, physician: User, colleague: User
) -> None:
    for _ in range(200):
        decide_in(db, Reason.ABSTAINED)
    claimed: dict[str, list[str]] = {physician.id: [], colleague.id: []}
    start = threading.Barrier(2)

    def work(reader: User) -> None:
        start.wait()
        misses = 0
        while misses < 3:  # SKIP LOCKED may pass over a task that the other is just taking
            lease = queue.claim_next(db, reader)
            if lease is None:
                misses += 1
            else:
                claimed[reader.id].append(lease.task_id)

    threads = [threading.Thread(target=work, args=(reader,)) for reader in (physician, colleague)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = Counter(claimed[physician.id] + claimed[colleague.id])
    assert len(counted) == 200
    assert set(counted.values()) == {1}
    assert audit.verify(db).ok


def test_of_many_who_sign_one_task_at_once_one_succeeds(
    db: Database, decide: Decide, physician: User
) -> None:
    decide(Reason.CRISIS)
    lease = queue.claim_next(db, physician)
    assert lease is not None
    start = threading.Barrier(6)
    outcomes: list[str] = []

    def work() -> None:
        start.wait()
        try:
            sign.sign(db, lease.task_id, physician, lease.token)
            outcomes.append("signed")
        except AlreadySigned:
            outcomes.append("refused")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["signed"]
