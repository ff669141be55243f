"""A slice that comes to a waiting series: laid to its case, or given one of its own, or refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from serving import decisions, users
from serving.blobs import BlobInfo, BlobStore
from serving.dicomweb.stacks import joined
from serving.imaging import read_upload
from serving.reviews import queue, sign
from serving.storage import instances
from serving.storage.codes import Reason, Role
from serving.storage.instances import OtherPatient
from serving.uploads import Upload, open_upload
from serving.users import User
from tests.serving.conftest import Api
from tests.serving.dicoms import encoded, instance

if TYPE_CHECKING:
    from serving.services import Services

SIDE = 200


class Series:
    """A CT series of which the first slice waits for a physician."""

    def __init__(self, services: Services, sender: User, physician: User) -> None:
        self.services, self.sender, self.physician = services, sender, physician
        self.study, self.series = generate_uid(), generate_uid()
        first = self.slice()
        self.case = asyncio.run(read_upload(services, None, first, sender)).record
        assert self.case.review_task_id is not None
        self.task_id = self.case.review_task_id

    def dataset(self, words: str = "", **changed: Any) -> FileDataset:
        made = instance(modality="CT", study=self.study, series=self.series, size=(SIDE, SIDE))
        picture = Image.fromarray(np.full((SIDE, SIDE), 60, np.uint8))
        font = ImageFont.load_default(20)
        ImageDraw.Draw(picture).text((5, 5), words, fill=250, font=font)
        made.PixelData = np.asarray(picture).tobytes()
        made.WindowCenter, made.WindowWidth = 128, 256
        for keyword, value in changed.items():
            setattr(made, keyword, value)
        return made

    def slice(self, words: str = "", **changed: Any) -> Upload:
        return open_upload(self.services, encoded(self.dataset(words, **changed)))

    def join(self, upload: Upload, services: Services | None = None) -> bool:
        return joined(services or self.services, upload, self.sender)

    def reasons(self) -> set[Reason]:
        tasks = queue.worklist(self.services.db, limit=200).tasks
        return set(next(task.reasons for task in tasks if task.id == self.task_id))

    def sign(self) -> None:
        db = self.services.db
        lease = queue.claim(db, self.task_id, self.physician)
        sign.sign(db, self.task_id, self.physician, lease.token)


@pytest.fixture
def series(api: Api) -> Series:
    db = api.services.db
    return Series(
        api.services,
        users.authenticate(db, api.keys[Role.ADMINISTRATOR]),
        users.authenticate(db, api.keys[Role.PHYSICIAN]),
    )


def is_kept(series: Series, upload: Upload) -> bool:
    assert upload.instance is not None
    return instances.find(series.services.db, upload.instance.header.sop_uid) is not None


def test_a_slice_joins_the_case_that_waits(series: Series) -> None:
    upload = series.slice()
    assert series.join(upload)
    assert upload.instance is not None
    held = instances.find(series.services.db, upload.instance.header.sop_uid)
    assert held is not None
    assert held.decision_id == series.case.id
    assert Reason.TEXT_IN_PICTURE not in series.reasons()


def test_text_in_a_slice_that_joins_is_a_reason_of_the_case(series: Series) -> None:
    assert series.join(series.slice("ZHANG SAN 1987"))
    assert Reason.TEXT_IN_PICTURE in series.reasons()
    assert series.join(series.slice("ZHANG SAN 1988"))


def test_a_slice_does_not_join_a_case_that_was_signed(series: Series) -> None:
    series.sign()
    upload = series.slice()
    assert not series.join(upload)
    assert not is_kept(series, upload)


class SigningBlobs(BlobStore):
    """Somebody signs the case while the slice's file is being written."""

    series: Series

    def put(self, data: bytes, media_type: str) -> BlobInfo:
        self.series.sign()
        return super().put(data, media_type)


def test_a_case_that_is_signed_while_a_slice_is_on_its_way_stays_as_it_was(series: Series) -> None:
    blobs = SigningBlobs(series.services.blobs.folder, series.services.db)
    blobs.series = series
    upload = series.slice()
    assert not series.join(upload, replace(series.services, blobs=blobs))
    assert not is_kept(series, upload)


def test_a_slice_does_not_join_a_case_that_somebody_is_reading(series: Series) -> None:
    lease = queue.claim(series.services.db, series.task_id, series.physician)
    assert not series.join(series.slice())
    queue.release(series.services.db, series.task_id, series.physician, lease.token)
    assert series.join(series.slice())


@pytest.mark.parametrize(
    "changed", [{"PatientID": "ANOTHER-1"}, {"PatientSex": "M"}, {"PatientAge": "061Y"}]
)
def test_a_slice_of_another_patient_is_refused(series: Series, changed: dict[str, str]) -> None:
    upload = series.slice(**changed)
    with pytest.raises(OtherPatient):
        series.join(upload)
    assert not is_kept(series, upload)


def test_text_in_a_picture_that_no_model_reads_is_in_its_record_and_a_reason(
    series: Series,
) -> None:
    upload = series.slice("ZHANG SAN 1987", StudyInstanceUID=generate_uid(), Modality="MG")
    study = asyncio.run(read_upload(series.services, None, upload, series.sender))
    images: Any = decisions.get(series.services.db, study.record.id).result["images"]
    assert "text_in_picture" in images[0]["warnings"]
    tasks = queue.worklist(series.services.db, limit=200).tasks
    found = next(task for task in tasks if task.decision_id == study.record.id)
    assert Reason.TEXT_IN_PICTURE in found.reasons
