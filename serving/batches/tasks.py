"""What a batch can be of, and the one place where a row meets the service that answers it.

Each row goes the way of the single request: the same validation, the same rules and models, the
same record and review.
"""

from __future__ import annotations

from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from models.triage.acuity_request import AcuityRequest
from models.triage.request import TriageRequest
from serving import imaging
from serving.acuity import assess
from serving.batches.items import Item
from serving.bulk import Bulk
from serving.services import Services
from serving.triaging import triage
from serving.users import Permission, User

TRIAGE, ACUITY = "triage", "acuity"

RequestT = TypeVar("RequestT", bound=BaseModel)


def check_known(services: Services, task: str) -> None:
    """Raise NotFound for a task that nothing here answers."""
    if of_images(task):
        imaging.task_of(services, task)


def of_images(task: str) -> bool:
    """Whether rows of the task are images; else they are JSON."""
    return task not in (TRIAGE, ACUITY)


def permission(task: str) -> Permission:
    """What a single request of the task needs."""
    return Permission.IMAGING_WRITE if of_images(task) else Permission.TRIAGE_WRITE


async def answer(services: Services, task: str, item: Item, owner: User, bulk: Bulk) -> None:
    """Answer and record a row. Raises what the single request would, and what `bulk.keep` does."""
    if item.fault is not None:
        raise item.fault
    if task == TRIAGE:
        await triage(services, _parsed(TriageRequest, item.data), owner, bulk=bulk)
    elif task == ACUITY:
        await assess(services, _parsed(AcuityRequest, item.data), owner, bulk=bulk)
    else:
        await imaging.read_study(
            services,
            imaging.task_of(services, task),
            [item.data],
            item.patient.age_years,
            owner,
            sex=item.patient.sex,
            site=item.patient.site,
            bulk=bulk,
        )


def _parsed(kind: type[RequestT], data: bytes) -> RequestT:
    try:
        # Bounds the depth of the JSON as well: pydantic's own parser stops at 200.
        return kind.model_validate_json(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        ) from None
