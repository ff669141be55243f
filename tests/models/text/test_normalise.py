"""Normalisation folds writing and keeps every position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.normalise import language_of, normalise


@given(st.text())
def test_the_length_never_changes_so_spans_stay_true(text: str) -> None:
    assert len(normalise(text)) == len(text)


@given(st.text())
def test_normalising_again_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("３９．５℃", "39.5℃"),
        ("發燒頭痛", "发烧头痛"),
        ("CAN’T Breathe", "can't breathe"),
        ("胸痛，氣短", "胸痛,气短"),
    ],
)
def test_width_case_quotes_and_traditional_forms_are_folded(written: str, folded: str) -> None:
    assert normalise(written) == folded


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("胸口疼", "zh"),
        ("chest pain", "en"),
        ("我有 COPD 和 asthma", "zh"),
        ("боль в груди", "unknown"),
        ("胸が痛いです、とても", "unknown"),
        ("12345 !!", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_language_of_a_text(text: str, language: str) -> None:
    assert language_of(text) == language
