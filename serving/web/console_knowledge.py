"""The knowledge base to read: search, the list of documents, a document with all its passages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import groupby
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response

from knowledge_base.cards import FrontMatter, cards
from knowledge_base.language import Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.search.catalogue import Listed, Wanted
from knowledge_base.search.entry import Cited, Entry, Kind, Shown
from knowledge_base.search.index import SearchHit
from serving.api.knowledge_documents import place_of_document
from serving.cursors import read_cursor, write_cursor
from serving.errors import NotFound
from serving.knowledge import ServedKnowledge, reader_of
from serving.security import services_of
from serving.users import Permission
from serving.web import access
from serving.web.access import Member
from serving.web.pages import PageRoute, page, preferences

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LONGEST_QUERY = 200
HITS = 12
PAGE = 50
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Paragraph:
    """A passage in the language in which it is read."""

    entry: Entry
    language: Language
    shown: Shown


@dataclass(frozen=True)
class Chapter:
    """Neighbouring passages under the same headings."""

    path: tuple[str, ...]
    section: str | None
    paragraphs: tuple[Paragraph, ...]


@router.get("/console/knowledge")
async def search(request: Request) -> Response:
    """Search cards and library."""
    member = await access.reader(request, Permission.KNOWLEDGE_READ)
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    hits: list[SearchHit] = []
    if query:
        hits = await asyncio.to_thread(
            services_of(request).knowledge.index.search,
            query,
            k=HITS,
            language=preferences(request).language,
        )
    return await knowledge_page(request, "knowledge", member, query=query, hits=hits)


@router.get("/console/knowledge/documents")
async def documents(request: Request) -> Response:
    """Cards and documents, by kind, department and words of the title."""
    member = await access.reader(request, Permission.KNOWLEDGE_READ)
    asked = request.query_params
    kind = next((kind for kind in KINDS if kind == asked.get("kind")), None)
    department = asked.get("department")
    wanted = Wanted(
        reader_of(member.user),
        kind,
        department if department in taxonomy().departments else None,
        asked.get("q", "").strip()[:LONGEST_QUERY],
    )
    cursor = asked.get("cursor")
    after = read_cursor(cursor, place_of_document) if cursor else None
    catalogue = await asyncio.to_thread(services_of(request).knowledge.catalogue)
    found, more = await asyncio.to_thread(catalogue.page, wanted, after=after, limit=PAGE)
    return await knowledge_page(
        request,
        "documents",
        member,
        picked=wanted,
        listed=found,
        next_cursor=write_cursor(found[-1].kind, found[-1].id) if more else None,
        kinds=KINDS,
        taxonomy=taxonomy(),
    )


@router.get("/console/knowledge/documents/{document_id:path}")
async def document(document_id: str, request: Request) -> Response:
    """A document to read from its first passage to its last."""
    member = await access.reader(request, Permission.KNOWLEDGE_READ)
    services = services_of(request)
    language = preferences(request).language
    read = await asyncio.to_thread(_read, services.knowledge, document_id, member, language)
    return await knowledge_page(request, "document", member, taxonomy=taxonomy(), **read)


async def knowledge_page(request: Request, name: str, member: Member, **context: Any) -> Response:
    """A page of the knowledge base with the versions at its foot."""
    knowledge = services_of(request).knowledge
    return page(
        request,
        f"console/{name}.html",
        member=member,
        served=knowledge.index.version,
        built=await asyncio.to_thread(knowledge.built),
        **context,
    )


def _read(
    knowledge: ServedKnowledge, document_id: str, member: Member, language: Language
) -> dict[str, Any]:
    catalogue = knowledge.catalogue()
    reader = reader_of(member.user)
    found = catalogue.get(document_id)
    if found is None or not found.seen_by(reader):
        raise NotFound("no such document")
    entries = list(catalogue.passages(found, reader))
    return {
        "found": found,
        "card": _card(found),
        "chapters": _chapters(entries, language),
        "sources": _sources(entries),
    }


def _card(found: Listed) -> FrontMatter | None:
    """The head of the card as it is on disk today; None for the library."""
    card = cards().get(found.id) if found.kind == "card" else None
    return None if card is None else card.head


def _chapters(entries: list[Entry], language: Language) -> list[Chapter]:
    paragraphs = [Paragraph(entry, *entry.in_language(language)) for entry in entries]
    grouped = groupby(paragraphs, key=lambda p: (p.shown.path, p.entry.section))
    return [Chapter(path, section, tuple(group)) for (path, section), group in grouped]


def _sources(entries: list[Entry]) -> list[Cited]:
    """Every source once, in the order in which it is first cited."""
    return list({source.id: source for entry in entries for source in entry.sources}.values())
