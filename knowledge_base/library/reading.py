"""Which reader takes a file, and what every file must keep to first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from knowledge_base.library.document import Document, Unreadable

LARGEST = 64 * 2**20
"""Bytes of a file that is read; larger ones are refused before they are opened."""

Reader = Callable[[bytes, str], list[Document]]
_HEAD = 4096


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
    wanted = _readers().get(suffix)
    if wanted is None:
        raise Unreadable(f"{suffix or 'a file without ending'} is no format that is read")
    head = data[:_HEAD].lstrip()
    is_pdf, is_zip = head.startswith(b"%PDF"), head.startswith(b"PK\x03\x04")
    if is_pdf != (suffix == ".pdf") or is_zip != (suffix == ".docx"):
        raise Unreadable(f"it is not what its ending {suffix} says")
    return wanted


def suffixes() -> frozenset[str]:
    """Endings of the files that are read."""
    return frozenset(_readers())


def _readers() -> Mapping[str, Reader]:
    # Imported here: a server that only searches needs none of them.
    from knowledge_base.library.formats.docx import read_docx
    from knowledge_base.library.formats.fhir import read_fhir
    from knowledge_base.library.formats.html import read_html
    from knowledge_base.library.formats.jsonl import read_jsonl
    from knowledge_base.library.formats.markdown import read_markdown
    from knowledge_base.library.formats.medquad import read_medquad
    from knowledge_base.library.formats.pdf import read_pdf

    return {
        ".md": read_markdown, ".markdown": read_markdown, ".txt": read_markdown,
        ".html": read_html, ".htm": read_html, ".xhtml": read_html, ".pdf": read_pdf,
        ".docx": read_docx, ".xml": read_medquad, ".json": read_fhir, ".jsonl": read_jsonl,
        ".ndjson": read_jsonl,
    }  # fmt: skip
