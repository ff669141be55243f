"""The patient's chat: consent, turns by form or htmx, end. No account.

The consult's id and secret live in one cookie that no script reads and no other site sends.
The pages act as the built-in user "Web chat".
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from knowledge_base.rules.facts import Sex, Status
from serving import users
from serving.consulting import Profile, Turn, open_consult, take_turn
from serving.errors import FenzhenError, Forbidden, InvalidInput, NotFound, PayloadTooLarge
from serving.security import services_of
from serving.services import Services
from serving.storage import consults
from serving.storage.codes import ConsultStatus, Role
from serving.storage.consults import Consult
from serving.storage.database import Database
from serving.users import Permission, User
from serving.web import forms
from serving.web.chat_view import conversation
from serving.web.pages import (
    PageRoute,
    go,
    is_htmx,
    keep,
    noted,
    page,
    preferences,
    words_for,
)
from serving.web.strings import translator

router = APIRouter(route_class=PageRoute, include_in_schema=False)

COOKIE = "fenzhen_consult"
WEB_USER = "Web chat"
CONSENT_VERSION = "2026-11"
"""Of the words on the consent card; kept with every consult."""

_making = threading.Lock()


@dataclass(frozen=True)
class Held:
    """A consult with the secret that the browser showed."""

    consult: Consult
    secret: str

    @property
    def closed(self) -> bool:
        """Whether the patient ended it."""
        return self.consult.status is ConsultStatus.CLOSED


@router.get("/")
async def home(request: Request) -> Response:
    """The consent card, or the conversation that goes on."""
    held = await _held(request)
    return _consent_page(request) if held is None else _chat_page(request, held)


@router.post("/chat/start")
async def start(request: Request) -> Response:
    """Open a consult for somebody who agreed."""
    form = await forms.posted(request)
    if not (forms.ticked(form, "understood") and forms.ticked(form, "health_data")):
        return _consent_page(request, problem="chat.consent_needed", form=form)
    try:
        profile = _profile(form)
    except FenzhenError:
        return _consent_page(request, problem="chat.age_wrong", form=form)
    services = services_of(request)
    user = await asyncio.to_thread(web_user, services.db)
    new = await open_consult(services, profile, user)
    consent = {
        "version": CONSENT_VERSION,
        "health_data": True,
        "language": preferences(request).language,
        "at": services.db.clock.now().isoformat(timespec="seconds"),
    }
    somebody = forms.word(form, "for_whom") == "other"
    await _save(services, new.consult, user, {"consent": consent, "for_other": somebody})
    response = go("/")
    keep(response, request, COOKIE, f"{new.consult.id}.{new.secret}")
    return response


@router.post("/chat/turn")
async def turn(request: Request) -> Response:
    """The patient says something. What was typed is never lost to an error."""
    form = await forms.posted(request)
    raw = form.get("text")
    typed = raw if isinstance(raw, str) else ""
    held = None
    try:
        held = await _held(request)
        if held is None:
            raise NotFound("no such consult")
        forms.check_token(form, forms.token_of(held.secret))
        reply = await _say(request, held, typed, forms.word(form, "answer", 20))
    except Exception as raised:
        return _turn_failed(request, held, raised, typed)
    turns = conversation(reply.state)
    if not is_htmx(request):
        return go(f"/#answer-{len(turns) // 2}")
    composer = _composer(Held(reply, held.secret))
    return page(request, "chat/reply.html", here="/", turns=turns[-2:], **composer)


@router.post("/chat/end")
async def end(request: Request) -> Response:
    """Close the consult; the conversation stays readable until a new one starts."""
    form = await forms.posted(request)
    held = await _held(request)
    if held is not None and not held.closed:
        forms.check_token(form, forms.token_of(held.secret))
        await _close(request, held.consult)
    return go("/")


@router.post("/chat/restart")
async def restart(request: Request) -> Response:
    """Close the consult and forget it."""
    form = await forms.posted(request)
    held = await _held(request)
    if held is not None:
        forms.check_token(form, forms.token_of(held.secret))
        if not held.closed:
            await _close(request, held.consult)
    response = go("/")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def web_user(db: Database) -> User:
    """The user that the pages act as; made at first use, its key thrown away.

    Raises Forbidden where an administrator disabled it: the chat is then switched off.
    """
    with _making:
        named = [u for u in users.list_users(db, role=Role.PATIENT_APP) if u.name == WEB_USER]
        user = named[0] if named else users.create(db, name=WEB_USER, role=Role.PATIENT_APP).user
    users.require(user, Permission.CONSULT_WRITE)
    return user


async def _held(request: Request) -> Held | None:
    """The consult of the cookie; None without one or with one that opens nothing."""
    consult_id, _, secret = request.cookies.get(COOKIE, "").partition(".")
    if not consult_id:
        return None
    try:
        found = await asyncio.to_thread(
            consults.load, services_of(request).db, consult_id[:64], secret[:200]
        )
    except NotFound:
        return None
    return Held(found, secret)


async def _say(request: Request, held: Held, typed: str, answer: str) -> Consult:
    services = services_of(request)
    said: Status | None = next((s for s in get_args(Status) if s == answer), None)
    user = await asyncio.to_thread(web_user, services.db)
    wanted = preferences(request)
    consult = held.consult
    if wanted.chosen:
        state: dict[str, Any] = dict(consult.state)
        state["profile"] = state["profile"] | {"language": wanted.language}
        consult = replace(consult, state=state)
    reply = await take_turn(services, consult, Turn(text=typed or None, answer=said), user)
    return reply.consult


async def _close(request: Request, consult: Consult) -> None:
    services = services_of(request)
    user = await asyncio.to_thread(web_user, services.db)
    await _save(services, consult, user, {"question": None}, ConsultStatus.CLOSED)


async def _save(
    services: Services,
    consult: Consult,
    user: User,
    more: dict[str, Any],
    status: ConsultStatus = ConsultStatus.OPEN,
) -> None:
    state: dict[str, Any] = dict(consult.state) | more
    await asyncio.to_thread(
        consults.save,
        services.db,
        consult.id,
        expected_version=consult.version,
        state=state,
        status=status,
        actor=user.id,
    )


def _profile(form: FormData) -> Profile:
    """Raises InvalidInput for an age that is none."""
    number = forms.real(form, "age", 0, 1500)
    years = number
    if number is not None and forms.word(form, "age_unit") == "months":
        years = number / 12
    if years is not None and years > 125:
        raise InvalidInput("no such age")
    sex: Sex | None = next((s for s in get_args(Sex) if s == forms.word(form, "sex")), None)
    pregnant = {"yes": True, "no": False}.get(forms.word(form, "pregnant"))
    return Profile(age_years=years, sex=sex, pregnant=pregnant if sex != "male" else None)


def _consent_page(
    request: Request, problem: str | None = None, form: Mapping[str, Any] | None = None
) -> Response:
    status = 200 if problem is None else 422
    return page(
        request, "chat/consent.html", status=status, here="/", problem=problem, form=form or {}
    )


def _chat_page(
    request: Request, held: Held, status: int = 200, problem: str | None = None, typed: str = ""
) -> Response:
    state: dict[str, Any] = dict(held.consult.state)
    return page(
        request,
        "chat/chat.html",
        status=status,
        here="/",
        turns=conversation(state),
        profile=state["profile"],
        **_composer(held, problem, typed),
    )


def _turn_failed(request: Request, held: Held | None, raised: Exception, typed: str) -> Response:
    error = noted(request, raised)
    words = _words(request, held, error, typed)
    if is_htmx(request):
        composer = _composer(held, words, typed)
        return page(request, "chat/reply.html", status=error.status, here="/", turns=(), **composer)
    if held is None:
        return _consent_page(request, problem="chat.gone")
    return _chat_page(request, held, error.status, words, typed)


def _words(request: Request, held: Held | None, error: FenzhenError, typed: str) -> str:
    language = preferences(request).language
    say = translator(language)
    if held is None or isinstance(error, Forbidden):
        return say("chat.gone")
    if isinstance(error, InvalidInput) and not typed.strip():
        return say("chat.empty")
    if isinstance(error, PayloadTooLarge):
        settings = services_of(request).settings
        return say("chat.too_long", chars=settings.max_text_chars, turns=settings.max_messages)
    return words_for(error, language)


def _composer(held: Held | None, problem: str | None = None, typed: str = "") -> dict[str, Any]:
    """What the composer shows: the open question, a problem, and words typed before it."""
    state: dict[str, Any] = {} if held is None else dict(held.consult.state)
    return {
        "csrf": "" if held is None else forms.token_of(held.secret),
        "closed": held is not None and held.closed,
        "question": state.get("question"),
        "started": bool(state.get("turns")),
        "for_other": bool(state.get("for_other")),
        "answer_language": next(
            (t["language"] for t in reversed(state.get("turns", [])) if t["role"] == "assistant"),
            None,
        ),
        "problem": problem,
        "typed": typed,
    }
