"""A recorded imaging study as its exports see it: results, pictures, signature, identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from knowledge_base.language import Bilingual
from models.imaging.opinion import ImagingResult, LabelProbability, OperatingPoint
from serving.decisions import DecisionRecord
from serving.reports.identifiers import dicom_uid
from serving.reviews.signatures import Signature
from serving.storage.codes import DecisionKind, DecisionStatus


@dataclass(frozen=True)
class SourceImage:
    """The picture that was read, as a DICOM reference.

    `held`: the instance is kept here, de-identified. Otherwise the upload was no DICOM object and
    the UIDs only name it. `frame` counts from 1; None for a picture of one frame.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    frame: int | None = None
    held: bool = False


@dataclass(frozen=True)
class AnsweredQuestion:
    """One question that a network answered: the task's own or that of a further head."""

    code: str
    name: Bilingual
    research_only: bool
    probabilities: tuple[LabelProbability, ...]
    prediction_set: tuple[str, ...]
    coverage: float | None
    operating_point: OperatingPoint | None

    def label(self, code: str) -> LabelProbability | None:
        """The label of that code; None where the question has none such."""
        return next((p for p in self.probabilities if p.code == code), None)


@dataclass(frozen=True)
class ReportedImage:
    """One picture with its opinion. `number` counts from 0, as in the API."""

    number: int
    result: ImagingResult
    source: SourceImage
    source_format: str
    heatmap: str | None

    @property
    def questions(self) -> tuple[AnsweredQuestion, ...]:
        """The task's own question first."""
        result = self.result
        own = AnsweredQuestion(
            code=result.task,
            name={"zh": result.task, "en": result.task},
            research_only=False,
            probabilities=result.probabilities,
            prediction_set=result.prediction_set,
            coverage=result.coverage,
            operating_point=result.operating_point,
        )
        further = (
            AnsweredQuestion(
                code=f"{result.task}.{head.code}",
                name=head.name,
                research_only=head.research_only,
                probabilities=head.probabilities,
                prediction_set=head.prediction_set,
                coverage=head.coverage,
                operating_point=head.operating_point,
            )
            for head in result.also
        )
        return own, *further


@dataclass(frozen=True)
class ReportedStudy:
    """A study of at least one picture with what a physician made of it.

    `analysed`: whether a model read it; a kind of picture that no model reads is a physician's
    alone. `headers`: of the kept instances by SOP UID, where an export needs them.
    """

    decision_id: str
    created_at: datetime
    analysed: bool
    images: tuple[ReportedImage, ...]
    signature: Signature | None
    headers: Mapping[str, Dataset]

    @property
    def model(self) -> str:
        """The model that read the pictures: one for all of a decision."""
        return self.images[0].result.task

    @property
    def model_version(self) -> str:
        """Its version."""
        return str(self.images[0].result.model_version)

    @property
    def status(self) -> DecisionStatus:
        """What the signature made of the decision."""
        if self.signature is None:
            return DecisionStatus.PRELIMINARY
        return DecisionStatus(self.signature.outcome.value)

    @property
    def revision(self) -> str:
        """What tells the exports before a signature from those after it."""
        return "preliminary" if self.signature is None else self.signature.id

    @property
    def issued_at(self) -> datetime:
        """When this revision came to be, in UTC."""
        return self.created_at if self.signature is None else self.signature.signed_at

    def label_names(self, code: str) -> Bilingual | None:
        """The names of a label of any of the study's questions."""
        for image in self.images:
            for question in image.questions:
                if (label := question.label(code)) is not None:
                    return label.name
        return None


def reported_study(
    record: DecisionRecord,
    signature: Signature | None,
    headers: Mapping[str, Dataset] = MappingProxyType({}),
) -> ReportedStudy:
    """The study of a decision. `headers`: see `ReportedStudy`.

    Raises ValueError for a decision that is no imaging decision or holds no result.
    """
    if record.kind is not DecisionKind.IMAGING:
        raise ValueError("only an imaging decision is a study")
    stored: dict[str, Any] = dict(record.input)
    given: dict[str, Any] = dict(record.result)
    pictures: list[dict[str, Any]] = stored["images"]
    frames = Counter(uid for p in pictures if (uid := (p.get("instance") or {}).get("sop_uid")))
    images = tuple(
        ReportedImage(
            number=number,
            result=ImagingResult.model_validate(result),
            source=_source(record.id, number, pictures[number].get("instance"), frames),
            source_format=str(pictures[number].get("format", "")),
            heatmap=pictures[number].get("heatmap"),
        )
        for number, result in enumerate(given["images"])
    )
    if not images:
        raise ValueError("a study has at least one picture")
    return ReportedStudy(
        decision_id=record.id,
        created_at=record.created_at,
        analysed=bool(record.models),
        images=images,
        signature=signature,
        headers=headers,
    )


def _source(
    decision_id: str, number: int, instance: dict[str, Any] | None, frames: Counter[str]
) -> SourceImage:
    if instance is None:
        return SourceImage(
            study_uid=dicom_uid(decision_id, "study"),
            series_uid=dicom_uid(decision_id, "uploads"),
            sop_uid=dicom_uid(decision_id, "upload", str(number)),
            sop_class_uid=str(SecondaryCaptureImageStorage),
        )
    several = frames[instance["sop_uid"]] > 1
    return SourceImage(
        study_uid=str(instance["study_uid"]),
        series_uid=str(instance["series_uid"]),
        sop_uid=str(instance["sop_uid"]),
        sop_class_uid=str(instance["sop_class_uid"]),
        frame=int(instance["frame"]) if several else None,
        held=True,
    )
