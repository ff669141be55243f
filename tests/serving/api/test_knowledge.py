"""/v1/knowledge over HTTP: passages with their documents, filters, a new index while running."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from serving.cli import app
from serving.storage.codes import Role
from tests.knowledge_base.library.papers import pdf, write
from tests.serving.live import Live

pytest_plugins = ["tests.serving.live"]

TAKEN_OVER_S = 30.0


def search(live: Live, **asked: object) -> httpx.Response:
    return httpx.get(
        live.url + "/v1/knowledge/search",
        params={key: str(value) for key, value in asked.items()},
        headers=live.headers(),
        timeout=30,
    )


def hits(live: Live, **asked: object) -> list[dict[str, Any]]:
    answer = search(live, **asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["hits"]
    return found


def test_a_passage_comes_with_its_place_and_its_documents(live: Live) -> None:
    first, *_ = hits(live, q="被狗咬了怎么办", k=3)
    assert (first["kind"], first["card"]) == ("card", "animal-bite-rabies")
    assert first["id"] == f"animal-bite-rabies#{first['section']}:{first['id'].split(':')[1]}"
    assert first["language"] == "zh"
    assert first["sources"][0]["organisation"]
    assert first["licence"] == "own"
    assert 1 <= first["lexical_rank"] <= 100


def test_the_best_twenty_can_be_read_once_more(live: Live) -> None:
    plain = hits(live, q="胸痛什么时候要叫救护车", k=20)
    again = hits(live, q="胸痛什么时候要叫救护车", k=20, rerank=True)
    assert {h["id"] for h in plain} == {h["id"] for h in again}
    assert [h["id"] for h in plain] != [h["id"] for h in again]
    assert [h["id"] for h in hits(live, q="胸痛什么时候要叫救护车", k=3, rerank=True)] == [
        h["id"] for h in again[:3]
    ]
    assert hits(live, q="zzzz qqqq", rerank=True) == []


def test_filters_narrow_what_is_shown(live: Live) -> None:
    for hit in hits(live, q="chest pain", audience="patient", language="en", k=20):
        assert hit["section"] in ("when_to_worry", "self_care")
        assert hit["language"] == "en"
    assert all(h["year"] >= 2023 for h in hits(live, q="chest pain", since=2023, k=20))
    assert hits(live, q="chest pain", department="cardiology")
    assert hits(live, q="chest pain", kind="document") == []


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"q": ""}, 422),
        ({"q": "  "}, 422),
        ({"q": "x" * 501}, 422),
        ({"q": "x", "k": 51}, 422),
        ({"q": "x", "department": "no_such"}, 422),
        ({"q": "x", "licence": "mine"}, 422),
        ({"q": "x", "audience": "everybody"}, 422),
        ({"q": "x", "since": 1066}, 422),
        ({"q": '"a" AND (b:*) ^3 \\ {} <script>'}, 200),
    ],
)
def test_bad_input_gets_one_clear_problem(
    live: Live, asked: dict[str, object], status: int
) -> None:
    answer = search(live, **asked)
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"]


def test_an_index_that_is_built_while_the_server_runs_is_taken_over(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = search(live, q="hirudotherapy").json()["version"]
    lines = [(72, 740, 16, "Hirudotherapy"), (72, 700, 10, "Leeches are kept in cool water.")]
    write(tmp_path / "handbook" / "leeches.pdf", pdf([lines], "Handbook of leeches"))
    monkeypatch.setenv("FENZHEN_VAR", str(live.var))
    runner = CliRunner()
    for words in (
        ["ingest", str(tmp_path / "handbook"), "--licence", "CC-BY-4.0", "--year", "2024"],
        ["build"],
    ):
        done = runner.invoke(app, ["kb", *words])
        assert done.exit_code == 0, done.output
    deadline = time.monotonic() + TAKEN_OVER_S
    while search(live, q="hirudotherapy").json()["version"] == before:
        assert time.monotonic() < deadline, "the new index was not taken over"
        time.sleep(0.2)
    first, *_ = hits(live, q="leeches hirudotherapy")
    assert (first["kind"], first["card"], first["document"], first["page"]) == (
        "document", None, "handbook/leeches.pdf", 1,
    )  # fmt: skip
    assert (first["title"], first["licence"], first["year"]) == (
        "Handbook of leeches", "CC-BY-4.0", 2024,
    )  # fmt: skip
    assert first["text"] == "Leeches are kept in cool water."
    asked = {"q": "leeches hirudotherapy", "audience": "patient"}
    assert all(hit["kind"] == "card" for hit in hits(live, **asked)), "it is for physicians"
    assert hits(live, q="被狗咬了怎么办")[0]["card"] == "animal-bite-rabies"


def test_search_is_for_those_who_may_read(live: Live) -> None:
    url = live.url + "/v1/knowledge/search?q=fever"
    assert httpx.get(url).status_code == 401
    device = live.headers(Role.IMAGING_DEVICE)
    assert httpx.get(url, headers=device).status_code == 403
