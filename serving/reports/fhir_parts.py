"""Small pieces of FHIR R4 that a report is made of: codings, references, labels."""

from __future__ import annotations

from datetime import UTC, datetime

from knowledge_base.language import Bilingual
from serving.reports.concepts import Concept
from serving.reports.identifiers import uuid_of
from serving.reports.study import ReportedStudy
from serving.storage.canonical import Json, JsonObject

Resource = dict[str, Json]

DECISION_SYSTEM = "urn:fenzhen:decision"
USER_SYSTEM = "urn:fenzhen:user"
LABEL_SYSTEM = "urn:fenzhen:labels"
HL7 = "http://terminology.hl7.org/CodeSystem"
AI_ASSERTED: JsonObject = {
    "system": f"{HL7}/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
"""The security label of HL7's guide "AI Transparency on FHIR" for what an AI has asserted."""


def both(text: Bilingual) -> str:
    """Both languages in one string, Chinese first; one of them where they are the same."""
    return text["zh"] if text["zh"] == text["en"] else f"{text['zh']} / {text['en']}"


def codeable(*concepts: Concept, text: str | None = None) -> JsonObject:
    """A CodeableConcept of codes that mean the same."""
    codings = [{"system": c.system, "code": c.code, "display": c.meaning} for c in concepts]
    return {"coding": codings} if text is None else {"coding": codings, "text": text}


def hl7_code(system: str, code: str, display: str) -> JsonObject:
    """A CodeableConcept of a code system of HL7."""
    return {"coding": [{"system": f"{HL7}/{system}", "code": code, "display": display}]}


def share(value: float) -> JsonObject:
    """A probability, a rate or a coverage as a Quantity from 0 to 1."""
    return number(value)


def number(value: float) -> JsonObject:
    """A Quantity without a unit."""
    return {"value": value, "system": "http://unitsofmeasure.org", "code": "1"}


def instant(at: datetime) -> str:
    """A moment as FHIR writes it, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def meta(study: ReportedStudy) -> JsonObject:
    """The metadata label of what an AI made: HL7's security label and a tag of our own."""
    if not study.analysed:
        return {}
    state = "preliminary" if study.signature is None else "signed"
    tag = {
        "system": LABEL_SYSTEM,
        "code": f"ai-generated-{state}",
        "display": "人工智能生成 / AI-generated",
    }
    return {"meta": {"security": [AI_ASSERTED], "tag": [tag]}}


def urn(study: ReportedStudy, *parts: str) -> str:
    """The URN of one of the bundle's resources, the same every time."""
    return f"urn:uuid:{uuid_of(study.decision_id, *parts)}"


def reference(target: str, kind: str) -> JsonObject:
    """A reference to a resource of the bundle."""
    return {"reference": target, "type": kind}


def resource(kind: str, full_url: str, *members: JsonObject) -> Resource:
    """A bundle's entry: the resource with its id, members put together in order."""
    body: Resource = {"resourceType": kind, "id": full_url.removeprefix("urn:uuid:")}
    for member in members:
        body.update(member)
    return {"fullUrl": full_url, "resource": body}
