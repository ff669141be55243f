"""The console's page of acuity, and the cases of acuity and match decisions."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from models.matching.example import example_doctors
from serving.reviews import tasks
from serving.reviews.policy import ReviewRequest
from serving.storage import roster
from serving.storage.codes import Reason, Role
from tests.serving.conftest import Api

CHEST_PAIN = {"text": "胸口压榨样疼痛半小时，出冷汗", "age": "58", "sex": "male", "spo2": "84"}


@pytest.fixture
def staff(api: Api) -> TestClient:
    """A physician's browser, signed in."""
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal
    client.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    return client


def token(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', client.get("/console/acuity").text)
    assert found
    return found[1]


def grade(staff: TestClient, **form: str) -> tuple[int, str]:
    answer = staff.post("/console/acuity", data={"csrf": token(staff), **form})
    return answer.status_code, answer.text


def found_id(kind: str, text: str) -> str:
    found = re.search(rf"{kind}_\w{{26}}", text)
    assert found
    return found[0]


def test_the_form_shows_level_scores_and_what_decided_and_records_it(
    api: Api, staff: TestClient
) -> None:
    status, text = grade(staff, **CHEST_PAIN)
    assert status == 200
    stored = api.client.get(f"/v1/decisions/{found_id('dec', text)}", headers=api.physician).json()
    result = stored["result"]
    assert stored["kind"] == "acuity"
    assert stored["input"]["vitals"]["spo2"] == 84
    assert f'<span class="acuity-number">{result["acuity"]["level"]}</span>' in text
    assert result["decided_by"]["reason"]["zh"] in text
    for score in ("news2", "qsofa", "mews", "china", "danger_vitals"):
        assert result[score]["name"]["zh"] in text


def test_what_was_not_measured_is_named_and_the_score_is_only_a_lower_bound(
    staff: TestClient,
) -> None:
    _, text = grade(staff, **CHEST_PAIN)
    assert "还没有的信息" in text
    assert "呼吸频率" in text
    assert re.search(r"<strong>≥ \d", text)


def test_a_score_that_is_not_for_the_patient_says_so(staff: TestClient) -> None:
    _, text = grade(staff, text="发烧", age="5", temperature_c="38.5")
    assert "这个评分不用于这个年龄" in text


@pytest.mark.parametrize(
    "wrong",
    [{}, {"text": "咳嗽", "heart_rate": "900"}, {"text": "咳嗽", "scale": "mts"},
     {"text": "咳嗽", "systolic_bp": "80", "diastolic_bp": "120"}],
)  # fmt: skip
def test_a_form_that_makes_no_sense_is_refused_in_words_and_kept(
    staff: TestClient, wrong: dict[str, str]
) -> None:
    status, text = grade(staff, **wrong)
    assert status == 422
    assert "请检查后再试" in text
    assert wrong.get("heart_rate", "") in text


def test_without_the_sessions_token_nothing_is_graded(staff: TestClient) -> None:
    assert staff.post("/console/acuity", data=CHEST_PAIN).status_code == 403


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_case_of_an_acuity_decision_shows_words_and_level(
    staff: TestClient, language: str
) -> None:
    _, text = grade(staff, **CHEST_PAIN)
    case = staff.get(f"/console/cases/{found_id('rev', text)}?lang={language}")
    assert case.status_code == 200
    assert re.search(r'<mark class="ev present"[^>]*>[^<]*疼', case.text)
    assert 'class="acuity-number"' in case.text


def test_a_match_that_somebody_complained_of_is_filtered_and_opens(
    api: Api, staff: TestClient
) -> None:
    roster.import_doctors(api.services.db, example_doctors(), actor="usr_admin")
    match = api.client.post(
        "/v1/matches", json={"department": "cardiology"}, headers=api.physician
    ).json()
    complaint = ReviewRequest((Reason.COMPLAINT,), 3, timedelta(hours=1))
    task = tasks.request_review(api.services.db, match["match_id"], complaint, actor="usr_admin")
    listed = staff.get("/console?view=match").text
    assert task in listed
    assert task not in staff.get("/console?view=acuity").text
    case = staff.get(f"/console/cases/{task}")
    assert case.status_code == 200
    assert match["summary"]["zh"] in case.text
