"""A signature as the rest of the service sees it, and how to look one up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from serving.storage.codes import Outcome, OverrideReason
from serving.storage.database import Database
from serving.storage.tables import SignatureRow


@dataclass(frozen=True)
class Signature:
    """What a named physician made of a decision. The corrections belong to an override."""

    id: str
    task_id: str
    decision_id: str
    reader_id: str
    reader_name: str
    outcome: Outcome
    signed_at: datetime
    reason_code: OverrideReason | None = None
    comment: str | None = None
    corrected_disposition: int | None = None
    corrected_departments: tuple[str, ...] | None = None
    corrected_label: str | None = None


def signature_of(row: SignatureRow) -> Signature:
    """The row as a Signature."""
    departments = row.corrected_departments
    return Signature(
        id=row.id,
        task_id=row.task_id,
        decision_id=row.decision_id,
        reader_id=row.reader_id,
        reader_name=row.reader_name,
        outcome=row.outcome,
        signed_at=row.signed_at,
        reason_code=row.reason_code,
        comment=row.comment,
        corrected_disposition=row.corrected_disposition,
        corrected_departments=None if departments is None else tuple(departments),
        corrected_label=row.corrected_label,
    )


def for_decision(db: Database, decision_id: str) -> Signature | None:
    """A decision's signature, or None while it is preliminary."""
    with db.read() as session:
        row = session.scalar(select(SignatureRow).where(SignatureRow.decision_id == decision_id))
        return None if row is None else signature_of(row)


def list_signatures(
    db: Database, *, since: datetime | None = None, outcome: Outcome | None = None
) -> list[Signature]:
    """Signatures, oldest first: what the feedback set is made of."""
    query = select(SignatureRow).order_by(SignatureRow.signed_at, SignatureRow.id)
    if since is not None:
        query = query.where(SignatureRow.signed_at >= since)
    if outcome is not None:
        query = query.where(SignatureRow.outcome == outcome)
    with db.read() as session:
        return [signature_of(row) for row in session.scalars(query)]
