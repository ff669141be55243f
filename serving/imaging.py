"""One imaging study from upload to opinion: read, decide who may be scored, infer, record.

Every study is queued for a physician: no classifier result reaches a patient.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from models.backends import Tensors
from models.imaging.decode import DecodedImage
from models.imaging.heatmap import layer_png, overlay_png
from models.imaging.opinion import ABSTENTIONS, DEVICE_LABEL, ImagingResult
from models.imaging.picture import to_png
from models.tasks.base import Task
from models.tasks.imaging import ImagingRequest, ImagingTask
from serving import answering
from serving.bulk import Bulk
from serving.engine.inference import Inference
from serving.errors import NotFound
from serving.hosting import Hosted
from serving.imaging_records import (
    UNREAD,
    UNSAID,
    HostedTask,
    Opinion,
    Part,
    Patient,
    Study,
    record_study,
)
from serving.services import Services
from serving.storage.instances import OtherPatient
from serving.uploads import Upload, opened
from serving.users import User

_UNREAD_VERSION = 0
RequestT = TypeVar("RequestT")


def task_of(services: Services, name: str) -> HostedTask:
    """The imaging task of that name; raises NotFound."""
    hosted = services.hosted
    task = hosted.imaging.get(name)
    if task is None:
        raise NotFound("no such imaging task")
    return HostedTask(hosted, task)


async def read_study(
    services: Services,
    task: HostedTask,
    files: Sequence[bytes],
    age_years: float | None,
    user: User,
    *,
    sex: str | None = None,
    site: str | None = None,
    bulk: Bulk | None = None,
) -> Study:
    """Read every image, record one decision for all. Nothing is kept if one is refused.

    `age_years`, `sex` (female, male) and `site` (one of `models.imaging.context.SITES`) are what
    the sender says of the patient.

    Raises ImageRejected for the first file that is not an image that we read, and OtherPatient
    where one belongs to a study that is held of another patient.
    """
    patient = Patient(age_years, sex, site)
    parts = []
    for data in files:
        # One at a time: eight pictures of the largest size must not stand in memory together.
        async with opened(services, data, user) as upload:
            parts.append(await _part(services, task, upload, patient, bulk))
        del upload
    record = partial(record_study, services, task, parts, patient, user, bulk)
    try:
        try:
            return await asyncio.to_thread(record)
        except IntegrityError:  # the same instance was added meanwhile: now it is a known one
            return await asyncio.to_thread(record)
    except OtherPatient:
        note = services.refusals.note
        await asyncio.to_thread(note, user.id, "other_patient", sum(map(len, files)))
        raise


async def read_upload(
    services: Services, task: HostedTask | None, upload: Upload, user: User
) -> Study:
    """Read one file that is opened already; without a task it is kept and queued unread.

    Raises IntegrityError when its instance has been added meanwhile, and OtherPatient.
    """
    if task is None:
        part = await asyncio.to_thread(_unread, upload)
    else:
        part = await _part(services, task, upload, UNSAID, None)
    return await asyncio.to_thread(record_study, services, task, [part], UNSAID, user, None)


async def _part(
    services: Services,
    task: HostedTask,
    upload: Upload,
    patient: Patient,
    bulk: Bulk | None,
) -> Part:
    opinions = [
        await _opinion(services, task, picture, patient, fingerprint, bulk)
        for picture, fingerprint in zip(upload.pictures, upload.fingerprints, strict=True)
    ]
    return Part(tuple(opinions), upload.instance)


async def _opinion(
    services: Services,
    hosted_task: HostedTask,
    picture: DecodedImage,
    patient: Patient,
    fingerprint: str,
    bulk: Bulk | None,
) -> Opinion:
    asked: list[Inference] = []
    kinds = None
    hosted, task = hosted_task.hosted, hosted_task.task
    if hosted.gate is not None:
        asked.append(await _infer(services, hosted, hosted.gate, picture, bulk))
        kinds = hosted.gate.finish(picture, asked[-1].outputs)
    request = ImagingRequest(picture, patient.age_years, patient.sex, patient.site, kinds)
    refused = await asyncio.to_thread(task.refusals, request)
    outputs = None
    if not refused:
        asked.append(await _infer(services, hosted, task, request, bulk))
        outputs = asked[-1].outputs
    result = await asyncio.to_thread(task.finish, request, outputs)
    heatmap = layer = None
    if outputs is not None and result.probabilities:
        heatmap, layer = await asyncio.to_thread(_maps, task, request, outputs)
    return Opinion(
        result=result,
        source_format=picture.source_format,
        fingerprint=fingerprint,
        image_png=await asyncio.to_thread(to_png, picture),
        heatmap_png=heatmap,
        layer_png=layer,
        queue_s=sum(one.queue_s for one in asked),
        inference_s=sum(one.inference_s for one in asked),
    )


async def _infer(
    services: Services,
    hosted: Hosted,
    task: Task[RequestT, object],
    request: RequestT,
    bulk: Bulk | None,
) -> Inference:
    tensors = await asyncio.to_thread(task.prepare, request)
    priority, timeout_s = answering.class_of(services, False, bulk)
    return await hosted.infer(task.model, tensors, priority=priority, timeout_s=timeout_s)


def _maps(task: ImagingTask, request: ImagingRequest, outputs: Tensors) -> tuple[bytes, bytes]:
    """Where the model looked: over the picture, and alone."""
    pixels, saliency = request.image.pixels, task.saliency(outputs)
    size, box = (pixels.shape[1], pixels.shape[0]), task.seen(request)
    return (
        overlay_png(pixels, saliency, box=box),
        layer_png(size, saliency, box=box),
    )


def _unread(upload: Upload) -> Part:
    return Part(
        tuple(
            Opinion(_no_opinion(picture), picture.source_format, fingerprint, to_png(picture))
            for picture, fingerprint in zip(upload.pictures, upload.fingerprints, strict=True)
        ),
        upload.instance,
    )


def _no_opinion(picture: DecodedImage) -> ImagingResult:
    """What is said of a picture that no hosted model is for."""
    metadata = picture.metadata
    return ImagingResult(
        label=DEVICE_LABEL,
        task=UNREAD,
        model_version=_UNREAD_VERSION,
        age_years=metadata.age_years,
        sex=metadata.sex,
        modality=metadata.modality,
        body_part=metadata.body_part,
        probabilities=(),
        prediction_set=(),
        coverage=None,
        operating_point=None,
        abstained=("no_model",),
        explanations=(ABSTENTIONS["no_model"],),
        ood_score=None,
        ood_threshold=None,
        quality=(),
        warnings=picture.warnings,
    )
