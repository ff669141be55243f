"""How the review queue is doing: what waits, how long, and how often physicians disagree."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from serving.storage.codes import Outcome, Reason, TaskState
from serving.storage.database import Database
from serving.storage.tables import ReviewReasonRow, ReviewTaskRow, SignatureRow

WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class ReviewStatistics:
    """The queue now, and the signatures of the window that ends now.

    `oldest_wait` is the age of the oldest task without a signature. `median_turnaround` is from
    the queueing to the signature. `override_rate` is overridden / all signatures; `agreement` is
    signed / all signatures among the random sample alone, where the choice of cases favours
    nobody. Shares are None where there is nothing to divide by. `waiting_by_reason` counts a task
    once for each of its reasons.
    """

    at: datetime
    window: timedelta
    open: int
    leased: int
    overdue: int
    oldest_wait: timedelta | None
    signed: int
    overridden: int
    median_turnaround: timedelta | None
    override_rate: float | None
    sampled: int
    agreement: float | None
    waiting_by_reason: Mapping[Reason, int]


def statistics_of(db: Database, *, window: timedelta = WINDOW) -> ReviewStatistics:
    """Count the queue and the signatures of the last `window`."""
    now = db.clock.now()
    with db.read() as session:
        waiting = ReviewTaskRow.state.in_((TaskState.OPEN, TaskState.LEASED))
        total, overdue, oldest = _waiting(session, now)
        leased = session.scalar(
            select(func.count()).where(
                ReviewTaskRow.state == TaskState.LEASED, ReviewTaskRow.lease_expires_at > now
            )
        )
        by_reason = session.execute(
            select(ReviewReasonRow.reason, func.count())
            .join(ReviewTaskRow, ReviewTaskRow.id == ReviewReasonRow.task_id)
            .where(waiting)
            .group_by(ReviewReasonRow.reason)
        ).tuples()
        closed = _closed(session, now - window)
        return ReviewStatistics(
            at=now,
            window=window,
            open=total - (leased or 0),
            leased=leased or 0,
            overdue=overdue,
            oldest_wait=None if oldest is None else now - oldest,
            waiting_by_reason=dict(by_reason.all()),
            signed=closed.signed,
            overridden=closed.overridden,
            median_turnaround=closed.median_turnaround,
            override_rate=_share(closed.overridden, closed.signed + closed.overridden),
            sampled=closed.sampled,
            agreement=_share(closed.sampled_signed, closed.sampled),
        )


@dataclass(frozen=True)
class _Closed:
    signed: int
    overridden: int
    sampled: int
    sampled_signed: int
    median_turnaround: timedelta | None


def _waiting(session: Session, now: datetime) -> tuple[int, int, datetime | None]:
    row = session.execute(
        select(
            func.count(),
            func.count().filter(ReviewTaskRow.due_at < now),
            func.min(ReviewTaskRow.created_at),
        ).where(ReviewTaskRow.state.in_((TaskState.OPEN, TaskState.LEASED)))
    ).one()
    return row[0], row[1], row[2]


def _closed(session: Session, since: datetime) -> _Closed:
    rows = session.execute(
        select(
            SignatureRow.outcome,
            ReviewTaskRow.created_at,
            SignatureRow.signed_at,
            ReviewReasonRow.reason,
        )
        .join(ReviewTaskRow, ReviewTaskRow.id == SignatureRow.task_id)
        .outerjoin(
            ReviewReasonRow,
            and_(
                ReviewReasonRow.task_id == ReviewTaskRow.id,
                ReviewReasonRow.reason == Reason.RANDOM_SAMPLE,
            ),
        )
        .where(SignatureRow.signed_at >= since)
    ).all()
    sampled = [row.outcome for row in rows if row.reason is not None]
    signed = sum(row.outcome is Outcome.SIGNED for row in rows)
    turnarounds = [(row.signed_at - row.created_at).total_seconds() for row in rows]
    return _Closed(
        signed=signed,
        overridden=len(rows) - signed,
        sampled=len(sampled),
        sampled_signed=sum(outcome is Outcome.SIGNED for outcome in sampled),
        median_turnaround=(
            timedelta(seconds=statistics.median(turnarounds)) if turnarounds else None
        ),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
