"""What an SR says of one picture and question: a measurement group, TID 1501.

Relies on highdicom for the templates and on `concepts.yaml` for what no standard has a code for.
"""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes

from knowledge_base.language import Language
from models.imaging.opinion import ImagingResult
from serving.reports import concepts, wording
from serving.reports.concepts import Concept, private
from serving.reports.dicom_common import MANUFACTURER, coded
from serving.reports.identifiers import dicom_uid
from serving.reports.study import AnsweredQuestion, ReportedImage, ReportedStudy
from serving.web.strings import translator

_CHINESE = CodedConcept("zh", "RFC5646", "Chinese")


def measurement_group(
    study: ReportedStudy, image: ReportedImage, question: AnsweredQuestion
) -> MeasurementsAndQualitativeEvaluations:
    """The group of one question; the task's own also says what is wrong with the picture."""
    own = question.code == image.result.task
    number = str(image.number)
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=dicom_uid(study.decision_id, "opinion", number, question.code),
            identifier=f"{question.code}, image {image.number + 1}",
        ),
        algorithm_id=_algorithm(study) if study.analysed else None,
        measurements=[
            *_probabilities(question),
            *_point_numbers(question),
            *(_picture_numbers(image.result) if own else ()),
        ],
        qualitative_evaluations=[
            *_set_and_result(question),
            *(_picture_findings(image.result) if own else ()),
        ],
        source_images=[
            SourceImageForMeasurementGroup(
                image.source.sop_class_uid,
                image.source.sop_uid,
                None if image.source.frame is None else [image.source.frame],
            )
        ],
    )
    lines: Iterator[tuple[Language, str]]
    if own:
        lines = (
            (language, line)
            for language in wording.LANGUAGES
            for line in (*wording.image_lines(study, image, language), *_not_held(image, language))
        )
    elif question.research_only:
        lines = ((one, translator(one)("report.research")) for one in wording.LANGUAGES)
    else:
        lines = iter(())
    group[0].ContentSequence.extend(
        text_item(codes.DCM.Comment, line, language) for language, line in lines
    )
    return group


def _algorithm(study: ReportedStudy) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=study.model,
        version=study.model_version,
        manufacturer=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
    )


def _probabilities(question: AnsweredQuestion) -> Iterator[Measurement]:
    for label in question.probabilities:
        measured = Measurement(
            name=codes.DCM.CertaintyOfFinding,
            value=round(100 * label.probability, 2),
            unit=codes.UCUM.Percent,
        )
        measured[0].ContentSequence = _about(_label(question, label.code))
        yield measured


def _about(label: CodedConcept) -> ContentSequence:
    """The label that an item speaks of, as its concept modifier."""
    modifier = CodeContentItem(
        name=codes.DCM.Finding,
        value=label,
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    return ContentSequence([modifier])


def _point_numbers(question: AnsweredQuestion) -> Iterator[Measurement]:
    if question.coverage is not None and question.prediction_set:
        yield _percent("set_coverage", question.coverage)
    point = question.operating_point
    if point is None:
        return
    yield _percent("op_threshold", point.threshold)
    for metric, interval in sorted(point.measured.items()):
        value = interval.get("value")
        if value is not None and metric in concepts.concepts().private:
            yield _percent(metric, value)


def _picture_numbers(result: ImagingResult) -> Iterator[Measurement]:
    if result.ood_score is not None:
        yield _limited(private("ood_score"), result.ood_score, result.ood_threshold)
    for issue in result.quality:
        yield _limited(_issue(issue.code), issue.value, issue.limit)


def _set_and_result(question: AnsweredQuestion) -> Iterator[QualitativeEvaluation]:
    for code in question.prediction_set:
        yield QualitativeEvaluation(coded(private("in_set")), _label(question, code))
    point = question.operating_point
    if point is not None:
        value = codes.SCT.Positive if point.positive else codes.SCT.Negative
        result = QualitativeEvaluation(coded(private("op_result")), value)
        result[0].ContentSequence = _about(coded(concepts.point(question.code, point)))
        yield result


def _picture_findings(result: ImagingResult) -> Iterator[QualitativeEvaluation]:
    for issue in result.quality:
        yield QualitativeEvaluation(coded(private("quality_issue")), coded(_issue(issue.code)))
    for reason in result.abstained:
        yield QualitativeEvaluation(coded(private("abstained")), coded(concepts.abstention(reason)))


def _not_held(image: ReportedImage, language: Language) -> tuple[str, ...]:
    return () if image.source.held else (translator(language)("report.not_held"),)


def _label(question: AnsweredQuestion, code: str) -> CodedConcept:
    label = question.label(code)
    name = code if label is None else label.name["en"]
    return coded(concepts.label(question.code, code, name))


def _percent(code: str, share: float) -> Measurement:
    return Measurement(
        name=coded(private(code)), value=round(100 * share, 2), unit=codes.UCUM.Percent
    )


def _limited(concept: Concept, value: float, limit: float | None) -> Measurement:
    """A number of the picture with the limit that it was held against as its property."""
    measured = Measurement(name=coded(concept), value=value, unit=codes.UCUM.NoUnits)
    if limit is not None:
        item = NumContentItem(
            name=coded(private("limit")),
            value=limit,
            unit=codes.UCUM.NoUnits,
            relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
        )
        measured[0].ContentSequence = ContentSequence([item])
    return measured


def _issue(code: str) -> Concept:
    return concepts.quality(code, wording.quality_name(code)["en"])


def text_item(name: CodedConcept, words: str, language: Language) -> TextContentItem:
    """A statement under a container; one in Chinese says so, the report's language is English."""
    item = TextContentItem(
        name=name, value=words, relationship_type=RelationshipTypeValues.CONTAINS
    )
    if language == "zh":
        item.ContentSequence = ContentSequence(LanguageOfContentItemAndDescendants(_CHINESE))
    return item
