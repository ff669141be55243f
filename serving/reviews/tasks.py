"""Review tasks as the rest of the service sees them, and how one comes to be.

Never moves a task: that is the queue's and the signature's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, contains_eager

from serving import audit
from serving.clock import Ids
from serving.errors import AlreadySigned, NotFound
from serving.reviews.machine import CLOSED
from serving.reviews.policy import ReviewRequest
from serving.storage.codes import DecisionKind, Reason, TaskState
from serving.storage.database import Database
from serving.storage.tables import DecisionRow, ReviewReasonRow, ReviewTaskRow


@dataclass(frozen=True)
class ReviewTask:
    """A task at one moment: a lease that has run out counts as none.

    The fencing token is not here: only the reader who claimed the task learns it.
    """

    id: str
    decision_id: str
    kind: DecisionKind
    disposition: int | None
    reasons: tuple[Reason, ...]
    priority: int
    state: TaskState
    created_at: datetime
    due_at: datetime
    overdue: bool
    lease_owner: str | None
    lease_expires_at: datetime | None


def select_tasks() -> Select[ReviewTaskRow]:
    """Tasks joined with what a worklist needs of their decisions, without patient data."""
    return (
        select(ReviewTaskRow)
        .join(ReviewTaskRow.decision)
        .options(
            contains_eager(ReviewTaskRow.decision).load_only(
                DecisionRow.kind, DecisionRow.disposition, DecisionRow.status
            )
        )
    )


def lock(session: Session, task_id: str) -> ReviewTaskRow:
    """A task's row, locked until the commit. Raises NotFound."""
    row = session.scalar(
        select_tasks()
        .where(ReviewTaskRow.id == task_id)
        .with_for_update(of=ReviewTaskRow)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("no such review task")
    return row


def is_held(row: ReviewTaskRow, now: datetime) -> bool:
    """Whether somebody's lease on the task still runs. It ends at its last moment."""
    expires = row.lease_expires_at
    return row.state is TaskState.LEASED and expires is not None and now < expires


def view(row: ReviewTaskRow, now: datetime) -> ReviewTask:
    """The row as a ReviewTask at this moment."""
    held = is_held(row, now)
    lapsed = row.state is TaskState.LEASED and not held
    return ReviewTask(
        id=row.id,
        decision_id=row.decision_id,
        kind=row.decision.kind,
        disposition=row.decision.disposition,
        reasons=reasons_of(row),
        priority=row.priority,
        state=TaskState.OPEN if lapsed else row.state,
        created_at=row.created_at,
        due_at=row.due_at,
        overdue=row.state not in CLOSED and now > row.due_at,
        lease_owner=row.lease_owner if held else None,
        lease_expires_at=row.lease_expires_at if held else None,
    )


def reasons_of(row: ReviewTaskRow) -> tuple[Reason, ...]:
    """The task's reasons, in the order of the list of codes."""
    held = {reason.reason for reason in row.reasons}
    return tuple(reason for reason in Reason if reason in held)


def enqueue(
    session: Session,
    ids: Ids,
    *,
    decision: DecisionRow,
    request: ReviewRequest,
    at: datetime,
    actor: str,
) -> str:
    """Make the decision's task in the caller's transaction; returns its id. Audited."""
    task_id = ids.new("rev")
    session.add(
        ReviewTaskRow(
            id=task_id,
            decision_id=decision.id,
            priority=request.priority,
            state=TaskState.OPEN,
            created_at=at,
            due_at=at + request.due_within,
            fencing_token=0,
            reasons=[ReviewReasonRow(reason=reason) for reason in request.reasons],
        )
    )
    session.flush()
    _audit(session, "review.queued", task_id, decision.id, request, at, actor)
    return task_id


def request_review(
    db: Database,
    decision_id: str,
    request: ReviewRequest,
    *,
    actor: str,
    within: Session | None = None,
) -> str:
    """Ask for a review of a recorded decision, for example after a complaint.

    `within` joins the caller's transaction. Returns the task's id. A task that is open or leased
    gains the reasons and, where they are more urgent, the priority and the due time. Raises
    NotFound, or AlreadySigned when the decision has its signature.
    """
    at = db.clock.now()
    with db.write(within) as session:
        decision = session.get(DecisionRow, decision_id, with_for_update=True)
        if decision is None:
            raise NotFound("no such decision")
        task_id = session.scalar(
            select(ReviewTaskRow.id).where(ReviewTaskRow.decision_id == decision_id)
        )
        if task_id is None:
            return enqueue(session, db.ids, decision=decision, request=request, at=at, actor=actor)
        row = lock(session, task_id)
        if row.state in CLOSED:
            raise AlreadySigned(f"the task is {row.state.value}")
        present = set(reasons_of(row))
        row.reasons.extend(
            ReviewReasonRow(reason=reason) for reason in request.reasons if reason not in present
        )
        row.priority = min(row.priority, request.priority)
        row.due_at = min(row.due_at, at + request.due_within)
        session.flush()
        _audit(session, "review.requested", row.id, decision_id, request, at, actor)
        return row.id


def _audit(
    session: Session,
    action: str,
    task_id: str,
    decision_id: str,
    request: ReviewRequest,
    at: datetime,
    actor: str,
) -> None:
    audit.append(
        session,
        at=at,
        actor=actor,
        action=action,
        subject=task_id,
        detail={
            "decision": decision_id,
            "reasons": [reason.value for reason in request.reasons],
            "priority": request.priority,
            "due_at": (at + request.due_within).isoformat(timespec="seconds"),
        },
    )
