"""POST /v1/matches and its outcomes over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.matching.example import example_doctors
from serving import audit
from serving.storage import roster
from tests.serving.conftest import Api

EMERGENCY = {"department": "emergency_medicine", "age_years": 40}
"""The example's emergency doctors are always on duty: these tests hold at any hour."""


@pytest.fixture(autouse=True)
def _roster(api: Api) -> None:
    roster.import_doctors(api.services.db, example_doctors(), actor="usr_admin")


def ask(api: Api, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return api.client.post("/v1/matches", json=body, headers={**api.app_user, **(headers or {})})


def report(api: Api, match_id: str, **body: Any) -> Any:
    return api.client.post(f"/v1/matches/{match_id}/outcome", json=body, headers=api.app_user)


def monday_nine() -> str:
    """The next Monday at nine in the hospital's time."""
    now = datetime.now(UTC).astimezone(ZoneInfo("Asia/Shanghai"))
    monday = now + timedelta(days=7 - now.weekday())
    return monday.replace(hour=9, minute=0, second=0, microsecond=0).isoformat()


def test_a_match_names_doctors_by_code_with_scores_parts_and_reasons(api: Api) -> None:
    body = ask(api, department="oncology", age_years=60, at=monday_nine()).json()
    assert body["status"] == "matched"
    assert len(body["alternates"]) == 3
    shown = [body["first"], *body["alternates"]]
    assert [c["score"] for c in shown] == sorted((c["score"] for c in shown), reverse=True)
    for candidate in shown:
        assert candidate["doctor"].startswith("D0")
        assert {"zh", "en"} == candidate["reasons"][0].keys()
        parts = sum(part["contribution"] for part in candidate["contributions"])
        assert parts == pytest.approx(candidate["score"], abs=1e-5)
    assert (body["roster_version"], body["weights_version"]) == (1, "1.0")
    assert "AI" in body["label"]["en"]
    assert body["emergency"] is None


def test_nobody_eligible_is_an_answer_that_says_why(api: Api) -> None:
    answer = ask(api, department="oncology", age_years=6, at=monday_nine())
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["first"], body["alternates"]) == ("nobody", None, [])
    removed = {r["condition"]: (r["doctors"], r["alone"]) for r in body["removed"]}
    doctors = example_doctors()
    oncologists = [d for d in doctors if "oncology" in d.department]
    assert removed["department"] == (len(doctors) - len(oncologists), None)
    assert removed["age"][0] == len(oncologists)


@pytest.mark.parametrize("urgency", [1, 2])
def test_an_emergency_is_told_first_where_to_go_whoever_is_eligible(api: Api, urgency: int) -> None:
    for body in (
        ask(api, urgency=urgency, **EMERGENCY).json(),
        ask(api, urgency=urgency, department="vaccination").json(),
    ):
        assert "120" in body["emergency"]["zh"]
        assert "do not wait" in body["emergency"]["en"]
    assert ask(api, urgency=3, **EMERGENCY).json()["emergency"] is None


def test_a_triage_gives_the_match_its_department_age_and_urgency(api: Api) -> None:
    triage = api.client.post(
        "/v1/triage",
        json={"text": "胸口压榨样疼痛30分钟，出冷汗", "age_years": 58, "sex": "male"},
        headers=api.app_user,
    ).json()
    body = ask(api, decision_id=triage["decision_id"]).json()
    assert body["first"]["department"] == "emergency_medicine"
    assert body["emergency"] is not None
    stored = api.client.get(f"/v1/decisions/{body['match_id']}", headers=api.physician).json()
    assert stored["kind"] == "match"
    assert stored["intact"] is True
    assert stored["input"]["age_years"] == 58
    assert stored["disposition"] == 1
    assert ask(api, decision_id="dec_unknown").status_code == 404
    assert ask(api, decision_id=body["match_id"]).status_code == 404, "a match is no triage"


def test_accepting_is_idempotent_takes_one_place_and_is_audited(api: Api) -> None:
    body = ask(api, **EMERGENCY).json()
    doctor = body["first"]["doctor"]
    before = body["first"]["free_places"]
    said = [report(api, body["match_id"], doctor=doctor, outcome="accepted") for _ in range(3)]
    assert {s.status_code for s in said} == {200}
    assert said[0].json() == said[1].json() == said[2].json()
    assert said[0].json()["free_places"] == before - 1
    events = [e.action for e in audit.list_events(api.services.db, subject=body["match_id"])]
    assert events == ["match.accepted", "decision.recorded"]


