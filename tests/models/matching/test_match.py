"""Who is proposed, in what order and why; and who never is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.matching.vocabulary import vocabulary
from knowledge_base.matching.weights import FeatureName, Specialty, weighting
from knowledge_base.matching.wording import wording
from models.matching.duty import parse_duty
from models.matching.example import example_doctors
from models.matching.filters import CONDITIONS, sift
from models.matching.match import match
from models.matching.profile import Doctor, Need
from models.matching.request import MatchRequest, choices_of
from models.matching.roster import Roster

MONDAY = datetime(2026, 11, 23, 9, 0)
ALWAYS = parse_duty("always")
NEED = Need(choices=(frozenset({"surgical_oncology"}),), at=MONDAY, age_years=50)
SURGEON = Doctor(code="D1", department="surgical_oncology", duty=ALWAYS, capacity=5)


def surgeon(code: str, volume: float | None, rating: float | None, minutes: float | None) -> Doctor:
    return replace(
        SURGEON,
        code=code,
        surgery_volume_3y=volume,
        rating=rating,
        rating_count=500 if rating else 0,
        response_minutes=minutes,
    )


FIVE = (
    surgeon("D1", 300, 4.9, 10),
    surgeon("D2", 200, 4.5, 20),
    surgeon("D3", 100, 4.7, 5),
    surgeon("D4", 50, 4.1, 60),
    surgeon("D5", None, None, None),
)


def order(
    doctors: tuple[Doctor, ...], need: Need = NEED, taken: Mapping[str, int] = {}
) -> list[str]:
    return [c.doctor for c in match(Roster(doctors), need, taken).shown]


def test_oncology_goes_by_surgery_volume_rating_and_response() -> None:
    first = match(Roster(FIVE), NEED, {}).first
    assert first is not None
    assert {c.feature: c.weight for c in first.contributions} == {
        "surgery_volume_3y": 0.4,
        "rating": 0.3,
        "response_minutes": 0.3,
    }
    # D1 beats all three others in volume and rating and two of three in response.
    assert (first.doctor, first.score) == ("D1", pytest.approx(0.4 + 0.3 + 0.3 * 2 / 3, abs=1e-5))


def test_a_first_doctor_and_three_alternates_are_proposed() -> None:
    result = match(Roster(FIVE), NEED, {})
    assert [c.doctor for c in result.shown] == ["D1", "D3", "D5", "D2"]
    assert (result.eligible, len(result.alternates)) == (5, 3)
    scores = [c.score for c in result.shown]
    assert scores == sorted(scores, reverse=True)


def test_missing_figures_are_neither_a_merit_nor_a_fault_and_are_said() -> None:
    unknown = next(c for c in match(Roster(FIVE), NEED, {}).shown if c.doctor == "D5")
    assert unknown.score == 0.5
    assert all(c.value is None and c.number == 0.5 for c in unknown.contributions)
    assert any("无数据" in reason["zh"] for reason in unknown.reasons)
    assert any("no figure" in reason["en"] for reason in unknown.reasons)


def test_a_trifle_is_no_difference() -> None:
    near = (surgeon("D1", 204, 4.51, 11), surgeon("D2", 200, 4.49, 9))
    scores = {c.doctor: c.score for c in match(Roster(near), NEED, {}).shown}
    assert scores == {"D1": 0.5, "D2": 0.5}


def test_a_perfect_rating_of_two_patients_does_not_beat_a_good_one_of_hundreds() -> None:
    known = replace(surgeon("D1", None, 4.8, None), rating_count=800)
    new = replace(surgeon("D2", None, 5.0, None), rating_count=2)
    poor = replace(surgeon("D3", None, 4.0, None), rating_count=800)
    assert order((known, new, poor)) == ["D1", "D2", "D3"]


def test_two_doctors_keep_their_order_when_a_third_is_busy() -> None:
    full = order(FIVE)
    for busy in "D1", "D3", "D4":
        rest = [code for code in order(FIVE, taken={busy: 5}) if code in full]
        assert rest == [code for code in full if code != busy]


def test_equal_scores_go_to_whoever_has_more_places_left() -> None:
    twins = (surgeon("D1", 100, None, None), surgeon("D2", 100, None, None))
    assert order(twins, taken={"D1": 3}) == ["D2", "D1"]
    assert order(twins) == ["D1", "D2"]


def test_a_department_asked_first_comes_first_whatever_the_scores() -> None:
    heart = replace(SURGEON, code="C1", department="cardiology", rating=3.0, rating_count=9)
    need = replace(NEED, choices=(frozenset({"cardiology"}), frozenset({"surgical_oncology"})))
    result = match(Roster((*FIVE, heart)), need, {})
    assert [c.doctor for c in result.shown][:2] == ["C1", "D1"]
    assert any(
        "2" in reason["zh"] and "肿瘤外科" in reason["zh"]
        for reason in result.alternates[0].reasons
    )


@pytest.mark.parametrize(
    ("condition", "doctor", "need"),
    [
        ("subspecialty", {}, {"subspecialties": frozenset({"lung_cancer"})}),
        ("age", {"age_min": 60}, {}),
        ("age", {"age_max": 50}, {}),
        ("age", {"age_min": 14}, {"age_years": None}),
        ("sex", {"patient_sex": "female"}, {"sex": "male"}),
        ("sex", {"patient_sex": "female"}, {"sex": None}),
        ("language", {"languages": ("zh",)}, {"languages": frozenset({"en", "yue"})}),
        ("excluded", {}, {"exclude": frozenset({"D1"})}),
        ("duty", {"duty": parse_duty("tue-sun 00:00-24:00")}, {}),
        ("capacity", {"capacity": 0}, {}),
        ("department", {"department": "cardiology"}, {}),
    ],
)
def test_who_fails_one_condition_is_never_proposed_and_is_counted(
    condition: str, doctor: dict[str, object], need: dict[str, object]
) -> None:
    roster = Roster((replace(SURGEON, **doctor),))  # type: ignore[arg-type]
    result = match(roster, replace(NEED, **need), {})  # type: ignore[arg-type]
    assert (result.status, result.first, result.eligible) == ("nobody", None, 0)
    (removed,) = result.removed
    assert (removed.condition, removed.doctors) == (condition, 1)
    assert removed.alone == (None if condition == "department" else 1)


def test_each_doctor_is_counted_once_and_who_would_be_gained_is_told() -> None:
    off = parse_duty("off")
    doctors = (
        replace(SURGEON, code="A", age_min=60.0, duty=off),
        replace(SURGEON, code="B", duty=off),
        replace(SURGEON, code="C", duty=off),
        replace(SURGEON, code="E", department="cardiology"),
    )
    result = match(Roster(doctors), NEED, {})
    assert [(r.condition, r.doctors, r.alone) for r in result.removed] == [
        ("department", 1, None),
        ("age", 1, 0),
        ("duty", 2, 2),
    ]


def test_continuity_counts_where_the_specialty_weighs_it() -> None:
    doctors = tuple(
        replace(SURGEON, code=code, department="psychiatry") for code in ("D1", "D2", "D3")
    )
    need = replace(NEED, choices=(frozenset({"psychiatry"}),), seen_before=frozenset({"D3"}))
    first = match(Roster(doctors), need, {}).first
    assert first is not None
    assert first.doctor == "D3"
    assert {"zh": "曾看过该患者", "en": "has seen this patient before"} in first.reasons


ALL_ON_VOLUME: Mapping[str, Mapping[FeatureName, float]] = {"oncology": {"surgery_volume_3y": 1.0}}


def test_learned_weights_change_the_order_and_never_who_is_eligible() -> None:
    roster = Roster(example_doctors(2000))
    for department in taxonomy().parents["oncology"].children:
        need = replace(NEED, choices=(frozenset({department}),))
        shipped, learned = match(roster, need, {}), match(roster, need, {}, ALL_ON_VOLUME)
        assert shipped.eligible == learned.eligible > 4
        assert shipped.removed == learned.removed
        allowed = {d.code for d in sift(roster, need, {}).eligible}
        assert {c.doctor for c in learned.shown} <= allowed


def test_weights_that_are_no_weights_are_refused() -> None:
    for wrong in ({"rating": 0.5}, {"rating": 1.5, "response_minutes": -0.5}, {}):
        with pytest.raises(ValueError, match="weights"):
            match(Roster(FIVE), NEED, {}, {"oncology": wrong})  # type: ignore[dict-item]


@given(seed=st.integers(0, 500), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_sheet_does_not_matter(seed: int, shuffle: object) -> None:
    doctors = list(example_doctors(60, seed))
    need = replace(NEED, choices=choices_of(("oncology", "surgery")))
    before = match(Roster(doctors), need, {})
    shuffle.shuffle(doctors)  # type: ignore[attr-defined]
    assert match(Roster(doctors), need, {}) == before


def test_every_score_lies_between_0_and_1_and_is_the_sum_of_its_parts() -> None:
    roster = Roster(example_doctors(500))
    need = replace(NEED, choices=choices_of(tuple(taxonomy().parents)))
    for candidate in match(roster, need, {}).shown:
        assert 0 <= candidate.score <= 1
        parts = sum(c.contribution for c in candidate.contributions)
        assert candidate.score == pytest.approx(parts, abs=1e-5)


def test_the_data_is_whole_in_both_languages() -> None:
    assert wording().filters.keys() == {"department", *CONDITIONS}
    for pair in (
        *wording().filters.values(),
        *wording().reasons.values(),
        *wording().summaries.values(),
        *(s.why for s in weighting().specialties.values()),
        *vocabulary().subspecialties.names.values(),
    ):
        assert pair["zh"].strip()
        assert pair["en"].isascii()
    given = weighting().specialties["oncology"]
    assert (given.basis, given.weights) == (
        "given",
        {"surgery_volume_3y": 0.4, "rating": 0.3, "response_minutes": 0.3},
    )


@pytest.mark.parametrize("weights", [{"rating": 0.9}, {"rating": 1.2, "visits_3y": -0.2}, {}])
def test_a_file_whose_weights_do_not_sum_to_1_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Specialty(weights=weights, basis="own", why={"zh": "", "en": ""}, sources=())


def test_a_request_names_only_what_the_vocabulary_knows() -> None:
    for wrong in (
        {"departments": ["heart"]},
        {"department": "cardiology", "departments": ["neurology"]},
        {},
        {"department": "cardiology", "languages": ["klingon"]},
        {"department": "cardiology", "needs": ["magic"]},
        {"department": "cardiology", "at": "2026-11-23T09:00:00"},
        {"department": "cardiology", "exclude": ["D 1"]},
    ):
        with pytest.raises(ValidationError):
            MatchRequest.model_validate(wrong)
