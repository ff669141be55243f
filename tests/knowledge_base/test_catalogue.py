"""The list of what an index holds: every document once, as far as its reader may see it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge_base.cards import FOR_PATIENTS, cards
from knowledge_base.search.catalogue import Catalogue, Wanted
from knowledge_base.search.entry import Cited, Entry, Shown, card_entries

SOURCE = Cited("s1", "WHO", "Handbook", 2019, "ISBN 1", False)
STAFF = Entry(
    "shelf/leeches.pdf~aa", "document", "shelf/leeches.pdf",
    {"en": Shown("Handbook of Leeches", ("Care",), "Keep them cool.")},
    ("physician",), (), 2019, "unknown", "unstated", (SOURCE,), page=3,
)  # fmt: skip
OPEN = replace(
    STAFF, id="shelf/water.md~bb", document="shelf/water.md", readers=("patient", "physician"),
    shown={"zh": Shown("饮水手册", (), "多喝水。")},
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    some = [cards()[name] for name in ("chest-pain", "acne", "asthma-attack")]
    later = replace(STAFF, id="shelf/leeches.pdf~cc", year=2024)
    return Catalogue([*card_entries(some), STAFF, OPEN, later], "v1")


def ids(catalogue: Catalogue, wanted: Wanted) -> list[str]:
    return [document.id for document in catalogue.page(wanted)[0]]


def test_cards_come_first_and_each_document_once(catalogue: Catalogue) -> None:
    assert ids(catalogue, Wanted()) == [
        "acne", "asthma-attack", "chest-pain", "shelf/leeches.pdf", "shelf/water.md",
    ]  # fmt: skip
    assert len(catalogue) == 5
    leeches = catalogue.get("shelf/leeches.pdf")
    assert leeches is not None
    assert (leeches.title, leeches.year) == ({"en": "Handbook of Leeches"}, 2024)
    assert [e.id for e in catalogue.passages(leeches)] == [STAFF.id, "shelf/leeches.pdf~cc"]


def test_a_card_has_both_titles_and_its_bullets_in_order(catalogue: Catalogue) -> None:
    card = catalogue.get("chest-pain")
    assert card is not None
    assert card.title == cards()["chest-pain"].head.title
    bullets = [p.id for p in cards()["chest-pain"].passages if p.language == "zh"]
    assert [e.id for e in catalogue.passages(card)] == bullets


def test_patients_see_their_sections_and_open_documents_alone(catalogue: Catalogue) -> None:
    assert "shelf/leeches.pdf" not in ids(catalogue, Wanted(reader="patient"))
    assert "shelf/water.md" in ids(catalogue, Wanted(reader="patient"))
    card = catalogue.get("chest-pain")
    assert card is not None
    seen = {e.section for e in catalogue.passages(card, "patient")}
    assert seen == FOR_PATIENTS


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(kind="document"), ["shelf/leeches.pdf", "shelf/water.md"]),
        (Wanted(department="dermatology"), ["acne"]),
        (Wanted(q="胸痛"), ["chest-pain"]),
        (Wanted(q="PAIN chest"), ["chest-pain"]),
        (Wanted(q="ｌｅｅｃｈｅｓ"), ["shelf/leeches.pdf"]),
        (Wanted(q="leeches", kind="card"), []),
    ],
)
def test_filters_narrow_the_list(catalogue: Catalogue, wanted: Wanted, found: list[str]) -> None:
    assert ids(catalogue, wanted) == found


def test_pages_follow_each_other_without_a_gap(catalogue: Catalogue) -> None:
    whole = ids(catalogue, Wanted())
    found: list[str] = []
    after, more = None, True
    while more:
        page, more = catalogue.page(Wanted(), after=after, limit=2)
        found += [document.id for document in page]
        after = (page[-1].kind, page[-1].id)
    assert found == whole
