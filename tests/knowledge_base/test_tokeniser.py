"""Search tokens: the same words give the same tokens, whatever script, width or spelling."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.tokeniser import fold, tokenise


def test_chinese_gives_characters_and_pairs() -> None:
    assert tokenise("拉肚子") == ["拉", "肚", "子", "拉肚", "肚子"]


def test_pairs_do_not_reach_over_punctuation_or_other_scripts() -> None:
    assert tokenise("胸，痛") == ["胸", "痛"]
    assert tokenise("做CT吗") == ["做", "ct"]


def test_english_words_are_lower_case_and_stemmed() -> None:
    assert tokenise("Vomiting vomited VOMITS") == ["vomit"] * 3


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("diarrhoea", "diarrhea"),
        ("haemorrhage", "hemorrhage"),
        ("oesophageal", "esophageal"),
        ("anaemias", "anemia"),
    ],
)
def test_british_and_american_spellings_agree(british: str, american: str) -> None:
    assert tokenise(british) == tokenise(american)


def test_function_words_are_left_out() -> None:
    assert tokenise("what is the") == []
    assert tokenise("怎么了呢") == []


def test_a_pair_with_one_function_character_stays() -> None:
    assert "不了" in tokenise("动不了")


def test_full_width_and_traditional_forms_fold() -> None:
    assert tokenise("ＣＯＰＤ") == tokenise("copd")
    assert tokenise("頭暈") == tokenise("头晕")
    assert tokenise("乾咳") == tokenise("干咳")


def test_numbers_are_tokens() -> None:
    assert tokenise("体温39.5") == ["体", "温", "体温", "39", "5"]


@pytest.mark.parametrize("text", ["", "   ", "😷🤒", "？！…", "___", "\u200b\x00"])
def test_text_without_words_has_no_tokens(text: str) -> None:
    assert tokenise(text) == []


@given(st.text(max_size=200))
def test_any_text_is_safe_and_folding_is_stable(text: str) -> None:
    tokens = tokenise(text)
    assert all(tokens)
    assert tokenise(fold(text)) == tokens


def test_a_hundred_characters_take_well_under_a_millisecond() -> None:
    text = "我妈妈昨天晚上突然说话不清楚嘴角歪了 and could not lift her left arm " * 2
    tokenise(text)
    best = min(_seconds(text) for _ in range(20))
    assert best < 0.002


def _seconds(text: str) -> float:
    start = time.perf_counter()
    tokenise(text)
    return time.perf_counter() - start
