"""From words to facts: later words win, relatives are patients, families are not."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.ruleset import rules
from models.triage.case import Case, CaseReader
from models.triage.learned import CRISIS, EMERGENCY, SAME_DAY
from models.triage.request import TriageRequest, Vitals


@pytest.fixture(scope="module")
def reader() -> CaseReader:
    return CaseReader(lexicon())


def case(reader: CaseReader, *messages: str, **more: object) -> Case:
    return reader.read(TriageRequest(messages=messages, **more))  # type: ignore[arg-type]


def status(found: Case, code: str) -> str | None:
    observation = found.facts.observations.get(code)
    return None if observation is None else observation.status


def test_a_later_message_changes_an_earlier_one(reader: CaseReader) -> None:
    assert status(case(reader, "我胸痛", "没有胸痛，说错了"), "chest_pain") == "absent"


def test_a_quick_reply_wins_over_words(reader: CaseReader) -> None:
    found = case(reader, "没有胸痛", answers={"chest_pain": "present"})
    assert status(found, "chest_pain") == "present"


def test_a_contradiction_in_one_message_stays_present_and_is_said(reader: CaseReader) -> None:
    found = case(reader, "没有胸痛。刚才胸痛了。")
    assert status(found, "chest_pain") == "present"
    assert "chest_pain" in found.contradictions


def test_a_childs_symptom_told_by_a_parent_is_the_patients(reader: CaseReader) -> None:
    assert status(case(reader, "孩子发烧了"), "fever") == "present"


def test_the_familys_disease_is_not_the_patients(reader: CaseReader) -> None:
    found = case(reader, "家里人有糖尿病，我最近头晕")
    assert "diabetes" not in found.facts.history
    assert status(found, "diabetes") is None


def test_a_measured_fever_is_a_fever_whatever_was_said(reader: CaseReader) -> None:
    found = case(reader, "没有发烧", vitals=Vitals(temperature_c=39.2))
    assert status(found, "fever") == "present"


def test_conditions_may_come_as_codes_or_words(reader: CaseReader) -> None:
    found = case(reader, "头晕", conditions=("diabetes", "高血压"), medicines=("华法林",))
    assert {"diabetes", "hypertension", "anticoagulant_use"} <= found.facts.history


def test_every_question_of_a_rule_has_its_words() -> None:
    kinds = {"symptom", "sign", "event", "exposure", "state"}
    looked_at = {code for rule in rules().red_flags for code in rule.condition.findings()}
    asked = {code for code in looked_at if lexicon()[code].kind in kinds}
    # What the learned model hears is no finding that a patient could be asked for.
    heard = {EMERGENCY, SAME_DAY, CRISIS}
    assert questions().keys() >= asked - heard
    assert not heard & questions().keys()


def test_pregnancy_is_understood_and_makes_the_patient_female(reader: CaseReader) -> None:
    found = case(reader, "怀孕10周，有点出血")
    assert found.facts.pregnant is True
    assert found.facts.sex == "female"


def test_of_two_values_the_worse_counts_and_the_difference_is_said(reader: CaseReader) -> None:
    found = case(reader, "血氧82", vitals=Vitals(spo2=98))
    assert found.facts.values["spo2"] == 82
    assert "spo2" in found.contradictions
    again = case(reader, "早上血氧98，现在血氧82")
    assert again.facts.values["spo2"] == 82


def test_a_quick_reply_never_takes_a_present_finding_away(reader: CaseReader) -> None:
    found = case(reader, "现在突然喘不上气", answers={"dyspnoea": "absent"})
    assert status(found, "dyspnoea") == "present"
    assert "dyspnoea" in found.contradictions


def test_a_later_question_keeps_what_was_said(reader: CaseReader) -> None:
    found = case(reader, "突然呼吸困难", "是不是呼吸困难就要去医院")
    assert status(found, "dyspnoea") == "present"
    assert found.facts.observations["dyspnoea"].sudden is True


def test_known_facts_alone_do_not_make_words_understood(reader: CaseReader) -> None:
    assert not case(reader, "我这里嘎嘎的", conditions=("高血压",), pregnant=True).understood


def test_every_stated_age_is_kept(reader: CaseReader) -> None:
    found = case(reader, "I am 35 years old, my 1-month-old baby has a fever of 39")
    assert found.ages == (35.0, pytest.approx(1 / 12))
    assert "age" in found.contradictions


def test_a_severe_word_gives_the_severe_finding(reader: CaseReader) -> None:
    assert status(case(reader, "头剧烈疼痛"), "severe_headache") == "present"


def test_the_language_is_that_of_the_last_words(reader: CaseReader) -> None:
    assert case(reader, "headache", "头痛").language == "zh"


def level(found: Case) -> int:
    return rules().judge_ages(found.facts, found.ages)[0].disposition or 4


@pytest.mark.parametrize(
    ("mine", "relatives"),
    [
        ("我头晕，", "我妈有糖尿病，她今天昏倒了"),
        ("我嗓子疼，", "孩子有哮喘，今天喘得厉害"),
        ("我有点咳嗽，", "我爸在吃华法林，昨天摔到头了"),
        ("我感冒了，", "我老婆化疗中，今天发烧"),
        ("我咳嗽，", "老婆怀孕了，今天肚子疼还出血"),
        ("My back hurts. ", "My father takes warfarin and hit his head yesterday"),
        ("I feel tired. ", "My wife is on chemotherapy and has a fever"),
        ("I have a headache. ", "My son has asthma and can't breathe"),
        ("I have a cold. ", "My wife is pregnant and has vaginal bleeding"),
    ],
)
def test_a_relative_who_is_ill_too_is_judged_with_his_own_diseases(
    reader: CaseReader, mine: str, relatives: str
) -> None:
    alone, both = case(reader, relatives), case(reader, mine + relatives)
    assert level(both) <= level(alone)


@pytest.mark.parametrize(
    ("text", "disease"),
    [
        ("我头晕，我妈有糖尿病", "diabetes"),
        ("My mother has diabetes. I have a headache.", "diabetes"),
        ("我头疼，我儿子感冒流鼻涕", "common_cold"),
        ("I have back pain and a fever. My son has eczema that itches", "eczema"),
    ],
)
def test_a_relatives_disease_never_becomes_the_speakers_for_nothing(
    reader: CaseReader, text: str, disease: str
) -> None:
    assert disease not in case(reader, text).facts.history


@pytest.mark.parametrize("text", ["我爸去年心梗了", "Had a heart attack in 2019", "以前得过肺炎"])
def test_an_illness_of_the_past_is_understood(reader: CaseReader, text: str) -> None:
    assert case(reader, text).understood


def test_a_past_illness_beside_unread_words_is_not_enough(reader: CaseReader) -> None:
    unread = "这两天家里那个东西总是咕噜咕噜地往上涌到那里又绕回来然后就整个都不对头了很奇怪"
    assert not case(reader, f"三年前得过肺炎。{unread}").understood


@pytest.mark.parametrize(
    "text", ["最近睡不着，什么都没意思", "can't sleep, nothing interests me any more"]
)
def test_loss_of_interest_does_not_end_at_self_care(reader: CaseReader, text: str) -> None:
    facts = case(reader, text, age_years=30).facts
    assert rules().judge_ages(facts, (30,))[0].disposition == 4


def test_sleeplessness_alone_may(reader: CaseReader) -> None:
    facts = case(reader, "最近睡不着", age_years=30).facts
    assert rules().judge_ages(facts, (30,))[0].disposition == 5
