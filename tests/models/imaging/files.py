"""Real small image files for the tests, made by code: pictures, DICOM objects, PNG chunks."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom.config
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)

pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE

Stored = npt.NDArray[np.generic]


def gradient(width: int = 60, height: int = 40) -> npt.NDArray[np.uint8]:
    """Grey that rises from left to right."""
    return np.tile(np.linspace(0, 255, width, dtype=np.uint8), (height, 1))


def noise(height: int = 40, width: int = 60, *, top: int = 256, seed: int = 0) -> Stored:
    """Unlike any other picture; uint8, or uint16 where `top` needs it."""
    values = np.random.default_rng(seed).integers(0, top, (height, width))
    return values.astype(np.uint8 if top <= 256 else np.uint16)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file of that kind."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def dataset_of(stored: Stored, frames: int | None = None, **tags: object) -> Dataset:
    """A secondary capture with these values: [rows, columns], with frames before, colours after."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    coloured = stored.ndim >= 3 and stored.shape[-1] == 3 and frames is None
    dataset.Rows, dataset.Columns = stored.shape[:2] if coloured else stored.shape[-2:]
    dataset.SamplesPerPixel = 3 if coloured else 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    if coloured:
        dataset.PlanarConfiguration = 0
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if frames is not None:
        dataset.NumberOfFrames = frames
    dataset.add_new(0x7FE00010, "OW" if bits == 16 else "OB", stored.tobytes())
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(dataset: Dataset, *, enforce_file_format: bool = True) -> bytes:
    """The data set as a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=enforce_file_format)
    return buffer.getvalue()


def dicom_bytes(stored: Stored, *, frames: int | None = None, **tags: object) -> bytes:
    """A DICOM file with these values."""
    return saved(dataset_of(stored, frames, **tags))


def compressed_dicom(stored: Stored, syntax: UID, **tags: object) -> bytes:
    """A DICOM file of one frame in that transfer syntax."""
    dataset = dataset_of(stored, **tags)
    dataset.PixelData = encapsulate([compressed(stored, dataset, syntax)])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    return saved(dataset)


def compressed(stored: Stored, dataset: Dataset, syntax: UID) -> bytes:
    """One frame as that transfer syntax writes it."""
    if syntax == JPEGBaseline8Bit:
        return encoded(Image.fromarray(stored), "JPEG", quality=95, subsampling=0)
    if syntax == JPEGExtended12Bit:
        bits = 12 if stored.dtype == np.uint16 else 8
        return bytes(imagecodecs.jpeg8_encode(stored, level=98, bitspersample=bits))
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        same = {"colorspace": "RGB", "outcolorspace": "RGB"} if stored.ndim == 3 else {}
        predictor = 1 if syntax == JPEGLosslessSV1 else 6
        bits = stored.dtype.itemsize * 8
        return bytes(
            imagecodecs.jpeg8_encode(
                stored, lossless=True, predictor=predictor, bitspersample=bits, **same
            )
        )
    if syntax == JPEG2000Lossless:
        return bytes(imagecodecs.jpeg2k_encode(stored, codecformat="J2K", reversible=True))
    return bytes(
        get_encoder(syntax).encode(
            stored.tobytes(),
            rows=dataset.Rows,
            columns=dataset.Columns,
            number_of_frames=1,
            samples_per_pixel=dataset.SamplesPerPixel,
            bits_allocated=dataset.BitsAllocated,
            bits_stored=dataset.BitsStored,
            pixel_representation=dataset.PixelRepresentation,
            photometric_interpretation=dataset.PhotometricInterpretation,
            planar_configuration=0,
            **({"jls_error": 2} if syntax == JPEGLSNearLossless else {}),
        )
    )


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(
    *chunks: bytes, width: int = 40, height: int = 40, kind: tuple[int, int] = (8, 0)
) -> bytes:
    """A PNG of these chunks after its header; kind: bit depth and colour type."""
    header = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(chunks)
        + png_chunk(b"IEND", b"")
    )
