"""Advice that a twelve-year-old can read, with its documents, without a diagnosis or a dose.

Every shipped rule, card and safety-netting sentence is checked, then whole answers.
"""

from __future__ import annotations

import re

import pytest

from eval.readability import flesch_kincaid_grade, longest_sentence_zh, rare_share_zh
from knowledge_base.cards import FOR_PATIENTS, Section, cards
from knowledge_base.check import DOSES
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.facts import Facts
from knowledge_base.rules.ruleset import rules
from knowledge_base.safety_net import safety_net
from models.repository import ModelRepository
from models.tasks.triage import TriageTask
from models.triage.advice import advise, choose_cards, come_back
from models.triage.request import TriageRequest
from models.triage.result import AdviceResult

GRADE = 7.0
"""Flesch-Kincaid grade of a twelve-year-old, for a whole section or answer."""
ONE_SENTENCE_GRADE = 9.0
"""A single passage swings more: it may hold one long word that has no plain one."""
SENTENCE_ZH = 35
RARE_ZH = 0.05

DIAGNOSIS = re.compile(
    r"(?<!if )(?<!when )(?<!may )(?<!or )(?<!and )\byou(?:'ve| have) (?:got )?(?:a |an |the )?"
    r"(?:heart attack|stroke|cancer|diabetes|pneumonia|meningitis|sepsis|appendicitis|clot)\b"
    r"|您(?:得了|患有|患了|是)(?:心梗|中风|癌|糖尿病|肺炎|脑膜炎|败血症|阑尾炎|血栓)|确诊为",
    re.I,
)

PATIENT_TEXTS: list[tuple[str, Language, str]] = [
    *(
        (f"{what} of {rule.id}", language, text)
        for rule in rules().by_id.values()
        for what, texts in (("advice", rule.text.advice), ("rationale", rule.text.rationale))
        for language, text in texts.items()
    ),
    *(
        (passage.id, passage.language, passage.text)
        for card in cards().values()
        for passage in card.passages
        if passage.section in FOR_PATIENTS
    ),
    *(
        (f"safety net {number}", language, advice.text[language])
        for number, advice in enumerate(
            (*(a for some in safety_net().levels.values() for a in some), *safety_net().limits)
        )
        for language in advice.text
    ),
]


@pytest.mark.parametrize(
    ("language", "text"),
    [pytest.param(language, text, id=f"{of} {language}") for of, language, text in PATIENT_TEXTS],
)
def test_each_text_for_patients_is_plain_and_neither_diagnoses_nor_doses(
    language: Language, text: str
) -> None:
    if language == "en":
        assert flesch_kincaid_grade(text) <= ONE_SENTENCE_GRADE
    else:
        assert longest_sentence_zh(text) <= SENTENCE_ZH
    assert not DIAGNOSIS.search(text)
    assert not any(dose.search(text) for dose in DOSES)


@pytest.mark.parametrize("section", sorted(FOR_PATIENTS))
def test_a_section_reads_at_the_age_of_twelve(section: Section) -> None:
    for card in cards().values():
        english = " ".join(p.text for p in card.section(section, "en"))
        chinese = "".join(p.text for p in card.section(section, "zh"))
        assert flesch_kincaid_grade(english) <= GRADE, card.head.id
        assert rare_share_zh(chinese) <= RARE_ZH, card.head.id


TASK = TriageTask(ModelRepository().get("department"))


def advice(text: str, **more: object) -> tuple[AdviceResult, int]:
    judged = TASK.read(TriageRequest(text=text, **more))  # type: ignore[arg-type]
    language: Language = "en" if judged.case.language == "en" else "zh"
    named = (rule.text.card for rule in judged.verdict.fired)
    chosen = choose_cards(cards(), named, judged.case.present, judged.case.facts)
    made = advise(judged.case, judged.verdict, judged.level, chosen, lexicon(), language)
    return made, judged.level


