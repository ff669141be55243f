"""The patient's chat: consent, turns by form or htmx, end. No account.

The consult's id and secret live in one cookie that no script reads and no other site sends.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serving.errors import FenzhenError, NotFound
from serving.web import forms
from serving.web.chat_consult import COOKIE, Held, closed, held_by, opened, profile_of, say
from serving.web.chat_pages import chat_page, consent_page, turn_failed, turn_taken
from serving.web.pages import PageRoute, go, keep, preferences
from serving.web.strings import translator

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """The consent card, or the conversation that goes on."""
    held = await held_by(request)
    return consent_page(request) if held is None else chat_page(request, held)


@router.post("/chat/start")
async def start(request: Request) -> Response:
    """Open a consult for somebody who agreed."""
    form = await forms.posted(request)
    if not (forms.ticked(form, "understood") and forms.ticked(form, "health_data")):
        return consent_page(request, problem="chat.consent_needed", form=form)
    try:
        profile = profile_of(form)
    except FenzhenError:
        return consent_page(request, problem="chat.age_wrong", form=form)
    new = await opened(request, profile, for_other=forms.word(form, "for_whom") == "other")
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
        held = await held_by(request)
        if held is None:
            raise NotFound("no such consult")
        forms.check_token(form, forms.token_of(held.secret))
        after = await say(request, held, form, typed)
    except Exception as raised:
        return turn_failed(request, held, raised, typed)
    return turn_taken(request, Held(after, held.secret))


@router.post("/chat/end")
async def end(request: Request) -> Response:
    """Close the consult; the conversation stays readable until a new one starts."""
    form = await forms.posted(request)
    held = await held_by(request)
    if held is not None and not held.closed:
        forms.check_token(form, forms.token_of(held.secret))
        if not await closed(request, held.consult):
            return await _still_open(request)
    return go("/")


@router.post("/chat/restart")
async def restart(request: Request) -> Response:
    """Close the consult and forget it."""
    form = await forms.posted(request)
    held = await held_by(request)
    if held is not None:
        forms.check_token(form, forms.token_of(held.secret))
        if not await closed(request, held.consult):
            return await _still_open(request)
    response = go("/")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


async def _still_open(request: Request) -> Response:
    """The conversation again, with the question that has to be answered first."""
    held = await held_by(request)
    if held is None:
        return go("/")
    words = translator(preferences(request).language)("chat.check_first")
    return chat_page(request, held, 409, words)
