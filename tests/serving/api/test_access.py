"""Default deny: every route of the API is closed without a key and without the right role."""

from __future__ import annotations

import pytest
from fastapi.routing import APIRoute

from serving.api import (
    batches,
    consults,
    decisions,
    dicomweb,
    health,
    imaging,
    knowledge,
    knowledge_documents,
    knowledge_feedback,
    knowledge_proposals,
    matches,
    reviews,
    triage,
)
from tests.serving.conftest import Api

OPEN = {"/health/live", "/health/ready", "/metrics"}
ROUTES = [
    (method, route.path)
    for module in (
        batches,
        consults,
        decisions,
        dicomweb,
        health,
        imaging,
        knowledge,
        knowledge_documents,
        knowledge_feedback,
        knowledge_proposals,
        matches,
        reviews,
        triage,
    )
    for route in module.router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_answers_without_a_key_but_health_and_metrics(
    api: Api, method: str, path: str
) -> None:
    answer = api.client.request(method, path.replace("{", "").replace("}", ""))
    if path in OPEN:
        assert answer.status_code == 200
    else:
        assert answer.status_code in (401, 422)
        if answer.status_code == 422:
            # Validation comes before the handler only where a required part is missing too.
            key = {"Authorization": "Bearer fz_" + "x" * 43}
            assert api.client.request(method, path, headers=key).status_code in (401, 422)


def test_an_unknown_path_is_a_problem(api: Api) -> None:
    answer = api.client.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_every_answer_carries_its_id_and_the_security_headers(api: Api) -> None:
    headers = api.client.get("/health/live").headers
    assert headers["x-request-id"].startswith("req_")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_disabled_user_is_refused(api: Api) -> None:
    from serving import users
    from serving.storage.codes import Role

    new = users.create(api.services.db, name="Leaving", role=Role.PHYSICIAN)
    key = {"Authorization": f"Bearer {new.api_key}"}
    assert api.client.get("/v1/reviews", headers=key).status_code == 200
    users.disable(api.services.db, new.user.id)
    assert api.client.get("/v1/reviews", headers=key).status_code == 401


def test_metrics_hold_no_patient_text(api: Api) -> None:
    api.client.post("/v1/triage", json={"text": "秘密的头痛"}, headers=api.app_user)
    text = api.client.get("/metrics").text
    assert "fenzhen_engine_inference_seconds" in text
    assert "秘密" not in text


@pytest.mark.parametrize("path", ["/nothing", "/console/nothing"])
def test_people_get_a_page_for_an_unknown_address_and_programs_a_problem(
    api: Api, path: str
) -> None:
    page = api.client.get(path, headers={"Accept": "text/html"}, follow_redirects=False)
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    problem = api.client.get(path, headers={"Accept": "application/json"})
    assert problem.json()["code"] == "not_found"
