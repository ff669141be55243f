"""What a date, an age or a cue makes past, and what keeps it in the present."""

from __future__ import annotations

import pytest

from models.text.durations import find_durations
from models.text.findings import Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def temporality(reader: Reader, text: str, code: str) -> str:
    return next(f.temporality for f in reader.read(text).findings if f.code == code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Pulmonary embolism in 2016 after a flight", "pulmonary_embolism"),
        ("had a wrist fracture in 2015, aches when it rains", "fracture_suspected"),
        ("Past stroke 2017, stable", "stroke_history"),
        ("vertebral fracture healed three years ago", "spinal_injury"),
        ("Anaphylaxis to peanut in childhood", "anaphylaxis"),
        ("a suicide attempt nineteen years ago, well since then", "suicide_attempt"),
        ("took an overdose when I was 17", "overdose"),
        ("broken foot healing ok", "fracture_suspected"),
        ("survived sepsis in March", "sepsis"),
        ("肺栓塞后第四年，无气短", "pulmonary_embolism"),
        ("2018年肺栓塞，已停药", "pulmonary_embolism"),
        ("既往2009年右前臂骨折，愈合良好", "fracture_suspected"),
        ("三年前手腕骨折已愈", "fracture_suspected"),
        ("骨折石膏拆了六周", "fracture_suspected"),
        ("小时候得过热性惊厥", "febrile_seizure"),
    ],
)
def test_what_is_dated_or_healed_is_past(reader: Reader, text: str, code: str) -> None:
    assert temporality(reader, text, code) == "past"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("stroke in 2016 and a weak arm", "limb_weakness"),
        ("a stroke two years ago and crushing chest pain", "crushing_chest_pain"),
        ("had a stroke in 2016 and since this morning the arm is weak again", "limb_weakness"),
        ("heart attack in 2015, chest pain today", "chest_pain"),
        ("chest pain started two years ago", "chest_pain"),
        ("a seizure in 2015 and another seizure now", "seizure"),
        ("pulmonary embolism in 2099", "pulmonary_embolism"),
        ("2016年脑梗，今早右手又没力了", "unilateral_weakness"),
        ("脑梗3年前，现在说话不清", "slurred_speech"),
        ("脑出血后3年，今天突然头痛", "sudden_headache"),
        ("胸痛2016年开始，一直有", "chest_pain"),
        ("孕妇2024年剖宫产，现在35周出血", "pregnancy"),
        ("孕妇2024年3月初诊，现在出血", "pregnancy"),
        ("diagnosed with COPD in 2015, breathless", "copd"),
    ],
)
def test_an_old_illness_takes_nothing_of_today_with_it(
    reader: Reader, text: str, code: str
) -> None:
    found = [f.temporality for f in reader.read(text).findings if f.code == code]
    assert "now" in found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2019年做过支架 胸痛出汗", "chest_pain"),
        ("3年前做了支架 胸口疼得厉害", "severe_chest_pain"),
        ("5年前心梗胸痛出汗", "chest_pain"),
        ("三年前手术 胸痛", "chest_pain"),
        ("two years ago stent crushing chest pain", "crushing_chest_pain"),
        ("two years ago surgery crushing chest pain", "crushing_chest_pain"),
        ("At age 60 chest pain crushing", "chest_pain"),
        ("60岁时突发胸痛", "chest_pain"),
    ],
)
def test_a_date_belongs_to_the_first_thing_it_meets(reader: Reader, text: str, code: str) -> None:
    assert temporality(reader, text, code) == "now"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2019年做过支架 胸痛出汗", "coronary_stent_or_bypass"),
        ("5年前心梗胸痛出汗", "myocardial_infarction"),
        ("2016年 脑梗", "cerebral_infarction"),
        ("三年前得过一次脑梗", "cerebral_infarction"),
        ("two years ago I had a stroke", "stroke_history"),
        ("chest pain in 1945", "chest_pain"),
        ("stroke (2017), stable", "stroke_history"),
        ("stroke in the spring of 2015", "stroke_history"),
    ],
)
def test_what_a_date_meets_first_is_past(reader: Reader, text: str, code: str) -> None:
    assert temporality(reader, text, code) == "past"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("女儿5岁时不时抽搐", "seizure"),
        ("宝宝3岁时不时喘不过气", "dyspnoea"),
        ("孩子5岁时常抽搐", "seizure"),
        ("孩子5岁时而抽搐", "seizure"),
        ("孩子5岁时有抽搐", "seizure"),
    ],
)
def test_now_and_then_is_no_age_of_long_ago(reader: Reader, text: str, code: str) -> None:
    assert temporality(reader, text, code) == "now"


@pytest.mark.parametrize("text", ["女儿5岁时抽搐过", "女儿5岁的时候抽搐", "5岁那年抽搐"])
def test_what_happened_at_an_age_is_past(reader: Reader, text: str) -> None:
    assert temporality(reader, text, "seizure") == "past"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("chest pain at 1930, sweating", "chest_pain"),
        ("collapsed at 1945, chest pain", "syncope"),
        ("collapsed about 2010", "syncope"),
        ("collapsed @ 2015, sweating", "syncope"),
        ("chest pain 1945hrs", "chest_pain"),
        ("chest pain 1930, sweating", "chest_pain"),
        ("chest pain 2015 hours", "chest_pain"),
        ("overdose of 2000 mg", "overdose"),
        ("overdose 2000 milligrams", "overdose"),
        ("overdose of 2000", "overdose"),
    ],
)
def test_an_hour_or_an_amount_is_no_year(reader: Reader, text: str, code: str) -> None:
    assert temporality(reader, text, code) == "now"


@pytest.mark.parametrize("text", ["2009年骨折", "2016年脑梗"])
def test_a_calendar_year_is_no_duration(text: str) -> None:
    assert find_durations(text) == []
