"""`fenzhen batch` against a real server, as an operator uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving.cli import app
from tests.serving.api.test_batches import jsonl
from tests.serving.batches.servers import BatchServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

runner = CliRunner()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchServer]:
    process = BatchServer(tmp_path_factory.mktemp("batch") / "var")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture(autouse=True)
def _key(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FENZHEN_KEY", server.key)


def run(server: BatchServer, *words: str, code: int = 0) -> str:
    address = ["--server", server.url]
    done = runner.invoke(app, ["batch", *words, *address])
    assert done.exit_code == code, done.output
    return done.output


def test_a_file_is_sent_followed_and_its_results_fetched(
    server: BatchServer, tmp_path: Path
) -> None:
    file, to = tmp_path / "rows.jsonl", tmp_path / "results.jsonl"
    file.write_bytes(jsonl([{"text": "头痛三天"}, "no json", {"text": "咳嗽"}]))
    words = ("send", str(file), "--task", "triage", "--out", str(to), "--json")
    status = json.loads(run(server, *words).splitlines()[-1])
    assert (status["status"], status["done"], status["failed"]) == ("done", 2, 1)
    rows = [json.loads(line)["row"] for line in to.read_text(encoding="utf-8").splitlines()]
    assert rows == [1, 2, 3]
    assert to.stat().st_mode & 0o077 == 0

    batch = status["batch_id"]
    listed = json.loads(run(server, "list", "--json").splitlines()[-1])
    assert batch in [one["batch_id"] for one in listed]
    assert "All of them" in run(server, "results", batch, "--out", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == to.read_bytes()
    assert "2 answered, 1 failed" in run(server, "follow", batch)
    run(server, "delete", batch)
    assert "no such batch" in run(server, "follow", batch, code=1)


def test_a_batch_can_be_left_and_cancelled(server: BatchServer, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(jsonl([{"text": f"头痛{n}天"} for n in range(500)]))
    words = ("send", str(file), "--task", "triage", "--no-follow", "--json")
    batch = json.loads(run(server, *words).splitlines()[-1])["batch_id"]
    assert "cancelled" in run(server, "cancel", batch, code=1)


def test_what_the_server_refuses_is_said_in_its_words(server: BatchServer, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n")
    assert "no row in it" in run(server, "send", str(file), "--task", "triage", code=1)
    assert "no such imaging task" in run(server, "send", str(file), "--task", "x", code=1)
    other = file.rename(tmp_path / "rows.txt")
    assert ".jsonl" in run(server, "send", str(other), "--task", "triage", code=1)


def test_without_a_key_or_a_server_it_says_so(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = runner.invoke(app, ["batch", "list", "--server", "http://127.0.0.1:1"])
    assert away.exit_code == 1
    assert "cannot be reached" in away.output
    monkeypatch.delenv("FENZHEN_KEY")
    assert "FENZHEN_KEY" in run(server, "list", code=1)
