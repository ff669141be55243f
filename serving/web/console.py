"""The physicians' console: signing in and out, the worklist, the next task.

Cases, studies and reference pages are routers of their own, gathered here.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving import users
from serving.api.reviews import lease_time
from serving.reviews import queue
from serving.reviews.queue import Filters
from serving.reviews.statistics import statistics_of
from serving.reviews.tasks import ReviewTask
from serving.security import COOKIE, services_of, sessions_of
from serving.storage.codes import DecisionKind, Role, TaskState
from serving.storage.database import Database
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.console_acuity import router as console_acuity
from serving.web.console_answers import router as console_answers
from serving.web.console_cases import hold
from serving.web.console_cases import router as cases
from serving.web.console_knowledge import router as console_knowledge
from serving.web.console_matches import router as console_matches
from serving.web.console_proposals import router as console_proposals
from serving.web.console_reference import router as reference
from serving.web.console_studies import router as studies
from serving.web.pages import PageRoute, go, is_htmx, keep, page

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STAFF = frozenset({Role.PHYSICIAN, Role.ADMINISTRATOR})
PAGE = 50
VIEWS = {
    "all": Filters(),
    "triage": Filters(kinds=(DecisionKind.TRIAGE,)),
    "imaging": Filters(kinds=(DecisionKind.IMAGING,)),
    "acuity": Filters(kinds=(DecisionKind.ACUITY,)),
    "match": Filters(kinds=(DecisionKind.MATCH,)),
    "knowledge": Filters(kinds=(DecisionKind.KNOWLEDGE,)),
    "overdue": Filters(overdue_only=True),
    "done": Filters(states=(TaskState.SIGNED, TaskState.OVERRIDDEN)),
}


@router.get("/console/signin")
async def signin_page(request: Request) -> Response:
    """Ask for an API key."""
    return page(
        request, "console/signin.html", wrong=False, next=_next(request.query_params.get("next"))
    )


@router.post("/console/signin")
async def signin(request: Request) -> Response:
    """Start a session. Whatever is wrong with a key, the answer is the same."""
    form = await forms.posted(request)
    given = form.get("key")
    key = given.strip() if isinstance(given, str) else ""
    user = await asyncio.to_thread(users.authenticate, services_of(request).db, key)
    wish = form.get("next")
    following = _next(wish if isinstance(wish, str) else None)
    if user is None or user.role not in STAFF:
        return page(request, "console/signin.html", status=401, wrong=True, next=following)
    response = go(following)
    sessions = sessions_of(request)
    keep(response, request, COOKIE, sessions.issue(user), max_age=sessions.seconds)
    return response


@router.post("/console/signout")
async def signout(request: Request) -> Response:
    """End the session."""
    await access.writer(request, Permission.REVIEW_READ)
    cookie = request.cookies.get(COOKIE)
    if cookie is not None:
        sessions_of(request).end(cookie)
    response = go("/console/signin")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/console")
async def home(request: Request) -> Response:
    """The worklist with its filters and statistics."""
    member = await access.reader(request, Permission.REVIEW_READ)
    return page(request, "console/worklist.html", **await _worklist(request, member))


@router.get("/console/worklist")
async def rows(request: Request) -> Response:
    """The part of the worklist that is fetched again and again."""
    if not is_htmx(request):
        return go("/console")
    member = await access.reader(request, Permission.REVIEW_READ)
    return page(
        request, "console/worklist_rows.html", here="/console", **await _worklist(request, member)
    )


@router.post("/console/next")
async def claim_next(request: Request) -> Response:
    """Claim the most urgent free task and open it; back to the worklist when there is none."""
    member, _ = await access.writer(request, Permission.REVIEW_SIGN)
    lease = await asyncio.to_thread(
        queue.claim_next, services_of(request).db, member.user, lease_for=lease_time(request)
    )
    if lease is None:
        return go("/console")
    response = go(f"/console/cases/{lease.task_id}")
    hold(response, request, lease)
    return response


async def _worklist(request: Request, member: Member) -> dict[str, Any]:
    view = request.query_params.get("view", "all")
    view = view if view in VIEWS else "all"
    cursor = request.query_params.get("cursor") or None
    db = services_of(request).db
    return {
        "member": member,
        "view": view,
        "views": tuple(VIEWS),
        "cursor": cursor,
        **await asyncio.to_thread(_load, db, VIEWS[view], cursor),
    }


def _load(db: Database, filters: Filters, cursor: str | None) -> dict[str, Any]:
    now = db.clock.now()
    found = queue.worklist(db, filters=filters, cursor=cursor, limit=PAGE)
    names = {user.id: user.name for user in users.list_users(db)}
    return {
        "rows": [
            {
                "task": task,
                "waiting": now - task.created_at,
                "left": task.due_at - now,
                "soon": timedelta(0) < task.due_at - now < timedelta(minutes=10),
                "holder": _holder(task, names),
            }
            for task in found.tasks
        ],
        "next_cursor": found.next_cursor,
        "figures": statistics_of(db),
        "closed": filters is VIEWS["done"],
    }


def _holder(task: ReviewTask, names: dict[str, str]) -> str | None:
    return None if task.lease_owner is None else names.get(task.lease_owner, task.lease_owner)


def _next(wish: str | None) -> str:
    """Where to go after signing in: a page of the console only."""
    plain = wish is not None and wish.startswith("/console") and wish.replace("/", "").isascii()
    if wish is None or not plain or any(c in wish for c in "\\\r\n?#:") or ".." in wish:
        return "/console"
    return wish


for _part in (
    cases,
    studies,
    console_acuity,
    console_matches,
    console_knowledge,
    console_answers,
    console_proposals,
    reference,
):
    router.include_router(_part)
