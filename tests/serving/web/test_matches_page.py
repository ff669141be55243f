"""The console's page of the roster: what it shows, and that a match made there is recorded."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from models.matching.example import example_doctors
from serving.storage import roster
from serving.storage.codes import Role
from tests.serving.conftest import Api


@pytest.fixture
def staff(api: Api) -> TestClient:
    """A physician's browser, signed in; the example roster is imported."""
    roster.import_doctors(api.services.db, example_doctors(), actor="usr_admin")
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal
    client.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    return client


def token(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', client.get("/console/matches").text)
    assert found
    return found[1]


def test_the_page_shows_every_doctor_by_code(staff: TestClient) -> None:
    text = staff.get("/console/matches").text
    assert all(f"<code>{d.code}</code>" in text for d in example_doctors())
    assert "Roster version" in staff.get("/console/matches?lang=en").text


def test_a_match_from_the_form_is_shown_and_recorded(api: Api, staff: TestClient) -> None:
    answer = staff.post(
        "/console/matches",
        data={"csrf": token(staff), "department": "emergency_medicine", "urgency": "1"},
    )
    assert answer.status_code == 200
    assert "不要等待匹配" in answer.text
    match_id = re.search(r"dec_\w{26}", answer.text)
    assert match_id
    stored = api.client.get(f"/v1/decisions/{match_id[0]}", headers=api.physician).json()
    assert stored["kind"] == "match"


@pytest.mark.parametrize(
    "wrong", [{"department": ""}, {"department": "magic"}, {"age": "-3"}, {"urgency": "9"}]
)
def test_a_form_that_makes_no_sense_is_refused_in_words(
    staff: TestClient, wrong: dict[str, str]
) -> None:
    form = {"csrf": token(staff), "department": "cardiology"} | wrong
    answer = staff.post("/console/matches", data=form)
    assert answer.status_code == 422
    assert "请检查后再试" in answer.text


def test_without_the_sessions_token_nothing_is_matched(staff: TestClient) -> None:
    assert staff.post("/console/matches", data={"department": "cardiology"}).status_code == 403
