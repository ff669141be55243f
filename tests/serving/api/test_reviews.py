"""/v1/reviews over HTTP: claim, sign, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import Api


@pytest.fixture
def task(api: Api) -> str:
    """An open review of an emergency."""
    answer = api.client.post(
        "/v1/triage", json={"text": "突然嘴歪，右边身子没劲"}, headers=api.app_user
    )
    return str(answer.json()["review_task_id"])


def post(api: Api, path: str, **body: Any) -> Any:
    return api.client.post(f"/v1/reviews/{path}", json=body, headers=api.physician)


def claim(api: Api, task: str) -> int:
    return int(post(api, f"{task}/claim").json()["token"])


def test_a_physician_claims_reads_and_signs(api: Api, task: str) -> None:
    token = claim(api, task)
    case = api.client.get(f"/v1/reviews/{task}", headers=api.physician).json()
    assert case["input"]["text"] == "突然嘴歪，右边身子没劲"
    signed = post(api, f"{task}/sign", token=token)
    assert signed.json()["outcome"] == "signed"
    decision = api.client.get(f"/v1/decisions/{case['decision_id']}", headers=api.physician).json()
    assert decision["status"] == "signed"
    assert decision["signature"]["reader_name"] == "First physician"


def test_a_second_signature_is_refused_and_changes_nothing(api: Api, task: str) -> None:
    token = claim(api, task)
    first = post(api, f"{task}/sign", token=token).json()
    second = post(api, f"{task}/override", token=token, reason="rule_wrong", disposition=4)
    assert second.status_code == 409
    assert second.json()["code"] == "already_signed"
    case = api.client.get(f"/v1/reviews/{task}", headers=api.physician).json()
    assert case["signature"] == first


def test_an_override_keeps_its_reason_and_correction(api: Api, task: str) -> None:
    token = claim(api, task)
    answer = post(
        api,
        f"{task}/override",
        token=token,
        reason="context_unknown_to_ai",
        comment="已确诊面神经炎复查",
        disposition=4,
        departments=["neurology"],
    ).json()
    assert answer["outcome"] == "overridden"
    assert answer["corrected_disposition"] == 4


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "because"}, "invalid_input"),
        ({"reason": "other"}, "invalid_input"),
        ({"reason": "rule_wrong", "disposition": 9}, "invalid_input"),
        ({"reason": "rule_wrong", "departments": ["astrology"]}, "invalid_input"),
        ({"reason": "rule_wrong", "comment": "x" * 1_000_000}, "payload_too_large"),
    ],
)
def test_a_bad_override_is_refused(api: Api, task: str, body: dict[str, Any], code: str) -> None:
    token = claim(api, task)
    answer = post(api, f"{task}/override", token=token, **body)
    assert answer.json()["code"] in {code, "invalid_input"}
    assert post(api, f"{task}/sign", token=token).status_code == 200, "nothing was changed"


def test_an_old_token_is_refused(api: Api, task: str) -> None:
    old = claim(api, task)
    claim(api, task)
    assert post(api, f"{task}/sign", token=old).json()["code"] == "lease_lost"


def test_an_unknown_review_is_not_found(api: Api) -> None:
    answer = api.client.get("/v1/reviews/rev_nothing", headers=api.physician)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_only_physicians_sign(api: Api, task: str) -> None:
    for headers in (api.app_user, api.administrator):
        answer = api.client.post(f"/v1/reviews/{task}/claim", headers=headers)
        assert answer.status_code == 403


def test_the_worklist_is_most_urgent_first_and_shows_no_patient_text(api: Api, task: str) -> None:
    page = api.client.get("/v1/reviews", headers=api.physician)
    tasks = page.json()["tasks"]
    assert [t["priority"] for t in tasks] == sorted(t["priority"] for t in tasks)
    assert task in {t["id"] for t in tasks}
    assert "嘴歪" not in page.text


def test_a_correction_must_fit_the_kind_of_decision(api: Api, task: str) -> None:
    token = claim(api, task)
    answer = post(api, f"{task}/override", token=token, reason="rule_wrong", label="elephant")
    assert answer.json()["code"] == "invalid_input"


@pytest.mark.parametrize("path", ["/v1/audit/events?before=9223372036854775808"])
def test_numbers_beyond_the_database_are_refused(api: Api, path: str) -> None:
    assert api.client.get(path, headers=api.administrator).status_code == 422
