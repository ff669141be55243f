"""/dicom-web, searching and retrieving: what is held, in the form that was asked for."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from serving import audit
from tests.serving.dicoms import encoded, instance
from tests.serving.dicomweb_client import (
    body,
    get,
    place,
    stow,
)

if TYPE_CHECKING:
    from tests.serving.live import Live

pytest_plugins = ["tests.serving.dicomweb_client"]


def test_every_search_and_retrieval_is_audited(live: Live) -> None:
    sent = instance(seed=19)
    stow(live, body(encoded(sent)))
    url = place(sent)
    for path in ("/studies?limit=1", url, url + "/metadata", url + "/frames/1", url + "/rendered"):
        assert get(live, path).status_code == 200
    events = audit.list_events(live.db, limit=5)
    assert [event.action for event in reversed(events)] == [
        "dicom.searched", *["dicom.retrieved"] * 4,
    ]  # fmt: skip
    assert [event.detail.get("form") for event in reversed(events)][1:] == [
        "instances", "metadata", "frames", "rendered",
    ]  # fmt: skip
    assert sent.SOPInstanceUID not in json.dumps([event.subject for event in events])


def test_searches_match_page_and_say_that_more_would_follow(live: Live) -> None:
    study = generate_uid()
    sent = [
        instance(modality="MG", body_part="BREAST", study=study, seed=200 + n) for n in range(3)
    ]
    stow(live, body(*(encoded(one) for one in sent)))
    here = f"/studies/{study}/instances"
    page = get(live, f"{here}?limit=2")
    assert len(page.json()) == 2
    assert "299" in page.headers["warning"]
    rest = get(live, f"{here}?limit=2&offset=2")
    assert len(rest.json()) == 1
    assert "warning" not in rest.headers
    uids = {item["00080018"]["Value"][0] for item in page.json() + rest.json()}
    assert len(uids) == 3
    for query, count in {
        "Modality=MG": 3, "Modality=M?": 3, "00080060=m*": 3, "Modality=CT": 0,
        "PatientSex=F": 3, "Rows=64": 3, "Rows=65": 0, "limit=0": 0,
        "SOPInstanceUID=" + ",".join(uids): 3,
        f"SOPInstanceUID={sent[0].SOPInstanceUID}": 1,
        "PatientName=WANG*": 0, "PatientName=*": 3, "StudyDate=20260101-20261231": 0,
        "includefield=all": 3, "includefield=PatientName,00100020": 3, "fuzzymatching=false": 3,
        "BodyPartExamined=B_EAST": 0,
    }.items():  # fmt: skip
        answer = get(live, f"{here}?{query}")
        assert answer.status_code == (200 if count else 204), query
        assert len(answer.json() if count else []) == count, query
    patient = get(live, f"/studies?StudyInstanceUID={study}").json()[0]["00100020"]["Value"][0]
    assert get(live, f"/series?PatientID={patient}&StudyInstanceUID={study}").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "fuzzymatching=true", "limit=-1", "limit=many", "offset=1e3", "Rows=a", "Colour=red",
        "StudyInstanceUID=%27OR1=1", "Modality=CT&Modality=MR", "includefield=Nothing",
        "Manufacturer=Acme", "99999999=1", "Modality=%25", "Modality=" + "x" * 17,
    ],
)  # fmt: skip
def test_a_search_that_we_cannot_do_is_refused_not_widened(live: Live, query: str) -> None:
    answer = get(live, "/instances?" + query)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("form", "accept", "status"),
    [
        ("", "application/dicom+json", 406),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=*', 200),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
         200),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50',
         406),
        ("", "application/dicom", 200),
        ("", "text/html;q=0, */*;q=0.1", 200),
        ("", "nonsense", 406),
        ("/metadata", "application/dicom+json", 200),
        ("/metadata", "application/json", 200),
        ("/metadata", 'multipart/related; type="application/dicom+xml"', 406),
        ("/rendered", "image/png", 200),
        ("/rendered", "image/*", 200),
        ("/rendered", "image/gif, video/mp4", 406),
        ("/frames/1", 'multipart/related; type="application/octet-stream"', 200),
        ("/frames/1", 'multipart/related; type="image/jpeg"', 406),
    ],
)  # fmt: skip
def test_an_answer_has_a_form_that_was_asked_for_or_none(
    live: Live, form: str, accept: str, status: int
) -> None:
    sent = instance(seed=20, uid="1.2.3.4.20", study="1.2.3.4", series="1.2.3.5")
    stow(live, body(encoded(sent)))
    answer = get(live, place(sent) + form, Accept=accept)
    assert answer.status_code == status
    if status == 406:
        assert answer.json()["code"] == "not_acceptable"


def test_a_single_instance_can_come_by_itself(live: Live) -> None:
    sent = instance(seed=21, colour=True, size=(33, 31))
    stow(live, body(encoded(sent)))
    alone = get(live, place(sent), Accept="application/dicom")
    kept = pydicom.dcmread(io.BytesIO(alone.content))
    assert np.array_equal(kept.pixel_array, sent.pixel_array)
    cells = get(live, place(sent) + "/frames/1").content
    assert sent.PixelData[: 33 * 31 * 3] in cells
    drawn = get(live, place(sent) + "/rendered?viewport=16,16&quality=50")
    picture = Image.open(io.BytesIO(drawn.content))
    assert picture.mode == "RGB"
    assert max(picture.size) == 16


@pytest.mark.parametrize(
    "query", ["quality=0", "quality=x", "viewport=0,5", "viewport=9", "window=1,2,linear"]
)
def test_a_picture_that_we_cannot_draw_is_refused(live: Live, query: str) -> None:
    sent = instance(seed=22, uid="1.2.3.4.22", study="1.2.3.4", series="1.2.3.5")
    stow(live, body(encoded(sent)))
    assert get(live, f"{place(sent)}/rendered?{query}").status_code == 422


@pytest.mark.parametrize(
    "path",
    ["/studies/1.2.999", "/studies/WANG", "/studies/1.2.999/metadata", "/studies/" + "1" * 65,
     "/studies/1.2.999/series/1.2/instances/1.2/rendered", "/studies/..%2f..%2fetc"],
)  # fmt: skip
def test_what_is_not_held_is_not_found(live: Live, path: str) -> None:
    answer = get(live, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
