"""What readers say of answers from the knowledge base. A complaint puts the answer up for review.

Feedback, its review task and the audit events commit together. Of one reader each verdict on an
answer counts once. The words of a comment stay in the row and never reach the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving import audit, users
from serving.curation.words import words
from serving.errors import AlreadySigned, FieldError, InvalidInput, NotFound
from serving.knowledge_answers import KnowledgeAnswer
from serving.reviews import tasks
from serving.reviews.policy import ReviewPolicy
from serving.storage.codes import DecisionKind, Reason, TaskState, Verdict
from serving.storage.database import Database
from serving.storage.tables import AnswerFeedbackRow, DecisionRow, ReviewTaskRow, UserRow
from serving.users import Permission, User


@dataclass(frozen=True)
class Feedback:
    """A reader's verdict on an answer; `passages` are the cited ones that it is about."""

    id: str
    decision_id: str
    user_id: str
    user_name: str
    verdict: Verdict
    comment: str | None
    passages: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Heard:
    """Feedback as recorded, and the review of its answer: None where nobody has complained."""

    feedback: Feedback
    review_task_id: str | None
    review_state: TaskState | None


def give(
    db: Database,
    policy: ReviewPolicy,
    decision_id: str,
    user: User,
    *,
    verdict: Verdict,
    comment: str | None = None,
    passages: Sequence[str] = (),
) -> Heard:
    """Record a verdict. The same reader's same verdict again changes nothing. Audited.

    Every verdict but `helpful` asks for a review: a task that waits gains the reason. Where a
    physician has signed already, the complaint stays on record and opens no second task: a
    decision is signed once. Raises Forbidden, NotFound for what is no answer from the knowledge
    base, InvalidInput for an overlong comment or a passage that the answer does not cite.
    """
    said = words(comment, "/comment")
    with db.write() as session:
        reader = users.require_now(session, user, Permission.KNOWLEDGE_READ)
        decision = session.get(DecisionRow, decision_id, with_for_update=True)
        if decision is None or decision.kind is not DecisionKind.KNOWLEDGE:
            raise NotFound("no such answer")
        if not set(passages) <= cited(KnowledgeAnswer.model_validate(decision.result)):
            raise InvalidInput(errors=[FieldError("/passages", "not cited by this answer")])
        row = session.scalar(
            select(AnswerFeedbackRow).where(
                AnswerFeedbackRow.decision_id == decision_id,
                AnswerFeedbackRow.user_id == reader.id,
                AnswerFeedbackRow.verdict == verdict,
            )
        )
        if row is None:
            row = AnswerFeedbackRow(
                id=db.ids.new("fbk"),
                decision_id=decision_id,
                user_id=reader.id,
                verdict=verdict,
                comment=said,
                passages=list(dict.fromkeys(passages)),
                at=db.clock.now(),
            )
            _record(session, db, policy, row)
        task = session.execute(
            select(ReviewTaskRow.id, ReviewTaskRow.state).where(
                ReviewTaskRow.decision_id == decision_id
            )
        ).first()
        return Heard(_feedback(row, reader.name), *((None, None) if task is None else task))


def cited(answer: KnowledgeAnswer) -> set[str]:
    """The ids of the passages that an answer shows: quoted, saying the same, differing, nearest."""
    compared = (side for d in answer.disagreements for side in (d.newer, d.older))
    shown = [s.citation for s in (*answer.sentences, *compared, *answer.nearest)]
    return {identity for citation in shown for identity in (citation.id, *citation.also)}


def on_decision(db: Database, decision_id: str) -> list[Feedback]:
    """All that was said of an answer, oldest first."""
    query = (
        select(AnswerFeedbackRow, UserRow.name)
        .join(UserRow, UserRow.id == AnswerFeedbackRow.user_id)
        .where(AnswerFeedbackRow.decision_id == decision_id)
        .order_by(AnswerFeedbackRow.at, AnswerFeedbackRow.id)
    )
    with db.read() as session:
        return [_feedback(row, name) for row, name in session.execute(query)]


def _record(session: Session, db: Database, policy: ReviewPolicy, row: AnswerFeedbackRow) -> None:
    session.add(row)
    session.flush()
    if row.verdict is not Verdict.HELPFUL:
        request = policy.level([Reason.COMPLAINT], None)
        with suppress(AlreadySigned):
            tasks.request_review(db, row.decision_id, request, actor=row.user_id, within=session)
    audit.append(
        session,
        at=row.at,
        actor=row.user_id,
        action="knowledge.feedback",
        subject=row.decision_id,
        detail={
            "feedback": row.id,
            "verdict": row.verdict.value,
            "passages": len(row.passages),
            "commented": row.comment is not None,
        },
    )


def _feedback(row: AnswerFeedbackRow, name: str) -> Feedback:
    return Feedback(
        id=row.id,
        decision_id=row.decision_id,
        user_id=row.user_id,
        user_name=name,
        verdict=row.verdict,
        comment=row.comment,
        passages=tuple(row.passages),
        at=row.at,
    )
