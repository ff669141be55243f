"""The card parser: a good card reads as written, and each fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge_base.cards import SECTIONS, cards, parse_card, read_cards
from knowledge_base.yaml_files import ContentError

HEAD = """---
id: tiny
version: 1
title: {zh: 小卡, en: Tiny}
topics: [common]
departments: [cardiology]
findings: [chest_pain]
audience: both
grade: guideline
sources:
  - {id: s1, organisation: WHO, title: A book, year: 2014, identifier: ISBN 1, checked: true}
  - {id: s2, organisation: NICE, title: A guide, year: 2016, identifier: NICE CG95, checked: false}
reviewed_by: null
checked: false
---
"""
BODY = "".join(
    f"\n## {section}\n\n### zh\n- 中文{section}。[s1]\n\n### en\n- English {section}. [s1][s2]\n"
    for section in SECTIONS
)


def test_a_card_reads_as_written() -> None:
    card = parse_card(HEAD + BODY, "tiny.md")
    assert card.head.id == "tiny"
    assert len(card.passages) == 2 * len(SECTIONS)
    [passage] = card.section("self_care", "en")
    assert passage.id == "tiny#self_care:1"
    assert passage.text == "English self_care."
    assert passage.sources == ("s1", "s2")
    assert [s.identifier for s in card.sources_of(passage)] == ["ISBN 1", "NICE CG95"]


def test_twins_in_the_two_languages_share_their_id() -> None:
    card = parse_card(HEAD + BODY, "tiny.md")
    assert [p.id for p in card.section("ask", "zh")] == [p.id for p in card.section("ask", "en")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\nid", "id", "no front matter"),
        ("version: 1\n", "", "version"),
        ("id: tiny", "id: Tiny Card", "id"),
        ("year: 2014", "year: 1800", "year"),
        ("audience: both", "audience: everybody", "audience"),
        ("grade: guideline", "grade: [", "tiny.md"),
        ("reviewed_by: null", "colour: red", "colour"),
        (", en: Tiny}", "}", "both languages"),
        ("English ask. [s1][s2]", "English ask.", "cites no source"),
        ("English ask. [s1][s2]", "English ask. [s9]", "cites no source"),
        ("- English ask. [s1][s2]", "", "ask has 1 Chinese and 0 English"),
        ("## ask", "## asking", "unknown section"),
        ("### en\n- English ask", "### fr\n- English ask", "unknown language"),
        ("## when_to_worry\n\n### zh\n", "", "before its section"),
        ("- English ask.", "English ask.", "only headings and bullets"),
    ],
)
def test_each_fault_is_named(old: str, new: str, message: str) -> None:
    text = (HEAD + BODY).replace(old, new)
    assert text != HEAD + BODY
    with pytest.raises(ContentError, match=r"tiny\.md") as caught:
        parse_card(text, "tiny.md")
    assert message in str(caught.value)


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ContentError, match="follow_up has 0 Chinese and 0 English"):
        parse_card(HEAD + BODY[: BODY.index("\n## follow_up")], "tiny.md")


def test_a_file_must_be_called_by_its_id(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text(HEAD + BODY, encoding="utf-8")
    with pytest.raises(ContentError, match="differs from the file's name"):
        read_cards(tmp_path)


def test_the_shipped_cards_read() -> None:
    assert len(cards()) >= 50
