"""The record of every answer: no decision leaves the service without one.

`record` commits the decision, its audit event and, where the policy asks for one, its review
task together or not at all. A decision's content never changes afterwards: a physician's view
is a signature beside it, and only `status` moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving import audit
from serving.errors import NotFound
from serving.reviews import tasks
from serving.reviews.policy import ALWAYS_QUEUED, ReviewRequest
from serving.storage.canonical import Json, JsonObject, dumps, sha256_of
from serving.storage.codes import DecisionKind, DecisionStatus
from serving.storage.database import Database
from serving.storage.tables import AuditEventRow, DecisionRow, ReviewTaskRow

RECORDED = "decision.recorded"
RECENT = 500
"""How far back a list of recent decisions looks."""


@dataclass(frozen=True)
class DecisionRecord:
    """A recorded decision: what went in, what came out, by which versions."""

    id: str
    kind: DecisionKind
    created_at: datetime
    consult_id: str | None
    subject_user: str | None
    input: Mapping[str, Json]
    result: Mapping[str, Json]
    models: Mapping[str, str]
    rules_version: str
    disposition: int | None
    status: DecisionStatus
    review_task_id: str | None


@dataclass(frozen=True)
class DecisionHead:
    """A decision by what may stand in a list: nothing of a patient."""

    id: str
    created_at: datetime
    status: DecisionStatus
    review_task_id: str | None


def record(
    db: Database,
    *,
    kind: DecisionKind,
    input: JsonObject,
    result: JsonObject,
    models: Mapping[str, str],
    rules_version: str,
    disposition: int | None,
    review: ReviewRequest | None,
    actor: str,
    decision_id: str | None = None,
    consult_id: str | None = None,
    subject_user: str | None = None,
    within: Session | None = None,
) -> DecisionRecord:
    """Record a decision with its audit event and its review task, in one transaction.

    `models` maps a model's name to its version. `decision_id` is given where the policy drew
    the random sample from it (`db.ids.new("dec")`). `within` joins the caller's transaction,
    so that a consult's new state commits with its decision. Raises ValueError, and records
    nothing, for a value that JSON cannot say, a disposition off the scale, or an imaging result
    without a review.
    """
    if review is None and kind in ALWAYS_QUEUED:
        raise ValueError(f"a decision of kind {kind.value} is never recorded without a review")
    if disposition is not None and not 1 <= disposition <= 5:
        raise ValueError("a disposition is 1 to 5")
    at = db.clock.now()
    row = DecisionRow(
        id=decision_id or db.ids.new("dec"),
        kind=kind,
        created_at=at,
        consult_id=consult_id,
        subject_user=subject_user,
        input=_plain(input),
        result=_plain(result),
        models=dict(models),
        rules_version=rules_version,
        disposition=disposition,
        status=DecisionStatus.PRELIMINARY,
        seal_nonce=db.ids.secret(),
    )
    with db.write(within) as session:
        session.add(row)
        session.flush()
        task_id = None
        if review is not None:
            task_id = tasks.enqueue(
                session, db.ids, decision=row, request=review, at=at, actor=actor
            )
        audit.append(
            session,
            at=at,
            actor=actor,
            action=RECORDED,
            subject=row.id,
            detail={
                "kind": kind.value,
                "disposition": disposition,
                "models": [f"{name}@{version}" for name, version in sorted(models.items())],
                "rules": rules_version,
                "review": task_id,
                "seal": _seal(row),
            },
        )
        return _record(row, task_id)


def get(db: Database, decision_id: str) -> DecisionRecord:
    """A decision by id. Raises NotFound. Reading is audited by who serves it to whom."""
    with db.read() as session:
        return load(session, decision_id)


def under_review(db: Database, task_id: str) -> DecisionRecord:
    """The decision that a review task is about. Raises NotFound. Audited by who serves it."""
    with db.read() as session:
        task = session.get(ReviewTaskRow, task_id)
        if task is None:
            raise NotFound("no such review task")
        return load(session, task.decision_id)


def load(session: Session, decision_id: str) -> DecisionRecord:
    """A decision inside the caller's transaction. Raises NotFound."""
    row = session.get(DecisionRow, decision_id)
    if row is None:
        raise NotFound("no such decision")
    task_id = session.scalar(
        select(ReviewTaskRow.id).where(ReviewTaskRow.decision_id == decision_id)
    )
    return _record(row, task_id)


