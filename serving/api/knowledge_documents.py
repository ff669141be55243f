"""/v1/knowledge/documents and /v1/knowledge/versions: what the served index is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from knowledge_base.cards import cards
from knowledge_base.language import Language
from knowledge_base.search.catalogue import Listed, Wanted
from knowledge_base.search.entry import Cited, Entry, Kind, Reader
from serving.api.knowledge import check_department
from serving.cursors import read_cursor, write_cursor
from serving.errors import NotFound
from serving.knowledge import ServedKnowledge, reader_of
from serving.security import allow, services_of
from serving.users import Permission, User

router = APIRouter(tags=["knowledge"])

Caller = Annotated[User, Depends(allow(Permission.KNOWLEDGE_READ))]

PAGE_LIMIT = 200


class DocumentHead(BaseModel):
    """A card or a document of the library. `title` in the languages that it has; `passages` are
    those that the caller may read; `year` is that of its newest source."""

    id: str
    kind: Kind
    title: dict[Language, str]
    year: int | None
    licence: str
    grade: str
    departments: tuple[str, ...]
    passages: int


class DocumentsAnswer(BaseModel):
    """A page of the list: cards first, each kind by id. `version` names the index."""

    version: str
    documents: list[DocumentHead]
    next_cursor: str | None


class DocumentPassage(BaseModel):
    """A passage at its place. `path` are the headings above it; `section` is that of a card."""

    id: str
    section: str | None
    path: tuple[str, ...]
    language: Language
    text: str
    start: int
    page: int | None
    sources: tuple[Cited, ...]


class CardReview(BaseModel):
    """How far a card is checked: `reviewed_by` is the clinician who read it."""

    version: int
    checked: bool
    reviewed_by: str | None


class DocumentAnswer(DocumentHead):
    """A whole document, as far as the caller may read it. `card` is None for the library."""

    version: str
    card: CardReview | None
    content: list[DocumentPassage]


class BuiltVersion(BaseModel):
    """A version of the index on disk."""

    version: str
    built_at: str
    embedder: str
    cards: int
    documents: int
    passages: int
    served: bool


class VersionsAnswer(BaseModel):
    """The version that answers now, and those on disk, the oldest first; none on disk: the cards
    alone are served from memory."""

    served: str
    versions: list[BuiltVersion]


@router.get("/v1/knowledge/documents")
async def documents(
    request: Request,
    user: Caller,
    kind: Annotated[Kind | None, Query(description="Our cards, or the library alone")] = None,
    department: Annotated[
        str | None, Query(max_length=60, description="Code of a department")
    ] = None,
    q: Annotated[str, Query(max_length=200, description="Words that the title holds")] = "",
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = 50,
) -> DocumentsAnswer:
    """List cards and documents of the served index, without their text."""
    check_department(department)
    wanted = Wanted(reader_of(user), kind, department, q)
    after = None if cursor is None else read_cursor(cursor, place_of_document)
    knowledge = services_of(request).knowledge
    return await asyncio.to_thread(_list, knowledge, wanted, after, limit)


@router.get("/v1/knowledge/documents/{document_id:path}")
async def document(
    document_id: str,
    request: Request,
    user: Caller,
    language: Annotated[Language, Query(description="Of the cards' passages")] = "zh",
) -> DocumentAnswer:
    """One card or document with all its passages in order."""
    knowledge = services_of(request).knowledge
    return await asyncio.to_thread(_read, knowledge, document_id, reader_of(user), language)


@router.get("/v1/knowledge/versions")
async def versions(request: Request, _user: Caller) -> VersionsAnswer:
    """Which versions of the index there are, and which one answers."""
    knowledge = services_of(request).knowledge
    served = knowledge.index.version
    listed = [
        BuiltVersion(
            version=about.version,
            built_at=about.built_at,
            embedder=about.embedder,
            cards=about.cards,
            documents=about.documents,
            passages=about.passages,
            served=about.version == served,
        )
        for about in await asyncio.to_thread(knowledge.built)
    ]
    return VersionsAnswer(served=served, versions=listed)


def place_of_document(parts: Sequence[str | int]) -> tuple[str, str]:
    """Kind and id of the document where a page of the list ended."""
    kind, identity = parts
    return str(kind), str(identity)


def _list(
    knowledge: ServedKnowledge, wanted: Wanted, after: tuple[str, str] | None, limit: int
) -> DocumentsAnswer:
    catalogue = knowledge.catalogue()
    found, more = catalogue.page(wanted, after=after, limit=limit)
    return DocumentsAnswer(
        version=catalogue.version,
        documents=[DocumentHead.model_validate(_head(one, wanted.reader)) for one in found],
        next_cursor=write_cursor(found[-1].kind, found[-1].id) if more else None,
    )


def _read(
    knowledge: ServedKnowledge, document_id: str, reader: Reader | None, language: Language
) -> DocumentAnswer:
    catalogue = knowledge.catalogue()
    found = catalogue.get(document_id)
    if found is None or not found.seen_by(reader):
        raise NotFound("no such document")
    card = cards().get(found.id) if found.kind == "card" else None
    review = None
    if card is not None:
        head = card.head
        review = CardReview(
            version=head.version, checked=head.checked, reviewed_by=head.reviewed_by
        )
    return DocumentAnswer.model_validate(
        _head(found, reader)
        | {
            "version": catalogue.version,
            "card": review,
            "content": [_passage(e, language) for e in catalogue.passages(found, reader)],
        }
    )


def _head(found: Listed, reader: Reader | None) -> dict[str, object]:
    return {
        "id": found.id,
        "kind": found.kind,
        "title": found.title,
        "year": found.year or None,
        "licence": found.licence,
        "grade": found.grade,
        "departments": found.departments,
        "passages": len(found.seen_by(reader)),
    }


def _passage(entry: Entry, wanted: Language) -> DocumentPassage:
    language, shown = entry.in_language(wanted)
    return DocumentPassage(
        id=entry.id,
        section=entry.section,
        path=shown.path,
        language=language,
        text=shown.text,
        start=entry.start,
        page=entry.page,
        sources=entry.sources,
    )
