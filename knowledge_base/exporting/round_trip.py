"""Our cards as somebody else's documents: exported, ingested, cut. What measurements ask about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from knowledge_base.cards import Card
from knowledge_base.exporting.export import Format, export
from knowledge_base.library.ingest import ingest, sources
from knowledge_base.library.store import Library
from knowledge_base.search.entry import Entry, document_entries

_FORMATS: tuple[Format, ...] = ("pdf", "docx", "html")
_BLANK = re.compile(r"\s+|\[s\d+\]")


def round_trip(listed: Mapping[str, Card], folder: Path) -> list[Entry]:
    """The chunks of the cards' exports, a third of the cards in each format; files go to folder."""
    now = datetime.now(UTC)
    names = sorted(listed)
    library = Library(folder / "library.sqlite3")
    try:
        for number, form in enumerate(_FORMATS):
            own = names[number :: len(_FORMATS)]
            if own:
                export(listed, folder / form, form, ids=own, now=now)
                ingest(library, sources(folder / form), given={}, now=lambda: now)
        return list(document_entries(library.documents(), library.chunks()))
    finally:
        library.close()


def without_blanks(text: str) -> str:
    """Words as they can be compared after a round trip: line ends may have moved, and the marks of
    the sources are part of the text."""
    return _BLANK.sub("", text)


def held(entry: Entry, listed: Mapping[str, Card]) -> dict[str, str]:
    """The passages of its card that a chunk holds, with their words `without_blanks`."""
    name, language = entry.document.rpartition("/")[2].split(".")[:2]
    [shown] = entry.shown.values()
    text = without_blanks(shown.text)
    found = {}
    for passage in listed[name].passages:
        words = without_blanks(passage.text)
        if passage.language == language and (words in text or text in words):
            found[passage.id] = words
    return found
