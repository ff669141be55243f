"""Numbers beside numerals, bare ages, nobody's illness and the hour at which something began."""

from __future__ import annotations

import pytest

from models.text.age_sex import find_ages_years
from models.text.findings import Reader
from models.text.values import find_values


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize(
    ("text", "celsius"),
    [
        ("发烧38.5一天", 38.5),
        ("发烧38.5度一天了", 38.5),
        ("发烧38度5天", 38.0),
        ("发烧38度半天了", 38.0),
        ("三十九度一天", 39.0),
        ("发烧38度5", 38.5),
        ("发烧三十八度五", 38.5),
        ("发烧38度半", 38.5),
        ("temperature 38.5 one day", 38.5),
    ],
)
def test_the_days_behind_a_temperature_are_no_part_of_it(text: str, celsius: float) -> None:
    assert [v.value for v in find_values(text) if v.name == "temperature_c"] == [celsius]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("he is 58 and has chest pain", 58),
        ("she's 7, fever", 7),
        ("my mother is 81.", 81),
        ("他58了,胸痛", 58),
        ("我妈今年78,头晕", 78),
        ("爷爷八十了", 80),
    ],
)
def test_a_bare_number_said_of_a_person_is_an_age(text: str, years: float) -> None:
    assert find_ages_years(text) == [years]


@pytest.mark.parametrize(
    "text",
    [
        "he is 5 days post op",
        "she is 30 weeks pregnant",
        "his temp was high, he is 39, shivering",
        "发烧了,他39了,发抖",
        "he is 38.5",
        "他38.5了",
        "他烧到39了",
        "他血压180了",
    ],
)
def test_a_number_that_measures_something_is_no_age(text: str) -> None:
    assert find_ages_years(text) == []


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("没人不舒服", "malaise", "absent"),
        ("nobody is ill", "malaise", "absent"),
        ("no one in the family has fever or cough", "cough", "absent"),
        ("没人管我头疼", "headache", "present"),
        ("没人，我不舒服", "malaise", "present"),
        ("nobody knows why my chest hurts", "chest_pain", "present"),
    ],
)
def test_what_nobody_has_is_denied(reader: Reader, text: str, code: str, status: str) -> None:
    assert [f.status for f in reader.read(text).findings if f.code == code] == [status]


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("今天早上右手无力", "今天早上"),
        ("胸痛，今天早上8点开始", "今天早上8点"),
        ("昨晚十一点突然头痛", "昨晚十一点"),
        ("weak arm since 8:30 am today", "since 8:30 am today"),
        ("Chest pain this morning", "this morning"),
        ("头痛三天", None),
        ("headache for 3 days", None),
    ],
)
def test_a_stated_hour_keeps_the_patients_words(
    reader: Reader, text: str, since: str | None
) -> None:
    assert {f.since for f in reader.read(text).findings} == {since}
    assert all(f.duration_hours for f in reader.read(text).findings)


@pytest.mark.parametrize(
    "text",
    [
        "头碰到桌子",
        "头不小心撞了一下",
        "额头碰到门",
        "磕到头",
        "撞了头",
        "bumped her head on the table",
        "his head hit the floor",
    ],
)
def test_a_knock_of_the_head_is_a_head_injury(reader: Reader, text: str) -> None:
    assert ("head_injury", "present") in {(f.code, f.status) for f in reader.read(text).findings}


@pytest.mark.parametrize(
    "text", ["头没碰到", "没有撞到头", "手碰到桌子", "头碰到水就疼", "did not hit his head"]
)
def test_a_head_that_was_not_knocked_is_none(reader: Reader, text: str) -> None:
    assert ("head_injury", "present") not in {
        (f.code, f.status) for f in reader.read(text).findings
    }


@pytest.mark.parametrize(
    "text", ["什么都没意思", "提不起兴趣", "nothing interests me any more", "no joy in anything"]
)
def test_loss_of_interest_is_heard_in_plain_words(reader: Reader, text: str) -> None:
    assert [f.code for f in reader.read(text).findings] == ["anhedonia"]


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("my arm hurts, not my chest", "chest_pain", "absent"),
        ("the pain is in my arm and not in the chest.", "chest_pain", "absent"),
        ("胳膊疼，不是胸口", "chest_pain", "absent"),
        ("my arm hurts, not my chest", "arm_pain", "present"),
        ("it is not my arm, my chest hurts", "chest_pain", "present"),
        ("胳膊疼，不是胸口疼吗？是胸口疼", "chest_pain", "present"),
    ],
)
def test_pain_that_is_elsewhere_is_denied(
    reader: Reader, text: str, code: str, status: str
) -> None:
    assert status in [f.status for f in reader.read(text).findings if f.code == code]


@pytest.mark.parametrize("text", ["it's not my chest I worry about, my arm hurts", "not my chest"])
def test_a_site_beside_no_pain_denies_nothing(reader: Reader, text: str) -> None:
    assert "chest_pain" not in [f.code for f in reader.read(text).findings]


@pytest.mark.parametrize(
    ("text", "hurts"),
    [
        ("my son's left ball is killing him", True),
        ("his right ball started hurting out of nowhere", True),
        ("hit by a ball on the knee", False),
        ("left ball of my foot hurts", False),
    ],
)
def test_a_ball_that_hurts_is_a_testicle_and_no_other_ball(
    reader: Reader, text: str, hurts: bool
) -> None:
    assert ("testicular_pain" in {f.code for f in reader.read(text).findings}) is hurts


@pytest.mark.parametrize(
    ("text", "days"),
    [("50天的宝宝摸着烫", 50), ("我家6周的宝宝发烧", 42), ("宝宝四十来天,摸着烫", 40)],
)
def test_a_babys_days_are_an_age(text: str, days: float) -> None:
    assert find_ages_years(text) == [days / 365.25]


@pytest.mark.parametrize("text", ["发烧3天的宝宝", "宝宝3天没拉", "咳嗽两周的孩子"])
def test_the_days_of_an_illness_are_no_age(text: str) -> None:
    assert find_ages_years(text) == []
