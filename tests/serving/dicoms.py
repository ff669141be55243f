"""Small DICOM files for tests, made on the spot."""

from __future__ import annotations

import io

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    generate_uid,
)

SECRET = "WANG^XIAOMING"


def instance(
    *,
    modality: str = "DX",
    body_part: str | None = "CHEST",
    sop_class: str | None = None,
    study: str | None = None,
    series: str | None = None,
    uid: str | None = None,
    age: str = "003Y",
    frames: int = 1,
    seed: int = 0,
    size: tuple[int, int] = (64, 80),
    colour: bool = False,
) -> FileDataset:
    """An instance of a patient called SECRET. `seed` says what is in the picture."""
    classes = {"DX": DigitalXRayImageStorageForPresentation, "CT": CTImageStorage}
    kind = sop_class or str(
        classes.get(modality, MultiFrameGrayscaleByteSecondaryCaptureImageStorage)
    )
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kind
    meta.MediaStorageSOPInstanceUID = uid or generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = study or generate_uid()
    dataset.SeriesInstanceUID = series or generate_uid()
    dataset.PatientName = SECRET
    dataset.PatientID = "HOSPITAL-4711"
    dataset.PatientAge = age
    dataset.PatientSex = "F"
    dataset.StudyDate = "20260401"
    dataset.Modality = modality
    if body_part is not None:
        dataset.BodyPartExamined = body_part
    dataset.SeriesNumber = 2
    dataset.InstanceNumber = 7
    height, width = size
    dataset.Rows, dataset.Columns = height, width
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    shape = (frames, height, width, 3) if colour else (frames, height, width)
    dataset.PixelData = np.random.default_rng(seed).integers(0, 255, shape, np.uint8).tobytes()
    return dataset


def encoded(dataset: FileDataset) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
