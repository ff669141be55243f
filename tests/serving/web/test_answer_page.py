"""The console asks the knowledge base: the answer at its own address, what readers say of it."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from serving.curation import feedback
from serving.storage.codes import Role, Verdict
from tests.serving.conftest import Api
from tests.serving.web.test_pages import csrf

ANSWERS = "/console/knowledge/answers"


@pytest.fixture
def physician(api: Api) -> TestClient:
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal
    client.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    return client


def asked(client: TestClient, question: str) -> str:
    """The address of the recorded answer."""
    page = client.get("/console/knowledge", params={"q": question})
    sent = {"question": question, "csrf": csrf(page)}
    answer = client.post(ANSWERS, data=sent, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_question_is_answered_at_an_address_of_its_own(physician: TestClient) -> None:
    address = asked(physician, "被狗咬了伤口怎么处理")
    page = physician.get(address).text
    assert address.startswith(f"{ANSWERS}/dec_")
    assert "被狗咬了伤口怎么处理" in page
    assert "/console/knowledge/documents/animal-bite-rabies" in page


def test_what_is_not_known_is_said_so(physician: TestClient) -> None:
    assert "没有找到回答" in physician.get(asked(physician, "明天股票会涨吗")).text


def test_a_complaint_is_kept_and_shown(api: Api, physician: TestClient) -> None:
    address = asked(physician, "发烧几天要看医生")
    token = csrf(physician.get(address))
    sent = {"verdict": "incomplete", "comment": "<b>孩子呢</b>", "csrf": token}
    page = physician.post(f"{address}/feedback", data=sent)
    assert page.status_code == 200
    assert "&lt;b&gt;孩子呢&lt;/b&gt;" in page.text
    [kept] = feedback.on_decision(api.services.db, address.rpartition("/")[2])
    assert kept.verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("verdict", ["", "perfect"])
def test_a_verdict_that_is_none_is_refused(physician: TestClient, verdict: str) -> None:
    address = asked(physician, "发烧几天要看医生")
    sent = {"verdict": verdict, "csrf": csrf(physician.get(address))}
    assert physician.post(f"{address}/feedback", data=sent).status_code == 422


def test_an_unknown_answer_is_a_page_of_its_own(physician: TestClient) -> None:
    assert physician.get(f"{ANSWERS}/dec_nothing").status_code == 404


def test_asking_needs_the_forms_own_token(physician: TestClient) -> None:
    sent = {"question": "发烧", "csrf": "0" * 64}
    assert physician.post(ANSWERS, data=sent, follow_redirects=False).status_code == 403
