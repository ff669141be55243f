"""DICOM: every way to store pixels that is claimed, and headers that are odd or poor."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from models.imaging.decode import (
    DecodeLimits,
    DicomMetadata,
    ImageRejected,
    decode,
    decode_frames,
)
from models.imaging.dicom_codecs import PLUGINS
from tests.models.imaging.files import (
    compressed_dicom,
    dataset_of,
    dicom_bytes,
    encoded,
    gradient,
    noise,
    saved,
)


def test_a_header_with_wrong_values_leaves_no_trace_in_logs_or_warnings(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    data = dicom_bytes(gradient(), BodyPartExamined="CHEST of Zhang San")
    caplog.clear()
    recwarn.clear()
    decode(data)
    assert "Zhang" not in caplog.text
    assert not [w for w in recwarn if "Zhang" in str(w.message)]


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


def test_signed_values_are_signed() -> None:
    stored = np.tile(np.linspace(-1000, 400, 60).astype(np.int16), (40, 1))
    image = decode(dicom_bytes(stored))
    assert np.all(np.diff(image.pixels[0]) >= 0)
    assert (image.pixels.min(), image.pixels.max()) == (0.0, 1.0)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_bits_that_carry_no_pixel_are_left_out(bits: int) -> None:
    values = noise(top=2**bits, seed=bits).astype(np.uint16)
    dirty = values | np.uint16((0xFFFF << bits) & 0xFFFF)
    tags = {"BitsStored": bits, "HighBit": bits - 1}
    clean = decode(dicom_bytes(values, **tags))
    np.testing.assert_array_equal(decode(dicom_bytes(dirty, **tags)).pixels, clean.pixels)
    low = values.min()
    np.testing.assert_allclose(clean.pixels, (values - low) / (values.max() - low), atol=1e-5)


def test_old_equipment_stores_twelve_bits_at_the_top() -> None:
    values = noise(top=4096)
    window_of = {"WindowCenter": 2048, "WindowWidth": 4096}
    usual = decode(dicom_bytes(values, BitsStored=12, HighBit=11, **window_of))
    high = decode(dicom_bytes(values << 4, BitsStored=12, HighBit=15, **window_of))
    np.testing.assert_array_equal(usual.pixels, high.pixels)


def test_one_bit_a_pixel_is_black_and_white() -> None:
    picture = (gradient(64, 16) > 127).astype(np.uint8)
    dataset = dataset_of(picture, BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = np.packbits(picture, bitorder="little").tobytes()
    np.testing.assert_array_equal(decode(saved(dataset)).pixels, picture)


def test_a_palette_becomes_colours() -> None:
    stored = np.arange(4, dtype=np.uint8).reshape(2, 2)
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, values in (("Red", [0, 255, 0, 0]), ("Green", [0, 0, 255, 0]), ("Blue", [0] * 4)):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        raw = (np.array(values, dtype="<u2") * 257).tobytes()
        tags[f"{colour}PaletteColorLookupTableData"] = raw
    image = decode(dicom_bytes(stored, **tags))
    assert image.rgb is not None
    assert image.rgb.tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 0]]]


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_read_by_pixel_and_by_plane(planar: int) -> None:
    rgb = np.stack([noise(seed=seed) for seed in range(3)], axis=-1)
    stored = rgb if planar == 0 else np.ascontiguousarray(rgb.transpose(2, 0, 1))
    dataset = dataset_of(rgb, PlanarConfiguration=planar)
    dataset.PixelData = stored.tobytes()
    image = decode(saved(dataset))
    np.testing.assert_array_equal(image.rgb, rgb)


def test_luminance_and_chroma_become_colours() -> None:
    from pydicom.pixels import convert_color_space

    rgb = np.zeros((4, 4, 3), dtype=np.uint8)
    rgb[:, :2], rgb[:, 2:] = (220, 30, 40), (20, 60, 200)
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL")
    full = decode(dicom_bytes(ybr, PhotometricInterpretation="YBR_FULL"))
    np.testing.assert_allclose(full.rgb, rgb, atol=2)
    # YBR_FULL_422: two luminances, then the chroma that both share (PS3.3, C.7.6.3.1.2).
    pairs = ybr.reshape(4, 2, 2, 3)
    halved = np.stack(
        [pairs[:, :, 0, 0], pairs[:, :, 1, 0], pairs[:, :, 0, 1], pairs[:, :, 0, 2]], axis=-1
    )
    dataset = dataset_of(ybr, PhotometricInterpretation="YBR_FULL_422")
    dataset.PixelData = halved.tobytes()
    np.testing.assert_allclose(decode(saved(dataset)).rgb, rgb, atol=2)


def test_colours_of_a_dicom_and_of_a_png_are_the_same_picture() -> None:
    rgb = np.stack([noise(seed=seed) for seed in range(3)], axis=-1)
    dicom = decode(dicom_bytes(rgb))
    png = decode(encoded(Image.fromarray(rgb), "PNG"))
    np.testing.assert_array_equal(dicom.pixels, png.pixels)
    np.testing.assert_array_equal(dicom.rgb, png.rgb)


SYNTAXES = {
    "JPEG baseline": (JPEGBaseline8Bit, 256, 6),
    "JPEG extended, 12 bits": (JPEGExtended12Bit, 4096, 12),
    "JPEG extended, 8 bits": (JPEGExtended12Bit, 256, 6),
    "JPEG lossless": (JPEGLossless, 65536, 0),
    "JPEG lossless, 8 bits": (JPEGLossless, 256, 0),
    "JPEG lossless, first order": (JPEGLosslessSV1, 65536, 0),
    "JPEG-LS": (JPEGLSLossless, 65536, 0),
    "JPEG-LS near-lossless": (JPEGLSNearLossless, 256, 2),
    "JPEG 2000": (JPEG2000Lossless, 65536, 0),
    "JPEG 2000, 8 bits": (JPEG2000Lossless, 256, 0),
    "RLE": (RLELossless, 65536, 0),
    "RLE, 8 bits": (RLELossless, 256, 0),
}


@pytest.mark.parametrize("name", SYNTAXES)
def test_compressed_pixels_are_those_that_were_stored(name: str) -> None:
    syntax, top, error = SYNTAXES[name]
    smooth = np.add.outer(np.arange(48), np.arange(64)) * (top // 120)
    stored = smooth.astype(np.uint8 if top == 256 else np.uint16)
    bits = {"BitsStored": 12, "HighBit": 11} if top == 4096 else {}
    window_of = {"WindowCenter": top / 2, "WindowWidth": top - 1, "VOILUTFunction": "LINEAR_EXACT"}
    plain = decode(dicom_bytes(stored, **bits, **window_of))
    packed = decode(compressed_dicom(stored, syntax, **bits, **window_of))
    np.testing.assert_allclose(packed.pixels, plain.pixels, atol=(error + 0.01) / (top - 1))


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]
)
def test_compressed_colours_are_those_that_were_stored(syntax: UID) -> None:
    rgb = np.stack([gradient(), gradient()[:, ::-1], np.full_like(gradient(), 90)], axis=-1)
    stated = {"PhotometricInterpretation": "YBR_FULL_422"} if syntax == JPEGBaseline8Bit else {}
    image = decode(compressed_dicom(rgb, syntax, **stated))
    assert image.rgb is not None
    tolerance = 8 if syntax == JPEGBaseline8Bit else 0
    np.testing.assert_allclose(image.rgb.astype(int), rgb, atol=tolerance)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_compressed_signed_pixels_keep_their_sign(syntax: UID) -> None:
    smooth = np.add.outer(np.arange(48), np.arange(64)) * 20 - 1024
    stored = smooth.astype(np.int16)
    bits = {"BitsStored": 16, "HighBit": 15}
    plain = dicom_bytes(stored, **bits)
    raw = stored.view(np.uint16)
    packed = compressed_dicom(raw, syntax, **bits, PixelRepresentation=1)
    np.testing.assert_array_equal(decode(packed).pixels, decode(plain).pixels)


@pytest.mark.parametrize(
    "syntax",
    [
        pytest.param("1.2.840.10008.1.2.1.99", id="deflated"),
        pytest.param("1.2.840.10008.1.2.4.102", id="MPEG-4"),
        pytest.param("1.2.840.10008.1.2.4.201", id="high-throughput JPEG 2000"),
        pytest.param("1.2.840.99999.7", id="of one maker"),
    ],
)
def test_other_transfer_syntaxes_are_refused(syntax: str) -> None:
    stated = b"UI\x14\0" + ExplicitVRLittleEndian.encode() + b"\0"
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    data = dicom_bytes(gradient())
    assert data.count(stated) == 1
    with pytest.raises(ImageRejected, match="transfer syntax") as refused:
        decode(data.replace(stated, b"UI" + len(value).to_bytes(2, "little") + value))
    assert refused.value.code == "unsupported_format"
    assert "99999" not in refused.value.message


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_other_native_encodings_are_read(syntax: UID) -> None:
    dataset = dataset_of(noise(top=65536))
    expected = decode(saved(dataset)).pixels
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = noise(top=65536).astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(decode(saved(dataset)).pixels, expected)


def test_a_file_without_its_preamble_is_read() -> None:
    data = dicom_bytes(gradient())
    np.testing.assert_array_equal(decode(data[132:]).pixels, decode(data).pixels)


def test_a_bare_data_set_is_not_guessed_at() -> None:
    dataset = dataset_of(gradient())
    del dataset.file_meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    with pytest.raises(ImageRejected) as refused:
        decode(buffer.getvalue())
    assert refused.value.code == "not_an_image"


def test_an_image_that_says_little_is_read_as_the_likeliest() -> None:
    dataset = dataset_of(gradient())
    expected = decode(saved(dataset)).pixels
    for keyword in (
        "PhotometricInterpretation",
        "SamplesPerPixel",
        "PixelRepresentation",
        "BitsStored",
        "HighBit",
    ):
        delattr(dataset, keyword)
    image = decode(saved(dataset))
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.metadata == DicomMetadata()


def test_several_frames_are_decoded_up_to_the_limit() -> None:
    stack = np.stack([noise(seed=seed) for seed in range(5)])
    data = dicom_bytes(stack, frames=5)
    frames = decode_frames(data)
    assert len(frames) == 5
    assert all(frame.warnings == ("no_voi_window",) for frame in frames)
    for frame, stored in zip(frames, stack, strict=True):
        np.testing.assert_allclose(frame.pixels * 255, stored - 0.0, atol=1.5)
    few = decode_frames(data, DecodeLimits(max_frames=2))
    assert len(few) == 2
    assert all("frames_left_out" in frame.warnings for frame in few)
    assert "first_frame_used" in decode(data).warnings


def test_pixels_of_all_frames_count_against_the_limit() -> None:
    data = dicom_bytes(np.stack([gradient()] * 5), frames=5)
    assert len(decode_frames(data, DecodeLimits(max_pixels=5 * 2400))) == 5
    with pytest.raises(ImageRejected) as refused:
        decode_frames(data, DecodeLimits(max_pixels=5 * 2400 - 1))
    assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless]
)
def test_a_frame_of_another_size_than_the_header_says_is_refused(syntax: UID) -> None:
    dataset = pydicom.dcmread(io.BytesIO(compressed_dicom(noise(), syntax)))
    dataset.Rows = 20
    with pytest.raises(ImageRejected) as refused:
        decode(saved(dataset))
    assert refused.value.code == "truncated"


def test_a_codec_outside_the_base_install_is_never_asked() -> None:
    assert set(PLUGINS.values()) == {"", "pillow", "pyjpegls", "imagecodecs"}
