"""One imaging study from upload to record: decode, decide who may be scored, infer, keep.

Every study is queued for a physician: no classifier result reaches a patient.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.imaging.decode import DecodeLimits, decode
from models.imaging.heatmap import overlay_png
from models.imaging.opinion import ImagingResult
from models.imaging.picture import to_png
from models.tasks.imaging import ImagingRequest, ImagingTask
from serving import decisions
from serving.decisions import DecisionRecord
from serving.errors import NotFound
from serving.services import Services
from serving.storage.codes import DecisionKind, Reason
from serving.users import User


@dataclass(frozen=True)
class Study:
    """A recorded study: one result per image, in order of upload."""

    record: DecisionRecord
    results: tuple[ImagingResult, ...]
    queue_s: float
    inference_s: float


@dataclass(frozen=True)
class _Opinion:
    result: ImagingResult
    source_format: str
    image_png: bytes
    heatmap_png: bytes | None
    queue_s: float
    inference_s: float


def task_of(services: Services, name: str) -> ImagingTask:
    """The imaging task of that name; raises NotFound."""
    task = services.imaging.get(name)
    if task is None:
        raise NotFound("no such imaging task")
    return task


async def read_study(
    services: Services,
    task: ImagingTask,
    files: Sequence[bytes],
    age_years: float | None,
    user: User,
) -> Study:
    """Read every image, record one decision for all. Nothing is kept if one is refused.

    Raises ImageRejected for the first file that is not an image that we read.
    """
    limits = DecodeLimits(
        max_bytes=services.settings.max_image_bytes,
        max_pixels=services.settings.max_image_pixels,
    )
    opinions = []
    for data in files:
        # One at a time: eight pictures of the largest size must not stand in memory together.
        image = await asyncio.to_thread(decode, data, limits)
        opinions.append(await _opinion(services, task, ImagingRequest(image, age_years)))
        del image
    record = await asyncio.to_thread(_record, services, task, opinions, age_years, user)
    return Study(
        record,
        tuple(o.result for o in opinions),
        max(o.queue_s for o in opinions),
        sum(o.inference_s for o in opinions),
    )


async def _opinion(services: Services, task: ImagingTask, request: ImagingRequest) -> _Opinion:
    refused = await asyncio.to_thread(task.refusals, request)
    heatmap = None
    queue_s = inference_s = 0.0
    if refused:
        result = task.finish(request, None)
    else:
        tensors = await asyncio.to_thread(task.prepare, request)
        inference = await services.engine.infer(
            task.model, tensors, timeout_s=services.settings.inference_timeout_s
        )
        queue_s, inference_s = inference.queue_s, inference.inference_s
        result = task.finish(request, inference.outputs)
        if result.probabilities:
            heatmap = await asyncio.to_thread(
                overlay_png,
                request.image.pixels,
                task.saliency(inference.outputs),
                margin=task.margin,
            )
    image = await asyncio.to_thread(to_png, request.image.pixels)
    return _Opinion(result, request.image.source_format, image, heatmap, queue_s, inference_s)


def _record(
    services: Services,
    task: ImagingTask,
    opinions: Sequence[_Opinion],
    age_years: float | None,
    user: User,
) -> DecisionRecord:
    # Blobs first: a crash after them leaves unreferenced pixels, never a record without its image.
    # Only pixels are kept, drawn anew: no header of an upload is ever stored.
    kept: list[dict[str, Any]] = []
    for opinion in opinions:
        pixels = services.blobs.put(opinion.image_png, "image/png").sha256
        heat = opinion.heatmap_png
        kept.append(
            {
                "image": pixels,
                "heatmap": None if heat is None else services.blobs.put(heat, "image/png").sha256,
                "format": opinion.source_format,
            }
        )
    results = [opinion.result for opinion in opinions]
    reasons: set[Reason] = set()
    for result in results:
        if "out_of_distribution" in result.abstained:
            reasons.add(Reason.OUT_OF_DISTRIBUTION)
        elif result.abstained:
            reasons.add(Reason.ABSTAINED)
    db = services.db
    decision_id = db.ids.new("dec")
    versions = {task.model: str(results[0].model_version)}
    return decisions.record(
        db,
        kind=DecisionKind.IMAGING,
        input={"task": task.model, "age_years": age_years, "images": kept},
        result={"images": [r.model_dump(mode="json") for r in results]},
        models=versions,
        rules_version="none",
        disposition=None,
        review=services.policy.request(
            decision_id=decision_id,
            kind=DecisionKind.IMAGING,
            disposition=None,
            reasons=sorted(reasons),
        ),
        actor=user.id,
        decision_id=decision_id,
    )
