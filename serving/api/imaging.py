"""/v1/imaging/studies: a second opinion on images, for physicians only."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel

from models.imaging.opinion import ImagingResult
from serving import decisions
from serving.api.triage import timing_headers
from serving.decisions import DecisionRecord
from serving.errors import InvalidInput, NotFound, PayloadTooLarge
from serving.imaging import read_study, task_of
from serving.security import allow, services_of
from serving.storage.codes import DecisionKind
from serving.users import Permission, User

router = APIRouter(tags=["imaging"])

Writer = Annotated[User, Depends(allow(Permission.IMAGING_WRITE))]
Reader = Annotated[User, Depends(allow(Permission.DECISION_READ))]


class StudyAnswer(BaseModel):
    """A recorded study. Preliminary: a physician signs before anything is released."""

    decision_id: str
    review_task_id: str | None
    status: str
    results: tuple[ImagingResult, ...]


@router.post("/v1/imaging/studies", status_code=201)
async def post_study(
    request: Request,
    response: Response,
    user: Writer,
    files: Annotated[list[UploadFile], File(description="DICOM, PNG or JPEG")],
    task: Annotated[str, Form(max_length=64)] = "cxr_pneumonia",
    age_years: Annotated[float | None, Form(ge=0, le=125)] = None,
) -> StudyAnswer:
    """Ask for a second opinion on one or several images of one patient."""
    services = services_of(request)
    if len(files) > services.settings.max_files:
        raise PayloadTooLarge(f"at most {services.settings.max_files} files")
    if not files:
        raise InvalidInput("send at least one file")
    contents = [await file.read() for file in files]
    study = await read_study(services, task_of(services, task), contents, age_years, user)
    timing_headers(response, study.queue_s, study.inference_s)
    return StudyAnswer(
        decision_id=study.record.id,
        review_task_id=study.record.review_task_id,
        status=study.record.status.value,
        results=study.results,
    )


@router.get("/v1/imaging/studies/{decision_id}")
async def get_study(decision_id: str, request: Request, user: Reader) -> StudyAnswer:
    """A recorded study. The view is audited, as that of its pictures is."""
    record = await asyncio.to_thread(_study, request, decision_id, user)
    result: dict[str, Any] = dict(record.result)
    return StudyAnswer(
        decision_id=record.id,
        review_task_id=record.review_task_id,
        status=record.status.value,
        results=tuple(ImagingResult.model_validate(r) for r in result["images"]),
    )


@router.get("/v1/imaging/studies/{decision_id}/heatmap.png")
async def get_heatmap(
    decision_id: str, request: Request, user: Reader, image: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """Where the model looked, over the image. NotFound when there was no score."""
    return await asyncio.to_thread(_picture, request, decision_id, user, image, "heatmap")


@router.get("/v1/imaging/studies/{decision_id}/image.png")
async def get_image(
    decision_id: str, request: Request, user: Reader, image: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """The image as it was read: pixels only, without any header of the upload."""
    return await asyncio.to_thread(_picture, request, decision_id, user, image, "image")


def _study(request: Request, decision_id: str, user: User) -> DecisionRecord:
    db = services_of(request).db
    record = decisions.get(db, decision_id)
    if record.kind is not DecisionKind.IMAGING:
        raise NotFound("no such study")
    decisions.note_view(db, record, user.id)
    return record


def _picture(request: Request, decision_id: str, user: User, number: int, kind: str) -> Response:
    stored: dict[str, Any] = dict(_study(request, decision_id, user).input)
    images = stored["images"]
    if number >= len(images) or images[number][kind] is None:
        raise NotFound(f"no such {kind}")
    data = services_of(request).blobs.get(images[number][kind])
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, no-store"})
