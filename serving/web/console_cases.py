"""One case: its evidence, the hold on it, and the physician's last word.

The fencing token of a claim lies in a cookie that goes to this case's pages alone, so that
coming back to a case finds the hold again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.rules.scale import dispositions
from serving import users
from serving.api.reviews import lease_time
from serving.errors import FenzhenError, InvalidInput, NotFound, Unauthenticated
from serving.reviews import queue, sign
from serving.reviews.queue import Lease, ReviewCase
from serving.reviews.sign import Correction
from serving.security import services_of
from serving.storage.codes import OverrideReason
from serving.users import Permission
from serving.web import access, comparison, forms
from serving.web.access import Member
from serving.web.case_view import view_of
from serving.web.pages import PageRoute, go, keep, noted, page, preferences, words_for
from serving.web.strings import translator

router = APIRouter(route_class=PageRoute, include_in_schema=False)

COOKIE = "fenzhen_lease"
LONGEST_HEARTBEAT_S = 60


def hold(response: Response, request: Request, lease: Lease) -> None:
    """Remember a claim's token for the pages of its case."""
    path = f"/console/cases/{lease.task_id}"
    keep(response, request, COOKIE, str(lease.token), path=path)


@router.get("/console/cases/{task_id}")
async def case(task_id: str, request: Request) -> Response:
    """The case page. The view is audited."""
    member = await access.reader(request, Permission.REVIEW_READ)
    return await _case_page(request, member, task_id)


@router.post("/console/cases/{task_id}/claim")
async def claim(task_id: str, request: Request) -> Response:
    """Take the task, or take it over from another window of one's own."""
    member, form = await access.writer(request, Permission.REVIEW_SIGN)
    try:
        lease = await asyncio.to_thread(
            queue.claim,
            services_of(request).db,
            task_id,
            member.user,
            lease_for=lease_time(request),
        )
    except FenzhenError as error:
        return await _refused(request, member, task_id, error)
    beside = comparison.kept(form)
    response = go(f"/console/cases/{task_id}{beside}")
    hold(response, request, lease)
    return response


@router.post("/console/cases/{task_id}/heartbeat")
async def heartbeat(task_id: str, request: Request) -> Response:
    """Hold the task for longer while its page is open; answers with the line that says so."""
    try:
        member, form = await access.writer(request, Permission.REVIEW_SIGN)
        lease = await asyncio.to_thread(
            queue.heartbeat,
            services_of(request).db,
            task_id,
            member.user,
            _token(form),
            lease_for=lease_time(request),
        )
    except Unauthenticated:
        raise
    except FenzhenError as error:
        words = words_for(error, preferences(request).language)
        return page(request, "console/lease_lost.html", words=words)
    return page(
        request,
        "console/lease.html",
        member=member,
        task_id=task_id,
        token=lease.token,
        expires_at=lease.expires_at,
        beat=_beat(request),
    )


@router.post("/console/cases/{task_id}/release")
async def release(task_id: str, request: Request) -> Response:
    """Give the task back."""
    member, form = await access.writer(request, Permission.REVIEW_SIGN)
    try:
        await asyncio.to_thread(
            queue.release, services_of(request).db, task_id, member.user, _token(form)
        )
    except FenzhenError as error:
        return await _refused(request, member, task_id, error)
    response = go("/console")
    response.delete_cookie(COOKIE, path=f"/console/cases/{task_id}")
    return response


@router.post("/console/cases/{task_id}/sign")
async def sign_case(task_id: str, request: Request) -> Response:
    """Sign the decision as it stands."""
    member, form = await access.writer(request, Permission.REVIEW_SIGN)
    try:
        _confirmed(request, form)
        await asyncio.to_thread(
            sign.sign,
            services_of(request).db,
            task_id,
            member.user,
            _token(form),
            comment=_comment(form),
        )
    except FenzhenError as error:
        return await _refused(request, member, task_id, error, form, "sign")
    return _signed(task_id)


