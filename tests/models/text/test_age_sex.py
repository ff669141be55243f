"""Ages and sexes in short: a woman of 28 is no temperature, and a temperature is no woman."""

from __future__ import annotations

import pytest

from models.text.age_sex import find_people
from models.text.findings import Reader


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize(
    ("text", "years", "sex"),
    [
        ("28F, mild dandruff", 28, "female"),
        ("M 34, sore throat", 34, "male"),
        ("45F w/ cough", 45, "female"),
        ("28 yo F with a rash", 28, "female"),
        ("F/28 cough", 28, "female"),
        ("28/F", 28, "female"),
        ("Pt is a 31F, stiff thighs", 31, "female"),
        ("bit warm today. 33 f", 33, "female"),
        ("man of 57, left-sided rib pain", 57, "male"),
        ("A 95F fell in the corridor", 95, "female"),
        ("swallowed a bead, 4M, six hours ago", 4, "male"),
        ("男/45岁 咳嗽", 45, "male"),
        ("45/男", 45, "male"),
        ("女，30，头晕", 30, "female"),
        ("患者男，34岁", 34, "male"),
    ],
)
def test_a_number_beside_a_sex_is_an_age(reader: Reader, text: str, years: float, sex: str) -> None:
    reading = reader.read(text)
    assert (reading.ages_years, reading.sex) == ((years,), sex)
    assert "temperature_c" not in {v.name for v in reading.values}


@pytest.mark.parametrize(
    ("text", "celsius"),
    [
        ("101F and chills", 38.33),
        ("shivering, 94F, dazed", 34.44),
        ("fever 95F", 35.0),
        ("temp 88F after the river", 31.11),
        ("his core temperature was 82 F", 27.78),
        ("28°F", 28.0),
        ("38.5F", 38.5),
        ("T 38 F", 38.0),
        ("女，38度", 38.0),
    ],
)
def test_what_a_thermometer_shows_is_a_temperature(
    reader: Reader, text: str, celsius: float
) -> None:
    reading = reader.read(text)
    assert [v.value for v in reading.values if v.name == "temperature_c"] == [celsius]
    assert reading.ages_years == ()


STATED = [
    ("SpO2 85", {"spo2": 85}),
    ("sats 80", {"spo2": 80}),
    ("血氧85", {"spo2": 85}),
    ("HR 38", {"heart_rate": 38}),
    ("HR 30-38", {"heart_rate": 38}),
    ("pulse is 40", {"heart_rate": 40}),
    ("心率38", {"heart_rate": 38}),
    ("RR 8", {"respiratory_rate": 8}),
    ("呼吸40", {"respiratory_rate": 40}),
    ("BP 70/40", {"systolic_bp": 70, "diastolic_bp": 40}),
    ("BP 70", {"systolic_bp": 70}),
    ("血压70/40", {"systolic_bp": 70, "diastolic_bp": 40}),
    ("glucose 2", {"glucose_mmol_l": 2}),
    ("血糖2", {"glucose_mmol_l": 2}),
    ("pain 8/10", {"pain_score": 8}),
]


@pytest.mark.parametrize("sex", [" F", "F", " M", " f", ", F", ", M", "，女", "，男", " F,"])
@pytest.mark.parametrize(("text", "values"), STATED)
def test_a_vital_sign_before_a_sex_is_a_vital_sign_and_no_age(
    reader: Reader, text: str, values: dict[str, float], sex: str
) -> None:
    reading = reader.read(f"{text}{sex}")
    assert {v.name: v.value for v in reading.values} == values
    assert reading.ages_years == ()


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("SpO2 85 F 62 yo", 62),
        ("HR 38 F, 70 yo, dizzy", 70),
        ("BP 70/40, 28F", 28),
        ("28F, BP 70/40", 28),
        ("血氧85，男，62岁", 62),
        ("F/28 HR 38", 28),
    ],
)
def test_an_age_beside_a_vital_sign_is_still_read(reader: Reader, text: str, years: float) -> None:
    reading = reader.read(text)
    assert reading.ages_years == (years,)
    assert reading.values


@pytest.mark.parametrize(
    "text", ["fell 4m onto concrete", "2m from the ground", "on metformin 12m", "女 2天前"]
)
def test_metres_months_and_days_are_nobodys_age(text: str) -> None:
    assert find_people(text) == []


@pytest.mark.parametrize("text", ["the knee bends to ninety degrees", "膝关节能屈到90度"])
def test_an_angle_is_no_temperature(reader: Reader, text: str) -> None:
    assert reader.read(text).values == ()


@pytest.mark.parametrize("text", ["33F at 35 weeks, headache", "BP was 150/95 at 30 weeks"])
def test_weeks_from_the_middle_of_a_pregnancy_need_no_word_for_it(
    reader: Reader, text: str
) -> None:
    assert "gestation_weeks" in {v.name for v in reader.read(text).values}


@pytest.mark.parametrize("text", ["born at 35 weeks", "seen at 24 weeks post op"])
def test_weeks_of_a_birth_or_after_an_operation_are_no_pregnancy(reader: Reader, text: str) -> None:
    assert "gestation_weeks" not in {v.name for v in reader.read(text).values}
