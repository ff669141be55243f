"""JSON Lines: a document per line, with `text` and, where known, an id and a title."""

from __future__ import annotations

import json
from collections.abc import Iterator

from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.formats.encoding import decoded

_IDS = ("_id", "id")  # BEIR's name first
_TEXTS = ("text", "answer")


def read_jsonl(data: bytes, name: str) -> list[Document]:
    """Every line's document. Raises Unreadable naming the line that is wrong.

    A title stands above the text. Text of several paragraphs has line breaks.
    """
    found: list[Document] = []
    seen: set[str] = set()
    for number, row in _rows(decoded(data)):
        text = next((row[key] for key in _TEXTS if isinstance(row.get(key), str)), "")
        title, key = row.get("title") or name, next((row[k] for k in _IDS if k in row), number)
        if not isinstance(title, str) or not isinstance(key, str | int):
            raise Unreadable(f"line {number}: title and id must be text")
        if str(key) in seen:
            raise Unreadable(f"line {number}: id {key} came before")
        seen.add(str(key))
        outline = Outline()
        outline.paragraphs(str(text))
        try:
            found.append(outline.document(title, key=str(key)))
        except Unreadable as error:
            raise Unreadable(f"line {number}: {error}") from error
    if not found:
        raise Unreadable("it is empty")
    return found


def _rows(text: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"line {number} is no JSON") from error
        if not isinstance(row, dict):
            raise Unreadable(f"line {number} is no JSON object")
        yield number, row