def test_places_run_out_and_never_below_none(api: Api) -> None:
    later = EMERGENCY | {"at": (datetime.now(UTC) + timedelta(days=30)).isoformat()}
    capacity = sum(d.capacity for d in example_doctors() if d.department == "emergency_medicine")
    ids = [ask(api, **later).json() for _ in range(capacity + 5)]

    def accept(body: Any) -> int:
        if body["first"] is None:
            return 0
        said = report(api, body["match_id"], doctor=body["first"]["doctor"], outcome="accepted")
        assert said.status_code in (200, 409)
        return int(said.status_code)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(accept, ids))
    assert 409 in outcomes
    rest = ask(api, **later).json()
    while rest["first"] is not None:  # the other emergency doctors, until they are full too
        report(api, rest["match_id"], doctor=rest["first"]["doctor"], outcome="accepted")
        rest = ask(api, **later).json()
    removed = {r["condition"]: r["alone"] for r in rest["removed"]}
    assert removed["capacity"] == 2
    with api.services.db.read() as session:
        taken = roster.taken_on(session, datetime.fromisoformat(rest["day"]).date())
    emergency = {d.code: d.capacity for d in example_doctors() if d.code in taken}
    assert taken == {code: emergency[code] for code in taken}


def test_a_refused_doctor_names_the_next_one(api: Api) -> None:
    body = ask(api, department="oncology", age_years=60, at=monday_nine()).json()
    said = report(
        api,
        body["match_id"],
        doctor=body["first"]["doctor"],
        outcome="refused",
        reason="doctor_unavailable",
    ).json()
    assert said["next_doctor"] == body["alternates"][0]["doctor"]


def test_the_same_key_gets_the_same_match_and_another_body_a_conflict(api: Api) -> None:
    key = {"Idempotency-Key": "match-1"}
    first = ask(api, key, department="oncology", age_years=60, at=monday_nine())
    again = ask(api, key, department="oncology", age_years=60, at=monday_nine())
    assert first.json() == again.json()
    other = ask(api, key, department="oncology", age_years=61, at=monday_nine())
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"department": "heart"},
        {"department": "cardiology", "age_years": -1},
        {"department": "cardiology", "urgency": 6},
        {"department": "cardiology", "at": "2020-01-01T09:00:00+08:00"},
        {"department": "cardiology", "at": "2099-01-01T09:00:00+08:00"},
        {"department": "cardiology", "name": "张三"},
    ],
)
def test_bad_input_is_a_problem_that_quotes_nothing(api: Api, body: dict[str, Any]) -> None:
    answer = ask(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert "heart" not in answer.text
    assert "张三" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"doctor": "D999", "outcome": "accepted"}, 404),
        ({"doctor": "D001", "outcome": "refused"}, 422),
        ({"doctor": "D001", "outcome": "cancelled"}, 409),
        ({"doctor": "张三", "outcome": "accepted"}, 422),
        ({"doctor": "D001", "outcome": "loved"}, 422),
    ],
)
def test_an_outcome_that_makes_no_sense_is_refused(
    api: Api, body: dict[str, str], status: int
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = ask(api, at=tomorrow, **EMERGENCY).json()
    assert "D001" in {c["doctor"] for c in (made["first"], *made["alternates"])}
    assert report(api, made["match_id"], **body).status_code == status


def test_an_outcome_of_an_unknown_match_or_of_a_triage_is_not_found(api: Api) -> None:
    triage = api.client.post("/v1/triage", json={"text": "头痛"}, headers=api.app_user).json()
    for match_id in ("dec_unknown", triage["decision_id"]):
        said = report(api, match_id, doctor="D001", outcome="accepted")
        assert (said.status_code, said.json()["code"]) == (404, "not_found")


def test_without_a_key_there_is_no_match(api: Api) -> None:
    assert api.client.post("/v1/matches", json=EMERGENCY).status_code == 401
    assert api.client.post("/v1/matches/x/outcome", json={}).status_code == 401
