"""PDF: lines from where the words stand, headings from their size and weight, simple tables.

A PDF has no paragraphs: it has words at places. Words that follow each other at one height make a
line, a wide gap in it a new cell. Lines larger or bolder than most of the text are headings. What
most pages repeat at their edges is left out, words broken at line ends are joined.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from knowledge_base.library.document import Document, Outline, Unreadable
from knowledge_base.library.formats.radicals import without_radicals
from knowledge_base.tokeniser import is_han

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its complaints become ours

MOST_PAGES = 3000
_LARGER = 1.12
"""How much larger than most of the text a heading is."""
_LONGEST_HEADING = 120  # characters
_SAME_LINE = 0.35  # of the letters' height
_CELL_GAP = 1.2  # heights between two cells
_UNSURE = 0.06  # heights by which a letter's width may be guessed wrongly
_LINE_GAP = 1.75  # heights between the lines of two paragraphs
_REPEATED = 0.6  # share of the pages that a running head stands on
_EDGE_LINES = 2
_BROKEN = (
    PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, OSError,
    RecursionError, OverflowError, NotImplementedError, AssertionError,
)  # fmt: skip
"""What pypdf's parser stumbles over in broken files."""
_ITEM = re.compile(r"^(?:[•●▪■◦‣·–—-]|\(?\d{1,2}[.)、]|[（(][一二三四五六七八九十]+[）)])\s*")
_UNUSED = "\x7f"  # of WinAnsiEncoding's codes; all such are bullets (ISO 32000-1, annex D.2)
_NUMBER = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(r"^\d{1,4}\s|\s\d{1,4}(?:\s*(?:/|of)\s*\d{1,4})?$")
_BETWEEN_HAN = re.compile(r"(?<=[\u3400-\u9fff，。；、：（）]) (?=[\u3400-\u9fff，。；、：（）])")


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


@dataclass
class _Word:
    """Text at a place; `size` is the letters' height in points."""

    text: str
    x: float
    y: float
    size: float
    bold: bool

    @property
    def end(self) -> float:
        """Where it ends, about: the file's own widths are not asked."""
        return self.x + self.size * sum(1.0 if _is_wide(c) else 0.5 for c in self.text)


@dataclass
class _Line:
    """Cells of a line; one where it is plain text."""

    cells: list[str]
    x: float
    y: float
    size: float
    bold: bool
    page: int

    @property
    def text(self) -> str:
        return " ".join(self.cells)


def read_pdf(data: bytes, name: str) -> list[Document]:
    """One document; its title is the file's own, or the largest line of the first page.

    Raises Unreadable for an encrypted file, for one without text (a scan) and for a broken one.
    """
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("it is encrypted; take the password off first")
        if len(reader.pages) > MOST_PAGES:
            raise Unreadable(f"it has {len(reader.pages):,} pages, more than {MOST_PAGES:,}")
        pages = [_lines(page, number) for number, page in enumerate(reader.pages, start=1)]
        title, stated = _metadata(reader)
    except Unreadable:
        raise
    except _BROKEN as error:
        raise Unreadable(f"the PDF is broken: {type(error).__name__}") from error
    lines = [line for page in _without_running_heads(pages) for line in page]
    if not lines:
        raise Unreadable("no text is in it: a scan must be read by OCR first")
    return [_document(lines, title or name, stated)]


def _metadata(reader: PdfReader) -> tuple[str, str | None]:
    info = reader.metadata
    if info is None:
        return "", None
    try:
        written = info.creation_date
    except ValueError:
        written = None
    return str(info.title or "").strip(), written.date().isoformat() if written else None


def _lines(page: object, number: int) -> list[_Line]:
    words: list[_Word] = []

    def visit(
        text: str, cm: Sequence[float], tm: Sequence[float], font: object, size: float
    ) -> None:
        if not text.strip():
            if words and text and not words[-1].text.endswith(" "):
                words[-1].text += " "
            return
        scale = abs(tm[3] or tm[1]) * abs(cm[3] or cm[1])
        x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        basefont = str(font.get("/BaseFont", "")) if isinstance(font, dict) else ""
        bold = "bold" in basefont.lower() or "heavy" in basefont.lower()
        shown = without_radicals(text.replace("\n", " ").replace(_UNUSED, "•"))
        words.append(_Word(shown, x, y, abs(size * scale) or 10.0, bold))

    page.extract_text(visitor_text=visit)  # type: ignore[attr-defined]
    return list(_joined(words, number))


def _joined(words: Sequence[_Word], page: int) -> Iterator[_Line]:
    """Lines of words that follow each other at one height."""
    line: list[_Word] = []
    for word in words:
        if line and abs(word.y - line[-1].y) > _SAME_LINE * max(word.size, line[-1].size):
            yield _line(line, page)
            line = []
        if line and word.x <= line[-1].x + _SAME_LINE * word.size:
            word.x = line[-1].end  # pypdf gives the place of the string that both are of
        line.append(word)
    if line:
        yield _line(line, page)


