"""Harmless words that stood near an alarm, each beside the emergency that must still be heard."""

from __future__ import annotations

import pytest

from tests.models.triage.test_probes import judged

EMERGENCY, TODAY = 2, 3

CALM = [
    "28F, mild dandruff for a month",
    "Lump on wrist, smooth, 28F. Painless.",
    "Gout, second attack was in spring, now symptom-free.",
    "the nurse took my bp at my check, baby kicking well, told to phone somebody",
    "7 yo boy, grazed both knees. Cleaned, no bleeding, tetanus up to date.",
    "snoring for years, wife says I stop breathing in my sleep",
    "hair thinning at the crown, two years",
    "one pimple before prom",
    "splinter out of my thumb, one tiny red dot",
    "would like help cutting down on wine",
    "Epilepsy, seizure-free for three years, requests a driving form.",
    "Pulmonary embolism in 2016, no problems since, asks about stockings for a flight.",
    "A woman is seen for follow-up after a suicide attempt nineteen years ago. Well since then.",
    "手指被A4纸划了一道，不出血，破伤风加强针去年刚打过",
    "献血后第二天，针眼周围青紫2cm，不痛",
    "支架放了五年一直没事，阿司匹林要不要一直吃下去",
    "肝硬化复查，近半年无呕血黑便、无嗜睡",
    "体检窦性心动过缓，长跑二十年，无头晕黑矇，无晕厥",
    "开会前手心出汗，问及轻生念头时明确否认",
    "38岁，肺栓塞后第四年，无气短，来咨询避孕",
    "手腕骨折石膏拆了六周，怎么锻炼",
]
ALARMS = [
    ("temp 88F after falling in the river, drowsy", EMERGENCY),
    ("94F, shivering stopped, confused", EMERGENCY),
    ("my boyfriend attacked me and keeps kicking me", EMERGENCY),
    ("jaw is locked, stepped on a rusty nail a week ago", EMERGENCY),
    ("my husband has stopped breathing", EMERGENCY),
    ("baby's head is crowning", EMERGENCY),
    ("36 weeks, PROM this morning", EMERGENCY),
    ("tiny red dots all over and a fever", EMERGENCY),
    ("poison line said watch, licked some toilet cleaner, sore lips", EMERGENCY),
    ("poison control told us to get him checked", TODAY),
    ("a seizure in 2015 and another seizure now", EMERGENCY),
    ("PE in 2016, now breathless with chest pain since this morning", EMERGENCY),
    ("suicide attempt years ago, and tonight I want to kill myself", EMERGENCY),
    ("牙关紧闭打不开，全身抽，十天前踩了钉子", EMERGENCY),
    ("口唇周围青紫，喘不上气", EMERGENCY),
    ("站在楼顶，要不要跳下去", EMERGENCY),
    ("肝硬化，无发热，刚刚呕血", EMERGENCY),
    ("问到自杀时他说想过，药都攒好了", EMERGENCY),
    ("肺栓塞后第四年，今早又突然喘不上气胸痛", EMERGENCY),
    ("2016年脑梗，今早右手又没力了", EMERGENCY),
    ("邻居突发心梗，倒在地上没有呼吸了", EMERGENCY),
]


@pytest.mark.parametrize("text", CALM)
def test_harmless_words_alarm_nobody(text: str) -> None:
    result = judged(text)
    assert result.level > EMERGENCY, [rule.id for rule in result.verdict.fired]


@pytest.mark.parametrize(("text", "at_most"), ALARMS)
def test_the_emergency_beside_them_is_heard(text: str, at_most: int) -> None:
    result = judged(text)
    assert result.level <= at_most, [rule.id for rule in result.verdict.fired]
