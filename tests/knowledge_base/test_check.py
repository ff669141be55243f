"""The content check: the shipped content is sound, and each kind of fault is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowledge_base.cards import Card, CardSource, cards
from knowledge_base.check import (
    DOSES,
    card_problems,
    check,
    condition_faults,
    lexicon_problems,
    read_all_cards,
    rule_problems,
)
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.lexicon.findings import Concept, lexicon
from knowledge_base.rules.ruleset import Rule, rules


def test_the_shipped_content_is_sound() -> None:
    assert check() == []


@pytest.mark.parametrize(
    "text",
    [
        "give 300 mg at once", "500毫克口服", "10 ml/kg over an hour", "每公斤体重 15mg/kg",
        "take two tablets", "每天2片", "一次一粒", "吸四喷", "2 puffs", "100 IU", "20毫升/公斤",
        "5 µg", "half a tablet", "滴眼3滴",
    ],
)  # fmt: skip
def test_an_amount_of_a_medicine_is_seen(text: str) -> None:
    assert any(pattern.search(text) for pattern in DOSES)


@pytest.mark.parametrize(
    "text",
    [
        "glucose above 200 mg/dL", "血糖高于 11.1 mmol/L", "血压 140/90 mmHg", "发热 39 度",
        "拨打120", "一片红肿", "drink 8 glasses of water", "for 15 minutes", "蛋白尿 300 mg/g",
        "一点一滴", "第二次发作", "每天不超过 5 克盐",
    ],
)  # fmt: skip
def test_a_measurement_is_not_a_dose(text: str) -> None:
    assert not any(pattern.search(text) for pattern in DOSES)


@pytest.fixture
def card() -> Card:
    return cards()["chest-pain"]


def problems_of(card: Card) -> list[str]:
    return list(card_problems(card, lexicon(), taxonomy().departments))


def test_a_sound_card_has_no_problems(card: Card) -> None:
    assert problems_of(card) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"departments": ("astrology",)}, "department astrology"),
        ({"findings": ("bad_karma",)}, "finding bad_karma"),
        ({"findings": ("chest_pain", "chest_pain")}, "chest_pain is listed twice"),
        ({"title": {"zh": " ", "en": "x"}}, "no zh title"),
    ],
)
def test_a_fault_in_the_head_is_named(card: Card, change: dict[str, object], message: str) -> None:
    [problem] = problems_of(replace(card, head=card.head.model_copy(update=change)))
    assert message in problem


def test_a_source_must_be_complete_and_cited(card: Card) -> None:
    blank = CardSource(
        id="s9", organisation=" ", title="A", year=2000, identifier="B1", checked=False
    )
    head = card.head.model_copy(update={"sources": (*card.head.sources, blank)})
    found = problems_of(replace(card, head=head))
    assert any("s9 is incomplete" in p for p in found)
    assert any("no passage cites source s9" in p for p in found)


def test_a_dose_in_a_passage_is_named_with_its_place(card: Card) -> None:
    first, *rest = card.passages
    dosed = replace(card, passages=(replace(first, text="嚼服 300 毫克"), *rest))
    [problem] = problems_of(dosed)
    assert problem.startswith("chest-pain#when_to_worry:1 (zh)")


def test_both_languages_must_cite_the_same(card: Card) -> None:
    first, *rest = card.passages
    changed = replace(card, passages=(replace(first, sources=("s2",)), *rest))
    assert any("different sources" in p for p in problems_of(changed))


def test_an_unreadable_card_is_a_problem_and_the_others_still_read(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "knowledge_base" / "content" / "cards"
    (tmp_path / "bad.md").write_text("# nothing", encoding="utf-8")
    (tmp_path / "burns.md").write_text((shipped / "burns.md").read_text("utf-8"), encoding="utf-8")
    problems: list[str] = []
    assert set(read_all_cards(tmp_path, problems)) == {"burns"}
    assert problems == ["bad.md: no front matter"]


def test_a_name_under_two_concepts_is_found_after_folding() -> None:
    first = Concept(code="a", kind="symptom", zh="头痛", en="headache", abbreviations=("HA",))
    second = Concept(
        code="b", kind="symptom", zh="頭痛", en="Head  Ache", synonyms_en=("HEADACHE",),
        abbreviations=("HA",),
    )  # fmt: skip
    found = list(lexicon_problems({"a": first, "b": second}))
    assert len(found) == 3


@pytest.fixture
def some_rule() -> Rule:
    return rules().red_flags[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"card": "no-such-card"}, "no card no-such-card"),
        ({"excludes": ("bad_karma",)}, "finding bad_karma"),
        ({"rationale": {"zh": "有"}}, "no en rationale"),
        ({"advice": {"zh": "", "en": "go"}}, "no zh advice"),
        ({"advice": {"zh": "吃2片", "en": "go"}}, "amount of a medicine"),
    ],
)
def test_a_fault_in_a_rule_is_named(
    some_rule: Rule, change: dict[str, object], message: str
) -> None:
    changed = replace(some_rule, text=some_rule.text.model_copy(update=change))
    [problem] = rule_problems(changed, lexicon(), cards())
    assert message in problem


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ({"age": {"minimum": 3}}, "age has the unknown key minimum"),
        ({"age": {}}, "says too little"),
        ({"all": [{"duration": {"finding": "cough", "hours": 3}}]}, "unknown key hours"),
        ({"none": [{"duration": {"finding": "cough"}}]}, "says too little"),
        ({"at_least": {"n": 1, "of": [{"sex": "woman"}]}}, "sex cannot be woman"),
        ({"any": [{"consciousness": ["voice", "sleepy"]}]}, "consciousness cannot be sleepy"),
        ({"pregnant": "yes"}, "pregnant cannot be yes"),
    ],
)
def test_a_misspelt_condition_is_found(when: dict[str, object], fault: str) -> None:
    [found] = condition_faults(when)
    assert fault in found
