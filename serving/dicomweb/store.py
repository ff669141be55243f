"""STOW-RS (PS3.18 10.5): one instance from its bytes to its decision, and the answer for many.

Sending the same instance again has no second effect. What cannot be kept is named with the
standard's failure reasons, never with anything that the file says of a patient.
"""

from __future__ import annotations

import asyncio
import io
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import structlog
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from sqlalchemy.exc import IntegrityError

from models.imaging.decode import ImageRejected, RejectionCode
from serving.dicomweb.elements import DataSet, Element, element, instance_url, study_url
from serving.dicomweb.routing import route_task
from serving.dicomweb.stacks import joined
from serving.engine.inference import DeadlinePassed, EngineStopped, QueueFull
from serving.errors import StorageUnavailable
from serving.imaging import read_upload
from serving.imaging_records import HostedTask
from serving.services import Services
from serving.storage import instances
from serving.storage.instances import InstanceHeader, OtherPatient
from serving.uploads import Instance, Upload, opened, own_uids
from serving.users import User

log = structlog.get_logger()

UID = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LENGTH = 64
_META_BYTES = 4096
_ATTEMPTS = 3


class FailureReason(IntEnum):
    """Why an instance was not stored: PS3.18 Table I.2-2, PS3.7 Annex C."""

    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    TOO_LARGE = 0xA701
    OTHER_STUDY = 0xA901
    OTHER_PATIENT = 0xA902
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


_OF_REJECTION: dict[RejectionCode, FailureReason] = {
    "unsupported_format": FailureReason.TRANSFER_SYNTAX_NOT_SUPPORTED,
    "no_pixel_data": FailureReason.SOP_CLASS_NOT_SUPPORTED,
    "too_large": FailureReason.TOO_LARGE,
}
_Item = dict[str, Element]
_BUSY = (QueueFull, DeadlinePassed, EngineStopped, StorageUnavailable)


class _NotStored(Exception):
    """Why this instance is not kept. subject: what the audit event is about."""

    def __init__(self, reason: FailureReason, subject: str = "upload") -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.subject = subject


@dataclass(frozen=True)
class Sent:
    """How the sender names an instance; None where its file does not say."""

    sop_class_uid: str | None
    sop_uid: str | None


@dataclass(frozen=True)
class Outcome:
    """What became of one instance: `kept` under our UIDs, or `failure`."""

    sent: Sent
    kept: InstanceHeader | None = None
    failure: FailureReason | None = None


async def store(services: Services, data: bytes, user: User, study_uid: str | None) -> Outcome:
    """De-identify, keep and read one instance. `study_uid`: the sender's, where it named one."""
    sent = await asyncio.to_thread(_sent, data)
    try:
        return Outcome(sent, kept=await _store(services, data, user, study_uid))
    except _NotStored as error:
        await _refused(services, user, data, error.reason, error.subject)
        return Outcome(sent, failure=error.reason)
    except OtherPatient:
        await _refused(services, user, data, FailureReason.OTHER_PATIENT)
        return Outcome(sent, failure=FailureReason.OTHER_PATIENT)
    except ImageRejected as error:
        reason = _OF_REJECTION.get(error.code, FailureReason.CANNOT_UNDERSTAND)
        return Outcome(sent, failure=reason)
    except _BUSY:
        return Outcome(sent, failure=FailureReason.OUT_OF_RESOURCES)
    except Exception as error:
        # A fault of ours: by kind and place only, for its message may quote the file.
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        log.error("instance not stored", exception=type(error).__name__, where=where)
        return Outcome(sent, failure=FailureReason.PROCESSING_FAILURE)


async def _refused(
    services: Services, user: User, data: bytes, reason: FailureReason, subject: str = "upload"
) -> None:
    """Write down that the instance was not kept."""
    note = services.refusals.note
    await asyncio.to_thread(note, user.id, reason.name.lower(), len(data), subject=subject)


