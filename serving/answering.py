"""What the services do alike: ask the models, outlast whatever breaks, record the answer.

The rules have judged before anything here runs, and in an emergency they are enough: what breaks
costs the models' part of the answer and nothing else. Anything less urgent gets the error: without
the models, nobody is told that his complaint can wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
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
from serving.bulk import Bulk
from serving.decisions import DecisionRecord
from serving.engine.inference import EngineStopped, Inference, Priority, QueueFull
from serving.hosting import Hosted
from serving.services import Services
from serving.storage.canonical import JsonObject
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
    hosted: Hosted,
    *,
    urgent: bool,
    prepare: Callable[[], ByModel],
    finish: Callable[[ByModel], ResultT],
    bulk: Bulk | None = None,
) -> Answer[ResultT]:
    """The answer of one case that was read; `urgent`: the rules call it an emergency.

    `hosted` are the models that it was read for.

    `prepare` gives each model's tensors; `finish` makes the answer of the outputs by model, of
    none at all where need be. A model that failed is not among them, nor named in the answer.
    """
    given = await _inferences(services, hosted, urgent, prepare, bulk)
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
    services: Services,
    hosted: Hosted,
    urgent: bool,
    prepare: Callable[[], ByModel],
    bulk: Bulk | None,
) -> dict[str, Inference]:
    """What every model that could be asked returned."""
    priority, timeout_s = class_of(services, urgent, bulk)
    try:
        # Preparing is computation: in a thread, a long text does not hold up everybody else.
        asked = await asyncio.to_thread(prepare)
    except Exception as error:
        _outlast(urgent, "prepare", error)
        return {}
    answers = await asyncio.gather(
        *(
            hosted.infer(model, tensors, priority=priority, timeout_s=timeout_s)
            for model, tensors in asked.items()
        ),
        return_exceptions=True,
    )
    given = {}
    for model, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Inference):
            given[model] = answer
        elif bulk is not None and isinstance(answer, QueueFull | EngineStopped):
            raise answer  # nobody waits: better later than without the model
        else:
            _outlast(urgent, model, answer)
    return given


def class_of(services: Services, urgent: bool, bulk: Bulk | None) -> tuple[Priority, float | None]:
    """The engine's class of a case, and how long it waits for a model."""
    if bulk is not None:
        return Priority.bulk, None
    limit = services.settings.inference_timeout_s
    return (Priority.emergency, limit / 10) if urgent else (Priority.interactive, limit)


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
    bulk: Bulk | None = None,
) -> DecisionRecord:
    """Record an answer with the review that policy asks for.

    `alongside` and a batch's row write in the same transaction as the decision.
    """
    return keep(
        services,
        kind=DecisionKind.TRIAGE if isinstance(result, TriageResult) else DecisionKind.ACUITY,
        input=request.model_dump(mode="json"),
        result=result.model_dump(mode="json"),
        models={name: str(version) for name, version in result.models.items()},
        rules_version=result.versions["rules"],
        disposition=result.disposition.level,
        reasons=[Reason(reason) for reason in result.review.reasons],
        user=user,
        consult_id=consult_id,
        alongside=None if alongside is None else lambda session, _id: alongside(session, result),
        bulk=bulk,
    )


def keep(
    services: Services,
    *,
    kind: DecisionKind,
    input: JsonObject,
    result: JsonObject,
    models: Mapping[str, str],
    rules_version: str,
    disposition: int | None,
    reasons: Collection[Reason],
    user: User,
    consult_id: str | None = None,
    alongside: Callable[[Session, str], None] | None = None,
    bulk: Bulk | None = None,
) -> DecisionRecord:
    """Record a decision with the review that policy asks for, in one transaction.

    `alongside` is called in it with the decision's id, before the decision is flushed: rows that
    point to the decision are added to the session and left to its flush. So does a batch's row.
    """
    db = services.db
    decision_id = db.ids.new("dec") if bulk is None else bulk.decision_id
    review = services.policy.request(
        decision_id=decision_id, kind=kind, disposition=disposition, reasons=reasons
    )
    with db.write() as session:
        if bulk is not None:
            bulk.keep(session)
        if alongside is not None:
            alongside(session, decision_id)
        return decisions.record(
            db,
            kind=kind,
            input=input,
            result=result,
            models=models,
            rules_version=rules_version,
            disposition=disposition,
            review=review,
            actor=user.id,
            decision_id=decision_id,
            consult_id=consult_id,
            within=session,
        )
