"""Which reader takes a file, and what every file must keep to first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from knowledge_base.library.chunking import Chunk, chunks
from knowledge_base.library.document import Document, Unreadable

LARGEST = 64 * 2**20
"""Bytes of a file that is read; larger ones are refused before they are opened."""

Reader = Callable[[bytes, str], list[Document]]
_HEAD = 4096
_FORMATS: Mapping[str, str] = {
    ".md": "markdown", ".markdown": "markdown", ".txt": "markdown", ".html": "html",
    ".htm": "html", ".xhtml": "html", ".pdf": "pdf", ".docx": "docx", ".xml": "medquad",
    ".json": "fhir", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
"""The module of `formats/` that reads files with an ending, by its function `read_MODULE`."""

Content = list[tuple[str, Document, list[Chunk]]]
"""The documents of a file: (id, document, its chunks) each."""


def read_content(path: Path, name: str, largest: int = LARGEST) -> Content:
    """The documents of a file that the library calls `name`. Raises Unreadable and OSError."""
    content: Content = []
    for document in read_documents(path, largest=largest):
        identity = name + (f"#{document.key}" if document.key else "")
        content.append((identity, document, chunks(document, identity)))
    return content


def read_documents(path: Path, *, largest: int = LARGEST) -> list[Document]:
    """The documents of a file. Raises Unreadable, saying why, and OSError."""
    size = path.stat().st_size
    if size > largest:
        raise Unreadable(f"it has {size:,} bytes, more than {largest:,}")
    if size == 0:
        raise Unreadable("it is empty")
    data = path.read_bytes()
    return reader_of(path, data)(data, path.stem)


def reader_of(path: Path, data: bytes) -> Reader:
    """By what the file is called and begins with: a PDF named .html is refused."""
    suffix = path.suffix.lower()
    wanted = _FORMATS.get(suffix)
    if wanted is None:
        raise Unreadable(f"{suffix or 'a file without ending'} is no format that is read")
    head = data[:_HEAD].lstrip()
    is_pdf, is_zip = head.startswith(b"%PDF"), head.startswith(b"PK\x03\x04")
    if is_pdf != (suffix == ".pdf") or is_zip != (suffix == ".docx"):
        raise Unreadable(f"it is not what its ending {suffix} says")
    # Imported here: a server that only searches needs none of them.
    reader: Reader = getattr(
        import_module(f"knowledge_base.library.formats.{wanted}"), f"read_{wanted}"
    )
    return reader


def suffixes() -> frozenset[str]:
    """Endings of the files that are read."""
    return frozenset(_FORMATS)
