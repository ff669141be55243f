"""What triage and acuity do alike: ask the models, outlast whatever breaks, record the answer.

The rules have judged before anything here runs, and in an emergency they are enough: what breaks
costs the models' part of the answer and nothing else. Anything less urgent gets the error: without
the models, nobody is told that his complaint can wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from sqlalchemy.orm import Session

from models.backends import Tensors
from models.triage.acuity_request import AcuityRequest
from models.triage.acuity_result import AcuityResult
from models.triage.request import TriageRequest
from models.triage.result import TriageResult
from serving import decisions
from serving.decisions import DecisionRecord
from serving.engine.engine import Inference
from serving.engine.scheduler import Priority
from serving.services import Services
from serving.storage.codes import DecisionKind, Reason
from serving.users import User

log = structlog.get_logger()

ByModel = Mapping[str, Tensors]
ResultT = TypeVar("ResultT", TriageResult, AcuityResult)


@dataclass(frozen=True)
class Answer(Generic[ResultT]):
    """A result that is not recorded yet, and the seconds that its models took."""

    result: ResultT
    queue_s: float
    inference_s: float


async def ask(
    services: Services,
    *,
    urgent: bool,
    prepare: Callable[[], ByModel],
    finish: Callable[[ByModel], ResultT],
) -> Answer[ResultT]:
    """The answer of one case that was read; `urgent`: the rules call it an emergency.

    `prepare` gives each model's tensors; `finish` makes the answer of the outputs by model, of
    none at all where need be. A model that failed is not among them, nor named in the answer.
    """
    given = await _inferences(services, urgent, prepare)
    try:
        result = await asyncio.to_thread(finish, {m: one.outputs for m, one in given.items()})
    except Exception as error:
        _outlast(urgent, "finish", error)
        result = await asyncio.to_thread(finish, {})
    return Answer(
        result,
        max((one.queue_s for one in given.values()), default=0.0),
        sum(one.inference_s for one in given.values()),
    )


async def _inferences(
    services: Services, urgent: bool, prepare: Callable[[], ByModel]
) -> dict[str, Inference]:
    """What every model that could be asked returned."""
    try:
        # Preparing is computation: in a thread, a long text does not hold up everybody else.
        asked = await asyncio.to_thread(prepare)
    except Exception as error:
        _outlast(urgent, "prepare", error)
        return {}
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
    given = {}
    for model, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Inference):
            given[model] = answer
        else:
            _outlast(urgent, model, answer)
    return given


def _outlast(urgent: bool, part: str, error: BaseException) -> None:
    """Raise what broke, unless an emergency has to be answered without it."""
    if not urgent or not isinstance(error, Exception):
        raise error
    # Only the kind of error: its message may quote the patient.
    log.warning("emergency answered without", part=part, error=type(error).__name__)


def record(
    services: Services,
    request: TriageRequest | AcuityRequest,
    result: ResultT,
    user: User,
    *,
    consult_id: str | None = None,
    alongside: Callable[[Session, ResultT], None] | None = None,
) -> DecisionRecord:
    """Record an answer with the review that policy asks for.

    `alongside` writes in the same transaction as the decision.
    """
    db = services.db
    kind = DecisionKind.TRIAGE if isinstance(result, TriageResult) else DecisionKind.ACUITY
    decision_id = db.ids.new("dec")
    review = services.policy.request(
        decision_id=decision_id,
        kind=kind,
        disposition=result.disposition.level,
        reasons=[Reason(reason) for reason in result.review.reasons],
    )
    with db.write() as session:
        if alongside is not None:
            alongside(session, result)
        return decisions.record(
            db,
            kind=kind,
            input=request.model_dump(mode="json"),
            result=result.model_dump(mode="json"),
            models={name: str(version) for name, version in result.models.items()},
            rules_version=result.versions["rules"],
            disposition=result.disposition.level,
            review=review,
            actor=user.id,
            decision_id=decision_id,
            consult_id=consult_id,
            within=session,
        )
