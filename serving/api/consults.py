"""/v1/consults: the stateful chat. A consult is reached by its id and the secret of its opener."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from knowledge_base.language import Bilingual
from models.triage.result import QuestionResult, TriageResult
from serving.api.problems import preferred_language
from serving.api.timing import timing_headers
from serving.consulting import Profile, Reply, Turn, close_consult, open_consult, take_turn
from serving.errors import problem
from serving.security import allow, services_of
from serving.storage import consults
from serving.storage.canonical import dumps
from serving.storage.consults import Consult
from serving.users import Permission, User

router = APIRouter(tags=["consults"])

Secret = Annotated[str, Header(alias="X-Consult-Secret", max_length=200)]
Writer = Annotated[User, Depends(allow(Permission.CONSULT_WRITE))]


class ConsultOpened(BaseModel):
    """A new consult; the secret is shown once and goes with every later call."""

    id: str
    secret: str


class TurnAnswer(BaseModel):
    """The answer to a turn; `explanation` says why a question is asked, where the patient asked."""

    decision_id: str
    status: str
    question: QuestionResult | None
    explanation: Bilingual | None
    result: TriageResult


class ConsultState(BaseModel):
    """The conversation so far."""

    id: str
    status: str
    turns: list[dict[str, Any]]
    question: dict[str, Any] | None


@router.post("/v1/consults", status_code=201)
async def post_consult(body: Profile, request: Request, user: Writer) -> ConsultOpened:
    """Open a consult."""
    new = await open_consult(services_of(request), body, user)
    return ConsultOpened(id=new.consult.id, secret=new.secret)


@router.post("/v1/consults/{consult_id}/messages", response_model=TurnAnswer)
async def post_message(
    consult_id: str,
    body: Turn,
    request: Request,
    response: Response,
    secret: Secret,
    user: Writer,
) -> TurnAnswer | StreamingResponse:
    """Say something or answer the open question.

    With `Accept: text/event-stream` the answer comes as server-sent events: `urgency` first,
    then `answer`, or `problem`.
    """
    started = time.perf_counter()
    services = services_of(request)
    consult = await asyncio.to_thread(consults.load, services.db, consult_id, secret)
    if "text/event-stream" in request.headers.get("accept", ""):

        async def events() -> AsyncIterator[str]:
            try:
                reply = await take_turn(services, consult, body, user)
            except Exception as error:
                found = request.app.state.problems.note(request, error)
                language = preferred_language(request)
                yield _event("problem", problem(found, request.url.path, language=language))
                return
            answer = _answer(reply)
            yield _event("urgency", answer.result.disposition.model_dump(mode="json"))
            yield _event("answer", answer.model_dump(mode="json"))

        return StreamingResponse(events(), media_type="text/event-stream")
    reply = await take_turn(services, consult, body, user)
    timing_headers(response, started, reply.triaged.queue_s, reply.triaged.inference_s)
    return _answer(reply)


@router.get("/v1/consults/{consult_id}")
async def get_consult(
    consult_id: str, request: Request, secret: Secret, _user: Writer
) -> ConsultState:
    """The conversation so far."""
    consult = await asyncio.to_thread(consults.load, services_of(request).db, consult_id, secret)
    return _state(consult)


@router.post("/v1/consults/{consult_id}/close")
async def post_close(
    consult_id: str, request: Request, secret: Secret, user: Writer
) -> ConsultState:
    """End the conversation; 409 while a suicide-risk check is still due, which is then asked."""
    services = services_of(request)
    consult = await asyncio.to_thread(consults.load, services.db, consult_id, secret)
    return _state(await close_consult(services, consult, user))


def _state(consult: Consult) -> ConsultState:
    state: dict[str, Any] = dict(consult.state)
    return ConsultState(
        id=consult.id,
        status=consult.status.value,
        turns=state["turns"],
        question=state["question"],
    )


def _answer(reply: Reply) -> TurnAnswer:
    return TurnAnswer(
        decision_id=reply.triaged.record.id,
        status=reply.consult.status.value,
        question=reply.question,
        explanation=reply.explanation,
        result=reply.triaged.result.for_patients(),
    )


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {dumps(data)}\n\n"
