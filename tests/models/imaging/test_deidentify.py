"""De-identification: what is secret never comes through, what is a picture always does."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as standard
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless, XRayAngiographicImageStorage

from models.imaging.decode import DecodeLimits, ImageRejected, decode, decode_frames
from models.imaging.deidentify import deidentify, own_uid
from models.imaging.dicom_elements import ELEMENTS, RULES
from tests.models.imaging.files import compressed_dicom, dataset_of, gradient, noise, saved

KEY = bytes(range(32))
SECRET = "ZHANGSAN"
# Shows as two letters in a 16-bit number, four in a float: the same eight bytes.
NUMBERS = {
    "US": list(np.frombuffer(SECRET.encode(), "<u2").tolist()),
    "SS": list(np.frombuffer(SECRET.encode(), "<i2").tolist()),
    "UL": list(np.frombuffer(SECRET.encode(), "<u4").tolist()),
    "SL": list(np.frombuffer(SECRET.encode(), "<i4").tolist()),
    "UV": list(np.frombuffer(SECRET.encode(), "<u8").tolist()),
    "SV": list(np.frombuffer(SECRET.encode(), "<i8").tolist()),
    "FL": list(np.frombuffer(SECRET.encode(), "<f4").tolist()),
    "FD": list(np.frombuffer(SECRET.encode(), "<f8").tolist()),
}
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
# What describes the pixels themselves; `test_codes…` below puts the secret into some of these.
PIXELS = {
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "PixelData",
    "FloatPixelData", "DoubleFloatPixelData", "PixelPaddingValue", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "SpecificCharacterSet",
}  # fmt: skip


def secret_element(tag: int, vr: str) -> DataElement | RawDataElement | None:
    """An element with the secret in it, as its value representation can hold it."""
    vr = vr.split(" or ")[0]
    if vr in NUMBERS:
        return DataElement(tag, vr, NUMBERS[vr])
    if vr in BINARY:
        return DataElement(tag, vr, SECRET.encode() * 2)
    if vr == "SQ":
        inner = Dataset()
        inner.add_new("PatientName", "PN", SECRET)
        inner.add_new("TextValue", "UT", SECRET)
        inner.add_new("CodeMeaning", "LO", SECRET)
        deeper = Dataset()
        deeper.add_new("RetrieveURL", "UR", SECRET)
        inner.add_new("ContentSequence", "SQ", [deeper])
        return DataElement(tag, "SQ", [inner])
    if vr in ("IS", "DS"):
        return RawDataElement(Tag(tag), vr, len(SECRET), SECRET.encode(), 0, False, True)
    if vr == "AT":
        return DataElement(tag, vr, [0x485A4E41, 0x41534E41])
    return DataElement(tag, vr, SECRET) if vr != "NONE" else None


def stuffed() -> Dataset:
    """An image with the secret in every element that the dictionary knows, and in private ones."""
    dataset = dataset_of(gradient())
    for tag, entry in DicomDictionary.items():
        keyword = entry[4]
        if Tag(tag).group <= 0x0006 or keyword in PIXELS or not keyword:
            continue
        element = secret_element(tag, entry[0])
        if element is not None:
            dataset[tag] = element
    for group in (0x0009, 0x0011, 0x0029, 0x7FE1):
        block = dataset.private_block(group, f"{SECRET} MEDICAL", create=True)
        for offset, vr in enumerate(("LO", "PN", "UT", "OB", "UN", "SQ", "UI", "FD")):
            element = secret_element(block.get_tag(offset), vr)
            assert element is not None
            dataset[element.tag] = element
    for repeating in (0x5000, 0x5002, 0x6000, 0x6002):  # curves and overlays
        dataset.add_new((repeating, 0x3000), "OW", SECRET.encode() * 8)
        dataset.add_new((repeating, 0x4000), "LT", SECRET)
        dataset.add_new((repeating, 0x1500), "LO", SECRET)
    dataset.file_meta.SourceApplicationEntityTitle = SECRET
    dataset.file_meta.ImplementationVersionName = SECRET
    dataset.file_meta.ImplementationClassUID = SECRET
    dataset.file_meta.MediaStorageSOPInstanceUID = SECRET
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3"
    dataset.file_meta.PrivateInformation = SECRET.encode()
    dataset.preamble = SECRET.encode() * 16
    return dataset


def header(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def test_a_secret_in_every_element_that_can_hold_one_never_comes_through() -> None:
    data = saved(stuffed(), enforce_file_format=False)
    assert data.count(SECRET.encode()) > 5000
    kept = deidentify(data, KEY)
    for spelling in (SECRET.encode(), SECRET.lower().encode(), SECRET.encode("utf-16-le")):
        assert spelling not in kept.data
    assert SECRET not in repr(kept)
    np.testing.assert_allclose(decode(kept.data).pixels, gradient() / 255.0, atol=1e-6)


def test_bytes_behind_the_pixels_and_in_unused_bits_are_left_behind() -> None:
    dataset = dataset_of(noise(top=4096), BitsStored=12, HighBit=11)
    clean = deidentify(saved(dataset), KEY)
    cells = np.frombuffer(dataset.PixelData, "<u2") | 0x5000
    dataset.PixelData = cells.tobytes() + SECRET.encode()
    dirty = deidentify(saved(dataset), KEY)
    assert header(dirty.data).PixelData == header(clean.data).PixelData


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless])
def test_comments_within_a_compressed_frame_are_left_behind(syntax: pydicom.uid.UID) -> None:
    data = compressed_dicom(gradient(), syntax)
    start = data.index(b"\xff\xd8\xff")
    length = int.from_bytes(data[start - 4 : start], "little")
    comment = b"\xff\xfe" + (2 + len(SECRET)).to_bytes(2, "big") + SECRET.encode()
    longer = (length + len(comment)).to_bytes(4, "little")
    hidden = data[: start - 4] + longer + data[start : start + 2] + comment + data[start + 2 :]
    assert SECRET.encode() in hidden
    kept = deidentify(hidden, KEY)
    assert SECRET.encode() not in kept.data
    np.testing.assert_array_equal(decode(kept.data).pixels, decode(data).pixels)


def test_no_element_that_the_standard_removes_is_on_the_list_of_what_is_kept() -> None:
    # Sex and age: Retain Patient Characteristics. UIDs (U) become others.
    exceptions = {"PatientSex", "PatientAge"} | RULES.identifiers | RULES.read_only
    removed = {keyword_for_tag(tag) for tag in standard.ALL_TAGS if len(tag) == 2} - {""}
    assert len(removed) > 600
    assert not removed & (ELEMENTS - exceptions)


def test_an_instance_has_what_the_profile_asks_for() -> None:
    kept = header(deidentify(saved(dataset_of(gradient(), Modality="CR")), KEY).data)
    assert kept.PatientIdentityRemoved == "YES"
    assert kept.DeidentificationMethod
    codes = [
        (item.CodeValue, item.CodingSchemeDesignator)
        for item in kept.DeidentificationMethodCodeSequence
    ]
    assert codes == [("113100", "DCM"), ("113108", "DCM")]
    assert kept.LongitudinalTemporalInformationModified == "REMOVED"
    for keyword in RULES.emptied:
        assert keyword in kept
        assert not kept[keyword].value
    for element in kept.iterall():
        assert element.VR not in ("DA", "TM", "DT") or not element.value
        assert not element.tag.is_private


def test_the_same_file_becomes_the_same_instance_and_a_study_stays_together() -> None:
    def one(instance: str, key: bytes = KEY) -> tuple[str, str, str]:
        dataset = dataset_of(gradient(), PatientID="440106198703121234", SOPInstanceUID=instance)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.840.1", "1.2.840.2"
        kept = deidentify(saved(dataset), key)
        assert header(kept.data).SOPInstanceUID == kept.sop_uid
        assert kept.sop_uid == own_uid(instance, key)
        return kept.study_uid, kept.sop_uid, kept.patient_id

    data = saved(dataset_of(gradient()))
    assert deidentify(data, KEY) == deidentify(data, KEY)
    first, second, other_key = one("1.2.840.3"), one("1.2.840.4"), one("1.2.840.3", KEY[::-1])
    assert first[0] == second[0]
    assert first[2] == second[2] != ""
    assert first[1] != second[1]
    assert not set(first) & set(other_key)
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in first[:2])


def test_missing_identifiers_are_made_from_the_file() -> None:
    dataset = dataset_of(gradient())
    dataset.preamble = bytes(128)
    del dataset.SOPInstanceUID
    first = deidentify(saved(dataset, enforce_file_format=False), KEY)
    dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows
    second = deidentify(saved(dataset, enforce_file_format=False), KEY)
    assert len({first.study_uid, first.series_uid, first.sop_uid, second.sop_uid}) == 4
    assert first.patient_id == ""


@pytest.mark.parametrize(
    ("tags", "age"),
    [
        ({"PatientAge": "004Y"}, "004Y"),
        ({"PatientAge": "018M"}, "018M"),
        ({"PatientAge": "013M"}, "013M"),
        ({"PatientAge": "010D"}, "000M"),
        ({"PatientAge": "100D"}, "003M"),
        ({"PatientAge": "030M"}, "002Y"),
        ({"PatientAge": "0520"}, None),
        ({"PatientAge": "089Y"}, "089Y"),
        ({"PatientAge": "101Y"}, "090Y"),
        ({"PatientBirthDate": "20200101", "StudyDate": "20250301"}, "005Y"),
        ({"PatientBirthDate": "19200101", "StudyDate": "20250301"}, "090Y"),
        ({"PatientAge": "ZHAN"}, None),
        ({}, None),
    ],
)
def test_an_age_is_kept_but_never_one_that_stands_out(
    tags: dict[str, str], age: str | None
) -> None:
    kept = header(deidentify(saved(dataset_of(gradient(), **tags)), KEY).data)
    assert kept.get("PatientAge") == age
    assert not kept.PatientBirthDate


def test_codes_of_the_standard_are_kept_and_anything_else_is_not() -> None:
    known = dataset_of(
        gradient(), Modality="DX", BodyPartExamined="CHEST", PatientSex="F", ViewPosition="PA"
    )
    typed = dataset_of(
        gradient(), Modality="DX", BodyPartExamined="CHEST ZHANG", ImageType=["ORIGINAL", "ZHANG"]
    )
    first, second = (deidentify(saved(dataset), KEY) for dataset in (known, typed))
    kept = header(first.data)
    assert (first.modality, first.body_part) == ("DX", "CHEST")
    assert (kept.PatientSex, kept.ViewPosition) == ("F", "PA")
    assert second.body_part == "OTHER"
    assert "BodyPartExamined" not in header(second.data)
    assert header(second.data).ImageType == "ORIGINAL"


@pytest.mark.parametrize("typed", ["13800138000", "440106198703121234", "1e300", "NaN", "ZHANG"])
def test_a_number_that_is_no_measure_is_not_kept(typed: str) -> None:
    dataset = dataset_of(gradient(), InstanceNumber=7)
    for keyword in ("SeriesNumber", "SliceThickness", "KVP"):
        vr = dictionary_VR(keyword)
        dataset[keyword] = RawDataElement(
            Tag(keyword), vr, 18, typed.ljust(18).encode(), 0, False, True
        )
    kept = header(deidentify(saved(dataset), KEY).data)
    assert kept.InstanceNumber == 7
    assert "KVP" not in kept
    assert "SliceThickness" not in kept
    assert kept.get("SeriesNumber") is None


def test_a_picture_looks_the_same_before_and_after() -> None:
    rgb = np.stack([noise(seed=seed) for seed in range(3)], axis=-1)
    signed = (noise(top=4096).astype(np.int32) - 2048).astype(np.int16)
    shown = {"WindowCenter": 100, "WindowWidth": 900, "RescaleSlope": 2, "RescaleIntercept": -1000}
    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.add_new("LUTData", "OW", np.arange(255, -1, -1, dtype="<u2").tobytes())
    table.LUTExplanation = SECRET
    for dataset in (
        dataset_of(rgb),
        dataset_of(signed, **shown, PixelPaddingValue=-2000),
        dataset_of(noise(top=65536), PhotometricInterpretation="MONOCHROME1"),
        dataset_of(noise(), VOILUTSequence=[table]),
        dataset_of(np.stack([noise(seed=seed) for seed in range(3)]), 3),
    ):
        before = decode_frames(saved(dataset))
        kept = deidentify(saved(dataset), KEY)
        after = decode_frames(kept.data)
        assert (kept.frames, kept.rows, kept.columns) == (len(before), *before[0].pixels.shape)
        assert SECRET.encode() not in kept.data
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)
            assert one.warnings == other.warnings
            if one.rgb is not None:
                np.testing.assert_array_equal(one.rgb, other.rgb)


def test_lossy_compression_is_told() -> None:
    kept = header(deidentify(compressed_dicom(gradient(), JPEGBaseline8Bit), KEY).data)
    assert kept.LossyImageCompression == "01"
    assert "LossyImageCompression" not in header(deidentify(saved(dataset_of(noise())), KEY).data)


def test_a_class_that_the_standard_does_not_know_becomes_secondary_capture() -> None:
    def kept_class(uid: str) -> str:
        return deidentify(saved(dataset_of(gradient(), SOPClassUID=uid)), KEY).sop_class_uid

    assert kept_class(XRayAngiographicImageStorage) == XRayAngiographicImageStorage
    assert kept_class("1.3.12.2.1107.5.9.1") == "1.2.840.10008.5.1.4.1.1.7"
    assert kept_class("1.2.840.10008.1.1") == "1.2.840.10008.5.1.4.1.1.7"


def test_what_holds_no_image_or_too_much_is_refused_and_the_key_must_be_long() -> None:
    dataset = dataset_of(gradient())
    with pytest.raises(ImageRejected) as too_large:
        deidentify(saved(dataset), KEY, DecodeLimits(max_pixels=100))
    assert too_large.value.code == "too_large"
    del dataset.PixelData
    with pytest.raises(ImageRejected) as empty:
        deidentify(saved(dataset), KEY)
    assert empty.value.code == "no_pixel_data"
    with pytest.raises(ImageRejected) as text:
        deidentify(b"Patient: Zhang San", KEY)
    assert text.value.code == "not_an_image"
    with pytest.raises(ValueError, match="key"):
        deidentify(saved(dataset_of(gradient())), b"short")


@pytest.mark.data
def test_the_sample_files_keep_no_word_of_their_headers(data_dir: Path) -> None:
    for path in sorted((data_dir / "imaging" / "dicom").glob("*.dcm")):
        original = pydicom.dcmread(path)
        kept = deidentify(path.read_bytes(), KEY).data
        for element in original.iterall():
            if element.VR in ("PN", "LO", "SH", "DA", "TM", "UI", "LT") and element.value:
                name = str(element.value)
                if len(name) > 4 and element.keyword not in ("SOPClassUID", "TransferSyntaxUID"):
                    assert name.encode() not in kept
