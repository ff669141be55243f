"""A slice that comes to a series which waits for a physician already: laid to its case, or not.

Everything is judged in the transaction that adds the slice. Nothing is ever added to a case that is
signed, nor to one that somebody is reading just now: he would sign what he has not seen.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from models.imaging.ages import contradict, kept_age
from serving import audit, decisions
from serving.dicomweb.routing import is_stack
from serving.imaging_records import UNREAD
from serving.reviews import tasks
from serving.reviews.machine import CLOSED
from serving.services import Services
from serving.storage import instances
from serving.storage.canonical import Json
from serving.storage.codes import Reason
from serving.storage.instances import InstanceHeader, OtherPatient
from serving.storage.tables import ReviewReasonRow, ReviewTaskRow
from serving.uploads import Upload
from serving.users import User


def joined(services: Services, upload: Upload, user: User) -> bool:
    """Whether the slice could be laid to its series' case; else it needs a case of its own.

    Blocking. Raises OtherPatient, and sqlalchemy's IntegrityError when the instance has been added
    meanwhile.
    """
    instance = upload.instance
    if instance is None or not is_stack(instance.header.modality):
        return False
    header, db = instance.header, services.db
    with db.read() as session:
        if not instances.tasks_of_series(session, header.series_uid, UNREAD):
            return False
    blob = services.blobs.put(instance.data, "application/dicom").sha256
    at = db.clock.now()
    with db.write() as session:
        instances.check_patients(session, [header])
        task = _free(session, header, at)
        if task is None:
            return False
        _check_age(decisions.load(session, task.decision_id), upload)
        instances.add_instance(
            session,
            header,
            fingerprint=instance.fingerprint,
            blob=blob,
            decision_id=task.decision_id,
            uploader=user.id,
            at=at,
        )
        held = tasks.reasons_of(task)
        if upload.has_text and Reason.TEXT_IN_PICTURE not in held:
            task.reasons.append(ReviewReasonRow(reason=Reason.TEXT_IN_PICTURE))
        session.flush()
        audit.append(
            session,
            at=at,
            actor=user.id,
            action="dicom.stored",
            subject=header.sop_uid,
            detail={"decision": task.decision_id, "text_in_picture": upload.has_text},
        )
    return True


def _free(session: Session, header: InstanceHeader, at: datetime) -> ReviewTaskRow | None:
    """A case of the series that is neither closed nor being read, locked until the commit."""
    for task_id in instances.tasks_of_series(session, header.series_uid, UNREAD):
        task = tasks.lock(session, task_id)
        if task.state not in CLOSED and not tasks.is_held(task, at):
            return task
    return None


def _check_age(case: decisions.DecisionRecord, upload: Upload) -> None:
    """Raise OtherPatient where the case is of somebody of another age."""
    own = kept_age(upload.pictures[0].metadata.age_years)
    images: Json = case.result.get("images")
    for image in images if isinstance(images, list) else ():
        known = image.get("age_years") if isinstance(image, dict) else None
        if isinstance(known, int | float) and contradict(own, known):
            raise OtherPatient("the series is held here, of a patient of another age")
