"""A study as DICOM and FHIR over HTTP: who gets it, what it says before and after a signature."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B.bundle import Bundle
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset

from tests.serving.conftest import Api

STUDIES = "/v1/imaging/studies"
EXPORTS = ("/report.dcm", "/heatmap.dcm", "?format=fhir")
HOSTILE = ["dec_nothing", "..%2f..%2fetc", "%00", "' OR 1=1 --", "x" * 3000, "诊断"]


def picture(seed: int) -> bytes:
    """A grey picture of its own, no radiograph."""
    y, x = np.mgrid[0:224, 0:224]
    pixels = (127 + 80 * np.sin(x / (9 + seed)) * np.cos(y / 23)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def send(api: Api, data: bytes, name: str = "x.png", **form: Any) -> dict[str, Any]:
    answer = api.client.post(
        STUDIES, files={"files": (name, data)}, data=form, headers=api.physician
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def get(api: Api, path: str) -> Any:
    return api.client.get(path, headers=api.physician)


def report(api: Api, decision: str) -> FileDataset:
    answer = get(api, f"{STUDIES}/{decision}/report.dcm")
    assert answer.headers["content-type"] == "application/dicom"
    assert "no-store" in answer.headers["cache-control"]
    return dcmread(io.BytesIO(answer.content))


def close(api: Api, task: str, move: str, **body: Any) -> None:
    token = api.client.post(f"/v1/reviews/{task}/claim", headers=api.physician).json()["token"]
    answer = api.client.post(
        f"/v1/reviews/{task}/{move}", json={"token": token, **body}, headers=api.physician
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def refused(api: Api) -> dict[str, Any]:
    """A study without a score: nobody said how old the patient is."""
    return send(api, picture(1))


def test_a_signature_verifies_the_report_and_makes_it_final(api: Api) -> None:
    study = send(api, picture(2))
    before = report(api, study["decision_id"])
    assert (before.VerificationFlag, before.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    close(api, study["review_task_id"], "sign")
    after = report(api, study["decision_id"])
    assert (after.VerificationFlag, after.PreliminaryFlag) == ("VERIFIED", "FINAL")
    name = after.VerifyingObserverSequence[0].VerifyingObserverName
    assert str(name).rstrip("^") == "First physician"
    bundle = get(api, f"/v1/decisions/{study['decision_id']}?format=fhir").json()
    assert bundle["entry"][0]["resource"]["status"] == "final"


def test_the_same_decision_twice_gives_the_same_bytes(api: Api, refused: dict[str, Any]) -> None:
    for path in ("/report.dcm", "?format=fhir"):
        url = f"{STUDIES}/{refused['decision_id']}{path}"
        assert get(api, url).content == get(api, url).content


def test_study_and_decision_give_the_same_valid_bundle(api: Api, refused: dict[str, Any]) -> None:
    answers = [
        get(api, f"{where}/{refused['decision_id']}?format=fhir")
        for where in (STUDIES, "/v1/decisions")
    ]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["content-type"].startswith("application/fhir+json")
    Bundle.model_validate_json(answers[0].content)
    assert answers[0].json()["entry"][0]["resource"]["status"] == "preliminary"


def test_without_a_score_there_is_no_heat_map(api: Api, refused: dict[str, Any]) -> None:
    for image in (0, 1, 10**30):
        answer = get(api, f"{STUDIES}/{refused['decision_id']}/heatmap.dcm?image={image}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("number", ["-1", "first", "1.5", "%00"])
def test_a_picture_is_asked_for_by_its_number(
    api: Api, refused: dict[str, Any], number: str
) -> None:
    answer = get(api, f"{STUDIES}/{refused['decision_id']}/heatmap.dcm?image={number}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


@pytest.mark.parametrize("path", EXPORTS)
def test_no_patient_app_ever_gets_an_export(api: Api, refused: dict[str, Any], path: str) -> None:
    url = f"{STUDIES}/{refused['decision_id']}{path}"
    assert api.client.get(url, headers=api.app_user).status_code == 403
    assert api.client.get(url).status_code == 401


@pytest.mark.parametrize("path", EXPORTS)
@pytest.mark.parametrize("decision", HOSTILE, ids=range(len(HOSTILE)))
def test_an_unknown_or_hostile_id_is_not_found(api: Api, decision: str, path: str) -> None:
    answer = get(api, f"{STUDIES}/{decision}{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert "etc" not in answer.json().get("detail", "")


def test_a_triage_is_no_study_and_has_no_fhir_form(api: Api) -> None:
    triage = api.client.post("/v1/triage", json={"text": "咳嗽两天"}, headers=api.app_user).json()
    decision = triage["decision_id"]
    for path in EXPORTS:
        assert get(api, f"{STUDIES}/{decision}{path}").status_code == 404
    answer = get(api, f"/v1/decisions/{decision}?format=fhir")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_an_unknown_format_is_refused(api: Api, refused: dict[str, Any]) -> None:
    for where in (STUDIES, "/v1/decisions"):
        answer = get(api, f"{where}/{refused['decision_id']}?format=xml")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_every_export_is_written_down_as_a_view(api: Api, refused: dict[str, Any]) -> None:
    decision = refused["decision_id"]
    url = f"/v1/audit/events?subject={decision}"

    def views() -> int:
        events = api.client.get(url, headers=api.administrator).json()
        return sum(event["action"] == "decision.viewed" for event in events)

    before = views()
    get(api, f"{STUDIES}/{decision}/report.dcm")
    get(api, f"{STUDIES}/{decision}?format=fhir")
    get(api, f"/v1/decisions/{decision}?format=fhir")
    assert views() == before + 3


@pytest.mark.data
def test_a_childs_radiograph_gives_report_heat_map_and_bundle(api: Api, data_dir: Path) -> None:
    archive = data_dir / "imaging" / "cxr_pneumonia.dev.zip"
    with zipfile.ZipFile(archive) as file:
        names = [n for n in file.namelist() if n.startswith("images/")]
        pictures = [file.read(name) for name in names[:12]]
    study = next(
        found
        for data in pictures
        if (found := send(api, data, "x.jpeg", age_years=3))["results"][0]["probabilities"]
    )
    decision = study["decision_id"]
    answer = get(api, f"{STUDIES}/{decision}/heatmap.dcm")
    assert answer.content == get(api, f"{STUDIES}/{decision}/heatmap.dcm").content
    capture = dcmread(io.BytesIO(answer.content))
    structured = report(api, decision)
    assert capture.StudyInstanceUID == structured.StudyInstanceUID
    shown = get(api, f"{STUDIES}/{decision}/heatmap.png").content
    with Image.open(io.BytesIO(shown)) as heatmap:
        assert capture.Columns % heatmap.width == 0
    bundle = get(api, f"{STUDIES}/{decision}?format=fhir")
    Bundle.model_validate_json(bundle.content)
    opinion = bundle.json()["entry"][1]["resource"]
    wanted = {p["probability"] for p in study["results"][0]["probabilities"]}
    given = {c.get("valueQuantity", {}).get("value") for c in opinion["component"]}
    assert wanted <= given


@pytest.mark.data
def test_a_dicom_upload_is_referenced_under_its_new_identity(api: Api, data_dir: Path) -> None:
    path = sorted((data_dir / "imaging" / "dicom").glob("*.dcm"))[0]
    study = send(api, path.read_bytes(), path.name)
    structured, sent = report(api, study["decision_id"]), dcmread(path, stop_before_pixels=True)
    evidence = structured.CurrentRequestedProcedureEvidenceSequence[0]
    reference = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPClassUID == sent.SOPClassUID
    assert reference.ReferencedSOPInstanceUID != sent.SOPInstanceUID
    assert structured.PatientID != sent.PatientID
    assert structured.PatientIdentityRemoved == "YES"
    bundle = get(api, f"/v1/decisions/{study['decision_id']}?format=fhir").json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert "ImagingStudy" in kinds
