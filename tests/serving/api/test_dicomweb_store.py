"""/dicom-web, storing: what a real client stores, and what hostile ones get."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.uid import generate_uid

from serving.dicomweb.routing import route_task
from serving.storage.codes import Reason, Role
from serving.storage.installation import DICOM_UIDS, installation_secret
from tests.serving.dicoms import SECRET, encoded, instance
from tests.serving.dicomweb_client import (
    BOUNDARY,
    body,
    by_hand,
    decision_of,
    files,
    get,
    kept_bytes,
    place,
    reasons,
    refusals,
    rows,
    stow,
    unchanged,
)

if TYPE_CHECKING:
    from tests.serving.live import Live

pytest_plugins = ["tests.serving.dicomweb_client"]

DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def test_a_client_stores_finds_and_retrieves_by_the_uids_that_it_knows(
    client: DICOMwebClient,
) -> None:
    sent = instance(seed=1)
    answer = client.store_instances([sent])
    assert answer.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sent.SOPInstanceUID
    assert "FailedSOPSequence" not in answer

    (study,) = client.search_for_studies(search_filters={"StudyInstanceUID": sent.StudyInstanceUID})
    assert study["00080061"]["Value"] == ["DX"]
    assert study["00201208"]["Value"] == [1]
    (series,) = client.search_for_series(sent.StudyInstanceUID)
    assert series["00180015"]["Value"] == ["CHEST"]
    (found,) = client.search_for_instances(sent.StudyInstanceUID, sent.SeriesInstanceUID)
    assert found["00280010"]["Value"] == [64]

    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
    kept = client.retrieve_instance(*uids)
    assert np.array_equal(kept.pixel_array, sent.pixel_array)
    assert kept.SOPInstanceUID == found["00080018"]["Value"][0]
    assert [d.SOPInstanceUID for d in client.retrieve_study(uids[0])] == [kept.SOPInstanceUID]
    assert [d.SOPInstanceUID for d in client.retrieve_series(*uids[:2])] == [kept.SOPInstanceUID]
    assert client.retrieve_instance_frames(*uids, [1]) == [sent.PixelData]
    (header,) = client.retrieve_study_metadata(uids[0])
    assert client.retrieve_bulkdata(header["7FE00010"]["BulkDataURI"]) == [sent.PixelData]
    picture = Image.open(io.BytesIO(client.retrieve_instance_rendered(*uids)))
    assert (picture.format, picture.size) == ("JPEG", (80, 64))


def test_nothing_of_the_patient_is_kept_or_given_out(live: Live, client: DICOMwebClient) -> None:
    sent = instance(seed=2)
    client.store_instances([sent])
    kept = client.retrieve_instance(
        sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID
    )
    assert kept.PatientIdentityRemoved == "YES"
    assert sent.StudyInstanceUID not in str(kept)
    on_disk = kept_bytes(live)
    for word in (SECRET, "HOSPITAL-4711", sent.SOPInstanceUID, sent.StudyInstanceUID, "20260401"):
        assert word.encode() not in on_disk


def test_a_chest_film_is_read_by_its_task_at_once_and_queued(live: Live) -> None:
    sent = instance(seed=3)
    answer = stow(live, body(encoded(sent)))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    record = decision_of(live, sent)
    stored: dict[str, Any] = dict(record.input)
    assert stored["task"] == "cxr_pneumonia"
    assert record.models.keys() == {"cxr_pneumonia", "image_kind_skin"}
    assert record.review_task_id
    assert Reason.IMAGING in reasons(live, record)
    kept = stored["images"][0]["instance"]
    assert kept["study_uid"] in answer.json()["00081190"]["Value"][0]
    assert kept["sop_uid"] != sent.SOPInstanceUID


@pytest.mark.parametrize(
    "unknown",
    [
        {"modality": "DX", "body_part": "HAND"},
        {"modality": "CR", "body_part": None},
        {"modality": "XC", "body_part": "FOOT"},
        {"modality": "DX", "sop_class": DX_FOR_PROCESSING},
        {"modality": "MG", "body_part": "BREAST"},
    ],
)
def test_what_no_task_is_for_is_kept_and_queued_without_a_score(
    live: Live, unknown: dict[str, Any]
) -> None:
    sent = instance(seed=4, **unknown)
    assert stow(live, body(encoded(sent))).status_code == 200
    record = decision_of(live, sent)
    result: dict[str, Any] = dict(record.result)
    assert record.models == {}
    assert result["images"][0]["probabilities"] == []
    assert reasons(live, record) >= {Reason.IMAGING, Reason.ABSTAINED}


def test_the_console_shows_a_case_that_no_model_read(live: Live) -> None:
    sent = instance(modality="MG", body_part="BREAST", seed=24)
    stow(live, body(encoded(sent)))
    record = decision_of(live, sent)
    images: Any = record.result["images"]
    assert [image["abstained"] for image in images] == [["no_model"]]
    with httpx.Client(base_url=live.url, timeout=60) as browser:
        browser.post("/console/signin", data={"key": live.keys[Role.PHYSICIAN]})
        page = browser.get(f"/console/cases/{record.review_task_id}?lang=en")
        assert page.status_code == 200
        assert "No model here reads this kind of image" in page.text
        picture = browser.get(f"/v1/imaging/studies/{record.id}/image.png")
    assert Image.open(io.BytesIO(picture.content)).size == (80, 64)


def test_a_stack_is_one_case_of_the_queue(live: Live) -> None:
    study, series = generate_uid(), generate_uid()
    slices = [instance(modality="CT", study=study, series=series, seed=n) for n in range(40, 44)]
    assert stow(live, body(*(encoded(s) for s in slices[:3]))).status_code == 200
    assert stow(live, body(encoded(slices[3]))).status_code == 200
    assert len({decision_of(live, one).id for one in slices}) == 1
    found = get(live, f"/studies/{study}/instances").json()
    assert len(found) == 4


def test_every_frame_has_its_own_result(live: Live) -> None:
    sent = instance(frames=3, seed=5)
    assert stow(live, body(encoded(sent))).status_code == 200
    record = decision_of(live, sent)
    result: dict[str, Any] = dict(record.result)
    stored: dict[str, Any] = dict(record.input)
    assert len(result["images"]) == 3
    assert [image["instance"]["frame"] for image in stored["images"]] == [1, 2, 3]
    url = place(sent)
    second = get(live, f"{url}/frames/2/rendered", Accept="image/png")
    assert Image.open(io.BytesIO(second.content)).format == "PNG"
    cells = get(live, f"{url}/frames/3,1").content
    one, three = (sent.PixelData[n * 5120 : (n + 1) * 5120] for n in (0, 2))
    assert cells.index(three) < cells.index(one)
    assert get(live, f"{url}/frames/4").status_code == 404
    assert get(live, f"{url}/frames/0").status_code == 404
    assert get(live, f"{url}/frames/one").status_code == 422


def test_sending_an_instance_again_succeeds_without_a_second_decision(live: Live) -> None:
    sent = encoded(instance(seed=6))
    first = stow(live, body(sent))
    before = rows(live)
    again = stow(live, body(sent, sent))
    assert again.status_code == 200
    assert again.json()["00081199"]["Value"] == first.json()["00081199"]["Value"] * 2
    assert rows(live) == before


def test_another_picture_under_a_uid_that_is_taken_is_refused(live: Live) -> None:
    uid = generate_uid()
    assert stow(live, body(encoded(instance(uid=uid, seed=7)))).status_code == 200
    before = unchanged(live)
    other = stow(live, body(encoded(instance(uid=uid, seed=8))))
    assert other.status_code == 409
    assert other.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0111]
    assert unchanged(live) == before


def test_the_same_picture_with_another_header_is_not_taken_for_the_same_instance(
    live: Live,
) -> None:
    first = instance(seed=30)
    assert stow(live, body(encoded(first))).status_code == 200
    kept = get(live, place(first), Accept="application/dicom").content
    first.ViewPosition = "LL"
    other = stow(live, body(encoded(first)), role=Role.ADMINISTRATOR)
    assert other.status_code == 409
    assert other.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0111]
    assert get(live, place(first), Accept="application/dicom").content == kept
    (event,) = refusals(live, 1)
    assert event.detail == {"reason": "duplicate_sop_instance", "size": len(encoded(first))}
    assert event.subject == pydicom.dcmread(io.BytesIO(kept)).SOPInstanceUID


@pytest.mark.parametrize("changed", [{"PatientID": "HOSPITAL-4712"}, {"PatientSex": "M"}])
def test_an_instance_of_another_patient_is_not_stored_into_a_held_study(
    live: Live, changed: dict[str, str]
) -> None:
    study = generate_uid()
    right, wrong = instance(study=study, seed=31), instance(study=study, seed=32)
    silent = instance(study=study, seed=33)
    together = instance(study=generate_uid(), seed=35)
    for keyword, value in changed.items():
        setattr(wrong, keyword, value)
        setattr(silent, keyword, "")
    assert stow(live, body(encoded(right))).status_code == 200
    before = unchanged(live)
    refused = stow(live, body(encoded(wrong)))
    assert refused.status_code == 409
    assert refused.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA902]
    alone = by_hand(live, encoded(wrong))
    assert (alone.status_code, alone.json()["code"]) == (409, "conflict")
    wrong.StudyInstanceUID = together.StudyInstanceUID
    mixed = by_hand(live, encoded(together), encoded(wrong))
    assert mixed.status_code == 409
    after = unchanged(live)
    assert after[0] | {"blobs": 0} == before[0] | {"blobs": 0}  # files go by the sweep
    assert stow(live, body(encoded(silent))).status_code == 200


def test_the_same_picture_under_another_uid_names_the_decision_that_read_it(live: Live) -> None:
    first, second = instance(seed=9), instance(seed=9)
    stow(live, body(encoded(first)))
    stow(live, body(encoded(second)))
    before, after = decision_of(live, first), decision_of(live, second)
    result: dict[str, Any] = dict(after.result)
    assert result["duplicate_of"] == [{"image": 0, "decision_id": before.id}]
    assert Reason.DUPLICATE in reasons(live, after)
    assert Reason.DUPLICATE not in reasons(live, before)


def test_a_picture_uploaded_twice_by_hand_is_named_too(live: Live) -> None:
    buffer = io.BytesIO()
    cells = np.random.default_rng(10).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(cells).save(buffer, "PNG")

    def upload() -> dict[str, Any]:
        found: dict[str, Any] = by_hand(live, buffer.getvalue(), age_years="3").json()
        return found

    first, second = upload(), upload()
    assert first["duplicate_of"] == []
    assert second["duplicate_of"] == [{"image": 0, "decision_id": first["decision_id"]}]
    seen = httpx.get(
        f"{live.url}/v1/imaging/studies/{second['decision_id']}", headers=live.headers()
    ).json()
    assert seen["duplicate_of"] == second["duplicate_of"]


def test_a_dicom_uploaded_by_hand_is_kept_de_identified_and_found(live: Live) -> None:
    sent = instance(seed=11)
    answer = by_hand(live, encoded(sent))
    assert answer.status_code == 201
    assert decision_of(live, sent).id == answer.json()["decision_id"]
    assert get(live, place(sent)).status_code == 200


def test_what_can_be_kept_is_kept_when_others_cannot(live: Live) -> None:
    good, pdf = instance(seed=12), instance(seed=13, sop_class=PDF)
    del pdf.PixelData
    answer = stow(live, body(encoded(good), encoded(pdf), b"no DICOM at all"))
    assert answer.status_code == 202
    said = answer.json()
    assert said["00081199"]["Value"][0]["00081155"]["Value"] == [good.SOPInstanceUID]
    (failed,) = said["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [pdf.SOPInstanceUID]
    assert failed["00081197"]["Value"] == [0x0122]
    assert said["0008119A"]["Value"][0]["00081197"]["Value"] == [0xC000]


def test_nothing_that_can_be_kept_is_a_conflict_and_leaves_nothing(live: Live) -> None:
    whole = encoded(instance(seed=14))
    before = unchanged(live)
    answer = stow(live, body(whole[: len(whole) // 2], b"", b"\0" * 128 + b"DICM"))
    assert answer.status_code == 409
    reasons_given = [i["00081197"]["Value"] for i in answer.json()["00081198"]["Value"]]
    assert reasons_given == [[0xC000]]
    assert len(answer.json()["0008119A"]["Value"]) == 2
    assert unchanged(live) == before


def test_an_instance_of_another_study_is_not_stored_into_a_named_one(live: Live) -> None:
    study = generate_uid()
    right, wrong = instance(study=study, seed=15), instance(seed=16)
    answer = stow(live, body(encoded(right), encoded(wrong)), path=f"/dicom-web/studies/{study}")
    assert answer.status_code == 202
    (failed,) = answer.json()["00081198"]["Value"]
    assert failed["00081155"]["Value"] == [wrong.SOPInstanceUID]
    assert failed["00081197"]["Value"] == [0xA901]


def test_what_was_refused_is_audited_by_code_and_size_alone(live: Live) -> None:
    whole = encoded(instance(seed=34))[:4000]
    assert stow(live, body(whole), role=Role.PHYSICIAN).status_code in (403, 409)
    stow(live, body(whole), role=Role.ADMINISTRATOR)
    (event,) = refusals(live, 1)
    assert event.detail == {"reason": "truncated", "size": len(whole)}
    assert SECRET not in json.dumps([event.subject, dict(event.detail)])


GOOD = encoded(instance(seed=17))


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (body(GOOD), "multipart/related", 422),
        (body(GOOD), f"multipart/related; boundary={'x' * 71}", 422),
        (body(GOOD), f"multipart/form-data; boundary={BOUNDARY}", 415),
        (GOOD, "application/dicom", 415),
        (body(GOOD), f'multipart/related; type="application/dicom+xml"; boundary={BOUNDARY}', 415),
        (body(GOOD, kind="text/html"), None, 415),
        (body(GOOD, kind="application/octet-stream"), None, 415),
        (body(GOOD)[:-40], None, 422),
        (body(GOOD, GOOD, end=""), None, 422),
        (body(), None, 422),
        (b"", None, 422),
        (b"garbage without a boundary", None, 422),
        (b"--" + BOUNDARY.encode() + b"\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", None, 422),
        (b"--" + BOUNDARY.encode() + b"\r\nX: " + b"y" * 100_000, None, 422),
        (body(*[b"x"] * 10_000), None, 413),
        (body(b"\0" * 1_000_001), None, 413),
        (b"x" * 3_000_001, None, 413),
    ],
)
def test_a_hostile_request_is_a_problem_and_leaves_nothing(
    live: Live, content: bytes, content_type: str | None, status: int
) -> None:
    before = unchanged(live)
    answer = stow(live, content, **({} if content_type is None else {"content_type": content_type}))
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert SECRET not in answer.text
    assert unchanged(live) == before


def test_a_body_that_is_cut_off_on_the_wire_leaves_nothing(live: Live) -> None:
    before, on_disk = rows(live), files(live)

    def cut() -> Iterator[bytes]:
        yield body(GOOD)[:2000]
        raise ConnectionResetError("the network went")

    with pytest.raises(ConnectionResetError):
        httpx.post(
            live.url + "/dicom-web/studies",
            content=cut(),
            headers={
                "Content-Type": f"multipart/related; boundary={BOUNDARY}",
                **live.headers(Role.IMAGING_DEVICE),
            },
        )
    assert get(live, "/studies?limit=1").status_code in (200, 204)
    assert [p for p in files(live) if "incoming" in p.parts] == []
    assert rows(live)["decisions"] == before["decisions"]
    assert len([p for p in files(live) if "blobs" in p.parts]) == len(
        [p for p in on_disk if "blobs" in p.parts]
    )


def test_a_device_stores_and_sees_nothing_and_a_patient_app_neither(live: Live) -> None:
    sent = instance(seed=18)
    assert stow(live, body(encoded(sent)), role=Role.PATIENT_APP).status_code == 403
    assert stow(live, body(encoded(sent))).status_code == 200
    paths = ("/studies", "/series", "/instances", place(sent), place(sent) + "/metadata",
             place(sent) + "/rendered", place(sent) + "/frames/1")  # fmt: skip
    for role in (Role.IMAGING_DEVICE, Role.PATIENT_APP):
        assert {get(live, path, role).status_code for path in paths} == {403}
    assert httpx.get(live.url + "/dicom-web/studies").status_code == 401


@pytest.mark.parametrize(
    ("modality", "body_part", "sop_class", "task"),
    [
        ("CR", "CHEST", "1.2.840.10008.5.1.4.1.1.1", "cxr_pneumonia"),
        ("DX", "CHEST", DX_FOR_PROCESSING, None),
        ("DX", "KNEE", "1.2.840.10008.5.1.4.1.1.1.1", None),
        ("DX", None, "1.2.840.10008.5.1.4.1.1.1.1", None),
        ("OP", None, "1.2.840.10008.5.1.4.1.1.77.1.5.1", "fundus_dr"),
        ("OP", "FOOT", "1.2.840.10008.5.1.4.1.1.77.1.5.1", None),
        ("XC", "SKIN", "1.2.840.10008.5.1.4.1.1.77.1.4", "skin_lesion"),
        ("XC", None, "1.2.840.10008.5.1.4.1.1.77.1.4", None),
        ("DMS", "HAND", "1.2.840.10008.5.1.4.1.1.77.1.7", "skin_lesion"),
        ("CT", "CHEST", "1.2.840.10008.5.1.4.1.1.2", None),
        (None, None, "", None),
    ],
)
def test_the_header_says_which_task_reads_an_instance(
    modality: str | None, body_part: str | None, sop_class: str, task: str | None
) -> None:
    hosted = {"cxr_pneumonia", "fundus_dr", "skin_lesion", "ct_nodule"}
    assert route_task(modality, body_part, sop_class, hosted) == task
    assert route_task(modality, body_part, sop_class, set()) is None


def test_the_key_of_the_uids_is_made_once_and_differs_between_installations(live: Live) -> None:
    first = installation_secret(live.db, DICOM_UIDS)
    assert len(first) == 32
    assert installation_secret(live.db, DICOM_UIDS) == first
    assert installation_secret(live.db, "another") != first


def test_a_client_is_told_when_its_study_was_not_kept(client: DICOMwebClient) -> None:
    pdf = instance(sop_class=PDF, seed=23)
    del pdf.PixelData
    with pytest.raises(requests.HTTPError, match="409"), warnings.catch_warnings():
        client.store_instances([pdf])
