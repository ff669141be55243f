"""The stateful consult: a conversation on top of the triage task, one decision per turn."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from knowledge_base.language import Language
from knowledge_base.rules.facts import Sex, Status
from models.triage.request import TriageRequest, Vitals
from models.triage.result import QuestionResult, TriageResult
from serving.errors import Conflict, InvalidInput
from serving.services import Services
from serving.settings import Settings
from serving.storage import consults
from serving.storage.canonical import Json
from serving.storage.codes import ConsultStatus
from serving.storage.consults import Consult
from serving.triaging import Triaged, triage
from serving.users import User

MOST_QUESTIONS = 8


class Profile(BaseModel):
    """What is known of the patient from the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Language | None = None
    age_years: float | None = Field(default=None, ge=0, le=125)
    sex: Sex | None = None
    pregnant: bool | None = None
    vitals: Vitals = Vitals()
    conditions: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=50)
    medicines: tuple[Annotated[str, Field(max_length=100)], ...] = Field(default=(), max_length=50)


class Turn(BaseModel):
    """What the patient says next: words, a quick reply to the open question, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    text: str | None = None
    answer: Status | None = Field(
        default=None, description="Reply to the open question: present, absent or unknown."
    )


@dataclass(frozen=True)
class Reply:
    """The consult after a turn."""

    consult: Consult
    triaged: Triaged
    question: QuestionResult | None


async def take_turn(services: Services, consult: Consult, turn: Turn, user: User) -> Reply:
    """Add a turn, triage the whole conversation, record both in one transaction.

    Raises InvalidInput for an empty turn or an answer to no question, Conflict for a consult
    that is closed.
    """
    if consult.status is ConsultStatus.CLOSED:
        raise Conflict("the consult is closed")
    state: dict[str, Any] = dict(consult.state)
    answers: dict[str, Status] = dict(state["answers"])
    turns: list[dict[str, Any]] = list(state["turns"])
    if not turn.text and turn.answer is None:
        raise InvalidInput("a turn needs text or an answer")
    if turn.answer is not None:
        if state["question"] is None:
            raise InvalidInput("there is no open question to answer")
        answers[state["question"]["code"]] = turn.answer
    turns.append({"role": "patient", "text": turn.text or "", "answer": turn.answer})
    messages = [t["text"] for t in turns if t["role"] == "patient" and t["text"]]
    if not messages:
        raise InvalidInput("say first what is wrong")
    messages = _newest(messages, services.settings)
    request = TriageRequest(messages=tuple(messages), answers=answers, **_profile(state["profile"]))
    asked = state["asked"]
    updated: list[Consult] = []
    question: list[QuestionResult | None] = []

    def alongside(session: Session, result: TriageResult) -> None:
        following = None if asked >= MOST_QUESTIONS else result.next_question
        if result.disposition.level == 1 or result.crisis:
            following = None
        question.append(following)
        # Once an emergency, a person has to end it: the chat never talks itself out of one.
        before = consult.status is ConsultStatus.EMERGENCY
        emergency = before or result.disposition.level <= 2 or result.crisis
        updated.append(
            consults.save(
                services.db,
                consult.id,
                expected_version=consult.version,
                state=state
                | {
                    "turns": [*turns, _spoken(result, following)],
                    "answers": answers,
                    "asked": asked + (following is not None),
                    "question": None if following is None else following.model_dump(mode="json"),
                },
                status=ConsultStatus.EMERGENCY if emergency else ConsultStatus.OPEN,
                actor=user.id,
                within=session,
            )
        )

    done = await triage(services, request, user, consult_id=consult.id, alongside=alongside)
    return Reply(updated[0], done, question[0])


def _newest(messages: list[str], settings: Settings) -> list[str]:
    """The newest messages that fit the limits: a long talk must still hear what comes last."""
    kept: list[str] = []
    room = settings.max_text_chars
    for message in reversed(messages[-settings.max_messages :]):
        if kept and len(message) > room:
            break
        kept.append(message)
        room -= len(message)
    return kept[::-1]


async def open_consult(services: Services, profile: Profile, user: User) -> consults.NewConsult:
    """A new consult without a word said yet."""
    state: dict[str, Json] = {
        "profile": profile.model_dump(mode="json"),
        "turns": [],
        "answers": {},
        "asked": 0,
        "question": None,
    }
    return await asyncio.to_thread(consults.create, services.db, state, actor=user.id)


def _spoken(result: TriageResult, question: QuestionResult | None) -> dict[str, Any]:
    """What the chat shows of an answer: kept so that a page can be drawn again."""
    return {
        "role": "assistant",
        "disposition": result.disposition.model_dump(mode="json"),
        "crisis": result.crisis,
        "departments": [d.model_dump(mode="json") for d in result.departments[:3]],
        "department_unsure": result.department_unsure,
        "red_flags": [{"rationale": r.rationale, "advice": r.advice} for r in result.red_flags[:3]],
        "advice": result.advice.model_dump(mode="json"),
        "findings": [
            f.model_dump(mode="json", include={"name", "status", "experiencer", "temporality"})
            for f in result.findings
            if f.status != "unknown"
        ],
        "question": None if question is None else question.model_dump(mode="json"),
        "language": result.language,
        "understood": "not_understood" not in result.review.reasons,
    }


def _profile(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if value is not None}
