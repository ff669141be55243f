"""A DICOM image -> an instance that may be kept: PS3.15 Annex E, Basic Profile, and stricter.

The object is built anew from what `dicom_elements.yaml` allows and from the decoded values; nothing
is copied over as bytes. So private groups, notes, overlays, curves, graphics, embedded documents,
the preamble, file meta information, unused bits of pixel cells, bytes behind the pixels and
comments within a compressed stream are gone because nothing brings them along. Of the options only
Retain Patient Characteristics is used, for sex and age (90 and above as 090Y); dates and times go.

UIDs and the patient's id are replaced by a keyed hash, so that what belongs together stays together
and the same file always becomes the same instance; who lacks the key can neither invert nor test a
guess. Pixels are not cleaned: burned-in text is for `models.imaging.burned_in` to flag.

Pure: no clock, no randomness. Not for objects without an image (reports, presentation states).
"""

from __future__ import annotations

import hashlib
import hmac
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from models.imaging.ages import MONTHS_BELOW_YEARS, kept_age
from models.imaging.decode import DecodeLimits, ImageRejected
from models.imaging.dicom import colours
from models.imaging.dicom_codecs import LOSSY
from models.imaging.dicom_elements import RULES
from models.imaging.dicom_file import ImageObject, read_image, stored_frames
from models.imaging.dicom_header import age_years, metadata
from models.imaging.dicom_kept import keep

MIN_KEY_BYTES = 16
METHOD = "PS3.15 Annex E Basic Profile, age and sex retained"

# Implementation Class UID (PS3.10, 7.1), of the 2.25 arc that needs no registration (PS3.5, B.2).
_IMPLEMENTATION = UID("2.25.302871928653091257126340317241046171923")


@dataclass(frozen=True, slots=True)
class Deidentified:
    """An instance without identity. `data` is a Part 10 file, Explicit VR Little Endian.

    patient_id: the pseudonym, "" where the file names nobody. modality and body_part: a code of the
    standard, OTHER, or None. burned_in: what the header says of text in the picture.
    """

    data: bytes
    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    modality: str | None
    body_part: str | None
    rows: int
    columns: int
    frames: int
    burned_in: bool | None


def deidentify(data: bytes, key: bytes, limits: DecodeLimits | None = None) -> Deidentified:
    """The DICOM image in `data` without identity; raises ImageRejected.

    key: at least 16 secret bytes, the same for as long as instances must stay linked.
    """
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the key needs at least {MIN_KEY_BYTES} bytes")
    image = read_image(data, limits or DecodeLimits())
    try:
        return _rebuilt(image, _Pseudonyms(key, data))
    except ImageRejected:
        raise
    except Exception as error:  # pydicom parses elements when they are looked at
        raise ImageRejected("truncated", "the DICOM file is damaged") from error


def own_uid(uid: str, key: bytes) -> str:
    """What a sender's UID becomes in an instance under this key."""
    return str(_Pseudonyms(key, b"").uid("", uid))


