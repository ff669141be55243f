"""Removes stored files that no record points to: what a crash left between file and record.

Runs at the start, and only where no other process uses the folder: every server holds the folder's
lock as long as it lives, so nothing can be on its way to a record meanwhile. A file an hour old is
left behind for good; a younger one waits for the next start. What was found to be in use is not
looked at again: `.swept` in the folder says up to when files were judged.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from serving import audit
from serving.blobs import BlobStore
from serving.storage.canonical import Json
from serving.storage.codes import DecisionKind
from serving.storage.database import Database
from serving.storage.tables import BlobRow, DecisionRow, DicomInstanceRow

log = structlog.get_logger()

SWEPT = "blobs.swept"
ABANDONED = timedelta(hours=1)
_SKEW = timedelta(days=1)  # clocks of several hosts: a record may seem older than its file
_BATCH = 500
_PARTS = ("image", "heatmap", "layer")
_LOCK, _MARK = ".lock", ".swept"


class FolderInUse:
    """A server's hold on the folder of the blobs; ends with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file: IO[bytes] = (folder / _LOCK).open("ab")

    def alone(self) -> bool:
        """Whether nobody else holds it; then nobody can until `share` or `close`."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Hold it beside others from now on. Waits for another's sweep."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go."""
        self._file.close()


def sweep(db: Database, blobs: BlobStore) -> int:
    """Remove what is abandoned; how many files. Blocking; nobody else may use the folder."""
    until = db.clock.now() - ABANDONED
    since = _judged_until(blobs.folder)
    with db.read() as session:
        wanted = _unreferenced(session, since, until)
    for digest in wanted:
        # The file first: a crash here leaves the row, by which the next sweep comes back.
        blobs.remove(digest)
    if wanted:
        with db.write() as session:
            audit.append(
                session,
                at=db.clock.now(),
                actor=audit.SYSTEM,
                action=SWEPT,
                subject="blobs",
                detail={"files": len(wanted)},
            )
        log.warning("stored files without a record removed", files=len(wanted))
    _mark(blobs.folder, until)
    return len(wanted)


def _unreferenced(session: Session, since: datetime, until: datetime) -> list[str]:
    """The blobs made after `since` and up to `until` that nothing points to."""
    made = select(BlobRow.sha256, BlobRow.created_at).where(
        BlobRow.created_at > since, BlobRow.created_at <= until
    )
    left = {row.sha256: row.created_at for row in session.execute(made)}
    if not left:
        return []
    first = min(left.values()) - _SKEW
    instances = select(DicomInstanceRow.blob).where(DicomInstanceRow.stored_at >= first)
    for digest in session.scalars(instances, execution_options={"yield_per": _BATCH}):
        left.pop(digest, None)
    inputs = select(DecisionRow.input).where(
        DecisionRow.kind == DecisionKind.IMAGING, DecisionRow.created_at >= first
    )
    for said in session.scalars(inputs, execution_options={"yield_per": _BATCH}):
        for digest in _named(said):
            left.pop(digest, None)
    return sorted(left)


def _named(said: dict[str, Json]) -> Iterator[str]:
    """The blobs that an imaging decision's input names."""
    images = said.get("images")
    for image in images if isinstance(images, list) else ():
        for part in _PARTS if isinstance(image, dict) else ():
            digest = image.get(part)
            if isinstance(digest, str):
                yield digest


def _judged_until(folder: Path) -> datetime:
    try:
        return datetime.fromisoformat((folder / _MARK).read_text("ascii").strip()).astimezone(UTC)
    except (FileNotFoundError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def _mark(folder: Path, until: datetime) -> None:
    fresh = folder / (_MARK + ".new")
    fresh.write_text(until.isoformat(), "ascii")
    fresh.replace(folder / _MARK)
