"""DICOM instances that are kept, and the pictures that were read: adding them, finding them.

Rows point to the decision that they led to; both are added in its transaction and flushed with
it. All UIDs are those of the de-identified files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.storage.codes import DecisionStatus
from serving.storage.database import Database
from serving.storage.tables import DecisionRow, DicomInstanceRow, StudyImageRow


@dataclass(frozen=True)
class InstanceHeader:
    """What is kept of an instance's header, to be searched. Sizes in pixels.

    patient_id: a pseudonym, "" for nobody.
    """

    sop_uid: str
    study_uid: str
    series_uid: str
    sop_class_uid: str
    patient_id: str
    modality: str | None
    body_part: str | None
    sex: str | None
    series_number: int | None
    instance_number: int | None
    rows: int
    columns: int
    bits_allocated: int
    frames: int


@dataclass(frozen=True)
class StoredInstance:
    """An instance that is kept: its header, its pixels' fingerprint, its file, its decision."""

    header: InstanceHeader
    fingerprint: str
    blob: str
    decision_id: str
    stored_at: datetime


@dataclass(frozen=True)
class ReadPicture:
    """One picture of a decision by its pixels, and what read it."""

    fingerprint: str
    task: str
    model_version: int


def add_instance(
    session: Session,
    header: InstanceHeader,
    *,
    fingerprint: str,
    blob: str,
    decision_id: str,
    uploader: str,
    at: datetime,
) -> None:
    """Add an instance in the caller's transaction.

    Its flush raises sqlalchemy's IntegrityError when somebody else has just added the same.
    """
    session.add(
        DicomInstanceRow(
            **vars(header),
            fingerprint=fingerprint,
            blob=blob,
            decision_id=decision_id,
            uploader=uploader,
            stored_at=at,
        )
    )


def add_pictures(session: Session, decision_id: str, pictures: Sequence[ReadPicture]) -> None:
    """Remember a decision's pictures in the caller's transaction, in their order."""
    session.add_all(
        StudyImageRow(decision_id=decision_id, number=number, **vars(picture))
        for number, picture in enumerate(pictures)
    )


def find(db: Database, sop_uid: str) -> StoredInstance | None:
    """The instance of that UID, or None."""
    with db.read() as session:
        row = session.get(DicomInstanceRow, sop_uid)
        return None if row is None else stored(row)


def read_before(db: Database, picture: ReadPicture) -> str | None:
    """The first decision in which the same model read the same pixels, or None."""
    query = (
        select(StudyImageRow.decision_id)
        .join(DecisionRow, DecisionRow.id == StudyImageRow.decision_id)
        .where(
            StudyImageRow.fingerprint == picture.fingerprint,
            StudyImageRow.task == picture.task,
            StudyImageRow.model_version == picture.model_version,
        )
        .order_by(DecisionRow.created_at, DecisionRow.id)
        .limit(1)
    )
    with db.read() as session:
        return session.scalar(query)


def open_decision_of_series(db: Database, series_uid: str, task: str) -> str | None:
    """The decision of `task` on an earlier instance of the series that is not signed, or None."""
    query = (
        select(DicomInstanceRow.decision_id)
        .join(DecisionRow, DecisionRow.id == DicomInstanceRow.decision_id)
        .join(StudyImageRow, StudyImageRow.decision_id == DecisionRow.id)
        .where(
            DicomInstanceRow.series_uid == series_uid,
            DecisionRow.status == DecisionStatus.PRELIMINARY,
            StudyImageRow.task == task,
        )
        .order_by(DicomInstanceRow.stored_at)
        .limit(1)
    )
    with db.read() as session:
        return session.scalar(query)


def stored(row: DicomInstanceRow) -> StoredInstance:
    """A row as the rest of the service sees it."""
    names = InstanceHeader.__dataclass_fields__
    header = InstanceHeader(**{name: getattr(row, name) for name in names})
    return StoredInstance(header, row.fingerprint, row.blob, row.decision_id, row.stored_at)