@router.post("/console/cases/{task_id}/override")
async def override_case(task_id: str, request: Request) -> Response:
    """Decide otherwise, with a coded reason."""
    member, form = await access.writer(request, Permission.REVIEW_SIGN)
    try:
        _confirmed(request, form)
        await asyncio.to_thread(
            sign.override,
            services_of(request).db,
            task_id,
            member.user,
            _token(form),
            reason=_reason(request, form),
            comment=_comment(form),
            correction=_correction(form),
        )
    except FenzhenError as error:
        return await _refused(request, member, task_id, error, form, "override")
    return _signed(task_id)


class _Unclear(InvalidInput):
    """A form that lacks something: `detail` says what, in the reader's language."""


def _confirmed(request: Request, form: FormData) -> None:
    if not forms.ticked(form, "confirm"):
        raise _Unclear(translator(preferences(request).language)("case.confirm_needed"))


def _reason(request: Request, form: FormData) -> OverrideReason:
    say = translator(preferences(request).language)
    chosen = forms.word(form, "reason")
    if chosen not in {reason.value for reason in OverrideReason}:
        raise _Unclear(say("case.reason_needed"))
    reason = OverrideReason(chosen)
    if reason is OverrideReason.OTHER and _comment(form) is None:
        raise _Unclear(say("case.comment_needed"))
    return reason


def _correction(form: FormData) -> Correction:
    chosen = [forms.word(form, name) for name in ("department", "department_2")]
    departments = tuple(dict.fromkeys(code for code in chosen if code))
    if not set(departments) <= taxonomy().departments.keys():
        raise InvalidInput("unknown department")
    return Correction(
        disposition=forms.whole(form, "disposition", 1, 5),
        departments=departments or None,
        label=forms.word(form, "label") or None,
    )


def _comment(form: FormData) -> str | None:
    return forms.word(form, "comment", sign.COMMENT_LIMIT) or None


def _token(form: FormData) -> int:
    return forms.whole(form, "token", 0, 2**31) or 0


def _beat(request: Request) -> int:
    """Seconds between heartbeats: a third of the lease, a minute at most."""
    return max(1, min(LONGEST_HEARTBEAT_S, services_of(request).settings.lease_seconds // 3))


def _signed(task_id: str) -> Response:
    response = go(f"/console/cases/{task_id}#signature")
    response.delete_cookie(COOKIE, path=f"/console/cases/{task_id}")
    return response


async def _refused(
    request: Request,
    member: Member,
    task_id: str,
    error: FenzhenError,
    form: FormData | None = None,
    action: str = "",
) -> Response:
    """The case page again with the problem in words and everything that was typed."""
    noted(request, error)
    if isinstance(error, NotFound):
        raise error
    if isinstance(error, _Unclear):
        words = error.detail
    else:
        words = words_for(error, preferences(request).language)
    return await _case_page(request, member, task_id, error.status, words, form, action)


async def _case_page(
    request: Request,
    member: Member,
    task_id: str,
    status: int = 200,
    problem: str | None = None,
    form: FormData | None = None,
    action: str = "",
) -> Response:
    services = services_of(request)
    found: ReviewCase = await asyncio.to_thread(queue.read, services.db, task_id, member.user)
    typed: dict[str, Any] = {k: v for k, v in (form or {}).items() if isinstance(v, str)}
    cookie = request.cookies.get(COOKIE, "")
    owner = found.task.lease_owner
    mine = owner == member.user.id
    asked = request.query_params if form is None else form
    compared = await comparison.of_case(services, found.decision, member.user, asked)
    if compared is not None and status == 200:
        status = compared.status
    return page(
        request,
        "console/case.html",
        status=status,
        here=f"/console/cases/{task_id}",
        member=member,
        case=found,
        task=found.task,
        task_id=task_id,
        decision=found.decision,
        signature=found.signature,
        view=await asyncio.to_thread(view_of, services, found.decision),
        comparison=compared,
        problem=problem,
        typed=typed,
        action=action,
        mine=mine,
        holder=None if owner is None or mine else await _name(request, owner),
        token=cookie if mine and cookie.isdigit() else None,
        expires_at=found.task.lease_expires_at,
        beat=_beat(request),
        levels=dispositions(),
        taxonomy=taxonomy(),
        override_reasons=tuple(OverrideReason),
    )


async def _name(request: Request, user_id: str) -> str:
    try:
        return (await asyncio.to_thread(users.get, services_of(request).db, user_id)).name
    except NotFound:
        return user_id
