"""An imaging study as FHIR R4: a Bundle of DiagnosticReport, Observations and what they refer to.

`preliminary` until a physician has signed, then `final`. The subject is a name for "nobody is
recorded": no Patient is made up. Everything that an AI made bears HL7's security label AIAST.
https://hl7.org/fhir/R4/diagnosticreport.html
"""

from __future__ import annotations

from itertools import groupby

from serving.reports import wording
from serving.reports.fhir_opinion import correction, label_concept, observation, opinion_urn
from serving.reports.fhir_parts import (
    DECISION_SYSTEM,
    USER_SYSTEM,
    Resource,
    both,
    hl7_code,
    instant,
    meta,
    reference,
    resource,
    urn,
)
from serving.reports.study import AnsweredQuestion, ReportedImage, ReportedStudy
from serving.storage.canonical import Json, JsonObject
from serving.storage.codes import DecisionStatus
from serving.web.strings import strings

MEDIA_TYPE = "application/fhir+json"
_DICOM_UID = "urn:dicom:uid"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"


def bundle(study: ReportedStudy) -> JsonObject:
    """The Bundle, of type collection, the DiagnosticReport first."""
    subject: JsonObject = {"display": both(strings()["report.subject"])}
    device = urn(study, "device")
    observations = [
        observation(
            study,
            image,
            question,
            subject=subject,
            device=device,
            source=_source_urn(study, image),
            source_kind="ImagingStudy" if image.source.held else "Media",
        )
        for image, question in _analysed(study)
    ]
    entries = [_report(study, subject), *observations, *_sources(study, subject)]
    entries += [_heatmap(study, i) for i in study.images if i.heatmap is not None]
    if study.analysed:
        entries.append(_device(study, device))
    if study.signature is not None:
        entries.append(_practitioner(study))
        corrected = correction(
            study,
            subject=subject,
            performer=urn(study, "physician"),
            sources=_source_references(study),
        )
        if corrected is not None:
            entries.append(corrected)
    return {
        "resourceType": "Bundle",
        "id": urn(study, "bundle").removeprefix("urn:uuid:"),
        **meta(study),
        "identifier": {"system": DECISION_SYSTEM, "value": study.decision_id},
        "type": "collection",
        "timestamp": instant(study.issued_at),
        "entry": entries,
    }


def _analysed(study: ReportedStudy) -> list[tuple[ReportedImage, AnsweredQuestion]]:
    """What a model answered; nothing for a study that none has read."""
    if not study.analysed:
        return []
    return [(image, question) for image in study.images for question in image.questions]


def _report(study: ReportedStudy, subject: JsonObject) -> Resource:
    results: list[Json] = [
        reference(opinion_urn(study, image, question), "Observation")
        for image, question in _analysed(study)
    ]
    body: Resource = {
        "identifier": [{"system": DECISION_SYSTEM, "value": study.decision_id}],
        "status": "preliminary" if study.signature is None else "final",
        "category": [hl7_code("v2-0074", "RAD", "Radiology")],
        "code": {
            "coding": [
                {
                    "system": "http://loinc.org",
                    "code": "18748-4",
                    "display": "Diagnostic imaging study",
                }
            ]
        },
        "subject": subject,
        "issued": instant(study.issued_at),
        "conclusion": "\n\n".join(wording.conclusion(study, side) for side in wording.LANGUAGES),
    }
    held = {_source_urn(study, image): None for image in study.images if image.source.held}
    if held:
        body["imagingStudy"] = [reference(one, "ImagingStudy") for one in held]
    media: list[Json] = [
        {
            "comment": both(strings()["report.heatmap"]),
            "link": reference(_heatmap_urn(study, image), "Media"),
        }
        for image in study.images
        if image.heatmap is not None
    ]
    if media:
        body["media"] = media
    signature = study.signature
    if signature is not None:
        body["resultsInterpreter"] = [reference(urn(study, "physician"), "Practitioner")]
        if signature.corrected_label is not None:
            results.append(reference(urn(study, "correction"), "Observation"))
        elif study.status is DecisionStatus.SIGNED and (certain := _certain(study)):
            body["conclusionCode"] = certain
    if results:
        body["result"] = results
    return resource("DiagnosticReport", urn(study, "report"), meta(study), body)


