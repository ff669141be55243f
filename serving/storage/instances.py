"""DICOM instances that are kept, and the pictures that were read: adding them, finding them.

Rows point to the decision that they led to; both are added in its transaction and flushed with
it. All UIDs are those of the de-identified files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from serving.errors import Conflict
from serving.storage.codes import DecisionStatus
from serving.storage.database import Database
from serving.storage.tables import DecisionRow, DicomInstanceRow, ReviewTaskRow, StudyImageRow


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


class OtherPatient(Conflict):
    """The study is held already, of a patient who contradicts the one of this instance."""


def check_patients(session: Session, headers: Sequence[InstanceHeader]) -> None:
    """Raise OtherPatient where a study would hold instances of two patients or of both sexes.

    In the transaction that adds these instances: until it ends nobody adds one to their studies.
    What is not said contradicts nothing.
    """
    known: dict[str, list[tuple[str, str | None]]] = {}
    # In the order of their UIDs, so that two who store into two studies cannot lock each other.
    for study_uid in sorted({header.study_uid for header in headers}):
        if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
            session.execute(select(func.pg_advisory_xact_lock(func.hashtext(study_uid))))
        held = select(DicomInstanceRow.patient_id, DicomInstanceRow.sex).distinct()
        found = session.execute(held.where(DicomInstanceRow.study_uid == study_uid))
        known[study_uid] = [(row.patient_id, row.sex) for row in found]
    for header in headers:
        for patient_id, sex in known[header.study_uid]:
            if patient_id and header.patient_id and patient_id != header.patient_id:
                raise OtherPatient("the study is held here, of another patient")
            if sex in _SEXES and header.sex in _SEXES and sex != header.sex:
                raise OtherPatient("the study is held here, of a patient of the other sex")
        known[header.study_uid].append((header.patient_id, header.sex))


_SEXES = ("F", "M")


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


def tasks_of_series(session: Session, series_uid: str, task: str) -> list[str]:
    """The review tasks of preliminary decisions of `task` on the series, newest first."""
    query = (
        select(ReviewTaskRow.id, func.max(DicomInstanceRow.stored_at).label("last"))
        .join(DecisionRow, DecisionRow.id == ReviewTaskRow.decision_id)
        .join(DicomInstanceRow, DicomInstanceRow.decision_id == DecisionRow.id)
        .join(StudyImageRow, StudyImageRow.decision_id == DecisionRow.id)
        .where(
            DicomInstanceRow.series_uid == series_uid,
            DecisionRow.status == DecisionStatus.PRELIMINARY,
            StudyImageRow.task == task,
        )
        .group_by(ReviewTaskRow.id)
        .order_by(func.max(DicomInstanceRow.stored_at).desc(), ReviewTaskRow.id)
    )
    return [found for found, _ in session.execute(query)]


def stored(row: DicomInstanceRow) -> StoredInstance:
    """A row as the rest of the service sees it."""
    names = InstanceHeader.__dataclass_fields__
    header = InstanceHeader(**{name: getattr(row, name) for name in names})
    return StoredInstance(header, row.fingerprint, row.blob, row.decision_id, row.stored_at)
