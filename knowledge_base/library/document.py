"""A document as any format gives it: blocks of text under their headings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

BlockKind = Literal["paragraph", "item", "table"]

_LONGEST_HEADING = 200
"""Characters of a heading that are kept: a 'heading' of a page is a reader's mistake."""


class Unreadable(ValueError):
    """A document that cannot be taken; the message says why in words for the operator."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item or a table (a line per row, cells between ` | `).

    path: the headings above it, outermost first; page: from 1, where the format has pages.
    """

    path: tuple[str, ...]
    text: str
    kind: BlockKind = "paragraph"
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says. `key` tells the documents of one file apart, "" for a single one.

    published: ISO date or year where the document itself states it.
    """

    title: str
    blocks: tuple[Block, ...]
    key: str = ""
    published: str | None = None

    @property
    def text(self) -> str:
        """The blocks, one after the other, a line break between them: what offsets count in."""
        return "\n".join(block.text for block in self.blocks)


@dataclass
class Outline:
    """Collects blocks while a reader walks through a document and meets headings."""

    _headings: list[tuple[int, str]] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)

    def heading(self, level: int, text: str) -> None:
        """A heading ends the sections of its own level and of all below it."""
        words = one_line(text)[:_LONGEST_HEADING]
        self._headings = [(at, name) for at, name in self._headings if at < level]
        if words:
            self._headings.append((level, words))

    def add(self, text: str, kind: BlockKind = "paragraph", page: int | None = None) -> None:
        """A block under the headings met so far; an empty one is dropped."""
        words = text.strip() if kind == "table" else one_line(text)
        if words:
            self._blocks.append(Block(tuple(name for _, name in self._headings), words, kind, page))

    def paragraphs(self, text: str) -> None:
        """A block for every line of a text."""
        for line in text.splitlines():
            self.add(line)

    def table(self, rows: list[list[str]], page: int | None = None) -> None:
        """A table from its cells; empty rows are dropped."""
        lines = (" | ".join(one_line(cell) for cell in row) for row in rows)
        self.add("\n".join(line for line in lines if line.strip(" |")), "table", page)

    @property
    def first_heading(self) -> str | None:
        """The outermost heading of the first block."""
        return next((block.path[0] for block in self._blocks if block.path), None)

    def document(self, title: str, key: str = "", published: str | None = None) -> Document:
        """What was collected; a path that begins with the title loses it."""
        name = one_line(title)[:_LONGEST_HEADING]
        blocks = tuple(
            Block(block.path[1:], block.text, block.kind, block.page)
            if block.path[:1] == (name,)
            else block
            for block in self._blocks
        )
        if not blocks:
            raise Unreadable("no text was found in it")
        return Document(name, blocks, key, published)


def one_line(text: str) -> str:
    """Runs of white space as one blank; control characters, which no text needs, are dropped."""
    shown = "".join(c if c.isprintable() or c.isspace() else "" for c in text)
    return " ".join(shown.split())
