"""One acuity answer from request to record: floors first, then the model, then one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from knowledge_base.rules.acuity_scales import acuity_scales
from models.tasks.acuity import AcuityQuestion, AcuityTask
from models.text.normalise import language_of
from models.triage.acuity import holding
from models.triage.acuity_request import AcuityRequest, Scale
from models.triage.acuity_result import AcuityResult
from serving import answering
from serving.bulk import Bulk
from serving.decisions import DecisionRecord
from serving.errors import ModelUnavailable, PayloadTooLarge, UnsupportedLanguage
from serving.hosting import Hosted
from serving.services import Services
from serving.users import User

_EMERGENCY = 2


@dataclass(frozen=True)
class Assessed:
    """An answer, its record and the seconds that its parts took."""

    result: AcuityResult
    record: DecisionRecord
    queue_s: float
    inference_s: float


async def assess(
    services: Services, request: AcuityRequest, user: User, *, bulk: Bulk | None = None
) -> Assessed:
    """Answer and record. An emergency by its floors outlasts whatever breaks (`answering`).

    Raises PayloadTooLarge or UnsupportedLanguage before any work is done, and the engine's errors
    for whatever is less urgent.
    """
    _check(services, request)
    scale: Scale = request.scale or services.settings.acuity_scale
    asked = request.model_copy(update={"scale": scale})
    hosted = services.hosted
    task = _task(hosted, scale)
    # Reading is computation: in a thread, a long note does not hold up everybody else.
    question = await asyncio.to_thread(task.read, asked, scale)
    answer = await answering.ask(
        services,
        hosted,
        urgent=_is_emergency(question),
        prepare=lambda: {task.model: task.prepare(question)},
        finish=lambda outputs: task.finish(question, outputs.get(task.model)),
        bulk=bulk,
    )
    record = await asyncio.to_thread(
        answering.record, services, asked, answer.result, user, bulk=bulk
    )
    return Assessed(answer.result, record, answer.queue_s, answer.inference_s)


def _check(services: Services, request: AcuityRequest) -> None:
    settings = services.settings
    if len(request.text) > settings.max_text_chars:
        raise PayloadTooLarge(f"at most {settings.max_text_chars} characters of text")
    measured = request.vitals.numbers() or request.vitals.consciousness
    foreign = language_of(request.text) == "unknown" and any(c.isalpha() for c in request.text)
    if foreign and not measured:
        raise UnsupportedLanguage("write in Chinese or English, or give vital signs")


def _task(hosted: Hosted, scale: Scale) -> AcuityTask:
    task = hosted.acuity.get(acuity_scales()[scale].model)
    if task is None:
        raise ModelUnavailable(f"no model for the scale {scale} is in the repository")
    return task


def _is_emergency(question: AcuityQuestion) -> bool:
    """Known to be one before any model: a floor of level 1-2 or a red flag as urgent."""
    floors = holding(question.case, question.scale)
    by_floor = any(floor.text.level[question.scale] <= _EMERGENCY for floor in floors)
    return by_floor or (question.case.verdict.disposition or _EMERGENCY + 1) <= _EMERGENCY
