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
import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from models.imaging.decode import DecodeLimits, ImageRejected
from models.imaging.dicom import colours
from models.imaging.dicom_codecs import LOSSY
from models.imaging.dicom_display import lookup_table
from models.imaging.dicom_elements import RULES
from models.imaging.dicom_file import ImageObject, read_image, stored_frames
from models.imaging.dicom_header import age_years, metadata, text

MIN_KEY_BYTES = 16
METHOD = "PS3.15 Annex E Basic Profile, age and sex retained"

_OLDEST_YEARS = 90
_AGE = re.compile(r"[0-9]{3}[DWMY]")
# A decimal string that is a measure, not an identity number that somebody typed there.
_LARGEST_MEASURE = 1e7
_MOST_VALUES = 16
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
    _keep(source, new)
    for keyword in RULES.emptied:
        setattr(new, keyword, "")
    for keyword in RULES.identifiers:
        if keyword in source or keyword != "FrameOfReferenceUID":
            setattr(new, keyword, pseudonyms.uid(keyword, _plain(source, keyword)))
    new.PatientID = pseudonyms.patient(_plain(source, "PatientID"))
    age = age_years(source)
    if age is not None:
        new.PatientAge = _age(age, text(source, "PatientAge"))
    new.PatientSex = new.get("PatientSex", "")
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


def _keep(source: Dataset, new: Dataset) -> None:
    """What the rules allow of a data set or of an item, each value written anew."""
    for keyword in source.dir():
        try:
            if keyword in RULES.terms:
                _keep_terms(source, new, keyword)
            elif keyword in RULES.numbers:
                _keep_numbers(source, new, keyword)
            elif keyword in RULES.lookup_tables:
                _keep_table(source, new, keyword)
            elif keyword in RULES.sequences:
                _keep_items(source, new, keyword)
        except ImageRejected:
            raise
        except Exception:  # pydicom raises many types when it first looks at a value
            continue  # a value that cannot be read is not kept


def _keep_terms(source: Dataset, new: Dataset, keyword: str) -> None:
    values = [str(value).strip().upper() for value in _several(source[keyword].value)]
    kept = [value for value in values if value in RULES.terms[keyword]][:_MOST_VALUES]
    if kept:
        single = dictionary_VM(keyword) == "1"
        setattr(new, keyword, kept[0] if single else kept)


def _keep_numbers(source: Dataset, new: Dataset, keyword: str) -> None:
    values = _several(source[keyword].value)
    if not 1 <= len(values) <= _allowed(keyword):
        return
    vr = source[keyword].VR if dictionary_VR(keyword) == "US or SS" else dictionary_VR(keyword)
    if vr not in ("US", "SS", "UL", "SL", "IS", "DS"):
        return
    kept: list[int | str] = []
    for value in values:
        number = float(str(value))
        if not math.isfinite(number) or abs(number) > _LARGEST_MEASURE:
            return
        # A decimal string has at most 16 characters (PS3.5, 6.2).
        kept.append(f"{number:.9g}" if vr == "DS" else int(number))
    new.add_new(keyword, vr, kept[0] if len(kept) == 1 else kept)


def _keep_table(source: Dataset, new: Dataset, keyword: str) -> None:
    table = lookup_table(source, keyword)
    if table is None:
        return
    item = Dataset()
    first = "SS" if table.first < 0 else "US"
    item.add_new("LUTDescriptor", first, [len(table.values) % 65_536, table.first, table.bits])
    item.add_new("LUTData", "OW", table.values.astype("<u2").tobytes())
    setattr(new, keyword, [item])


def _keep_items(source: Dataset, new: Dataset, keyword: str) -> None:
    items = []
    for original in source[keyword].value:
        item = Dataset()
        _keep(original, item)
        items.append(item)
    setattr(new, keyword, items)


def _several(value: object) -> list[object]:
    if value is None or value == "":
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _allowed(keyword: str) -> int:
    """How many values the dictionary allows, at most `_MOST_VALUES`."""
    most = dictionary_VM(keyword).split("-")[-1]
    return int(most) if most.isdecimal() else _MOST_VALUES


def _plain(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value)


def _age(years: float, stated: str | None) -> str:
    """PS3.5, 6.2 (AS), as stated or else in years; never above 90 years."""
    if years >= _OLDEST_YEARS:
        return f"{_OLDEST_YEARS:03d}Y"
    if stated and _AGE.fullmatch(stated):
        return stated
    return f"{int(years):03d}Y" if years >= 2 else f"{round(years * 12):03d}M"


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
    for stored in stored_frames(image, image.frames):
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
