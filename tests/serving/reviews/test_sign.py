"""A named physician has the last word, once, for a coded reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from serving import audit, decisions, users
from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.errors import AlreadySigned, Forbidden, InvalidInput, LeaseLost, NotFound
from serving.reviews import queue, sign, signatures
from serving.reviews.queue import Lease
from serving.reviews.sign import Correction
from serving.storage.codes import DecisionStatus, Outcome, OverrideReason, Reason, Role, TaskState
from serving.storage.database import Database
from serving.users import User

pytest_plugins = ["tests.serving.storage.databases"]

Decide = Callable[..., DecisionRecord]


@pytest.fixture
def lease(db: Database, decide: Decide, physician: User) -> Lease:
    """A decision in the physician's hands."""
    decide(Reason.ABSTAINED)
    held = queue.claim_next(db, physician)
    assert held is not None
    return held


def test_a_signature_names_the_physician_and_settles_the_decision(
    db: Database, lease: Lease, physician: User, clock: FixedClock
) -> None:
    clock.advance(60)
    signature = sign.sign(db, lease.task_id, physician, lease.token, comment=" 同意 ")
    assert signature.reader_id == physician.id
    assert signature.reader_name == "李医生"
    assert signature.outcome is Outcome.SIGNED
    assert signature.comment == "同意"
    assert signature.signed_at == clock.now()
    assert decisions.get(db, lease.decision_id).status is DecisionStatus.SIGNED
    assert signatures.for_decision(db, lease.decision_id) == signature
    case = queue.read(db, lease.task_id, physician)
    assert case.signature == signature
    assert case.task.state is TaskState.SIGNED


def test_an_override_keeps_the_reason_and_the_correction_beside_the_decision(
    db: Database, lease: Lease, physician: User
) -> None:
    before = decisions.get(db, lease.decision_id)
    signature = sign.override(
        db,
        lease.task_id,
        physician,
        lease.token,
        reason=OverrideReason.FINDING_MISSED,
        correction=Correction(disposition=2, departments=["neurology", "emergency"]),
    )
    assert signature.outcome is Outcome.OVERRIDDEN
    assert signature.reason_code is OverrideReason.FINDING_MISSED
    assert signature.corrected_disposition == 2
    assert signature.corrected_departments == ("neurology", "emergency")
    assert signature.corrected_label is None
    after = decisions.get(db, lease.decision_id)
    assert after == replace(before, status=DecisionStatus.OVERRIDDEN)
    assert decisions.is_intact(db, lease.decision_id)


def test_what_was_not_corrected_is_none(db: Database, lease: Lease, physician: User) -> None:
    sign.override(db, lease.task_id, physician, lease.token, reason=OverrideReason.IMAGE_QUALITY)
    signature = signatures.for_decision(db, lease.decision_id)
    assert signature is not None
    assert signature.corrected_departments is None
    with db.read() as session:
        query = text("SELECT count(*) FROM signatures WHERE corrected_departments IS NULL")
        assert session.scalar(query) == 1


def test_a_second_signature_is_refused_whoever_brings_it(
    db: Database, lease: Lease, physician: User, colleague: User
) -> None:
    first = sign.sign(db, lease.task_id, physician, lease.token)
    for reader in (physician, colleague):
        with pytest.raises(AlreadySigned):
            sign.sign(db, lease.task_id, reader, lease.token)
        with pytest.raises(AlreadySigned):
            sign.override(db, lease.task_id, reader, lease.token, reason=OverrideReason.RULE_WRONG)
    assert signatures.list_signatures(db) == [first]


@pytest.mark.parametrize("role", [Role.PATIENT_APP, Role.ADMINISTRATOR])
def test_only_a_physician_signs(db: Database, lease: Lease, role: Role) -> None:
    other = users.create(db, name="x", role=role).user
    for pretender in (other, replace(other, role=Role.PHYSICIAN)):
        with pytest.raises(Forbidden):
            sign.sign(db, lease.task_id, pretender, lease.token)
    assert decisions.get(db, lease.decision_id).status is DecisionStatus.PRELIMINARY


def test_a_physician_who_was_disabled_meanwhile_does_not_sign(
    db: Database, lease: Lease, physician: User
) -> None:
    users.disable(db, physician.id)
    with pytest.raises(Forbidden):
        sign.sign(db, lease.task_id, physician, lease.token)


def test_the_lease_must_be_the_readers_and_the_token_the_current_one(
    db: Database, lease: Lease, physician: User, colleague: User
) -> None:
    for reader, token in (
        (colleague, lease.token),
        (physician, lease.token - 1),
        (physician, lease.token + 1),
    ):
        with pytest.raises(LeaseLost):
            sign.sign(db, lease.task_id, reader, token)


