"""Verdicts on answers: counted once, a complaint reviewed, nothing of it in the audit's words."""

from __future__ import annotations

import pytest

from serving import audit, users
from serving.clock import FixedClock
from serving.curation import feedback
from serving.curation.feedback import Heard
from serving.decisions import DecisionRecord
from serving.errors import Forbidden, InvalidInput, NotFound
from serving.reviews import queue, sign
from serving.storage.codes import DecisionKind, OverrideReason, Reason, Role, TaskState, Verdict
from serving.storage.database import Database
from serving.users import User
from tests.serving.curation.answers import NOT_QUOTED, QUOTED, record_answer
from tests.serving.storage.records import POLICY, decide_in

pytest_plugins = ["tests.serving.storage.databases"]

COMPLAINTS = [verdict for verdict in Verdict if verdict is not Verdict.HELPFUL]


@pytest.fixture
def reader(db: Database) -> User:
    return users.create(db, name="Patient app", role=Role.PATIENT_APP).user


@pytest.fixture
def answer(db: Database) -> DecisionRecord:
    return record_answer(db, policy=POLICY)


def give(db: Database, answer_id: str, user: User, verdict: Verdict, **more: object) -> Heard:
    return feedback.give(db, POLICY, answer_id, user, verdict=verdict, **more)  # type: ignore[arg-type]


def test_no_answer_enters_the_queue_by_itself(db: Database) -> None:
    assert [record_answer(db, policy=POLICY).review_task_id for _ in range(200)] == [None] * 200


def test_helpful_asks_for_no_review(db: Database, answer: DecisionRecord, reader: User) -> None:
    heard = give(db, answer.id, reader, Verdict.HELPFUL)
    assert (heard.review_task_id, heard.review_state) == (None, None)
    assert [f.verdict for f in feedback.on_decision(db, answer.id)] == [Verdict.HELPFUL]


@pytest.mark.parametrize("verdict", COMPLAINTS)
def test_a_complaint_puts_the_answer_up_for_review(
    db: Database, answer: DecisionRecord, reader: User, verdict: Verdict
) -> None:
    heard = give(db, answer.id, reader, verdict, comment=" 少了一条 ", passages=(QUOTED[0],) * 2)
    assert heard.review_state is TaskState.OPEN
    assert (heard.feedback.comment, heard.feedback.passages) == ("少了一条", (QUOTED[0],))
    (task,) = queue.worklist(db, filters=queue.Filters(kinds=[DecisionKind.KNOWLEDGE])).tasks
    assert (task.id, task.reasons) == (heard.review_task_id, (Reason.COMPLAINT,))


def test_the_same_verdict_again_changes_nothing(
    db: Database, answer: DecisionRecord, reader: User
) -> None:
    first = give(db, answer.id, reader, Verdict.WRONG, comment="a")
    events = audit.head(db)
    assert give(db, answer.id, reader, Verdict.WRONG, comment="b") == first
    assert audit.head(db) == events


def test_a_second_complaint_joins_the_task_that_waits(
    db: Database, answer: DecisionRecord, reader: User, physician: User, clock: FixedClock
) -> None:
    first = give(db, answer.id, reader, Verdict.WRONG)
    clock.advance(1)
    second = give(db, answer.id, physician, Verdict.OUTDATED)
    assert second.review_task_id == first.review_task_id
    assert len(queue.worklist(db).tasks) == 1
    assert [f.user_name for f in feedback.on_decision(db, answer.id)] == [
        "Patient app",
        physician.name,
    ]


def test_a_complaint_after_the_signature_stays_on_record_and_opens_nothing(
    db: Database, answer: DecisionRecord, reader: User, physician: User
) -> None:
    task_id = give(db, answer.id, reader, Verdict.WRONG).review_task_id
    assert task_id is not None
    lease = queue.claim(db, task_id, physician)
    sign.sign(db, task_id, physician, lease.token)
    heard = give(db, answer.id, reader, Verdict.INCOMPLETE)
    assert (heard.review_task_id, heard.review_state) == (task_id, TaskState.SIGNED)
    assert len(feedback.on_decision(db, answer.id)) == 2
    assert queue.worklist(db).tasks == ()


def test_what_is_no_answer_or_no_cited_passage_is_refused_and_leaves_nothing(
    db: Database, answer: DecisionRecord, reader: User
) -> None:
    triage = decide_in(db)
    events = audit.head(db)
    for unknown in ("dec_none", triage.id):
        with pytest.raises(NotFound):
            give(db, unknown, reader, Verdict.WRONG)
    for wrong in (
        {"passages": (NOT_QUOTED,)},
        {"comment": "x" * 2001},
        {"comment": "a\x00b"},
    ):
        with pytest.raises(InvalidInput):
            give(db, answer.id, reader, Verdict.WRONG, **wrong)
    device = users.create(db, name="CT", role=Role.IMAGING_DEVICE).user
    with pytest.raises(Forbidden):
        give(db, answer.id, device, Verdict.WRONG)
    assert feedback.on_decision(db, answer.id) == []
    assert [e.action for e in audit.list_events(db)][:1] == ["user.created"]
    assert audit.head(db).seq == events.seq + 1


def test_the_audit_holds_the_verdict_and_none_of_the_words(
    db: Database, answer: DecisionRecord, reader: User
) -> None:
    give(db, answer.id, reader, Verdict.WRONG, comment="王先生胸痛", passages=QUOTED)
    (event,) = audit.list_events(db, action="knowledge.feedback")
    assert (event.subject, event.actor) == (answer.id, reader.id)
    assert event.detail["verdict"] == "wrong"
    assert event.detail["passages"] == 2
    assert "王先生" not in repr(audit.list_events(db))
    assert audit.verify(db).ok


def test_a_correction_that_is_no_answers_is_refused(
    db: Database, answer: DecisionRecord, reader: User, physician: User
) -> None:
    task_id = give(db, answer.id, reader, Verdict.WRONG).review_task_id
    assert task_id is not None
    lease = queue.claim(db, task_id, physician)
    with pytest.raises(InvalidInput):
        sign.override(
            db, task_id, physician, lease.token, reason=OverrideReason.RULE_WRONG,
            correction=sign.Correction(disposition=2),
        )  # fmt: skip