async def _store(
    services: Services, data: bytes, user: User, study_uid: str | None
) -> InstanceHeader:
    async with opened(services, data, user) as upload:
        instance = upload.instance
        if instance is None:  # a picture of another format, sent as DICOM
            raise _NotStored(FailureReason.CANNOT_UNDERSTAND)
        if study_uid is not None:
            own = await asyncio.to_thread(own_uids, services, study_uid)
            if instance.header.study_uid not in own:
                raise _NotStored(FailureReason.OTHER_STUDY)
        for _ in range(_ATTEMPTS):
            if await asyncio.to_thread(_is_held, services, instance):
                return instance.header
            try:
                await _keep(services, upload, instance, user)
            except IntegrityError:
                continue  # the same instance came twice at once, and the other was faster
            return instance.header
    raise _NotStored(FailureReason.PROCESSING_FAILURE)


def _is_held(services: Services, instance: Instance) -> bool:
    """Whether this very instance is held; raises _NotStored for other content under its UID.

    By the bytes of the de-identified file: the same file always becomes the same bytes.
    """
    held = instances.find(services.db, instance.header.sop_uid)
    if held is None:
        return False
    if held.blob != instance.sha256:
        raise _NotStored(FailureReason.DUPLICATE_SOP_INSTANCE, held.header.sop_uid)
    return True


async def _keep(services: Services, upload: Upload, instance: Instance, user: User) -> None:
    header = instance.header
    hosted = services.hosted
    name = route_task(header.modality, header.body_part, header.sop_class_uid, hosted.imaging)
    if name is None and await asyncio.to_thread(joined, services, upload, user):
        return
    task = None if name is None else HostedTask(hosted, hosted.imaging[name])
    await read_upload(services, task, upload, user)


def status_of(outcomes: Sequence[Outcome]) -> int:
    """200 when all were stored, 202 when some were, 409 when none was (PS3.18 10.5.3.1)."""
    stored = sum(outcome.kept is not None for outcome in outcomes)
    return 200 if stored == len(outcomes) else 202 if stored else 409


def response(outcomes: Sequence[Outcome], base: str) -> DataSet:
    """The Store Instances Response Module (PS3.18 Annex I).

    Instances go by the UIDs that the sender knows; RetrieveURL leads to those they have here.
    """
    answer: DataSet = {}
    studies = {outcome.kept.study_uid for outcome in outcomes if outcome.kept is not None}
    if len(studies) == 1:
        answer["00081190"] = element("UR", study_url(base, studies.pop()))
    named: list[_Item] = []
    unnamed: list[_Item] = []
    stored: list[_Item] = []
    for outcome in outcomes:
        item = _reference(outcome)
        if outcome.kept is not None:
            kept = outcome.kept
            url = instance_url(base, kept.study_uid, kept.series_uid, kept.sop_uid)
            stored.append({**item, "00081190": element("UR", url)})
        else:
            (named if "00081155" in item else unnamed).append(item)
    for tag, items in (("00081198", named), ("00081199", stored), ("0008119A", unnamed)):
        if items:
            answer[tag] = element("SQ", *items)
    return answer


def _reference(outcome: Outcome) -> _Item:
    sent, kept = outcome.sent, outcome.kept
    sop_class = sent.sop_class_uid or (kept and kept.sop_class_uid)
    sop_uid = sent.sop_uid or (kept and kept.sop_uid)
    item: _Item = {}
    if sop_class:
        item["00081150"] = element("UI", sop_class)
    if sop_uid:
        item["00081155"] = element("UI", sop_uid)
    if outcome.failure is not None:
        item["00081197"] = element("US", int(outcome.failure))
    return item


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 9.1): digits and dots, nothing that could be words."""
    return len(text) <= UID_LENGTH and UID.fullmatch(text) is not None


def _sent(data: bytes) -> Sent:
    """The sender's names for an instance, from the first bytes alone; None for what is no UID."""
    if data[128:132] != b"DICM":
        return Sent(None, None)
    try:
        start = io.BytesIO(data[:_META_BYTES])
        meta = read_partial(start, stop_when=lambda *_: True).file_meta
        return Sent(_uid(meta, "MediaStorageSOPClassUID"), _uid(meta, "MediaStorageSOPInstanceUID"))
    except Exception:  # a hostile file raises anything: then it goes without a name
        return Sent(None, None)


def _uid(meta: Dataset, keyword: str) -> str | None:
    text = str(meta.get(keyword, ""))
    return text if is_uid(text) else None