ANSWERS = [
    "crushing chest pain and cold sweat",
    "sore throat for two days and a runny nose",
    "my 8 month old baby has had diarrhoea since yesterday",
    "my back has hurt for six weeks",
    "I want to kill myself",
    "I have hives all over",
    "胸口压榨样疼痛，出冷汗",
    "嗓子疼两天，流鼻涕",
    "孩子拉肚子一天了",
    "最近总是失眠",
    "我不想活了",
]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_says_what_to_do_when_to_come_back_and_what_to_tell(text: str) -> None:
    made, level = advice(text)
    language: Language = "en" if text.isascii() else "zh"
    assert made.now[language]
    assert made.come_back
    assert all(line.sources for line in made.come_back)
    assert all(passage.sources for passage in (*made.watch_for, *made.self_care))
    assert made.tell_the_doctor
    if level <= 2:
        assert not made.self_care
    if language == "en":
        shown = [made.now["en"], *(p.text for p in (*made.watch_for, *made.self_care))]
        shown += [line.text for line in made.come_back]
        assert flesch_kincaid_grade(" ".join(shown)) <= GRADE


def test_the_list_for_the_doctor_holds_what_the_patient_said_and_nothing_else() -> None:
    made, _ = advice(
        "I have had chest pain for 3 days, no fever. I take warfarin. My father had a stroke.",
        age_years=61,
    )
    told = "\n".join(made.tell_the_doctor)
    assert "61 years old" in told
    assert "chest pain (for 3 days)" in told
    assert "You said no to: fever" in told
    assert "warfarin" in told
    assert "In the family: stroke" in told
    assert "heart attack" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("今天早上右手无力", "今天早上"),
        ("胸痛，今天早上8点开始", "今天早上8点"),
        ("chest pain since this morning", "this morning"),
        ("weak arm since 8:30 am today", "since 8:30 am today"),
    ],
)
def test_a_stated_hour_is_told_to_the_doctor_and_no_number_made_of_it(text: str, told: str) -> None:
    made, _ = advice(text)
    listed = "\n".join(made.tell_the_doctor)
    assert told in listed
    assert "小时" not in listed
    assert "hours" not in listed


def test_a_pregnancy_is_said_once() -> None:
    made, _ = advice("怀孕了，头疼两天", pregnant=True)
    assert "\n".join(made.tell_the_doctor).count("怀孕") == 1


def test_the_list_is_in_the_language_of_the_answer() -> None:
    made, _ = advice("胸闷三天，没有发烧，我在吃华法林，高压一百八", age_years=0.5)
    told = "\n".join(made.tell_the_doctor)
    for part in ("6个月大", "胸闷（已有3天）", "您说没有：发热", "华法林", "高压180"):
        assert part in told


def test_broader_findings_are_not_listed_beside_the_exact_one() -> None:
    made, _ = advice("crushing chest pain")
    assert made.tell_the_doctor == ("What is wrong: crushing chest pain (severe)",)


def test_each_complaint_has_one_line_with_what_was_said_of_it() -> None:
    made, _ = advice("左边膝盖突然肿了两天。头痛一阵一阵的。右手大拇指麻")
    assert made.tell_the_doctor == (
        "不舒服的地方：关节肿胀（左膝盖、突然出现、已有2天）",
        "不舒服的地方：头痛（时有时无）",
        "不舒服的地方：麻木（右大拇指）",
    )
    made, _ = advice(
        "my left knee has been swollen for 3 days and is getting worse. I feel nauseous."
    )
    assert made.tell_the_doctor == (
        "What is wrong: swollen joint (left knee, for 3 days, getting worse)",
        "What is wrong: nausea",
    )


def test_an_exact_finding_that_was_ticked_keeps_how_long_the_complaint_has_lasted() -> None:
    made, _ = advice("头痛两天", answers={"severe_headache": "present"})
    assert made.tell_the_doctor == ("不舒服的地方：剧烈头痛（已有2天）",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stomach pain, getting worse, and vomiting that is getting worse", "getting worse"),
        ("头痛越来越严重，病情加重了", "加重"),
        ("a severe headache", "severe"),
        ("嗓子突然疼", "突然"),
    ],
)
def test_the_list_says_nothing_twice_of_one_complaint(text: str, words: str) -> None:
    made, _ = advice(text)
    assert all(line.count(words) <= 1 for line in made.tell_the_doctor)


def test_getting_worse_is_a_line_of_its_own_only_where_no_complaint_says_it() -> None:
    alone, _ = advice("病情加重了")
    assert alone.tell_the_doctor == ("不舒服的地方：病情加重",)
    beside, _ = advice("my knee pain is getting worse")
    assert beside.tell_the_doctor == ("What is wrong: knee pain (getting worse)",)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_warning_signs_are_only_spoken_of_where_some_are_listed(
    level: int, language: Language
) -> None:
    facts = TASK.read(TriageRequest(text="脚痒")).case.facts
    net = safety_net()
    named = "警惕信号" if language == "zh" else "warning signs"
    without = [a.text for a in come_back(net, level, facts, language, signs=False)]
    beside = [a.text for a in come_back(net, level, facts, language, signs=True)]
    assert not any(named in text for text in without)
    assert any(named in text for text in beside) is (level > 2)
    assert len(without) == len(beside)


