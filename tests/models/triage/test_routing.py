"""Departments by age, sex and pregnancy."""

from __future__ import annotations

import pytest

from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.rules.facts import Facts
from models.triage.routing import route, routing


def best(probabilities: dict[str, float], **facts: object) -> str:
    routed = route(probabilities, Facts(**facts))  # type: ignore[arg-type]
    assert sum(routed.values()) == pytest.approx(1.0)
    return max(routed, key=lambda code: routed[code])


def test_children_are_seen_by_paediatrics_and_newborns_by_neonatology() -> None:
    cough = {"respiratory": 0.8, "otolaryngology": 0.2}
    assert best(cough, age_years=5.0) == "general_paediatrics"
    assert best(cough, age_years=0.02) == "neonatology"
    assert best(cough, age_years=30.0) == "respiratory"
    assert best(cough) == "respiratory"


def test_a_grown_up_is_not_seen_by_paediatrics() -> None:
    assert best({"general_paediatrics": 0.9, "respiratory": 0.1}, age_years=40.0) != (
        "general_paediatrics"
    )


def test_men_are_not_sent_to_gynaecology_nor_women_to_andrology() -> None:
    assert best({"gynaecology": 0.9, "urology": 0.1}, sex="male") == "urology"
    assert best({"andrology": 0.9, "urology": 0.1}, sex="female") == "urology"


def test_pregnant_women_see_obstetrics() -> None:
    assert best({"gynaecology": 1.0}, sex="female", pregnant=True) == "obstetrics"


def test_nothing_left_means_a_general_physician() -> None:
    assert best({"gynaecology": 1.0}, sex="male") == routing().unsure


def test_every_code_of_the_routing_is_in_the_taxonomy() -> None:
    rules = routing()
    named = {rules.newborn, rules.unsure, rules.emergency, *rules.male_never, *rules.female_never}
    for moves in (rules.child, rules.adult, rules.pregnant):
        named |= moves.keys()
        named.update(*moves.values())
    assert named <= taxonomy().departments.keys()
