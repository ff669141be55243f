"""A named emergency of this moment, one of the past and one that nobody has."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.ruleset import rules
from models.triage.case import CaseReader
from models.triage.request import TriageRequest


@pytest.fixture(scope="module")
def reader() -> CaseReader:
    return CaseReader(lexicon())


def level(reader: CaseReader, *messages: str) -> int | None:
    case = reader.read(TriageRequest(messages=messages))
    return rules().judge_ages(case.facts, case.ages)[0].disposition


@pytest.mark.parametrize(
    "text",
    [
        "我老公心梗了",
        "正在心梗，快来",
        "我爸脑梗了怎么办",
        "我妈突发脑出血，叫不应",
        "老人心肌梗死",
        "my husband is having a heart attack",
        "am I having a heart attack?",
        "my husband had a heart attack",
        "I think she's having a stroke",
        "he just had a stroke",
        "she has had a stroke this morning",
        "had a stroke after the covid vaccine",
        "stroke two days after a booster",
        "after the covid vaccine he had a stroke",
        "打疫苗后中风",
        "接种新冠疫苗后心梗",
    ],
)
def test_a_named_emergency_of_now_is_an_emergency(reader: CaseReader, text: str) -> None:
    assert level(reader, text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "三年前心梗了一次，膝盖疼",
        "心梗支架两年了，来复查",
        "我有心梗史，膝盖疼",
        "我没有心梗",
        "我爸死于心梗",
        "脑梗了两年，想问能不能吃银杏叶",
        "心梗能吃鸡蛋吗",
        "I had a heart attack and take aspirin, my knee hurts",
        "Had a heart attack in 2019, need my tablets",
        "can I fly after having a heart attack",
        "my father died of a heart attack",
        "I am afraid of having a heart attack one day",
        "had a stroke two years after the covid vaccine",
        "2021年打疫苗后中风",
        "中风后能打疫苗吗",
        "can I get the covid vaccine after a stroke",
        "I had a stroke and after the flu jab my arm hurts",
    ],
)
def test_one_that_is_over_or_feared_is_none(reader: CaseReader, text: str) -> None:
    assert level(reader, text) not in (1, 2)


def test_an_answer_about_old_illnesses_is_no_call_for_help(reader: CaseReader) -> None:
    assert level(reader, "膝盖疼", "心梗") not in (1, 2)
    assert level(reader, "my knee hurts", "heart attack") not in (1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "2016年中过风，今天早上开始胳膊又没力气",
        "中风后遗症，左胳膊没力气今天突然加重",
        "had a stroke in 2016 and since this morning the arm is weak again",
    ],
)
def test_a_weak_limb_after_a_stroke_may_be_another(reader: CaseReader, text: str) -> None:
    assert level(reader, text) == 1


@pytest.mark.parametrize(
    "text",
    ["中风后遗症三年，胳膊没力气三年", "stroke survivor, my arms have been weak for 3 years"],
)
def test_weakness_that_a_stroke_left_years_ago_is_no_new_one(reader: CaseReader, text: str) -> None:
    assert level(reader, text) not in (1, 2)


@pytest.mark.parametrize(
    "text", ["电影里的演员心梗了", "the actor in the film had a heart attack", "剧里男主突然胸痛"]
)
def test_the_illness_of_a_story_is_nobodys(reader: CaseReader, text: str) -> None:
    assert level(reader, text) not in (1, 2, 3)


@pytest.mark.parametrize(
    "text", ["我老公是演员，现在心梗了", "my husband, an actor, is having a heart attack"]
)
def test_an_actor_of_the_family_is_a_patient(reader: CaseReader, text: str) -> None:
    assert level(reader, text) == 1
