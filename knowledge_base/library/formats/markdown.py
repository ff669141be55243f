"""Markdown (CommonMark with tables); HTML inside of it is dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.formats.encoding import decoded

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)


def read_markdown(data: bytes, name: str) -> list[Document]:
    """One document; its title is the first heading, or the file's name."""
    text = _FRONT_MATTER.sub("", decoded(data).replace("\r\n", "\n"), count=1)
    tokens = MarkdownIt("commonmark", {"html": False}).enable("table").parse(text)
    outline = Outline()
    first: str | None = None
    rows: list[list[str]] = []
    for number, token in enumerate(tokens):
        words = _words(token.children or ()) if token.type == "inline" else ""
        before = tokens[number - 1].type if number else ""
        if token.type == "inline" and before == "heading_open":
            first = first or words
            outline.heading(int(tokens[number - 1].tag[1:]), words)
        elif before in ("th_open", "td_open") and token.type == "inline":
            rows[-1].append(words)
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "table_close":
            outline.table(rows)
            rows = []
        elif token.type == "inline":
            outline.add(words, "item" if _in_list(tokens, number) else "paragraph")
        elif token.type in ("fence", "code_block"):
            outline.add(token.content)
    if first is None and not text.strip():
        raise Unreadable("it is empty")
    return [outline.document(first or name)]


def _words(tokens: Sequence[Token]) -> str:
    """The words of inline tokens: of a link its text, of a picture nothing."""
    parts = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return "".join(parts)


def _in_list(tokens: Sequence[Token], number: int) -> bool:
    return number >= 2 and tokens[number - 2].type == "list_item_open"
