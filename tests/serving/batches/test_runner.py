"""The runner under narrow limits: a full queue, owners who leave, inputs that vanish, time over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from serving import audit, users
from serving.app import create_app
from serving.batches.runner import BatchRunner
from serving.services import Services
from serving.settings import Settings
from serving.storage import batches
from serving.storage.codes import Role
from serving.storage.tables import BatchRow
from serving.users import NewUser
from tests.serving.api.test_batches import DEADLINE_S, LINES, jsonl

KEEP = timedelta(hours=1)


class Narrow:
    """A server whose models take one waiting row, and eight rows at once from batches."""

    def __init__(self, client: TestClient, services: Services, owner: NewUser) -> None:
        self.client, self.services, self.owner = client, services, owner
        self.runner: BatchRunner = client.app.state.batches  # type: ignore[attr-defined]

    def send(self, data: bytes, owner: NewUser | None = None) -> Any:
        return self.client.post(
            "/v1/batches?task=triage",
            content=data,
            headers={
                "Authorization": f"Bearer {(owner or self.owner).api_key}",
                "Content-Type": LINES,
            },
        )

    def until(self, batch: str, *states: str) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            now: dict[str, Any] = self.client.get(
                f"/v1/batches/{batch}",
                headers={"Authorization": f"Bearer {self.owner.api_key}"},
            ).json()
            if now["status"] in states:
                return now
            assert time.monotonic() < deadline, now
            time.sleep(0.02)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Narrow]:
    held: list[Services] = []
    settings = Settings(
        var=tmp_path_factory.mktemp("narrow"),
        queue_capacity=2,
        queue_reserved=1,
        batch_concurrency=8,
        batch_open=2,
        batch_max_rows=300,
        batch_max_bytes=100_000,
        _env_file=None,  # type: ignore[call-arg]
    )
    app = create_app(settings, opened=held.append)
    with TestClient(app, raise_server_exceptions=False) as client:
        owner = users.create(held[0].db, name="Owner", role=Role.ADMINISTRATOR)
        yield Narrow(client, held[0], owner)


def rows(count: int) -> bytes:
    return jsonl([{"text": f"头痛{n}天"} for n in range(count)])


def test_a_full_queue_puts_rows_off_and_loses_none(narrow: Narrow) -> None:
    batch = narrow.send(rows(60)).json()["batch_id"]
    assert narrow.until(batch, "done")["done"] == 60
    text = narrow.client.get("/metrics").text
    line = next(x for x in text.splitlines() if x.startswith("fenzhen_batch_retries_total{"))
    assert float(line.split()[-1]) > 0, "the limits of this test let nothing wait"


def test_too_many_rows_bytes_or_batches_are_refused(narrow: Narrow) -> None:
    assert narrow.send(b"{}\n" * 301).json()["code"] == "payload_too_large"
    assert narrow.send(b"x" * 100_001).json()["code"] == "payload_too_large"
    two = [narrow.send(rows(300)).json()["batch_id"] for _ in range(2)]
    third = narrow.send(rows(1))
    assert third.json()["code"] == "too_busy"
    assert int(third.headers["retry-after"]) >= 1
    for batch in two:
        batches.remove(narrow.services.db, batch, actor=audit.SYSTEM)
        assert narrow.client.portal is not None
        narrow.client.portal.call(narrow.runner.forget, batch)


def test_the_batch_of_an_owner_who_is_disabled_stops(narrow: Narrow) -> None:
    leaving = users.create(narrow.services.db, name="Leaving", role=Role.ADMINISTRATOR)
    batch = narrow.send(rows(300), leaving).json()["batch_id"]
    narrow.until(batch, "running")
    users.disable(narrow.services.db, leaving.user.id)
    ended = narrow.until(batch, "cancelled", "done")
    assert (ended["status"], ended["stop_reason"]) == ("cancelled", "owner_refused")


def test_a_batch_whose_time_is_over_is_removed_with_its_input(narrow: Narrow) -> None:
    batch = narrow.send(rows(300)).json()["batch_id"]
    db = narrow.services.db
    with db.write() as session:
        session.execute(
            update(BatchRow).where(BatchRow.id == batch).values(expires_at=db.clock.now())
        )
    key = {"Authorization": f"Bearer {narrow.owner.api_key}"}
    assert narrow.client.get(f"/v1/batches/{batch}", headers=key).status_code == 404
    assert narrow.client.portal is not None
    narrow.client.portal.call(narrow.runner.sweep)
    assert batches.expired(db) == []
    folder = narrow.services.settings.var / "batches"
    assert not (folder / batch).exists()
    events = audit.list_events(db, subject=batch)
    assert events[0].action == "batch.expired"


def test_a_batch_whose_input_was_altered_is_given_up(narrow: Narrow) -> None:
    db = narrow.services.db
    folder = narrow.runner.inputs.name
    new = batches.NewBatch(db.ids.new("bat"), "triage", "jsonl", "0" * 64, 3, 1, folder)
    (narrow.services.settings.var / "batches" / new.id).write_bytes(b"{}\n")
    with db.write() as session:
        batch = batches.create(db, new, owner=narrow.owner.user, most=16, keep=KEEP, within=session)

    async def submit() -> None:
        narrow.runner.submit(batch)

    assert narrow.client.portal is not None
    narrow.client.portal.call(submit)
    assert narrow.until(batch.id, "cancelled")["stop_reason"] == "input_lost"
