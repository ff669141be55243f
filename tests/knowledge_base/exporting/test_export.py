"""Exported cards say what the cards say, and can be taken into a library as they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowledge_base.cards import SECTION_NAMES, Card, cards, parse_card
from knowledge_base.exporting.export import FORMATS, Format, export
from knowledge_base.exporting.markdown import write_markdown
from knowledge_base.exporting.sheet import sheet
from knowledge_base.language import Language
from knowledge_base.library.ingest import ingest, sources
from knowledge_base.library.origin import read_catalogue
from knowledge_base.library.reading import read_content
from knowledge_base.library.store import Library
from knowledge_base.yaml_files import ContentError
from tests.knowledge_base.library.papers import write

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FEW = ("atrial-fibrillation", "chest-pain", "chronic-kidney-disease", "hepatitis-b")
"""Among them characters that a PDF has no letters for (⁵) and rare ones (䓬)."""
LANGUAGES: tuple[Language, ...] = ("zh", "en")

HOSTILE = "<script>alert(1)</script> *a* _b_ [c](d) `e` 5 < 6 & 7 | # \\"


@pytest.fixture(scope="module")
def hostile() -> Mapping[str, Card]:
    """A card of three characters that some format could take for its own."""
    head = (
        "---\nid: x\nversion: 7\ntitle: {zh: 甲 & <b>, en: 'A & <b>'}\ntopics: [t]\n"
        "departments: [cardiology]\naudience: both\ngrade: guideline\nsources:\n"
        "  - {id: s1, organisation: 'O & <i>', title: 'T *x*', year: 2020, identifier: I-1,"
        " checked: false}\nreviewed_by: Dr A\nchecked: true\n---\n"
    )
    bullets = f"- {HOSTILE}[s1]\n- 1. one[s1]\n- - two[s1]\n"
    names = ("when_to_worry", "ask", "examine", "first_steps", "refer", "self_care", "follow_up")
    body = "".join(f"## {name}\n### zh\n{bullets}### en\n{bullets}" for name in names)
    return {"x": parse_card(head + body, "x.md")}


def squeezed(text: str, language: Language) -> str:
    """A line break of a page is a blank in English and nothing in Chinese."""
    return ("" if language == "zh" else " ").join(text.split())


@pytest.mark.parametrize("form", FORMATS)
def test_every_bullet_comes_back_in_one_chunk_of_its_section(tmp_path: Path, form: Format) -> None:
    folder = tmp_path / "cards"
    written = export(cards(), folder, form, ids=FEW, now=NOW)
    assert {path.name for path in written} == {f"{i}.{z}.{form}" for i in FEW for z in LANGUAGES}
    library = Library(tmp_path / "library.sqlite3")
    report = ingest(library, sources(folder), given={}, now=lambda: NOW)
    assert (report.taken, report.broken) == (len(written), [])
    found = [(s.document, s.chunk) for s in library.chunks()]
    for card in (cards()[name] for name in FEW):
        for passage in card.passages:
            language = passage.language
            shown = passage.text.replace("⁵", "^5") if form == "pdf" else passage.text
            words = squeezed(shown, language)
            document = f"cards/{card.head.id}.{language}.{form}"
            hits = [c for d, c in found if d == document and words in squeezed(c.text, language)]
            assert [hit.path[-1] for hit in hits] == [SECTION_NAMES[passage.section][language]]
            marks = "".join(f"[{source}]" for source in passage.sources)
            assert squeezed(f"{shown} {marks}", language) in squeezed(hits[0].text, language)
    library.close()


@pytest.mark.parametrize("form", FORMATS)
def test_titles_sources_and_who_reviewed_it_are_told(tmp_path: Path, form: Format) -> None:
    card = cards()["chest-pain"]
    for path, language in zip(
        export(cards(), tmp_path, form, ids=["chest-pain"], now=NOW), LANGUAGES, strict=True
    ):
        ((_, document, _),) = read_content(path, path.name)
        text = squeezed(document.text, language)
        assert document.title == card.head.title[language]
        reviewed = {"zh": "未经临床医生审核", "en": "Not reviewed by a clinician"}[language]
        assert reviewed in text
        for source in card.head.sources:
            for told in (source.organisation, source.title, str(source.year), source.identifier):
                assert squeezed(told, language) in text


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_format_takes_for_its_own_comes_back_as_words(
    tmp_path: Path, hostile: Mapping[str, Card], form: Format
) -> None:
    path, _ = export(hostile, tmp_path, form, now=NOW)
    ((_, document, _),) = read_content(path, path.name)
    assert document.title == "甲 & <b>"
    text = squeezed(document.text, "zh")
    for words in (HOSTILE, "1. one [s1]", "O & <i>. T *x*. 2020. I-1 (尚未查证)", "审核：Dr A"):
        assert squeezed(words, "zh") in text


def test_a_page_runs_nothing_and_asks_nobody(tmp_path: Path, hostile: Mapping[str, Card]) -> None:
    page = export(hostile, tmp_path, "html", now=NOW)[1].read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page
    assert "Reviewed by Dr A" in page
    assert "version 7" in page


def test_the_version_stands_on_every_page_and_no_footer_in_the_text(tmp_path: Path) -> None:
    from pypdf import PdfReader

    path = export(cards(), tmp_path, "pdf", ids=["chest-pain"], languages=["en"], now=NOW)[0]
    pages = PdfReader(path).pages
    assert len(pages) == 2
    footer = f"Fenzhen card chest-pain · version {cards()['chest-pain'].head.version}"
    assert all(footer in page.extract_text() for page in pages)
    ((_, document, _),) = read_content(path, path.name)
    assert footer not in document.text
    assert document.published == "2026-01-02"


def test_a_character_that_no_font_has_is_refused_in_words(
    tmp_path: Path, hostile: Mapping[str, Card]
) -> None:
    head = hostile["x"].head.model_copy(update={"title": {"zh": "甲\U0001f600", "en": "A"}})
    with pytest.raises(ContentError, match="no font of a PDF has the character"):
        export({"x": Card(head, hostile["x"].passages)}, tmp_path, "pdf", now=NOW)


def test_the_catalogue_says_what_the_cards_say_and_keeps_what_it_had(tmp_path: Path) -> None:
    export(cards(), tmp_path, "md", ids=["chest-pain"], now=NOW)
    export(cards(), tmp_path, "html", ids=["hepatitis-b"], languages=["en"], now=NOW)
    catalogue = read_catalogue(tmp_path)
    head = cards()["chest-pain"].head
    origin = catalogue.origin(Path("chest-pain.zh.md"), {})
    assert (origin.title, origin.licence, origin.grade) == (head.title["zh"], "own", head.grade)
    assert origin.year == max(source.year for source in head.sources)
    assert origin.departments == head.departments
    assert not origin.for_patients
    assert catalogue.origin(Path("hepatitis-b.en.html"), {}).title == "Hepatitis B"
    assert catalogue.origin(Path("hepatitis-b.zh.html"), {}).title == ""


def test_somebody_elses_catalogue_stays(tmp_path: Path) -> None:
    path = write(tmp_path / "sources.yaml", "defaults: {licence: WHO} # ours\n")
    with pytest.raises(ContentError, match="choose another folder"):
        export(cards(), tmp_path, "md", ids=["chest-pain"], now=NOW)
    assert [found.name for found in tmp_path.iterdir()] == ["sources.yaml"]
    assert "# ours" in path.read_text()


def test_an_unknown_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="no card is called nothing"):
        export(cards(), tmp_path / "new", "md", ids=["chest-pain", "nothing"], now=NOW)
    assert not (tmp_path / "new").exists()


def test_markdown_says_it_plainly() -> None:
    lines = write_markdown(sheet(cards()["chest-pain"], "en"), NOW).decode().splitlines()
    assert lines[0] == "# Chest pain in adults"
    assert "## When to worry" in lines
    assert any(line.startswith("- If your chest feels") and line.endswith("[s1]") for line in lines)
