"""The record of an imaging study: one decision with its pictures, instances and fingerprints.

Every study is queued for a physician. What is kept is drawn anew or de-identified, and a picture
that was read before is said to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from sqlalchemy.orm import Session

from models.imaging.ages import kept_age
from models.imaging.opinion import TEXT_WARNINGS, ImagingResult
from models.tasks.imaging import ImagingTask
from serving import answering
from serving.bulk import Bulk
from serving.decisions import DecisionRecord
from serving.hosting import Hosted
from serving.services import Services
from serving.storage import instances
from serving.storage.canonical import Json
from serving.storage.codes import DecisionKind, Reason
from serving.storage.instances import InstanceHeader, ReadPicture
from serving.uploads import Instance
from serving.users import User

UNREAD = "none"
"""The task of a study that no model reads: a physician does, without a score."""


@dataclass(frozen=True)
class HostedTask:
    """An imaging task among the models that it was hosted with."""

    hosted: Hosted
    task: ImagingTask

    @property
    def versions(self) -> dict[str, str]:
        """The version of each model that has a say."""
        gate = self.hosted.gate
        asked = [self.task.model] if gate is None else [gate.model, self.task.model]
        return {name: str(self.hosted.models[name].manifest.version) for name in asked}


@dataclass(frozen=True)
class Patient:
    """What the sender says of the patient; None where unsaid. See `ImagingRequest`."""

    age_years: float | None = None
    sex: str | None = None
    site: str | None = None


UNSAID = Patient()
"""A patient of whom nothing is said beside the file."""


class Duplicate(BaseModel):
    """The image of that number, counted from 0, was read before in that decision."""

    image: int
    decision_id: str


@dataclass(frozen=True)
class Study:
    """A recorded study: one result per picture, in order of upload and of frames."""

    record: DecisionRecord
    results: tuple[ImagingResult, ...]
    duplicate_of: tuple[Duplicate, ...]
    queue_s: float
    inference_s: float


@dataclass(frozen=True)
class Opinion:
    """What was found in one picture, and the PNG files that show it.

    heatmap_png: where the model looked, over the picture. layer_png: the same map alone.
    """

    result: ImagingResult
    source_format: str
    fingerprint: str
    image_png: bytes
    heatmap_png: bytes | None = None
    layer_png: bytes | None = None
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True)
class Part:
    """What one file of the study came to: a picture per frame, and its instance if DICOM."""

    opinions: tuple[Opinion, ...]
    instance: Instance | None


def record_study(
    services: Services,
    hosted_task: HostedTask | None,
    parts: Sequence[Part],
    patient: Patient,
    user: User,
    bulk: Bulk | None,
) -> Study:
    """One decision for all pictures, with the instances and fingerprints that belong to it.

    Without a task the pictures were not read.

    Blocking. Raises sqlalchemy's IntegrityError when an instance has been added meanwhile, and
    OtherPatient where an instance's study is held of somebody else.
    """
    opinions = [opinion for part in parts for opinion in part.opinions]
    results = tuple(opinion.result for opinion in opinions)
    version = results[0].model_version
    task = UNREAD if hosted_task is None else hosted_task.task.model
    pictures = [ReadPicture(opinion.fingerprint, task, version) for opinion in opinions]
    duplicates = _duplicates(services, pictures)
    fresh, known = _instances(services, parts)
    # Blobs first: a crash after them leaves unreferenced bytes, never a record without its image.
    blobs = {
        sop_uid: services.blobs.put(instance.data, "application/dicom").sha256
        for sop_uid, instance in fresh.items()
    }
    at = services.db.clock.now()

    def alongside(session: Session, decision_id: str) -> None:
        instances.check_patients(session, [one.header for one in fresh.values()])
        instances.add_pictures(session, decision_id, pictures)
        for sop_uid, instance in fresh.items():
            instances.add_instance(
                session,
                instance.header,
                fingerprint=instance.fingerprint,
                blob=blobs[sop_uid],
                decision_id=decision_id,
                uploader=user.id,
                at=at,
            )

    record = answering.keep(
        services,
        kind=DecisionKind.IMAGING,
        input={
            "task": task,
            "age_years": kept_age(patient.age_years),
            "sex": patient.sex,
            "site": patient.site,
            "images": [
                image for part in parts for image in _kept_images(services, part, fresh | known)
            ],
        },
        result={
            "images": [result.model_dump(mode="json") for result in results],
            "duplicate_of": [duplicate.model_dump() for duplicate in duplicates],
        },
        models={} if hosted_task is None else hosted_task.versions,
        rules_version="none",
        disposition=None,
        reasons=_reasons(results, duplicates),
        user=user,
        alongside=alongside,
        bulk=bulk,
    )
    for part in parts:
        if part.instance is not None and _held_header(part.instance, fresh | known) is None:
            size = len(part.instance.data)
            services.refusals.note(user.id, "duplicate_sop_instance", size, subject=record.id)
    return Study(
        record,
        results,
        duplicates,
        max(opinion.queue_s for opinion in opinions),
        sum(opinion.inference_s for opinion in opinions),
    )


def _kept_images(
    services: Services, part: Part, held: Mapping[str, Instance]
) -> list[dict[str, Json]]:
    """Each picture of a file as the record keeps it. Pictures are drawn anew."""
    header = _held_header(part.instance, held)
    kept: list[dict[str, Json]] = []
    for frame, opinion in enumerate(part.opinions):
        kept.append(
            {
                "image": _put(services, opinion.image_png),
                "heatmap": _put(services, opinion.heatmap_png),
                "layer": _put(services, opinion.layer_png),
                "format": opinion.source_format,
                "fingerprint": opinion.fingerprint,
                "instance": None
                if header is None
                else {
                    "study_uid": header.study_uid,
                    "series_uid": header.series_uid,
                    "sop_uid": header.sop_uid,
                    "sop_class_uid": header.sop_class_uid,
                    "frame": frame + 1,
                },
            }
        )
    return kept


def _held_header(instance: Instance | None, held: Mapping[str, Instance]) -> InstanceHeader | None:
    """The header of a file's instance, where that very instance is kept."""
    if instance is None:
        return None
    same = held.get(instance.header.sop_uid)
    kept = same is not None and same.sha256 == instance.sha256
    return instance.header if kept else None


