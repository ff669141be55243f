"""One uploaded file as the service takes it: its pictures, and of a DICOM file what may be kept.

A DICOM file is de-identified here, before anything of it can be stored: nothing later in the
service ever holds the bytes that were sent. Text in the pixels is looked for here, once, whichever
way the file came.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset

from models.imaging.decode import (
    DecodedImage,
    DecodeLimits,
    ImageRejected,
    decode_frames,
    measure,
)
from models.imaging.deidentify import Deidentified, deidentify, own_uid
from models.imaging.fingerprint import fingerprint
from models.imaging.opinion import TEXT_WARNINGS
from models.imaging.text_search import with_text_flags
from serving.services import Services
from serving.storage.installation import DICOM_UIDS, installation_secret
from serving.storage.instances import InstanceHeader
from serving.users import User


@dataclass(frozen=True)
class Instance:
    """A de-identified DICOM file that waits to be kept. sha256: of `data`."""

    header: InstanceHeader
    fingerprint: str
    data: bytes
    sha256: str


@dataclass(frozen=True)
class Upload:
    """A file that was read: one picture per frame with its fingerprint, and its instance if any.

    What was found in the pixels stands in the pictures' warnings.
    """

    pictures: tuple[DecodedImage, ...]
    fingerprints: tuple[str, ...]
    instance: Instance | None

    @property
    def has_text(self) -> bool:
        """Whether text was found in any frame of the file."""
        return any(TEXT_WARNINGS.intersection(picture.warnings) for picture in self.pictures)


@asynccontextmanager
async def opened(services: Services, data: bytes, user: User | None) -> AsyncIterator[Upload]:
    """The file, with room in memory for its pixels while the `with` lasts.

    user: whose refused file is noted in the audit trail; None notes nothing. Raises ImageRejected,
    or QueueFull where too many pixels are being looked at.
    """
    async with AsyncExitStack() as stack:
        try:
            size = await asyncio.to_thread(measure, data, limits_of(services))
            await stack.enter_async_context(services.pixels.hold(size.pixels))
            upload = await asyncio.to_thread(open_upload, services, data)
        except ImageRejected as rejected:
            if user is not None:
                note = services.refusals.note
                await asyncio.to_thread(note, user.id, rejected.code, len(data))
            raise
        yield upload


def limits_of(services: Services) -> DecodeLimits:
    """What may be decoded under the settings."""
    settings = services.settings
    return DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)


def open_upload(services: Services, data: bytes) -> Upload:
    """Decode, de-identify and search for text. Blocking.

    Raises ImageRejected; nothing is stored either way.
    """
    limits = limits_of(services)
    pictures = decode_frames(data, limits)
    fingerprints = tuple(fingerprint(picture) for picture in pictures)
    if pictures[0].source_format != "dicom":
        return Upload(with_text_flags(data, pictures, 1, limits), fingerprints, None)
    kept = deidentify(data, installation_secret(services.db, DICOM_UIDS), limits)
    pictures = with_text_flags(data, pictures, kept.frames, limits)
    joined = fingerprints[0]
    if len(fingerprints) > 1:
        joined = hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()
    digest = hashlib.sha256(kept.data).hexdigest()
    instance = Instance(_header(kept, pictures[0]), joined, kept.data, digest)
    return Upload(pictures, fingerprints, instance)


def own_uids(services: Services, uid: str) -> tuple[str, str]:
    """A UID as it stands here: itself, should it be one of ours, and what a sender's became.

    So whoever knows a study by its own UID finds it, though that UID is kept nowhere. Blocking.
    """
    return uid, own_uid(uid, installation_secret(services.db, DICOM_UIDS))


def _header(kept: Deidentified, picture: DecodedImage) -> InstanceHeader:
    dataset = pydicom.dcmread(io.BytesIO(kept.data), stop_before_pixels=True)
    return InstanceHeader(
        sop_uid=kept.sop_uid,
        study_uid=kept.study_uid,
        series_uid=kept.series_uid,
        sop_class_uid=kept.sop_class_uid,
        patient_id=kept.patient_id,
        modality=kept.modality,
        body_part=kept.body_part,
        sex=picture.metadata.sex,
        series_number=_integer(dataset, "SeriesNumber"),
        instance_number=_integer(dataset, "InstanceNumber"),
        rows=kept.rows,
        columns=kept.columns,
        bits_allocated=int(dataset.BitsAllocated),
        frames=kept.frames,
    )


_LARGEST = 2**31 - 1


def _integer(dataset: Dataset, keyword: str) -> int | None:
    """A whole number of the header; None where there is none, or none that can be kept."""
    try:
        value = int(dataset.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if abs(value) <= _LARGEST else None
