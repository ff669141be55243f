"""The knowledge index over the shipped cards, with a tiny embedder: what a caller may rely on."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_base.cards import FOR_PATIENTS, cards
from knowledge_base.search.entry import card_entries
from knowledge_base.search.filters import Filters
from knowledge_base.search.index import (
    AROUND_WEIGHT,
    ASKED_WEIGHT,
    DENSE_WEIGHT,
    WHOLE_WEIGHT,
    KnowledgeIndex,
    SearchHit,
    version_of,
)
from tests.knowledge_base.embedders import HashedTokens


@pytest.fixture(scope="module")
def index() -> KnowledgeIndex:
    """The shipped cards behind a tiny embedder."""
    return KnowledgeIndex.build(HashedTokens())


def ids(hits: list[SearchHit]) -> list[str]:
    return [hit.entry.id for hit in hits]


def test_hits_are_ordered_by_score_and_carry_their_ranks(index: KnowledgeIndex) -> None:
    hits = index.search("胸痛传到左胳膊出冷汗", k=5)
    assert len(hits) == 5
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert hits[0].entry.document == "chest-pain"
    assert hits[0].lexical_rank is not None
    most = 1 + WHOLE_WEIGHT + DENSE_WEIGHT + ASKED_WEIGHT + AROUND_WEIGHT
    assert 1 < hits[0].score <= most


def test_the_same_question_gives_the_same_passages_in_either_language(
    index: KnowledgeIndex,
) -> None:
    zh = index.search("拉肚子怎么补水", language="zh")
    en = index.search("拉肚子怎么补水", language="en")
    assert ids(zh) == ids(en)
    assert {h.language for h in zh} == {"zh"}
    assert {h.language for h in en} == {"en"}


@pytest.mark.parametrize(
    ("query", "language"), [("煤气中毒", "zh"), ("carbon monoxide", "en"), ("CT检查", "zh")]
)
def test_without_a_wish_passages_come_in_the_querys_language(
    index: KnowledgeIndex, query: str, language: str
) -> None:
    assert {h.language for h in index.search(query)} == {language}


def test_an_english_question_finds_chinese_passages_of_the_right_card(
    index: KnowledgeIndex,
) -> None:
    hits = index.search("worst headache of my life", language="zh", k=3)
    assert "sudden-severe-headache" in {h.entry.document for h in hits}


def test_a_lay_synonym_that_no_card_uses_finds_the_formal_term() -> None:
    listed = {name: cards()[name] for name in ("burns", "chest-pain", "palpitations")}
    assert not any("心梗" in p.text for card in listed.values() for p in card.passages)
    hits = KnowledgeIndex.build(HashedTokens(), listed).search("心梗", k=50)
    [best] = [hit for hit in hits if hit.lexical_rank == 1]
    assert best.entry.id == "chest-pain#first_steps:4"


def test_patients_get_only_what_was_written_for_patients(index: KnowledgeIndex) -> None:
    for hit in index.search("发烧", k=50, filters=Filters("patient")):
        assert hit.entry.section in FOR_PATIENTS
        assert cards()[hit.entry.document].head.audience in ("patient", "both")


def test_clinicians_get_only_what_was_written_for_clinicians(index: KnowledgeIndex) -> None:
    hits = index.search("sepsis", k=50, filters=Filters("physician"))
    assert hits
    for hit in hits:
        assert hit.entry.section not in FOR_PATIENTS
        assert cards()[hit.entry.document].head.audience in ("physician", "both")


def test_a_card_for_physicians_is_hidden_from_patients() -> None:
    card = cards()["sepsis"]
    hidden = replace(card, head=card.head.model_copy(update={"audience": "physician"}))
    index = KnowledgeIndex.build(HashedTokens(), {"sepsis": hidden})
    assert index.search("脓毒症 sepsis", filters=Filters("patient")) == []
    assert index.search("脓毒症 sepsis", filters=Filters("physician"))


@pytest.mark.parametrize("k", [-1, 0, 1, 7, 50])
def test_k_is_the_most_that_comes_back(index: KnowledgeIndex, k: int) -> None:
    assert len(index.search("发热", k=k)) == max(k, 0)


@pytest.mark.parametrize(
    "query", ["", "   ", "\n\t", "😀😷🚑", "？？！", "怎么了", "the of and", "\x00", "zzzzqqqq"]
)
def test_nothing_to_ask_finds_nothing(index: KnowledgeIndex, query: str) -> None:
    assert index.search(query) == []


@pytest.mark.parametrize(
    "query",
    [
        "胸痛 AND NOT (title:*) OR 1=1; DROP TABLE cards--",
        '"fever" ~2 +rash -child ^3 [a TO z] {x} \\ /.*/',
        "发热" * 250,
        "fever " * 2000,
        "ﷺ" * 500,
        "痛\u0301\u200d😖" * 100,
        "<script>alert('发烧')</script>",
        "%s %d {0} ${jndi:ldap://x} ../../etc/passwd",
    ],
)
def test_hostile_queries_are_only_words(index: KnowledgeIndex, query: str) -> None:
    hits = index.search(query, k=10)
    assert len(hits) <= 10


@settings(max_examples=100, deadline=None)
@given(
    st.text(alphabet=st.characters() | st.sampled_from(string.printable + "胸痛发热"), max_size=600)
)
def test_any_text_is_a_safe_query(index: KnowledgeIndex, query: str) -> None:
    for hit in index.search(query, k=3):
        assert hit.shown.text


def test_threads_share_an_index(index: KnowledgeIndex) -> None:
    queries = ["胸痛", "fever in a child", "拉肚子", "头晕 vertigo"] * 25
    alone = [ids(index.search(q)) for q in queries]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda q: ids(index.search(q)), queries)) == alone


def test_the_version_changes_exactly_with_the_content(index: KnowledgeIndex) -> None:
    card = cards()["burns"]
    first, *rest = card.passages
    reworded = replace(card, passages=(replace(first, text=first.text + "。"), *rest))
    newer = card.head.model_copy(update={"findings": ("burn",)})
    versions = {
        version_of(card_entries([one])) for one in (card, reworded, replace(card, head=newer))
    }
    assert len(versions) == 3
    assert index.version == version_of(card_entries(cards().values()))


def test_an_index_without_cards_finds_nothing() -> None:
    assert KnowledgeIndex.build(HashedTokens(), {}).search("胸痛") == []
