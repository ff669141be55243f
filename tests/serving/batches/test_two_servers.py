"""Two real servers on one database: neither ends or repeats what the other works on."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from serving.audit import verify
from serving.batches.inputs import NAME_FILE
from serving.storage.tables import BatchRow, DecisionRow
from tests.serving.api.test_batches import LINES, jsonl
from tests.serving.batches.servers import DEADLINE_S, BatchServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
pytest_plugins = ["tests.serving.storage.databases"]

ROWS, BEFORE_THE_KILL = 150, 10
LEASE_S = 3
OTHER = "咳嗽"


def servers(url: str, *folders: Path) -> Iterator[list[BatchServer]]:
    settings = {"FENZHEN_DATABASE_URL": url, "FENZHEN_BATCH_LEASE_SECONDS": str(LEASE_S)}
    with ExitStack() as stack:
        made = []
        for folder in folders:
            server = BatchServer(folder, dict(settings))
            stack.callback(server.close)
            made.append(server)
        yield made


@pytest.fixture
def apart(database_url: str, tmp_path: Path) -> Iterator[list[BatchServer]]:
    """Two hosts: one database, each with a disk of its own."""
    yield from servers(database_url, tmp_path / "first", tmp_path / "second")


@pytest.fixture
def together(database_url: str, tmp_path: Path) -> Iterator[list[BatchServer]]:
    """One database and one folder."""
    yield from servers(database_url, tmp_path / "shared", tmp_path / "shared")


def send(server: BatchServer) -> str:
    return server.send(jsonl([{"text": f"头痛{n}天"} for n in range(ROWS)]), "triage", LINES)


def each_row_is_decided_once(server: BatchServer, batch: str) -> None:
    assert [line["row"] for line in server.results(batch)] == list(range(1, ROWS + 1))
    with closing(server.database()) as db:
        with db.read() as session:
            inputs = [row.input for row in session.scalars(select(DecisionRow))]
        assert Counter(str(said["text"]) for said in inputs if said["text"] != OTHER) == {
            f"头痛{n}天": 1 for n in range(ROWS)
        }
        assert verify(db).ok


def until_its_lease_is_long_out(server: BatchServer, batch: str) -> None:
    """Every server that runs has looked at the batch since nobody holds it."""
    deadline = time.monotonic() + DEADLINE_S
    with closing(server.database()) as db:
        while True:
            with db.read() as session:
                ends = session.get_one(BatchRow, batch).lease_expires_at
            assert ends is not None
            if db.clock.now() > ends + timedelta(seconds=LEASE_S):
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)


def until_only_the_name_is_left(folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (left := [path.name for path in folder.iterdir()]) != [NAME_FILE]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_server_without_the_input_leaves_the_batch_to_the_one_that_has_it(
    apart: list[BatchServer],
) -> None:
    first, second = apart
    first.start()
    batch = send(first)
    first.until(batch, BEFORE_THE_KILL)
    first.end(signal.SIGKILL)

    second.start()
    other = second.send(jsonl([{"text": OTHER}]), "triage", LINES)
    assert second.finished(other)["status"] == "done"
    until_its_lease_is_long_out(second, batch)
    left = second.status(batch)
    assert (left["status"], left["stop_reason"]) == ("running", None)
    assert left["done"] < ROWS

    first.start()
    assert first.finished(batch)["done"] == ROWS
    each_row_is_decided_once(second, batch)


def test_a_server_that_shares_the_folder_goes_on_where_the_other_fell_silent(
    together: list[BatchServer],
) -> None:
    first, second = together
    first.start()
    second.start()
    batch = send(first)
    before = first.until(batch, BEFORE_THE_KILL)
    assert before["status"] == "running", "the batch ended before it could be interrupted"
    first.end(signal.SIGKILL)
    assert second.finished(batch)["done"] == ROWS
    until_only_the_name_is_left(second.var / "batches")
    each_row_is_decided_once(second, batch)


def test_a_batch_that_is_cancelled_at_another_server_leaves_no_words_on_any_disk(
    apart: list[BatchServer],
) -> None:
    first, second = apart
    first.start()
    second.start()
    batch = send(first)
    first.until(batch, 1)
    second.client.post(f"/v1/batches/{batch}/cancel").raise_for_status()
    assert first.status(batch)["stop_reason"] == "requested"
    until_only_the_name_is_left(first.var / "batches")
