"""Where a passage is read: the address of its document's page, with the passage as its anchor."""

from __future__ import annotations

from urllib.parse import quote

DOCUMENTS = "/console/knowledge/documents"


def document_address(document: str) -> str:
    """The page of a card or a document of the library."""
    return f"{DOCUMENTS}/{quote(document, safe='/')}"


def anchor(passage: str) -> str:
    """What a passage is called on its page: `ask:2` of a card, the mark of a chunk."""
    return _parts(passage)[1]


def passage_address(passage: str) -> str:
    """A passage's place on the page of its document, from its id alone."""
    document, mark = _parts(passage)
    return f"{document_address(document)}#{quote(mark, safe=':')}"


def _parts(passage: str) -> tuple[str, str]:
    """Document and mark: `CARD#section:n`, `DOCUMENT~mark` (the file's name may hold a ~ too)."""
    document, found, mark = passage.rpartition("~")
    return (document, mark) if found else (passage.partition("#")[0], passage.partition("#")[2])
