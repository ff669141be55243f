"""POST /v1/triage over HTTP: answers, records, and every bad input in one shape."""

from __future__ import annotations

from typing import Any

import pytest

from knowledge_base.cards import FOR_PATIENTS
from tests.serving.conftest import Api

PROBLEM = "application/problem+json"


def ask(api: Api, **body: Any) -> Any:
    return api.client.post("/v1/triage", json=body, headers=api.app_user)


def test_an_emergency_is_answered_with_rule_source_and_words(api: Api) -> None:
    answer = ask(api, text="胸口压榨样疼痛30分钟，出冷汗，左胳膊也疼", age_years=58, sex="male")
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["disposition"]["level"] == 1
    assert result["departments"][0]["code"] == "emergency_medicine"
    assert result["red_flags"][0]["sources"]
    assert "AI" in result["label"]["en"]
    assert answer.json()["review_task_id"]


def test_the_answer_is_recorded_with_its_input_and_versions(api: Api) -> None:
    answer = ask(api, text="流鼻涕、打喷嚏两天，没有发烧").json()
    stored = api.client.get(f"/v1/decisions/{answer['decision_id']}", headers=api.physician).json()
    assert stored["input"]["text"] == "流鼻涕、打喷嚏两天，没有发烧"
    assert stored["result"]["disposition"] == answer["result"]["disposition"]
    assert stored["status"] == "preliminary"
    assert stored["models"]
    assert stored["intact"] is True


def test_what_nobody_understands_is_never_fine_and_goes_to_a_person(api: Api) -> None:
    answer = ask(api, text="嗯嗯啊啊哦哦").json()
    assert answer["result"]["disposition"]["level"] <= 3
    assert "not_understood" in answer["result"]["review"]["reasons"]
    assert answer["review_task_id"]


@pytest.mark.parametrize("text", ["我不想活了", "I want to end it all", "活着没意思，想一了百了"])
def test_a_crisis_gets_the_crisis_answer_and_a_human(api: Api, text: str) -> None:
    answer = ask(api, text=text).json()
    assert answer["result"]["crisis"] is True
    assert answer["result"]["disposition"]["level"] <= 2
    assert answer["review_task_id"]


def test_the_same_case_has_the_same_urgency_in_both_languages(api: Api) -> None:
    chinese = ask(api, text="突然说话不清楚，右边胳膊没有力气", age_years=70).json()
    english = ask(api, text="sudden slurred speech, right arm weakness", age_years=70).json()
    assert (
        chinese["result"]["disposition"]["level"] == english["result"]["disposition"]["level"] == 1
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": ""}, 422, "invalid_input"),
        ({"text": "   "}, 422, "invalid_input"),
        ({}, 422, "invalid_input"),
        ({"text": "头痛" * 50_000}, 413, "payload_too_large"),
        ({"text": "болит голова и грудь"}, 422, "unsupported_language"),
        ({"text": "头痛", "language": "fr"}, 422, "invalid_input"),
        ({"text": "头痛", "age_years": 300}, 422, "invalid_input"),
        ({"text": "头痛", "age_years": -1}, 422, "invalid_input"),
        ({"text": "头痛", "vitals": {"heart_rate": 900}}, 422, "invalid_input"),
        ({"text": "头痛", "vitals": {"temperature_c": 70}}, 422, "invalid_input"),
        ({"text": "头痛", "vitals": {"systolic_bp": 80, "diastolic_bp": 90}}, 422, "invalid_input"),
        ({"text": "头痛", "unknown_field": 1}, 422, "invalid_input"),
        ({"messages": ["头痛"] * 60}, 413, "payload_too_large"),
    ],
)
def test_bad_input_gets_a_clear_problem(
    api: Api, body: dict[str, Any], status: int, code: str
) -> None:
    before = api.client.get("/v1/audit/verify", headers=api.administrator).json()["events"]
    answer = ask(api, **body)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(PROBLEM)
    assert answer.json()["code"] == code
    assert {"type", "title", "status"} <= answer.json().keys()
    after = api.client.get("/v1/audit/verify", headers=api.administrator).json()
    assert after["ok"] is True
    assert after["events"] == before, "a refused request leaves no decision"
    assert api.client.get("/health/ready").status_code == 200


def test_an_error_never_quotes_what_the_patient_typed(api: Api) -> None:
    answer = ask(api, text="我的秘密是胸痛", age_years=999)
    assert "秘密" not in answer.text
    assert "999" not in answer.text


def test_malformed_json_is_a_problem_too(api: Api) -> None:
    answer = api.client.post(
        "/v1/triage",
        content=b'{"text": ',
        headers={**api.app_user, "content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    answer = api.client.post("/v1/triage", content=b"x" * 2_000_000, headers={**api.app_user})
    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"


def test_without_a_key_nothing_is_answered(api: Api) -> None:
    answer = api.client.post("/v1/triage", json={"text": "头痛"})
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_answer_says_how_long_it_waited_and_computed(api: Api) -> None:
    timing = ask(api, text="头痛").headers["server-timing"]
    assert [part.split(";")[0] for part in timing.split(", ")] == ["queue", "inference", "total"]


def test_only_staff_get_passages_that_are_written_for_clinicians(api: Api) -> None:
    body = {"text": "测了血氧88，有点喘不上气", "age_years": 70, "vitals": {"spo2": 88}}
    for_app = ask(api, **body).json()["result"]
    for_staff = api.client.post("/v1/triage", json=body, headers=api.physician).json()["result"]
    sections = [{p["section"] for p in result["passages"]} for result in (for_app, for_staff)]
    assert sections[0] <= FOR_PATIENTS
    assert "refer" in sections[1]
    for result in (for_app, for_staff):
        table = {p["id"] for p in result["passages"]}
        assert {i for flag in result["red_flags"] for i in flag["passages"]} <= table
        assert set(result["disposition"]["basis"]["passages"]) <= table


def test_a_passage_that_an_answer_names_can_be_looked_up(api: Api) -> None:
    result = ask(api, text="胸口压榨样疼痛30分钟，出冷汗，左胳膊也疼").json()["result"]
    named = result["disposition"]["basis"]["passages"]
    assert named
    for passage_id in named:
        card = api.client.get(
            f"/v1/knowledge/cards/{passage_id.partition('#')[0]}", headers=api.app_user
        ).json()
        assert passage_id in {p["id"] for s in card["sections"] for p in s["passages"]}
