"""/v1/decisions and /v1/audit: every decision traceable, the trail verifiable."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from serving import audit, decisions
from serving.api.exports import AnswerFormat, fhir_answer
from serving.audit import AuditEvent, AuditReport
from serving.errors import FieldError, InvalidInput
from serving.reviews.signatures import Signature, for_decision
from serving.security import allow, services_of
from serving.storage.codes import DecisionKind, DecisionStatus
from serving.storage.database import Database
from serving.users import Permission, User

router = APIRouter(tags=["trace"])

Reader = Annotated[User, Depends(allow(Permission.DECISION_READ))]
Auditor = Annotated[User, Depends(allow(Permission.AUDIT_READ))]


class DecisionAnswer(BaseModel):
    """What went in, what came out, by which versions, and who signed it."""

    id: str
    kind: DecisionKind
    created_at: datetime
    status: DecisionStatus
    disposition: int | None
    input: dict[str, Any]
    result: dict[str, Any]
    models: dict[str, str]
    rules_version: str
    review_task_id: str | None
    signature: Signature | None
    intact: bool


@router.get("/v1/decisions/{decision_id}", response_model=DecisionAnswer)
async def get_decision(
    decision_id: str,
    request: Request,
    user: Reader,
    form: Annotated[AnswerFormat, Query(alias="format")] = "json",
) -> DecisionAnswer | Response:
    """A decision with its signature; of imaging also `?format=fhir`. The view is audited."""
    read = _read if form == "json" else _read_fhir
    return await asyncio.to_thread(read, services_of(request).db, decision_id, user)


@router.get("/v1/audit/verify")
async def verify(request: Request, _user: Auditor) -> AuditReport:
    """Walk the whole audit chain and say whether and where it breaks."""
    return await asyncio.to_thread(audit.verify, services_of(request).db)


@router.get("/v1/audit/events")
async def events(
    request: Request,
    _user: Auditor,
    subject: Annotated[str | None, Query(max_length=64)] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditEvent]:
    """Audit events, newest first."""
    return await asyncio.to_thread(
        audit.list_events,
        services_of(request).db,
        subject=subject,
        before=before,
        limit=limit,
    )


def _read_fhir(db: Database, decision_id: str, user: User) -> Response:
    found = decisions.get(db, decision_id)
    if found.kind is not DecisionKind.IMAGING:
        fault = FieldError("/format", "only an imaging decision has this form")
        raise InvalidInput("this kind of decision is not given as FHIR", errors=[fault])
    decisions.note_view(db, found, user.id)
    return fhir_answer(db, found)


def _read(db: Database, decision_id: str, user: User) -> DecisionAnswer:
    found = decisions.get(db, decision_id)
    decisions.note_view(db, found, user.id)
    return DecisionAnswer(
        id=found.id,
        kind=found.kind,
        created_at=found.created_at,
        status=found.status,
        disposition=found.disposition,
        input=dict(found.input),
        result=dict(found.result),
        models=dict(found.models),
        rules_version=found.rules_version,
        review_task_id=found.review_task_id,
        signature=for_decision(db, decision_id),
        intact=decisions.is_intact(db, decision_id),
    )
