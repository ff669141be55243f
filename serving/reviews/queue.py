"""The worklist and the leases on it: who reads what next.

A claim gives a lease that runs out and a fencing token that only grows, so a reader who comes
back late can change nothing. Expiry needs no timer: a lease that has run out counts as none from
its last moment, and whoever touches the task next writes that down. Every move is audited, and
so is every sight of a patient's case; the worklist itself shows no patient data.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from serving import audit, decisions, users
from serving.cursors import read_cursor, write_cursor
from serving.decisions import DecisionRecord
from serving.errors import AlreadyLeased, LeaseLost, NotFound
from serving.reviews import tasks
from serving.reviews.machine import CLOSED, Move, after
from serving.reviews.signatures import Signature, signature_of
from serving.reviews.tasks import ReviewTask
from serving.storage.codes import DecisionKind, Reason, TaskState
from serving.storage.database import Database
from serving.storage.tables import DecisionRow, ReviewReasonRow, ReviewTaskRow, SignatureRow
from serving.users import Permission, User

LEASE = timedelta(minutes=10)
"""How long a claim or a heartbeat holds a task, where the caller names no other time."""

PAGE_LIMIT = 200


@dataclass(frozen=True)
class Lease:
    """A reader's hold on a task. The token goes with every later move."""

    task_id: str
    decision_id: str
    owner: str
    token: int
    expires_at: datetime


@dataclass(frozen=True)
class Filters:
    """What a worklist shows. An empty collection means all."""

    states: Collection[TaskState] = (TaskState.OPEN, TaskState.LEASED)
    kinds: Collection[DecisionKind] = ()
    reasons: Collection[Reason] = ()
    overdue_only: bool = False


