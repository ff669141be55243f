"""POST /v1/triage: one shot from words and vitals to urgency, department and next question."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from models.triage.request import TriageRequest
from models.triage.result import TriageResult
from serving.api.timing import timing_headers
from serving.knowledge import reader_of
from serving.security import allow, services_of
from serving.triaging import triage
from serving.users import Permission, User

router = APIRouter(tags=["triage"])


class TriageAnswer(BaseModel):
    """A recorded triage answer."""

    decision_id: str
    review_task_id: str | None
    result: TriageResult


@router.post("/v1/triage")
async def post_triage(
    body: TriageRequest,
    request: Request,
    response: Response,
    user: Annotated[User, Depends(allow(Permission.TRIAGE_WRITE))],
) -> TriageAnswer:
    """Triage a complaint. The answer is preliminary advice and is recorded.

    A patients' program gets no passages of sections that are written for clinicians.
    """
    started = time.perf_counter()
    done = await triage(services_of(request), body, user)
    timing_headers(response, started, done.queue_s, done.inference_s)
    return TriageAnswer(
        decision_id=done.record.id,
        review_task_id=done.record.review_task_id,
        result=done.result.for_patients() if reader_of(user) == "patient" else done.result,
    )
