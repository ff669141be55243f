"""One triage from request to record: rules first, then the models, then one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.text.normalise import language_of
from models.triage.request import TriageRequest
from models.triage.result import TriageResult
from serving import answering
from serving.bulk import Bulk
from serving.decisions import DecisionRecord
from serving.errors import PayloadTooLarge, UnsupportedLanguage
from serving.services import Services
from serving.users import User


@dataclass(frozen=True)
class Triaged:
    """An answer, its record and the seconds that its parts took."""

    result: TriageResult
    record: DecisionRecord
    queue_s: float
    inference_s: float


def check_limits(services: Services, request: TriageRequest) -> None:
    """Raise PayloadTooLarge or UnsupportedLanguage before any work is done.

    Words in another script are refused only where nothing else speaks: vital signs, answers or
    known diseases are judged by the rules whatever the language.
    """
    settings = services.settings
    urgent = f"in an emergency call {settings.emergency_number} now"
    if sum(map(len, request.texts)) > settings.max_text_chars:
        raise PayloadTooLarge(f"at most {settings.max_text_chars} characters of text; {urgent}")
    if len(request.texts) > settings.max_messages:
        raise PayloadTooLarge(f"at most {settings.max_messages} messages; {urgent}")
    words = " ".join(request.texts)
    vitals = request.vitals
    facts = vitals.numbers() or vitals.consciousness or request.answers or request.conditions
    foreign = language_of(words) == "unknown" and any(c.isalpha() for c in words)
    if foreign and not facts:
        raise UnsupportedLanguage(f"write in Chinese or English; {urgent}")


async def triage(
    services: Services,
    request: TriageRequest,
    user: User,
    *,
    consult_id: str | None = None,
    alongside: Callable[[Session, TriageResult], None] | None = None,
    bulk: Bulk | None = None,
) -> Triaged:
    """Answer and record. `alongside` writes in the same transaction as the decision.

    The rules judge before any queue; what breaks after them costs an emergency its department
    ranking and nothing else (`answering`).
    """
    check_limits(services, request)
    # Reading is computation: in a thread, a long text does not hold up everybody else.
    hosted = services.hosted
    judged = await asyncio.to_thread(hosted.triage.read, request)
    answer = await answering.ask(
        services,
        hosted,
        urgent=judged.level <= 2,
        prepare=lambda: hosted.triage.prepare(judged),
        finish=lambda outputs: hosted.triage.finish(judged, outputs),
        bulk=bulk,
    )
    record = await asyncio.to_thread(
        answering.record,
        services,
        request,
        answer.result,
        user,
        consult_id=consult_id,
        alongside=alongside,
        bulk=bulk,
    )
    return Triaged(answer.result, record, answer.queue_s, answer.inference_s)