@pytest.mark.parametrize(
    ("text", "card"),
    [
        ("头疼两天", "headache-tension-migraine"),
        ("headache and a swollen knee", "headache-tension-migraine"),
        ("肚子疼", "acute-abdominal-pain"),
        ("咳嗽", "common-cold-cough"),
        ("fever since yesterday", "fever-in-adults"),
        ("拉肚子一天", "acute-diarrhoea-vomiting"),
        ("犬吠样咳嗽，吸气有喉鸣", "acute-breathlessness"),
        ("barking cough with stridor", "acute-breathlessness"),
        ("失眠", "insomnia"),
    ],
)
def test_the_card_that_is_about_the_complaint_is_cited_first(text: str, card: str) -> None:
    made, _ = advice(text)
    assert made.watch_for[0].card == card


@pytest.mark.parametrize("text", ["最近很疲劳", "I am always tired"])
def test_tiredness_alone_is_no_sleeplessness(text: str) -> None:
    made, _ = advice(text)
    assert "insomnia" not in {passage.card for passage in (*made.watch_for, *made.self_care)}


@pytest.mark.parametrize(
    ("age", "first", "never"),
    [
        (0.75, "fever-in-young-children", None),
        (30.0, "fever-in-adults", "fever-in-young-children"),
    ],
)
def test_a_young_childs_fever_has_a_card_of_its_own(
    age: float, first: str, never: str | None
) -> None:
    chosen = [c.head.id for c in choose_cards(cards(), (), ("fever",), Facts(age_years=age))]
    assert chosen[0] == first
    assert never not in chosen


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (Facts(sex="male", age_years=40), False),
        (Facts(sex="female", age_years=30, pregnant=True), True),
    ],
)
def test_a_card_on_pregnancy_is_for_those_alone_who_may_be_pregnant(
    facts: Facts, shown: bool
) -> None:
    present = ("visual_disturbance", "oedema")
    chosen = [c.head.id for c in choose_cards(cards(), (), present, facts)]
    assert ("pre-eclampsia-late-pregnancy-warning-signs" in chosen) is shown


def test_what_a_rule_names_is_shown_whoever_the_patient_is() -> None:
    named = choose_cards(cards(), ["reduced-fetal-movements"], ("cough",), Facts(sex="male"))
    assert named[0].head.id == "reduced-fetal-movements"


@pytest.mark.parametrize(("age", "shown"), [(2.0, True), (9.0, True), (40.0, False)])
def test_a_card_on_children_is_not_for_adults(age: float, shown: bool) -> None:
    present = ("barking_cough", "stridor")
    chosen = [c.head.id for c in choose_cards(cards(), (), present, Facts(age_years=age))]
    assert ("croup" in chosen) is shown


def test_time_limits_follow_the_complaint_and_the_age() -> None:
    adult, _ = advice("a mild fever since this morning", age_years=30)
    child, _ = advice("a mild fever since this morning", age_years=3)
    assert any("3 days" in line.text for line in adult.come_back)
    assert any("5 days" in line.text for line in child.come_back)
    emergency, _ = advice("crushing chest pain and a fever", age_years=50)
    assert not any("days" in line.text for line in emergency.come_back)


def test_every_urgency_says_when_to_come_back() -> None:
    assert set(safety_net().levels) == {1, 2, 3, 4, 5}
    assert all(limit.findings <= set(lexicon()) for limit in safety_net().limits)


@pytest.mark.parametrize(
    "text", ["You have pneumonia.", "You've got a clot.", "您得了肺炎。", "确诊为肺炎"]
)
def test_a_diagnosis_would_be_noticed(text: str) -> None:
    assert DIAGNOSIS.search(text)


@pytest.mark.parametrize(
    "text", ["If you have diabetes, test it.", "It may be a stroke.", "有糖尿病的人"]
)
def test_a_condition_for_advice_is_no_diagnosis(text: str) -> None:
    assert not DIAGNOSIS.search(text)
