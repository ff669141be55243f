"""/v1/matches: a specialist from the roster with three alternates, and what became of it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from models.matching.request import Code, MatchRequest
from serving.matching import MatchAnswer, propose
from serving.security import allow, services_of
from serving.services import Services
from serving.storage import idempotency, matches
from serving.storage.canonical import sha256_of
from serving.storage.codes import MatchOutcome, RefusalReason
from serving.users import Permission, User

router = APIRouter(tags=["matches"])

Reader = Annotated[User, Depends(allow(Permission.MATCH_READ))]
Writer = Annotated[User, Depends(allow(Permission.MATCH_WRITE))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key and body again get the same match and record nothing new.",
    ),
]


class OutcomeBody(BaseModel):
    """What became of one proposed doctor."""

    model_config = ConfigDict(extra="forbid")

    doctor: Code
    outcome: MatchOutcome
    reason: RefusalReason | None = Field(default=None, description="Of a refusal, and only then.")


class OutcomeAnswer(BaseModel):
    """The outcome as recorded; `next_doctor` is whom to ask now, null when there is nobody."""

    match_id: str
    doctor: str
    outcome: MatchOutcome
    free_places: int
    next_doctor: str | None


@router.post("/v1/matches", response_model=MatchAnswer)
async def post_match(
    body: MatchRequest, request: Request, user: Reader, key: Key = None
) -> Response:
    """Propose a doctor and three alternates, or say which condition removed how many."""
    return await asyncio.to_thread(_match, services_of(request), body, user, key)


@router.post("/v1/matches/{match_id}/outcome")
async def post_outcome(
    match_id: str, body: OutcomeBody, request: Request, user: Writer
) -> OutcomeAnswer:
    """Report that a proposed doctor was accepted, refused or cancelled; again changes nothing."""
    services = services_of(request)
    given = matches.Report(body.doctor, body.outcome, body.reason)
    done = await asyncio.to_thread(
        matches.report, services.db, services.rosters, match_id, given, actor=user.id
    )
    return OutcomeAnswer(
        match_id=match_id,
        doctor=done.doctor,
        outcome=done.outcome,
        free_places=done.free_places,
        next_doctor=done.next_doctor,
    )


def _match(services: Services, body: MatchRequest, user: User, key: str | None) -> Response:
    asked = None
    if key is not None:
        digest = sha256_of(body.model_dump(mode="json"))
        asked = idempotency.Request(user.id, key, "POST", "/v1/matches", digest)
        before = idempotency.recall(services.db, asked)
        if before is not None:
            return _json(before.body, before.status)

    def remember(session: Session, answer: MatchAnswer) -> None:
        if asked is not None:
            kept = idempotency.Answer(200, answer.model_dump_json().encode("utf-8"))
            idempotency.remember(services.db, asked, kept, within=session)

    answer = propose(services, body, user, alongside=remember)
    return _json(answer.model_dump_json().encode("utf-8"), 200)


def _json(body: bytes, status: int) -> Response:
    return Response(body, status, media_type="application/json")