def test_a_lease_that_ran_out_signs_nothing_even_if_nobody_took_over(
    db: Database, lease: Lease, physician: User, clock: FixedClock
) -> None:
    clock.advance(queue.LEASE)
    with pytest.raises(LeaseLost):
        sign.sign(db, lease.task_id, physician, lease.token)
    queue.expire_leases(db)
    with pytest.raises(LeaseLost):
        sign.sign(db, lease.task_id, physician, lease.token)
    again = queue.claim(db, lease.task_id, physician)
    sign.sign(db, lease.task_id, physician, again.token)


def test_a_task_that_nobody_claimed_is_not_signed(
    db: Database, decide: Decide, physician: User
) -> None:
    task_id = decide(Reason.CRISIS).review_task_id or ""
    with pytest.raises(LeaseLost):
        sign.sign(db, task_id, physician, 0)
    with pytest.raises(NotFound):
        sign.sign(db, "rev_none", physician, 0)


@pytest.mark.parametrize(
    ("reason", "comment", "correction", "pointer"),
    [
        (OverrideReason.OTHER, None, Correction(), "/comment"),
        (OverrideReason.OTHER, "   ", Correction(), "/comment"),
        (OverrideReason.RULE_WRONG, "x" * 4001, Correction(), "/comment"),
        (OverrideReason.RULE_WRONG, None, Correction(disposition=0), "/corrected_disposition"),
        (OverrideReason.RULE_WRONG, None, Correction(disposition=6), "/corrected_disposition"),
        (OverrideReason.RULE_WRONG, None, Correction(departments=[]), "/corrected_departments"),
        (OverrideReason.RULE_WRONG, None, Correction(label=""), "/corrected_label"),
    ],
)
def test_an_override_that_says_too_little_or_too_much_is_refused(
    db: Database,
    lease: Lease,
    physician: User,
    reason: OverrideReason,
    comment: str | None,
    correction: Correction,
    pointer: str,
) -> None:
    with pytest.raises(InvalidInput) as caught:
        sign.override(
            db,
            lease.task_id,
            physician,
            lease.token,
            reason=reason,
            comment=comment,
            correction=correction,
        )
    assert [fault.pointer for fault in caught.value.errors] == [pointer]
    assert signatures.list_signatures(db) == []


@pytest.mark.parametrize("reason", OverrideReason)
def test_every_reason_is_enough_with_words(
    db: Database, lease: Lease, physician: User, reason: OverrideReason
) -> None:
    sign.override(
        db, lease.task_id, physician, lease.token, reason=reason, comment="家属补充了病史"
    )
    (signature,) = signatures.list_signatures(db, outcome=Outcome.OVERRIDDEN)
    assert signature.reason_code is reason


def test_the_audit_tells_the_reason_and_never_the_words(
    db: Database, lease: Lease, physician: User
) -> None:
    signature = sign.override(
        db,
        lease.task_id,
        physician,
        lease.token,
        reason=OverrideReason.OTHER,
        comment="家属补充了病史",
        correction=Correction(disposition=2),
    )
    (event,) = audit.list_events(db, subject=lease.task_id, action="review.override")
    assert event.actor == physician.id
    assert event.detail == {
        "decision": lease.decision_id,
        "signature": signature.id,
        "token": lease.token,
        "reason": "other",
        "corrected_disposition": 2,
        "commented": True,
    }


def test_a_crash_while_signing_leaves_the_task_in_the_readers_hands(
    db: Database, lease: Lease, physician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("crash")

    monkeypatch.setattr(audit, "append", crash)
    with pytest.raises(RuntimeError):
        sign.sign(db, lease.task_id, physician, lease.token)
    monkeypatch.undo()
    assert signatures.list_signatures(db) == []
    assert decisions.get(db, lease.decision_id).status is DecisionStatus.PRELIMINARY
    sign.sign(db, lease.task_id, physician, lease.token)


def test_signatures_are_listed_from_a_moment_on(
    db: Database, decide: Decide, physician: User, clock: FixedClock
) -> None:
    made = []
    for _ in range(3):
        decide(Reason.ABSTAINED)
        held = queue.claim_next(db, physician)
        assert held is not None
        made.append(sign.sign(db, held.task_id, physician, held.token))
        clock.advance(10)
    assert signatures.list_signatures(db) == made
    assert signatures.list_signatures(db, since=made[1].signed_at) == made[1:]
    assert signatures.for_decision(db, "dec_none") is None
