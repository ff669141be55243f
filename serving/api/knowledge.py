"""/v1/knowledge: passages of the guideline cards, with their documents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from knowledge_base.cards import FOR_PATIENTS, SECTION_NAMES, CardSource, cards
from knowledge_base.language import Bilingual, Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.library.origin import licences
from knowledge_base.search.entry import Cited, Kind
from knowledge_base.search.filters import Filters
from knowledge_base.search.index import SearchHit
from knowledge_base.search.reranking import DEPTH, reranked
from models.text.normalise import answered_in
from serving.errors import InvalidInput, NotFound
from serving.knowledge import reader_of
from serving.knowledge_answers import judge
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])

Reader = Annotated[User, Depends(allow(Permission.KNOWLEDGE_READ))]


class Hit(BaseModel):
    """A passage with its place and the documents behind it.

    card and section are None for a passage of the library; start and page say where it stands in
    its document. Ranks are among the candidates of each kind, None: not found that way.
    """

    id: str
    kind: Kind
    document: str
    card: str | None
    title: str
    section: str | None
    section_name: str
    path: tuple[str, ...]
    language: Language
    text: str
    start: int
    page: int | None
    score: float
    lexical_rank: int | None
    dense_rank: int | None
    year: int | None
    licence: str
    grade: str
    sources: tuple[Cited, ...]


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
    user: Reader,
    q: Annotated[str, Query(max_length=500, description="Words or a question")],
    language: Annotated[Language | None, Query(description="Language of the passages")] = None,
    audience: Annotated[
        Literal["patient", "physician"] | None, Query(description="Whom the passages speak to")
    ] = None,
    department: Annotated[
        str | None, Query(max_length=60, description="Code of a department")
    ] = None,
    since: Annotated[
        int | None, Query(ge=1800, le=2100, description="Year of the newest source, at least")
    ] = None,
    licence: Annotated[str | None, Query(max_length=60, description="Code of a licence")] = None,
    grade: Annotated[
        str | None, Query(max_length=30, description="guideline, consensus, textbook...")
    ] = None,
    kind: Annotated[Kind | None, Query(description="Our cards, or the library alone")] = None,
    rerank: Annotated[
        bool, Query(description="Read the best twenty with the query once more: slower, better")
    ] = False,
    k: Annotated[int, Query(ge=1, le=50)] = 10,
) -> SearchAnswer:
    """Search cards and library: by words and by meaning, the scores scaled and added."""
    query = q.strip()
    if not query:
        raise InvalidInput("the query is empty")
    check_department(department)
    if licence is not None and licence not in licences():
        raise InvalidInput("licence: no such code")
    wanted = language or answered_in(query)
    index = services_of(request).knowledge.index
    found = await asyncio.to_thread(
        index.search,
        query,
        k=max(k, DEPTH) if rerank else k,
        language=wanted,
        filters=Filters(reader_of(user) or audience, department, since, licence, grade, kind),
    )
    if rerank:
        read = [hit.shown.indexed for hit in found[:DEPTH]]
        services = services_of(request)
        judged = await judge(services, services.hosted, query, read)
        found = reranked(found, judged)[:k]
    return SearchAnswer(
        query=query, language=wanted, version=index.version, hits=[_hit(hit) for hit in found]
    )


def check_department(code: str | None) -> None:
    """Raise InvalidInput for a code that the taxonomy lacks."""
    if code is not None and code not in taxonomy().departments:
        raise InvalidInput("department: no such code")


def _hit(hit: SearchHit) -> Hit:
    entry, shown = hit.entry, hit.shown
    return Hit(
        id=entry.id,
        kind=entry.kind,
        document=entry.document,
        card=entry.document if entry.kind == "card" else None,
        title=shown.title,
        section=entry.section,
        section_name=" › ".join(shown.path),
        path=shown.path,
        language=hit.language,
        text=shown.text,
        start=entry.start,
        page=entry.page,
        score=round(hit.score, 6),
        lexical_rank=hit.lexical_rank,
        dense_rank=hit.dense_rank,
        year=entry.year or None,
        licence=entry.licence,
        grade=entry.grade,
        sources=entry.sources,
    )


@router.get("/v1/knowledge/cards/{card_id}")
async def card(
    card_id: str, user: Reader, language: Annotated[Language, Query()] = "zh"
) -> CardAnswer:
    """One guideline card, section by section; to patients those that are written for them."""
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
            if reader_of(user) is None or section in FOR_PATIENTS
        ],
        sources=found.head.sources,
        checked=found.head.checked,
        reviewed_by=found.head.reviewed_by,
    )
