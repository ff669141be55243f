"""Batches as rows: accepted, started, moved on, removed. Their rows are in `batch_items`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from serving import audit
from serving.batches.machine import OPEN, Move, after
from serving.errors import IllegalMove, NotFound, TooBusy
from serving.storage.batch_leases import locked, require
from serving.storage.codes import BatchState, ItemOutcome, Role, StopReason
from serving.storage.database import Database
from serving.storage.tables import BatchItemRow, BatchRow
from serving.users import User

_RETRY_FULL_S = 30
_RATE_OVER = 50
"""How many of the last rows the speed is measured over."""


@dataclass(frozen=True)
class Batch:
    """A batch as it was read. `items` is how many rows it has, `answered` and `failed` so far.

    `input_folder` is None of a batch from before servers shared a database.
    `seconds_per_item` is the speed over the last rows; None before two are recorded.
    """

    id: str
    owner_id: str
    task: str
    form: str
    sha256: str
    items: int
    state: BatchState
    stop_reason: StopReason | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    input_folder: str | None
    answered: int
    failed: int
    seconds_per_item: float | None


@dataclass(frozen=True)
class NewBatch:
    """What is known of an input file once it has been checked. `size` is in bytes."""

    id: str
    task: str
    form: str
    sha256: str
    size: int
    items: int
    input_folder: str


def room(db: Database, most: int, within: Session | None = None) -> None:
    """Raise TooBusy when as many batches as allowed are still open."""
    with db.read(within) as session:
        count = select(func.count()).where(BatchRow.state.in_(OPEN))
        if (session.scalar(count) or 0) >= most:
            raise TooBusy(f"at most {most} unfinished batches", retry_after=_RETRY_FULL_S)


def create(
    db: Database, new: NewBatch, *, owner: User, most: int, keep: timedelta, within: Session
) -> Batch:
    """Accept a batch, audited; it expires `keep` after it has finished, or after now until then.

    Raises TooBusy.
    """
    room(db, most, within)
    at = db.clock.now()
    row = BatchRow(
        id=new.id,
        owner_id=owner.id,
        task=new.task,
        form=new.form,
        sha256=new.sha256,
        size=new.size,
        items=new.items,
        input_folder=new.input_folder,
        state=BatchState.QUEUED,
        created_at=at,
        expires_at=at + keep,
    )
    within.add(row)
    within.flush()
    _audit(db, within, owner.id, "batch.accepted", row, size=new.size, sha256=new.sha256)
    return _batch(within, row)


def get(db: Database, batch_id: str, user: User) -> Batch:
    """A batch, for its owner and administrators. NotFound for others and once it has expired."""
    with db.read() as session:
        row = session.get(BatchRow, batch_id)
        if row is None or not _sees(user, row) or row.expires_at <= db.clock.now():
            raise NotFound("no such batch")
        return _batch(session, row)


def list_for(db: Database, user: User, *, limit: int) -> list[Batch]:
    """The user's batches, newest first; everybody's for an administrator."""
    query = select(BatchRow).where(BatchRow.expires_at > db.clock.now())
    if user.role is not Role.ADMINISTRATOR:
        query = query.where(BatchRow.owner_id == user.id)
    with db.read() as session:
        newest = session.scalars(query.order_by(BatchRow.id.desc()).limit(limit))
        return [_batch(session, row) for row in newest]


def unfinished(db: Database) -> list[Batch]:
    """Every batch with rows still to answer, oldest first."""
    query = select(BatchRow).where(BatchRow.state.in_(OPEN)).order_by(BatchRow.id)
    with db.read() as session:
        return [_batch(session, row) for row in session.scalars(query)]


def unclaimed(db: Database, folder: str) -> list[Batch]:
    """The unfinished batches that no server works on and whose input is in that folder, or in one
    that nobody knows; oldest first."""
    query = (
        select(BatchRow)
        .where(
            BatchRow.state.in_(OPEN),
            or_(BatchRow.lease_expires_at.is_(None), BatchRow.lease_expires_at <= db.clock.now()),
            or_(BatchRow.input_folder == folder, BatchRow.input_folder.is_(None)),
        )
        .order_by(BatchRow.id)
    )
    with db.read() as session:
        return [_batch(session, row) for row in session.scalars(query)]


def is_open(db: Database, batch_id: str) -> bool:
    """Whether rows are still to be answered; False for an unknown batch."""
    with db.read() as session:
        row = session.get(BatchRow, batch_id)
        return row is not None and row.state in OPEN


def finish(db: Database, batch_id: str, token: int, *, keep: timedelta) -> None:
    """Close a batch whose rows all have their answer. Audited.

    Raises NotFound, IllegalMove, or LeaseLost where `token` is not the newest.
    """
    with db.write() as session:
        row = locked(session, batch_id)
        require(row, token)
        _close(db, row, after(row.state, Move.FINISH), keep)
        counts = _counts(session, batch_id)
        if sum(n for _, n in counts) != row.items:
            raise IllegalMove("some of its rows have no answer")
        _audit(db, session, row.owner_id, "batch.finished", row, **{k.value: n for k, n in counts})


def cancel(
    db: Database,
    batch_id: str,
    *,
    actor: str,
    reason: StopReason,
    keep: timedelta,
    token: int | None = None,
) -> None:
    """Answer no further row; again changes nothing. Audited.

    A person needs no `token`, a server does. Raises NotFound, IllegalMove or LeaseLost.
    """
    with db.write() as session:
        row = locked(session, batch_id)
        require(row, token)
        before, row.state = row.state, after(row.state, Move.CANCEL)
        if before is BatchState.CANCELLED:
            return
        row.stop_reason = reason
        _close(db, row, row.state, keep)
        _audit(db, session, actor, "batch.cancelled", row, reason=reason.value)


def remove(db: Database, batch_id: str, *, actor: str, action: str = "batch.deleted") -> None:
    """Forget a batch and what became of its rows; decisions stay. Audited. Raises NotFound."""
    with db.write() as session:
        row = locked(session, batch_id)
        session.execute(delete(BatchItemRow).where(BatchItemRow.batch_id == batch_id))
        session.delete(row)
        session.flush()
        _audit(db, session, actor, action, row)


def expired(db: Database) -> list[str]:
    """Ids of the batches whose time is over."""
    query = select(BatchRow.id).where(BatchRow.expires_at <= db.clock.now())
    with db.read() as session:
        return list(session.scalars(query))


def note_view(db: Database, batch: Batch, actor: str) -> None:
    """Write down that somebody fetched the results."""
    with db.write() as session:
        audit.append(
            session,
            at=db.clock.now(),
            actor=actor,
            action="batch.results_viewed",
            subject=batch.id,
        )


def _sees(user: User, row: BatchRow) -> bool:
    return user.role is Role.ADMINISTRATOR or row.owner_id == user.id


def _close(db: Database, row: BatchRow, state: BatchState, keep: timedelta) -> None:
    row.state = state
    row.finished_at = db.clock.now()
    row.expires_at = row.finished_at + keep


def _counts(session: Session, batch_id: str) -> list[tuple[ItemOutcome, int]]:
    query = (
        select(BatchItemRow.outcome, func.count())
        .where(BatchItemRow.batch_id == batch_id)
        .group_by(BatchItemRow.outcome)
    )
    return [(outcome, count) for outcome, count in session.execute(query)]


def _batch(session: Session, row: BatchRow) -> Batch:
    counts = dict(_counts(session, row.id))
    return Batch(
        id=row.id,
        owner_id=row.owner_id,
        task=row.task,
        form=row.form,
        sha256=row.sha256,
        items=row.items,
        state=row.state,
        stop_reason=row.stop_reason,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=row.expires_at,
        input_folder=row.input_folder,
        answered=counts.get(ItemOutcome.DONE, 0),
        failed=counts.get(ItemOutcome.FAILED, 0),
        seconds_per_item=_speed(session, row.id),
    )


def _speed(session: Session, batch_id: str) -> float | None:
    last = (
        select(BatchItemRow.at)
        .where(BatchItemRow.batch_id == batch_id)
        .order_by(BatchItemRow.number.desc())
        .limit(_RATE_OVER)
    )
    moments = list(session.scalars(last))
    if len(moments) < 2:
        return None
    return (max(moments) - min(moments)).total_seconds() / (len(moments) - 1)


def _audit(
    db: Database, session: Session, actor: str, action: str, row: BatchRow, **more: str | int
) -> None:
    audit.append(
        session,
        at=db.clock.now(),
        actor=actor,
        action=action,
        subject=row.id,
        detail={"task": row.task, "rows": row.items, **more},
    )