@dataclass(frozen=True, slots=True)
class _Pseudonyms:
    key: bytes
    data: bytes

    def uid(self, keyword: str, original: str) -> UID:
        """PS3.5, B.2: 2.25 and a number of 128 bits. A missing UID is made from the whole file."""
        # One name space: a UID that is referenced keeps matching the UID of what it refers to.
        source = original.strip(" \0") or f"{keyword} {hashlib.sha256(self.data).hexdigest()}"
        return UID(f"2.25.{int.from_bytes(self._hash('uid', source)[:16], 'big')}")

    def patient(self, original: str) -> str:
        """A pseudonym of 16 characters."""
        known = original.strip(" \0")
        return self._hash("patient", known).hex()[:16].upper() if known else ""

    def _hash(self, purpose: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{purpose}\0{value}".encode(errors="surrogatepass"), "sha256")


def _rebuilt(image: ImageObject, pseudonyms: _Pseudonyms) -> Deidentified:
    source = image.dataset
    facts = metadata(source)
    new = Dataset()
    keep(source, new)
    for keyword in RULES.emptied:
        setattr(new, keyword, "")
    for keyword in RULES.identifiers:
        if keyword in source or keyword != "FrameOfReferenceUID":
            setattr(new, keyword, pseudonyms.uid(keyword, _plain(source, keyword)))
    new.PatientID = pseudonyms.patient(_plain(source, "PatientID"))
    age = age_years(source)
    if age is not None:
        new.PatientAge = _age(age)
    new.PatientSex = new.get("PatientSex", "")
    if "BodyPartExamined" not in new and facts.body_part in RULES.terms["BodyPartExamined"]:
        new.BodyPartExamined = facts.body_part  # the source may say it by a code alone
    new.SeriesNumber = new.get("SeriesNumber")
    new.InstanceNumber = new.get("InstanceNumber")
    # Required of every image, and what a reader must know of a modality that is not named.
    new.Modality = new.get("Modality", "OT")
    _state_method(new)
    if image.transfer_syntax in LOSSY:
        new.LossyImageCompression = "01"
    _draw(image, new)
    new.SOPClassUID = _sop_class(source, new, image)
    return Deidentified(
        data=_file(new),
        patient_id=new.PatientID,
        study_uid=str(new.StudyInstanceUID),
        series_uid=str(new.SeriesInstanceUID),
        sop_uid=str(new.SOPInstanceUID),
        sop_class_uid=str(new.SOPClassUID),
        modality=facts.modality,
        body_part=facts.body_part,
        rows=image.rows,
        columns=image.columns,
        frames=image.frames,
        burned_in=facts.burned_in,
    )


def _plain(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value)


def _age(years: float) -> str:
    """PS3.5, 6.2 (AS): years, at most 90; months below two years."""
    kept = kept_age(years) or 0.0
    below = kept < MONTHS_BELOW_YEARS
    return f"{round(kept * 12):03d}M" if below else f"{int(kept):03d}Y"


def _state_method(new: Dataset) -> None:
    new.PatientIdentityRemoved = "YES"
    new.DeidentificationMethod = METHOD
    new.LongitudinalTemporalInformationModified = "REMOVED"
    items = []
    for method in RULES.methods:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator = method.code, "DCM"
        item.CodeMeaning = method.meaning
        items.append(item)
    new.DeidentificationMethodCodeSequence = items


def _draw(image: ImageObject, new: Dataset) -> None:
    """The decoded values, uncompressed: 8-bit RGB, or grey with its unused bits cleared."""
    pixels = bytearray()
    coloured = False
    for stored in stored_frames(image, range(image.frames)):
        rgb = colours(image, stored)
        coloured = rgb is not None
        pixels += (rgb if rgb is not None else _grey_cells(image, stored)).tobytes()
    if coloured:
        bits = allocated = 8
    else:
        allocated = 16 if image.bits_allocated == 16 else 8
        bits = allocated if image.bits_allocated == 1 else image.bits_stored
    new.Rows, new.Columns, new.SamplesPerPixel = image.rows, image.columns, 3 if coloured else 1
    new.PhotometricInterpretation = "RGB" if coloured else image.photometric
    if coloured:
        new.PlanarConfiguration = 0
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
            if keyword in new:
                delattr(new, keyword)
    elif "PlanarConfiguration" in new:
        del new.PlanarConfiguration
    if "NumberOfFrames" in new and image.frames == 1:
        del new.NumberOfFrames
    new.BitsAllocated, new.BitsStored, new.HighBit = allocated, bits, bits - 1
    new.PixelRepresentation = int(image.signed and not coloured)
    pixels += b"\0" * (len(pixels) % 2)
    new.add_new("PixelData", "OW" if allocated == 16 else "OB", bytes(pixels))


def _grey_cells(
    image: ImageObject, stored: npt.NDArray[np.generic]
) -> npt.NDArray[np.int16] | npt.NDArray[np.uint16] | npt.NDArray[np.uint8]:
    """Little-endian cells; bits that carry no pixel hold nothing of the file's."""
    if image.bits_allocated != 16:
        dtype = np.dtype("i1" if image.signed else "u1")
    else:
        dtype = np.dtype("<i2" if image.signed else "<u2")
    cells = stored.astype(dtype)
    unused = dtype.itemsize * 8 - image.bits_stored if image.bits_allocated != 1 else 0
    return (cells << unused) >> unused if unused else cells


def _sop_class(source: Dataset, new: Dataset, image: ImageObject) -> UID:
    """The class of the file where the standard knows it; else secondary capture of that kind."""
    stated = UID(_plain(source, "SOPClassUID").strip(" \0"))
    # `name` is the UID itself where the standard has no name for it.
    if not stated.is_private and "Storage" in stated.name:
        return stated
    if image.frames == 1:
        return SecondaryCaptureImageStorage
    if new.SamplesPerPixel == 3:
        return MultiFrameTrueColorSecondaryCaptureImageStorage
    if new.BitsAllocated == 16:
        return MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    return MultiFrameGrayscaleByteSecondaryCaptureImageStorage


def _file(new: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = new.SOPClassUID
    meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "FENZHEN"
    buffer = io.BytesIO()
    file = FileDataset(None, new, file_meta=meta, preamble=b"\0" * 128)
    file.save_as(buffer, enforce_file_format=True, little_endian=True, implicit_vr=False)
    return buffer.getvalue()
