"""From stored values to greys: rescaling, windows, tables, padding, Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from models.imaging.decode import (
    DecodedImage,
    ImageRejected,
    decode,
    decode_frames,
)
from models.imaging.dicom_display import hounsfield_window, window
from tests.models.imaging.files import (
    dataset_of,
    dicom_bytes,
    gradient,
    saved,
)


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


def test_four_lines_are_windowed_as_the_standard_says() -> None:
    values = np.array([[-100.0, 0.0, 40.0, 240.0]], dtype=np.float32)
    np.testing.assert_allclose(window(values, 40.5, 201), [[0.0, 0.3, 0.5, 1.0]], atol=1e-6)
    np.testing.assert_allclose(
        window(values, 40, 200, "LINEAR_EXACT"), [[0.0, 0.3, 0.5, 1.0]], atol=1e-6
    )
    np.testing.assert_allclose(window(values, 40, 200, "SIGMOID")[0, 2], 0.5, atol=1e-6)


def test_a_window_is_kept_even_where_the_picture_does_not_fill_it() -> None:
    stored = np.full((8, 8), 100, dtype=np.uint16)
    stored[0, 0] = 140
    image = decode(dicom_bytes(stored, WindowCenter=100.5, WindowWidth=201))
    assert image.pixels[1, 1] == pytest.approx(0.5)
    assert image.pixels[0, 0] == pytest.approx(0.7)


def test_the_first_of_several_windows_counts() -> None:
    stored = gradient().astype(np.uint16)
    several = dicom_bytes(stored, WindowCenter=[100, 900], WindowWidth=[50, 10])
    one = dicom_bytes(stored, WindowCenter=100, WindowWidth=50)
    np.testing.assert_array_equal(decode(several).pixels, decode(one).pixels)


def test_a_modality_table_then_a_voi_table_make_the_greys() -> None:
    stored = np.arange(16, dtype=np.uint8).reshape(4, 4)
    doubled, inverted = Dataset(), Dataset()
    doubled.LUTDescriptor, doubled.ModalityLUTType = [16, 0, 16], "US"
    doubled.add_new("LUTData", "OW", np.arange(0, 32, 2, dtype="<u2").tobytes())
    inverted.LUTDescriptor = [32, 0, 16]
    inverted.add_new("LUTData", "OW", np.arange(31, -1, -1, dtype="<u2").tobytes())
    image = decode(dicom_bytes(stored, ModalityLUTSequence=[doubled], VOILUTSequence=[inverted]))
    np.testing.assert_allclose(image.pixels, (31 - 2.0 * stored) / 31, atol=1e-6)


def test_a_table_that_lies_about_its_length_is_refused() -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "OW", b"\0" * 16)
    with pytest.raises(ImageRejected) as refused:
        decode(dicom_bytes(gradient(), VOILUTSequence=[table]))
    assert refused.value.code == "truncated"


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
        {"RescaleSlope": "NaN", "RescaleIntercept": "0"},
        {"RescaleSlope": "a lot", "RescaleIntercept": "0"},
        {"WindowCenter": "100", "WindowWidth": "-50"},
        {"WindowCenter": "100", "WindowWidth": "0"},
        {"WindowCenter": "100"},
        {"WindowCenter": "NaN", "WindowWidth": "inf"},
    ],
)
def test_values_that_make_no_sense_are_left_out_and_said_so(tags: dict[str, str]) -> None:
    plain = decode(dicom_bytes(gradient()))
    dataset = dataset_of(gradient())
    for keyword, value in tags.items():
        raw = value.encode() + b" " * (len(value) % 2)
        dataset[keyword] = RawDataElement(Tag(keyword), "DS", len(raw), raw, 0, False, True)
    image = decode(saved(dataset))
    np.testing.assert_array_equal(image.pixels, plain.pixels)
    assert set(image.warnings) == {"header_ignored", "no_voi_window"}


def test_each_frame_of_an_enhanced_object_has_its_own_window() -> None:
    def group(center: float) -> Dataset:
        voi, item = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = center, 100, "LINEAR_EXACT"
        item.FrameVOILUTSequence = [voi]
        return item

    rescale, shared = Dataset(), Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = 1, -1000
    shared.PixelValueTransformationSequence = [rescale]
    stack = np.full((2, 8, 8), 1010, dtype=np.uint16)
    first, second = decode_frames(
        dicom_bytes(
            stack,
            frames=2,
            SharedFunctionalGroupsSequence=[shared],
            PerFrameFunctionalGroupsSequence=[group(10), group(35)],
        )
    )
    assert first.pixels[0, 0] == pytest.approx(0.5)
    assert second.pixels[0, 0] == pytest.approx(0.25)
    assert first.warnings == ()


@pytest.mark.data
def test_the_two_sample_dicoms_are_each_others_inverse(data_dir: Path) -> None:
    paths = sorted((data_dir / "imaging" / "dicom").glob("*.dcm"))
    first, second = (decode(path.read_bytes()) for path in paths)
    assert first.metadata.modality == second.metadata.modality == "CR"
    np.testing.assert_allclose(first.pixels, 1.0 - second.pixels, atol=1e-5)


def ct(stored: npt.NDArray[np.generic], **tags: object) -> DecodedImage:
    stated = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024, **tags}
    return decode(dicom_bytes(stored, **{k: v for k, v in stated.items() if v is not None}))


@pytest.mark.parametrize(
    "own", [{}, {"WindowCenter": 40, "WindowWidth": 80}, {"WindowCenter": -600, "WindowWidth": 9}]
)
def test_a_ct_in_a_fixed_window_is_the_same_whatever_window_its_file_asks_for(
    own: dict[str, object],
) -> None:
    stored = np.array([[0, 24, 724, 1064, 1424, 3000]], dtype=np.uint16)
    image = ct(stored, **own)
    shown = hounsfield_window(image, center=-300, width=1400)
    assert shown is not None
    np.testing.assert_allclose(shown, [[0, 0, 0.5, 1040 / 1400, 1, 1]], atol=1e-6)
    assert "hounsfield_unknown" not in image.warnings


def test_hounsfield_units_are_those_of_slope_intercept_and_padding() -> None:
    stored = np.array([[-2000, 0, 100, 101]], dtype=np.int16)
    image = ct(stored, RescaleSlope=2, RescaleIntercept=-1000, PixelPaddingValue=-2000)
    assert image.hounsfield is not None
    assert image.hounsfield.tolist() == [[-32768, -1000, -800, -798]]


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": None, "RescaleIntercept": None},
        {"RescaleIntercept": None},
        {"RescaleSlope": None},
        {"RescaleSlope": 0},
        {"RescaleType": "US"},
    ],
)
def test_a_ct_that_does_not_say_how_its_values_become_hu_has_none(tags: dict[str, object]) -> None:
    image = ct(gradient().astype(np.uint16), **tags)
    assert image.hounsfield is None
    assert hounsfield_window(image, -300, 1400) is None
    assert "hounsfield_unknown" in image.warnings


def test_only_a_ct_has_hounsfield_units() -> None:
    film = ct(gradient().astype(np.uint16), Modality="DX")
    assert film.hounsfield is None
    assert "hounsfield_unknown" not in film.warnings
