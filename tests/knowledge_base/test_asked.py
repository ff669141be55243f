"""Questions beside the cards: complete, read, and what they lend to search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from knowledge_base.cards import cards
from knowledge_base.questions import FOLDER, question_problems, questions, read_questions
from knowledge_base.search.asked import Asked
from knowledge_base.search.entry import card_entries
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.yaml_files import ContentError
from tests.knowledge_base.embedders import HashedTokens

CARD = cards()["burns"]


def test_every_card_has_its_questions() -> None:
    assert questions().keys() == cards().keys()
    assert sum(map(len, questions().values())) > 10_000


def test_a_question_lends_its_passage_its_similarity(tmp_path: Path) -> None:
    embedder = HashedTokens()
    entries = list(card_entries([CARD, cards()["sepsis"]]))
    asked = Asked.build(entries, embedder)
    entry = next(e for e in entries if e.asked and e.document == "burns")
    [vector] = embedder.embed([entry.asked[0]])
    own, around = asked.similarities(vector)
    assert own.shape == around.shape == (len(entries),)
    assert own[entries.index(entry)] == pytest.approx(1.0, abs=1e-5)
    burns, sepsis = (np.array([e.document == d for e in entries]) for d in ("burns", "sepsis"))
    assert around[burns].min() == around[burns].max() > around[sepsis].max()
    asked.save(tmp_path)
    for kept, again in zip((own, around), Asked.load(tmp_path).similarities(vector), strict=True):
        np.testing.assert_array_equal(kept, again)


def test_documents_without_questions_gain_nothing() -> None:
    nothing, around = Asked.build([], HashedTokens()).similarities(np.zeros(2048, np.float32))
    assert nothing.shape == around.shape == (0,)


def test_a_question_in_its_own_words_finds_its_passage() -> None:
    index = KnowledgeIndex.build(HashedTokens(), {c: cards()[c] for c in ("burns", "sepsis")})
    for question in questions()["burns"][:10]:
        found = {hit.entry.id for hit in index.search(question.text, k=5)}
        assert found & set(question.answers), question.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('zh: []\nen: []\n', "answers fewer than"),
        ('zh:\n- {ask: "烫伤起泡", answers: ["ask:99"]}\nen: []\n', "no passage burns#ask:99"),
        ('zh: []\nen:\n- {ask: "烫伤起泡", answers: ["ask:1"]}\n', "in the wrong language"),
        ('zh: []\nen:\n' + '- {ask: "hot oil", answers: ["ask:1"]}\n' * 2, "twice: hot oil"),
    ],
)  # fmt: skip
def test_the_check_names_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "burns.yaml"
    path.write_text(text, encoding="utf-8")
    assert any(problem in found for found in question_problems(CARD, read_questions(path)))


@pytest.mark.parametrize(
    "text",
    ["zh: 1\nen: []\n", "zh: []\n", 'zh:\n- {ask: "x", answers: []}\nen: []\n', "- a\n", "zh: [\n"],
)
def test_a_file_of_another_form_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "burns.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContentError, match=r"burns\.yaml"):
        read_questions(path)


def test_the_shipped_files_have_no_problem() -> None:
    for card, asked in questions().items():
        assert list(question_problems(cards()[card], asked)) == []
    assert len(list(FOLDER.glob("*.yaml"))) == len(cards())
