"""Asking the knowledge base: a question, its recorded answer, and what a reader says of it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from knowledge_base.search.index import LONGEST_QUERY
from serving import decisions
from serving.curation import feedback, words
from serving.errors import InvalidInput, NotFound
from serving.knowledge_answers import Question, answer
from serving.security import services_of
from serving.storage.codes import DecisionKind, Verdict
from serving.users import Permission
from serving.web import access, forms
from serving.web.case_view import knowledge_view
from serving.web.console_knowledge import knowledge_page
from serving.web.pages import PageRoute, go, preferences

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ANSWERS = "/console/knowledge/answers"


@router.post(ANSWERS)
async def ask(request: Request) -> Response:
    """Answer a question and show the recorded answer at its own address."""
    member, form = await access.writer(request, Permission.KNOWLEDGE_READ)
    asked = forms.word(form, "question", LONGEST_QUERY)
    if not asked:
        return go("/console/knowledge")
    question = Question(question=asked, language=preferences(request).language)
    _, decision_id = await answer(services_of(request), question, member.user)
    return go(f"{ANSWERS}/{decision_id}")


@router.get(ANSWERS + "/{decision_id}")
async def answered(decision_id: str, request: Request) -> Response:
    """A recorded answer with its passages, and a form for what is wrong with it."""
    member = await access.reader(request, Permission.KNOWLEDGE_READ)
    services = services_of(request)
    decision = await asyncio.to_thread(decisions.get, services.db, decision_id)
    if decision.kind is not DecisionKind.KNOWLEDGE:
        raise NotFound("no such answer")
    view = await asyncio.to_thread(knowledge_view, services, decision)
    return await knowledge_page(
        request,
        "answer",
        member,
        view=view,
        decision=decision,
        verdicts=tuple(Verdict),
        longest_words=words.LIMIT,
    )


@router.post(ANSWERS + "/{decision_id}/feedback")
async def heard(decision_id: str, request: Request) -> Response:
    """Record what a reader says of it; a complaint asks for a review."""
    member, form = await access.writer(request, Permission.KNOWLEDGE_READ)
    services = services_of(request)
    try:
        verdict = Verdict(forms.word(form, "verdict"))
    except ValueError as error:
        raise InvalidInput("no such verdict") from error
    await asyncio.to_thread(
        feedback.give,
        services.db,
        services.policy,
        decision_id,
        member.user,
        verdict=verdict,
        comment=forms.word(form, "comment", words.LIMIT) or None,
    )
    return go(f"{ANSWERS}/{decision_id}#feedback")
