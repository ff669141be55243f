"""One triage from request to record: rules first, then the models, then one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from models.text.normalise import language_of
from models.triage.request import TriageRequest
from models.triage.result import TriageResult
from serving import decisions
from serving.decisions import DecisionRecord
from serving.engine.scheduler import Priority
from serving.errors import PayloadTooLarge, UnsupportedLanguage
from serving.services import Services
from serving.storage.codes import DecisionKind, Reason
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
) -> Triaged:
    """Answer and record. `alongside` writes in the same transaction as the decision.

    The rules judge before any queue. A model that is full, late or broken costs an emergency
    its department ranking and nothing else; anything less urgent gets the error: without the
    learned urgency, nobody is told that his complaint can wait.
    """
    check_limits(services, request)
    # Reading is computation: in a thread, a long text does not hold up everybody else.
    judged = await asyncio.to_thread(services.triage.read, request)
    urgent = judged.level <= 2
    asked = await asyncio.to_thread(services.triage.prepare, judged)
    answers = await asyncio.gather(
        *(
            services.engine.infer(
                model,
                tensors,
                priority=Priority.emergency if urgent else Priority.interactive,
                timeout_s=services.settings.inference_timeout_s / (10 if urgent else 1),
            )
            for model, tensors in asked.items()
        ),
        return_exceptions=True,
    )
    outputs, queue_s, inference_s = {}, 0.0, 0.0
    for model, answer in zip(asked, answers, strict=True):
        if isinstance(answer, BaseException):
            # Whatever broke, an emergency is answered; the record does not name the model then.
            if not urgent or not isinstance(answer, Exception):
                raise answer
            continue
        outputs[model] = answer.outputs
        queue_s, inference_s = max(queue_s, answer.queue_s), inference_s + answer.inference_s
    result = await asyncio.to_thread(services.triage.finish, judged, outputs)
    record = await asyncio.to_thread(
        _record, services, request, result, user, consult_id, alongside
    )
    return Triaged(result, record, queue_s, inference_s)


def _record(
    services: Services,
    request: TriageRequest,
    result: TriageResult,
    user: User,
    consult_id: str | None,
    alongside: Callable[[Session, TriageResult], None] | None,
) -> DecisionRecord:
    db = services.db
    decision_id = db.ids.new("dec")
    review = services.policy.request(
        decision_id=decision_id,
        kind=DecisionKind.TRIAGE,
        disposition=result.disposition.level,
        reasons=[Reason(reason) for reason in result.review.reasons],
    )
    body: dict[str, Any] = result.model_dump(mode="json")
    with db.write() as session:
        if alongside is not None:
            alongside(session, result)
        return decisions.record(
            db,
            kind=DecisionKind.TRIAGE,
            input=request.model_dump(mode="json"),
            result=body,
            models={name: str(version) for name, version in result.models.items()},
            rules_version=result.versions["rules"],
            disposition=result.disposition.level,
            review=review,
            actor=user.id,
            decision_id=decision_id,
            consult_id=consult_id,
            within=session,
        )
