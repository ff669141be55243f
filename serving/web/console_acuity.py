"""The console's page of emergency-department acuity: a form, and the level with all behind it.

The same answer as POST /v1/acuity, recorded in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from knowledge_base.rules.acuity_scales import acuity_scales
from knowledge_base.rules.facts import Consciousness, Sex
from models.text.values import PLAUSIBLE
from models.triage.acuity_request import AcuityRequest, AcuityVitals, Arrival
from serving.acuity import Assessed, assess
from serving.errors import InvalidInput, Unauthenticated
from serving.security import services_of
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.pages import PageRoute, noted, page, preferences, words_for

router = APIRouter(route_class=PageRoute, include_in_schema=False)

VITALS: dict[str, tuple[float, float]] = {
    name: limits for name, limits in PLAUSIBLE.items() if name in AcuityVitals.model_fields
} | {"potassium_mmol_l": (1, 15)}
"""The measurements that the form asks for, with their limits."""


@router.get("/console/acuity")
async def acuity_page(request: Request) -> Response:
    """The form."""
    member = await access.reader(request, Permission.TRIAGE_WRITE)
    return _page(request, member)


@router.post("/console/acuity")
async def grade(request: Request) -> Response:
    """Grade by the form, record it, and show the level with everything that led to it."""
    member, form = await access.writer(request, Permission.TRIAGE_WRITE)
    try:
        done = await assess(services_of(request), _asked(form), member.user)
    except Exception as raised:
        error = noted(request, raised)
        if isinstance(error, Unauthenticated):
            raise
        words = words_for(error, preferences(request).language)
        return _page(request, member, status=error.status, problem=words, typed=form)
    return _page(request, member, done=done, typed=form)


def _asked(form: FormData) -> AcuityRequest:
    """The form as a request; raises InvalidInput."""
    vitals = {name: forms.real(form, name, *limits) for name, limits in VITALS.items()}
    try:
        return AcuityRequest.model_validate(
            {
                "text": forms.word(form, "text", 100_000),
                "scale": forms.word(form, "scale") or None,
                "age_years": forms.real(form, "age", 0, 125),
                "sex": forms.word(form, "sex") or None,
                "pregnant": _yes_or_no(form, "pregnant"),
                "arrival": forms.word(form, "arrival") or None,
                "injury": _yes_or_no(form, "injury"),
                "pain": _yes_or_no(form, "pain"),
                "vitals": vitals
                | {
                    "consciousness": forms.word(form, "consciousness") or None,
                    "on_oxygen": _yes_or_no(form, "on_oxygen"),
                    "hypercapnic_failure": forms.ticked(form, "hypercapnic_failure"),
                },
            }
        )
    except ValidationError as error:
        raise InvalidInput("the form does not fit an acuity request") from error


def _yes_or_no(form: FormData, name: str) -> bool | None:
    return {"yes": True, "no": False}.get(forms.word(form, name))


def _page(
    request: Request,
    member: Member,
    *,
    status: int = 200,
    done: Assessed | None = None,
    problem: str | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Response:
    return page(
        request,
        "console/acuity.html",
        status=status,
        member=member,
        done=done,
        problem=problem,
        typed=typed or {},
        vitals=VITALS,
        scales=acuity_scales(),
        default_scale=services_of(request).settings.acuity_scale,
        sexes=get_args(Sex),
        arrivals=get_args(Arrival),
        levels_of_consciousness=get_args(Consciousness),
    )
