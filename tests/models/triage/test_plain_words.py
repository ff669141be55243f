"""Emergencies in plain words and bare numbers reach the rules by themselves, without a model."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.ruleset import rules
from models.triage.case import Case, CaseReader
from models.triage.request import TriageRequest

READER = CaseReader(lexicon())


def case(text: str) -> Case:
    return READER.read(TriageRequest(text=text))


def level(text: str) -> int:
    found = case(text)
    verdict, _ = rules().judge_ages(found.facts, found.ages)
    return verdict.disposition or 4


@pytest.mark.parametrize(
    "text",
    [
        "宝宝生后18天，肛温38.4，吃奶少了一半",
        "日龄20天，体温38.5",
        "化疗后第八天，量了38.3",
        "正在化疗，测了一下38.5",
        "突然头里砰的一声，这辈子没这么疼过",
        "34 weeks pregnant, headache that won't go, sparkles in my vision, pain under my ribs",
        "怀孕34周，头疼，眼前冒金星，右边肋骨下面疼",
        "怀孕38周，从昨天到现在胎儿没怎么动",
        "my baby bump has been quiet since yesterday, 36 weeks",
        "一岁两个月，热汤泼在胸口，一大片起泡脱皮",
        "my 2 year old pulled hot tea over his chest, it has blistered",
        "左眼闪光，好多黑点，像有块黑帘子盖着",
        "有肾结石，腰痛打滚，今天寒战，39.8",
        "runner collapsed during the race, fine now, uncle died suddenly at 31",
    ],
)
def test_an_emergency_in_plain_words_is_one_by_the_rules(text: str) -> None:
    assert level(text) <= 2


@pytest.mark.parametrize(
    ("text", "celsius"),
    [
        ("量了38.3", 38.3),
        ("刚测了一下38.5，有点冷", 38.5),
        ("耳温39.6", 39.6),
        ("今天打寒战，39.8", 39.8),
        ("腰围量了38.5厘米", None),
        ("血糖高，餐后测了7.8", None),
        ("体重38.5公斤", None),
    ],
)
def test_a_number_that_only_a_thermometer_shows_is_a_temperature(
    text: str, celsius: float | None
) -> None:
    assert case(text).facts.values.get("temperature_c") == celsius


@pytest.mark.parametrize(
    ("text", "days"), [("生后18天", 18), ("日龄20天", 20), ("出生第9天", 9), ("宝宝出生后12天", 12)]
)
def test_a_newborns_age_in_days_is_read(text: str, days: int) -> None:
    age = case(f"{text}，发烧38.4").facts.age_years
    assert age == pytest.approx(days / 365.25)


@pytest.mark.parametrize(
    "text",
    ["手术后18天，来拆线", "喝了热茶，舌头有点烫", "the baby has been quiet and sleeping well"],
)
def test_harmless_cousins_stay_harmless(text: str) -> None:
    assert level(text) >= 3


@pytest.mark.parametrize(
    "text",
    [
        "My dad is having a stroke, it scared me",
        "爸中风了，我怕我也会",
        "My dad is having a heart attack and it scared me",
        "我爸心梗了，我也怕",
        "我叔叔突发中风，我担心自己",
        "my brother is having a stroke and it frightened me",
        "my neighbour is having a stroke and it got me worried",
    ],
)
def test_fear_beside_an_emergency_of_now_leaves_it_one(text: str) -> None:
    assert level(text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "anaphylaxis after covid vaccine",
        "过敏性休克打疫苗后",
        "疫苗接种过敏性休克",
        "stroke after covid vaccine",
        "中风打疫苗后",
    ],
)
def test_the_harm_of_a_vaccine_is_an_emergency(text: str) -> None:
    assert level(text) == 1


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("I asked if this crushing chest pain is serious, never got a reply", 1),
        ("I asked about my chest pain, no one helped", 3),
        ("我想询问胸痛，吃药没有，很急", 3),
    ],
)
def test_a_question_without_an_answer_denies_nothing(text: str, most: int) -> None:
    assert level(text) <= most
