"""POST /v1/acuity: from a triage nurse's note and vital signs to a level, scores and reasons."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from models.triage.acuity_request import AcuityRequest
from models.triage.acuity_result import AcuityResult
from serving.acuity import assess
from serving.api.timing import timing_headers
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["acuity"])


class AcuityAnswer(BaseModel):
    """A recorded acuity answer."""

    decision_id: str
    review_task_id: str | None
    result: AcuityResult


@router.post("/v1/acuity")
async def post_acuity(
    body: AcuityRequest,
    request: Request,
    response: Response,
    user: Annotated[User, Depends(allow(Permission.TRIAGE_WRITE))],
) -> AcuityAnswer:
    """Grade a patient at the desk of an emergency department. Preliminary advice, recorded."""
    started = time.perf_counter()
    done = await assess(services_of(request), body, user)
    timing_headers(response, started, done.queue_s, done.inference_s)
    return AcuityAnswer(
        decision_id=done.record.id,
        review_task_id=done.record.review_task_id,
        result=done.result,
    )
