"""One uploaded file as the service takes it: its pictures, and of a DICOM file what may be kept.

A DICOM file is de-identified here, before anything of it can be stored: nothing later in the
service ever holds the bytes that were sent.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset

from models.imaging.decode import DecodedImage, DecodeLimits, decode_frames
from models.imaging.deidentify import Deidentified, deidentify, own_uid
from models.imaging.fingerprint import fingerprint
from serving.services import Services
from serving.storage.installation import DICOM_UIDS, installation_secret
from serving.storage.instances import InstanceHeader


@dataclass(frozen=True)
class Instance:
    """A de-identified DICOM file that waits to be kept."""

    header: InstanceHeader
    fingerprint: str
    data: bytes


@dataclass(frozen=True)
class Upload:
    """A file that was read: one picture per frame with its fingerprint, and its instance if any."""

    pictures: tuple[DecodedImage, ...]
    fingerprints: tuple[str, ...]
    instance: Instance | None


def open_upload(services: Services, data: bytes) -> Upload:
    """Decode and de-identify. Blocking. Raises ImageRejected; nothing is stored either way."""
    settings = services.settings
    limits = DecodeLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    pictures = decode_frames(data, limits)
    fingerprints = tuple(fingerprint(picture) for picture in pictures)
    if pictures[0].source_format != "dicom":
        return Upload(pictures, fingerprints, None)
    kept = deidentify(data, installation_secret(services.db, DICOM_UIDS), limits)
    joined = fingerprints[0]
    if len(fingerprints) > 1:
        joined = hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()
    return Upload(pictures, fingerprints, Instance(_header(kept, pictures[0]), joined, kept.data))


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
