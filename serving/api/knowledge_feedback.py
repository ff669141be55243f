"""/v1/knowledge/answers/{decision_id}/feedback: what a reader says of an answer."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from serving.curation import feedback, words
from serving.security import allow, services_of
from serving.storage.codes import TaskState, Verdict
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])

PassageId = Annotated[str, Field(min_length=1, max_length=1000)]


class FeedbackBody(BaseModel):
    """A verdict on an answer; every one but `helpful` puts it up for review."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    comment: str | None = Field(default=None, max_length=words.LIMIT)
    passages: tuple[PassageId, ...] = Field(
        default=(), max_length=50, description="Ids of cited passages that are meant."
    )


class FeedbackAnswer(BaseModel):
    """The verdict as recorded. `review_state`: open or leased where a physician will look at it,
    signed or overridden where one had done so before; null for an answer nobody complained of."""

    id: str
    decision_id: str
    verdict: Verdict
    comment: str | None
    passages: tuple[str, ...]
    at: datetime
    review_task_id: str | None
    review_state: TaskState | None


@router.post("/v1/knowledge/answers/{decision_id}/feedback")
async def post_feedback(
    decision_id: str,
    body: FeedbackBody,
    request: Request,
    user: Annotated[User, Depends(allow(Permission.KNOWLEDGE_READ))],
) -> FeedbackAnswer:
    """Say that an answer helped, or what is wrong with it; the same again changes nothing."""
    services = services_of(request)
    heard = await asyncio.to_thread(
        feedback.give,
        services.db,
        services.policy,
        decision_id,
        user,
        verdict=body.verdict,
        comment=body.comment,
        passages=body.passages,
    )
    given = heard.feedback
    return FeedbackAnswer(
        id=given.id,
        decision_id=given.decision_id,
        verdict=given.verdict,
        comment=given.comment,
        passages=given.passages,
        at=given.at,
        review_task_id=heard.review_task_id,
        review_state=heard.review_state,
    )
