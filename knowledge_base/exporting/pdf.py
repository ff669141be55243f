"""A card as a PDF to print.

Its fonts are those that every reader of PDF has or replaces (Helvetica, and STSong-Light of
Adobe's Chinese font pack), so none is needed here and none is put into the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, HRFlowable, KeepTogether, Paragraph, SimpleDocTemplate

from knowledge_base.exporting.sheet import Sheet
from knowledge_base.language import Language
from knowledge_base.yaml_files import ContentError

_LATIN, _LATIN_BOLD, _HAN = "Helvetica", "Helvetica-Bold", "STSong-Light"
_INK, _ACCENT, _GREY, _RULE = (HexColor(c) for c in ("#1c2426", "#0b5563", "#56686c", "#b9cdd0"))
_MARGIN = 20 * mm
_FOOT = 12 * mm
_PADDING = 6.0  # of reportlab's frames, on every side
_SMALL = 8.5
_RAISED = re.compile("[⁰⁴-⁹]+")
_DIGITS = str.maketrans("⁰⁴⁵⁶⁷⁸⁹", "0456789")


def write_pdf(sheet: Sheet, at: datetime) -> bytes:
    """A4 pages; `at` stands in the file as the time when it was made.

    Raises ContentError for a character that neither font has: it would be printed as nothing.
    """
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=sheet.title, subject=sheet.footer, author="Fenzhen",
        creator="Fenzhen", lang="zh-CN" if sheet.language == "zh" else "en",
        leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
    )  # fmt: skip
    styles = _styles(sheet.language)

    def furnish(canvas: Canvas, _document: object) -> None:
        canvas.setDateFormatter(lambda *_now: f"D:{at:%Y%m%d%H%M%S}+00'00'")
        foot = Paragraph(_markup(sheet.footer, sheet.language), styles["footer"])
        foot.wrap(A4[0] - 3 * _MARGIN, _MARGIN)
        foot.drawOn(canvas, _MARGIN + _PADDING, _FOOT)
        canvas.setFont(_LATIN, styles["footer"].fontSize)
        canvas.setFillColor(_GREY)
        canvas.drawRightString(A4[0] - _MARGIN - _PADDING, _FOOT + 3, str(canvas.getPageNumber()))

    document.build(list(_story(sheet, styles)), onFirstPage=furnish, onLaterPages=furnish)
    return out.getvalue()


def _story(sheet: Sheet, styles: dict[str, ParagraphStyle]) -> Iterator[Flowable]:
    def paragraph(text: str, style: str, mark: str = "", after: bool = True) -> Paragraph:
        latin = styles[style].fontName if sheet.language == "en" else _LATIN
        words = _markup(text, sheet.language, latin)
        grey = f'<font name="{_LATIN}" color="{_GREY.hexval()}" size="{_SMALL}">{mark}</font>'
        shown = words if not mark else f"{words} {grey}" if after else f"{grey} {words}"
        return Paragraph(shown, styles[style], bulletText="•" if style == "bullet" else None)

    yield paragraph(sheet.title, "title")
    yield paragraph(sheet.status, "status")
    for part in sheet.parts:
        first, *rest = [paragraph(b.text, "bullet", b.marks) for b in part.bullets]
        yield KeepTogether([paragraph(part.heading, "heading"), _rule(), first])
        yield from (KeepTogether([bullet]) for bullet in rest)
    yield paragraph(sheet.sources_heading, "heading")
    yield _rule()
    for reference in sheet.references:
        yield paragraph(reference.text, "reference", reference.mark, after=False)


def _rule() -> Flowable:
    return HRFlowable(width="100%", thickness=0.6, color=_RULE, spaceBefore=0, spaceAfter=4)


@lru_cache(maxsize=2)
def _styles(language: Language) -> dict[str, ParagraphStyle]:
    """Letters and distances. Chinese needs more room between lines and breaks anywhere."""
    pdfmetrics.registerFont(UnicodeCIDFont(_HAN))
    zh = language == "zh"
    plain = ParagraphStyle(
        "bullet", fontName=_HAN if zh else _LATIN, fontSize=10, leading=16 if zh else 14,
        textColor=_INK, wordWrap="CJK" if zh else None, leftIndent=11, spaceAfter=4,
        bulletFontName=_LATIN, bulletFontSize=10,
    )  # fmt: skip
    bold = _HAN if zh else _LATIN_BOLD
    styles = (
        plain,
        ParagraphStyle("title", plain, fontName=bold, fontSize=20, leading=29, leftIndent=0),
        ParagraphStyle("status", plain, fontSize=9.5, textColor=_GREY, leftIndent=0),
        ParagraphStyle(
            "heading", plain, fontName=bold, fontSize=13, leading=18, textColor=_ACCENT,
            leftIndent=0, spaceBefore=12, spaceAfter=3, keepWithNext=1,
        ),
        ParagraphStyle("reference", plain, fontSize=_SMALL, leading=12, leftIndent=0),
        ParagraphStyle("footer", plain, fontSize=8, leading=11, textColor=_GREY, leftIndent=0),
    )  # fmt: skip
    return {style.name: style for style in styles}


def _markup(text: str, language: Language, latin: str = _LATIN) -> str:
    """reportlab's markup: every character in a font that has it."""
    # Read aloud or copied, a raised digit that was only drawn higher would make 10⁹ into 109.
    text = _RAISED.sub(lambda m: "^" + m.group().translate(_DIGITS), text)
    return "".join(
        f'<font name="{_HAN if han else latin}">{escape("".join(run))}</font>'
        for han, run in groupby(text, key=lambda character: _needs_han(character, language))
    )


def _needs_han(character: str, language: Language) -> bool:
    """Whether it is in the Chinese font: in Chinese text “ and — are, too, and as wide."""
    if _has(character, "cp1252") and (language == "en" or character < "\u0250"):
        return False
    if _has(character, "gbk") or "\u3400" <= character <= "\u4db5":  # Adobe-GB1-4
        return True
    raise ContentError(f"no font of a PDF has the character {character!r}; take another format")


def _has(character: str, encoding: str) -> bool:
    try:
        return bool(character.encode(encoding))
    except UnicodeEncodeError:
        return False
