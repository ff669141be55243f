"""Numbers in words: vital signs, ages, durations."""

from __future__ import annotations

import pytest

from models.text.age_sex import find_ages_years, find_sex
from models.text.durations import find_durations
from models.text.normalise import normalise
from models.text.numbers import parse_number, with_digits
from models.text.values import find_values


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
        ("三十九点五度", "temperature_c", 39.5),
        ("发烧38.5-39.5", "temperature_c", 39.5),
        ("a fever of a hundred and three", "temperature_c", 39.44),
        ("血压九十六十", "systolic_bp", 90),
        ("血压一百二八十", "diastolic_bp", 80),
        ("血压一百八到一百一", "diastolic_bp", 110),
        ("BP 120-130/80-85 mmHg", "systolic_bp", 130),
        ("blood pressure one eighty over ninety", "systolic_bp", 180),
        ("收缩压一百六，舒张压九十五", "diastolic_bp", 95),
        ("血压１８０／１１０", "systolic_bp", 180),
        ("心率120次/分", "heart_rate", 120),
        ("心跳一百三十次一分钟", "heart_rate", 130),
        ("pulse of one thirty", "heart_rate", 130),
        ("呼吸频率28次/分", "respiratory_rate", 28),
        ("血氧饱和度百分之九十一", "spo2", 91),
        ("glucose 30 mg/dL", "glucose_mmol_l", 1.67),
        ("血糖十六点七", "glucose_mmol_l", 16.7),
        ("体重一百三十斤", "weight_kg", 65),
        ("weight 150 lb", "weight_kg", 68.04),
        ("孕5个半月", "gestation_weeks", 23.89),
        ("疼痛评分7分", "pain_score", 7),
        ("pain is seven out of ten", "pain_score", 7),
    ],
)
def test_a_stated_value_is_read_in_its_unit(text: str, name: str, value: float) -> None:
    found = {v.name: v.value for v in find_values(normalise(text))}
    assert found[name] == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "发烧30分钟",
        "left arm for 30 minutes",
        "体温正常",
        "心跳快3天",
        "血糖一直高",
        "呼吸2次",
        "体重下降10斤",
    ],
)
def test_what_is_no_measurement_is_not_read_as_one(text: str) -> None:
    assert find_values(normalise(text)) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("三十九", 39),
        ("一百八", 180),
        ("一百八十", 180),
        ("一百零五", 105),
        ("两", 2),
        ("半", 0.5),
        ("三十九点五", 39.5),
        ("九十六十", None),
    ],
)
def test_chinese_numerals(text: str, number: float | None) -> None:
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
        ("my baby is one month old", 1 / 12),
        ("宝宝刚满月", 1 / 12),
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


@pytest.mark.parametrize(
    "text", ["my temperature is thirty-nine point five", "one eighty over ninety", "nobody is here"]
)
def test_number_words_become_digits_and_no_place_moves(text: str) -> None:
    shown = with_digits(text)
    assert len(shown) == len(text)
    assert all(a == b for a, b in zip(shown, text, strict=True) if not (a.isdigit() or a in " ."))


def test_a_value_in_words_keeps_its_words() -> None:
    text = "blood pressure one eighty over ninety"
    assert {text[v.start : v.end] for v in find_values(text)} == {text}
