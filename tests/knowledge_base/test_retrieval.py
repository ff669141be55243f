"""Retrieval quality on our own questions, with the shipped embedding model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from knowledge_base.embedder import Embedder
from knowledge_base.search.index import KnowledgeIndex
from tests.conftest import ROOT
from tests.knowledge_base.embedders import HashedTokens

QUESTIONS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "questions.yaml").read_text(encoding="utf-8")
)
ASKED = [*QUESTIONS["questions"], *QUESTIONS["held_out"]]
MODELS = ROOT / "models" / "artifacts"


def shipped_embedder() -> Embedder:
    """The shipped model, or a skip while there is none."""
    if not (MODELS / "embedding" / "2" / "manifest.json").is_file():
        pytest.skip("models/artifacts/embedding/2 is not there")
    from models.embedder import HostedEmbedder
    from models.repository import ModelRepository

    entry = ModelRepository(MODELS, allow_noncommercial=True).get("embedding")
    return HostedEmbedder.of(entry)


@pytest.fixture(scope="module")
def index() -> KnowledgeIndex:
    return KnowledgeIndex.build(shipped_embedder())


def hit_rate(index: KnowledgeIndex) -> float:
    """Share of the questions with a passage of the expected card among the first three."""
    hits = [
        any(hit.entry.document in q["cards"] for hit in index.search(q["q"], k=3)) for q in ASKED
    ]
    return sum(hits) / len(hits)


def test_there_are_enough_questions_in_both_languages() -> None:
    questions = [q["q"] for q in ASKED]
    assert len(questions) >= 40
    assert 15 <= sum(q.isascii() for q in questions) <= len(questions) - 15


def test_the_expected_card_is_among_the_first_three(index: KnowledgeIndex) -> None:
    assert hit_rate(index) >= 0.85


def test_nothing_is_found_for_what_the_cards_do_not_treat(index: KnowledgeIndex) -> None:
    found = [q for q in QUESTIONS["out_of_scope"] if index.search(q)]
    assert len(found) <= len(QUESTIONS["out_of_scope"]) // 3, found


def test_words_alone_already_find_the_card() -> None:
    index = KnowledgeIndex.build(HashedTokens())
    hits = []
    for question in ASKED:
        found = index.candidates(question["q"])
        first = found.positions[np.argsort(-(found.words + found.whole), kind="stable")[:3]]
        cited = {index.entries[int(position)].document for position in first}
        hits.append(bool(cited & set(question["cards"])))
    assert sum(hits) / len(hits) >= 0.75
