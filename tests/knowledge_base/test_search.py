"""Lexical, dense and fused search, each on documents that fit on a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge_base.cards import Card, cards
from knowledge_base.lexicon.findings import Concept, Lexicon, lexicon
from knowledge_base.search import dense
from knowledge_base.search.dense import DenseIndex, Vectors
from knowledge_base.search.findings import CardFindings
from knowledge_base.search.fusion import min_max, reciprocal_rank_fusion
from knowledge_base.search.index import KnowledgeIndex
from knowledge_base.search.lexical import LexicalIndex, Terms
from knowledge_base.search.synonyms import MOST_CONCEPTS, Synonyms, expansion
from knowledge_base.tokeniser import tokenise
from tests.knowledge_base.embedders import HashedTokens

TEXTS = ("腹胀气怎么缓解", "胸痛放射到左臂", "胸闷气短", "chest pain at rest", "干咳两周")


def lexical() -> LexicalIndex:
    return LexicalIndex.build(Terms.of(text) for text in TEXTS)


def found(query: str, index: LexicalIndex | None = None, **wishes: Any) -> list[int]:
    searched = lexical() if index is None else index
    positions, scores = searched.search(Terms.of(query), **wishes)
    assert list(scores) == sorted(scores, reverse=True)
    return [int(position) for position in positions]


def test_fusion_sums_reciprocal_ranks() -> None:
    fused = dict(reciprocal_rank_fusion([[7, 8], [8, 9]]))
    assert list(fused) == [8, 7, 9]
    assert fused == pytest.approx({8: 1 / 62 + 1 / 61, 7: 1 / 61, 9: 1 / 62})


def test_fusion_of_ties_keeps_the_first_ranking_in_front() -> None:
    assert [d for d, _ in reciprocal_rank_fusion([[1, 2], [2, 1]])] == [1, 2]
    assert [d for d, _ in reciprocal_rank_fusion([[2, 1], [1, 2]])] == [2, 1]


def test_fusion_of_nothing_is_nothing() -> None:
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []


def test_fusion_with_a_small_constant_rewards_the_top_more() -> None:
    once_first, twice_third = [[1, 5, 2], [6, 7, 2]], 2
    assert reciprocal_rank_fusion(once_first)[0][0] == twice_third
    assert reciprocal_rank_fusion(once_first, constant=0)[0][0] == 1


def test_lexical_search_ranks_the_document_with_more_of_the_query_first() -> None:
    assert found("胸痛 左臂")[0] == 1
    assert found("chest pains")[0] == 3


def test_a_single_character_in_common_is_no_hit() -> None:
    assert found("天气") == []


def test_a_query_of_one_character_may_hit() -> None:
    assert found("咳") == [4]


def test_unknown_words_find_nothing() -> None:
    assert found("quantum chromodynamics") == []
    assert found("") == []


def test_expansion_tokens_find_but_count_less() -> None:
    positions = found("胸痛", also=tokenise("chest pain"), also_weight=0.5)
    assert positions[0] == 1
    assert 3 in positions


def test_a_mask_removes_documents() -> None:
    allowed = np.array([True, False, True, True, True])
    assert 1 not in found("胸痛", allowed=allowed)


def test_a_bonus_lifts_hits_and_makes_none() -> None:
    bonus = np.array([9, 9, 0, 0, 0], dtype=np.float32)
    assert found("胸痛 胸闷") == [2, 1]
    assert found("胸痛 胸闷", bonus=bonus) == [1, 2]
    assert found("胸痛", bonus=bonus) == [1]


def test_limit_caps_the_ranking() -> None:
    assert len(found("胸痛胸闷 chest", limit=2)) == 2


def test_coverage_is_the_weighted_share_of_the_query_that_a_document_holds() -> None:
    index = lexical()
    assert index.coverage(tokenise("chest pain"), [3]) == pytest.approx(1.0)
    assert 0 < index.coverage(tokenise("chest xylophone"), [3]) < 0.5
    assert index.coverage(tokenise("咳"), [4]) == 0.0
    assert index.coverage(tokenise("chest"), []) == 0.0


def test_words_that_open_a_text_and_words_that_stand_together_count_more() -> None:
    filler = " ".join(f"filler{n}" for n in range(80))
    index = LexicalIndex.build(
        Terms.of(text)
        for text in (
            f"{filler} croup {filler}",
            f"croup {filler} {filler}",
            f"glutaric acidemia of type ii, as an aside {filler}",
            f"acidemia which is glutaric, and not of a type {filler}",
        )
    )
    assert found("croup", index) == [1, 0]
    assert found("glutaric acidemia", index)[0] == 2


def test_an_empty_lexical_index_finds_nothing() -> None:
    assert found("胸痛", LexicalIndex.build([])) == []
    assert found("胸痛", LexicalIndex.build([Terms.of(""), Terms.of("")])) == []


def test_a_lexical_index_is_the_same_from_disk(tmp_path: Path) -> None:
    index = lexical()
    index.save(tmp_path)
    again = LexicalIndex.load(tmp_path)
    for query in ("胸痛 左臂", "chest pain", "咳", "nothing of it"):
        assert found(query, again) == found(query, index)
    assert again.coverage(tokenise("chest xylophone"), [3]) == index.coverage(
        tokenise("chest xylophone"), [3]
    )


def vectors(*texts: str) -> Vectors:
    return HashedTokens().embed(texts)


def test_dense_search_finds_the_nearest_passage_by_cosine() -> None:
    index = DenseIndex.build(vectors(*TEXTS), range(len(TEXTS)))
    query = vectors("胸痛放射到左臂")[0]
    positions, similarities = index.search(query, 3)
    assert positions[0] == 1
    assert similarities[0] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(similarities, vectors(*TEXTS)[positions] @ query, atol=1e-6)


def test_a_passage_in_two_languages_comes_once_with_its_better_one() -> None:
    index = DenseIndex.build(vectors("胸痛", "chest pain", "咳嗽", "a cough"), [0, 0, 1, 1])
    positions, similarities = index.search(vectors("chest pain")[0], 5)
    assert positions.tolist() == [0, 1]
    assert similarities[0] == pytest.approx(1.0, abs=1e-6)


def test_a_mask_is_kept_by_dense_search() -> None:
    index = DenseIndex.build(vectors(*TEXTS), range(len(TEXTS)))
    allowed = np.array([True, False, True, False, False])
    assert set(index.search(vectors("胸痛")[0], 5, allowed)[0].tolist()) == {0, 2}


def test_the_graph_finds_nearly_what_comparing_everything_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(3000, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = DenseIndex.build(rows, range(3000))
    monkeypatch.setattr(dense, "EXACT_UP_TO", 1000)
    DenseIndex.build(rows, range(3000)).save(tmp_path)
    graph = DenseIndex.load(tmp_path)
    every_third = np.arange(3000) % 3 == 0
    few = np.arange(3000) % 50 == 0
    for allowed in (None, every_third, few):
        shared = 0
        for query in rows[:50]:
            wanted = exact.search(query, 10, allowed)[0].tolist()
            got = graph.search(query, 10, allowed)[0].tolist()
            assert allowed is None or allowed[got].all()
            shared += len(set(wanted) & set(got))
        assert shared >= 0.95 * 500


def test_an_empty_dense_index_finds_nothing() -> None:
    index = DenseIndex.build(np.empty((0, 8), np.float32), [])
    assert index.search(np.zeros(8, np.float32), 5)[0].tolist() == []


def test_an_embedder_of_the_wrong_shape_is_refused() -> None:
    class Wrong(HashedTokens):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            return super().embed(texts)[:, :-1]

    with pytest.raises(ValueError, match="embedder gave"):
        KnowledgeIndex.build(Wrong(), {"sepsis": cards()["sepsis"]})


def test_min_max_scales_to_the_best_and_the_lowest() -> None:
    scores = np.array([4.0, 3.0, 2.0], dtype=np.float32)
    assert min_max(scores, 2.0).tolist() == [1.0, 0.5, 0.0]
    assert min_max(scores, 0.0).tolist() == [1.0, 0.75, 0.5]
    assert min_max(scores[:1], 4.0).tolist() == [1.0]
    assert min_max(scores[:0], 0.0).tolist() == []


def synonyms() -> Synonyms:
    concepts = (
        Concept(
            code="myocardial_infarction", kind="condition", zh="心肌梗死", en="heart attack",
            synonyms_zh=("心梗",), synonyms_en=("myocardial infarction",), abbreviations=("MI",),
        ),
        Concept(code="headache", kind="symptom", zh="头痛", en="headache", synonyms_zh=("头疼",)),
        Concept(
            code="severe_headache", kind="symptom", zh="剧烈头痛", en="severe headache",
            synonyms_zh=("头疼得厉害",),
        ),
    )  # fmt: skip
    return Synonyms(Lexicon({c.code: c for c in concepts}, version="1"))


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("心梗怎么办", ["myocardial_infarction"]),
        ("my father had a heart attack", ["myocardial_infarction"]),
        ("MYOCARDIAL INFARCTION", ["myocardial_infarction"]),
        ("acute MI", ["myocardial_infarction"]),
        ("mi casa", []),
        ("heartattack", []),
        ("头疼得厉害", ["severe_headache"]),
        ("有點頭疼", ["headache"]),
        ("心梗后头疼", ["myocardial_infarction", "headache"]),
        ("", []),
    ],
)
def test_concepts_are_found_by_their_longest_name(query: str, codes: list[str]) -> None:
    assert [c.code for c in synonyms().concepts(query)] == codes


def test_expansion_adds_both_languages_and_leaves_out_the_querys_own_words() -> None:
    query = "心梗 attack"
    tokens = expansion(tokenise(query), synonyms().concepts(query))
    assert {"心肌", "梗死", "heart"} <= set(tokens)
    assert "attack" not in tokens


def test_cards_are_weighed_by_the_findings_that_they_list() -> None:
    base = cards()["chest-pain"]

    def listing(*codes: str) -> Card:
        return replace(base, head=base.head.model_copy(update={"findings": codes}))

    listed = [listing("fever"), listing("fever", "neck_stiffness"), listing("pain"), listing()]
    index = CardFindings([card.head.findings for card in listed], lexicon())
    fever, stiff, broader, nothing = index.scores(["neck_stiffness", "fever"])
    assert stiff > fever > nothing == 0
    assert broader == 0
    common, rare = index.scores(["fever"])[0], index.scores(["neck_stiffness"])[1]
    assert rare > common
    assert 0 < index.scores(["chest_pain"])[2] < index.scores(["pain"])[2]
    assert not index.scores(["bad_karma"]).any()


def test_expansion_of_a_long_story_is_capped() -> None:
    many = {
        f"c{i}": Concept(code=f"c{i}", kind="symptom", zh=f"病{i}号", en=f"disease{i}")
        for i in range(20)
    }
    query = " ".join(f"disease{i}" for i in range(20))
    assert len(Synonyms(Lexicon(many, version="1")).concepts(query)) == MOST_CONCEPTS
