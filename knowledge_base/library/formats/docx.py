"""Word documents: headings by style, lists and tables in the order of the page."""

from __future__ import annotations

import io
import re
import zipfile

import docx
from docx.opc.exceptions import PackageNotFoundError
from docx.table import Table
from docx.text.paragraph import Paragraph

from knowledge_base.library.document import Document, Outline, Unreadable

LARGEST_UNPACKED = 256 * 2**20
"""Bytes that a document may unpack to."""
_HEADING = re.compile(r"^(?:heading|标题|kop|überschrift)\s*([1-9])$", re.I)


def read_docx(data: bytes, name: str) -> list[Document]:
    """One document; its title is the Title paragraph, the first heading or the file's name."""
    _check_size(data)
    try:
        opened = docx.Document(io.BytesIO(data))
    except (PackageNotFoundError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Unreadable("it is no Word document (.docx)") from error
    outline = Outline()
    title = ""
    for part in opened.iter_inner_content():
        if isinstance(part, Table):
            outline.table([[cell.text for cell in row.cells] for row in part.rows])
            continue
        style = _style(part)
        level = _HEADING.match(style)
        if style.lower() in ("title", "标题") and not title:
            title = part.text
        elif level:
            outline.heading(int(level.group(1)), part.text)
        else:
            outline.add(part.text, "item" if "list" in style.lower() else "paragraph")
    stated = title or opened.core_properties.title
    created = opened.core_properties.modified or opened.core_properties.created
    return [
        outline.document(
            stated or outline.first_heading or name,
            published=created.date().isoformat() if created else None,
        )
    ]


def _check_size(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise Unreadable("it is no Word document (.docx)") from error
    if unpacked > LARGEST_UNPACKED:
        raise Unreadable(f"it unpacks to {unpacked:,} bytes, more than {LARGEST_UNPACKED:,}")


def _style(paragraph: Paragraph) -> str:
    style = paragraph.style
    return (style.name or "") if style is not None else ""
