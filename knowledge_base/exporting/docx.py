"""A card as a Word document with real headings and lists."""

from __future__ import annotations

import io
from datetime import datetime

import docx
from docx.document import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.text.paragraph import Paragraph

from knowledge_base.exporting.sheet import Sheet

_LATIN, _HAN = "Arial", "Microsoft YaHei"
_INK, _ACCENT, _GREY = (RGBColor.from_string(c) for c in ("1C2426", "0B5563", "56686C"))
_SIZES = {"Normal": 10.5, "List Bullet": 10.5, "Heading 1": 13, "Title": 20, "Footer": 8.5}


def write_docx(sheet: Sheet, at: datetime) -> bytes:
    """The document; `at` stands in its properties as the time when it was made."""
    document = docx.Document()
    _dress(document)
    document.add_paragraph(sheet.title, style="Title")
    _add_grey(document.add_paragraph(), sheet.status)
    for part in sheet.parts:
        document.add_heading(part.heading, level=1)
        for bullet in part.bullets:
            paragraph = document.add_paragraph(bullet.text + " ", style="List Bullet")
            _add_grey(paragraph, bullet.marks)
    document.add_heading(sheet.sources_heading, level=1)
    for reference in sheet.references:
        paragraph = document.add_paragraph()
        _add_grey(paragraph, reference.mark)
        paragraph.add_run(f" {reference.text}")
    _add_footer(document, sheet.footer)
    _describe(document, sheet, at)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _dress(document: Document) -> None:
    """A4, and fonts that have Chinese characters too."""
    page = document.sections[0]
    page.page_width, page.page_height = Mm(210), Mm(297)
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Mm(22)
    for name, size in _SIZES.items():
        style = document.styles[name]
        if not isinstance(style, ParagraphStyle):
            continue
        font = style.font
        font.name, font.size = _LATIN, Pt(size)
        font.color.rgb = _ACCENT if name == "Heading 1" else _INK
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)  # a theme's font comes before a named one
        fonts.set(qn("w:eastAsia"), _HAN)
        style.paragraph_format.space_after = Pt(4)
    language = OxmlElement("w:lang")
    language.set(qn("w:val"), "en-GB")
    language.set(qn("w:eastAsia"), "zh-CN")
    document.styles["Normal"].element.get_or_add_rPr().append(language)


def _add_grey(paragraph: Paragraph, text: str) -> None:
    run = paragraph.add_run(text)
    run.font.color.rgb, run.font.size = _GREY, Pt(8.5)


def _add_footer(document: Document, text: str) -> None:
    paragraph = document.sections[0].footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _add_grey(paragraph, f"{text} · ")
    run = paragraph.add_run("1")  # until Word counts the pages
    run.font.color.rgb, run.font.size = _GREY, Pt(8.5)
    number = OxmlElement("w:fldSimple")
    number.set(qn("w:instr"), "PAGE")
    run._r.addprevious(number)
    number.append(run._r)


def _describe(document: Document, sheet: Sheet, at: datetime) -> None:
    known = document.core_properties
    known.title, known.subject, known.author = sheet.title, sheet.footer, "Fenzhen"
    known.language = "zh-CN" if sheet.language == "zh" else "en"
    known.created = known.modified = at
    known.comments = ""
