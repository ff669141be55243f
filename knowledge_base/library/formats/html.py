"""Web pages: trafilatura tells the main text from the frame around it, the page's own tree tells
the headings, lists and tables. Scripts, styles and comments are never read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import trafilatura
from lxml.etree import Comment, _Element, strip_elements

from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.formats.encoding import decoded

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # its complaints become ours
logging.getLogger("htmldate").setLevel(logging.CRITICAL)

_LARGEST = 16 * 2**20
"""Bytes of a page: one that has more is no document, and takes minutes."""
_DEEPEST = 200
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_NOT_READ = re.compile(
    "script|style|noscript|template|nav|aside|footer|form|button|select|textarea|iframe|object"
    "|svg|canvas|head"
)
_INLINE = re.compile(
    "a|abbr|b|bdi|bdo|big|br|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small"
    "|span|strike|strong|sub|sup|time|tt|u|var|wbr"
)


def read_html(data: bytes, name: str) -> list[Document]:
    """One document; its title is the page's, its date what the page states about itself."""
    if len(data) > _LARGEST:
        raise Unreadable(f"the page has {len(data):,} bytes, more than {_LARGEST:,}")
    tree = trafilatura.load_html(decoded(data))
    found = None if tree is None else trafilatura.bare_extraction(
        tree,
        favor_recall=True,
        include_comments=False,
        with_metadata=True,
        date_extraction_params={"extensive_search": False},
    )  # fmt: skip
    if tree is None or found is None or isinstance(found, dict) or found.body is None:
        raise Unreadable("no main text was found in the page")
    strip_elements(tree, Comment, "script", "style", with_tail=False)
    outline = Outline()
    _walk(tree, outline, _squeezed("".join(map(str, found.body.itertext()))), 0)
    title = found.title or outline.first_heading or name
    return [outline.document(title, published=found.date)]


def _walk(element: _Element, outline: Outline, main: str, depth: int) -> None:
    """Headings, and the blocks whose words are part of the main text, in the order of the page."""
    if depth > _DEEPEST:
        raise Unreadable("the page is nested too deeply")
    kind = "item" if element.tag in ("li", "dd", "dt") else "paragraph"
    for part in _parts(element):
        if isinstance(part, str):
            if _squeezed(part) in main:
                outline.add(part, "item" if kind == "item" else "paragraph")
        elif part.tag in _HEADINGS:
            outline.heading(int(part.tag[1]), _words(part))
        elif part.tag == "table":
            rows = [[_words(cell) for cell in row if _is_cell(cell)] for row in part.iter("tr")]
            if any(_squeezed(cell) in main for row in rows for cell in row if cell):
                outline.table(rows)
        else:
            _walk(part, outline, main, depth + 1)


def _parts(element: _Element) -> Iterator[str | _Element]:
    """Runs of words, and between them the blocks inside of an element."""
    words = [element.text or ""]
    for child in element:
        if not isinstance(child.tag, str) or _NOT_READ.fullmatch(child.tag):
            words.append(child.tail or "")
        elif _INLINE.fullmatch(child.tag):
            words.append(" " if child.tag == "br" else _words(child))
            words.append(child.tail or "")
        else:
            if "".join(words).strip():
                yield "".join(words)
            yield child
            words = [child.tail or ""]
    if "".join(words).strip():
        yield "".join(words)


def _is_cell(element: _Element) -> bool:
    return element.tag in ("td", "th")


def _words(element: _Element) -> str:
    return " ".join(str(part) for part in element.itertext(with_tail=False))


def _squeezed(text: str) -> str:
    return "".join(text.split())
