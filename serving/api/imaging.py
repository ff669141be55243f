"""/v1/imaging/studies: a second opinion on images, for physicians only."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel

from models.imaging.context import SITES
from models.imaging.opinion import ImagingResult
from serving import decisions
from serving.api.exports import DICOM, AnswerFormat, dicom_answer, fhir_answer, study_of
from serving.api.timing import timing_headers
from serving.decisions import DecisionRecord
from serving.errors import FieldError, InvalidInput, NotFound, PayloadTooLarge
from serving.imaging import read_study, task_of
from serving.imaging_records import Duplicate
from serving.reports.capture import heatmap_capture
from serving.reports.structured_report import structured_report
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
    duplicate_of: tuple[Duplicate, ...] = ()


@router.post("/v1/imaging/studies", status_code=201)
async def post_study(
    request: Request,
    response: Response,
    user: Writer,
    files: Annotated[list[UploadFile], File(description="DICOM, PNG or JPEG")],
    task: Annotated[str, Form(max_length=64)] = "cxr_pneumonia",
    age_years: Annotated[float | None, Form(ge=0, le=125)] = None,
    sex: Annotated[Literal["female", "male"] | None, Form()] = None,
    site: Annotated[str | None, Form(max_length=32)] = None,
) -> StudyAnswer:
    """Ask for a second opinion on one or several images of one patient."""
    started = time.perf_counter()
    services = services_of(request)
    if len(files) > services.settings.max_files:
        raise PayloadTooLarge(f"at most {services.settings.max_files} files")
    if not files:
        raise InvalidInput("send at least one file")
    if site is not None and site not in SITES:
        raise InvalidInput(errors=[FieldError("/site", "one of " + ", ".join(SITES))])
    contents = [await file.read() for file in files]
    study = await read_study(
        services, task_of(services, task), contents, age_years, user, sex=sex, site=site
    )
    timing_headers(response, started, study.queue_s, study.inference_s)
    return StudyAnswer(
        decision_id=study.record.id,
        review_task_id=study.record.review_task_id,
        status=study.record.status.value,
        results=study.results,
        duplicate_of=study.duplicate_of,
    )


@router.get("/v1/imaging/studies/{decision_id}", response_model=StudyAnswer)
async def get_study(
    decision_id: str,
    request: Request,
    user: Reader,
    form: Annotated[AnswerFormat, Query(alias="format")] = "json",
) -> StudyAnswer | Response:
    """A recorded study, `?format=fhir` as a FHIR Bundle. The view is audited, as all of it is."""
    record = await asyncio.to_thread(_study, request, decision_id, user)
    if form == "fhir":
        return await asyncio.to_thread(fhir_answer, services_of(request).db, record)
    result: dict[str, Any] = dict(record.result)
    return StudyAnswer(
        decision_id=record.id,
        review_task_id=record.review_task_id,
        status=record.status.value,
        results=tuple(ImagingResult.model_validate(r) for r in result["images"]),
        duplicate_of=tuple(Duplicate.model_validate(d) for d in result.get("duplicate_of", ())),
    )


@router.get("/v1/imaging/studies/{decision_id}/heatmap.png")
async def get_heatmap(
    decision_id: str,
    request: Request,
    user: Reader,
    image: Annotated[int, Query(ge=0)] = 0,
    layer: Annotated[bool, Query(description="the map alone, transparent where it is silent")] = (
        False
    ),
) -> Response:
    """Where the model looked, over the image. NotFound when there was no score."""
    kind = "layer" if layer else "heatmap"
    return await asyncio.to_thread(_picture, request, decision_id, user, image, kind)


@router.get("/v1/imaging/studies/{decision_id}/image.png")
async def get_image(
    decision_id: str, request: Request, user: Reader, image: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """The image as it was read: pixels only, without any header of the upload."""
    return await asyncio.to_thread(_picture, request, decision_id, user, image, "image")


@router.get(
    "/v1/imaging/studies/{decision_id}/report.dcm",
    response_class=Response,
    responses={200: {"content": {DICOM: {}}}},
)
async def get_report(decision_id: str, request: Request, user: Reader) -> Response:
    """The opinion as a DICOM structured report, TID 1500; unverified until a physician signs."""
    return await asyncio.to_thread(_report, request, decision_id, user)


@router.get(
    "/v1/imaging/studies/{decision_id}/heatmap.dcm",
    response_class=Response,
    responses={200: {"content": {DICOM: {}}}},
)
async def get_heatmap_capture(
    decision_id: str, request: Request, user: Reader, image: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """The heat map as DICOM Secondary Capture. NotFound when there was no score."""
    return await asyncio.to_thread(_capture, request, decision_id, user, image)


def _report(request: Request, decision_id: str, user: User) -> Response:
    record = _study(request, decision_id, user)
    services = services_of(request)
    organization = services.settings.report_organization
    data = structured_report(study_of(services, record), organization=organization)
    return dicom_answer(data, f"{record.id}-report.dcm")


def _capture(request: Request, decision_id: str, user: User, number: int) -> Response:
    services = services_of(request)
    record = _study(request, decision_id, user)
    study = study_of(services, record)
    image = study.images[number] if number < len(study.images) else None
    if image is None or image.heatmap is None:
        raise NotFound("no such heatmap")
    data = heatmap_capture(study, image, services.blobs.get(image.heatmap))
    return dicom_answer(data, f"{record.id}-heatmap-{number}.dcm")


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
    if number >= len(images) or images[number].get(kind) is None:
        raise NotFound(f"no such {kind}")
    data = services_of(request).blobs.get(images[number][kind])
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, no-store"})
