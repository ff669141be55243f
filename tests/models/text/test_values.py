"""Numbers in words: vital signs, ages, durations."""

from __future__ import annotations

import pytest

from models.text.durations import find_durations
from models.text.normalise import normalise
from models.text.numbers import parse_number
from models.text.values import find_ages_years, find_sex, find_values


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("体温39.5", "temperature_c", 39.5),
        ("发烧三十九度五", "temperature_c", 39.5),
        ("烧到38度5了", "temperature_c", 38.5),
        ("temp 103 F", "temperature_c", 39.44),
        ("血压一百八", "systolic_bp", 180),
        ("血压160/95", "diastolic_bp", 95),
        ("BP 88/50", "systolic_bp", 88),
        ("血氧91", "spo2", 91),
        ("SpO2 91%", "spo2", 91),
        ("心率138", "heart_rate", 138),
        ("HR 76", "heart_rate", 76),
        ("血糖3.1", "glucose_mmol_l", 3.1),
        ("fingerstick glucose 52", "glucose_mmol_l", 2.89),
        ("怀孕10周", "gestation_weeks", 10),
        ("8 weeks pregnant", "gestation_weeks", 8),
    ],
)
def test_a_stated_value_is_read_in_its_unit(text: str, name: str, value: float) -> None:
    found = {v.name: v.value for v in find_values(normalise(text))}
    assert found[name] == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize("text", ["发烧30分钟", "left arm for 30 minutes", "体温正常", "心跳快3天"])
def test_what_is_no_measurement_is_not_read_as_one(text: str) -> None:
    assert find_values(normalise(text)) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("三十九", 39), ("一百八", 180), ("一百八十", 180), ("一百零五", 105), ("两", 2), ("半", 0.5)],
)
def test_chinese_numerals(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("62-year-old male", 62),
        ("我今年六十二岁", 62),
        ("宝宝3个月大", 0.25),
        ("我家宝宝8个月，发烧", 8 / 12),
        ("孩子咳嗽3个月", None),
        ("2岁半的孩子", 2.5),
        ("6 month old baby", 0.5),
        ("age unknown", None),
    ],
)
def test_ages(text: str, years: float | None) -> None:
    assert find_ages_years(normalise(text)) == pytest.approx([] if years is None else [years])


def test_sex_is_read_only_when_one_is_named() -> None:
    assert find_sex("62-year-old male") == "male"
    assert find_sex(normalise("女，30岁")) == "female"
    assert find_sex("a man and a woman") is None


@pytest.mark.parametrize("text", ["每3天一次", "a 3 day old baby", "怀孕10周"])
def test_frequencies_ages_and_gestation_are_no_durations(text: str) -> None:
    assert find_durations(normalise(text)) == []
