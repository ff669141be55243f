"""/v1/reviews: the physicians' queue over HTTP: worklist, claim, heartbeat, release, sign."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.lexicon.departments import taxonomy
from serving.errors import FieldError, InvalidInput
from serving.reviews import queue, sign
from serving.reviews.queue import Lease
from serving.reviews.sign import Correction
from serving.reviews.signatures import Signature
from serving.reviews.statistics import ReviewStatistics, statistics_of
from serving.reviews.tasks import ReviewTask
from serving.security import allow, services_of
from serving.storage.codes import DecisionKind, OverrideReason, TaskState
from serving.users import Permission, User

router = APIRouter(tags=["reviews"])

Reader = Annotated[User, Depends(allow(Permission.REVIEW_READ))]
Signer = Annotated[User, Depends(allow(Permission.REVIEW_SIGN))]


class WorklistAnswer(BaseModel):
    """A page of the worklist, most urgent first."""

    tasks: list[ReviewTask]
    next_cursor: str | None


class LeaseAnswer(BaseModel):
    """A hold on a task: send `token` with every later move."""

    task_id: str
    decision_id: str
    token: int
    expires_at: datetime


class CaseAnswer(BaseModel):
    """All that a reader needs to judge a decision."""

    task: ReviewTask
    decision_id: str
    kind: DecisionKind
    created_at: datetime
    input: dict[str, Any]
    result: dict[str, Any]
    models: dict[str, str]
    rules_version: str
    signature: Signature | None


class Held(BaseModel):
    """The fencing token of the lease."""

    model_config = ConfigDict(extra="forbid")

    token: int


class SignBody(Held):
    """Sign the decision as it stands."""

    comment: str | None = Field(default=None, max_length=sign.COMMENT_LIMIT)


class OverrideBody(Held):
    """Decide otherwise, with a coded reason and what is right instead."""

    reason: OverrideReason
    comment: str | None = Field(default=None, max_length=sign.COMMENT_LIMIT)
    disposition: int | None = Field(default=None, ge=1, le=5)
    departments: tuple[str, ...] = Field(default=(), max_length=sign.DEPARTMENTS_LIMIT)
    label: str | None = Field(default=None, max_length=sign.LABEL_LIMIT)


def lease_time(request: Request) -> timedelta:
    """How long a claim holds, by the settings."""
    return timedelta(seconds=services_of(request).settings.lease_seconds)


@router.get("/v1/reviews")
async def worklist(
    request: Request,
    _user: Reader,
    kind: Annotated[list[DecisionKind] | None, Query()] = None,
    state: Annotated[list[TaskState] | None, Query()] = None,
    overdue: bool = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=queue.PAGE_LIMIT)] = 50,
) -> WorklistAnswer:
    """Tasks by urgency, then by what is due first."""
    filters = queue.Filters(
        states=tuple(state) if state else queue.ANY.states,
        kinds=tuple(kind or ()),
        overdue_only=overdue,
    )
    page = await asyncio.to_thread(
        queue.worklist, services_of(request).db, filters=filters, cursor=cursor, limit=limit
    )
    return WorklistAnswer(tasks=list(page.tasks), next_cursor=page.next_cursor)


@router.get("/v1/reviews/statistics")
async def statistics(request: Request, _user: Reader) -> ReviewStatistics:
    """The queue now and the last thirty days' signatures."""
    return await asyncio.to_thread(statistics_of, services_of(request).db)


@router.post("/v1/reviews/next", response_model=LeaseAnswer | None)
async def claim_next(request: Request, user: Signer) -> LeaseAnswer | None:
    """Claim the most urgent free task; null when there is none."""
    lease = await asyncio.to_thread(
        queue.claim_next, services_of(request).db, user, lease_for=lease_time(request)
    )
    return None if lease is None else _lease(lease)


@router.get("/v1/reviews/{task_id}")
async def read_case(task_id: str, request: Request, user: Reader) -> CaseAnswer:
    """One case with its evidence. The view is audited."""
    case = await asyncio.to_thread(queue.read, services_of(request).db, task_id, user)
    return CaseAnswer(
        task=case.task,
        decision_id=case.decision.id,
        kind=case.decision.kind,
        created_at=case.decision.created_at,
        input=dict(case.decision.input),
        result=dict(case.decision.result),
        models=dict(case.decision.models),
        rules_version=case.decision.rules_version,
        signature=case.signature,
    )


@router.post("/v1/reviews/{task_id}/claim")
async def claim(task_id: str, request: Request, user: Signer) -> LeaseAnswer:
    """Take a task."""
    return _lease(
        await asyncio.to_thread(
            queue.claim, services_of(request).db, task_id, user, lease_for=lease_time(request)
        )
    )


@router.post("/v1/reviews/{task_id}/heartbeat")
async def heartbeat(task_id: str, body: Held, request: Request, user: Signer) -> LeaseAnswer:
    """Hold a task for longer."""
    return _lease(
        await asyncio.to_thread(
            queue.heartbeat,
            services_of(request).db,
            task_id,
            user,
            body.token,
            lease_for=lease_time(request),
        )
    )


@router.post("/v1/reviews/{task_id}/release")
async def release(task_id: str, body: Held, request: Request, user: Signer) -> ReviewTask:
    """Give a task back."""
    return await asyncio.to_thread(
        queue.release, services_of(request).db, task_id, user, body.token
    )


@router.post("/v1/reviews/{task_id}/sign")
async def sign_decision(task_id: str, body: SignBody, request: Request, user: Signer) -> Signature:
    """Sign the decision: it becomes a medical opinion under the physician's name."""
    return await asyncio.to_thread(
        sign.sign, services_of(request).db, task_id, user, body.token, comment=body.comment
    )


@router.post("/v1/reviews/{task_id}/override")
async def override_decision(
    task_id: str, body: OverrideBody, request: Request, user: Signer
) -> Signature:
    """Decide otherwise under the physician's name."""
    return await asyncio.to_thread(
        sign.override,
        services_of(request).db,
        task_id,
        user,
        body.token,
        reason=body.reason,
        comment=body.comment,
        correction=correction(body.disposition, body.departments, body.label),
    )


def correction(
    disposition: int | None, departments: tuple[str, ...], label: str | None
) -> Correction:
    """A correction whose departments exist; raises InvalidInput naming none of the input."""
    if not set(departments) <= taxonomy().departments.keys():
        raise InvalidInput(
            "unknown department", errors=[FieldError("/departments", "not in the taxonomy")]
        )
    return Correction(disposition=disposition, departments=departments or None, label=label)


def _lease(lease: Lease) -> LeaseAnswer:
    return LeaseAnswer(
        task_id=lease.task_id,
        decision_id=lease.decision_id,
        token=lease.token,
        expires_at=lease.expires_at,
    )
