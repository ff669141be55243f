"""A real server killed in the middle: every row gets exactly one decision, in the end."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from serving.audit import verify
from serving.batches.inputs import NAME_FILE
from serving.storage.tables import BatchItemRow, DecisionRow, ReviewTaskRow
from tests.serving.api.test_batches import LINES, ZIP, jsonl
from tests.serving.api.test_imaging import png
from tests.serving.batches.servers import BatchServer
from tests.serving.batches.test_archive import archive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

TEXTS, IMAGES = 120, 60
SECRET = "秘密的头痛"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BatchServer]:
    process = BatchServer(tmp_path / "var", {"FENZHEN_BATCH_LEASE_SECONDS": "3"})
    yield process
    process.close()


def test_batches_go_on_after_a_kill_and_after_a_stop_and_each_row_is_decided_once(
    server: BatchServer,
) -> None:
    server.start()
    lines = [{"text": f"{SECRET}{n}天"} for n in range(TEXTS - 1)] + ["no json"]
    texts = server.send(jsonl(lines), "triage", LINES)
    pictures = {f"{n:03}.png": png(224 + n, 224) for n in range(IMAGES)}
    images = server.send(archive(pictures), "cxr_pneumonia", ZIP)

    server.until(texts, 15)
    server.end(signal.SIGKILL)
    server.start()
    before = server.until(images, 25)
    assert before["status"] == "running", "the batches ended before they could be interrupted"
    assert server.end(signal.SIGTERM) == 0, "a server that is told to stop ends cleanly"
    server.start()

    assert server.finished(texts)["failed"] == 1
    assert server.finished(images)["failed"] == 0
    assert [line["row"] for line in server.results(texts)] == list(range(1, TEXTS + 1))
    assert [line["file"] for line in server.results(images)] == sorted(pictures)
    left = [path.name for path in (server.var / "batches").iterdir()]
    assert left == [NAME_FILE], "the patients' words and pictures do not stay"
    assert SECRET not in server.log.read_text(encoding="utf-8")
    server.end(signal.SIGTERM)
    _each_row_is_decided_once(server)


def _each_row_is_decided_once(server: BatchServer) -> None:
    db = server.database()
    with db.read() as session:
        inputs = {row.id: row.input for row in session.scalars(select(DecisionRow))}
        decided = list(session.scalars(select(BatchItemRow.decision_id)))
        reviewed = set(session.scalars(select(ReviewTaskRow.decision_id)))
    texts = Counter(str(said["text"]) for said in inputs.values() if "text" in said)
    assert texts == {f"{SECRET}{n}天": 1 for n in range(TEXTS - 1)}
    assert len(inputs) == TEXTS - 1 + IMAGES
    assert sorted(filter(None, decided)) == sorted(inputs)
    assert {id for id, said in inputs.items() if "text" not in said} <= reviewed
    assert verify(db).ok
    db.close()
