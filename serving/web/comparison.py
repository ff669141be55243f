"""The study that a physician lays beside a case's own, to see what has changed.

Records name no patient, so nobody but the physician can know that two studies are of one person:
the link is made by hand and kept in the page's address alone (`?prior=`), never in a record.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import FormData

from serving import decisions, users
from serving.decisions import DecisionHead, DecisionRecord
from serving.errors import FenzhenError, Forbidden, InvalidInput, NotFound
from serving.services import Services
from serving.storage.codes import DecisionKind
from serving.users import Permission, User
from serving.web.case_view import ImagingView, imaging_view

LISTED = 10
_ID = re.compile(r"(dec|rev)_[0-9A-Z]{26}")
_NUMBER = re.compile(r"\d{1,2}")


@dataclass(frozen=True)
class Comparison:
    """What the case page offers: the chosen prior study, or why it is not shown.

    wanted: what was asked for, as typed. problem: a key of strings.yaml. image: which image of
    the prior is shown, None for the one of the same number. recent: studies of the same task.
    """

    wanted: str
    prior: ImagingView | None
    problem: str | None
    status: int
    image: int | None
    recent: tuple[DecisionHead, ...]


async def of_case(
    services: Services, case: DecisionRecord, user: User, asked: Mapping[str, object]
) -> Comparison | None:
    """What `prior` and `prior_image` ask for; None for a case that is no imaging study.

    The view of the prior study is audited as every view of a decision is.
    """
    if case.kind is not DecisionKind.IMAGING:
        return None
    wanted, number = (str(asked.get(name, "")).strip() for name in ("prior", "prior_image"))
    prior, problem, status = None, None, 200
    if wanted:
        try:
            found = await asyncio.to_thread(_prior, services, case, wanted, user)
            prior = await asyncio.to_thread(imaging_view, services, found)
        except FenzhenError as error:
            problem, status = _problem(error), error.status
    image = int(number) if _NUMBER.fullmatch(number) else None
    if prior is not None and image is not None and image >= len(prior.images):
        image = None
    return Comparison(
        wanted=wanted[:64],
        prior=prior,
        problem=problem,
        status=status,
        image=image,
        recent=await asyncio.to_thread(_recent, services, case),
    )


def kept(form: FormData) -> str:
    """The query that shows the same comparison again after a form of the case."""
    prior = form.get("prior")
    return f"?prior={prior}" if isinstance(prior, str) and _ID.fullmatch(prior) else ""


class _OtherStudy(InvalidInput):
    """The id is of something that cannot be laid beside this study."""


def _prior(services: Services, case: DecisionRecord, wanted: str, user: User) -> DecisionRecord:
    """The study by the id of its decision or of its case; noted as seen by this user."""
    if not _ID.fullmatch(wanted):
        raise InvalidInput("neither the id of a decision nor of a case")
    users.require(user, Permission.DECISION_READ)
    find = decisions.under_review if wanted.startswith("rev_") else decisions.get
    found = find(services.db, wanted)
    if found.kind is not DecisionKind.IMAGING or found.input["task"] != case.input["task"]:
        raise _OtherStudy("no study of the same task")
    if found.id == case.id:
        raise _OtherStudy("the same study")
    decisions.note_view(services.db, found, user.id)
    return found


def _recent(services: Services, case: DecisionRecord) -> tuple[DecisionHead, ...]:
    task = str(case.input["task"])
    heads = decisions.recent(services.db, DecisionKind.IMAGING, task, limit=LISTED + 1)
    return tuple(head for head in heads if head.id != case.id)[:LISTED]


def _problem(error: FenzhenError) -> str:
    match error:
        case _OtherStudy():
            return "prior.other_task"
        case InvalidInput():
            return "prior.no_id"
        case NotFound():
            return "prior.unknown"
        case Forbidden():
            return "prior.forbidden"
        case _:
            raise error
