"""Every band edge of every score, as its source states it, and what a missing measurement does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge_base.rules.facts import Consciousness
from knowledge_base.rules.scores import Measurements, scores

NORMAL = Measurements(
    age_years=50,
    consciousness="alert",
    on_oxygen=False,
    values={
        "respiratory_rate": 16,
        "spo2": 98,
        "systolic_bp": 120,
        "heart_rate": 70,
        "temperature_c": 37.0,
    },
)


def having(patient: Measurements = NORMAL, **values: float) -> Measurements:
    return replace(patient, values={**patient.values, **values})


def without(*names: str) -> Measurements:
    kept = {name: value for name, value in NORMAL.values.items() if name not in names}
    return replace(NORMAL, values=kept)


def test_normal_measurements_score_nothing() -> None:
    result = scores().news2.evaluate(NORMAL)
    assert (result.total, result.complete) == (0, True)
    assert result.band is not None
    assert result.band.code == "low"


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("respiratory_rate", {8: 3, 9: 1, 11: 1, 12: 0, 20: 0, 21: 2, 24: 2, 25: 3}),
        ("spo2", {91: 3, 92: 2, 93: 2, 94: 1, 95: 1, 96: 0, 100: 0}),
        ("systolic_bp", {90: 3, 91: 2, 100: 2, 101: 1, 110: 1, 111: 0, 219: 0, 220: 3}),
        ("heart_rate", {40: 3, 41: 1, 50: 1, 51: 0, 90: 0, 91: 1, 110: 1, 111: 2, 130: 2, 131: 3}),
        ("temperature_c", {35.0: 3, 35.1: 1, 36.0: 1, 36.1: 0, 38.0: 0, 38.1: 1, 39.0: 1, 39.1: 2}),
    ],
)
def test_news2_band_edges(name: str, points: dict[float, int]) -> None:
    found = {v: scores().news2.evaluate(having(**{name: v})).points[name] for v in points}
    assert found == points


@pytest.mark.parametrize(
    ("on_oxygen", "points"),
    [
        (False, {83: 3, 84: 2, 85: 2, 86: 1, 87: 1, 88: 0, 92: 0, 93: 0, 97: 0}),
        (True, {83: 3, 85: 2, 87: 1, 88: 0, 92: 0, 93: 1, 94: 1, 95: 2, 96: 2, 97: 3}),
    ],
)
def test_news2_scale_2_edges_only_with_recorded_hypercapnic_failure(
    on_oxygen: bool, points: dict[float, int]
) -> None:
    patient = replace(NORMAL, on_oxygen=on_oxygen, hypercapnic_failure=True)
    found = {s: scores().news2.evaluate(having(patient, spo2=s)).points["spo2"] for s in points}
    assert found == points
    unrecorded = replace(patient, hypercapnic_failure=False)
    assert scores().news2.evaluate(having(unrecorded, spo2=88)).points["spo2"] == 3


@pytest.mark.parametrize("state", ["confused", "voice", "pain", "unresponsive"])
def test_news2_counts_three_for_anything_but_alert(state: Consciousness) -> None:
    result = scores().news2.evaluate(replace(NORMAL, consciousness=state))
    assert result.total == 3
    assert result.band is not None
    assert (result.band.code, result.band.minutes) == ("single_three", 60)


def test_news2_counts_two_for_oxygen() -> None:
    assert scores().news2.evaluate(replace(NORMAL, on_oxygen=True)).total == 2


@pytest.mark.parametrize(
    ("values", "total", "band", "minutes"),
    [
        ({"heart_rate": 115, "systolic_bp": 95}, 4, "low", None),
        ({"heart_rate": 115, "systolic_bp": 95, "spo2": 95}, 5, "medium", 60),
        ({"heart_rate": 115, "systolic_bp": 95, "respiratory_rate": 22}, 6, "medium", 60),
        (
            {"heart_rate": 115, "systolic_bp": 95, "respiratory_rate": 22, "spo2": 95},
            7, "high", 30,
        ),
    ],
)  # fmt: skip
def test_news2_total_edges(
    values: dict[str, float], total: int, band: str, minutes: int | None
) -> None:
    result = scores().news2.evaluate(having(**values))
    assert result.band is not None
    assert (result.total, result.band.code, result.band.minutes) == (total, band, minutes)


def test_news2_refuses_children_and_pregnancy() -> None:
    assert scores().news2.evaluate(replace(NORMAL, age_years=15.9)).refused == "too_young"
    assert scores().news2.evaluate(replace(NORMAL, age_years=16)).refused is None
    pregnant = scores().news2.evaluate(replace(NORMAL, pregnant=True))
    assert (pregnant.refused, pregnant.total, pregnant.band) == ("pregnant", None, None)


def test_a_missing_measurement_is_named_and_never_reassures() -> None:
    result = scores().news2.evaluate(without("spo2"))
    assert result.missing == ("spo2",)
    assert (result.total, result.complete, result.band) == (0, False, None)


def test_a_high_lower_bound_alarms_whatever_is_missing() -> None:
    patient = replace(without("spo2", "temperature_c"), consciousness="unresponsive")
    result = scores().news2.evaluate(having(patient, respiratory_rate=30, heart_rate=120))
    assert result.total == 8
    assert result.band is not None
    assert result.band.code == "high"


@pytest.mark.parametrize(
    ("respiratory_rate", "systolic_bp", "state", "total"),
    [
        (21, 101, "alert", 0),
        (22, 101, "alert", 1),
        (21, 100, "alert", 1),
        (22, 100, "alert", 2),
        (22, 101, "confused", 2),
        (30, 80, "unresponsive", 3),
    ],
)
def test_qsofa_edges(
    respiratory_rate: float, systolic_bp: float, state: Consciousness, total: int
) -> None:
    patient = replace(NORMAL, consciousness=state)
    result = scores().qsofa.evaluate(
        having(patient, respiratory_rate=respiratory_rate, systolic_bp=systolic_bp)
    )
    assert result.total == total
    assert result.band is not None
    assert result.band.code == ("positive" if total >= 2 else "not_positive")


def test_qsofa_never_rules_sepsis_out() -> None:
    band = scores().qsofa.evaluate(NORMAL).band
    assert band is not None
    assert "不能排除" in band.meaning["zh"]
    assert "not rule sepsis out" in band.meaning["en"]


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("systolic_bp", {70: 3, 71: 2, 80: 2, 81: 1, 100: 1, 101: 0, 199: 0, 200: 2}),
        (
            "heart_rate",
            {39: 2, 40: 1, 50: 1, 51: 0, 100: 0, 101: 1, 110: 1, 111: 2, 129: 2, 130: 3},
        ),
        ("respiratory_rate", {8: 2, 9: 0, 14: 0, 15: 1, 20: 1, 21: 2, 29: 2, 30: 3}),
        ("temperature_c", {34.9: 2, 35.0: 0, 38.4: 0, 38.5: 2}),
    ],
)
def test_mews_band_edges(name: str, points: dict[float, int]) -> None:
    found = {v: scores().mews.evaluate(having(**{name: v})).points[name] for v in points}
    assert found == points


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("heart_rate", {181: 1, 180: 2, 150: 2, 149: 3, 100: 3, 99: None, 56: None, 55: 3, 51: 3,
                        50: 2, 40: 2, 39: 1}),
        ("systolic_bp", {69: 1, 70: 2, 80: 2, 81: 3, 90: 3, 91: None, 179: None, 180: 3, 200: 3,
                         201: 2}),
        ("spo2", {79: 1, 80: 2, 90: 2, 91: 3, 94: 3, 95: None}),
        ("temperature_c", {31.9: 1, 32: None, 41: None, 41.1: 1}),
        ("glucose_mmol_l", {3.32: 1, 3.33: None}),
        ("potassium_mmol_l", {7.0: None, 7.1: 1}),
    ],
)  # fmt: skip
def test_china_level_edges(name: str, levels: dict[float, int | None]) -> None:
    assert {v: scores().china.evaluate(having(**{name: v})).level for v in levels} == levels


def test_china_levels_name_what_is_missing() -> None:
    assert scores().china.evaluate(without("spo2")).missing == ("spo2",)
    assert scores().china.evaluate(replace(NORMAL, age_years=13)).refused == "too_young"


@pytest.mark.parametrize(
    ("age", "heart_rate", "respiratory_rate"),
    [(0.2, 180, 50), (0.25, 160, 40), (2.9, 160, 40), (3, 140, 30), (7.9, 140, 30), (8, 100, 20)],
)
def test_esi_danger_vitals_by_age(age: float, heart_rate: float, respiratory_rate: float) -> None:
    patient = replace(NORMAL, age_years=age)
    danger = scores().esi_danger
    at = having(patient, heart_rate=heart_rate, respiratory_rate=respiratory_rate)
    assert danger.evaluate(at).level is None
    fast = danger.evaluate(having(at, heart_rate=heart_rate + 1))
    assert (fast.level, fast.because) == (2, ("heart_rate",))
    assert danger.evaluate(having(at, respiratory_rate=respiratory_rate + 1)).level == 2


def test_esi_danger_oxygen() -> None:
    assert scores().esi_danger.evaluate(having(spo2=91)).level == 2
    assert scores().esi_danger.evaluate(having(spo2=92)).level is None
