"""The FHIR bundle is valid R4, says what the record says and names nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from serving.reports.fhir import bundle
from serving.reports.study import ReportedStudy, reported_study
from serving.reviews.signatures import Signature
from serving.storage.canonical import dumps
from serving.storage.codes import DecisionKind
from tests.serving.reports.studies import (
    INSTANCE,
    override,
    recorded,
    refused,
    scored,
    signature,
    study,
)


def built(of: ReportedStudy) -> dict[str, Any]:
    """The bundle as it is sent; fails where FHIR's own model refuses it."""
    text = dumps(bundle(of))
    Bundle.model_validate_json(text)
    found: dict[str, Any] = json.loads(text)
    return found


def resources(of: ReportedStudy, kind: str) -> list[dict[str, Any]]:
    entries = (entry["resource"] for entry in built(of)["entry"])
    return [resource for resource in entries if resource["resourceType"] == kind]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "reference" in value:
            yield value["reference"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def components(observation: dict[str, Any]) -> dict[str, Any]:
    """The values of an observation's components by code; the last of several."""
    found = {}
    for component in observation.get("component", ()):
        (value,) = (component[key] for key in component if key.startswith("value"))
        found[component["code"]["coding"][0]["code"]] = value
    return found


@pytest.mark.parametrize(
    ("signed", "status"), [(None, "preliminary"), (signature(), "final"), (override(), "final")]
)
def test_the_report_is_preliminary_until_a_physician_signs(
    signed: Signature | None, status: str
) -> None:
    (report,) = resources(study(signed), "DiagnosticReport")
    assert report["status"] == status
    assert report["category"][0]["coding"][0]["code"] == "RAD"
    assert ("resultsInterpreter" in report) == (signed is not None)


def test_the_conclusion_stands_in_both_languages_with_the_label_of_ai() -> None:
    (report,) = resources(study(), "DiagnosticReport")
    chinese, english = report["conclusion"].split("\n\n")
    assert chinese.startswith("内容由人工智能生成。")
    assert english.startswith("AI-generated content. Preliminary")
    assert "signs of pneumonia 93.4 %" in english
    assert "灵敏度 0.970（0.950–0.980）" in chinese


def test_each_question_is_an_observation_with_its_probabilities() -> None:
    own, further = resources(study(), "Observation")
    values = components(own)
    texts = {c["code"]["coding"][0]["code"]: c["code"].get("text") for c in own["component"]}
    assert texts["op_result"] == "肺炎征象 / signs of pneumonia"
    assert values["233604007"]["value"] == 0.934
    assert values["cxr_pneumonia:normal"]["value"] == 0.066
    assert values["op_result"] is True
    assert values["op_threshold"]["value"] == 0.597
    assert values["sensitivity"]["value"] == 0.97
    assert values["in_set"]["coding"][0]["code"] == "233604007"
    assert values["ood_score"]["value"] == 12.5
    assert values["quality:over_exposed"]["value"] == 0.4
    assert own["interpretation"][0]["coding"][0]["code"] == "POS"
    assert own["valueCodeableConcept"]["coding"][0]["code"] == "233604007"
    assert components(further)["cxr_pneumonia.kind:bacterial"]["value"] == 0.7


def test_what_is_for_research_only_is_never_a_finding() -> None:
    _, further = resources(study(signature()), "Observation")
    assert "valueCodeableConcept" not in further
    assert any("Research only" in note["text"] for note in further["note"])
    (report,) = resources(study(signature()), "DiagnosticReport")
    assert [c["coding"][0]["code"] for c in report["conclusionCode"]] == ["233604007"]


def test_nothing_is_concluded_before_a_signature() -> None:
    assert "conclusionCode" not in resources(study(), "DiagnosticReport")[0]


def test_a_picture_without_a_score_says_why() -> None:
    (observation,) = resources(study(None, refused()), "Observation")
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    assert "Age unknown" in observation["dataAbsentReason"]["text"]
    reason = components(observation)["abstained"]
    assert reason["coding"][0]["code"] == "abstained:age_unknown"


def test_an_undecided_opinion_is_indeterminate() -> None:
    undecided = scored(
        prediction_set=("normal", "pneumonia"),
        abstained=("undecided",),
        explanations=({"zh": "无法区分", "en": "cannot tell"},),
        also=(),
    )
    (observation,) = resources(study(None, undecided), "Observation")
    assert observation["interpretation"][0]["coding"][0]["code"] == "IND"
    assert "valueCodeableConcept" not in observation


def test_an_override_is_the_physicians_own_observation() -> None:
    own, _, correction = resources(study(override()), "Observation")
    assert own["status"] == "preliminary", "nobody has verified what the AI said"
    assert correction["status"] == "final"
    label = correction["valueCodeableConcept"]
    assert label["coding"][0]["code"] == "cxr_pneumonia:normal"
    assert correction["performer"][0]["type"] == "Practitioner"
    assert "meta" not in correction, "a person's words bear no label of AI"
    (physician,) = resources(study(override()), "Practitioner")
    assert physician["name"][0]["text"] == "王小明"


def test_a_correction_in_the_physicians_own_words_is_text_without_a_code() -> None:
    *_, correction = resources(study(override(corrected_label="  支气管炎\x00 ")), "Observation")
    assert "coding" not in correction["valueCodeableConcept"]
    assert "支气管炎" in correction["valueCodeableConcept"]["text"]


def test_all_that_an_ai_made_bears_its_label() -> None:
    of = study(signature())
    for kind in ("DiagnosticReport", "Observation"):
        for resource in resources(of, kind):
            assert resource["meta"]["security"][0]["code"] == "AIAST"
    assert built(of)["meta"]["tag"][0]["code"] == "ai-generated-signed"
    assert built(study())["meta"]["tag"][0]["code"] == "ai-generated-preliminary"


def test_the_device_is_the_model_with_its_version() -> None:
    (device,) = resources(study(), "Device")
    assert device["deviceName"][0]["name"] == "cxr_pneumonia"
    assert device["version"][0]["value"] == "1"


def test_a_dicom_upload_is_an_imaging_study_and_another_a_picture() -> None:
    of = study(None, scored(), refused(), instances=(INSTANCE, None))
    (imaging,) = resources(of, "ImagingStudy")
    assert imaging["identifier"][0]["value"] == f"urn:oid:{INSTANCE['study_uid']}"
    assert imaging["series"][0]["instance"][0]["uid"] == INSTANCE["sop_uid"]
    urls = [media["content"]["url"] for media in resources(of, "Media")]
    assert [url.split("/")[-1] for url in urls] == ["image.png?image=1", "heatmap.png?image=0"]


@pytest.mark.parametrize("signed", [None, override()])
def test_every_reference_leads_to_an_entry(signed: Signature | None) -> None:
    found = built(study(signed, scored(), refused(), instances=(INSTANCE, None)))
    urls = {entry["fullUrl"] for entry in found["entry"]}
    assert set(references(found)) <= urls
    assert len(urls) == len(found["entry"])


def test_nobody_is_made_up() -> None:
    of = study(None, scored(), instances=(INSTANCE,))
    assert resources(of, "Patient") == []
    (report,) = resources(of, "DiagnosticReport")
    assert "reference" not in report["subject"]


def test_the_same_decision_gives_the_same_bytes() -> None:
    assert dumps(bundle(study(override()))) == dumps(bundle(study(override())))


def test_a_study_that_no_model_read_claims_no_ai() -> None:
    unread = refused(task="none", model_version=0, abstained=("no_model",))
    of = study(None, unread, models={})
    assert resources(of, "Observation") == resources(of, "Device") == []
    assert "meta" not in built(of)
    (report,) = resources(of, "DiagnosticReport")
    assert "No model has analysed these pictures." in report["conclusion"]


def test_only_an_imaging_decision_is_a_study() -> None:
    triage = recorded()
    object.__setattr__(triage, "kind", DecisionKind.TRIAGE)
    with pytest.raises(ValueError, match="imaging"):
        reported_study(triage, None)
