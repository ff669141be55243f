"""Files that a crash left without a record go at the next start; nothing else ever does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from serving import audit
from serving.blob_sweep import SWEPT, FolderInUse, sweep
from serving.blobs import BlobStore
from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.storage.database import Database

pytest_plugins = ["tests.serving.storage.databases"]

# A server that is killed between the files and the commit of their record.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from serving import decisions
from serving.blobs import BlobStore
from serving.reviews.policy import ReviewPolicy
from serving.storage.codes import DecisionKind, Reason
from serving.storage.database import Database

url, folder, dies = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "dies"
db = Database(url)
blobs = BlobStore(folder, db)
names = {part: blobs.put(f"{part} {dies}".encode(), "image/png").sha256
         for part in ("image", "heatmap", "layer")}
print(json.dumps(sorted(names.values())), flush=True)
with db.write() as session:
    decisions.record(
        db, kind=DecisionKind.IMAGING, input={"images": [names, {"image": None}]}, result={},
        models={}, rules_version="none", disposition=None, actor="usr_test", within=session,
        review=ReviewPolicy.load().level({Reason.IMAGING}, None),
    )
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def blobs(db: Database, tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs", db)


def served(url: str, blobs: BlobStore, how: str) -> list[str]:
    """The files that a process of its own has put, and then recorded or not."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(blobs.folder), how],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (-signal.SIGKILL if how == "dies" else 0), done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def after(clock: FixedClock, db: Database, hours: float) -> None:
    """Put the test's clock so long behind the real one, which the processes used."""
    from serving.clock import SystemClock

    clock.advance((SystemClock().now() - clock.now() + timedelta(hours=hours)).total_seconds())
    assert db.clock.now() == clock.now()


def test_what_a_kill_left_without_a_record_goes_and_what_has_one_stays(
    db: Database, database_url: str, blobs: BlobStore, clock: FixedClock
) -> None:
    kept = served(database_url, blobs, "lives")
    left = served(database_url, blobs, "dies")
    assert all(blobs.exists(name) for name in kept + left)
    after(clock, db, 2)
    assert sweep(db, blobs) == 3
    assert all(blobs.exists(name) for name in kept)
    assert not any(blobs.exists(name) for name in left)
    (event,) = audit.list_events(db, action=SWEPT)
    assert (event.actor, event.detail) == (audit.SYSTEM, {"files": 3})
    assert sweep(db, blobs) == 0
    assert len(audit.list_events(db, action=SWEPT)) == 1


def test_a_young_file_stays_and_goes_at_a_later_start(
    db: Database, database_url: str, blobs: BlobStore, clock: FixedClock
) -> None:
    left = served(database_url, blobs, "dies")
    after(clock, db, 0.5)
    assert sweep(db, blobs) == 0
    assert all(blobs.exists(name) for name in left)
    clock.advance(3600)
    assert sweep(db, blobs) == 3


def test_an_abandoned_file_that_is_sent_again_and_recorded_stays(
    db: Database, database_url: str, blobs: BlobStore, clock: FixedClock
) -> None:
    # The same bytes: the files of the second process are those that the first left behind.
    left = served(database_url, blobs, "dies")
    after(clock, db, 0.1)
    sweep(db, blobs)
    import_again = KILLED.replace("{dies}", "True")
    done = subprocess.run(
        [sys.executable, "-c", import_again, database_url, str(blobs.folder), "lives"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == left
    clock.advance(7200)
    assert sweep(db, blobs) == 0
    assert all(blobs.exists(name) for name in left)


def test_a_file_that_was_being_written_goes_with_its_row(
    db: Database, blobs: BlobStore, clock: FixedClock, decide: Callable[..., DecisionRecord]
) -> None:
    decide()  # a decision that names no files
    name = blobs.put(b"half", "image/png").sha256
    path = blobs.folder / name[:2] / name[2:4] / name
    path.rename(path.with_name(".new-abc"))  # as it stands before it gets its name
    clock.advance(7200)
    assert sweep(db, blobs) == 1
    assert [p for p in blobs.folder.rglob("*") if p.is_file() and p.name != ".swept"] == []


def test_only_who_is_alone_in_the_folder_may_sweep(tmp_path: Path) -> None:
    first, second = FolderInUse(tmp_path / "blobs"), FolderInUse(tmp_path / "blobs")
    assert first.alone()
    assert not second.alone()
    first.share()
    assert not second.alone()
    second.share()
    first.close()
    assert second.alone()
    second.close()
    assert os.listdir(tmp_path / "blobs") == [".lock"]
