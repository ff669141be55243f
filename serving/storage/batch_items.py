"""What became of each row of a batch, recorded exactly once.

The key of a record is the batch and the row's number, and it is written in the transaction of the
row's decision, or with its problem. `keep_item` first makes sure, under a lock, that the batch
still runs, that nobody else works on it and that its owner still may: after a cancellation has
been answered, no row is recorded any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving import users
from serving.errors import Conflict
from serving.storage.canonical import Json
from serving.storage.codes import BatchState, DecisionStatus, ItemOutcome
from serving.storage.database import Database
from serving.storage.insert import insert_if_absent
from serving.storage.tables import BatchItemRow, BatchRow, DecisionRow, ReviewTaskRow
from serving.users import Permission, User


class BatchStopped(Conflict):
    """The batch no longer runs here: it was cancelled or removed, or another server has it."""


class RowTaken(Conflict):
    """The row has its answer already."""


@dataclass(frozen=True)
class Answered:
    """The decision of a row, as far as its result line tells of it."""

    decision_id: str
    review_task_id: str | None
    status: DecisionStatus
    result: Mapping[str, Json]


@dataclass(frozen=True)
class Finished:
    """One recorded row: its answer, or a problem in the shape of RFC 9457."""

    number: int
    file: str | None
    answer: Answered | None
    problem: Mapping[str, Json] | None


def keep_item(
    db: Database,
    session: Session,
    batch_id: str,
    number: int,
    *,
    token: int,
    owner: User,
    file: str | None,
    decision_id: str | None = None,
    problem: Mapping[str, Json] | None = None,
) -> None:
    """Record what became of a row, in the caller's transaction: a decision's id or a problem.

    `token` is the one with which the batch was claimed.
    Raises BatchStopped, RowTaken, or Forbidden where the owner may no longer send batches; any of
    them undoes the transaction.
    """
    # A shared lock: a cancellation waits for the rows that are being recorded, they not for
    # each other. SQLite has one writer anyway.
    query = select(BatchRow.state, BatchRow.fencing_token).where(BatchRow.id == batch_id)
    found = session.execute(query.with_for_update(read=True)).one_or_none()
    if found is None or tuple(found) != (BatchState.RUNNING, token):
        raise BatchStopped("the batch does not run here any more")
    users.require_now(session, owner, Permission.BATCH_WRITE)
    values = {
        "batch_id": batch_id,
        "number": number,
        "file": file,
        "outcome": ItemOutcome.FAILED if decision_id is None else ItemOutcome.DONE,
        "decision_id": decision_id,
        "problem": problem,
        "at": db.clock.now(),
    }
    if not insert_if_absent(session, BatchItemRow, values):
        raise RowTaken("the row has its answer")


def finished_rows(
    db: Database, batch_id: str, *, after: int, up_to: int, limit: int
) -> Sequence[Finished]:
    """Recorded rows in input order, `after` < number <= `up_to`."""
    query = (
        select(BatchItemRow, DecisionRow, ReviewTaskRow.id)
        .outerjoin(DecisionRow, DecisionRow.id == BatchItemRow.decision_id)
        .outerjoin(ReviewTaskRow, ReviewTaskRow.decision_id == DecisionRow.id)
        .where(
            BatchItemRow.batch_id == batch_id,
            BatchItemRow.number > after,
            BatchItemRow.number <= up_to,
        )
        .order_by(BatchItemRow.number)
        .limit(limit)
    )
    with db.read() as session:
        return [_finished(*row) for row in session.execute(query)]


def recorded(db: Database, batch_id: str) -> frozenset[int]:
    """Numbers of the rows that have their answer."""
    query = select(BatchItemRow.number).where(BatchItemRow.batch_id == batch_id)
    with db.read() as session:
        return frozenset(session.scalars(query))


def _finished(item: BatchItemRow, decision: DecisionRow | None, task_id: str | None) -> Finished:
    answer = None
    if decision is not None:
        answer = Answered(decision.id, task_id, decision.status, decision.result)
    return Finished(item.number, item.file, answer, item.problem)
