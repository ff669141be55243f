"""The roster with its load, and a form that tries a match. A match made here is recorded too."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from knowledge_base.lexicon.departments import Department, taxonomy
from knowledge_base.matching.vocabulary import vocabulary
from models.matching.filters import free_places
from models.matching.profile import Doctor
from models.matching.request import MatchRequest
from serving.errors import InvalidInput
from serving.matching import MatchAnswer, propose
from serving.security import services_of
from serving.services import Services
from serving.storage import roster
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.pages import PageRoute, noted, page, preferences, words_for

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LISTED = 200
"""Doctors listed at most: a larger department is searched, not read."""


@dataclass(frozen=True)
class DoctorLoad:
    """A doctor today: whether on duty now and how many places are left."""

    doctor: Doctor
    on_duty: bool
    free: int


@dataclass(frozen=True)
class DepartmentLoad:
    """A department today: its doctors, who of them is on duty now, and places left."""

    department: Department
    doctors: tuple[DoctorLoad, ...]

    @property
    def on_duty(self) -> int:
        """How many are on duty now."""
        return sum(load.on_duty for load in self.doctors)

    @property
    def free(self) -> int:
        """Places left today."""
        return sum(load.free for load in self.doctors)

    @property
    def capacity(self) -> int:
        """Places of a day."""
        return sum(load.doctor.capacity for load in self.doctors)


@router.get("/console/matches")
async def matches_page(request: Request) -> Response:
    """The roster in force by department, and the form."""
    member = await access.reader(request, Permission.MATCH_READ)
    return await _page(request, member)


@router.post("/console/matches")
async def try_match(request: Request) -> Response:
    """Match by the form and show who is proposed and why."""
    member, form = await access.writer(request, Permission.MATCH_READ)
    try:
        asked = _asked(form)
        answer = await asyncio.to_thread(propose, services_of(request), asked, member.user)
    except InvalidInput as raised:
        error = noted(request, raised)
        words = words_for(error, preferences(request).language)
        return await _page(request, member, status=error.status, problem=words, typed=form)
    return await _page(request, member, answer=answer, typed=form)


def _asked(form: FormData) -> MatchRequest:
    """The form as a request; raises InvalidInput."""
    language = forms.word(form, "language")
    need = forms.word(form, "need")
    try:
        return MatchRequest.model_validate(
            {
                "department": forms.word(form, "department") or None,
                "age_years": forms.real(form, "age", 0, 125),
                "sex": forms.word(form, "sex") or None,
                "urgency": forms.whole(form, "urgency", 1, 5),
                "languages": (language,) if language else (),
                "needs": (need,) if need else (),
            }
        )
    except ValidationError as error:
        raise InvalidInput("the form does not fit a match") from error


async def _page(
    request: Request,
    member: Member,
    *,
    status: int = 200,
    answer: MatchAnswer | None = None,
    problem: str | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Response:
    version, loads = await asyncio.to_thread(_loads, services_of(request))
    return page(
        request,
        "console/matches.html",
        status=status,
        member=member,
        version=version,
        loads=loads,
        listed=LISTED,
        answer=answer,
        problem=problem,
        typed=typed or {},
        parents=taxonomy().parents,
        departments=taxonomy().departments,
        vocabulary=vocabulary(),
    )


def _loads(services: Services) -> tuple[int, list[DepartmentLoad]]:
    """The version of the roster in force, and the load of its departments today."""
    now: datetime = services.db.clock.now().astimezone(ZoneInfo(services.settings.timezone))
    with services.db.read() as session:
        stored = services.rosters.in_force(session)
        taken = roster.taken_on(session, now.date())
    return stored.version, [
        DepartmentLoad(
            department,
            tuple(
                DoctorLoad(doctor, doctor.duty.covers(now), free_places(doctor, taken))
                for doctor in stored.roster.by_department[code]
            ),
        )
        for code, department in taxonomy().departments.items()
        if code in stored.roster.by_department
    ]
