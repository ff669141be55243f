"""Cuts a document into chunks for search: whole sections where they fit, else at sentences.

A chunk never crosses a heading, so that its path says what it is about. Its id is made of the
document's id, the path and the words: a chunk that stays as it was keeps its id, whatever is
written before or after it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from knowledge_base.language import Language
from knowledge_base.library.document import Block, Document
from knowledge_base.library.sentences import sentences
from knowledge_base.tokeniser import fold, is_han
from knowledge_base.yaml_files import read_yaml

LONGEST = 220.0
"""Words of a chunk; a Chinese character counts as 0.6 of one."""
_HAN_WORD = 0.6
_BACK_MATTER = Path(__file__).with_name("back_matter.yaml")
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")  # "7. References:"
_MOSTLY_HAN = 0.3  # Chinese text is full of Latin names and numbers


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document. start: offset of its first character in `Document.text`."""

    id: str
    path: tuple[str, ...]
    text: str
    language: Language
    start: int
    page: int | None


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    start: int
    page: int | None


def chunks(document: Document, document_id: str) -> list[Chunk]:
    """The document's chunks in its order."""
    found: list[Chunk] = []
    seen: dict[str, int] = {}
    for path, pieces in _sections(document):
        for text, start, page in _packed(pieces):
            mark = hashlib.blake2b("\0".join((*path, text)).encode(), digest_size=5).hexdigest()
            count = seen[mark] = seen.get(mark, 0) + 1
            again = "" if count == 1 else f"-{count}"
            found.append(
                Chunk(f"{document_id}~{mark}{again}", path, text, language_of(text), start, page)
            )
    return found


def _sections(document: Document) -> Iterator[tuple[tuple[str, ...], list[_Piece]]]:
    """Pieces no longer than a chunk, by path, in the order of the document."""
    placed: list[tuple[Block, int]] = []
    start = 0
    for block in document.blocks:
        placed.append((block, start))
        start += len(block.text) + 1
    for path, group in groupby(placed, key=lambda entry: entry[0].path):
        if any(is_back_matter(heading) for heading in path):
            continue
        yield path, [piece for block, at in group for piece in _pieces(block, at)]


@lru_cache(maxsize=1)
def _back_matter() -> frozenset[str]:
    listed = read_yaml(_BACK_MATTER)["headings"]
    assert isinstance(listed, list)
    return frozenset(listed)


def is_back_matter(heading: str) -> bool:
    """Whether a section of this name advises nothing: references, thanks, a table of contents."""
    return _AROUND.sub("", fold(heading)) in _back_matter()


def _pieces(block: Block, start: int) -> Iterator[_Piece]:
    if weight(block.text) <= LONGEST:
        yield _Piece(block.text, start, block.page)
    elif block.kind == "table":
        yield from _rows(block, start)
    else:
        yield from _sentences(block, start)


def _sentences(block: Block, start: int) -> Iterator[_Piece]:
    for left, right in sentences(block.text):
        for at in _cuts(block.text, left, right):
            yield _Piece(block.text[at[0] : at[1]], start + at[0], block.page)


def _cuts(text: str, left: int, right: int) -> Iterator[tuple[int, int]]:
    """A sentence longer than a chunk (a list without full stops) in parts, at blanks if it can."""
    while weight(text[left:right]) > LONGEST:
        middle = left + max(1, int((right - left) * LONGEST / weight(text[left:right])))
        blank = text.rfind(" ", left + 1, middle)
        cut = blank if blank > left else middle
        yield left, cut
        left = cut + (cut == blank)
    if right > left:
        yield left, right


def _rows(block: Block, start: int) -> Iterator[_Piece]:
    """A long table in several, each under the head."""
    head, *rows = block.text.split("\n")
    at = start + len(head) + 1
    kept: list[str] = []
    first = at
    for row in rows:
        if kept and weight("\n".join((head, *kept, row))) > LONGEST:
            yield _Piece("\n".join((head, *kept)), first, block.page)
            kept, first = [], at
        kept.append(row)
        at += len(row) + 1
    yield _Piece("\n".join((head, *kept)) if rows else head, first if rows else start, block.page)


def _packed(pieces: Sequence[_Piece]) -> Iterator[tuple[str, int, int | None]]:
    """Neighbours of one section together, as long as they fit into a chunk."""
    kept: list[_Piece] = []
    total = 0.0
    for piece in pieces:
        size = weight(piece.text)
        if kept and total + size > LONGEST:
            yield _joined(kept)
            kept, total = [], 0.0
        kept.append(piece)
        total += size
    if kept:
        yield _joined(kept)


def _joined(pieces: Sequence[_Piece]) -> tuple[str, int, int | None]:
    return "\n".join(piece.text for piece in pieces), pieces[0].start, pieces[0].page


def weight(text: str) -> float:
    """The length of a text in words, so that a chunk means as much in either language."""
    han = sum(is_han(c) for c in text)
    return _HAN_WORD * han + len(text.split())


def language_of(text: str) -> Language:
    """The language that most of the letters are in."""
    letters = [c for c in text if c.isalpha()]
    han = sum(is_han(c) for c in letters)
    return "zh" if letters and han >= _MOSTLY_HAN * len(letters) else "en"
