"""/v1/knowledge: passages of the guideline cards, with their documents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from knowledge_base.cards import SECTION_NAMES, CardSource, cards
from knowledge_base.language import Bilingual, Language
from models.text.normalise import language_of
from serving.errors import InvalidInput, NotFound
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])

Reader = Annotated[User, Depends(allow(Permission.KNOWLEDGE_READ))]


class Hit(BaseModel):
    """A passage with its place in the guideline cards and the documents behind it."""

    id: str
    card: str
    title: str
    section: str
    section_name: str
    language: Language
    text: str
    score: float
    lexical_rank: int | None
    dense_rank: int | None
    sources: tuple[CardSource, ...]


class SearchAnswer(BaseModel):
    """Passages, best first. `version` names the index."""

    query: str
    language: Language
    version: str
    hits: list[Hit]


class CardAnswer(BaseModel):
    """A whole card in one language."""

    id: str
    version: int
    title: Bilingual
    sections: list[dict[str, object]]
    sources: tuple[CardSource, ...]
    checked: bool
    reviewed_by: str | None


@router.get("/v1/knowledge/search")
async def search(
    request: Request,
    _user: Reader,
    q: Annotated[str, Query(max_length=500, description="Words or a question")],
    language: Annotated[Language | None, Query(description="Language of the passages")] = None,
    audience: Annotated[
        Literal["patient", "physician"] | None, Query(description="Whom the passages speak to")
    ] = None,
    k: Annotated[int, Query(ge=1, le=50)] = 10,
) -> SearchAnswer:
    """Search the guideline cards: lexical and dense, fused by reciprocal rank."""
    query = q.strip()
    if not query:
        raise InvalidInput("the query is empty")
    wanted: Language = language or ("en" if language_of(query) == "en" else "zh")
    knowledge = services_of(request).knowledge
    found = await asyncio.to_thread(
        knowledge.search, query, k=k, language=wanted, audience=audience
    )
    listed = cards()
    return SearchAnswer(
        query=query,
        language=wanted,
        version=knowledge.version,
        hits=[
            Hit(
                id=hit.passage.id,
                card=hit.passage.card,
                title=listed[hit.passage.card].head.title[hit.passage.language],
                section=hit.passage.section,
                section_name=SECTION_NAMES[hit.passage.section][hit.passage.language],
                language=hit.passage.language,
                text=hit.passage.text,
                score=round(hit.score, 6),
                lexical_rank=hit.lexical_rank,
                dense_rank=hit.dense_rank,
                sources=listed[hit.passage.card].sources_of(hit.passage),
            )
            for hit in found
        ],
    )


@router.get("/v1/knowledge/cards/{card_id}")
async def card(
    card_id: str, _user: Reader, language: Annotated[Language, Query()] = "zh"
) -> CardAnswer:
    """One guideline card, section by section."""
    found = cards().get(card_id)
    if found is None:
        raise NotFound("no such card")
    return CardAnswer(
        id=found.head.id,
        version=found.head.version,
        title=found.head.title,
        sections=[
            {
                "section": section,
                "name": names[language],
                "passages": [
                    {"id": p.id, "text": p.text, "sources": p.sources}
                    for p in found.section(section, language)
                ],
            }
            for section, names in SECTION_NAMES.items()
        ],
        sources=found.head.sources,
        checked=found.head.checked,
        reviewed_by=found.head.reviewed_by,
    )
