"""Answers that carry a study in a form of another system: DICOM files and FHIR."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Literal

from fastapi import Response
from pydicom import dcmread

from serving.decisions import DecisionRecord
from serving.reports import fhir
from serving.reports.study import ReportedStudy, reported_study
from serving.reviews.signatures import for_decision
from serving.services import Services
from serving.storage import instances
from serving.storage.canonical import dumps
from serving.storage.database import Database

AnswerFormat = Literal["json", "fhir"]
"""What `?format=` may ask for."""
DICOM = "application/dicom"
_PRIVATE = {"Cache-Control": "private, no-store"}


def study_of(services: Services, record: DecisionRecord) -> ReportedStudy:
    """An imaging decision with its signature, and the headers of its kept instances. Blocking."""
    study = reported_study(record, for_decision(services.db, record.id))
    held = {image.source.sop_uid for image in study.images if image.source.held}
    found = {uid: instances.find(services.db, uid) for uid in held}
    headers = {
        uid: dcmread(io.BytesIO(services.blobs.get(one.blob)), stop_before_pixels=True)
        for uid, one in found.items()
        if one is not None
    }
    return replace(study, headers=headers)


def fhir_answer(db: Database, record: DecisionRecord) -> Response:
    """An imaging decision as a FHIR Bundle. Blocking."""
    study = reported_study(record, for_decision(db, record.id))
    return Response(dumps(fhir.bundle(study)), media_type=fhir.MEDIA_TYPE, headers=_PRIVATE)


def dicom_answer(data: bytes, filename: str) -> Response:
    """A DICOM file to be kept under that name, which is ours and never a user's."""
    disposition = {"Content-Disposition": f'attachment; filename="{filename}"'}
    return Response(data, media_type=DICOM, headers=_PRIVATE | disposition)
