"""A physician's last word on a decision: signed as it stands, or overridden with a coded reason.

One transaction moves the task, writes the signature, settles the decision's status and appends
the audit event. It needs the role of a physician and the current lease; there is one signature
per decision, for good. The words of a comment stay in the signature and never reach the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serving import audit, users
from serving.errors import FieldError, InvalidInput
from serving.reviews import tasks
from serving.reviews.machine import Move
from serving.reviews.queue import require_lease
from serving.reviews.signatures import Signature, signature_of
from serving.storage.codes import DecisionKind, DecisionStatus, Outcome, OverrideReason
from serving.storage.database import Database
from serving.storage.tables import SignatureRow
from serving.users import Permission, User

COMMENT_LIMIT = 4000
DEPARTMENTS_LIMIT = 10
LABEL_LIMIT = 200


@dataclass(frozen=True)
class Correction:
    """What a physician puts in the decision's place; every part may be left out.

    `disposition` is 1 to 5, `departments` are codes of the taxonomy with the best first,
    `label` is an imaging label's code.
    """

    disposition: int | None = None
    departments: Sequence[str] | None = None
    label: str | None = None


NO_CORRECTION = Correction()


def sign(
    db: Database, task_id: str, reader: User, token: int, *, comment: str | None = None
) -> Signature:
    """Sign a decision as it stands.

    Raises Forbidden for any role but a physician's, NotFound, LeaseLost, AlreadySigned, or
    InvalidInput for an overlong comment.
    """
    return _close(db, task_id, reader, token, Move.SIGN, None, comment, NO_CORRECTION)


def override(
    db: Database,
    task_id: str,
    reader: User,
    token: int,
    *,
    reason: OverrideReason,
    comment: str | None = None,
    correction: Correction = NO_CORRECTION,
) -> Signature:
    """Decide otherwise. The reason `other` needs a comment. Raises as `sign` does."""
    return _close(db, task_id, reader, token, Move.OVERRIDE, reason, comment, correction)


def _close(
    db: Database,
    task_id: str,
    reader: User,
    token: int,
    move: Move,
    reason: OverrideReason | None,
    comment: str | None,
    correction: Correction,
) -> Signature:
    words = (comment or "").strip() or None
    if words is not None and not any(c.isalnum() for c in words):
        words = None
    _check(reason, words, correction)
    now = db.clock.now()
    with db.write() as session:
        physician = users.require_now(session, reader, Permission.REVIEW_SIGN)
        row = tasks.lock(session, task_id)
        _check_kind(row.decision.kind, correction)
        row.state = require_lease(row, move, physician, token, now)
        row.lease_expires_at = None
        row.decision.status = DecisionStatus(row.state.value)
        departments = correction.departments
        signature = SignatureRow(
            id=db.ids.new("sig"),
            task_id=row.id,
            decision_id=row.decision_id,
            reader_id=physician.id,
            reader_name=physician.name,
            outcome=Outcome(row.state.value),
            reason_code=reason,
            comment=words,
            corrected_disposition=correction.disposition,
            corrected_departments=None if departments is None else list(departments),
            corrected_label=correction.label,
            signed_at=now,
        )
        session.add(signature)
        session.flush()
        audit.append(
            session,
            at=now,
            actor=physician.id,
            action=f"review.{move.value}",
            subject=row.id,
            detail={
                "decision": row.decision_id,
                "signature": signature.id,
                "token": token,
                "reason": None if reason is None else reason.value,
                "corrected_disposition": correction.disposition,
                "commented": words is not None,
            },
        )
        return signature_of(signature)


def _check_kind(kind: DecisionKind, correction: Correction) -> None:
    """A label corrects an image, a disposition or a department a triage, and nothing else."""
    label = correction.label is not None
    triage_parts = correction.disposition is not None or correction.departments is not None
    takes_label = kind is DecisionKind.IMAGING
    takes_parts = kind not in (DecisionKind.IMAGING, DecisionKind.KNOWLEDGE)
    if (label and not takes_label) or (triage_parts and not takes_parts):
        raise InvalidInput("the correction does not fit this kind of decision")


def _check(reason: OverrideReason | None, comment: str | None, correction: Correction) -> None:
    faults: list[FieldError] = []
    if reason is OverrideReason.OTHER and comment is None:
        faults.append(FieldError("/comment", "the reason `other` needs a comment"))
    if comment is not None and len(comment) > COMMENT_LIMIT:
        faults.append(FieldError("/comment", f"at most {COMMENT_LIMIT} characters"))
    if correction.disposition is not None and not 1 <= correction.disposition <= 5:
        faults.append(FieldError("/corrected_disposition", "1 to 5"))
    if correction.departments is not None and not (
        0 < len(correction.departments) <= DEPARTMENTS_LIMIT
    ):
        faults.append(FieldError("/corrected_departments", f"1 to {DEPARTMENTS_LIMIT} codes"))
    if correction.label is not None and not 0 < len(correction.label) <= LABEL_LIMIT:
        faults.append(FieldError("/corrected_label", f"1 to {LABEL_LIMIT} characters"))
    if faults:
        raise InvalidInput(errors=faults)