@dataclass(frozen=True)
class Page:
    """A stretch of the worklist; `next_cursor` continues it, None at the end."""

    tasks: tuple[ReviewTask, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class ReviewCase:
    """All that a reader needs to judge a decision."""

    task: ReviewTask
    decision: DecisionRecord
    signature: Signature | None


ANY = Filters()


def worklist(
    db: Database, *, filters: Filters = ANY, cursor: str | None = None, limit: int = 50
) -> Page:
    """Tasks by priority, then by due time: what is most urgent and has waited longest is first.

    Pages follow the order itself, so tasks that come or go between two pages neither repeat nor
    hide others. Raises InvalidInput for a foreign cursor.
    """
    now = db.clock.now()
    limit = max(1, min(limit, PAGE_LIMIT))
    query = tasks.select_tasks().where(*_conditions(filters, now)).order_by(*_ORDER)
    if cursor is not None:
        priority, due_at, task_id = read_cursor(cursor, _place)
        query = query.where(
            or_(
                ReviewTaskRow.priority > priority,
                and_(
                    ReviewTaskRow.priority == priority,
                    or_(
                        ReviewTaskRow.due_at > due_at,
                        and_(ReviewTaskRow.due_at == due_at, ReviewTaskRow.id > task_id),
                    ),
                ),
            )
        )
    with db.read() as session:
        rows = session.scalars(query.limit(limit + 1)).all()
        page = tuple(tasks.view(row, now) for row in rows[:limit])
    more = len(rows) > limit
    return Page(page, write_cursor(*_place_of(page[-1])) if more else None)


def claim(db: Database, task_id: str, reader: User, *, lease_for: timedelta = LEASE) -> Lease:
    """Take one task. A reader who already holds it gets a new token, and the old one is void.

    Raises NotFound, Forbidden, AlreadyLeased by another reader, or AlreadySigned.
    """
    now = db.clock.now()
    with db.write() as session:
        users.require_now(session, reader, Permission.REVIEW_SIGN)
        row = tasks.lock(session, task_id)
        if tasks.is_held(row, now):
            if row.lease_owner != reader.id:
                raise AlreadyLeased("another reader holds the task")
            _put_back(session, row, Move.RELEASE, now, reader.id)
        return _take(session, row, reader, now, lease_for)


def claim_next(
    db: Database, reader: User, *, filters: Filters = ANY, lease_for: timedelta = LEASE
) -> Lease | None:
    """Take the first free task of the worklist, or None when there is none. Raises Forbidden.

    Readers who claim at once get different tasks; none waits for another (SKIP LOCKED).
    """
    now = db.clock.now()
    free = Filters((TaskState.OPEN,), filters.kinds, filters.reasons, filters.overdue_only)
    with db.write() as session:
        users.require_now(session, reader, Permission.REVIEW_SIGN)
        row = session.scalars(
            tasks.select_tasks()
            .where(*_conditions(free, now))
            .order_by(*_ORDER)
            .limit(1)
            .with_for_update(of=ReviewTaskRow, skip_locked=True)
        ).first()
        return None if row is None else _take(session, row, reader, now, lease_for)


def heartbeat(
    db: Database, task_id: str, reader: User, token: int, *, lease_for: timedelta = LEASE
) -> Lease:
    """Hold a task for longer. Raises NotFound, LeaseLost or AlreadySigned."""
    now = db.clock.now()
    with db.write() as session:
        row = tasks.lock(session, task_id)
        require_lease(row, Move.HEARTBEAT, reader, token, now)
        row.lease_expires_at = now + lease_for
        _audit(session, row, Move.HEARTBEAT, now, reader.id)
        return Lease(row.id, row.decision_id, reader.id, token, row.lease_expires_at)


def release(db: Database, task_id: str, reader: User, token: int) -> ReviewTask:
    """Give a task back to the worklist. Raises NotFound, LeaseLost or AlreadySigned."""
    now = db.clock.now()
    with db.write() as session:
        row = tasks.lock(session, task_id)
        require_lease(row, Move.RELEASE, reader, token, now)
        _put_back(session, row, Move.RELEASE, now, reader.id)
        return tasks.view(row, now)


def expire_leases(db: Database, *, limit: int = 1000) -> int:
    """Write down the leases that have run out; returns how many. Housekeeping only."""
    now = db.clock.now()
    with db.write() as session:
        rows = session.scalars(
            tasks.select_tasks()
            .where(ReviewTaskRow.state == TaskState.LEASED, ReviewTaskRow.lease_expires_at <= now)
            .limit(limit)
            .with_for_update(of=ReviewTaskRow, skip_locked=True)
        ).all()
        for row in rows:
            _put_back(session, row, Move.EXPIRE, now, audit.SYSTEM)
        return len(rows)


def read(db: Database, task_id: str, reader: User) -> ReviewCase:
    """The whole case, for a reader who may see it. Audited as a view of patient data.

    Raises NotFound or Forbidden.
    """
    now = db.clock.now()
    with db.write() as session:
        users.require_now(session, reader, Permission.REVIEW_READ)
        row = session.scalar(tasks.select_tasks().where(ReviewTaskRow.id == task_id))
        if row is None:
            raise NotFound("no such review task")
        signature = session.scalar(select(SignatureRow).where(SignatureRow.task_id == task_id))
        case = ReviewCase(
            task=tasks.view(row, now),
            decision=decisions.load(session, row.decision_id),
            signature=None if signature is None else signature_of(signature),
        )
        audit.append(
            session,
            at=now,
            actor=reader.id,
            action="review.viewed",
            subject=task_id,
            detail={"decision": row.decision_id},
        )
        return case


def require_lease(
    row: ReviewTaskRow, move: Move, reader: User, token: int, now: datetime
) -> TaskState:
    """The state that the holder's move leads to. Raises AlreadySigned or LeaseLost.

    The lease must run, belong to the reader and carry this very token.
    """
    holds = tasks.is_held(row, now) and row.lease_owner == reader.id
    if row.state not in CLOSED and not (holds and row.fencing_token == token):
        raise LeaseLost("claim the task again")
    return after(row.state, move)


_ORDER = (ReviewTaskRow.priority, ReviewTaskRow.due_at, ReviewTaskRow.id)


def _conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    lapsed = and_(ReviewTaskRow.state == TaskState.LEASED, ReviewTaskRow.lease_expires_at <= now)
    by_state: dict[TaskState, ColumnElement[bool]] = {
        TaskState.OPEN: or_(ReviewTaskRow.state == TaskState.OPEN, lapsed),
        TaskState.LEASED: and_(
            ReviewTaskRow.state == TaskState.LEASED, ReviewTaskRow.lease_expires_at > now
        ),
    }
    conditions: list[ColumnElement[bool]] = []
    if filters.states:
        conditions.append(or_(*(by_state.get(s, ReviewTaskRow.state == s) for s in filters.states)))
    if filters.kinds:
        conditions.append(DecisionRow.kind.in_(filters.kinds))
    if filters.reasons:
        conditions.append(
            ReviewTaskRow.id.in_(
                select(ReviewReasonRow.task_id).where(ReviewReasonRow.reason.in_(filters.reasons))
            )
        )
    if filters.overdue_only:
        conditions.append(ReviewTaskRow.due_at < now)
    return conditions


def _take(
    session: Session, row: ReviewTaskRow, reader: User, now: datetime, lease_for: timedelta
) -> Lease:
    if row.state is TaskState.LEASED:
        _put_back(session, row, Move.EXPIRE, now, audit.SYSTEM)
    row.state = after(row.state, Move.CLAIM)
    row.fencing_token += 1
    row.lease_owner = reader.id
    row.lease_expires_at = now + lease_for
    _audit(session, row, Move.CLAIM, now, reader.id)
    return Lease(row.id, row.decision_id, reader.id, row.fencing_token, row.lease_expires_at)


def _put_back(session: Session, row: ReviewTaskRow, move: Move, now: datetime, actor: str) -> None:
    row.state = after(row.state, move)
    row.lease_owner = None
    row.lease_expires_at = None
    _audit(session, row, move, now, actor)


def _audit(session: Session, row: ReviewTaskRow, move: Move, now: datetime, actor: str) -> None:
    audit.append(
        session,
        at=now,
        actor=actor,
        action=f"review.{move.value}",
        subject=row.id,
        detail={"decision": row.decision_id, "token": row.fencing_token},
    )


def _place_of(task: ReviewTask) -> tuple[int, str, str]:
    return task.priority, task.due_at.isoformat(), task.id


def _place(parts: Sequence[str | int]) -> tuple[int, datetime, str]:
    priority, due_at, task_id = parts
    moment = datetime.fromisoformat(str(due_at))
    if moment.tzinfo is None:
        raise ValueError("naive")
    return int(priority), moment, str(task_id)
