"""No decision without a record: decision, audit event and review task together or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from serving import audit, decisions
from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.errors import NotFound
from serving.reviews import queue, tasks
from serving.storage import consults
from serving.storage.codes import ConsultStatus, DecisionKind, DecisionStatus, Reason
from serving.storage.database import Database
from serving.storage.tables import AuditEventRow, Base, DecisionRow, ReviewTaskRow
from tests.serving.storage.records import POLICY, decide_in

pytest_plugins = ["tests.serving.storage.databases"]

Decide = Callable[..., DecisionRecord]


def counts(db: Database) -> list[int]:
    tables: list[type[Base]] = [DecisionRow, ReviewTaskRow, AuditEventRow]
    with db.read() as session:
        return [session.scalar(select(func.count()).select_from(t)) or 0 for t in tables]


def test_a_decision_is_recorded_as_it_was_given(db: Database, clock: FixedClock) -> None:
    record = decisions.record(
        db,
        kind=DecisionKind.TRIAGE,
        input={"text": "头痛", "vitals": {"t": 38.5}, "list": (1, 2)},
        result={"disposition": 3, "p": [0.1, 0.9]},
        models={"triage-zh": "1.2", "embed": "3"},
        rules_version="2026.1",
        disposition=3,
        review=None,
        actor="usr_app",
        subject_user="pat_1",
    )
    assert decisions.get(db, record.id) == record
    assert record.input == {"text": "头痛", "vitals": {"t": 38.5}, "list": [1, 2]}
    assert record.created_at == clock.now()
    assert record.status is DecisionStatus.PRELIMINARY
    assert record.review_task_id is None
    assert counts(db) == [1, 0, 1]


def test_the_event_names_versions_and_review_and_holds_no_patient_text(
    db: Database, decide: Decide
) -> None:
    record = decide(Reason.ABSTAINED)
    (event,) = audit.list_events(db, subject=record.id)
    assert event.action == "decision.recorded"
    assert event.actor == "usr_app"
    assert event.detail["models"] == ["triage-zh@1"]
    assert event.detail["rules"] == "2026.1"
    assert event.detail["review"] == record.review_task_id
    assert event.detail["disposition"] == 3
    with db.read() as session:
        everything = repr(session.execute(text("SELECT * FROM audit_events")).all())
    assert "头痛" not in everything
    assert "\\\\u" not in everything


def test_a_review_is_queued_with_the_decision(
    db: Database, decide: Decide, clock: FixedClock
) -> None:
    record = decide(Reason.CRISIS, Reason.HIGH_URGENCY, disposition=2)
    (task,) = queue.worklist(db).tasks
    assert task.id == record.review_task_id
    assert task.decision_id == record.id
    assert task.reasons == (Reason.CRISIS, Reason.HIGH_URGENCY)
    assert task.due_at == clock.now() + timedelta(minutes=5)
    assert counts(db) == [1, 1, 2]


@pytest.mark.parametrize("point", ["enqueue", "append"])
def test_a_crash_in_the_middle_of_recording_leaves_nothing(
    db: Database, decide: Decide, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    before = counts(db)
    module = {"enqueue": tasks, "append": audit}[point]
    real = getattr(module, point)

    def crash_after(*args: object, **more: object) -> None:
        real(*args, **more)
        raise RuntimeError("crash")

    monkeypatch.setattr(module, point, crash_after)
    with pytest.raises(RuntimeError):
        decide(Reason.CRISIS)
    monkeypatch.undo()
    assert counts(db) == before
    decide(Reason.CRISIS)
    assert audit.verify(db).ok


def test_a_decision_and_its_consults_new_state_commit_together(db: Database) -> None:
    opened = consults.create(db, {"messages": []}, actor="usr_app")

    def reply(fail: bool) -> None:
        with db.write() as session:
            consults.save(
                db,
                opened.consult.id,
                expected_version=1,
                state={"messages": ["头痛"]},
                status=ConsultStatus.OPEN,
                actor="usr_app",
                within=session,
            )
            decisions.record(
                db,
                kind=DecisionKind.TRIAGE,
                input={},
                result={},
                models={},
                rules_version="1",
                disposition=4,
                review=None,
                actor="usr_app",
                consult_id=opened.consult.id,
                within=session,
            )
            if fail:
                raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        reply(fail=True)
    assert consults.load(db, opened.consult.id, opened.secret).version == 1
    assert decisions.list_for_consult(db, opened.consult.id) == []
    reply(fail=False)
    assert consults.load(db, opened.consult.id, opened.secret).state == {"messages": ["头痛"]}
    assert len(decisions.list_for_consult(db, opened.consult.id)) == 1


def test_an_imaging_result_is_never_recorded_without_a_review(db: Database) -> None:
    with pytest.raises(ValueError, match="without a review"):
        decide_in(db, kind=DecisionKind.IMAGING, disposition=None)
    assert counts(db) == [0, 0, 0]
    assert decide_in(db, Reason.IMAGING, kind=DecisionKind.IMAGING, disposition=None).review_task_id


@pytest.mark.parametrize("disposition", [0, 6, -1])
def test_a_disposition_off_the_scale_is_not_recorded(db: Database, disposition: int) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        decide_in(db, disposition=disposition)


def test_a_result_that_json_cannot_say_is_not_recorded(db: Database) -> None:
    with pytest.raises(ValueError, match="JSON"):
        decisions.record(
            db,
            kind=DecisionKind.TRIAGE,
            input={},
            result={"p": math.nan},
            models={},
            rules_version="1",
            disposition=3,
            review=None,
            actor="usr_app",
        )
    assert counts(db) == [0, 0, 0]


def test_the_id_that_the_sample_was_drawn_from_is_the_decisions_id(db: Database) -> None:
    decision_id = db.ids.new("dec")
    record = decisions.record(
        db,
        kind=DecisionKind.TRIAGE,
        input={},
        result={},
        models={},
        rules_version="1",
        disposition=1,
        review=POLICY.request(decision_id=decision_id, kind=DecisionKind.TRIAGE, disposition=1),
        actor="usr_app",
        decision_id=decision_id,
    )
    assert record.id == decision_id


def test_a_consults_decisions_come_in_their_order(db: Database, clock: FixedClock) -> None:
    consult = consults.create(db, {}, actor="usr_app").consult
    made = []
    for reasons in ((), (Reason.ABSTAINED,), ()):
        clock.advance(1)
        made.append(decide_in(db, *reasons, consult_id=consult.id))
    decide_in(db)
    assert decisions.list_for_consult(db, consult.id) == made
    assert decisions.list_for_consult(db, "con_none") == []


def test_an_unknown_decision_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        decisions.get(db, "dec_none")
    with pytest.raises(NotFound):
        decisions.is_intact(db, "dec_none")


@pytest.mark.parametrize(
    "change", ["disposition = 5", "rules_version = 'x'", "result = '{}'", "seal_nonce = 'x'"]
)
def test_a_decision_that_was_changed_afterwards_is_noticed(
    db: Database, decide: Decide, change: str
) -> None:
    record, other = decide(), decide()
    assert decisions.is_intact(db, record.id)
    with db.write() as session:
        session.connection().exec_driver_sql(
            f"UPDATE decisions SET {change} WHERE id = '{record.id}'"
        )
    assert not decisions.is_intact(db, record.id)
    assert decisions.is_intact(db, other.id)
