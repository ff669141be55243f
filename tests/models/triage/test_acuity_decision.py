"""How acuity is decided: floors raise and never lower, and the model leans to caution."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from knowledge_base.rules.acuity_scales import acuity_scales
from knowledge_base.rules.floors import floors
from models.triage.acuity import cost_matrix, decide, holding, least_cost
from models.triage.acuity_case import AcuityCase, AcuityReader
from models.triage.acuity_features import feature_names, features
from models.triage.acuity_request import AcuityRequest, AcuityVitals, Scale
from models.triage.acuity_visits import visit_request

READER = AcuityReader()
SCALES: tuple[Scale, ...] = ("esi", "ktas", "china")


def case(text: str, age: float | None = 50, **vitals: object) -> AcuityCase:
    return READER.read(
        AcuityRequest(text=text, age_years=age, vitals=AcuityVitals.model_validate(vitals))
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("said", [1, 2, 3, 4, 5])
def test_no_floor_ever_lowers_the_model(scale: Scale, said: int) -> None:
    for text in ("cough", "chest pain", "胸痛", "copy of a film", "???"):
        for vitals in ({}, {"spo2": 85}, {"consciousness": "pain"}, {"heart_rate": 160}):
            lowest = acuity_scales()[scale].lowest
            assert decide(case(text, **vitals), scale, "model", said).level <= min(said, lowest)


@pytest.mark.parametrize("scale", SCALES)
def test_a_broken_model_leaves_floors_and_caution(scale: Scale) -> None:
    assert decide(case("cough", spo2=97), scale, "model", None).level == 3
    assert decide(case("cough", consciousness="unresponsive"), scale, "model", None).level == 1


def test_a_red_flag_forbids_the_lowest_levels() -> None:
    found = decide(case("呕血", heart_rate=80), "ktas", "model", 5)
    assert found.level == 3
    assert found.reason.id == "red-flag"


def test_china_takes_the_most_urgent_of_vitals_and_mews() -> None:
    ids = {f.text.id for f in holding(case("cough", heart_rate=155, respiratory_rate=31), "china")}
    assert {"china-vitals-2", "mews-level-1"} <= ids


def test_a_qsofa_of_two_raises_only_with_signs_of_infection() -> None:
    sick = {"respiratory_rate": 24, "systolic_bp": 98, "heart_rate": 80}
    fever = {f.text.id for f in holding(case("fever", **sick), "ktas")}
    sprain = {f.text.id for f in holding(case("ankle sprain", **sick), "ktas")}
    assert "qsofa-with-infection" in fever
    assert "qsofa-with-infection" not in sprain


def test_every_floor_names_a_level_of_its_scale() -> None:
    for floor in floors():
        for scale, level in floor.text.level.items():
            assert level in acuity_scales()[scale].levels


def test_no_level_of_any_scale_stands_for_self_care() -> None:
    for scale in acuity_scales().values():
        assert max(level.disposition for level in scale.levels.values()) == 4


def test_answering_too_low_costs_more() -> None:
    assert cost_matrix(5, 2.0)[0, 4] == 8.0
    assert cost_matrix(5, 2.0)[4, 0] == 4.0
    torn = np.array([[0.0, 0.45, 0.55, 0.0, 0.0]])
    assert least_cost(torn, 1.0)[0] == 3
    assert least_cost(torn, 1.5)[0] == 2


def test_abbreviations_and_turned_round_entries_say_the_same() -> None:
    same = [case(text) for text in ("RLQ abd. pain", "right lower quadrant abdominal pain")]
    assert {p.id for p in same[0].presents} == {p.id for p in same[1].presents}
    assert "belly_pain" in {p.id for p in case("pain, abdominal").presents}
    assert "chest_pain_cardiac" in {p.id for p in case("pain, chest").presents}


@pytest.mark.parametrize(
    ("zh", "en", "presentation"),
    [
        ("胸痛", "chest pain", "chest_pain_cardiac"),
        ("腹痛", "abdominal pain", "belly_pain"),
        ("头晕", "dizziness", "dizziness"),
        ("一侧肢体无力", "left side weakness", "stroke_signs"),
        ("踝关节扭伤", "ankle sprain", "limb_injury"),
    ],
)
def test_both_languages_give_the_same_presentation(zh: str, en: str, presentation: str) -> None:
    for text in (zh, en):
        assert presentation in {p.id for p in case(text).presents}


def test_a_denied_word_is_no_presentation() -> None:
    assert "vomiting" not in {p.id for p in case("dizziness, denies nausea or vomiting").presents}
    assert "vomiting" not in {p.id for p in case("头晕，没有呕吐").presents}


def test_words_match_whole_unless_a_star_says_otherwise() -> None:
    assert "major_trauma" not in {p.id for p in case("rash, vital signs stable").presents}
    assert "suicide" in {p.id for p in case("suicidality").presents}


def test_features_are_named_finite_and_know_what_is_missing() -> None:
    names = feature_names()
    assert len(set(names)) == len(names)
    empty, full = (dict(zip(names, features(c), strict=True)) for c in
                   (case("cough", None), case("cough", spo2=90)))  # fmt: skip
    assert empty["spo2_missing"] == 1
    assert (full["spo2_missing"], full["spo2"]) == (0, 90)
    assert full["spo2_low"] > 0
    assert np.isfinite(list(full.values())).all()


def test_answer_fields_of_a_visit_are_never_read() -> None:
    row = {"complaint": "fever", "age": 40.0, "sex": "male", "hr": 90.0}
    told = {**row, "ktas_expert": 1, "why": "level 1", "esi": 1}
    assert visit_request(row) == visit_request(told)


def test_a_visit_drops_what_no_living_person_has() -> None:
    request = visit_request({"complaint": "", "spo2": 4.0, "sbp": 100.0, "dbp": 120.0})
    assert request.vitals.spo2 is None
    assert request.vitals.diastolic_bp is None


def test_a_request_needs_words_or_measurements() -> None:
    with pytest.raises(ValidationError):
        AcuityRequest(text=" ")
    assert AcuityRequest(vitals=AcuityVitals(spo2=90)).text == ""
