"""A DICOMweb client over plain HTTP for tests, and a look at what the server holds.

A test module asks for it with `pytest_plugins = ["tests.serving.dicomweb_client"]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import FileDataset
from sqlalchemy import func, select

from models.imaging.deidentify import own_uid
from serving import audit, decisions
from serving.reviews import queue
from serving.storage import instances
from serving.storage.codes import Reason, Role
from serving.storage.installation import DICOM_UIDS, installation_secret
from serving.storage.tables import Base

if TYPE_CHECKING:
    from tests.serving.live import Live

pytest_plugins = ["tests.serving.live"]

BOUNDARY = "boundary-of-the-test"


@pytest.fixture
def client(live: Live) -> Iterator[DICOMwebClient]:
    with requests.Session() as session:
        session.headers.update(live.headers())
        yield DICOMwebClient(live.url + "/dicom-web", session=session)


def body(*parts: bytes, kind: str = "application/dicom", end: str = "--\r\n") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{BOUNDARY}{end}".encode()


def by_hand(live: Live, *contents: bytes, **fields: str) -> httpx.Response:
    """Files sent to the X-ray task as the upload page sends them."""
    return httpx.post(
        live.url + "/v1/imaging/studies",
        files=[("files", ("x.dcm", content)) for content in contents],
        data={"task": "cxr_pneumonia", **fields},
        headers=live.headers(),
        timeout=60,
    )


def stow(
    live: Live,
    content: bytes,
    *,
    content_type: str = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    path: str = "/dicom-web/studies",
    role: Role = Role.IMAGING_DEVICE,
    **headers: str,
) -> httpx.Response:
    return httpx.post(
        live.url + path,
        content=content,
        headers={"Content-Type": content_type, **live.headers(role), **headers},
        timeout=60,
    )


def get(live: Live, path: str, role: Role = Role.PHYSICIAN, **headers: str) -> httpx.Response:
    return httpx.get(
        live.url + "/dicom-web" + path, headers={**live.headers(role), **headers}, timeout=60
    )


def place(dataset: FileDataset) -> str:
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def rows(live: Live) -> dict[str, int]:
    """How many rows every table has."""
    with live.db.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def unchanged(live: Live) -> tuple[dict[str, int], list[Path]]:
    """All that a refused request must leave as it was: its audit events are the one trace."""
    counts = rows(live)
    del counts["audit_events"]
    return counts, files(live)


def refusals(live: Live, count: int) -> list[audit.AuditEvent]:
    """The newest refused uploads in the audit trail, oldest first."""
    return list(reversed(audit.list_events(live.db, action="upload.refused", limit=count)))


def files(live: Live) -> list[Path]:
    return sorted(p for p in live.var.rglob("*") if p.is_file())


def kept_bytes(live: Live) -> bytes:
    """Everything that the installation has on its disk."""
    return b"".join(path.read_bytes() for path in files(live))


def decision_of(live: Live, dataset: FileDataset) -> decisions.DecisionRecord:
    """The decision that an instance led to."""
    own = own_uid(dataset.SOPInstanceUID, installation_secret(live.db, DICOM_UIDS))
    held = instances.find(live.db, own)
    assert held is not None
    return decisions.get(live.db, held.decision_id)


def reasons(live: Live, record: decisions.DecisionRecord) -> set[Reason]:
    tasks = queue.worklist(live.db, limit=200).tasks
    return set(next(t.reasons for t in tasks if t.decision_id == record.id))
