"""The pages over HTTP without a browser: cookies, caching, forms, errors."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.testclient import TestClient

from serving import users
from serving.storage.codes import Role
from serving.web.chat_consult import WEB_USER, web_user
from tests.serving.conftest import Api

CONSENT = {"understood": "yes", "health_data": "yes"}


@pytest.fixture
def visitor(api: Api) -> TestClient:
    """A browser of its own, with no cookies yet."""
    client = TestClient(api.client.app, raise_server_exceptions=False)
    client.portal = api.client.portal  # the loop that the engine runs in
    return client


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found
    return found[1]


def test_the_web_acts_as_one_user_whose_key_nobody_has(api: Api, visitor: TestClient) -> None:
    for _ in range(2):
        visitor.post("/chat/start", data=CONSENT)
    named = [u for u in users.list_users(api.services.db) if u.name == WEB_USER]
    assert [u.role for u in named] == [Role.PATIENT_APP]
    assert web_user(api.services.db).id == named[0].id


def test_consent_is_kept_with_the_consult(api: Api, visitor: TestClient) -> None:
    from serving.storage import consults

    visitor.post("/chat/start", data=CONSENT | {"age": "6", "age_unit": "months"})
    consult_id, _, secret = visitor.cookies["fenzhen_consult"].partition(".")
    state = consults.load(api.services.db, consult_id, secret).state
    assert state["consent"]["health_data"] is True  # type: ignore[index,call-overload]
    assert state["profile"]["age_years"] == 0.5  # type: ignore[index,call-overload]


@pytest.mark.parametrize("age", ["-1", "130", "abc", "nan", "1e9"])
def test_an_impossible_age_is_refused_in_words(visitor: TestClient, age: str) -> None:
    answer = visitor.post("/chat/start", data=CONSENT | {"age": age})
    assert answer.status_code == 422
    assert "年龄请填" in answer.text


def test_pages_are_never_cached_and_cookies_are_closed_to_scripts(visitor: TestClient) -> None:
    page = visitor.get("/")
    assert page.headers["cache-control"] == "no-store"
    started = visitor.post("/chat/start", data=CONSENT, follow_redirects=False)
    cookie = started.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_an_htmx_turn_is_answered_with_the_new_turns_alone(visitor: TestClient) -> None:
    page = visitor.post("/chat/start", data=CONSENT)
    answer = visitor.post(
        "/chat/turn",
        data={"text": "头痛两天", "csrf": csrf(page)},
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert answer.text.count("data-answer") == 1
    assert 'hx-swap-oob="true"' in answer.text


def test_each_reason_for_the_urgency_names_the_passage_behind_it(visitor: TestClient) -> None:
    page = visitor.post("/chat/start", data=CONSENT)
    answer = visitor.post(
        "/chat/turn", data={"text": "胸口压榨样疼痛，出冷汗，疼到左胳膊", "csrf": csrf(page)}
    )
    assert "依据：成人胸痛 · 何时警惕 2" in answer.text
    assert "· 转诊 " not in answer.text


def test_an_empty_turn_is_refused_in_words(visitor: TestClient) -> None:
    page = visitor.post("/chat/start", data=CONSENT)
    answer = visitor.post("/chat/turn", data={"text": "  ", "csrf": csrf(page)})
    assert answer.status_code == 422
    assert "请先写下哪里不舒服" in answer.text


def test_a_lost_consult_gives_the_words_back(visitor: TestClient) -> None:
    answer = visitor.post(
        "/chat/turn", data={"text": "头痛", "csrf": "x"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 404
    assert "头痛</textarea>" in answer.text


def test_a_session_cookie_alone_cannot_write(api: Api, visitor: TestClient) -> None:
    visitor.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    assert visitor.get("/console").status_code == 200
    assert visitor.post("/console/next").status_code == 403
    assert visitor.post("/console/next", data={"csrf": "0" * 64}).status_code == 403
    assert visitor.post("/v1/reviews/next").status_code == 403


@pytest.mark.parametrize(
    "wish", ["https://evil.example/console", "//evil.example", "/console/../v1", "/console?x=1", ""]
)
def test_signing_in_leads_to_the_console_only(api: Api, visitor: TestClient, wish: str) -> None:
    answer = visitor.post(
        "/console/signin",
        data={"key": api.keys[Role.PHYSICIAN], "next": wish},
        follow_redirects=False,
    )
    assert answer.headers["location"] == "/console"


def test_an_unknown_case_is_a_page_and_says_no_more(api: Api, visitor: TestClient) -> None:
    visitor.post("/console/signin", data={"key": api.keys[Role.PHYSICIAN]})
    answer = visitor.get("/console/cases/rev_none")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_an_ended_session_sends_htmx_to_the_sign_in(visitor: TestClient) -> None:
    answer = visitor.get("/console/worklist", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"] == "/console/signin"
