"""The measures of reading ease agree with texts whose ease is known."""

from __future__ import annotations

import pytest

from eval.readability import (
    flesch_kincaid_grade,
    longest_sentence_zh,
    rare_share_zh,
    syllables,
)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("pain", 1),
        ("doctor", 2),
        ("emergency", 4),
        ("breathe", 1),
        ("changed", 1),
        ("vomited", 3),
        ("little", 2),
        ("the", 1),
    ],
)
def test_syllables_are_counted_as_spoken(word: str, count: int) -> None:
    assert syllables(word) == count


def test_short_plain_words_are_easier_than_long_ones() -> None:
    plain = "Go to bed. Drink water. Call a doctor if it gets worse."
    hard = (
        "Immediate multidisciplinary evaluation is indicated whenever haemodynamic instability "
        "accompanies gastrointestinal haemorrhage."
    )
    assert flesch_kincaid_grade(plain) < 4
    assert flesch_kincaid_grade(hard) > 15
    assert flesch_kincaid_grade("") == 0


def test_splitting_a_sentence_makes_it_easier() -> None:
    long = "If your leg swells and hurts after a long trip go to hospital today and do not rub it."
    short = "Your leg may swell and hurt after a long trip. Go to hospital today. Do not rub it."
    assert flesch_kincaid_grade(short) < flesch_kincaid_grade(long)


def test_chinese_is_measured_by_its_longest_sentence_and_its_rare_characters() -> None:
    assert longest_sentence_zh("胸痛，出冷汗。马上拨打120。") == 7
    assert rare_share_zh("马上去看医生") == 0
    assert rare_share_zh("瘙痒") == pytest.approx(0.5)
