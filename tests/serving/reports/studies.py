"""Recorded studies for the tests of exports, in the shapes that the service records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydicom.dataset import Dataset

from models.imaging.opinion import (
    ABSTENTIONS,
    DEVICE_LABEL,
    HeadOpinion,
    ImagingResult,
    LabelProbability,
    OperatingPoint,
    Quality,
)
from serving.decisions import DecisionRecord
from serving.reports.study import ReportedStudy, reported_study
from serving.reviews.signatures import Signature
from serving.storage.codes import DecisionKind, DecisionStatus, Outcome, OverrideReason

DECISION = "dec_01JD6Z4M8Q0000000000000000"
RECORDED_AT = datetime(2026, 11, 22, 8, 1, 2, 345678, tzinfo=UTC)
SIGNED_AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
INSTANCE = {
    "study_uid": "2.25.1001",
    "series_uid": "2.25.1002",
    "sop_uid": "2.25.1003",
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
    "frame": 1,
}


def probability(code: str, zh: str, en: str, value: float) -> LabelProbability:
    return LabelProbability(code=code, name={"zh": zh, "en": en}, probability=value)


def scored(**changes: Any) -> ImagingResult:
    """A radiograph on which the model saw pneumonia, with a further question for research."""
    fields: dict[str, Any] = {
        "label": DEVICE_LABEL,
        "task": "cxr_pneumonia",
        "model_version": 1,
        "age_years": 3.5,
        "sex": "F",
        "modality": "DX",
        "body_part": "CHEST",
        "probabilities": (
            probability("normal", "未见肺炎征象", "no sign of pneumonia", 0.066),
            probability("pneumonia", "肺炎征象", "signs of pneumonia", 0.934),
        ),
        "prediction_set": ("pneumonia",),
        "coverage": 0.9,
        "operating_point": OperatingPoint(
            label="pneumonia",
            name={"zh": "肺炎征象", "en": "signs of pneumonia"},
            probability=0.934,
            threshold=0.597,
            positive=True,
            measured={
                "sensitivity": {"value": 0.97, "low": 0.95, "high": 0.98},
                "specificity": {"value": 0.93, "low": None, "high": None},
            },
        ),
        "also": (
            HeadOpinion(
                code="kind",
                name={"zh": "肺炎类型", "en": "kind of pneumonia"},
                research_only=True,
                probabilities=(
                    probability("bacterial", "细菌性", "bacterial", 0.7),
                    probability("viral", "病毒性", "viral", 0.3),
                ),
                prediction_set=("bacterial",),
                coverage=0.9,
                operating_point=None,
            ),
        ),
        "abstained": (),
        "explanations": (),
        "ood_score": 12.5,
        "ood_threshold": 108.5,
        "quality": (Quality(code="over_exposed", value=0.4, limit=0.35, fatal=False),),
        "warnings": (),
    }
    return ImagingResult(**(fields | changes))


def refused(**changes: Any) -> ImagingResult:
    """A picture that was not scored, because nobody said how old the patient is."""
    fields: dict[str, Any] = {
        "probabilities": (),
        "prediction_set": (),
        "operating_point": None,
        "also": (),
        "age_years": None,
        "ood_score": None,
        "quality": (),
        "abstained": ("age_unknown",),
        "explanations": (ABSTENTIONS["age_unknown"],),
    }
    return scored(**(fields | changes))


def recorded(
    *results: ImagingResult,
    instances: tuple[dict[str, Any] | None, ...] = (),
    models: dict[str, str] | None = None,
) -> DecisionRecord:
    """The record of a study; `instances` as the service keeps them of DICOM uploads."""
    given = results or (scored(),)
    images = [
        {
            "image": "a" * 64,
            "heatmap": "b" * 64 if result.probabilities else None,
            "format": "png" if instance is None else "dicom",
            "instance": instance,
        }
        for result, instance in zip(given, instances or [None] * len(given), strict=True)
    ]
    return DecisionRecord(
        id=DECISION,
        kind=DecisionKind.IMAGING,
        created_at=RECORDED_AT,
        consult_id=None,
        subject_user=None,
        input={"task": given[0].task, "age_years": None, "images": images},
        result={"images": [result.model_dump(mode="json") for result in given]},
        models={given[0].task: "1"} if models is None else models,
        rules_version="none",
        disposition=None,
        status=DecisionStatus.PRELIMINARY,
        review_task_id="rev_1",
    )


def signature(**changes: Any) -> Signature:
    """A physician signed the opinion as it stands."""
    fields: dict[str, Any] = {
        "id": "sig_1",
        "task_id": "rev_1",
        "decision_id": DECISION,
        "reader_id": "usr_1",
        "reader_name": "王小明",
        "outcome": Outcome.SIGNED,
        "signed_at": SIGNED_AT,
    }
    return Signature(**(fields | changes))


def override(**changes: Any) -> Signature:
    """A physician saw no pneumonia."""
    fields: dict[str, Any] = {
        "outcome": Outcome.OVERRIDDEN,
        "reason_code": OverrideReason.FINDING_WRONG,
        "comment": "双肺清晰",
        "corrected_label": "normal",
    }
    return signature(**(fields | changes))


def study(
    signed: Signature | None = None,
    *results: ImagingResult,
    headers: Mapping[str, Dataset] | None = None,
    **more: Any,
) -> ReportedStudy:
    return reported_study(recorded(*results, **more), signed, headers or {})


def kept_header() -> Dataset:
    """The header of `INSTANCE` as de-identification leaves it."""
    header = Dataset()
    header.PatientID, header.PatientName, header.PatientSex = "A1B2C3D4E5F60718", "", "F"
    header.PatientAge, header.StudyDate, header.StudyID = "003Y", "", ""
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = "PS3.15 Annex E Basic Profile, age and sex retained"
    return header
