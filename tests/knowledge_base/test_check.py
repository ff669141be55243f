"""The content check: the shipped content is sound, and each kind of fault is found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from knowledge_base.cards import Card, CardSource, cards
from knowledge_base.check import (
    DOSES,
    card_problems,
    check,
    lexicon_problems,
    link_problems,
    read_all_cards,
    rule_problems,
)
from knowledge_base.check_acuity import acuity_problems
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.lexicon.findings import Concept, lexicon
from knowledge_base.rules.condition_faults import condition_faults
from knowledge_base.rules.ruleset import FOLDER, Rule, rules


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
    dosed = replace(card, passages=(replace(first, text=first.text + "嚼服半片"), *rest))
    [problem] = problems_of(dosed)
    assert problem.startswith("chest-pain#when_to_worry:1 (zh)")


def test_both_languages_must_give_the_same_numbers(card: Card) -> None:
    first, *rest = card.passages
    changed = replace(card, passages=(replace(first, text=first.text + "37.5度"), *rest))
    assert any("different numbers" in p for p in problems_of(changed))


@pytest.mark.parametrize("related", [("no-such-card",), ("chest-pain",), ("stroke", "stroke")])
def test_related_cards_are_others_and_there(card: Card, related: tuple[str, ...]) -> None:
    linked = replace(card, head=card.head.model_copy(update={"related": related}))
    assert list(link_problems(linked, {"chest-pain", "stroke"}))
    fine = replace(card, head=card.head.model_copy(update={"related": ("stroke",)}))
    assert not list(link_problems(fine, {"chest-pain", "stroke"}))


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


@pytest.fixture
def rule_folder(tmp_path: Path) -> Path:
    """A copy of the rules' files that a test may break."""
    return Path(shutil.copytree(FOLDER, tmp_path / "rules"))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("acuity/floors.yaml", "facts: {consciousness: pain}", "facts: {consciousness: sleepy}",
         "floors.yaml: responds-to-pain-only: consciousness cannot be sleepy"),
        ("acuity/floors.yaml", "{present: cardiac_arrest}", "{present: bad_karma}",
         "floors.yaml: cardiac-arrest: finding bad_karma is not in the lexicon"),
        ("acuity/floors.yaml", "news2: [high]", "news2: [hihg]",
         "floors.yaml: news2-high: there is no band hihg of news2"),
        ("acuity/floors.yaml", "score: {qsofa:", "score: {qsofta:", "band positive of qsofta"),
        ("acuity/floors.yaml", "presents: [fever,", "presents: [feverr,", "presentation feverr"),
        ("acuity/floors.yaml", "level: {china: 2}", "level: {chine: 2}", "no level 2 of chine"),
        ("acuity/floors.yaml", "{name: spo2,", "{name: spo,", "unknown value spo"),
        ("acuity/floors.yaml", "[esi-v4, ctas-2008]", "[esi-v9]", "unknown source esi-v9"),
        ("acuity/floors.yaml", "checked: false", "cheked: false", "cheked"),
        ("acuity/presentations.yaml", "[cardiac_arrest, resp", "[bad_karma, resp",
         "presentations.yaml: cardiac_arrest: finding bad_karma is not in the lexicon"),
        ("acuity/presentations.yaml", "id: unconscious", "id: cardiac_arrest", "defined twice"),
        ("acuity/presentations.yaml", "complex_procedure]", "magic]", "no resource magic"),
        ("acuity/presentations.yaml", "sources: [esi-v4,", "sources: [esi-v9,", "source esi-v9"),
        ("acuity/abbreviations.yaml", "abbreviations:", "abbreviation:", "abbreviations"),
        ("acuity/scales.yaml", "sources: [esi-v4]", "sources: [esi-v9]", "unknown source esi-v9"),
        ("acuity/scales.yaml", "minutes: 0, disposition: 1", "minutes: 0, disposition: 4",
         "a lower level of esi has the more urgent disposition"),
        ("scores/news2.yaml", "name: heart_rate", "name: heart_rat", "measures heart_rat"),
        ("scores/news2.yaml", "confused", "confusd", "consciousness: confus"),
        ("scores/china.yaml", "name: potassium_mmol_l", "name: potassium", "measures potassium"),
        ("scores/qsofa.yaml", "bands:", "bands", "qsofa.yaml"),
        ("scores/sources.yaml", "ctas-2008:", "ctas-2009:", "unknown source ctas-2008"),
    ],
)  # fmt: skip
def test_a_broken_file_of_acuity_is_reported(
    rule_folder: Path, file: str, old: str, new: str, message: str
) -> None:
    path = rule_folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    assert any(message in problem for problem in acuity_problems(lexicon(), rule_folder))


@pytest.mark.parametrize("file", ["floors.yaml", "scales.yaml", "presentations.yaml"])
def test_a_file_of_acuity_that_is_gone_or_empty_is_reported(rule_folder: Path, file: str) -> None:
    (rule_folder / "acuity" / file).write_text("version: 1\n", "utf-8")
    assert acuity_problems(lexicon(), rule_folder)
    (rule_folder / "acuity" / file).unlink()
    assert any(file in problem for problem in acuity_problems(lexicon(), rule_folder))


def test_the_shipped_acuity_is_part_of_the_check(
    rule_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert acuity_problems(lexicon(), rule_folder) == []
    monkeypatch.setattr("knowledge_base.check.acuity_problems", lambda _: ["a broken floor"])
    assert "a broken floor" in check()
