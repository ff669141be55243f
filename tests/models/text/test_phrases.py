"""Findings by grammar: a body site and a sensation, in Chinese, English and both at once."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.grammar import grammar
from models.text.findings import Finding, Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def read(reader: Reader, text: str) -> dict[str, Finding]:
    return {f.code: f for f in reader.read(text).findings}


@pytest.mark.parametrize(
    ("text", "code", "site", "side"),
    [
        ("左边膝盖这几天有点肿", "joint_swelling", "knee", "left"),
        ("my left elbow has been a bit puffy", "joint_swelling", "elbow", "left"),
        ("右手大拇指发麻三天了", "numbness", "thumb", "right"),
        ("numbness in my right thumb", "numbness", "thumb", "right"),
        ("我的knee很痛", "knee_pain", "knee", None),
        ("睾丸右侧胀痛", "testicular_pain", "testicle", "right"),
        ("my face is drooping on the left", "facial_droop", "face", "left"),
        ("脚底板起水泡", "skin_blistering", "sole", None),
        ("both of my feet are cold", "cold_extremities", "foot", "both"),
        ("右上腹一阵阵绞痛", "right_upper_quadrant_pain", "upper_abdomen", "right"),
        ("手上皮肤痒", "itching", "hand", None),
    ],
)
def test_a_phrase_gives_the_finding_its_site_and_side(
    reader: Reader, text: str, code: str, site: str, side: str | None
) -> None:
    found = read(reader, text)
    assert code in found, list(found)
    assert (found[code].site, found[code].side) == (site, side)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("头和脖子都疼", {"headache", "neck_pain"}),
        ("pain in my knees and ankles", {"knee_pain", "ankle_foot_pain"}),
        ("my ankle, knee and wrist hurt", {"ankle_foot_pain", "knee_pain", "wrist_hand_pain"}),
    ],
)
def test_sites_that_share_a_sensation_are_all_read(
    reader: Reader, text: str, codes: set[str]
) -> None:
    assert set(read(reader, text)) == codes


@pytest.mark.parametrize(
    "text", ["没有头和脖子疼", "头和脖子都不疼", "no pain in my head and neck"]
)
def test_a_denied_phrase_denies_every_site(reader: Reader, text: str) -> None:
    found = read(reader, text)
    assert found
    assert {f.status for f in found.values()} == {"absent"}


def test_a_not_reaches_no_further_than_its_own_sensation(reader: Reader) -> None:
    found = read(reader, "膝盖不红有点肿")
    assert found["joint_swelling"].status == "present"


@pytest.mark.parametrize(
    "text", ["右边手脚没劲", "右手和右脚都没力气", "weakness in my left arm and left leg"]
)
def test_arm_and_leg_of_one_side_are_one_side_of_the_body(reader: Reader, text: str) -> None:
    assert "unilateral_weakness" in read(reader, text)


@pytest.mark.parametrize(
    "text",
    [
        "手术后恢复",
        "手机拿着头条新闻",
        "胆红素偏高",
        "皮包骨",
        "she came back to work",
        "blood test",
    ],
)
def test_a_word_that_only_holds_a_site_or_a_sensation_is_none(reader: Reader, text: str) -> None:
    assert all(f.site is None for f in reader.read(text).findings)


@pytest.mark.parametrize("text", ["有没有膝盖红", "膝盖会不会肿"])
def test_a_question_is_no_finding(reader: Reader, text: str) -> None:
    assert all(f.status != "present" for f in reader.read(text).findings)


def test_what_is_listed_and_says_something_else_stays(reader: Reader) -> None:
    assert {"dizziness", "peripheral_oedema"} <= set(read(reader, "头晕脚肿"))


def test_an_and_between_two_findings_keeps_bleeding_apart(reader: Reader) -> None:
    found = read(reader, "I have severe lower belly pain and bleeding")
    assert found["bleeding"].site is None
    assert found["bleeding"].severity is None


def test_every_span_of_a_phrase_holds_the_patients_own_words(reader: Reader) -> None:
    text = "我　左邊膝蓋有點腫，頭和脖子都疼；my right hand is numb"
    for finding in reader.read(text).findings:
        assert text[finding.start : finding.end] == finding.text


def test_the_grammar_knows_parts_and_regions() -> None:
    assert grammar().region("thumb") == "upper_limb"
    assert grammar().is_part("eyelid", "face")
    assert grammar().listed("swelling", "calf", "left") == "unilateral_leg_swelling"
