"""POST /v1/knowledge/answer: sentences with their places, recorded, or an honest nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from knowledge_base.cards import FOR_PATIENTS, cards
from serving.generator import Generator
from serving.settings import Settings
from tests.serving.conftest import Api

URL = "/v1/knowledge/answer"


def ask(api: Api, question: str, **more: object) -> dict[str, Any]:
    reply = api.client.post(URL, json={"question": question, **more}, headers=api.physician)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.parametrize(
    ("question", "card"),
    [("被狗咬了伤口怎么处理", "animal-bite-rabies"), ("how to cool a burn at home", "burns")],
)
def test_each_sentence_is_cited_to_passage_and_offset(api: Api, question: str, card: str) -> None:
    answer = ask(api, question)
    assert answer["found"]
    assert answer["sentences"][0]["citation"]["document"] == card
    for sentence in answer["sentences"]:
        place = sentence["citation"]
        [text] = [
            p.text
            for p in cards()[place["document"]].passages
            if (p.id, p.language) == (place["id"], place["language"])
        ]
        assert text[place["start"] : place["end"]] == sentence["text"]
        assert place["language"] == answer["language"]
        assert place["sources"]
        assert 0 < sentence["probability"] <= answer["confidence"] <= 1


@pytest.mark.parametrize(
    "question", ["明天股票会涨吗", "how do I change the oil of my motorbike", "!!! ??", "🙂"]
)
def test_what_the_knowledge_base_does_not_hold_is_not_answered(api: Api, question: str) -> None:
    answer = ask(api, question)
    assert (answer["found"], answer["sentences"], answer["generated"]) == (False, [], None)


def test_an_answer_is_a_recorded_decision(api: Api) -> None:
    answer = ask(api, "发烧几天要看医生")
    decision = api.client.get(f"/v1/decisions/{answer['decision_id']}", headers=api.physician)
    assert decision.status_code == 200, decision.text
    kept = decision.json()
    assert kept["kind"] == "knowledge"
    assert kept["result"]["sentences"] == answer["sentences"]
    assert kept["models"].keys() == {"embedding", "reranker"}
    assert kept["review_task_id"] is None


def test_a_call_for_help_is_named_as_one(api: Api) -> None:
    assert ask(api, "我突然胸口压榨样剧痛，大汗，喘不上气怎么办")["urgent"]
    assert not ask(api, "头皮屑多怎么护理")["urgent"]


def test_a_patients_program_is_given_patients_passages_alone(api: Api) -> None:
    reply = api.client.post(URL, json={"question": "胸痛怎么办"}, headers=api.app_user)
    assert reply.status_code == 200, reply.text
    for sentence in reply.json()["sentences"]:
        assert sentence["citation"]["id"].split("#")[1].split(":")[0] in FOR_PATIENTS


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"question": ""}, 422),
        ({"question": " \n "}, 422),
        ({"question": "x" * 10_000}, 422),
        ({"question": "发烧", "department": "no_such"}, 422),
        ({"question": "发烧", "licence": "mine"}, 422),
        ({"question": "发烧", "since": 1}, 422),
        ({"question": "发烧", "wrong": 1}, 422),
        ({"question": ["发烧"]}, 422),
        ({"question": '"a" AND (b:*) ^3 \\ {} <script>alert(1)</script> ; DROP TABLE'}, 200),
    ],
)
def test_bad_input_gets_one_clear_problem(api: Api, body: dict[str, Any], status: int) -> None:
    reply = api.client.post(URL, json=body, headers=api.physician)
    assert reply.status_code == status, reply.text
    if status != 200:
        assert reply.headers["content-type"] == "application/problem+json"


def test_nobody_asks_without_a_key(api: Api) -> None:
    assert api.client.post(URL, json={"question": "发烧"}).status_code == 401


class Endpoint(ThreadingHTTPServer):
    """A language model's endpoint that says what it is told to; `heard` are the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.says = ""
        self.status = 200
        self.heard: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.heard.append(json.loads(self.rfile.read(length)))
        said = {"choices": [{"message": {"role": "assistant", "content": self.server.says}}]}
        body = json.dumps(said).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def endpoint(api: Api) -> Iterator[Endpoint]:
    """The server of `api` with a generator behind it."""
    server = Endpoint()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        generator_url=f"http://127.0.0.1:{server.server_port}/v1",
        generator_model="small",
        generator_key="secret",
    )
    app: Any = api.client.app
    app.state.services = replace(api.services, generator=Generator(settings))
    yield server
    app.state.services = api.services
    server.shutdown()
    server.server_close()


def test_of_a_generated_answer_only_supported_sentences_stay(api: Api, endpoint: Endpoint) -> None:
    first = ask(api, "被狗咬了伤口怎么处理", generate=False)
    assert not endpoint.heard
    sentence = first["sentences"][0]
    said = sentence["text"]
    endpoint.says = f"{said[:-1]}[1]{said[-1]}伤口可以用酱油涂抹9次[1]。多喝水。"
    generated = ask(api, "被狗咬了伤口怎么处理")["generated"]
    assert [one["text"] for one in generated["sentences"]] == [said]
    assert generated["sentences"][0]["passages"] == [sentence["citation"]["id"]]
    assert (generated["dropped"], generated["model"]) == (2, "small")
    [asked] = endpoint.heard
    assert "被狗咬了伤口怎么处理" in asked["messages"][1]["content"]


@pytest.mark.parametrize(
    ("status", "says"), [(500, "x"), (200, ""), (200, "没有依据的话。"), (302, "x")]
)
def test_whatever_fails_leaves_the_extractive_answer(
    api: Api, endpoint: Endpoint, status: int, says: str
) -> None:
    endpoint.status, endpoint.says = status, says
    answer = ask(api, "被狗咬了伤口怎么处理")
    assert answer["found"]
    assert answer["generated"] is None


def test_an_endpoint_that_is_away_leaves_it_too(api: Api, endpoint: Endpoint) -> None:
    endpoint.shutdown()
    endpoint.server_close()
    assert ask(api, "被狗咬了伤口怎么处理")["found"]


def test_the_key_goes_in_the_header_and_nowhere_else() -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        generator_url="http://127.0.0.1:9/v1",
        generator_key="secret",
    )
    assert "secret" not in repr(settings)
    client = Generator(settings)._client
    assert client.headers["Authorization"] == "Bearer secret"
    assert client.base_url == httpx.URL("http://127.0.0.1:9/v1/")