def _line(words: Sequence[_Word], page: int) -> _Line:
    cells = [words[0].text]
    for before, word in pairwise(words):
        gap = (word.x - before.end) / word.size
        if gap > _CELL_GAP + _UNSURE * len(before.text):
            cells.append(word.text)
        else:
            cells[-1] += word.text
    letters = Counter[float]()
    for word in words:
        letters[round(word.size, 1)] += len(word.text)
    bold = sum(len(w.text) for w in words if w.bold) > sum(len(w.text) for w in words) / 2
    size = letters.most_common(1)[0][0]
    shown = [_BETWEEN_HAN.sub("", " ".join(cell.split())) for cell in cells]
    return _Line([cell for cell in shown if cell], words[0].x, words[0].y, size, bold, page)


def _without_running_heads(pages: Sequence[list[_Line]]) -> list[list[_Line]]:
    """The pages without page numbers, and without what most of them repeat at the edges."""
    lines = [{id(e): e for e in _edges(page)}.values() for page in pages]
    words = Counter(text for page in lines for text in {_masked(line) for line in page})
    places = Counter(place for page in lines for place in {_placed(line) for line in page})
    needed = round(_REPEATED * len(pages))
    repeated = {text for text, count in words.items() if count >= max(3, needed)}
    # On two pages the same words may be chance, the same words at the same height are not.
    repeated |= {text for (text, _), count in places.items() if count >= max(2, needed)}
    return [
        [
            line
            for line in page
            if not (any(line is edge for edge in _edges(page)) and _is_running(line, repeated))
        ]
        for page in pages
    ]


def _edges(page: list[_Line]) -> list[_Line]:
    return [*page[:_EDGE_LINES], *page[-_EDGE_LINES:]]


def _is_running(line: _Line, repeated: set[str]) -> bool:
    return _masked(line) in repeated or _NUMBER.sub("", line.text).strip(" -–/|·第页page") == ""


def _placed(line: _Line) -> tuple[str, int]:
    return _masked(line), round(line.y)


def _masked(line: _Line) -> str:
    """Without a page number at either end."""
    return _PAGE_NUMBER.sub("", line.text).strip()


def _document(lines: Sequence[_Line], title: str, published: str | None) -> Document:
    letters = Counter[float]()
    for line in lines:
        letters[line.size] += len(line.text)
    body = letters.most_common(1)[0][0]
    larger = sorted({x.size for x in lines if x.size > _LARGER * body}, reverse=True)
    bold_body = _mostly_bold(lines, body)
    outline = Outline()
    for level, group in groupby(lines, key=lambda x: _level(x, larger, body, bold_body)):
        if level:
            for run in _runs(list(group)):
                outline.heading(level, _text(run))
        else:
            _body(outline, list(group))
    return outline.document(title, published=published)


def _level(line: _Line, larger: Sequence[float], body: float, bold_body: bool) -> int:
    """0 for body text; 1 for the largest headings."""
    if len(line.text) > _LONGEST_HEADING or len(line.cells) > 1 or not line.text.strip():
        return 0
    if line.size in larger:
        return 1 + larger.index(line.size)
    alone = (
        line.bold and not bold_body and line.size >= body and not line.text.endswith((".", "。"))
    )
    return 1 + len(larger) if alone else 0


def _mostly_bold(lines: Sequence[_Line], body: float) -> bool:
    own = [line for line in lines if line.size == body]
    return sum(len(x.text) for x in own if x.bold) > 0.4 * sum(len(x.text) for x in own)


def _runs(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Lines that belong together: a heading over two lines, a paragraph."""
    run: list[_Line] = []
    for line in lines:
        if run and (_parted(run[-1], line) or _ITEM.match(line.text)):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _parted(above: _Line, below: _Line) -> bool:
    """Whether a gap, or an end of the page after a sentence, parts two lines."""
    if above.page != below.page:
        return above.text.endswith((".", "。", ":", "：", "!", "?", "！", "？"))
    drop = above.y - below.y
    return drop < 0 or drop > _LINE_GAP * max(above.size, below.size)


def _body(outline: Outline, lines: Sequence[_Line]) -> None:
    for is_table, group in groupby(lines, key=lambda line: len(line.cells) > 1):
        rows = list(group)
        if is_table and len(rows) > 1:
            outline.table([row.cells for row in rows], rows[0].page)
            continue
        for run in _runs(rows):
            text = _text(run)
            item = _ITEM.match(text)
            words = text[item.end() :] if item and not item.group().strip()[:1].isdigit() else text
            outline.add(words, "item" if item else "paragraph", run[0].page)


def _text(lines: Sequence[_Line]) -> str:
    """Lines as running text: a broken word is joined, Chinese needs no blank between lines."""
    text = ""
    for line in lines:
        words = line.text
        if not text:
            text = words
        elif text.endswith("-") and words[:1].islower() and text[-2:-1].isalpha():
            text = text[:-1] + words
        elif is_han(words[:1] or " ") or (text and is_han(text[-1])) or text[-1] in "，。；、：）":
            text += words
        else:
            text += " " + words
    return text