def _put(services: Services, png: bytes | None) -> str | None:
    return None if png is None else services.blobs.put(png, "image/png").sha256


def _instances(
    services: Services, parts: Sequence[Part]
) -> tuple[dict[str, Instance], dict[str, Instance]]:
    """The instances that are new here, and those that are held already, by SOP UID.

    Other content under a UID that is taken is in neither: it is read, and not kept as DICOM.
    """
    fresh: dict[str, Instance] = {}
    known: dict[str, Instance] = {}
    for part in parts:
        if part.instance is None or part.instance.header.sop_uid in fresh:
            continue
        sop_uid = part.instance.header.sop_uid
        held = instances.find(services.db, sop_uid)
        if held is None:
            fresh[sop_uid] = part.instance
        elif held.blob == part.instance.sha256:
            known[sop_uid] = part.instance
    return fresh, known


def _duplicates(services: Services, pictures: Sequence[ReadPicture]) -> tuple[Duplicate, ...]:
    found = ((n, instances.read_before(services.db, one)) for n, one in enumerate(pictures))
    return tuple(Duplicate(image=n, decision_id=where) for n, where in found if where is not None)


def _reasons(results: Sequence[ImagingResult], duplicates: Sequence[Duplicate]) -> list[Reason]:
    reasons = {Reason.DUPLICATE} if duplicates else set()
    if any(TEXT_WARNINGS.intersection(result.warnings) for result in results):
        reasons.add(Reason.TEXT_IN_PICTURE)
    for result in results:
        if "out_of_distribution" in result.abstained:
            reasons.add(Reason.OUT_OF_DISTRIBUTION)
        elif result.abstained:
            reasons.add(Reason.ABSTAINED)
    return sorted(reasons)
