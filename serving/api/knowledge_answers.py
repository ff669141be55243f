"""POST /v1/knowledge/answer: sentences that answer a question, each with its place."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from serving.knowledge_answers import KnowledgeAnswer, Question, answer
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])


class AnswerReply(KnowledgeAnswer):
    """A recorded answer; feedback on it goes to `/v1/knowledge/answers/{decision_id}/feedback`."""

    decision_id: str


@router.post("/v1/knowledge/answer")
async def post_answer(
    body: Question,
    request: Request,
    user: Annotated[User, Depends(allow(Permission.KNOWLEDGE_READ))],
) -> AnswerReply:
    """Answer in the sentences of cards and library, or say that nothing was found."""
    found, decision_id = await answer(services_of(request), body, user)
    return AnswerReply(decision_id=decision_id, **found.model_dump())
