"""Proposing another wording for a passage of a card, and deciding on what others propose."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from knowledge_base.card_edits import LONGEST, passage_of
from knowledge_base.cards import Passage, cards
from knowledge_base.language import Language
from serving.curation import proposals, words
from serving.curation.proposal import ProposedSource
from serving.errors import Conflict, FenzhenError, FieldError, Forbidden, InvalidInput, NotFound
from serving.security import services_of
from serving.storage.codes import ProposalState
from serving.users import Permission
from serving.web import access, forms
from serving.web.access import Member
from serving.web.console_knowledge import knowledge_page
from serving.web.pages import PageRoute, go, noted, page, preferences, words_for
from serving.web.strings import strings, translator
from serving.web.wording_changes import changes

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SHOWN = 50
LIST = "/console/knowledge/proposals"
SOURCE_FIELDS = ("organisation", "title", "year", "identifier")


@router.get("/console/knowledge/propose")
async def propose_page(request: Request) -> Response:
    """The form for one passage, with its present text filled in."""
    member = await access.reader(request, Permission.KNOWLEDGE_PROPOSE)
    asked = request.query_params
    language = _language(asked.get("language"), preferences(request).language)
    passage = _passage(asked.get("passage", ""), language)
    return _form(request, member, passage, {"text": passage.text})


@router.post("/console/knowledge/propose")
async def propose(request: Request) -> Response:
    """Record the proposal, or show the form again with what is wrong."""
    member, form = await access.writer(request, Permission.KNOWLEDGE_PROPOSE)
    language = _language(forms.word(form, "language"), preferences(request).language)
    passage = _passage(forms.word(form, "passage"), language)
    try:
        made = await asyncio.to_thread(
            proposals.propose,
            services_of(request).db,
            cards(),
            member.user,
            passage=passage.id,
            language=language,
            text=forms.word(form, "text", 2 * LONGEST),
            why=forms.word(form, "why", 2 * words.LIMIT),
            source=_source(form),
        )
    except InvalidInput as raised:
        error = noted(request, raised)
        typed = {k: v for k, v in form.items() if isinstance(v, str)}
        return _form(request, member, passage, typed, error)
    return go(f"{LIST}#{made.id}")


@router.get("/console/knowledge/proposals")
async def listed(request: Request) -> Response:
    """Proposals of a state, old and new wording side by side."""
    member = await access.reader(request, Permission.KNOWLEDGE_PROPOSE)
    return await _listed(request, member)


@router.post("/console/knowledge/proposals/{proposal_id}/decide")
async def decide(proposal_id: str, request: Request) -> Response:
    """Accept or decline; what cannot be is said above the list."""
    member, form = await access.writer(request, Permission.REVIEW_SIGN)
    choice = forms.word(form, "choice")
    if choice not in ("accept", "decline"):
        raise InvalidInput("accept or decline")
    try:
        await asyncio.to_thread(
            proposals.decide,
            services_of(request).db,
            cards(),
            proposal_id,
            member.user,
            accept=choice == "accept",
            comment=forms.word(form, "comment", words.LIMIT),
        )
    except (Conflict, Forbidden) as raised:
        return await _listed(request, member, noted(request, raised))
    return go(f"{LIST}?state={'accepted' if choice == 'accept' else 'declined'}#{proposal_id}")


def _passage(passage_id: str, language: Language) -> Passage:
    found = passage_of(cards(), passage_id, language)
    if found is None:
        raise NotFound("no card has a passage of this id")
    return found


def _language(asked: str | None, otherwise: Language) -> Language:
    return "zh" if asked == "zh" else "en" if asked == "en" else otherwise


def _source(form: FormData) -> ProposedSource | None:
    """The source, where any of its fields is filled in. Raises InvalidInput for half of one."""
    given = {name: forms.word(form, name, 300) for name in SOURCE_FIELDS}
    if not any(given.values()):
        return None
    try:
        return ProposedSource.model_validate(given)
    except ValidationError as error:
        fault = FieldError("/source", "organisation, title, year from 1950 and identifier")
        raise InvalidInput(errors=[fault], extra={"fault": "source"}) from error


def _form(
    request: Request,
    member: Member,
    passage: Passage,
    typed: dict[str, str],
    error: FenzhenError | None = None,
) -> Response:
    other = passage_of(cards(), passage.id, "en" if passage.language == "zh" else "zh")
    return page(
        request,
        "console/propose.html",
        status=200 if error is None else error.status,
        member=member,
        passage=passage,
        other=other,
        card=cards()[passage.card].head,
        typed=typed,
        source_fields=SOURCE_FIELDS,
        longest=LONGEST,
        longest_words=words.LIMIT,
        problem=None if error is None else _said(request, error),
    )


def _said(request: Request, error: FenzhenError) -> str:
    """What is wrong with a proposal or a decision on one, in the reader's language."""
    key = f"proposal.{error.extra.get('fault', error.code)}"
    language = preferences(request).language
    return translator(language)(key) if key in strings() else words_for(error, language)


async def _listed(request: Request, member: Member, error: FenzhenError | None = None) -> Response:
    asked = request.query_params.get("state", ProposalState.OPEN.value)
    state = next((s for s in ProposalState if s.value == asked), None)
    before = request.query_params.get("before") or None
    if before is not None and not before.isprintable():
        raise InvalidInput("before: no such proposal")
    found, more = await asyncio.to_thread(
        proposals.page, services_of(request).db, cards(), state=state, before=before, limit=SHOWN
    )
    return await knowledge_page(
        request,
        "proposals",
        member,
        status=200 if error is None else error.status,
        here=LIST,
        rows=[(p, *changes(p.before, p.text), cards().get(p.edit.card)) for p in found],
        before=found[-1].id if more else None,
        state=state,
        states=tuple(ProposalState),
        longest_words=words.LIMIT,
        problem=None if error is None else _said(request, error),
    )
