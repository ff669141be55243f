"""Lexical, dense and fused search, each on documents that fit on a page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from knowledge_base.cards import Card, cards
from knowledge_base.lexicon.findings import Concept, Lexicon, lexicon
from knowledge_base.search.dense import DenseIndex
from knowledge_base.search.findings import CardFindings
from knowledge_base.search.fusion import reciprocal_rank_fusion
from knowledge_base.search.lexical import LexicalIndex
from knowledge_base.search.synonyms import MOST_CONCEPTS, Synonyms, expansion
from knowledge_base.tokeniser import tokenise
from tests.knowledge_base.embedders import HashedTokens

TEXTS = ("腹胀气怎么缓解", "胸痛放射到左臂", "胸闷气短", "chest pain at rest", "干咳两周")


def lexical() -> LexicalIndex:
    return LexicalIndex([tokenise(text) for text in TEXTS])


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
    assert lexical().search(tokenise("胸痛 左臂"))[0] == 1
    assert lexical().search(tokenise("chest pains"))[0] == 3


def test_a_single_character_in_common_is_no_hit() -> None:
    assert lexical().search(tokenise("天气")) == []


def test_a_query_of_one_character_may_hit() -> None:
    assert lexical().search(tokenise("咳")) == [4]


def test_unknown_words_find_nothing() -> None:
    assert lexical().search(tokenise("quantum chromodynamics")) == []
    assert lexical().search([]) == []


def test_expansion_tokens_find_but_count_less() -> None:
    found = lexical().search(tokenise("胸痛"), also=tokenise("chest pain"), also_weight=0.5)
    assert found[0] == 1
    assert 3 in found


def test_a_mask_removes_documents() -> None:
    allowed = np.array([True, False, True, True, True])
    assert 1 not in lexical().search(tokenise("胸痛"), allowed=allowed)


def test_a_bonus_lifts_hits_and_makes_none() -> None:
    bonus = np.array([9, 9, 0, 0, 0], dtype=np.float32)
    assert lexical().search(tokenise("胸痛 胸闷")) == [2, 1]
    assert lexical().search(tokenise("胸痛 胸闷"), bonus=bonus) == [1, 2]
    assert lexical().search(tokenise("胸痛"), bonus=bonus) == [1]


def test_limit_caps_the_ranking() -> None:
    assert len(lexical().search(tokenise("胸痛胸闷 chest"), limit=2)) == 2


def test_coverage_is_the_weighted_share_of_the_query_that_a_document_holds() -> None:
    index = lexical()
    assert index.coverage(tokenise("chest pain"), [3]) == pytest.approx(1.0)
    assert 0 < index.coverage(tokenise("chest xylophone"), [3]) < 0.5
    assert index.coverage(tokenise("咳"), [4]) == 0.0
    assert index.coverage(tokenise("chest"), []) == 0.0


def test_an_empty_lexical_index_finds_nothing() -> None:
    assert LexicalIndex([]).search(tokenise("胸痛")) == []
    assert LexicalIndex([[], []]).search(tokenise("胸痛")) == []


def test_dense_similarity_is_the_cosine() -> None:
    index = DenseIndex(HashedTokens(), TEXTS)
    similarities = index.similarities("胸痛放射到左臂")
    assert similarities.shape == (len(TEXTS),)
    assert similarities.argmax() == 1
    assert similarities[1] == pytest.approx(1.0, abs=1e-6)
    embedder = HashedTokens()
    expected = embedder.embed(TEXTS) @ embedder.embed(["胸痛放射到左臂"])[0]
    np.testing.assert_allclose(similarities, expected, atol=1e-6)


def test_an_empty_dense_index_has_no_similarities() -> None:
    assert DenseIndex(HashedTokens(), []).similarities("胸痛").shape == (0,)


def test_an_embedder_of_the_wrong_shape_is_refused() -> None:
    class Wrong(HashedTokens):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            return super().embed(texts)[:, :-1]

    with pytest.raises(ValueError, match="embedder gave"):
        DenseIndex(Wrong(), TEXTS)


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
    index = CardFindings(listed, lexicon())
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
