"""POST /v1/acuity over HTTP: level, scores, reasons, a record, and bad input in one shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import Api

PROBLEM = "application/problem+json"
NORMAL = {
    "heart_rate": 76, "respiratory_rate": 16, "systolic_bp": 124, "diastolic_bp": 78,
    "temperature_c": 36.8, "spo2": 98, "consciousness": "alert", "on_oxygen": False,
}  # fmt: skip


def ask(api: Api, **body: Any) -> Any:
    return api.client.post("/v1/acuity", json=body, headers=api.app_user)


def test_the_answer_has_level_scores_and_what_decided(api: Api) -> None:
    answer = ask(api, text="ankle injury", age_years=30, sex="female", scale="ktas", injury=True,
                 arrival="walking", vitals={**NORMAL, "pain_score": 4})  # fmt: skip
    assert answer.status_code == 200
    result = answer.json()["result"]
    assert result["acuity"]["scale"] == "ktas"
    assert result["acuity"]["level"] in (4, 5)
    assert result["decided_by"]["kind"] == "model"
    assert result["news2"]["total"] == 0
    assert result["news2"]["complete"] is True
    assert sum(p["probability"] for p in result["probabilities"]) == pytest.approx(1, abs=0.001)
    assert result["prediction_set"]
    assert result["disposition"]["level"] == 4, "nobody is sent home by a number"
    assert result["status"] == "preliminary"


def test_both_languages_name_the_level(api: Api) -> None:
    name = ask(api, text="踝关节扭伤", scale="china", vitals=NORMAL).json()["result"]["acuity"][
        "name"
    ]
    assert set(name) == {"zh", "en"}


def test_the_unresponsive_are_level_one_by_a_floor_whatever_the_model_says(api: Api) -> None:
    for scale in ("esi", "ktas", "china"):
        result = ask(api, text="toothache", age_years=40, scale=scale,
                     vitals={"consciousness": "unresponsive"}).json()["result"]  # fmt: skip
        assert result["acuity"]["level"] == 1
        assert result["acuity"]["minutes"] == 0
        assert result["decided_by"] == {
            "kind": "floor", "id": "unresponsive", "reason": result["decided_by"]["reason"],
        }  # fmt: skip
        assert result["disposition"]["level"] == 1


def test_a_high_news2_raises_a_harmless_complaint(api: Api) -> None:
    sick = {**NORMAL, "heart_rate": 128, "respiratory_rate": 26, "systolic_bp": 96}
    result = ask(api, text="cough", age_years=60, scale="ktas", vitals=sick).json()["result"]
    assert result["news2"]["total"] == 7
    assert result["acuity"]["level"] <= 2
    assert "news2-high" in [floor["id"] for floor in result["floors"]]


def test_news2_scale_2_is_used_only_where_it_was_recorded(api: Api) -> None:
    low = {**NORMAL, "spo2": 89}
    plain = ask(api, text="cough", age_years=70, vitals=low).json()["result"]
    recorded = ask(api, text="cough", age_years=70, vitals={**low, "hypercapnic_failure": True})
    assert plain["news2"]["total"] == 3
    assert recorded.json()["result"]["news2"]["total"] == 0


def test_children_and_pregnant_women_get_no_news2(api: Api) -> None:
    child = ask(api, text="fever", age_years=9, vitals=NORMAL).json()["result"]
    pregnant = ask(api, text="fever", age_years=30, pregnant=True, vitals=NORMAL).json()["result"]
    assert (child["news2"]["refused"], child["news2"]["total"]) == ("too_young", None)
    assert (pregnant["news2"]["refused"], pregnant["news2"]["total"]) == ("pregnant", None)


def test_what_is_missing_is_named_and_never_reassures(api: Api) -> None:
    result = ask(api, text="cough", age_years=50, vitals={"heart_rate": 70}).json()["result"]
    assert {"spo2", "respiratory_rate", "consciousness", "sex"} <= set(result["missing"])
    assert result["news2"]["complete"] is False
    assert result["news2"]["meaning"] is None


def test_breathlessness_without_any_vital_sign_is_never_low(api: Api) -> None:
    for text in ("dyspnea", "呼吸困难"):
        result = ask(api, text=text, age_years=48, scale="ktas").json()["result"]
        assert result["acuity"]["level"] <= 2


def test_what_nobody_understands_is_urgent_and_goes_to_a_person(api: Api) -> None:
    answer = ask(api, text="???", age_years=40, vitals=NORMAL).json()
    assert answer["result"]["acuity"]["level"] <= 3
    assert "not_understood" in answer["result"]["review"]["reasons"]
    assert answer["review_task_id"]


def test_the_disposition_is_never_below_the_red_flags(api: Api) -> None:
    result = ask(api, text="胸口压榨样疼痛30分钟，出冷汗", age_years=58, vitals=NORMAL).json()[
        "result"
    ]
    assert result["disposition"]["level"] == 1
    assert result["acuity"]["level"] <= 3
    assert result["red_flags"]


def test_the_setting_picks_the_scale_where_a_request_names_none(api: Api) -> None:
    result = ask(api, text="cough", age_years=50, vitals=NORMAL).json()["result"]
    assert result["acuity"]["scale"] == api.services.settings.acuity_scale


def test_every_answer_is_recorded_with_its_scale_input_and_versions(api: Api) -> None:
    answer = ask(api, text="headache", age_years=50, scale="ktas", vitals=NORMAL).json()
    stored = api.client.get(f"/v1/decisions/{answer['decision_id']}", headers=api.physician).json()
    assert stored["kind"] == "acuity"
    assert stored["input"]["scale"] == "ktas"
    assert stored["input"]["text"] == "headache"
    assert stored["result"]["acuity"] == answer["result"]["acuity"]
    assert "acuity_ktas" in stored["models"]
    assert stored["intact"] is True


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_input"),
        ({"text": "  "}, 422, "invalid_input"),
        ({"text": "\u200b"}, 422, "invalid_input"),
        ({"text": "cough", "scale": "mts"}, 422, "invalid_input"),
        ({"text": "cough", "age_years": 300}, 422, "invalid_input"),
        ({"text": "cough", "arrival": "helicopter"}, 422, "invalid_input"),
        ({"text": "cough", "vitals": {"heart_rate": 900}}, 422, "invalid_input"),
        ({"text": "cough", "vitals": {"spo2": 101}}, 422, "invalid_input"),
        ({"text": "cough", "vitals": {"consciousness": "sleepy"}}, 422, "invalid_input"),
        (
            {"text": "cough", "vitals": {"systolic_bp": 70, "diastolic_bp": 90}},
            422,
            "invalid_input",
        ),
        ({"text": "cough", "ktas_expert": 1}, 422, "invalid_input"),
        ({"text": "cough" * 20_000}, 413, "payload_too_large"),
        ({"text": "болит голова"}, 422, "unsupported_language"),
    ],
)
def test_bad_input_gets_a_clear_problem_and_no_record(
    api: Api, body: dict[str, Any], status: int, code: str
) -> None:
    before = api.client.get("/v1/audit/verify", headers=api.administrator).json()["events"]
    answer = ask(api, **body)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(PROBLEM)
    assert answer.json()["code"] == code
    after = api.client.get("/v1/audit/verify", headers=api.administrator).json()["events"]
    assert after == before


def test_vital_signs_alone_are_graded_whatever_the_language(api: Api) -> None:
    answer = ask(api, text="болит голова", scale="china", vitals={"spo2": 78})
    assert answer.json()["result"]["acuity"]["level"] == 1


def test_an_error_never_quotes_the_note(api: Api) -> None:
    assert "secret" not in ask(api, text="secret cough", age_years=999).text


def test_without_a_key_nothing_is_graded(api: Api) -> None:
    assert api.client.post("/v1/acuity", json={"text": "cough"}).status_code == 401
