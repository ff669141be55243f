"""The case page of an answer from the knowledge base: the answer, its places, the complaints."""

from __future__ import annotations

from fastapi.testclient import TestClient

from serving import users
from serving.curation import feedback
from serving.storage.codes import Role, Verdict
from tests.serving.conftest import Api
from tests.serving.curation.answers import QUOTED, record_answer


def test_the_case_shows_answer_places_and_what_readers_say(api: Api) -> None:
    services = api.services
    answer = record_answer(services.db, policy=services.policy)
    reader = users.create(services.db, name="<i>app", role=Role.PATIENT_APP).user
    heard = feedback.give(
        services.db, services.policy, answer.id, reader,
        verdict=Verdict.INCOMPLETE, comment="<b>少了</b>", passages=QUOTED[:1],
    )  # fmt: skip
    browser = TestClient(api.client.app, raise_server_exceptions=False)
    browser.portal = api.client.portal
    browser.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    page = browser.get(f"/console/cases/{heard.review_task_id}?lang=en")
    assert page.status_code == 200
    assert str(answer.input["question"]) in page.text
    for passage in QUOTED:
        assert f"/console/knowledge/documents/{passage}" in page.text
    assert "Incomplete" in page.text
    assert "&lt;b&gt;少了&lt;/b&gt;" in page.text
    assert "&lt;i&gt;app" in page.text
    listed = browser.get("/console?view=knowledge").text
    assert str(heard.review_task_id) in listed
