"""One answered question about one picture as a FHIR Observation, and the physician's own."""

from __future__ import annotations

from collections.abc import Iterator

from models.imaging.opinion import ImagingResult
from serving.reports import concepts, wording
from serving.reports.concepts import Concept, private
from serving.reports.fhir_parts import (
    Resource,
    both,
    codeable,
    hl7_code,
    instant,
    meta,
    number,
    reference,
    resource,
    share,
    urn,
)
from serving.reports.study import AnsweredQuestion, ReportedImage, ReportedStudy
from serving.storage.canonical import Json, JsonObject
from serving.storage.codes import DecisionStatus
from serving.web.strings import strings

CATEGORY = hl7_code("observation-category", "imaging", "Imaging")
# A physician who decides otherwise leaves the AI's observation as it was: nobody verified it.
_STATUS = {
    DecisionStatus.PRELIMINARY: "preliminary",
    DecisionStatus.SIGNED: "final",
    DecisionStatus.OVERRIDDEN: "preliminary",
}


def opinion_urn(study: ReportedStudy, image: ReportedImage, question: AnsweredQuestion) -> str:
    """The URN of a question's Observation."""
    return urn(study, "observation", str(image.number), question.code)


def observation(
    study: ReportedStudy,
    image: ReportedImage,
    question: AnsweredQuestion,
    *,
    subject: JsonObject,
    device: str,
    source: str,
    source_kind: str,
) -> Resource:
    """The Observation: a component per label, then set, operating point and doubts.

    Only for a study that was analysed. `device` and `source` are URNs of the bundle.
    """
    result = image.result
    own = question.code == result.task
    components = [*_labels(question), *_set(question), *_point(question)]
    if own:
        components += _doubts(result)
    members: list[JsonObject] = [
        meta(study),
        {
            "status": _STATUS[study.status],
            "category": [CATEGORY],
            "code": _code(question),
            "subject": subject,
            "issued": instant(study.created_at),
            "method": {"text": wording.model_of(study)},
            "device": reference(device, "Device"),
            "derivedFrom": [reference(source, source_kind)],
            "note": [{"text": note} for note in _notes(study, image, question)],
        },
    ]
    if question.probabilities:
        members.append(_interpretation(question, result))
        # What is for research only is never stated as a finding.
        if len(question.prediction_set) == 1 and not question.research_only:
            code = question.prediction_set[0]
            members.append({"valueCodeableConcept": _label(question, code)})
    else:
        members.append({"dataAbsentReason": _absent(result)})
    if components:
        members.append({"component": components})
    return resource("Observation", opinion_urn(study, image, question), *members)


def correction(
    study: ReportedStudy, *, subject: JsonObject, performer: str, sources: list[JsonObject]
) -> Resource | None:
    """The label that a physician put in the opinion's place, as the physician's Observation."""
    signature = study.signature
    if signature is None or signature.corrected_label is None:
        return None
    code = signature.corrected_label
    question = next(
        (q for image in study.images for q in image.questions if q.label(code) is not None),
        study.images[0].questions[0],
    )
    return resource(
        "Observation",
        urn(study, "correction"),
        {
            "status": "final",
            "category": [CATEGORY],
            "code": _code(question),
            "subject": subject,
            "issued": instant(signature.signed_at),
            "performer": [reference(performer, "Practitioner")],
            "derivedFrom": sources,
            "valueCodeableConcept": _label(question, code),
        },
    )


def label_concept(question: AnsweredQuestion, code: str) -> JsonObject:
    """A label as a CodeableConcept."""
    return _label(question, code)


def _code(question: AnsweredQuestion) -> JsonObject:
    concept = concepts.question(question.code, question.name["en"])
    return codeable(concept, text=both(question.name))


def _label(question: AnsweredQuestion, code: str) -> JsonObject:
    label = question.label(code)
    if label is None:
        # A physician's own words for what the model has no label for.
        return {"text": wording.clean(code)}
    concept = concepts.label(question.code, code, label.name["en"])
    return codeable(concept, text=both(label.name))


def _labels(question: AnsweredQuestion) -> Iterator[JsonObject]:
    for label in question.probabilities:
        yield {"code": _label(question, label.code), "valueQuantity": share(label.probability)}


def _set(question: AnsweredQuestion) -> Iterator[JsonObject]:
    for code in question.prediction_set:
        yield _component(private("in_set"), valueCodeableConcept=_label(question, code))
    if question.prediction_set and question.coverage is not None:
        yield _component(private("set_coverage"), valueQuantity=share(question.coverage))


def _point(question: AnsweredQuestion) -> Iterator[JsonObject]:
    point = question.operating_point
    if point is None:
        return
    about = concepts.point(question.code, point)
    text = about.meaning if point.name is None else both(point.name)
    yield {"code": codeable(private("op_result"), text=text), "valueBoolean": point.positive}
    yield _component(private("op_threshold"), valueQuantity=share(point.threshold))
    for metric, interval in sorted(point.measured.items()):
        value = interval.get("value")
        if value is not None and metric in concepts.concepts().private:
            yield _component(private(metric), valueQuantity=share(value))


def _doubts(result: ImagingResult) -> Iterator[JsonObject]:
    if result.ood_score is not None:
        yield _limited(private("ood_score"), result.ood_score, result.ood_threshold)
    for issue in result.quality:
        concept = concepts.quality(issue.code, wording.quality_name(issue.code)["en"])
        yield _limited(concept, issue.value, issue.limit)
    for reason, words in zip(result.abstained, result.explanations, strict=False):
        yield _component(
            private("abstained"),
            valueCodeableConcept=codeable(concepts.abstention(reason), text=both(words)),
        )


def _limited(concept: Concept, value: float, limit: float | None) -> JsonObject:
    component = dict(_component(concept, valueQuantity=number(value)))
    if limit is not None:
        component["referenceRange"] = [{"text": f"{private('limit').meaning}: {limit}"}]
    return component


def _component(concept: Concept, **value: Json) -> JsonObject:
    return {"code": codeable(concept), **value}


def _interpretation(question: AnsweredQuestion, result: ImagingResult) -> JsonObject:
    point = question.operating_point
    if result.abstained:
        code, display = "IND", "Indeterminate"
    elif point is None:
        return {}
    else:
        code, display = ("POS", "Positive") if point.positive else ("NEG", "Negative")
    return {"interpretation": [hl7_code("v3-ObservationInterpretation", code, display)]}


def _absent(result: ImagingResult) -> JsonObject:
    reason = hl7_code("data-absent-reason", "not-performed", "Not Performed")
    words = " ".join(both(explanation) for explanation in result.explanations)
    return {**reason, "text": words} if words else reason


def _notes(study: ReportedStudy, image: ReportedImage, question: AnsweredQuestion) -> Iterator[str]:
    for language in wording.LANGUAGES:
        yield wording.status_line(study, language)
    yield both(image.result.label)
    if question.research_only:
        yield both(strings()["report.research"])
