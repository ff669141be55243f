"""Typing errors of one character: read over, marked, and never made out of ordinary words."""

from __future__ import annotations

import pytest

from models.text.findings import Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("孩子发骚了", "fever"),
        ("拉肚孑", "diarrhoea"),
        ("呼吸困准", "dyspnoea"),
        ("胸门气短", "chest_tightness"),
        ("chest pian", "chest_pain"),
        ("haert attack", "myocardial_infarction"),
        ("unconcious", "unconsciousness"),
        ("shortnes of breath", "dyspnoea"),
        ("dizzyness", "dizziness"),
    ],
)
def test_one_wrong_character_hides_no_finding(reader: Reader, text: str, code: str) -> None:
    found = [f for f in reader.read(text).findings if f.code == code]
    assert found
    assert found[0].corrected
    assert text[found[0].start : found[0].end] == found[0].text


@pytest.mark.parametrize(
    "text",
    [
        "breeding dogs", "shallow water", "the prison guard", "overdone steak", "pian", "a rental",
        "swearing a lot", "头通常没事", "牙膏牙刷", "我在拉西藏旅游", "来自沙特", "方法烧脑",
    ],
)  # fmt: skip
def test_an_ordinary_word_is_left_alone(reader: Reader, text: str) -> None:
    assert not [f for f in reader.read(text).findings if f.corrected]


def test_what_is_written_right_is_never_marked(reader: Reader) -> None:
    findings = reader.read("胸痛、发烧，chest pain and diarrhoea").findings
    assert len(findings) >= 3
    assert not any(f.corrected for f in findings)


@pytest.mark.parametrize("text", ["胸 口 痛", "我胸　口　痛", "胸  口  痛"])
def test_spaced_writing_is_read(reader: Reader, text: str) -> None:
    found = [f for f in reader.read(text).findings if f.code == "chest_pain"]
    assert found
    assert text[found[0].start : found[0].end] == found[0].text


def test_blanks_between_words_still_part_them(reader: Reader) -> None:
    codes = {f.code for f in reader.read("头痛 胸闷 发烧").findings}
    assert {"headache", "chest_tightness", "fever"} <= codes
