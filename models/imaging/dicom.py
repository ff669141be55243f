"""DICOM files -> pictures as a physician would see them, and the header's few facts we need.

The file is checked and its values are read in `dicom_file`, greys are made in `dicom_display`.
Called by `models.imaging.decode`. Nothing that identifies a patient is read out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from models.imaging.decode import (
    DecodedImage,
    DecodeWarning,
    ImageRejected,
    colour_spread,
    luminance,
)
from models.imaging.dicom_display import grey, hounsfield
from models.imaging.dicom_file import ImageObject, stored_frames
from models.imaging.dicom_header import metadata


def decode_dicom(image: ImageObject, numbers: Sequence[int]) -> Iterator[DecodedImage]:
    """Frames by their numbers, counted from 0, one after another. Raises ImageRejected."""
    facts = metadata(image.dataset)
    ct = facts.modality == "CT"
    for number, stored in zip(numbers, stored_frames(image, numbers), strict=True):
        found: list[DecodeWarning] = []
        try:
            rgb = colours(image, stored)
            pixels = grey(image, stored, number, found) if rgb is None else luminance(rgb)
            units = hounsfield(image, stored, number) if ct and rgb is None else None
        except ImageRejected:
            raise
        except Exception as error:  # a table or a palette that lies about itself
            raise ImageRejected("truncated", "the header does not fit the pixels") from error
        colour = 0.0 if rgb is None else colour_spread(rgb)
        if ct and units is None:
            found.append("hounsfield_unknown")
        yield DecodedImage(pixels, "dicom", facts, colour, tuple(found), rgb, units)


def colours(image: ImageObject, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8] | None:
    """uint8 [rows, columns, 3] of a frame in colours or with a palette, None for a grey one."""
    if image.photometric == "PALETTE COLOR":
        return _from_palette(image.dataset, stored)
    if image.samples == 1:
        return None
    if stored.dtype == np.uint8:
        return np.asarray(stored)
    return _eight_bits(stored, image.bits_stored)


def _from_palette(dataset: Dataset, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    if "RedPaletteColorLookupTableData" not in dataset:
        # Segmented tables can unpack to any size; no equipment that we know of needs them.
        raise ImageRejected("unsupported_format", "this kind of palette is not read")
    coloured = apply_color_lut(stored, dataset)
    if coloured.dtype == np.uint8:
        return np.asarray(coloured)
    return _eight_bits(coloured, 16)


def _eight_bits(values: npt.NDArray[np.generic], bits: int) -> npt.NDArray[np.uint8]:
    if bits <= 8:
        clipped: npt.NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
        return clipped
    return (values.astype(np.uint16) >> (bits - 8)).astype(np.uint8)
