"""Batches in the database: who sees them, each row once, no row after the end, gone in time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from serving import audit, decisions, users
from serving.clock import FixedClock
from serving.errors import Forbidden, IllegalMove, NotFound, TooBusy
from serving.storage import batch_items, batch_leases, batches
from serving.storage.batch_items import BatchStopped, RowTaken
from serving.storage.batches import Batch, NewBatch
from serving.storage.codes import BatchState, DecisionKind, Role, StopReason
from serving.storage.database import Database
from serving.storage.tables import DecisionRow
from serving.users import User

pytest_plugins = ["tests.serving.storage.databases"]

KEEP = timedelta(hours=1)
LEASE = timedelta(minutes=1)
FOLDER = "fld_1"


@pytest.fixture
def owner(db: Database) -> User:
    return users.create(db, name="管理员", role=Role.ADMINISTRATOR).user


def create(db: Database, owner: User, items: int = 3, most: int = 16) -> Batch:
    new = NewBatch(db.ids.new("bat"), "triage", "jsonl", "a" * 64, 100, items, FOLDER)
    with db.write() as session:
        return batches.create(db, new, owner=owner, most=most, keep=KEEP, within=session)


def running(db: Database, owner: User, items: int = 3) -> Batch:
    batch = create(db, owner, items)
    assert batch_leases.claim(db, batch.id, lease_for=LEASE) == 1
    return batches.get(db, batch.id, owner)


def decide(
    db: Database, batch: Batch, number: int, owner: User, *, crash: bool = False, token: int = 1
) -> str:
    """What a service does for a row: the row and its decision in one transaction."""
    decision_id = db.ids.new("dec")
    with db.write() as session:
        keep(db, session, batch, number, owner, decision_id, token)
        decisions.record(
            db, kind=DecisionKind.TRIAGE, input={}, result={"row": number}, models={},
            rules_version="1", disposition=4, review=None, actor=owner.id,
            decision_id=decision_id, within=session,
        )  # fmt: skip
        if crash:
            raise RuntimeError("crash")
    return decision_id


def keep(
    db: Database, session: Session, batch: Batch, number: int, owner: User, decision_id: str,
    token: int = 1,
) -> None:  # fmt: skip
    batch_items.keep_item(
        db, session, batch.id, number, token=token, owner=owner, file=None,
        decision_id=decision_id,
    )  # fmt: skip


def fail(db: Database, batch: Batch, number: int, owner: User) -> None:
    with db.write() as session:
        batch_items.keep_item(
            db,
            session,
            batch.id,
            number,
            token=1,
            owner=owner,
            file="a.png",
            problem={"code": "x"},
        )


def decided(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(DecisionRow)) or 0


def test_rows_are_counted_and_listed_in_order_with_their_decisions(
    db: Database, owner: User
) -> None:
    batch = running(db, owner)
    fail(db, batch, 2, owner)
    first, third = decide(db, batch, 1, owner), decide(db, batch, 3, owner)
    now = batches.get(db, batch.id, owner)
    assert (now.answered, now.failed, now.items) == (2, 1, 3)
    found = batch_items.finished_rows(db, batch.id, after=0, up_to=3, limit=9)
    assert [one.answer and one.answer.decision_id for one in found] == [first, None, third]
    assert (found[1].file, found[1].problem) == ("a.png", {"code": "x"})
    batches.finish(db, batch.id, 1, keep=KEEP)
    assert batches.get(db, batch.id, owner).state is BatchState.DONE
    assert audit.verify(db).ok


def test_a_row_is_decided_once_whoever_comes_second(db: Database, owner: User) -> None:
    batch = running(db, owner)
    decide(db, batch, 1, owner)
    for again in (decide, fail):
        with pytest.raises(RowTaken):
            again(db, batch, 1, owner)
    assert decided(db) == 1


def test_a_crash_before_the_commit_leaves_neither_row_nor_decision(
    db: Database, owner: User
) -> None:
    batch = running(db, owner)
    with pytest.raises(RuntimeError):
        decide(db, batch, 1, owner, crash=True)
    assert decided(db) == 0
    assert batch_items.recorded(db, batch.id) == frozenset()


@pytest.mark.parametrize("how", ["queued", "cancelled", "removed"])
def test_no_row_is_recorded_of_a_batch_that_does_not_run(
    db: Database, owner: User, how: str
) -> None:
    batch = create(db, owner)
    if how == "cancelled":
        batches.cancel(db, batch.id, actor=owner.id, reason=StopReason.REQUESTED, keep=KEEP)
    if how == "removed":
        batches.remove(db, batch.id, actor=owner.id)
    with pytest.raises(BatchStopped):
        decide(db, batch, 1, owner)
    assert decided(db) == 0


def test_no_row_is_recorded_for_an_owner_who_was_disabled(db: Database, owner: User) -> None:
    batch = running(db, owner)
    users.disable(db, owner.id)
    with pytest.raises(Forbidden):
        decide(db, batch, 1, owner)
    assert decided(db) == 0


def test_a_batch_with_open_rows_is_not_done(db: Database, owner: User) -> None:
    batch = running(db, owner)
    decide(db, batch, 1, owner)
    with pytest.raises(IllegalMove):
        batches.finish(db, batch.id, 1, keep=KEEP)


def test_only_the_owner_and_administrators_see_a_batch(db: Database, owner: User) -> None:
    other = users.create(db, name="Dr Chen", role=Role.PHYSICIAN).user
    admin = users.create(db, name="Second", role=Role.ADMINISTRATOR).user
    batch = create(db, owner)
    assert [b.id for b in batches.list_for(db, admin, limit=9)] == [batch.id]
    assert batches.list_for(db, other, limit=9) == []
    with pytest.raises(NotFound):
        batches.get(db, batch.id, other)


def test_a_batch_expires_after_its_end_and_then_is_nobodys(
    db: Database, owner: User, clock: FixedClock
) -> None:
    batch = running(db, owner, items=1)
    decision = decide(db, batch, 1, owner)
    clock.advance(timedelta(minutes=50))
    batches.finish(db, batch.id, 1, keep=KEEP)
    clock.advance(timedelta(minutes=59))
    assert batches.expired(db) == []
    clock.advance(timedelta(minutes=1))
    assert batches.expired(db) == [batch.id]
    assert batches.list_for(db, owner, limit=9) == []
    with pytest.raises(NotFound):
        batches.get(db, batch.id, owner)
    batches.remove(db, batch.id, actor=audit.SYSTEM, action="batch.expired")
    assert batches.expired(db) == []
    assert decisions.get(db, decision).id == decision


def test_no_more_batches_than_allowed_are_open(db: Database, owner: User) -> None:
    batch = create(db, owner, most=1)
    with pytest.raises(TooBusy) as busy:
        create(db, owner, most=1)
    assert int(busy.value.headers()["Retry-After"]) >= 1
    batches.cancel(db, batch.id, actor=owner.id, reason=StopReason.REQUESTED, keep=KEEP)
    create(db, owner, most=1)


def test_the_speed_is_that_of_the_last_rows(db: Database, owner: User, clock: FixedClock) -> None:
    batch = running(db, owner, items=100)
    assert batch.seconds_per_item is None
    decide(db, batch, 1, owner)
    clock.advance(1800)  # the server was away
    for number in range(2, 60):
        clock.advance(2)
        decide(db, batch, number, owner)
    assert batches.get(db, batch.id, owner).seconds_per_item == pytest.approx(2)