def _certain(study: ReportedStudy) -> list[JsonObject]:
    """The labels that stand alone in their prediction sets: what a signature made a finding."""
    found: list[JsonObject] = []
    for _, question in _analysed(study):
        if len(question.prediction_set) == 1 and not question.research_only:
            concept = label_concept(question, question.prediction_set[0])
            if concept not in found:
                found.append(concept)
    return found


def _source_urn(study: ReportedStudy, image: ReportedImage) -> str:
    if image.source.held:
        return urn(study, "study", image.source.study_uid)
    return urn(study, "picture", str(image.number))


def _source_references(study: ReportedStudy) -> list[JsonObject]:
    kinds = {
        _source_urn(study, image): "ImagingStudy" if image.source.held else "Media"
        for image in study.images
    }
    return [reference(target, kind) for target, kind in kinds.items()]


def _sources(study: ReportedStudy, subject: JsonObject) -> list[Resource]:
    held = [image for image in study.images if image.source.held]
    held.sort(key=lambda image: (image.source.study_uid, image.source.series_uid))
    studies = [
        _imaging_study(study, list(images), subject)
        for _, images in groupby(held, key=lambda image: image.source.study_uid)
    ]
    return [*studies, *(_picture(study, i) for i in study.images if not i.source.held)]


def _imaging_study(
    study: ReportedStudy, images: list[ReportedImage], subject: JsonObject
) -> Resource:
    series = [
        _series(uid, list(members))
        for uid, members in groupby(images, key=lambda image: image.source.series_uid)
    ]
    return resource(
        "ImagingStudy",
        _source_urn(study, images[0]),
        {
            "identifier": [
                {"system": _DICOM_UID, "value": f"urn:oid:{images[0].source.study_uid}"}
            ],
            "status": "available",
            "subject": subject,
            "series": series,
        },
    )


def _series(uid: str, images: list[ReportedImage]) -> JsonObject:
    instances = {image.source.sop_uid: image.source.sop_class_uid for image in images}
    return {
        "uid": uid,
        "modality": {"system": _DCM, "code": images[0].result.modality or "OT"},
        "instance": [
            {
                "uid": sop_uid,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"},
            }
            for sop_uid, sop_class in instances.items()
        ],
    }


def _picture(study: ReportedStudy, image: ReportedImage) -> Resource:
    return resource(
        "Media",
        _source_urn(study, image),
        {
            "status": "completed",
            "type": hl7_code("media-type", "image", "Image"),
            "content": _png(study, image, "image"),
        },
    )


def _heatmap_urn(study: ReportedStudy, image: ReportedImage) -> str:
    return urn(study, "heatmap", str(image.number))


def _heatmap(study: ReportedStudy, image: ReportedImage) -> Resource:
    return resource(
        "Media",
        _heatmap_urn(study, image),
        meta(study),
        {
            "status": "completed",
            "type": hl7_code("media-type", "image", "Image"),
            "device": reference(urn(study, "device"), "Device"),
            "content": _png(study, image, "heatmap"),
            "note": [{"text": both(strings()["report.heatmap"])}],
        },
    )


def _png(study: ReportedStudy, image: ReportedImage, kind: str) -> JsonObject:
    path = f"/v1/imaging/studies/{study.decision_id}/{kind}.png?image={image.number}"
    return {"contentType": "image/png", "url": path}


def _device(study: ReportedStudy, full_url: str) -> Resource:
    return resource(
        "Device",
        full_url,
        {
            "status": "active",
            "manufacturer": wording.PRODUCER,
            "deviceName": [{"name": study.model, "type": "model-name"}],
            "type": {"text": "人工智能影像分析 / AI image analysis"},
            "version": [{"value": study.model_version}],
        },
    )


def _practitioner(study: ReportedStudy) -> Resource:
    signature = study.signature
    assert signature is not None
    return resource(
        "Practitioner",
        urn(study, "physician"),
        {
            "identifier": [{"system": USER_SYSTEM, "value": signature.reader_id}],
            "name": [{"text": wording.clean(signature.reader_name)}],
        },
    )
