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
