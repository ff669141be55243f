"""/v1/knowledge/proposals: other wordings for the cards, proposed by one clinician and decided by
another. The service never edits its cards: `fenzhen kb proposals --patch` makes the patch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.card_edits import LONGEST
from knowledge_base.cards import cards
from knowledge_base.language import Language
from serving.curation import proposals, words
from serving.curation.proposal import Proposal, ProposedSource
from serving.cursors import read_cursor, write_cursor
from serving.security import allow, services_of
from serving.storage.codes import ProposalState
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])

Proposer = Annotated[User, Depends(allow(Permission.KNOWLEDGE_PROPOSE))]
Decider = Annotated[User, Depends(allow(Permission.REVIEW_SIGN))]


class ProposalBody(BaseModel):
    """Another text for a card's passage in one language, without the marks of its sources."""

    model_config = ConfigDict(extra="forbid")

    passage: str = Field(max_length=128, description="CARD#section:n, as search cites it.")
    language: Language
    text: str = Field(max_length=LONGEST)
    why: str = Field(max_length=words.LIMIT)
    source: ProposedSource | None = None


class DecideBody(BaseModel):
    """Whether the proposal becomes part of the next patch."""

    model_config = ConfigDict(extra="forbid")

    accept: bool
    comment: str | None = Field(default=None, max_length=words.LIMIT)


class ProposalsAnswer(BaseModel):
    """A page of proposals, the newest first."""

    proposals: list[Proposal]
    next_cursor: str | None


@router.post("/v1/knowledge/proposals", status_code=201)
async def post_proposal(body: ProposalBody, request: Request, user: Proposer) -> Proposal:
    """Propose a wording; kept with the text as it stands now."""
    return await asyncio.to_thread(
        proposals.propose,
        services_of(request).db,
        cards(),
        user,
        passage=body.passage,
        language=body.language,
        text=body.text,
        why=body.why,
        source=body.source,
    )


@router.get("/v1/knowledge/proposals")
async def list_proposals(
    request: Request,
    _user: Proposer,
    state: ProposalState | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=proposals.PAGE_LIMIT)] = 50,
) -> ProposalsAnswer:
    """Proposals of a state, or all, beside what their passages say now."""
    before = None if cursor is None else read_cursor(cursor, _place)
    found, more = await asyncio.to_thread(
        proposals.page, services_of(request).db, cards(), state=state, before=before, limit=limit
    )
    return ProposalsAnswer(
        proposals=found, next_cursor=write_cursor(found[-1].id) if more else None
    )


@router.post("/v1/knowledge/proposals/{proposal_id}/decide")
async def decide(proposal_id: str, body: DecideBody, request: Request, user: Decider) -> Proposal:
    """Accept or decline a proposal of somebody else."""
    return await asyncio.to_thread(
        proposals.decide,
        services_of(request).db,
        cards(),
        proposal_id,
        user,
        accept=body.accept,
        comment=body.comment,
    )


def _place(parts: Sequence[str | int]) -> str:
    (identity,) = parts
    if not str(identity).isprintable():  # PostgreSQL compares no NUL
        raise ValueError("no id")
    return str(identity)
