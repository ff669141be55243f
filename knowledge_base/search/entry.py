"""What is searched: passages, of our cards in both languages, of documents in the one they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from knowledge_base.cards import FOR_PATIENTS, SECTION_NAMES, Card, Passage
from knowledge_base.language import Language
from knowledge_base.library.origin import Origin
from knowledge_base.library.store import StoredChunk, StoredDocument
from knowledge_base.questions import questions

Reader = Literal["patient", "physician"]
Kind = Literal["card", "document"]
OWN_LICENCE = "own"


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage in one language; path: the headings above it, outermost first."""

    title: str
    path: tuple[str, ...]
    text: str

    @property
    def indexed(self) -> str:
        """What search reads: where a passage stands says what it is about."""
        return self.under_headings(self.text)

    def under_headings(self, text: str) -> str:
        """Some words of the passage as search reads them."""
        return f"{' '.join((self.title, *self.path))}: {text}"


@dataclass(frozen=True, slots=True)
class Cited:
    """A published document behind a passage; `checked`: somebody looked up that it exists.

    year: None where it is not known.
    """

    id: str
    organisation: str
    title: str
    year: int | None
    identifier: str
    checked: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage with all that qualifies it.

    id: `CARD#section:n` or a chunk's id; document: the card's or the document's id; year: of the
    newest source, 0 where unknown; sources: the documents that say so; findings: the codes that
    its card lists; asked: questions that it answers; start, page: where it stands in its document.
    """

    id: str
    kind: Kind
    document: str
    shown: Mapping[Language, Shown]
    readers: tuple[Reader, ...]
    departments: tuple[str, ...]
    year: int
    licence: str
    grade: str
    sources: tuple[Cited, ...]
    findings: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    section: str | None = None
    start: int = 0
    page: int | None = None

    def in_language(self, wanted: Language) -> tuple[Language, Shown]:
        """The passage in the language wanted, or in the one that it has."""
        language = wanted if wanted in self.shown else next(iter(self.shown))
        return language, self.shown[language]

    def dumped(self) -> bytes:
        """As JSON, the same for equal entries; `loaded` reads it."""
        return _STORED.dump_json(self)


_STORED = TypeAdapter(Entry)


def loaded(text: bytes) -> Entry:
    """An entry from what `Entry.dumped` gave."""
    return _STORED.validate_json(text)


def card_entries(cards: Iterable[Card]) -> Iterator[Entry]:
    """Every bullet of the cards, in their order."""
    known = questions()
    for card in cards:
        english = {p.id: p for p in card.passages if p.language == "en"}
        asked: dict[str, list[str]] = {}
        for question in known.get(card.head.id, ()):
            for answer in question.answers:
                asked.setdefault(answer, []).append(question.text)
        for passage in card.passages:
            if passage.language == "zh":
                own = tuple(asked.get(passage.id, ()))
                yield _bullet(card, passage, english[passage.id], own)


def _bullet(card: Card, zh: Passage, en: Passage, asked: tuple[str, ...]) -> Entry:
    head = card.head
    sources = tuple(Cited(**source.model_dump()) for source in card.sources_of(zh))
    written_for: Reader = "patient" if zh.section in FOR_PATIENTS else "physician"
    shown: dict[Language, Shown] = {
        p.language: Shown(head.title[p.language], (SECTION_NAMES[p.section][p.language],), p.text)
        for p in (zh, en)
    }
    return Entry(
        id=zh.id,
        kind="card",
        document=head.id,
        shown=shown,
        readers=(written_for,) if head.audience in (written_for, "both") else (),
        departments=head.departments,
        year=max((source.year or 0 for source in sources), default=0),
        licence=OWN_LICENCE,
        grade=head.grade,
        sources=sources,
        findings=head.findings,
        asked=asked,
        section=zh.section,
    )


def document_entries(
    documents: Iterable[StoredDocument], chunks: Iterable[StoredChunk]
) -> Iterator[Entry]:
    """Every chunk of the library, in its order."""
    described = {d.id: (d, _readers(d.origin), _source(d)) for d in documents}
    for stored in chunks:
        document, readers, source = described[stored.document]
        origin, chunk = document.origin, stored.chunk
        yield Entry(
            id=chunk.id,
            kind="document",
            document=document.id,
            shown={chunk.language: Shown(document.title, chunk.path, chunk.text)},
            readers=readers,
            departments=origin.departments,
            year=origin.newest,
            licence=origin.licence,
            grade=origin.grade,
            sources=(source,),
            start=chunk.start,
            page=chunk.page,
        )


def _source(document: StoredDocument) -> Cited:
    """The document itself is the source; nobody but its operator vouches for it."""
    origin = document.origin
    return Cited(
        id="s1",
        organisation=origin.organisation,
        title=origin.title or document.title,
        year=origin.newest or None,
        identifier=origin.identifier or document.id,
        checked=False,
    )


def _readers(origin: Origin) -> tuple[Reader, ...]:
    """Physicians read everything that may be shown at all."""
    return ("patient", "physician") if origin.for_patients else ("physician",)
