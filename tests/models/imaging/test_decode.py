"""Uploads: what is read, and what is refused before it can do harm."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from models.imaging.decode import DecodeLimits, ImageRejected, decode


def gradient(width: int = 60, height: int = 40) -> np.ndarray:
    row = np.linspace(0, 255, width, dtype=np.uint8)
    return np.tile(row, (height, 1))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def dicom_bytes(stored: np.ndarray, *, frames: int | None = None, **tags: object) -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    if frames is not None:
        dataset.NumberOfFrames = frames
    dataset.add_new(0x7FE00010, "OW" if bits == 16 else "OB", stored.tobytes())
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_an_eight_bit_png_keeps_its_grey_values() -> None:
    image = decode(encoded(Image.fromarray(gradient()), "PNG"))
    assert image.source_format == "png"
    assert image.colour == 0.0
    np.testing.assert_allclose(image.pixels, gradient() / 255.0, atol=1e-6)


def test_a_sixteen_bit_png_keeps_more_than_eight_bits() -> None:
    deep = np.tile(np.linspace(0, 65535, 1000).astype(np.uint16), (4, 1))
    image = decode(encoded(Image.fromarray(deep), "PNG"))
    assert len(np.unique(image.pixels)) == 1000
    assert image.pixels.max() == pytest.approx(1.0)


def test_a_jpeg_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(gradient()), "JPEG", exif=exif, quality=95)
    image = decode(data)
    assert image.pixels.shape == (60, 40)
    assert image.pixels[0].mean() < image.pixels[-1].mean()


def test_transparent_pixels_become_black_and_colour_is_measured() -> None:
    pixels = np.zeros((10, 10, 4), dtype=np.uint8)
    pixels[..., 0] = 255
    pixels[:5, :, 3] = 255
    image = decode(encoded(Image.fromarray(pixels), "PNG"))
    assert image.pixels[7].max() == 0.0
    assert image.colour == pytest.approx(0.5)
    assert "alpha_dropped" in image.warnings


def test_a_huge_png_is_refused_from_its_header() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(ImageRejected) as refused:
        decode(data)
    assert refused.value.code == "too_large"


def test_limits_hold_for_bytes_and_pixels() -> None:
    data = encoded(Image.fromarray(gradient()), "PNG")
    with pytest.raises(ImageRejected, match="bytes") as by_size:
        decode(data, DecodeLimits(max_bytes=10))
    with pytest.raises(ImageRejected, match="pixels") as by_pixels:
        decode(data, DecodeLimits(max_pixels=2399))
    assert by_size.value.code == by_pixels.value.code == "too_large"
    assert decode(data, DecodeLimits(max_pixels=2400)).pixels.shape == (40, 60)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (80, 80), dtype=np.uint8)), kind)
    with pytest.raises(ImageRejected) as refused:
        decode(data[: len(data) // 2])
    assert refused.value.code == "truncated"


def test_an_animated_png_is_refused() -> None:
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageRejected) as refused:
        decode(data)
    assert refused.value.code == "animated"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_an_image"),
        (b"Patient: cough for three days", "not_an_image"),
        (b"\0" * 128 + b"DICM" + b"just some text, no data elements", "no_pixel_data"),
        (encoded(Image.fromarray(gradient()), "GIF"), "unsupported_format"),
        (encoded(Image.fromarray(gradient()), "TIFF"), "unsupported_format"),
        (b"\xff\xd8\xff", "truncated"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ImageRejected) as refused:
        decode(data)
    assert refused.value.code == code


def test_the_message_never_repeats_the_content() -> None:
    with pytest.raises(ImageRejected) as refused:
        decode(b"Zhang San, ID 110101")
    assert "Zhang" not in refused.value.message


def test_a_header_with_wrong_values_leaves_no_trace_in_logs_or_warnings(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    data = dicom_bytes(gradient(), BodyPartExamined="CHEST of Zhang San")
    caplog.clear()
    recwarn.clear()
    decode(data)
    assert "Zhang" not in caplog.text
    assert not [w for w in recwarn if "Zhang" in str(w.message)]


def test_monochrome1_is_turned_round() -> None:
    usual = decode(dicom_bytes(gradient().astype(np.uint16)))
    inverse = decode(
        dicom_bytes(gradient().astype(np.uint16), PhotometricInterpretation="MONOCHROME1")
    )
    np.testing.assert_allclose(usual.pixels, 1.0 - inverse.pixels, atol=1e-6)
    assert usual.pixels[0, 0] < usual.pixels[0, -1]
    assert "no_voi_window" in usual.warnings


def test_the_window_of_the_header_is_applied_after_rescaling() -> None:
    stored = gradient().astype(np.uint16) * 16
    image = decode(
        dicom_bytes(
            stored, RescaleSlope=1, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=1000
        )
    )
    inside = (stored - 1000.0 > 500) & (stored - 1000.0 < 1500)
    assert image.pixels[stored - 1000.0 < 400].max() == 0.0
    assert image.pixels[stored - 1000.0 > 1600].min() == 1.0
    assert len(np.unique(image.pixels[inside])) > 5


def test_padding_does_not_take_part_in_the_grey_scale() -> None:
    stored = (1000 + gradient().astype(np.uint16)).astype(np.uint16)
    stored[:, :5] = 0
    image = decode(dicom_bytes(stored, PixelPaddingValue=0))
    assert image.pixels[0, :5].max() == 0.0
    assert image.pixels[0, 5] < 0.1
    assert "padding_removed" in image.warnings


def test_only_the_first_of_several_frames_is_read() -> None:
    frames = np.stack([gradient(), 255 - gradient()])
    image = decode(dicom_bytes(frames, frames=2))
    assert image.pixels.shape == (40, 60)
    assert image.pixels[0, 0] < image.pixels[0, -1]
    assert "first_frame_used" in image.warnings


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "004Y"}, 4.0),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientBirthDate": "20200101", "StudyDate": "20230101"}, 3.0),
        ({"PatientBirthDate": "20240101", "StudyDate": "20230101"}, None),
        ({}, None),
    ],
)
def test_age_comes_from_the_header(tags: dict[str, object], years: float | None) -> None:
    metadata = decode(dicom_bytes(gradient(), **tags)).metadata
    assert metadata.age_years == (pytest.approx(years, abs=0.01) if years is not None else None)


def test_the_header_says_what_was_taken_and_whether_text_is_burned_in() -> None:
    metadata = decode(
        dicom_bytes(gradient(), Modality="DX", BodyPartExamined="CHEST ", BurnedInAnnotation="YES")
    ).metadata
    assert (metadata.modality, metadata.body_part, metadata.burned_in) == ("DX", "CHEST", True)
    assert decode(dicom_bytes(gradient())).metadata.burned_in is None


def test_dicom_without_pixels_with_too_many_or_cut_off_is_refused() -> None:
    whole = dicom_bytes(gradient())
    dataset = pydicom.dcmread(io.BytesIO(whole))
    del dataset.PixelData
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    many = dicom_bytes(gradient(), frames=1_000_000)
    for data, code in [
        (buffer.getvalue(), "no_pixel_data"),
        (many, "too_large"),
        (whole[:-500], "truncated"),
    ]:
        with pytest.raises(ImageRejected) as refused:
            decode(data)
        assert refused.value.code == code


def test_damaged_files_never_raise_anything_else() -> None:
    rng = np.random.default_rng(1)
    noisy = rng.integers(0, 256, (24, 24), dtype=np.uint8)
    originals = [
        encoded(Image.fromarray(noisy), "PNG"),
        encoded(Image.fromarray(noisy), "JPEG"),
        dicom_bytes(noisy.astype(np.uint16), WindowCenter=100, WindowWidth=50),
    ]
    read = refused = 0
    for original in originals:
        for _ in range(150):
            data = bytearray(original)
            for position in rng.integers(0, len(data), rng.integers(1, 12)):
                data[position] = rng.integers(0, 256)
            try:
                image = decode(bytes(data), DecodeLimits(max_pixels=1_000_000))
            except ImageRejected:
                refused += 1
            else:
                read += 1
                assert np.isfinite(image.pixels).all()
                assert image.pixels.min() >= 0.0
                assert image.pixels.max() <= 1.0
    assert min(read, refused) > 20


@pytest.mark.data
def test_the_two_sample_dicoms_are_each_others_inverse(data_dir: Path) -> None:
    paths = sorted((data_dir / "imaging" / "dicom").glob("*.dcm"))
    first, second = (decode(path.read_bytes()) for path in paths)
    assert first.metadata.modality == second.metadata.modality == "CR"
    np.testing.assert_allclose(first.pixels, 1.0 - second.pixels, atol=1e-5)
