"""Sentences of both languages are found where they end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.library.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("胸痛15分钟，打120。别开车！好吗？", ["胸痛15分钟，打120。", "别开车！", "好吗？"]),
        ("他说“我胸痛。”然后晕倒。", ["他说“我胸痛。”", "然后晕倒。"]),
        ("Call 120. Do not drive.", ["Call 120.", "Do not drive."]),
        ("A value of 3.5 is high. Repeat it.", ["A value of 3.5 is high.", "Repeat it."]),
        ("Drugs, e.g. Aspirin, with care. Stop.", ["Drugs, e.g. Aspirin, with care.", "Stop."]),
        ("Seen by Dr. Li at St. Mary. Then home.", ["Seen by Dr. Li at St. Mary.", "Then home."]),
        ("打120。[s1][s2]不要等。[3]", ["打120。[s1][s2]", "不要等。[3]"]),
        ("Call 120. [1, 2] Wait. [s3]", ["Call 120. [1, 2]", "Wait. [s3]"]),
        ("Call 120.[1-3] Wait. [s3]", ["Call 120.[1-3]", "Wait. [s3]"]),
        ("first row\nsecond row", ["first row", "second row"]),
        ("no end", ["no end"]),
        ("Is it red? Go now; wait for nobody.", ["Is it red?", "Go now;", "wait for nobody."]),
        ("", []),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text)] == expected


@given(st.text(alphabet="ab 。.!?\n e.g", max_size=80))
def test_nothing_but_blanks_is_between_sentences(text: str) -> None:
    spans = sentences(text)
    assert all(a < b for a, b in spans)
    rest = text
    for a, b in reversed(spans):
        rest = rest[:a] + rest[b:]
    assert not rest.strip()
