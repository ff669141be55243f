"""What is named and not had: vaccines, other people's illness, what was asked and denied."""

from __future__ import annotations

import time

import pytest

from knowledge_base.lexicon.context import vaccine_prevented
from knowledge_base.lexicon.findings import HISTORY, lexicon
from models.text.findings import Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def statuses(reader: Reader, text: str, code: str) -> set[str]:
    return {f.status for f in reader.read(text).findings if f.code == code}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("grazed knee, tetanus up to date", "tetanus"),
        ("small cut, tetanus booster last year", "tetanus"),
        ("splinter out, tetanus in date", "tetanus"),
        ("thorn scratch, last tetanus 2022", "tetanus"),
        ("which meningitis shots does she need", "meningitis"),
        ("is she vaccinated against measles", "measles"),
        ("破伤风加强针去年刚打过", "tetanus"),
        ("手指划破，破伤风前年打过", "tetanus"),
        ("脑膜炎疫苗什么时候打", "meningitis"),
        ("因邻居突发心梗而紧张，自己反复摸脉搏", "myocardial_infarction"),
        ("同事脑出血了，我也想查查", "intracerebral_haemorrhage"),
        ("my neighbour had a heart attack so I want a check-up", "myocardial_infarction"),
        ("网上说和冠心病有关", "coronary_heart_disease"),
        ("水痘疫苗打了", "chickenpox"),
        ("flu vaccine tomorrow", "influenza"),
        ("接种了麻疹疫苗，胳膊有点酸", "measles_rubella"),
        ("同事中风了，我想体检", "stroke_suspected"),
        ("my cousin had a heart attack, it got me worried", "myocardial_infarction"),
    ],
)
def test_a_disease_that_is_only_named_is_not_present(reader: Reader, text: str, code: str) -> None:
    assert "present" not in statuses(reader, text, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("jaw locked after a rusty nail, doctor says tetanus", "tetanus"),
        ("牙关打不开，可能是得了破伤风", "tetanus"),
        ("肺炎打针三天了还烧", "pneumonia"),
        ("dog bite, rabies jab done", "animal_bite"),
        ("狗咬了小腿，狂犬疫苗打完了", "animal_bite"),
        ("my neighbour is having a heart attack, please help", "myocardial_infarction"),
        ("邻居突发心梗，倒在地上了怎么办", "myocardial_infarction"),
        ("anaphylaxis after covid vaccine", "anaphylaxis"),
        ("covid vaccine anaphylaxis", "anaphylaxis"),
        ("过敏性休克打疫苗后", "anaphylaxis"),
        ("疫苗接种过敏性休克", "anaphylaxis"),
        ("myocarditis after covid vaccine", "myocarditis"),
        ("疫苗接种心肌炎", "myocarditis"),
        ("stroke after booster shot", "stroke_history"),
        ("meningitis after MMR vaccine", "meningitis"),
        ("脑炎打疫苗后", "encephalitis"),
        ("she has measles, not vaccinated", "measles_rubella"),
        ("measles despite vaccination", "measles_rubella"),
        ("我爸心梗了，我也怕", "myocardial_infarction"),
        ("My uncle had a heart attack and it scared me", "myocardial_infarction"),
        ("同事心梗了，我怕我也会", "myocardial_infarction"),
    ],
)
def test_a_disease_that_somebody_has_is_present(reader: Reader, text: str, code: str) -> None:
    assert statuses(reader, text, code) == {"present"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("my late father died of a brain bleed, I worry", "intracerebral_haemorrhage"),
        ("dad passed away from a heart attack", "myocardial_infarction"),
        ("我爸脑出血去世", "intracerebral_haemorrhage"),
        ("隔壁老李心梗走了，我没事", "myocardial_infarction"),
    ],
)
def test_what_somebody_died_of_is_not_the_patients(reader: Reader, text: str, code: str) -> None:
    assert {f.experiencer for f in reader.read(text).findings if f.code == code} == {"family"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('Asked about ending his life: "No, never."', "suicidal_ideation"),
        ('asked about harming himself: "No."', "self_harm"),
        ("she clearly denies any wish to die", "suicidal_ideation"),
        ("问及轻生念头时明确否认", "suicidal_ideation"),
        ("被问到自杀，他说没有过", "suicidal_ideation"),
        ("没说过不想活", "suicidal_ideation"),
        ("epilepsy, seizure-free for three years", "seizure"),
        ("问及胸痛，否认", "chest_pain"),
        ("追问胸痛，没有", "chest_pain"),
        ("询问胸痛情况，患者说没有。", "chest_pain"),
        ("asked about chest pain: none", "chest_pain"),
        ("asked about chest pain, she denies", "chest_pain"),
        ("无头晕黑矇，无晕厥", "transient_vision_loss"),
        ("近半年无呕血黑便、无嗜睡", "melaena"),
        ("无外伤发热，大小便正常", "fever"),
        ("无夜间胸痛", "chest_pain"),
        ("没肿，喘气正常", "dyspnoea"),
    ],
)
def test_a_denial_is_heard_in_its_form(reader: Reader, text: str, code: str) -> None:
    assert statuses(reader, text, code) == {"absent"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Asked about suicide, she says yes and has a plan", "suicidal_ideation"),
        ("问到自杀时他说想过", "suicidal_ideation"),
        ("I asked about my chest pain, no one helped", "chest_pain"),
        ("asked about chest pain, never got a reply", "chest_pain"),
        ("I asked about my chest pain, none", "chest_pain"),
        ("我想询问胸痛，吃药没有，很急", "chest_pain"),
        ("想询问胸痛，吃药没有，很急", "chest_pain"),
        ("我询问过胸痛，没有", "chest_pain"),
        ("无发热头痛3天", "headache"),
        ("没有发烧胸痛", "chest_pain"),
        ("发烧正常吗", "fever"),
        ("chest pain: no relief", "chest_pain"),
        ("胸痛还好", "chest_pain"),
    ],
)
def test_what_only_looks_like_a_denial_takes_nothing_away(
    reader: Reader, text: str, code: str
) -> None:
    assert "present" in statuses(reader, text, code)


@pytest.mark.parametrize(
    "text", ["膝盖不是特别痛", "the knee pain is not severe", "knee pain, not very severe"]
)
def test_a_denied_degree_is_not_severe(reader: Reader, text: str) -> None:
    grades = [f.severity for f in reader.read(text).findings if f.code == "knee_pain"]
    assert all(grade is None or grade.name != "severe" for grade in grades)


def test_a_long_list_without_marks_is_read_in_a_moment(reader: Reader) -> None:
    started = time.perf_counter()
    reader.read("无" + "头晕黑矇胸痛" * 40 + "吃了胸痛")
    reader.read("无头痛有过的有过的胸痛" * 20 + "吃了胸痛")
    assert time.perf_counter() - started < 5


def test_what_a_vaccine_prevents_is_a_disease_of_the_lexicon() -> None:
    assert all(lexicon()[code].kind in HISTORY for code in vaccine_prevented())
