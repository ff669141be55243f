"""Draws the chat's pages: the consent card, the conversation, a turn, and what went wrong.

Changes nothing. What was typed is never lost to an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from serving.errors import FenzhenError, Forbidden, InvalidInput, PayloadTooLarge
from serving.security import services_of
from serving.web import forms
from serving.web.chat_consult import Held, NothingTicked
from serving.web.chat_view import conversation, quick_replies
from serving.web.pages import go, is_htmx, noted, page, preferences, words_for
from serving.web.strings import translator


def consent_page(
    request: Request, problem: str | None = None, form: Mapping[str, Any] | None = None
) -> Response:
    """The consent card; `problem` is a key of strings.yaml."""
    status = 200 if problem is None else 422
    return page(
        request, "chat/consent.html", status=status, here="/", problem=problem, form=form or {}
    )


def chat_page(
    request: Request, held: Held, status: int = 200, problem: str | None = None, typed: str = ""
) -> Response:
    """The whole conversation."""
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


def turn_taken(request: Request, held: Held) -> Response:
    """The newest turn as a fragment; the page again, at the answer, without scripts."""
    turns = conversation(held.consult.state)
    if not is_htmx(request):
        return go(f"/#answer-{len(turns) // 2}")
    return page(request, "chat/reply.html", here="/", turns=turns[-2:], **_composer(held))


def turn_failed(request: Request, held: Held | None, raised: Exception, typed: str) -> Response:
    """The composer with the problem in words and everything that was typed."""
    error = noted(request, raised)
    words = _words(request, held, error, typed)
    if is_htmx(request):
        composer = _composer(held, words, typed)
        return page(request, "chat/reply.html", status=error.status, here="/", turns=(), **composer)
    if held is None:
        return consent_page(request, problem="chat.gone")
    return chat_page(request, held, error.status, words, typed)


def _words(request: Request, held: Held | None, error: FenzhenError, typed: str) -> str:
    language = preferences(request).language
    say = translator(language)
    if held is None or isinstance(error, Forbidden):
        return say("chat.gone")
    if isinstance(error, NothingTicked):
        return say("chat.tick_first")
    if isinstance(error, InvalidInput) and not typed.strip():
        return say("chat.empty")
    if isinstance(error, PayloadTooLarge):
        settings = services_of(request).settings
        return say("chat.too_long", chars=settings.max_text_chars, turns=settings.max_messages)
    return words_for(error, language)


def _composer(held: Held | None, problem: str | None = None, typed: str = "") -> dict[str, Any]:
    """What the composer shows: the open question, a problem, and words typed before it."""
    state: dict[str, Any] = {} if held is None else dict(held.consult.state)
    question = state.get("question")
    return {
        "csrf": "" if held is None else forms.token_of(held.secret),
        "closed": held is not None and held.closed,
        "question": question,
        "replies": {} if question is None else quick_replies(question),
        "started": bool(state.get("turns")),
        "for_other": bool(state.get("for_other")),
        "answer_language": next(
            (t["language"] for t in reversed(state.get("turns", [])) if t["role"] == "assistant"),
            None,
        ),
        "problem": problem,
        "typed": typed,
    }
