"""The stateful consult: a conversation on top of the triage task, one decision per turn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from knowledge_base.language import Bilingual, Language
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.facts import Sex, Status
from models.triage.conversation import Conversation, asked, lacks_suicide_check
from models.triage.questions import about_suicide_risk, of_somebody_else
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

_EMERGENCY = 2
_SHOWN = {"name", "status", "experiencer", "temporality", "site", "side", "onset", "course"}
"""What the chat keeps of a finding."""


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
    findings: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=(),
        max_length=16,
        description="With `present`: which of the findings that the question asks for.",
    )


@dataclass(frozen=True)
class Reply:
    """The consult after a turn; `explanation` answers a patient who asked back."""

    consult: Consult
    triaged: Triaged
    question: QuestionResult | None
    explanation: Bilingual | None = None


async def take_turn(services: Services, consult: Consult, turn: Turn, user: User) -> Reply:
    """Add a turn, triage the whole conversation, record both in one transaction.

    Raises InvalidInput for an empty turn or an answer to no question, Conflict for a consult
    that is closed.
    """
    if consult.status is ConsultStatus.CLOSED:
        raise Conflict("the consult is closed")
    state: dict[str, Any] = dict(consult.state)
    before = _conversation(state)
    _check(turn, before)
    talk = await asyncio.to_thread(before.hear, turn.text or "", turn.answer, turn.findings)
    if not talk.messages:
        raise InvalidInput("say first what is wrong")
    messages = tuple(_newest(list(talk.messages), services.settings))
    request = TriageRequest(
        messages=messages,
        unasked=tuple(m for m in talk.unasked if m in messages),
        answers=dict(talk.answers),
        **_profile(state["profile"]),
    )
    said: dict[str, Any] = {"role": "patient", "text": turn.text or "", "answer": turn.answer}
    if turn.findings:
        said["findings"] = list(turn.findings)
    updated: list[Consult] = []
    following: list[Conversation] = []

    def alongside(session: Session, result: TriageResult) -> None:
        after = _worded(talk.ask(result), state)
        following.append(after)
        # Once an emergency, a person has to end it: the chat never talks itself out of one.
        standing = consult.status is ConsultStatus.EMERGENCY
        emergency = standing or result.disposition.level <= _EMERGENCY or result.crisis
        explanation = _explanation(after)
        updated.append(
            consults.save(
                services.db,
                consult.id,
                expected_version=consult.version,
                state=state
                | _stored(after)
                | {
                    "turns": [*state["turns"], said, _spoken(result, after, explanation)],
                    "unchecked": lacks_suicide_check(result, after.answers),
                },
                status=ConsultStatus.EMERGENCY if emergency else ConsultStatus.OPEN,
                actor=user.id,
                within=session,
            )
        )

    done = await triage(services, request, user, consult_id=consult.id, alongside=alongside)
    after = following[0]
    return Reply(updated[0], done, after.question, _explanation(after))


async def close_consult(services: Services, consult: Consult, user: User) -> Consult:
    """End a consult, whoever asks for it: a patient or staff.

    Raises Conflict while somebody in mental distress has not been asked about suicide; that
    question is then the open one. A consult that is closed stays so.
    """
    if consult.status is ConsultStatus.CLOSED:
        return consult
    state: dict[str, Any] = dict(consult.state)
    unchecked = bool(state.get("unchecked"))
    question = asked(about_suicide_risk()).model_dump(mode="json") if unchecked else None
    saved = await asyncio.to_thread(
        consults.save,
        services.db,
        consult.id,
        expected_version=consult.version,
        state=state | {"question": question},
        status=consult.status if unchecked else ConsultStatus.CLOSED,
        actor=user.id,
    )
    if unchecked:
        raise Conflict("a consult in mental distress is not closed before the suicide-risk check")
    return saved


def _check(turn: Turn, talk: Conversation) -> None:
    if not turn.text and turn.answer is None:
        raise InvalidInput("a turn needs text or an answer")
    if turn.answer is not None and talk.question is None:
        raise InvalidInput("there is no open question to answer")
    codes = () if talk.question is None else talk.question.codes
    if turn.findings and (turn.answer != "present" or not set(turn.findings) <= set(codes)):
        raise InvalidInput("findings go with the answer present, and must be asked for")


def _conversation(state: dict[str, Any]) -> Conversation:
    """The conversation as it was kept."""
    spoken = [t["text"] for t in state["turns"] if t["role"] == "patient" and t["text"]]
    return Conversation(
        messages=tuple(state.get("messages", spoken)),
        unasked=tuple(state.get("unasked", ())),
        answers=state["answers"],
        asked=state["asked"],
        question=_question(state["question"]),
        answered=_question(state.get("answered")),
        missed=frozenset(state.get("missed", ())),
    )


def _question(kept: dict[str, Any] | None) -> QuestionResult | None:
    return None if kept is None else QuestionResult.model_validate(kept)


def _stored(talk: Conversation) -> dict[str, Json]:
    def kept(question: QuestionResult | None) -> Json:
        return None if question is None else question.model_dump(mode="json")

    return {
        "messages": list(talk.messages),
        "unasked": list(talk.unasked),
        "answers": dict(talk.answers),
        "asked": talk.asked,
        "question": kept(talk.question),
        "answered": kept(talk.answered),
        "missed": sorted(talk.missed),
    }


def _worded(talk: Conversation, state: dict[str, Any]) -> Conversation:
    """A chat that was opened for somebody else asks about them."""
    question = talk.question
    if question is None or not question.codes or not state.get("for_other"):
        return talk
    text = of_somebody_else(question.text)
    return replace(talk, question=question.model_copy(update={"text": text}))


def _explanation(talk: Conversation) -> Bilingual | None:
    return talk.question.reason if talk.asked_back and talk.question is not None else None


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


def _spoken(
    result: TriageResult, talk: Conversation, explanation: Bilingual | None
) -> dict[str, Any]:
    """What the chat shows of an answer: kept so that a page can be drawn again."""
    result = result.for_patients()
    question = talk.question
    in_words = [f for f in result.findings if f.status != "unknown"]
    return {
        "role": "assistant",
        "disposition": result.disposition.model_dump(mode="json"),
        "crisis": result.crisis,
        "departments": [d.model_dump(mode="json") for d in result.departments[:3]],
        "department_unsure": result.department_unsure,
        "red_flags": [
            {
                "rationale": r.rationale,
                "advice": r.advice,
                "passages": [p.model_dump(mode="json") for p in result.named(r.passages)],
            }
            for r in result.red_flags[:3]
        ],
        "advice": result.advice.model_dump(mode="json"),
        "findings": [
            *(f.model_dump(mode="json", include=_SHOWN) for f in in_words),
            *_answered(talk.answers, {f.code for f in in_words}),
        ],
        "question": None if question is None else question.model_dump(mode="json"),
        "explanation": explanation,
        "language": result.language,
        "understood": "not_understood" not in result.review.reasons,
        "greeting": talk.polite and not result.red_flags and not result.crisis,
    }


def _answered(answers: Mapping[str, Status], in_words: Collection[str]) -> Iterator[Json]:
    """Findings known by a tick or a quick reply; what words say of one is shown instead."""
    terms = lexicon()
    for code, status in answers.items():
        if code in terms and code not in in_words and status != "unknown":
            name = {"zh": terms[code].zh, "en": terms[code].en}
            yield {"name": name, "status": status, "answered": True}


def _profile(stored: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if value is not None}
