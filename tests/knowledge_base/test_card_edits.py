"""What may be proposed for a card, and the patch that makes it so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from knowledge_base.card_edits import LONGEST, Edit, Fault, fault, new_problems, passage_of, patch
from knowledge_base.card_edits import tidy as tidied
from knowledge_base.cards import FOLDER, Passage, cards, read_cards
from knowledge_base.language import Language
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.yaml_files import ContentError

ID = "chest-pain#ask:2"


def passage(language: Language = "zh", passage_id: str = ID) -> Passage:
    found = passage_of(cards(), passage_id, language)
    assert found is not None
    return found


def edit(after: str, *, language: Language = "zh", passage_id: str = ID, note: str = "") -> Edit:
    return Edit(passage_id, language, passage(language, passage_id).text, after, note)


@pytest.mark.parametrize("passage_id", ["chest-pain#ask:99", "no-card#ask:1", "chest-pain", ""])
def test_what_is_no_passage_is_not_found(passage_id: str) -> None:
    assert passage_of(cards(), passage_id, "zh") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("询问胸痛的部位。", None),
        ("", "empty"),
        ("。。。", "empty"),
        ("问" * (LONGEST + 1), "too_long"),
        ("问\u200b诊", "control_characters"),
        ("问\x00诊", "control_characters"),
        ("询问部位。[s1]", "source_marks"),
        ("口服阿司匹林300 mg。", "amount"),
        ("take 2 tablets", "amount"),
    ],
)
def test_a_text_that_cannot_be_a_passage_is_named(text: str, expected: Fault | None) -> None:
    assert fault(text) == expected


def test_lines_and_wide_blanks_become_single_blanks() -> None:
    assert tidied(" 询问\n  部位\u3000和\xa0性质。 ") == "询问 部位 和 性质。"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The cards in a git repository of their own, at their place."""
    folder = tmp_path / "knowledge_base" / "content" / "cards"
    shutil.copytree(FOLDER, folder)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return folder


def test_the_patch_applies_and_changes_the_passages_and_the_version(copy: Path) -> None:
    edits = [
        edit("询问胸痛的伴随症状：出汗、黑矇。", note="why\n--- a/x\n+++ b/x"),
        edit("Ask what came with the pain.", language="en"),
        edit("请询问粉刺。", passage_id="acne#ask:1"),
    ]
    text = patch(edits)
    root = copy.parents[2]
    subprocess.run(["git", "apply", "-"], input=text, text=True, cwd=root, check=True)
    before, after = cards(), read_cards(copy)
    for one in edits:
        changed = passage_of(after, one.passage, one.language)
        assert changed is not None
        assert changed.text == one.after
        assert changed.sources == passage(one.language, one.passage).sources
    for card in ("chest-pain", "acne"):
        assert after[card].head.version == before[card].head.version + 1
        same = zip(before[card].passages, after[card].passages, strict=True)
        assert sum(old != new for old, new in same) == sum(e.card == card for e in edits)
    assert {n for n in before if before[n] != after[n]} == {"chest-pain", "acne"}


def test_an_edit_of_what_has_changed_since_makes_no_patch() -> None:
    stale = Edit(ID, "zh", "从前的文字", "新的文字")
    with pytest.raises(ContentError, match="has changed since"):
        patch([stale])
    with pytest.raises(ContentError, match="no such card"):
        patch([Edit("no-card#ask:1", "zh", "a", "b")])


def test_an_edit_cannot_become_a_second_bullet() -> None:
    with pytest.raises(ContentError):
        patch([edit("询问部位。[s1]\n- 第二条")])


def test_problems_that_an_edit_would_bring_are_told() -> None:
    told = new_problems([edit("询问12小时内的症状。")], lexicon(), taxonomy().departments)
    assert len(told) == 1
    assert "different numbers" in told[0]
    harmless = [edit("询问胸痛时有没有出汗。")]
    assert new_problems(harmless, lexicon(), taxonomy().departments) == []