def note_view(db: Database, record: DecisionRecord, actor: str) -> None:
    """Write down that somebody saw a decision."""
    with db.write() as session:
        audit.append(
            session, at=db.clock.now(), actor=actor, action="decision.viewed", subject=record.id
        )


def recent(db: Database, kind: DecisionKind, model: str, *, limit: int) -> list[DecisionHead]:
    """The newest decisions of a kind that a model took part in, newest first.

    Looks back over `RECENT` decisions of the kind at most.
    """
    query = (
        select(
            DecisionRow.id,
            DecisionRow.created_at,
            DecisionRow.status,
            DecisionRow.models,
            ReviewTaskRow.id,
        )
        .outerjoin(ReviewTaskRow, ReviewTaskRow.decision_id == DecisionRow.id)
        .where(DecisionRow.kind == kind)
        .order_by(DecisionRow.created_at.desc(), DecisionRow.id.desc())
        .limit(RECENT)
    )
    with db.read() as session:
        heads = [
            DecisionHead(id, created_at, status, task_id)
            for id, created_at, status, models, task_id in session.execute(query)
            if model in models
        ]
    return heads[:limit]


def list_for_consult(db: Database, consult_id: str) -> list[DecisionRecord]:
    """A consult's decisions, oldest first; empty for an unknown consult."""
    query = (
        select(DecisionRow, ReviewTaskRow.id)
        .outerjoin(ReviewTaskRow, ReviewTaskRow.decision_id == DecisionRow.id)
        .where(DecisionRow.consult_id == consult_id)
        .order_by(DecisionRow.created_at, DecisionRow.id)
    )
    with db.read() as session:
        return [_record(row, task_id) for row, task_id in session.execute(query)]


def is_intact(db: Database, decision_id: str) -> bool:
    """Whether a decision's content is still what its audit event sealed. Raises NotFound."""
    with db.read() as session:
        row = session.get(DecisionRow, decision_id)
        if row is None:
            raise NotFound("no such decision")
        detail = session.scalar(
            select(AuditEventRow.detail).where(
                AuditEventRow.subject == decision_id, AuditEventRow.action == RECORDED
            )
        )
        return detail is not None and json.loads(detail).get("seal") == _seal(row)


def _seal(row: DecisionRow) -> str:
    """Sha256 of the content and a random nonce.

    The nonce lies in the row, not in the event: once a patient's record is erased, nothing in
    the audit chain can be matched against guesses of what it said.
    """
    return sha256_of(
        {
            "nonce": row.seal_nonce,
            "id": row.id,
            "kind": row.kind.value,
            "created_at": row.created_at.isoformat(timespec="microseconds"),
            "consult_id": row.consult_id,
            "subject_user": row.subject_user,
            "input": row.input,
            "result": row.result,
            "models": row.models,
            "rules_version": row.rules_version,
            "disposition": row.disposition,
        }
    )


def _plain(value: JsonObject) -> dict[str, Json]:
    """The value as it will be read back: tuples become lists. Raises ValueError or TypeError."""
    return cast(dict[str, Json], json.loads(dumps(value)))


def _record(row: DecisionRow, task_id: str | None) -> DecisionRecord:
    return DecisionRecord(
        id=row.id,
        kind=row.kind,
        created_at=row.created_at,
        consult_id=row.consult_id,
        subject_user=row.subject_user,
        input=row.input,
        result=row.result,
        models=row.models,
        rules_version=row.rules_version,
        disposition=row.disposition,
        status=row.status,
        review_task_id=task_id,
    )
