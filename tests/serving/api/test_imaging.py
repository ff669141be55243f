"""/v1/imaging/studies: opinions for physicians, honest refusals, hostile files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from sqlalchemy import func, select

from serving import audit, decisions
from serving.storage.tables import Base
from tests.serving.conftest import Api
from tests.serving.dicoms import encoded, instance


def png(width: int = 224, height: int = 224) -> bytes:
    """A grey picture with some structure, no radiograph."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = (127 + 80 * np.sin(x / 17) * np.cos(y / 23)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def huge_png() -> bytes:
    """The header of a 30,000 x 30,000 PNG with a tiny body."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def dicom_without_pixels() -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png())).save(buffer, format="JPEG")
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


def held(api: Api) -> dict[str, int]:
    """How many rows every table has but the audit's."""
    with api.services.db.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name != "audit_events"
        }


def send(api: Api, data: bytes, name: str = "x.png", **form: Any) -> Any:
    return api.client.post(
        "/v1/imaging/studies", files={"files": (name, data)}, data=form, headers=api.physician
    )


@pytest.mark.parametrize(
    ("data", "name", "status", "code"),
    [
        (b"this is a text file, not an image", "scan.dcm", 415, "unsupported_media"),
        (b"", "empty.png", 415, "unsupported_media"),
        (truncated_jpeg(), "x.jpg", 415, "unsupported_media"),
        (huge_png(), "x.png", 413, "payload_too_large"),
        (dicom_without_pixels(), "x.dcm", 415, "unsupported_media"),
    ],
)
def test_a_file_that_is_no_readable_image_is_refused_and_leaves_nothing(
    api: Api, data: bytes, name: str, status: int, code: str
) -> None:
    before = held(api)
    answer = send(api, data, name, age_years=3)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert held(api) == before
    (event,) = audit.list_events(api.services.db, action="upload.refused", limit=1)
    assert event.detail == {"reason": answer.json()["reason"], "size": len(data)}
    assert api.client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("form", "reason"),
    [({}, "age_unknown"), ({"age_years": 40}, "age_outside_population")],
)
def test_other_or_unknown_ages_get_no_score_and_go_to_review(
    api: Api, form: dict[str, Any], reason: str
) -> None:
    answer = send(api, png(), **form).json()
    result = answer["results"][0]
    assert reason in result["abstained"]
    assert result["probabilities"] == []
    assert answer["review_task_id"]


def test_a_picture_unlike_any_radiograph_gets_no_opinion(api: Api) -> None:
    answer = send(api, png(), age_years=3).json()
    result = answer["results"][0]
    assert result["abstained"]
    assert result["probabilities"] == []
    assert answer["review_task_id"]


def test_an_age_of_300_is_refused(api: Api) -> None:
    assert send(api, png(), age_years=300).json()["code"] == "invalid_input"


@pytest.mark.parametrize(("stated", "kept"), [(93.4, 90.0), (33.7, 33.0), (1.6, round(19 / 12, 4))])
def test_an_age_leaves_no_finer_than_it_may(api: Api, stated: float, kept: float) -> None:
    answer = send(api, png(), age_years=stated).json()
    assert answer["results"][0]["age_years"] == kept
    record = decisions.get(api.services.db, answer["decision_id"])
    images: Any = record.result["images"]
    assert (record.input["age_years"], images[0]["age_years"]) == (kept, kept)


def test_a_sex_that_contradicts_the_file_gets_no_score(api: Api) -> None:
    answer = send(api, encoded(instance(seed=90)), "x.dcm", sex="male").json()
    result = answer["results"][0]
    assert "sex_contradiction" in result["abstained"]
    assert result["probabilities"] == []
    assert answer["review_task_id"]


def test_an_unknown_model_is_said_so(api: Api) -> None:
    answer = send(api, png(), task="brain_tumour")
    assert answer.status_code == 404


def test_too_many_files_are_refused(api: Api) -> None:
    files = [("files", (f"{i}.png", png())) for i in range(9)]
    answer = api.client.post("/v1/imaging/studies", files=files, headers=api.physician)
    assert answer.json()["code"] == "payload_too_large"


def test_no_patient_app_ever_reaches_an_imaging_result(api: Api) -> None:
    study = send(api, png(), age_years=3).json()["decision_id"]
    assert (
        api.client.post(
            "/v1/imaging/studies", files={"files": ("x.png", png())}, headers=api.app_user
        ).status_code
        == 403
    )
    for path in ("", "/heatmap.png", "/image.png"):
        answer = api.client.get(f"/v1/imaging/studies/{study}{path}", headers=api.app_user)
        assert answer.status_code == 403


@pytest.mark.data
def test_a_childs_radiograph_gets_a_calibrated_opinion_with_a_heatmap(
    api: Api, data_dir: Path
) -> None:
    archive = data_dir / "imaging" / "cxr_pneumonia.dev.zip"
    with zipfile.ZipFile(archive) as file:
        names = [n for n in file.namelist() if n.startswith("images/")]
        pictures = [file.read(name) for name in names[:12]]
    for data in pictures:
        answer = send(api, data, "x.jpeg", age_years=3).json()
        result = answer["results"][0]
        if result["probabilities"]:
            break
    assert sum(p["probability"] for p in result["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert result["operating_point"]["measured"]["sensitivity"]["value"] >= 0.9
    url = f"/v1/imaging/studies/{answer['decision_id']}"
    heatmap = api.client.get(f"{url}/heatmap.png", headers=api.physician)
    assert Image.open(io.BytesIO(heatmap.content)).size == (224, 224)
    assert api.client.get(url, headers=api.physician).json()["results"][0] == result


@pytest.mark.data
def test_an_adults_dicom_is_not_scored(api: Api, data_dir: Path) -> None:
    for path in sorted((data_dir / "imaging" / "dicom").glob("*.dcm")):
        answer = send(api, path.read_bytes(), path.name)
        assert answer.status_code == 201
        assert answer.json()["results"][0]["probabilities"] == []
