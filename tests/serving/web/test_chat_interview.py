"""The chat without a browser: questions for several findings, questions back, the last check."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from tests.serving.conftest import Api

AGREED = {"understood": "yes", "health_data": "yes", "age": "50", "sex": "female"}


class Chat:
    """One visitor's pages."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.page = ""

    def start(self, **more: str) -> None:
        self._client.post("/chat/start", data={**AGREED, **more})
        self.page = self._client.get("/").text

    def post(self, path: str, **fields: str | list[str]) -> Response:
        found = re.search(r'name="csrf" value="([^"]+)"', self.page)
        assert found is not None
        answer = self._client.post(path, data={"csrf": found.group(1), **fields})
        self.page = self._client.get("/").text
        return answer

    def say(self, text: str = "", **fields: str | list[str]) -> Response:
        return self.post("/chat/turn", text=text, **fields)

    @property
    def ticks(self) -> list[str]:
        return re.findall(r'name="finding" value="([^"]+)"', self.page)


@pytest.fixture
def chat(api: Api) -> Iterator[Chat]:
    api.client.cookies.clear()
    made = Chat(api.client)
    made.start()
    yield made
    api.client.cookies.clear()


def test_a_question_for_several_findings_can_be_ticked(chat: Chat) -> None:
    chat.say("胸口有点闷")
    asked = chat.ticks
    assert len(asked) > 1
    assert chat.say(answer="present", finding=asked[:2]).status_code < 400
    assert "choice-made" in chat.page
    assert not set(asked) & set(chat.ticks)


@pytest.mark.parametrize(
    ("words", "mark", "denied"),
    [
        ("胸口有点闷", "您选的", "您选了没有的"),
        ("my chest feels tight", "your answer", "You answered no"),
    ],
)
def test_what_was_ticked_is_shown_as_understood(
    chat: Chat, words: str, mark: str, denied: str
) -> None:
    chat.say(words)
    chat.say(answer="present", finding=chat.ticks[:1])
    assert mark in chat.page
    assert denied in chat.page


def test_a_greeting_is_greeted_and_no_urgency_is_shown(chat: Chat) -> None:
    chat.say("你好")
    assert "请说说哪里不舒服" in chat.page
    assert 'class="urgency' not in chat.page
    chat.say("胸口压榨样疼，出冷汗")
    assert "urgency level-1" in chat.page


def test_yes_without_a_tick_is_no_answer(chat: Chat) -> None:
    chat.say("胸口有点闷")
    before = chat.ticks
    assert chat.say(answer="present").status_code == 422
    assert chat.ticks == before


def test_a_question_back_shows_the_reason_and_the_question_again(chat: Chat) -> None:
    chat.say("头疼两天")
    before = chat.ticks
    chat.say("为什么问这个？")
    assert 'class="notice explanation"' in chat.page
    assert chat.ticks == before


def test_a_chat_for_somebody_else_speaks_of_them(api: Api) -> None:
    api.client.cookies.clear()
    other = Chat(api.client)
    other.start(for_whom="other", lang="en")
    other.say("depressed for weeks, nothing is fun any more")
    assert "have they felt that life" in other.page
    api.client.cookies.clear()


@pytest.mark.parametrize("path", ["/chat/end", "/chat/restart"])
def test_distress_is_asked_for_suicide_before_the_end(chat: Chat, path: str) -> None:
    chat.say("最近情绪很低落，什么都提不起兴趣")
    refused = chat.post(path)
    assert refused.status_code == 409
    assert "结束之前" in refused.text
    assert "活着没意思" in chat.page
    chat.say(answer="absent")
    assert chat.post(path).status_code < 400
