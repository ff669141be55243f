"""What an answer rests on: every red flag has a passage where a card speaks of it, every id leads
to a passage, and a level without one says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowledge_base.cards import FOR_PATIENTS, cards
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.ruleset import rules
from knowledge_base.safety_net import safety_net
from models.repository import ModelRepository
from models.triage.grounds import MOST, Grounds
from models.triage.local import LocalTriage
from models.triage.request import TriageRequest, Vitals
from models.triage.result import TriageResult
from models.triage.ways import Ways

CASES = Path(__file__).resolve().parents[3] / "eval" / "cases" / "vignettes.jsonl"

NO_CARD = {
    "transfusion-or-treatment-reaction": "no card on transfusion or on low platelets",
    "sickle-cell-crisis": "no card on sickle-cell disease",
    "cancer-new-serious-symptom": "no card on cancer as such",
    "severe-pain-any": "severe pain of any kind: no card is on pain as such",
    "new-weakness-fatigue-danger": "sudden weakness of any cause: no card is on weakness",
    "after-procedure-warning": "no card on trouble after a procedure",
    "tube-or-operation-same-day": "no card on tubes, stomas and operated parts",
    "child-missing-or-running-away": "no card: help for the child, not medicine",
    "suddenly-worse": "any illness that gets worse",
    "prosthetic-valve-with-fever": "no card on endocarditis",
    "after-massage-or-cupping-warning": "no card on massage or bone-setting",
    "fertility-treatment-overstimulation": "no card on fertility treatment",
    "vulval-or-gland-infection": "no card on Bartholin's gland",
    "altitude-or-diving": "no card on altitude or diving",
    "priapism-paraphimosis": "no card on the penis",
    "learned-emergency": "the model hears it; no guideline says so",
    "learned-same-day": "the model hears it; no guideline says so",
    "adult-respiratory-rate-high": "a limit of NEWS2 that no patients' or referral bullet names",
    "news2-moderate-combination": "a sum of NEWS2 points that no rule's words share with a bullet",
    "toddler-heart-rate-high": "a limit of the pulse by age that no card names",
    "young-child-heart-rate-high": "a limit of the pulse by age that no card names",
    "over-8-vitals-danger": "limits by age that no card names",
}
"""Red flags without a passage, however they fire, and why."""


@pytest.fixture(scope="module")
def grounds() -> Grounds:
    return Grounds(cards(), lexicon(), rules())


@pytest.fixture(scope="module")
def held_by_rule() -> dict[str, set[frozenset[str]]]:
    """For each red flag the findings that hold, in every way in which it can fire."""
    ways = Ways(rules())
    terms = lexicon()
    found: dict[str, set[frozenset[str]]] = {}
    for way in {id(w): w for ws in (ways.alone, *ways.together.values()) for w in ws}.values():
        codes = {atom.code for atom in way.atoms if atom.code is not None}
        codes |= {broader for code in codes for broader in terms.implied(code)}
        found.setdefault(way.rule.id, set()).add(frozenset(codes & way.rule.condition.findings()))
    return found


@pytest.fixture(scope="module")
def triage() -> LocalTriage:
    return LocalTriage(ModelRepository(Path("models/artifacts")))


def ask(triage: LocalTriage, text: str, **known: object) -> TriageResult:
    return triage(TriageRequest.model_validate({"text": text, **known}))


@pytest.mark.parametrize("rule_id", [rule.id for rule in rules().red_flags])
def test_every_red_flag_has_a_passage_in_some_way_or_a_reason_for_none(
    rule_id: str, grounds: Grounds, held_by_rule: dict[str, set[frozenset[str]]]
) -> None:
    cited = [grounds.of_rule(rule_id, held) for held in held_by_rule[rule_id]]
    assert any(cited) != (rule_id in NO_CARD)
    assert all(len(ids) <= MOST for ids in cited)


def test_a_red_flag_that_names_the_card_about_it_has_a_passage_in_every_way(
    grounds: Grounds, held_by_rule: dict[str, set[frozenset[str]]]
) -> None:
    for rule in rules().red_flags:
        if rule.text.card is not None:
            assert all(grounds.of_rule(rule.id, held) for held in held_by_rule[rule.id]), rule.id


def test_more_than_four_fifths_of_all_ways_have_a_passage(
    grounds: Grounds, held_by_rule: dict[str, set[frozenset[str]]]
) -> None:
    cited = [grounds.of_rule(rule, held) for rule, all_ in held_by_rule.items() for held in all_]
    assert sum(map(bool, cited)) / len(cited) >= 0.85


def test_every_id_leads_to_a_passage_in_both_languages(
    grounds: Grounds, held_by_rule: dict[str, set[frozenset[str]]]
) -> None:
    ids = {
        i
        for rule, all_ in held_by_rule.items()
        for held in all_
        for i in grounds.of_rule(rule, held)
    }
    ids |= {limit.passage for limit in safety_net().limits if limit.passage is not None}
    for language in ("zh", "en"):
        assert {p.id for _, p in grounds.cited(ids, language)} == ids


@pytest.mark.parametrize(
    ("rule_id", "held", "best"),
    [
        ("fever-under-3-months", {"fever"}, "fever-in-young-children#when_to_worry:2"),
        ("meningitis", {"fever", "headache", "neck_stiffness"}, "meningitis#when_to_worry:1"),
        ("named-life-threat", {"thyroid_storm"}, "thyroid-storm#"),
        ("dialysis-emergency", {"dialysis", "missed_dialysis"}, "chronic-kidney-disease#when_to"),
        ("child-new-diabetes", {"thirst", "polyuria"}, "diabetic-ketoacidosis#when_to_worry:4"),
        ("child-oxygen-low", set(), "pneumonia-in-children#refer:1"),
    ],
)
def test_the_best_passage_is_about_what_the_patient_has(
    grounds: Grounds, rule_id: str, held: set[str], best: str
) -> None:
    assert grounds.of_rule(rule_id, held)[0].startswith(best)


def test_a_card_that_is_only_cited_is_silent_on_a_finding_that_it_does_not_name(
    grounds: Grounds,
) -> None:
    """A tattoo with a fever is no malaria, though the card on malaria speaks of fever."""
    assert not grounds.of_rule("named-infection-same-day", {"tattoo_piercing_problem", "fever"})


def test_every_vignette_has_a_basis_whose_ids_stand_in_the_answer(triage: LocalTriage) -> None:
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        result = ask(triage, row["case_description"])
        basis = result.disposition.basis
        assert basis is not None
        assert bool(basis.passages) != (basis.none_because is not None)
        named = {*basis.passages, *(a.passage for a in result.advice.come_back if a.passage)}
        named |= {i for rule in (*result.red_flags, *result.basis) for i in rule.passages}
        assert {p.id for p in result.passages} == named
        assert len(result.passages) == len(named)


@pytest.mark.parametrize(
    ("text", "decided_by", "none_because"),
    [
        ("胸口压榨样疼痛30分钟，出冷汗，左胳膊也疼", "red_flag", None),
        ("流鼻涕、打喷嚏两天，没有发烧", "rule", None),
        ("我最近脚上长了个疣", "rule", "no_card"),
        ("asdf qwer zxcv", "not_understood", "not_understood"),
    ],
)
def test_a_level_says_what_decided_it_and_why_it_has_no_passage(
    triage: LocalTriage, text: str, decided_by: str, none_because: str | None
) -> None:
    basis = ask(triage, text).disposition.basis
    assert basis is not None
    assert (basis.decided_by, basis.none_because) == (decided_by, none_because)


def test_a_limit_on_how_long_a_complaint_may_last_names_its_passage(triage: LocalTriage) -> None:
    result = ask(triage, "拉肚子两天，一天五六次，没有血", age_years=35)
    [limit] = [a.passage for a in result.advice.come_back if a.passage is not None]
    assert limit in {p.id for p in result.passages}


def test_patients_see_no_passage_that_is_written_for_clinicians(triage: LocalTriage) -> None:
    full = triage(TriageRequest(text="胸闷气短，血氧仪88", age_years=70, vitals=Vitals(spo2=88.0)))
    hidden = {p.id for p in full.passages if p.section not in FOR_PATIENTS}
    shown = full.for_patients()
    assert hidden
    assert all(p.section in FOR_PATIENTS for p in shown.passages)
    named = [*shown.disposition.basis.passages] if shown.disposition.basis else []
    named += [i for rule in shown.red_flags for i in rule.passages]
    assert not hidden.intersection(named)
    assert shown.disposition.level == full.disposition.level


def test_what_only_clinicians_may_read_is_named_as_the_reason(triage: LocalTriage) -> None:
    full = triage(TriageRequest(text="血氧88", age_years=70, vitals=Vitals(spo2=88.0)))
    basis = full.for_patients().disposition.basis
    assert basis is not None
    assert (basis.passages, basis.none_because) == ((), "for_clinicians")
